"""Scores of generation: keep one code, draw or exchange the other, and ask a judge what the clips show.

The protocol of DSVAE-type models (Bai et al., NeurIPS 2021, supplement; Berman et al., ICML 2024), with three
differences that make it stricter: all clips of the split are scored (published code leaves out the last,
incomplete batch), dynamic codes are drawn from the prior (not the prior's means along a drawn path; see
`prior_mean`), and every figure stands beside its floor, what one gets without having learned anything.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unbraid.data.base import Label, Sequences
from unbraid.evaluation import metrics
from unbraid.evaluation.judge import Judge, judge_probabilities, train_judge
from unbraid.evaluation.progress import progress_bar
from unbraid.generation import decode, encode, with_drawn_dynamic, with_drawn_static
from unbraid.models.base import SequenceModel
from unbraid.registry import nearest
from unbraid.types import Codes

__all__ = ["evaluate_generation"]

TRUSTED = 0.99  # accuracy on real clips that every head of a judge must reach

Probabilities = dict[str, np.ndarray]
Figure = dict[str, float]


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
    drawn, so it is 0 where nothing is drawn. Shares are 0 to 1, entropies in nats. The floor of a label is
    chance, 1 / classes (`labels` also holds the share of the most frequent class); of the inception score 1;
    of H(y|x) ln(classes), a judge that sees nothing in the clip; of H(y) 0, one class only; of the squared
    error that of the mean training clip.

    Keys of the result:

    - `accuracy`, `inception_score`, `entropy_conditional` H(y|x), `entropy_marginal` H(y): the first dynamic
      label where the dynamics are kept and the static code is drawn; all but the accuracy on a class-balanced
      subset.
    - `keep_dynamic`: share of clips that still show each label of the original when the static code is drawn.
      Static labels should be at the floor, dynamic ones high.
    - `keep_static`: the same when the dynamics are drawn. Dynamic labels should be at the floor.
    - `swap`: each label compared with the clip that should supply it (dynamic labels: the giver of the
      dynamics), `swap_leak`: with the other clip of the pair, which should be at the floor.
    - `reconstruction`: each label on reconstructed clips.
    - `squared_error_per_clip`: of the reconstruction, summed over a clip's observed values, mean over clips.
    - `judge`: each label's accuracy on the real clips of the split, and the judge's settings.
    - `labels`, `protocol`: kinds, chance and majority of the labels; data, split, clips, repeats, seed.

    Labels that are part of another (an action of a motion) are scored by summing the judge's probabilities.
    Without labels only the squared error is there; without a dynamic label the first four are left out.

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
        parts = _parts(data)
        passes = 2 + repeats * (3 if "prior" in model.card.capabilities else 2)
        with progress_bar(f"scoring on {data.name}", passes * -(-len(clips) // batch_size)) as done:
            panel = _Panel(model, judge, clips, parts, batch_size, done)
            scores["judge"] = panel.trust(accept_weak_judge)
            scores |= _judged(panel, codes, repeats, seed, prior_mean)
    scores["squared_error_per_clip"] = {
        "mean": _squared_error(clips, lambda rows: decode(model, codes[rows], batch_size), batch_size),
        "std": 0.0,
        "floor": _squared_error(clips, _mean_clip(data, batch_size), batch_size),
    }
    scores["labels"] = {name: _described(label) for name, label in clips.labels.items()}
    scores["protocol"] = {
        "data": data.name,
        "fingerprint": data.fingerprint,
        "split": split,
        "clips": len(clips),
        "repeats": repeats,
        "seed": seed,
        "dynamics_drawn": "means along a drawn path" if prior_mean else "samples",
    }
    return scores


def _judged(panel: "_Panel", codes: Codes, repeats: int, seed: int, prior_mean: bool) -> dict[str, Any]:
    """All figures that need the judge."""
    labels, model = panel.clips.labels, panel.model
    truth = {name: label.values for name, label in labels.items()}
    motion = next((name for name, label in panel.clips.heads.items() if label.kind == "dynamic"), None)
    drawn: dict[str, list[dict[str, float]]] = {
        "keep_dynamic": [],
        "keep_static": [],
        "swap": [],
        "swap_leak": [],
    }
    motion_scores = []
    for repeat in range(repeats):
        generator = torch.Generator().manual_seed(
            int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])
        )
        seen = panel.look(with_drawn_static(model, codes, generator))
        drawn["keep_dynamic"].append(_agreement(seen, truth))
        if motion is not None:
            motion_scores.append(_motion_scores(seen[motion], truth[motion]))
        if "prior" in model.card.capabilities:
            seen = panel.look(with_drawn_dynamic(model, codes, generator, prior_mean))
            drawn["keep_static"].append(_agreement(seen, truth))
        other = _partners(len(codes), generator)
        seen = panel.look(Codes(codes.static[other], codes.dynamic))
        given = {n: truth[n] if labels[n].kind == "dynamic" else truth[n][other] for n in labels}
        leaked = {n: truth[n][other] if labels[n].kind == "dynamic" else truth[n] for n in labels}
        drawn["swap"].append(_agreement(seen, given))
        drawn["swap_leak"].append(_agreement(seen, leaked))
    chance = {name: 1 / len(label.classes) for name, label in labels.items()}
    scores: dict[str, Any] = {}
    if motion is not None:
        guess = np.log(len(labels[motion].classes))
        floors = {
            "accuracy": chance[motion],
            "inception_score": 1.0,
            "entropy_conditional": guess,
            "entropy_marginal": 0.0,
        }
        scores |= _figures(motion_scores, floors)
    scores |= {test: _figures(values, chance) for test, values in drawn.items() if values}
    scores["reconstruction"] = _figures([_agreement(panel.look(codes), truth)], chance)
    return scores


class _Panel:
    """The judge at work: what decoded codes show, for every label and all clips of a split, in batches."""

    def __init__(
        self,
        model: SequenceModel,
        judge: Judge,
        clips: Sequences,
        parts: dict[str, np.ndarray],
        batch_size: int,
        done: Callable[[str], None],
    ) -> None:
        wanted = {name: len(label.classes) for name, label in clips.heads.items()}
        if judge.classes != wanted or judge.observation != clips.observation:
            raise ValueError(
                f"judge: knows {judge.classes} on {judge.observation}, the data have {wanted} on "
                f"{clips.observation}; train it on these data with `train_judge`"
            )
        self.model, self.judge, self.clips, self.parts = model, judge, clips, parts
        self.size, self.done = batch_size, done

    def look(self, codes: Codes) -> Probabilities:
        """Class probabilities of every label on the clips that codes decode to."""
        return self._probabilities(lambda rows: decode(self.model, codes[rows], self.size))

    def trust(self, accept_weak: bool) -> dict[str, Any]:
        """The judge's accuracy on the real clips; refuses a weak one."""
        truth = {name: label.values for name, label in self.clips.labels.items()}
        right = _agreement(self._probabilities(None), truth)
        weak = {
            name: share for name, share in right.items() if name in self.judge.classes and share < TRUSTED
        }
        if weak and not accept_weak:
            found = ", ".join(f"{share:.1%} on {name!r}" for name, share in weak.items())
            raise ValueError(
                f"judge: right on only {found} of the real clips of {self.clips.name}; below {TRUSTED:.0%} "
                "its verdicts on generated clips mean little. Give more labelled training clips or a better "
                "judge, or pass accept_weak_judge=True to score all the same"
            )
        chance = {name: 1 / len(label.classes) for name, label in self.clips.labels.items()}
        return {"accuracy": _figures([right], chance), "width": self.judge.width, "trusted": not weak}

    def _probabilities(self, decoded: Callable[[slice], Tensor] | None) -> Probabilities:
        found: dict[str, list[np.ndarray]] = {name: [] for name in self.judge.classes}
        for rows in _blocks(len(self.clips), self.size):
            batch = self.clips.batch(rows)
            x = batch.x if decoded is None else decoded(rows)
            for name, p in judge_probabilities(self.judge, x, batch.mask).items():
                found[name].append(p)
            self.done("")
        heads = {name: np.concatenate(values) for name, values in found.items()}
        return heads | {name: self._part(name, heads) for name in self.parts}

    def _part(self, name: str, heads: Probabilities) -> np.ndarray:
        label = self.clips.labels[name]
        return metrics.part_probabilities(heads[str(label.part_of)], self.parts[name], len(label.classes))


