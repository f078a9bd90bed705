"""Planted factors: the labels and targets of a data set that are known in full, and how a guess of one is scored."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.metrics import roc_auc_score

from unbraid.data.sequences import Sequences
from unbraid.evaluation.readers import Task
from unbraid.evaluation.tasks import downstream_tasks

__all__ = ["PlantedFactor", "is_binary", "planted_factors"]

Measure = Literal["accuracy", "auc", "r2"]


def is_binary(task: Task) -> bool:
    """Whether a target is 0 or 1 wherever it is known on train, as for an event."""
    values = task.truth["train"]
    return task.kind == "target" and bool(np.isin(values[~np.isnan(values)], (0, 1)).all())


@dataclass(frozen=True)
class PlantedFactor:
    """A label or a target whose value is known.

    Attributes:
        task: its values for each split.
        kind: "static" if it stays over a sequence and should be in s, else "dynamic".
        measure: "accuracy" of a label, "auc" (area under the ROC curve) of a target that is 0 or 1, "r2" of another target.
    """

    task: Task
    kind: Literal["static", "dynamic"]
    measure: Measure

    def score(self, guess: np.ndarray, truth: np.ndarray, of: Literal["codes", "swaps"] = "codes") -> float:
        """How well a guess agrees with the truth, where both are known.

        Numbers: R² = 1 - squared error / variance; in swaps the correlation, because a decoded number may be off in its unit.

        Args:
            guess: class probabilities `(n, K)`, or values in the shape of the truth.
            truth: `(n,)` or `(n, T)`, NaN where unknown.
            of: what is scored.
        """
        if self.measure == "accuracy":
            return float(np.mean(guess.argmax(1) == truth))
        known = ~np.isnan(truth) & ~np.isnan(guess)
        guess, truth = guess[known], truth[known]
        if self.measure == "auc":
            return float(roc_auc_score(truth, guess))
        if of == "codes":
            return float(1 - np.square(guess - truth).sum() / np.square(truth - truth.mean()).sum())
        return float(np.corrcoef(guess, truth)[0, 1]) if guess.std() > 0 else 0.0

    def chance(self, truth: np.ndarray) -> float:
        """The score in swaps of a sequence that has nothing to do with the one that is asked for."""
        if self.measure == "accuracy":
            return float(np.square(np.bincount(truth) / len(truth)).sum())
        return 0.5 if self.measure == "auc" else 0.0


def planted_factors(data: Sequences, split: str = "test") -> tuple[list[PlantedFactor], dict[str, str]]:
    """The factors of a data set, and why others are left out.

    Raises:
        ValueError: the data set has neither labels nor targets.
    """
    tasks, left_out = downstream_tasks(data, split)
    factors = []
    for task in tasks:
        if task.name in data.labels:
            factors.append(PlantedFactor(task, data.labels[task.name].kind, "accuracy"))
            continue
        kind: Literal["static", "dynamic"] = "static" if task.level == "sequence" else "dynamic"
        flat = [values for values in task.truth.values() if np.nanmin(values) == np.nanmax(values)]
        if flat:
            left_out[task.name] = f"it is {np.nanmin(flat[0]):.4g} throughout a split"
            continue
        factors.append(PlantedFactor(task, kind, "auc" if is_binary(task) else "r2"))
    return factors, left_out
