"""A judge at work on the clips that a model decodes, and what labels are to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import metrics
from unbraid.evaluation.judge import Judge, judge_probabilities
from unbraid.evaluation.scores import figures_over_repeats
from unbraid.generation import decode
from unbraid.masks import zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.types import Codes
from unbraid.words import nearest

__all__ = [
    "JudgedModel",
    "Probabilities",
    "agreement",
    "blocks",
    "chance_of",
    "describe_label",
    "label_gap",
    "parts_of",
]

TRUSTED = 0.99  # accuracy on real clips that every head of a judge must reach

Probabilities = dict[str, np.ndarray]
"""Class probabilities `(N, classes)` of each label."""


class JudgedModel:
    """A model whose decoded clips are read by a judge, for all clips of a split and in batches.

    Args:
        model: a model that decodes.
        judge: of the labels in `clips.heads`.
        clips: the split that is scored.
        parts: see `parts_of`.
        batch_size: clips decoded at a time.
        advance: called after each batch.

    Raises:
        ValueError: the judge is of other labels or of another observation.
    """

    def __init__(
        self,
        model: SequenceModel,
        judge: Judge,
        clips: Sequences,
        parts: Mapping[str, np.ndarray],
        batch_size: int,
        advance: Callable[[str], None],
    ) -> None:
        classes = {name: len(label.classes) for name, label in clips.heads.items()}
        if judge.classes != classes or judge.observation != clips.observation:
            raise ValueError(
                f"judge: reads {judge.classes} from {judge.observation}, the data have {classes} and "
                f"{clips.observation}; train one on these data with `train_judge`"
            )
        self.model, self.judge, self.clips, self.parts = model, judge, clips, parts
        self.batch_size, self.advance = batch_size, advance

    def read(self, codes: Codes, generator: torch.Generator | None = None) -> Probabilities:
        """Class probabilities of every label on the clips that `codes` decode to.

        Args:
            codes: one for each clip of the split.
            generator: of the noise of a decoder that draws.
        """
        return self._read(self._decoder(codes, generator))

    def read_beside(
        self, codes: Codes, truth: np.ndarray, generator: torch.Generator | None = None
    ) -> tuple[Probabilities, float]:
        """What `read` gives, and the squared error of the decoded clips against real ones, summed over a clip.

        Args:
            codes: one for each clip of the split.
            truth: the row of the split that each decoded clip should equal, -1 where there is none.
            generator: of the noise of a decoder that draws.
        """
        decoded, errors = self._decoder(codes, generator), []

        def compared(rows: slice) -> Tensor:
            x, real = decoded(rows), truth[rows]
            clips = self.clips.batch(real[real >= 0])
            difference = zero_unobserved((x[real >= 0] - clips.x).double(), clips.mask)
            errors.append(difference.square().flatten(1).sum(1))
            return x

        probabilities = self._read(compared)
        return probabilities, float(torch.cat(errors).mean())

    def _decoder(self, codes: Codes, generator: torch.Generator | None) -> Callable[[slice], Tensor]:
        return lambda rows: decode(self.model, codes[rows], self.batch_size, generator=generator)

    def check(self, accept_weak: bool) -> dict[str, Any]:
        """The judge's accuracy on the real clips of the split, for the scores.

        Raises:
            ValueError: a head below `TRUSTED`, unless `accept_weak`.
        """
        truth = {name: label.values for name, label in self.clips.labels.items()}
        shares = agreement(self._read(None), truth)
        weak = {
            name: share for name, share in shares.items() if name in self.judge.classes and share < TRUSTED
        }
        if weak and not accept_weak:
            each = ", ".join(f"{share:.1%} on {name!r}" for name, share in weak.items())
            raise ValueError(
                f"judge: right on only {each} of the real clips of {self.clips.name}; below {TRUSTED:.0%} "
                "its verdicts on generated clips mean little. Give more labelled training clips or a better "
                "judge, or pass accept_weak_judge=True to score all the same"
            )
        accuracy = figures_over_repeats([shares], chance_of(self.clips.labels))
        return {"accuracy": accuracy, "width": self.judge.width, "trusted": not weak}

    def _read(self, decoded: Callable[[slice], Tensor] | None) -> Probabilities:
        """Probabilities on decoded clips, or on the real ones when `decoded` is None."""
        batches: dict[str, list[np.ndarray]] = {name: [] for name in self.judge.classes}
        for rows in blocks(len(self.clips), self.batch_size):
            batch = self.clips.batch(rows)
            x = batch.x if decoded is None else decoded(rows)
            for name, p in judge_probabilities(self.judge, x, batch.mask).items():
                batches[name].append(p)
            self.advance("")
        heads = {name: np.concatenate(values) for name, values in batches.items()}
        return heads | {name: self._part(name, heads) for name in self.parts}

    def _part(self, name: str, heads: Probabilities) -> np.ndarray:
        label = self.clips.labels[name]
        return metrics.part_probabilities(heads[str(label.part_of)], self.parts[name], len(label.classes))


def agreement(seen: Probabilities, truth: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Share of clips in which the most probable class of each label is that of `truth`."""
    return {name: metrics.accuracy(seen[name], values) for name, values in truth.items()}


def chance_of(labels: Mapping[str, Label]) -> dict[str, float]:
    """The accuracy of a random guess at each label: 1 / classes."""
    return {name: 1 / len(label.classes) for name, label in labels.items()}


def describe_label(label: Label) -> dict[str, Any]:
    """What a label is, with the accuracies of a random guess (`chance`) and of the most frequent class (`majority`)."""
    counts = np.bincount(label.values, minlength=len(label.classes))
    return {
        "kind": label.kind,
        "part_of": label.part_of,
        "classes": len(label.classes),
        "chance": 1 / len(label.classes),
        "majority": float(counts.max() / counts.sum()),
    }


def label_gap(
    heads: Mapping[str, Label],
    repeats: Sequence[Mapping[str, float]],
    floors: Mapping[str, float],
    kept: str,
) -> dict[str, dict[str, float]]:
    """Mean accuracy of the static and of the dynamic labels, and how much higher that of the kept kind is.

    Args:
        heads: labels of both kinds.
        repeats: the accuracy of each label in each repeat.
        floors: the floor of each label.
        kept: "static" or "dynamic".
    """
    names = {kind: [n for n, label in heads.items() if label.kind == kind] for kind in ("static", "dynamic")}
    other = "dynamic" if kept == "static" else "static"

    def means_and_gap(accuracy: Mapping[str, float]) -> dict[str, float]:
        means = {kind: float(np.mean([accuracy[name] for name in names[kind]])) for kind in names}
        return means | {"gap": means[kept] - means[other]}

    return figures_over_repeats([means_and_gap(accuracy) for accuracy in repeats], means_and_gap(floors))


def parts_of(data: Sequences) -> dict[str, np.ndarray]:
    """For each label that is part of another: its class for every class of the whole label, -1 where that never occurs.

    Raises:
        ValueError: a part whose whole is no label or is a part itself, or that does not follow from the whole.
    """
    parts = {}
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
        parts[name] = part
    return parts


def blocks(n: int, size: int) -> Iterator[slice]:
    """Rows 0 to n in blocks of `size`."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
