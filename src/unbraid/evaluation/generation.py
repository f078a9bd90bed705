"""Scores of generation: keep one code, draw or exchange the other, and ask a judge what the clips show.

The protocol of DSVAE-type models (Bai et al., NeurIPS 2021, supplement; Berman et al., ICML 2024), with three
differences that make it stricter: all clips of the split are scored (published code leaves out the last,
incomplete batch), dynamic codes are drawn from the prior (not the prior's means along a drawn path; see
`prior_mean`), and every figure stands beside its floor, what one gets without having learned anything.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import metrics
from unbraid.evaluation.judge import Judge, train_judge
from unbraid.evaluation.judging import (
    Figure,
    Panel,
    Probabilities,
    agreement,
    blocks,
    described,
    figures_of,
    parts_of,
)
from unbraid.evaluation.protocol import Protocol
from unbraid.generation import decode, encode, with_drawn_dynamic, with_drawn_static
from unbraid.models.base import SequenceModel
from unbraid.progress import progress_bar
from unbraid.types import Codes

__all__ = ["PROTOCOL", "SHARES", "evaluate_generation"]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the way from one static code to another
FAILURES = 12  # swapped clips that are named because the judge sees something else in them

Kept = Literal["static", "dynamic"]


def evaluate_generation(
    model: SequenceModel,
    data: Sequences,
    *,
    judge: Judge | None = None,
    split: str = "test",
    repeats: int = 5,
    seed: int = 0,
    prior_mean: bool = False,
    accept_weak_judge: bool = False,
    batch_size: int = 128,
    cache: str | Path | None = None,
) -> dict[str, Any]:
    """Score what a model generates on one split of a data set.

    Every figure is `{"mean", "std", "floor"}`; std is over the repeats (ddof 0), which differ in what is
    drawn, so it is 0 where nothing is drawn. It says how far one trained model's score is known, and nothing
    of how far models trained from other seeds differ: that spread is the ledger's. Shares are 0 to 1, entropies
    in nats. The floor of `accuracy` is the share of the most frequent class, which a model of that class alone
    gets; of each label in the tests below chance, 1 / classes; of the inception score 1; of H(y|x) ln(classes),
    a judge that sees nothing in the clip; of H(y) 0, one class only; of the squared error that of the mean
    training clip.

    Keys of the result:

    - `accuracy`, `inception_score`, `entropy_conditional` H(y|x), `entropy_marginal` H(y): how well the labels in
      `scored` are kept; all but the accuracy on a class-balanced subset. Scored is the first dynamic label, where
      the dynamics are kept and the static code is drawn; without one, the mean over all static labels, where the
      static code is kept and the dynamics are drawn.
    - `keep_dynamic`: share of clips that still show each label of the original when the static code is drawn.
      Static labels should be at the floor, dynamic ones high.
    - `keep_static`: the same when the dynamics are drawn. Dynamic labels should be at the floor.
    - `gap`: both tests in two numbers each, where there are static and dynamic labels: the mean over the static and
      over the dynamic labels (parts left out), and how much better the kept kind is seen than the drawn one.
    - `swap`: each label compared with the clip that should supply it (dynamic labels: the giver of the
      dynamics), `swap_leak`: with the other clip of the pair, which should be at the floor.
    - `confusion`: for each label in `scored`, how many swapped clips of each class (rows: the clip that should supply
      it) the judge takes for each class (columns), all repeats together.
    - `failures`: swapped clips of the first repeat in which the judge is surest of a wrong class of `scored`; their
      givers are places in the split.
    - `interpolation`: as the static code goes in equal steps from a clip's own to its partner's, under the clip's
      own dynamics: the share of clips that show each label as the clip does (`own`) and as the partner (`other`).
      Dynamic labels should stay with `own`. `interpolation_examples` names two pairs and what the judge sees.
    - `reconstruction`: each label on reconstructed clips.
    - `squared_error_per_clip`: of the reconstruction, summed over a clip's observed values, mean over clips.
    - `judge`: each label's accuracy on the real clips of the split, and the judge's settings.
    - `labels`, `protocol`: kinds, chance and majority of the labels; data, split, clips, repeats, seed.

    Labels that are part of another (an action of a motion) are scored by summing the judge's probabilities.
    Without labels only the squared error is there.

    Args:
        model: a trained model.
        data: its data set, with `split` (and `train`, `validation` where a judge is trained).
        judge: a judge of `data.heads`; None to take the cached one of this data set, or to train it.
        split: the split to score.
        repeats: independent repeats.
        seed: of all that is drawn. The global random state is left alone.
        prior_mean: decode the prior's means along a drawn path, for comparison with published code.
        accept_weak_judge: score although a head of the judge is below 99% on real clips.
        batch_size: clips decoded at a time.
        cache: folder of the trained judges; None for the library's own.

    Raises:
        ValueError: no such split, a model that cannot encode, a weak or unfit judge, repeats below 1.
    """
    if repeats < 1:
        raise ValueError(f"repeats: {repeats}; give at least 1")
    if not {"encode", "decode"} <= model.card.capabilities:
        raise ValueError(f"model: {model.card.name} cannot encode and decode, so it has no codes to keep")
    clips = data.split(split)
    if len(clips) < 2:
        raise ValueError(f"split: {split!r} of {data.name} has {len(clips)} sequence; swaps need two")
    codes = encode(model, clips, batch_size)
    scores: dict[str, Any] = {}
    if data.heads:
        judge = judge or train_judge(data, cache=cache, seed=0)
        parts = parts_of(data)
        passes = len(SHARES) + repeats * (3 if model.can("dynamic_prior") else 2)
        with progress_bar(f"scoring on {data.name}", passes * -(-len(clips) // batch_size)) as done:
            panel = Panel(model, judge, clips, parts, batch_size, done)
            scores["judge"] = panel.trust(accept_weak_judge)
            scores |= _judged(panel, codes, repeats, seed, prior_mean)
    scores["squared_error_per_clip"] = {
        "mean": _squared_error(clips, lambda rows: decode(model, codes[rows], batch_size), batch_size),
        "std": 0.0,
        "floor": _squared_error(clips, _mean_clip(data, batch_size), batch_size),
    }
    scores["labels"] = {name: described(label) for name, label in clips.labels.items()}
    scores["protocol"] = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "split": split,
        "clips": len(clips),
        "repeats": repeats,
        "seed": seed,
        "std": "over the repeats of one trained model",
        "dynamics_drawn": "means along a drawn path" if prior_mean else "samples",
    }
    return scores


def _judged(panel: Panel, codes: Codes, repeats: int, seed: int, prior_mean: bool) -> dict[str, Any]:
    """All figures that need the judge."""
    labels, model = panel.clips.labels, panel.model
    truth = {name: label.values for name, label in labels.items()}
    chance = {name: 1 / len(label.classes) for name, label in labels.items()}
    kept, scored = _scored(panel)
    drawn: dict[str, list[dict[str, float]]] = {
        "keep_dynamic": [],
        "keep_static": [],
        "swap": [],
        "swap_leak": [],
    }
    headline = []
    confusion = {name: np.zeros([len(labels[name].classes)] * 2, np.int64) for name in scored}
    first: tuple[np.ndarray, Probabilities] | None = None
    for repeat in range(repeats):
        generator = torch.Generator().manual_seed(
            int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])
        )
        seen = {"dynamic": panel.look(with_drawn_static(model, codes, generator))}
        if model.can("dynamic_prior"):
            seen["static"] = panel.look(with_drawn_dynamic(model, codes, generator, prior_mean))
        for kind, shown in seen.items():
            drawn[f"keep_{kind}"].append(agreement(shown, truth))
        if scored:
            headline.append(_headline(seen[kept], truth, scored))
        other = _partners(len(codes), generator)
        swapped = panel.look(Codes(codes.static[other], codes.dynamic))
        given, leaked = _givers(labels, other)
        drawn["swap"].append(agreement(swapped, given))
        drawn["swap_leak"].append(agreement(swapped, leaked))
        for name in scored:
            confusion[name] += metrics.confusion(swapped[name], given[name])
        first = first or (other, swapped)
    assert first is not None
    rebuilt = panel.look(codes)
    scores: dict[str, Any] = {}
    if scored:
        floors = {
            "accuracy": np.mean([described(labels[name])["majority"] for name in scored]),
            "inception_score": 1.0,
            "entropy_conditional": np.mean([-np.log(chance[name]) for name in scored]),
            "entropy_marginal": 0.0,
        }
        scores |= {"scored": {"kept": kept, "labels": list(scored)}} | figures_of(headline, floors)
    scores |= {test: figures_of(values, chance) for test, values in drawn.items() if values}
    if {label.kind for label in panel.clips.heads.values()} == {"static", "dynamic"}:
        scores["gap"] = {
            f"{kind}_kept": _gap(panel.clips.heads, drawn[f"keep_{kind}"], kind) for kind in seen
        }
    scores["confusion"] = {
        name: {"classes": list(labels[name].classes), "counts": counts.tolist()}
        for name, counts in confusion.items()
    }
    scores["failures"] = _failures(labels, scored, *first)
    way = _way(panel, codes, rebuilt, *first)
    scores["interpolation"] = _interpolation(labels, first[0], way)
    scores["interpolation_examples"] = _examples(labels, scored, first[0], way)
    scores["reconstruction"] = figures_of([agreement(rebuilt, truth)], chance)
    return scores


def _scored(panel: Panel) -> tuple[Kept, tuple[str, ...]]:
    """Which code is kept for the headline scores, and the labels that are then looked for."""
    heads = panel.clips.heads
    motion = [name for name, label in heads.items() if label.kind == "dynamic"]
    if motion:
        return "dynamic", (motion[0],)
    return "static", tuple(heads) if panel.model.can("dynamic_prior") else ()


def _headline(seen: Probabilities, truth: dict[str, np.ndarray], scored: Sequence[str]) -> dict[str, float]:
    """The four scores of each label, averaged over the labels."""
    each = [_label_scores(seen[name], truth[name]) for name in scored]
    return {score: float(np.mean([scores[score] for scores in each])) for score in each[0]}


def _label_scores(p: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    balanced = p[metrics.balanced_rows(truth)]
    return {
        "accuracy": metrics.accuracy(p, truth),
        "inception_score": metrics.inception_score(balanced),
        "entropy_conditional": metrics.entropy_conditional(balanced),
        "entropy_marginal": metrics.entropy_marginal(balanced),
    }


def _givers(
    labels: Mapping[str, Label], other: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What a clip shows that has its own dynamics and its partner's static code, and what it should not."""
    own = {name: label.values for name, label in labels.items()}
    partner = {name: label.values[other] for name, label in labels.items()}
    dynamic = {name for name, label in labels.items() if label.kind == "dynamic"}
    given = {name: (own if name in dynamic else partner)[name] for name in labels}
    leaked = {name: (partner if name in dynamic else own)[name] for name in labels}
    return given, leaked


