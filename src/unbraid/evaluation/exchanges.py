"""What a judge sees in clips that keep one code while the other is drawn, exchanged or interpolated."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from unbraid.data.sequences import Label
from unbraid.evaluation import metrics
from unbraid.evaluation.judging import (
    JudgedModel,
    Probabilities,
    agreement,
    chance_of,
    describe_label,
    label_gap,
)
from unbraid.evaluation.repeats import seed_of_repeat
from unbraid.evaluation.scores import figures_over_repeats
from unbraid.generation import partners, with_drawn_dynamic, with_drawn_static
from unbraid.types import Codes

__all__ = ["SHARES", "judge_exchanges", "scored_code"]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the way from one static code to another
FAILURES = 12  # swapped clips that are named because the judge sees a wrong class in them

Kept = Literal["static", "dynamic"]


def judge_exchanges(
    judged: JudgedModel,
    codes: Codes,
    rebuilt: Probabilities,
    places: np.ndarray,
    repeats: int,
    seed: int,
    prior_mean: bool,
    noise: torch.Generator,
    mean_clip_error: float,
) -> dict[str, Any]:
    """All figures of drawn and exchanged codes; the keys are described in `evaluate_generation`.

    Args:
        judged: a model whose decoder reads the static code, its judge and the clips.
        codes: of the clips.
        rebuilt: what the judge sees in the clips that `codes` decode to.
        places: of the clips in their split.
        repeats: independent repeats.
        seed: of the draws.
        prior_mean: decode the prior's means along a drawn path instead of draws.
        noise: of a decoder that draws, where nothing else is drawn.
        mean_clip_error: squared error of the mean training clip, the floor of the error of swaps.
    """
    labels, model = judged.clips.labels, judged.model
    truth = {name: label.values for name, label in labels.items()}
    chance = chance_of(labels)
    kept, scored = scored_code(judged)
    tests: dict[str, list[dict[str, float]]] = {
        "keep_dynamic": [],
        "keep_static": [],
        "swap": [],
        "swap_leak": [],
    }
    measures, swap_errors = [], []
    confusion = {name: np.zeros([len(labels[name].classes)] * 2, np.int64) for name in scored}
    first: tuple[np.ndarray, Probabilities] | None = None
    for repeat in range(repeats):
        generator = torch.Generator().manual_seed(seed_of_repeat(seed, repeat))
        seen = {"dynamic": judged.read(with_drawn_static(model, codes, generator), generator)}
        if model.can("dynamic_prior"):
            drawn = with_drawn_dynamic(model, codes, generator, prior_mean)
            seen["static"] = judged.read(drawn, generator)
        for kind, probabilities in seen.items():
            tests[f"keep_{kind}"].append(agreement(probabilities, truth))
        if scored:
            measures.append(_measures(seen[kept], truth, scored))
        other = partners(len(codes), generator)
        exchanged = Codes(codes.static[other], codes.dynamic)
        truth_of_swaps = true_swaps(labels, other)
        if truth_of_swaps is None:
            swapped = judged.read(exchanged, generator)
        else:
            swapped, error = judged.read_beside(exchanged, truth_of_swaps, generator)
            swap_errors.append({"swap_error_per_clip": error})
        right, wrong = _suppliers(labels, other)
        tests["swap"].append(agreement(swapped, right))
        tests["swap_leak"].append(agreement(swapped, wrong))
        for name in scored:
            confusion[name] += metrics.confusion(swapped[name], right[name])
        first = first or (other, swapped)
    assert first is not None
    scores: dict[str, Any] = {}
    if scored:
        floors = {
            "accuracy": np.mean([describe_label(labels[name])["majority"] for name in scored]),
            "inception_score": 1.0,
            "entropy_conditional": np.mean([-np.log(chance[name]) for name in scored]),
            "entropy_marginal": 0.0,
        }
        scores |= {"scored": {"kept": kept, "labels": list(scored)}} | figures_over_repeats(measures, floors)
    scores |= {test: figures_over_repeats(shares, chance) for test, shares in tests.items() if shares}
    if swap_errors:
        scores |= figures_over_repeats(swap_errors, {"swap_error_per_clip": mean_clip_error})
    heads = judged.clips.heads
    if {label.kind for label in heads.values()} == {"static", "dynamic"}:
        scores["gap"] = {
            f"{kind}_kept": label_gap(heads, tests[f"keep_{kind}"], chance, kind) for kind in seen
        }
    scores["confusion"] = {
        name: {"classes": list(labels[name].classes), "counts": counts.tolist()}
        for name, counts in confusion.items()
    }
    scores["failures"] = _failures(labels, scored, places, *first)
    along = _read_between(judged, codes, rebuilt, *first, noise)
    scores["interpolation"] = _interpolation(labels, first[0], along)
    scores["interpolation_examples"] = _examples(labels, scored, places, first[0], along)
    return scores


# ---- figures of the whole split -------------------------------------------------------------------------


def scored_code(judged: JudgedModel) -> tuple[Kept, tuple[str, ...]]:
    """Which code is kept for the figures of the whole split, and the labels that are then looked for."""
    heads = judged.clips.heads
    dynamic = [name for name, label in heads.items() if label.kind == "dynamic"]
    if dynamic:
        return "dynamic", (dynamic[0],)
    return "static", tuple(heads) if judged.model.can("dynamic_prior") else ()


def _measures(
    seen: Probabilities, truth: Mapping[str, np.ndarray], scored: Sequence[str]
) -> dict[str, float]:
    """The four figures of each label, averaged over the labels."""
    of_labels = [_label_measures(seen[name], truth[name]) for name in scored]
    return {key: float(np.mean([values[key] for values in of_labels])) for key in of_labels[0]}


def _label_measures(p: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    balanced = p[metrics.balanced_rows(truth)]
    return {
        "accuracy": metrics.accuracy(p, truth),
        "inception_score": metrics.inception_score(balanced),
        "entropy_conditional": metrics.entropy_conditional(balanced),
        "entropy_marginal": metrics.entropy_marginal(balanced),
    }


# ---- swaps ----------------------------------------------------------------------------------------------


def _suppliers(
    labels: Mapping[str, Label], other: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The classes that a clip should show under its partner's static code, and those that it should not."""
    own = {name: label.values for name, label in labels.items()}
    partner = {name: label.values[other] for name, label in labels.items()}
    dynamic = {name for name, label in labels.items() if label.kind == "dynamic"}
    right = {name: (own if name in dynamic else partner)[name] for name in labels}
    wrong = {name: (partner if name in dynamic else own)[name] for name in labels}
    return right, wrong


