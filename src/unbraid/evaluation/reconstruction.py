"""The squared error of reconstructed clips, beside that of the mean training clip."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unbraid.data.sequences import Sequences
from unbraid.evaluation.judging import blocks
from unbraid.masks import observed_values, zero_unobserved

__all__ = ["mean_clip", "mean_clip_error", "squared_error"]


def squared_error(clips: Sequences, decoded: Callable[[slice], Tensor], batch_size: int) -> float:
    """Squared error summed over the observed values of a clip, mean over clips.

    Args:
        clips: the real clips.
        decoded: rows to clips of the same shape.
        batch_size: clips at a time.
    """
    total = 0.0
    for rows in blocks(len(clips), batch_size):
        batch = clips.batch(rows)
        error = zero_unobserved((decoded(rows) - batch.x).double().square(), batch.mask)
        total += float(error.sum())
    return total / len(clips)


def mean_clip(data: Sequences, batch_size: int) -> Float[Tensor, "T *X"]:
    """The mean of the observed values of the training clips, value by value; of all clips without a split `train`."""
    rows = data.splits.get("train", np.arange(len(data)))
    total = torch.zeros(data.steps, *data.observation, dtype=torch.float64)
    count = torch.zeros_like(total)
    for block in blocks(len(rows), batch_size):
        batch = data.batch(rows[block])
        total += batch.x.double().sum(0)
        count += observed_values(batch.x, batch.mask).double().sum(0)
    return (total / count.clamp(min=1)).float()


def mean_clip_error(data: Sequences, clips: Sequences, batch_size: int) -> float:
    """The squared error of the mean training clip of `data` against real clips: the floor of squared errors."""
    mean = mean_clip(data, batch_size)
    return squared_error(clips, lambda block: mean, batch_size)