def _gap(heads: Mapping[str, Label], repeats: list[dict[str, float]], kept: str) -> dict[str, Figure]:
    """Mean accuracy of the static and of the dynamic labels, and the kept ones' lead over the others."""
    names = {kind: [n for n, label in heads.items() if label.kind == kind] for kind in ("static", "dynamic")}
    drawn = "dynamic" if kept == "static" else "static"

    def summed_up(accuracy: Mapping[str, float]) -> dict[str, float]:
        means = {kind: float(np.mean([accuracy[name] for name in names[kind]])) for kind in names}
        return means | {"gap": means[kept] - means[drawn]}

    floors = summed_up({name: 1 / len(label.classes) for name, label in heads.items()})
    return figures_of([summed_up(accuracy) for accuracy in repeats], floors)


def _failures(
    labels: Mapping[str, Label], scored: Sequence[str], other: np.ndarray, swapped: Probabilities
) -> list[dict[str, Any]]:
    """The swapped clips that the judge takes most surely for something else."""
    given, _ = _givers(labels, other)
    found = []
    for name in scored:
        seen, sure = swapped[name].argmax(1), swapped[name].max(1)
        found += [
            {
                "label": name,
                "dynamic_from": int(row),
                "static_from": int(other[row]),
                "true": labels[name].classes[given[name][row]],
                "seen": labels[name].classes[seen[row]],
                "probability": float(sure[row]),
            }
            for row in np.flatnonzero(seen != given[name])
        ]
    return sorted(found, key=lambda failure: -failure["probability"])[:FAILURES]


