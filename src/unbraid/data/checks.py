"""What is refused before training starts: each error names the argument, what was found and the fix."""

from typing import TYPE_CHECKING

import numpy as np

from unbraid.kinds import FRAME_SIZES
from unbraid.words import nearest

if TYPE_CHECKING:
    from unbraid.data.sequences import Sequences

__all__ = ["check"]

BLOCK = 256


def check(data: "Sequences", values: bool = True) -> None:
    """Refuse what would fail later; `values` says whether to read through all of x as well.

    Raises:
        ValueError: naming the argument, what was found and the fix.
    """
    _check_shape(data.x)
    _check_lengths(data)
    _check_mask(data)
    _check_labels(data)
    _check_splits(data)
    _check_companions(data)
    _check_names(data)
    if values and data.x.dtype != np.uint8:
        _check_values(data)


def _check_shape(x: np.ndarray) -> None:
    if x.ndim not in (3, 4, 5):
        raise ValueError(
            f"x: has shape {x.shape}; give (N, T, C, H, W) for frames, (N, T, F) for feature vectors "
            "or (N, T, W, F) for windows of a series"
        )
    if not len(x):
        raise ValueError("x: holds no sequence")
    if x.shape[1] < 2:
        raise ValueError(f"x: sequences have {x.shape[1]} step; at least 2 are needed for anything to change")
    if x.ndim == 5:
        channels, height, width = x.shape[2:]
        if channels not in (1, 2, 3, 4):
            raise ValueError(f"x: frames have {channels} channels in axis 2 of {x.shape}; 1 to 4 can be used")
        if height != width or height not in FRAME_SIZES:
            raise ValueError(
                f"x: frames are {height}x{width}; resize them to 16, 32, 64 or 128 pixels square"
            )
    elif x.dtype == np.uint8:
        raise ValueError("x: uint8 is for frames only; give feature vectors as floats")
    elif not x.shape[-1]:
        raise ValueError(f"x: has shape {x.shape}, no features; the last axis holds them")
    if x.dtype != np.uint8 and not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"x: has type {x.dtype}; give uint8 frames or floats")


def _check_lengths(data: "Sequences") -> None:
    lengths, (n, steps) = data.lengths, data.x.shape[:2]
    if lengths is None:
        return
    if lengths.shape != (n,):
        raise ValueError(f"lengths: has shape {lengths.shape} for {n} sequences; give one for each")
    if not np.issubdtype(lengths.dtype, np.integer):
        raise ValueError(f"lengths: has type {lengths.dtype}; give whole numbers of steps")
    wrong = np.flatnonzero((lengths < 2) | (lengths > steps))
    if len(wrong):
        raise ValueError(
            f"lengths: sequence {wrong[0]} has {lengths[wrong[0]]} steps; 2 to {steps} are possible"
        )


def _check_mask(data: "Sequences") -> None:
    mask, x = data.mask, data.x
    if mask is None:
        return
    if mask.dtype != bool:
        raise ValueError(f"mask: has type {mask.dtype}; give bool, True = observed")
    if mask.shape not in (x.shape, x.shape[:2]):
        raise ValueError(f"mask: has shape {mask.shape}; give {x.shape[:2]} or {x.shape}")
    for start in range(0, len(x), BLOCK):
        seen = _observed(data, start).reshape(len(mask[start : start + BLOCK]), -1).any(1)
        if not seen.all():
            row = start + int(np.argmin(seen))
            raise ValueError(f"mask: sequence {row} has no observed value; leave it out")


def _check_labels(data: "Sequences") -> None:
    n = len(data.x)
    for name, label in data.labels.items():
        values = label.values
        if values.shape != (n,):
            raise ValueError(
                f"labels[{name!r}]: has shape {values.shape} for {n} sequences; give one value for each"
            )
        if not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"labels[{name!r}]: has type {values.dtype}; give class numbers from 0")
        if values.min() < 0 or values.max() >= len(label.classes):
            raise ValueError(
                f"labels[{name!r}]: class numbers go from {values.min()} to {values.max()}; "
                f"{len(label.classes)} class names allow 0 to {len(label.classes) - 1}"
            )
        if label.kind not in ("static", "dynamic"):
            raise ValueError(f"labels[{name!r}]: kind is {label.kind!r}; choose 'static' or 'dynamic'")
        if label.part_of is not None and label.part_of not in data.labels:
            raise ValueError(
                f"labels[{name!r}]: is part of {label.part_of!r}, which is no label"
                f"{nearest(label.part_of, data.labels)}"
            )


