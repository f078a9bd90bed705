"""What readers share: the task, its inputs and the predictions.

A reader is a small predictor that is trained to predict a label or a target from codes, or from the raw series as a
floor: `unbraid.evaluation.linear_reader` and `unbraid.evaluation.network_reader`. Both are trained on `train`, and
`validation` chooses their settings. A reader that then predicts another split is trained once more, with these
settings, on both together: with few sequences, a third more of them changes scores by as much as a better code does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

__all__ = [
    "Inputs",
    "Reading",
    "Task",
    "best_reading",
    "final_splits",
    "has_truth",
    "in_place",
    "path_summary",
]


@dataclass(frozen=True)
class Task:
    """A label or a target that is to be predicted.

    Attributes:
        name: of the label or the target.
        kind: "binary" (two classes), "classes", or "target" (a number).
        level: whether a whole sequence has it or each of its steps.
        classes: names of the classes; empty for a target.
        truth: for each split `(n,)` class numbers, or `(n,)` or `(n, T)` floats with NaN where unknown and after the end
            of a sequence.
    """

    name: str
    kind: Literal["binary", "classes", "target"]
    level: Literal["sequence", "step"]
    classes: tuple[str, ...]
    truth: dict[str, np.ndarray]


@dataclass(frozen=True)
class Inputs:
    """What readers get of the sequences of one split.

    Attributes:
        static: `(n, S)`; S is 0 where no static code is given.
        path: `(n, T, D)`; D is 0 where no path is given.
        steps: `(n, T)`, True up to the last step of each sequence.
        table: `(n, P)` features of each sequence for the linear reader.
        means: `(n, T, P)` features of each step for the linear reader; None for those of the network, (d_t, s).
        groups: widths of the groups of the table's columns. The linear reader may leave them out one by one, from the
            last; empty where all columns are one group.
        units: `(n,)` numbers; sequences of one number depend on each other (one patient), so cross-validation keeps them
            in one fold. None where each sequence is a unit of its own.
    """

    static: Float[np.ndarray, "n S"]
    path: Float[np.ndarray, "n T D"]
    steps: Bool[np.ndarray, "n T"]
    table: Float[np.ndarray, "n P"]
    means: Float[np.ndarray, "n T P"] | None = None
    groups: tuple[int, ...] = ()
    units: np.ndarray | None = None

    def step_table(self) -> Float[np.ndarray, "n T P"]:
        """(d_t, s) of each step."""
        static = np.broadcast_to(self.static[:, None], (*self.path.shape[:2], self.static.shape[1]))
        return np.concatenate([self.path, static], 2)


@dataclass(frozen=True)
class Reading:
    """Predictions of a trained reader for the splits that it was not trained on, and the settings that validation chose.

    Attributes:
        guesses: split to class probabilities `(n, classes)` or values in the shape of the truth, NaN where the truth is.
        chosen: settings and the validation loss.
        cross_validated: predictions for `train` and `validation` together, in that order, each by a reader of the same
            settings that was trained on the other folds; None where the reader has none.
    """

    guesses: dict[str, np.ndarray]
    chosen: dict[str, Any]
    cross_validated: np.ndarray | None = None


def path_summary(
    path: Float[np.ndarray, "n T D"], steps: Bool[np.ndarray, "n T"]
) -> Float[np.ndarray, "n 4D"]:
    """A path as features of a table: mean, standard deviation, last value, mean absolute first difference.

    Steps outside `steps` are left out of all four.
    """
    inside = steps[:, :, None]
    count = np.maximum(inside.sum(1), 1)
    mean = np.where(inside, path, 0).sum(1) / count
    spread = np.sqrt(np.square(np.where(inside, path - mean[:, None], 0)).sum(1) / count)
    last = path[np.arange(len(path)), np.maximum(count[:, 0] - 1, 0)]
    pairs = inside[:, 1:] & inside[:, :-1]
    change = np.where(pairs, np.abs(np.diff(path, axis=1)), 0).sum(1) / np.maximum(pairs.sum(1), 1)
    return np.concatenate([mean, spread, last, change], 1)


def has_truth(task: Task, splits: Iterable[str]) -> dict[str, np.ndarray]:
    """Where the truth of each split is known."""
    return {split: ~np.isnan(task.truth[split].astype(float)) for split in splits}


def final_splits(splits: Iterable[str]) -> tuple[list[str], list[str]]:
    """The splits that a reader is trained on in the end, and those that it predicts.

    `train` and `validation` where there is another split to predict; `train` alone where that is `validation`.
    """
    others = [split for split in splits if split not in ("train", "validation")]
    return (["train", "validation"], others) if others else (["train"], ["validation"])


def in_place(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Values of the places where `rows` is True, as an array of its shape (and classes) with NaN elsewhere."""
    full = np.full((*rows.shape, *values.shape[1:]), np.nan)
    full[rows] = values
    return full


def best_reading(readings: Mapping[str, Reading]) -> Reading:
    """The reading with the lowest validation loss, the first of equals; `chosen` says its name as `codes`."""
    name = min(readings, key=lambda name: readings[name].chosen["validation_loss"])
    return replace(readings[name], chosen={"codes": name} | readings[name].chosen)