def _way(
    panel: Panel, codes: Codes, rebuilt: Probabilities, other: np.ndarray, swapped: Probabilities
) -> list[Probabilities]:
    """What is seen while the static code goes from a clip's own to its partner's, under the clip's dynamics."""
    between = [torch.lerp(codes.static, codes.static[other], share) for share in SHARES[1:-1]]
    return [rebuilt, *(panel.look(Codes(static, codes.dynamic)) for static in between), swapped]


def _interpolation(
    labels: Mapping[str, Label], other: np.ndarray, way: Sequence[Probabilities]
) -> dict[str, dict[str, dict[str, Figure]]]:
    """Agreement with a clip and with its partner on the way from the one's static code to the other's."""
    chance = {name: 1 / len(label.classes) for name, label in labels.items()}
    own = {name: label.values for name, label in labels.items()}
    partner = {name: values[other] for name, values in own.items()}
    return {
        whose: {
            f"{share:.0%}": figures_of([agreement(seen, values)], chance)
            for share, seen in zip(SHARES, way, strict=True)
        }
        for whose, values in (("own", own), ("other", partner))
    }


def _examples(
    labels: Mapping[str, Label], scored: Sequence[str], other: np.ndarray, way: Sequence[Probabilities]
) -> list[dict[str, Any]]:
    """Two pairs of clips unlike each other, and what the judge sees on the way between them; for a picture."""
    if not scored:
        return []
    static = [label for label in labels.values() if label.kind == "static" and label.part_of is None]
    unlike = np.zeros(len(other)) + sum(label.values != label.values[other] for label in static)
    rows = np.argsort(-unlike, kind="stable")
    shown = labels[scored[0]].values
    second = next((row for row in rows[1:] if shown[row] != shown[rows[0]]), rows[1])
    return [
        {
            "dynamic_from": int(row),
            "static_to": int(other[row]),
            "seen": [
                ", ".join(labels[name].classes[seen[name][row].argmax()] for name in scored) for seen in way
            ],
        }
        for row in (rows[0], second)
    ]