def _check_splits(data: "Sequences") -> None:
    owner = np.full(len(data.x), -1)
    names = list(data.splits)
    for number, (name, rows) in enumerate(data.splits.items()):
        if not len(rows):
            raise ValueError(f"splits[{name!r}]: is empty")
        if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            raise ValueError(f"splits[{name!r}]: has shape {rows.shape}, type {rows.dtype}; give row numbers")
        if rows.min() < 0 or rows.max() >= len(owner):
            raise ValueError(
                f"splits[{name!r}]: names rows {rows.min()} to {rows.max()}; there are 0 to {len(owner) - 1}"
            )
        taken = rows[owner[rows] >= 0]
        if len(taken):
            raise ValueError(
                f"splits: sequence {taken[0]} is in {names[owner[taken[0]]]!r} and in {name!r}; "
                "splits must not overlap"
            )
        owner[rows] = number


def _check_companions(data: "Sequences") -> None:
    n, steps = data.x.shape[:2]
    for name, values in data.targets.items():
        if values.shape not in ((n,), (n, steps)) or not np.issubdtype(values.dtype, np.floating):
            raise ValueError(
                f"targets[{name!r}]: has shape {values.shape}, type {values.dtype}; give floats of shape "
                f"{(n,)} or {(n, steps)}"
            )
    if data.groups is not None and data.groups.shape != (n,):
        raise ValueError(f"groups: has shape {data.groups.shape} for {n} sequences; give one for each")
    if data.times is not None and data.times.shape != (n, steps):
        raise ValueError(f"times: has shape {data.times.shape}; give {(n, steps)}, one for each step")
    features = data.x.shape[-1]
    if data.scaling is not None and (data.x.ndim == 5 or data.scaling.mean.shape != (features,)):
        raise ValueError(
            f"scaling: has {data.scaling.mean.shape[0]} features for observations of shape {data.x.shape[2:]}"
        )


def _check_names(data: "Sequences") -> None:
    for argument in ("feature_names", "units"):
        names = getattr(data, argument)
        if names is not None and (data.x.ndim == 5 or len(names) != data.x.shape[-1]):
            raise ValueError(f"{argument}: {len(names)} for observations of shape {data.x.shape[2:]}")
    if data.sampling_rate is not None and not data.sampling_rate > 0:
        raise ValueError(f"sampling_rate: is {data.sampling_rate}; give steps per second, more than 0")


def _check_values(data: "Sequences") -> None:
    x = data.x
    for start in range(0, len(x), BLOCK):
        block = np.asarray(x[start : start + BLOCK])
        observed = np.broadcast_to(_observed(data, start), block.shape)
        bad = ~np.isfinite(block) & observed
        if bad.any():
            row, step = (int(i) for i in np.argwhere(bad)[0][:2])
            raise ValueError(
                f"x: NaN or infinity in sequence {start + row}, step {step}; "
                "remove it, or pass mask with False where a value is missing"
            )
        if x.ndim == 5:
            wrong = ((block < 0) | (block > 1)) & observed
            if wrong.any():
                row, step = (int(i) for i in np.argwhere(wrong)[0][:2])
                raise ValueError(
                    f"x: float frames must lie in [0, 1], found {block[wrong][0]:.3g} in sequence "
                    f"{start + row}, step {step}; rescale them, or pass uint8"
                )


def _observed(data: "Sequences", start: int) -> np.ndarray:
    """Which values of a block of rows count, shaped to fit the block: inside the length, and in the mask."""
    n, steps = data.x[start : start + BLOCK].shape[:2]
    observed = np.ones((n, steps, *[1] * (data.x.ndim - 2)), dtype=bool)
    if data.mask is not None:
        mask = data.mask[start : start + BLOCK]
        observed = observed & mask.reshape(*mask.shape, *[1] * (data.x.ndim - mask.ndim))
    if data.lengths is not None:
        inside = np.arange(steps) < data.lengths[start : start + BLOCK, None]
        observed = observed & inside.reshape(n, steps, *[1] * (data.x.ndim - 2))
    return observed