def true_swaps(labels: Mapping[str, Label], other: np.ndarray) -> np.ndarray | None:
    """The row of the clip that each swap should give: with the partner's static labels and the clip's own dynamic ones.

    Args:
        labels: of the clips.
        other: the partner of each clip.

    Returns:
        Row numbers, -1 where no clip has these labels. None where labels do not say which clip is meant: some are of
        one kind only, two clips have the same labels, or no swap has its clip.
    """
    heads = {name: label for name, label in labels.items() if label.part_of is None}
    if {label.kind for label in heads.values()} != {"static", "dynamic"}:
        return None
    own = np.stack([label.values for label in heads.values()], axis=1)
    static = np.array([label.kind == "static" for label in heads.values()])
    row_of = {tuple(values): row for row, values in enumerate(own.tolist())}
    rows = np.array([row_of.get(tuple(v), -1) for v in np.where(static, own[other], own).tolist()])
    return rows if len(row_of) == len(own) and (rows >= 0).any() else None


def _failures(
    labels: Mapping[str, Label],
    scored: Sequence[str],
    places: np.ndarray,
    other: np.ndarray,
    swapped: Probabilities,
) -> list[dict[str, Any]]:
    """The swapped clips in which the judge is surest of a wrong class."""
    right, _ = _suppliers(labels, other)
    failures = []
    for name in scored:
        seen, probability = swapped[name].argmax(1), swapped[name].max(1)
        failures += [
            {
                "label": name,
                "dynamic_from": int(places[row]),
                "static_from": int(places[other[row]]),
                "true": labels[name].classes[right[name][row]],
                "seen": labels[name].classes[seen[row]],
                "probability": float(probability[row]),
            }
            for row in np.flatnonzero(seen != right[name])
        ]
    return sorted(failures, key=lambda failure: -failure["probability"])[:FAILURES]


# ---- between two static codes ---------------------------------------------------------------------------


def _read_between(
    judged: JudgedModel,
    codes: Codes,
    rebuilt: Probabilities,
    other: np.ndarray,
    swapped: Probabilities,
    noise: torch.Generator,
) -> list[Probabilities]:
    """What the judge sees at each of `SHARES` between a clip's static code and its partner's."""
    between = [torch.lerp(codes.static, codes.static[other], share) for share in SHARES[1:-1]]
    return [rebuilt, *(judged.read(Codes(static, codes.dynamic), noise) for static in between), swapped]


def _interpolation(
    labels: Mapping[str, Label], other: np.ndarray, along: Sequence[Probabilities]
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Agreement with a clip and with its partner at each of `SHARES`."""
    own = {name: label.values for name, label in labels.items()}
    partner = {name: values[other] for name, values in own.items()}
    return {
        whose: {
            f"{share:.0%}": figures_over_repeats([agreement(seen, values)], chance_of(labels))
            for share, seen in zip(SHARES, along, strict=True)
        }
        for whose, values in (("own", own), ("other", partner))
    }


def _examples(
    labels: Mapping[str, Label],
    scored: Sequence[str],
    places: np.ndarray,
    other: np.ndarray,
    along: Sequence[Probabilities],
) -> list[dict[str, Any]]:
    """Two pairs of clips that differ in many static labels, and what the judge sees between them; for a picture."""
    if not scored:
        return []
    static = [label for label in labels.values() if label.kind == "static" and label.part_of is None]
    differences = np.zeros(len(other)) + sum(label.values != label.values[other] for label in static)
    rows = np.argsort(-differences, kind="stable")
    classes = labels[scored[0]].values
    second = next((row for row in rows[1:] if classes[row] != classes[rows[0]]), rows[1])
    return [
        {
            "dynamic_from": int(places[row]),
            "static_to": int(places[other[row]]),
            "seen": [
                ", ".join(labels[name].classes[seen[name][row].argmax()] for name in scored) for seen in along
            ],
        }
        for row in (rows[0], second)
    ]