def _partners(n: int, generator: torch.Generator) -> np.ndarray:
    """A random pairing in which nobody is their own partner: everyone gets the next on a random circle."""
    circle = torch.randperm(n, generator=generator).numpy()
    partners = np.empty(n, dtype=np.int64)
    partners[circle] = np.roll(circle, -1)
    return partners


def _observed(mask: Tensor, x: Tensor) -> Tensor:
    return mask.view(*mask.shape, *[1] * (x.ndim - mask.ndim)).expand_as(x)


def _squared_error(clips: Sequences, guess: Callable[[slice], Tensor], batch_size: int) -> float:
    """Squared error summed over the observed values of a clip, mean over clips."""
    total = 0.0
    for rows in blocks(len(clips), batch_size):
        batch = clips.batch(rows)
        error = (guess(rows) - batch.x).double().square()
        if batch.mask is not None:
            error = torch.where(_observed(batch.mask, error), error, 0.0)
        total += float(error.sum())
    return total / len(clips)


def _mean_clip(data: Sequences, batch_size: int) -> Callable[[slice], Tensor]:
    """The mean of the training clips, value by value; of all clips where there is no split `train`."""
    rows = data.splits.get("train", np.arange(len(data)))
    total = torch.zeros(data.steps, *data.observation, dtype=torch.float64)
    count = torch.zeros_like(total)
    for block in blocks(len(rows), batch_size):
        batch = data.batch(rows[block])
        total += batch.x.double().sum(0)
        count += len(batch) if batch.mask is None else _observed(batch.mask, batch.x).double().sum(0)
    mean = (total / count.clamp(min=1)).float()
    return lambda rows: mean


def _unsuited(data: Sequences) -> str:
    static = any(label.kind == "static" for label in data.heads.values())
    if (data.kind == "sound" and static) or (
        data.kind in ("vectors", "windows") and (data.labels or data.targets)
    ):
        return "labels of series and sounds are predicted from the codes instead of judged in decoded clips"
    return ""


PROTOCOL = Protocol(
    name="generation",
    title="Generation",
    needs=frozenset({"encode", "decode"}),
    unsuited=_unsuited,
    evaluate=evaluate_generation,
)
