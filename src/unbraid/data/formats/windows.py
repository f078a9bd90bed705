"""Time series: averaged over bins of time, cut into windows, scaled, with a mask where values are missing."""

from collections.abc import Mapping, Sequence

import numpy as np

from unbraid.data.scaling import Scaling
from unbraid.masks import zero_unobserved

__all__ = [
    "bin_means",
    "check_stride",
    "cut_windows",
    "default_window",
    "overlapping_starts",
    "scale_windows",
    "window_means",
]


def bin_means(values: np.ndarray, places: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Mean of the values that fall in each bin; NaN for bins without any.

    Args:
        values: `(n,)`.
        places: for each axis of `shape`, the `(n,)` indices of the bin that each value belongs to.
        shape: of the result.
    """
    bins = np.ravel_multi_index(tuple(places), shape)
    count = np.bincount(bins, minlength=int(np.prod(shape)))
    total = np.bincount(bins, values, minlength=int(np.prod(shape)))
    return np.where(count, total / np.maximum(count, 1), np.nan).reshape(shape)


def default_window(rows: int) -> int:
    """Rows of a window where none is given: a twelfth of the longest series, which has so many `rows`; at least 1."""
    return max(1, round(rows / 12))


def cut_windows(
    series: Sequence[np.ndarray], window: int, steps: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cut series into windows; the last window is padded where it is not full.

    Args:
        series: N arrays `(L, F)` with evenly spaced rows, NaN = missing; they may differ in L.
        window: rows W of a window.
        steps: windows T of the result; None for as many as the longest series has.

    Returns:
        `(N, T, W, F)` with NaN for missing values and padding, and `(N,)` windows of each series.
    """
    lengths = np.array([-(-len(rows) // window) for rows in series])
    steps = int(lengths.max()) if steps is None else steps
    cut = np.full((len(series), steps * window, series[0].shape[1]), np.nan)
    for place, rows in zip(cut, series, strict=True):
        place[: len(rows)] = rows
    return cut.reshape(len(series), steps, window, -1), lengths


def check_stride(stride: int, days: int) -> None:
    """Refuse a stride of training sequences that are `days` long.

    Raises:
        ValueError: it is out of 1 to `days`.
    """
    if not 1 <= stride <= days:
        raise ValueError(
            f"stride: {stride} days; give 1 (a sequence from every day on) to {days} (no overlap)"
        )


def overlapping_starts(
    firsts: np.ndarray, splits: Mapping[str, np.ndarray], length: int, stride: int
) -> np.ndarray:
    """Where further training sequences may start: between the training sequences, away from all others.

    Args:
        firsts: `(N,)` rows of one long series at which its sequences start.
        splits: the sequences of each split.
        length: rows of a sequence.
        stride: rows from one start to the next.

    Returns:
        Rows at which the further sequences start, without those in `firsts`. No such sequence starts before the first
        training sequence, ends after the last one, or shares a row with a sequence of validation or test.
    """
    train = firsts[splits["train"]]
    held = np.concatenate([firsts[rows] for name, rows in splits.items() if name != "train"])
    starts = np.setdiff1d(np.arange(train.min(), train.max() + 1, stride), train)
    return starts[(np.abs(starts[:, None] - held) >= length).all(1)]


def scale_windows(
    windows: np.ndarray, train: np.ndarray, scaling: Scaling | None = None
) -> tuple[np.ndarray, np.ndarray, Scaling]:
    """Scale every feature; the scaling is learned on the observed values of the train rows.

    Args:
        windows: `(N, T, W, F)` raw values, NaN = missing.
        train: rows to learn from.
        scaling: learned before, to be used instead.

    Returns:
        x, float32 and 0 where nothing was observed; the mask of x, True = observed; the scaling.

    Raises:
        ValueError: a feature has no observed training value.
    """
    mask = ~np.isnan(windows)
    scaling = scaling or Scaling.fit(windows[train], mask[train])
    return zero_unobserved(scaling.apply(windows), mask), mask, scaling


def window_means(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of the observed values of each window, `(N, T * window)` -> `(N, T)`; NaN where there are none."""
    windows = values.reshape(len(values), -1, window)
    observed = ~np.isnan(windows)
    total = zero_unobserved(windows, observed).sum(2)
    return np.where(observed.any(2), total / np.maximum(observed.sum(2), 1), np.nan)
