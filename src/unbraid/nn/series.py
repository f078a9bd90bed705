"""Sequences of any kind as series: rows with features.

A step of windows is `W` rows of it, a vector is one row, a frame is one row with its pixels averaged to 8x8 at most.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from unbraid.kinds import kind_of
from unbraid.masks import observed_values, zero_unobserved

__all__ = [
    "PIXELS",
    "as_series",
    "fill_gaps",
    "inside_rows",
    "mean_and_deviation",
    "mean_of_rows",
    "two_halves",
]

PIXELS = 8  # height and width of the frames of a series
TINY = 1e-12  # least variance


def as_series(
    x: Float[Tensor, "B T *X"], mask: Tensor | None
) -> tuple[Float[Tensor, "B L F"], Bool[Tensor, "B L F"]]:
    """Each sequence as a series of rows with features, and which values are observed."""
    observed, values = observed_values(x, mask), zero_unobserved(x, mask)
    kind = kind_of(tuple(x.shape[2:]))
    if kind == "windows":
        return values.flatten(1, 2), observed.flatten(1, 2)
    if kind == "frames":
        size = min(PIXELS, x.shape[-1])
        pooled = F.adaptive_avg_pool2d(values.flatten(0, 1), size).flatten(1).unflatten(0, x.shape[:2])
        return pooled, observed.flatten(2).any(2, keepdim=True).expand(pooled.shape)
    return values, observed


def inside_rows(observed: Bool[Tensor, "B L F"]) -> Bool[Tensor, "B L"]:
    """Rows up to the last one with an observed value."""
    return observed.any(2).flip(1).cummax(1).values.flip(1)


def mean_of_rows(series: Float[Tensor, "B L F"], observed: Bool[Tensor, "B L F"]) -> Float[Tensor, "B F"]:
    """Mean of each feature over its observed values; 0 where there are none."""
    return (series * observed).sum(1) / observed.sum(1).clamp_min(1)


def mean_and_deviation(
    series: Float[Tensor, "B L F"], observed: Bool[Tensor, "B L F"]
) -> tuple[Float[Tensor, "B F"], Float[Tensor, "B F"]]:
    """Mean and deviation of each feature over the observed values of each series.

    Where there are none, the mean is 0. A deviation is at least 1e-6.
    """
    mean = mean_of_rows(series, observed)
    offset = torch.where(observed, series - mean.unsqueeze(1), 0.0)
    variance = offset.square().sum(1) / observed.sum(1).clamp_min(1)
    return mean, variance.clamp_min(TINY).sqrt()  # the gradient of a root is infinite at 0


def fill_gaps(series: Float[Tensor, "B L F"], observed: Bool[Tensor, "B L F"]) -> Float[Tensor, "B L F"]:
    """Gaps filled by straight lines between the observed values beside them, and by the nearest one at the ends."""
    if observed.all():
        return series
    rows = torch.arange(series.shape[1], device=series.device).view(1, -1, 1)
    before = torch.where(observed, rows, -1).cummax(1).values
    after = torch.where(observed, rows, series.shape[1]).flip(1).cummin(1).values.flip(1)
    left = torch.where(before >= 0, before, after).clamp(0, series.shape[1] - 1)
    right = torch.where(after < series.shape[1], after, before).clamp(0, series.shape[1] - 1)
    share = (rows - left) / (right - left).clamp_min(1)
    return torch.lerp(series.gather(1, left), series.gather(1, right), share.to(series.dtype).clamp(0, 1))


def two_halves(
    series: Float[Tensor, "B L F"], observed: Bool[Tensor, "B L F"]
) -> list[tuple[Tensor, Tensor]]:
    """The first and the second half of each series, as the whole with the other half unobserved."""
    inside = inside_rows(observed)
    first = torch.arange(series.shape[1], device=series.device) < (inside.sum(1, keepdim=True) + 1) // 2
    return [(series, observed & part.unsqueeze(2)) for part in (first, ~first)]
