"""What data sets of time series share: columns of a CSV file, bins of time, windows, scaling."""

from collections.abc import Mapping, Sequence

import numpy as np

from unbraid.data.scaling import Scaling

__all__ = [
    "bin_means",
    "check_stride",
    "cut_windows",
    "in_order_of_splits",
    "lengths_or_none",
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


def cut_windows(
    series: Sequence[np.ndarray], window: int, steps: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cut series into windows; a last one that is not full is padded.

    Args:
        series: N arrays `(L, F)` of equal spacing, NaN = missing; they may differ in L.
        window: rows W of a window.
        steps: windows T of the result; None for those of the longest series.

    Returns:
        `(N, T, W, F)` with NaN for missing values and padding, and `(N,)` windows of each series.
    """
    lengths = np.array([-(-len(rows) // window) for rows in series])
    steps = int(lengths.max()) if steps is None else steps
    cut = np.full((len(series), steps * window, series[0].shape[1]), np.nan)
    for place, rows in zip(cut, series, strict=True):
        place[: len(rows)] = rows
    return cut.reshape(len(series), steps, window, -1), lengths


def in_order_of_splits(parts: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """An order of rows in which every split is one piece, so that it is read without copying.

    Args:
        parts: rows of each split.

    Returns:
        The rows one split after the other, and the splits as rows in this order.
    """
    ends = np.cumsum([len(rows) for rows in parts.values()])
    splits = {
        name: np.arange(end - len(rows), end) for (name, rows), end in zip(parts.items(), ends, strict=True)
    }
    return np.concatenate(list(parts.values())), splits


def lengths_or_none(lengths: np.ndarray, steps: int) -> np.ndarray | None:
    """None when all sequences have `steps` steps."""
    return None if (lengths == steps).all() else lengths


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
    """Where further training sequences may start, so that they overlap those of training and no other one.

    Args:
        firsts: `(N,)` rows of one long series at which its sequences start.
        splits: which of the sequences train, and which are held out.
        length: rows of a sequence.
        stride: rows from one start to the next; a start of `firsts` is not given again.

    Returns:
        Rows from the first training sequence's start on; none of these sequences goes beyond the last training
        sequence or shares a row with a held-out one.
    """
    train = firsts[splits["train"]]
    held = np.concatenate([firsts[rows] for name, rows in splits.items() if name != "train"])
    starts = np.setdiff1d(np.arange(train.min(), train.max() + 1, stride), train)
    return starts[(np.abs(starts[:, None] - held) >= length).all(1)]


def scale_windows(
    windows: np.ndarray, train: np.ndarray, scaling: Scaling | None = None
) -> tuple[np.ndarray, np.ndarray, Scaling]:
    """Scale every feature, with a scaling learned on the observed values of the train rows.

    Args:
        windows: `(N, T, W, F)` raw values, NaN = missing.
        train: rows to learn from.
        scaling: an older one to use instead.

    Returns:
        x, float32 and 0 where nothing was observed; its mask, True = observed; the scaling.

    Raises:
        ValueError: a feature has no observed training value.
    """
    mask = ~np.isnan(windows)
    scaling = scaling or Scaling.fit(windows[train], mask[train])
    return np.where(mask, scaling.apply(windows), np.float32(0)), mask, scaling


def window_means(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of what is known in each window: `(N, T * window)` -> `(N, T)`; NaN where nothing is."""
    windows = values.reshape(len(values), -1, window)
    known = ~np.isnan(windows)
    total = np.where(known, windows, 0).sum(2)
    return np.where(known.any(2), total / np.maximum(known.sum(2), 1), np.nan)