def _agreement(seen: Probabilities, truth: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: metrics.accuracy(seen[name], values) for name, values in truth.items()}


def _motion_scores(p: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    balanced = p[metrics.balanced_rows(truth)]
    return {
        "accuracy": metrics.accuracy(p, truth),
        "inception_score": metrics.inception_score(balanced),
        "entropy_conditional": metrics.entropy_conditional(balanced),
        "entropy_marginal": metrics.entropy_marginal(balanced),
    }


def _figures(repeats: list[dict[str, float]], floors: dict[str, float]) -> dict[str, Figure]:
    """Mean and spread (ddof 0) of every score over the repeats, beside its floor."""
    values = {name: [scores[name] for scores in repeats] for name in repeats[0]}
    return {
        name: {"mean": float(np.mean(v)), "std": float(np.std(v)), "floor": float(floors[name])}
        for name, v in values.items()
    }


def _described(label: Label) -> dict[str, Any]:
    counts = np.bincount(label.values, minlength=len(label.classes))
    return {
        "kind": label.kind,
        "part_of": label.part_of,
        "classes": len(label.classes),
        "chance": 1 / len(label.classes),
        "majority": float(counts.max() / counts.sum()),
    }


def _parts(data: Sequences) -> dict[str, np.ndarray]:
    """For each label that is part of another: its class for every class of the whole, read off the data."""
    found = {}
    for name, label in data.labels.items():
        if label.part_of is None:
            continue
        if label.part_of not in data.heads:
            raise ValueError(
                f"labels[{name!r}]: is part of {label.part_of!r}{nearest(label.part_of, data.heads)}; "
                "a part must belong to a label that is no part itself"
            )
        whole = data.labels[label.part_of]
        part = np.full(len(whole.classes), -1)
        part[whole.values] = label.values
        if (part[whole.values] != label.values).any():
            raise ValueError(
                f"labels[{name!r}]: sequences of one {label.part_of!r} differ in it; a part must follow from "
                "the whole, otherwise declare it without part_of"
            )
        found[name] = part
    return found


def _partners(n: int, generator: torch.Generator) -> np.ndarray:
    """A random pairing in which nobody is their own partner: everyone gets the next on a random circle."""
    circle = torch.randperm(n, generator=generator).numpy()
    partners = np.empty(n, dtype=np.int64)
    partners[circle] = np.roll(circle, -1)
    return partners


def _blocks(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _observed(mask: Tensor, x: Tensor) -> Tensor:
    return mask.view(*mask.shape, *[1] * (x.ndim - mask.ndim)).expand_as(x)


def _squared_error(clips: Sequences, guess: Callable[[slice], Tensor], batch_size: int) -> float:
    """Squared error summed over the observed values of a clip, mean over clips."""
    total = 0.0
    for rows in _blocks(len(clips), batch_size):
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
    for block in _blocks(len(rows), batch_size):
        batch = data.batch(rows[block])
        total += batch.x.double().sum(0)
        count += len(batch) if batch.mask is None else _observed(batch.mask, batch.x).double().sum(0)
    mean = (total / count.clamp(min=1)).float()
    return lambda rows: mean
