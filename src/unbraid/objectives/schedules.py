"""Weights of terms that may change while training."""

import math
from itertools import pairwise
from typing import Literal

__all__ = ["Weight", "check_weights", "learning_rate_share", "weight_at"]

Weight = float | list[list[float]]
"""A number, or points `[share of training, value]` joined by straight lines."""


def weight_at(weight: Weight, share: float) -> float:
    """The weight after a share (0 to 1) of training."""
    if isinstance(weight, int | float):
        return float(weight)
    if share <= weight[0][0]:
        return float(weight[0][1])
    for (start, low), (end, high) in pairwise(weight):
        if share <= end:
            return low + (high - low) * (share - start) / (end - start)
    return float(weight[-1][1])


def check_weights(weights: dict[str, Weight]) -> None:
    """Refuse weights that are no number and no rising list of points.

    Raises:
        ValueError: naming the weight.
    """
    for name, weight in weights.items():
        if isinstance(weight, list):
            fine = bool(weight) and all(isinstance(p, list | tuple) and len(p) == 2 for p in weight)
            if not fine or any(a[0] >= b[0] for a, b in pairwise(weight)) or any(p[1] < 0 for p in weight):
                raise ValueError(
                    f"training.weights.{name}: {weight!r} is no list of [share of training, value] points "
                    "with rising shares and values of at least 0"
                )
        elif isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise ValueError(
                f"training.weights.{name}: {weight!r} is neither a number of at least 0 "
                "nor a list of [share of training, value] points"
            )


def learning_rate_share(step: int, total: int, warmup: int, schedule: Literal["constant", "cosine"]) -> float:
    """The factor on the learning rate at a step: a linear warm-up, then constant or a half cosine down to 1%."""
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant" or total <= warmup:
        return 1.0
    share = min(1.0, (step - warmup) / (total - warmup))
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
