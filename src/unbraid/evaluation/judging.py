"""The judge at work on what a model decodes: what clips show, for every label, all clips of a split, in batches."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from torch import Tensor

from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import metrics
from unbraid.evaluation.judge import Judge, judge_probabilities
from unbraid.generation import decode
from unbraid.models.base import SequenceModel
from unbraid.types import Codes
from unbraid.words import nearest

__all__ = ["Figure", "Panel", "Probabilities", "agreement", "blocks", "described", "figures_of", "parts_of"]

TRUSTED = 0.99  # accuracy on real clips that every head of a judge must reach

Probabilities = dict[str, np.ndarray]
Figure = dict[str, float]


class Panel:
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
        right = agreement(self._probabilities(None), truth)
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
        return {"accuracy": figures_of([right], chance), "width": self.judge.width, "trusted": not weak}

    def _probabilities(self, decoded: Callable[[slice], Tensor] | None) -> Probabilities:
        found: dict[str, list[np.ndarray]] = {name: [] for name in self.judge.classes}
        for rows in blocks(len(self.clips), self.size):
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


def agreement(seen: Probabilities, truth: dict[str, np.ndarray]) -> dict[str, float]:
    """Share of clips in which each label is seen as in `truth`."""
    return {name: metrics.accuracy(seen[name], values) for name, values in truth.items()}


def figures_of(repeats: list[dict[str, float]], floors: dict[str, float]) -> dict[str, Figure]:
    """Mean and spread (ddof 0) of every score over the repeats, beside its floor."""
    values = {name: [scores[name] for scores in repeats] for name in repeats[0]}
    return {
        name: {"mean": float(np.mean(v)), "std": float(np.std(v)), "floor": float(floors[name])}
        for name, v in values.items()
    }


def described(label: Label) -> dict[str, Any]:
    """What a label is, and how often one is right without looking."""
    counts = np.bincount(label.values, minlength=len(label.classes))
    return {
        "kind": label.kind,
        "part_of": label.part_of,
        "classes": len(label.classes),
        "chance": 1 / len(label.classes),
        "majority": float(counts.max() / counts.sum()),
    }


def parts_of(data: Sequences) -> dict[str, np.ndarray]:
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


def blocks(n: int, size: int) -> Iterator[slice]:
    """Rows 0 to n in blocks of `size`."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
