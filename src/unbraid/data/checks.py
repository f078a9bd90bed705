"""What is refused before training starts: each error names the argument, what was found and the fix."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from unbraid.data.labels import Label
from unbraid.data.mapped import in_blocks
from unbraid.data.scaling import Scaling
from unbraid.kinds import FRAME_SIZES, Kind, kind_of
from unbraid.masks import observed_steps, observed_values
from unbraid.remarks import remark
from unbraid.words import nearest

__all__ = [
    "OBSERVATION_CHECKS",
    "check_choice",
    "check_clip",
    "check_companions",
    "check_labels",
    "check_lengths",
    "check_mask",
    "check_observations",
    "check_splits",
    "check_values",
    "check_whole",
    "native",
    "say_unlikely_axes",
]

BLOCK = 256
UNLIKELY = 8  # times as many features as steps


def check_choice(argument: str, value: object, choices: Sequence[object]) -> None:
    """Refuse a value that is not among the choices, of which there are two or more.

    Raises:
        ValueError: naming the argument, its value and the choices.
    """
    if value not in choices:
        *others, last = map(repr, choices)
        raise ValueError(f"{argument}: is {value!r}; choose {', '.join(others)} or {last}")


def check_whole(argument: str, value: object, least: int, most: int | None = None) -> None:
    """Refuse what is no whole number from `least` to `most` (None: as large as you like).

    Raises:
        ValueError: naming the argument, its value and the range.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):  # type: ignore[operator]
        upward = f"to {most}" if most is not None else "upward"
        raise ValueError(f"{argument}: is {value!r}; give a whole number from {least} {upward}")


def check_clip(size: int, steps: int) -> None:
    """Refuse frames of a size that no model reads, and clips of fewer than two steps.

    Raises:
        ValueError: naming the argument.
    """
    check_choice("size", size, FRAME_SIZES)
    if steps < 2:
        raise ValueError(f"steps: is {steps}; a clip needs at least 2")


def native(x: np.ndarray) -> np.ndarray:
    """An array in the byte order of this machine, and in no type of more than 64 bits, for torch reads no other."""
    if x.dtype.kind == "f" and x.dtype.itemsize > 8:
        return x.astype(np.float64)
    return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def say_unlikely_axes(x: np.ndarray) -> None:
    """Say how the axes of x are read, where another order is as likely: time last, or frames without channels."""
    if x.ndim == 3 and x.shape[2] > UNLIKELY * x.shape[1]:
        remark(
            f"x: is read as {x.shape[0]} sequences of {x.shape[1]} steps with {x.shape[2]} features; if the last axis is "
            "time, pass x.swapaxes(1, 2)"
        )
    if x.ndim == 4 and x.shape[2] == x.shape[3] and x.shape[2] in FRAME_SIZES:
        remark(
            f"x: is read as windows of {x.shape[2]} rows with {x.shape[3]} features; if these are grey frames, add the axis "
            "of channels: x[:, :, None]"
        )


def check_observations(x: np.ndarray, sound: bool) -> Kind:
    """Refuse an array that cannot hold sequences; gives the kind of its observations.

    Args:
        x: `(N, T, *X)`.
        sound: whether vectors were computed from sound.

    Raises:
        ValueError: another number of axes, no sequence, one step, a type or a size that no model reads.
    """
    try:
        kind = kind_of(x.shape[2:], sound)
    except ValueError as error:
        raise ValueError(
            f"x: has shape {x.shape}; give (N, T, C, H, W) for frames, (N, T, F) for feature vectors "
            "or (N, T, W, F) for windows of a series"
        ) from error
    if not len(x):
        raise ValueError("x: holds no sequence")
    if x.shape[1] < 2:
        raise ValueError(f"x: sequences have {x.shape[1]} step; at least 2 are needed for anything to change")
    OBSERVATION_CHECKS[kind](x)
    if x.dtype != np.uint8 and not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"x: has type {x.dtype}; give uint8 frames or floats")
    return kind


def _check_frames(x: np.ndarray) -> None:
    channels, height, width = x.shape[2:]
    if channels not in (1, 2, 3, 4):
        raise ValueError(f"x: frames have {channels} channels in axis 2 of {x.shape}; 1 to 4 can be used")
    if height != width or height not in FRAME_SIZES:
        raise ValueError(f"x: frames are {height}x{width}; resize them to 16, 32, 64 or 128 pixels square")


def _check_features(x: np.ndarray) -> None:
    if x.dtype == np.uint8:
        raise ValueError(
            "x: uint8 is for frames only; give feature vectors as floats, and grey frames with an axis of channels: "
            "x[:, :, None]"
        )
    if not x.shape[-1]:
        raise ValueError(f"x: has shape {x.shape}, no features; the last axis holds them")


OBSERVATION_CHECKS: dict[Kind, Callable[[np.ndarray], None]] = {
    "frames": _check_frames,
    "vectors": _check_features,
    "windows": _check_features,
    "sound": _check_features,
}
"""What is asked of `x (N, T, *X)` of each kind, by its shape and type."""


def check_lengths(lengths: np.ndarray | None, x: np.ndarray) -> None:
    """Refuse lengths that are not one whole number from 2 to T for each sequence.

    Raises:
        ValueError: another shape, type or value.
    """
    n, steps = x.shape[:2]
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


def check_mask(mask: np.ndarray | None, x: np.ndarray, observed: Callable[[slice], np.ndarray]) -> None:
    """Refuse a mask that does not fit x, or a sequence without any observed value.

    Args:
        mask: `(N, T)` or `(N, T, *X)` bool, or None.
        x: `(N, T, *X)`.
        observed: rows to what is observed of them, see `Sequences.observed`.

    Raises:
        ValueError: another shape or type, or nothing observed.
    """
    if mask is None:
        return
    if mask.dtype != bool:
        raise ValueError(f"mask: has type {mask.dtype}; give bool, True = observed")
    if mask.shape not in (x.shape, x.shape[:2]):
        raise ValueError(f"mask: has shape {mask.shape}; give {x.shape[:2]} or {x.shape}")
    for start in range(0, len(x), BLOCK):
        empty = ~observed_steps(observed(slice(start, start + BLOCK))).any(1)
        if empty.any():
            row = start + int(np.argmax(empty))
            raise ValueError(f"mask: sequence {row} has no observed value; leave it out")


def check_labels(labels: Mapping[str, Label], n: int) -> None:
    """Refuse labels of `n` sequences whose class numbers, kinds or parts do not fit.

    Raises:
        ValueError: naming the label.
    """
    for name, label in labels.items():
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
        if label.part_of is not None and label.part_of not in labels:
            raise ValueError(
                f"labels[{name!r}]: is part of {label.part_of!r}, which is no label"
                f"{nearest(label.part_of, labels)}"
            )


def check_splits(splits: Mapping[str, np.ndarray], n: int) -> None:
    """Refuse splits of `n` sequences that are empty, overlap or name rows that do not exist.

    Raises:
        ValueError: naming the split.
    """
    owner = np.full(n, -1)
    names = list(splits)
    for number, (name, rows) in enumerate(splits.items()):
        if not len(rows):
            raise ValueError(f"splits[{name!r}]: is empty")
        if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            raise ValueError(f"splits[{name!r}]: has shape {rows.shape}, type {rows.dtype}; give row numbers")
        if rows.min() < 0 or rows.max() >= n:
            raise ValueError(
                f"splits[{name!r}]: names rows {rows.min()} to {rows.max()}; there are 0 to {n - 1}"
            )
        taken = rows[owner[rows] >= 0]
        if len(taken):
            raise ValueError(
                f"splits: sequence {taken[0]} is in {names[owner[taken[0]]]!r} and in {name!r}; "
                "splits must not overlap"
            )
        owner[rows] = number


def check_companions(
    x: np.ndarray,
    kind: Kind,
    *,
    targets: Mapping[str, np.ndarray],
    groups: np.ndarray | None,
    names: tuple[str, ...] | None,
    times: np.ndarray | None,
    scaling: Scaling | None,
    feature_names: tuple[str, ...] | None,
    units: tuple[str, ...] | None,
    sampling_rate: float | None,
    other_voices: np.ndarray | None,
) -> None:
    """Refuse what stands beside `x (N, T, *X)` and does not fit its shape; the arguments are those of `Sequences`.

    Raises:
        ValueError: naming the argument.
    """
    n, steps = x.shape[:2]
    for name, values in targets.items():
        if values.shape not in ((n,), (n, steps)) or not np.issubdtype(values.dtype, np.floating):
            raise ValueError(
                f"targets[{name!r}]: has shape {values.shape}, type {values.dtype}; give floats of shape "
                f"{(n,)} or {(n, steps)}"
            )
    if groups is not None and groups.shape != (n,):
        raise ValueError(f"groups: has shape {groups.shape} for {n} sequences; give one for each")
    if names is not None and len(names) != n:
        raise ValueError(f"names: are {len(names)} for {n} sequences; give one for each")
    if times is not None and times.shape != (n, steps):
        raise ValueError(f"times: has shape {times.shape}; give {(n, steps)}, one for each step")
    described = {
        "scaling": None if scaling is None else len(scaling.mean),
        "feature_names": None if feature_names is None else len(feature_names),
        "units": None if units is None else len(units),
    }
    features = None if kind == "frames" else x.shape[-1]
    for argument, count in described.items():
        if count is not None and count != features:
            raise ValueError(
                f"{argument}: describes {count} features; the observations are {kind} of shape {x.shape[2:]}"
            )
    if sampling_rate is not None and not sampling_rate > 0:
        raise ValueError(f"sampling_rate: is {sampling_rate}; give values per second, more than 0")
    if other_voices is not None and (
        other_voices.ndim != 4 or (other_voices.shape[0], *other_voices.shape[2:]) != x.shape
    ):
        raise ValueError(
            f"other_voices: has shape {other_voices.shape}; give {(n, 'K', *x.shape[1:])}, K voices of each sequence"
        )


def check_values(
    x: np.ndarray,
    kind: Kind,
    observed: Callable[[slice], np.ndarray],
    names: tuple[str, ...] | None = None,
) -> None:
    """Read through all of x: refuse NaN and infinity, and float frames outside of [0, 1], where x is observed.

    Args:
        x: `(N, T, *X)`; uint8 can hold nothing wrong and is not read.
        kind: of the observations.
        observed: rows to what is observed of them, see `Sequences.observed`.
        names: of the sequences, for error messages.

    Raises:
        ValueError: naming the sequence and the step.
    """
    if x.dtype == np.uint8:
        return
    for place, block in in_blocks(x, BLOCK):
        start, seen = place.start, observed_values(block, observed(place))
        bad = ~np.isfinite(block) & seen
        if bad.any():
            row, step = (int(i) for i in np.argwhere(bad)[0][:2])
            raise ValueError(
                f"x: NaN or infinity in {_sequence(start + row, names)}, step {step}; "
                "remove it, or pass mask with False where a value is missing"
            )
        wrong = ((block < 0) | (block > 1)) & seen & (kind == "frames")
        if wrong.any():
            row, step = (int(i) for i in np.argwhere(wrong)[0][:2])
            raise ValueError(
                f"x: float frames must lie in [0, 1], found {block[wrong][0]:.3g} in "
                f"{_sequence(start + row, names)}, step {step}; rescale them, or pass uint8"
            )


def _sequence(row: int, names: tuple[str, ...] | None) -> str:
    return f"sequence {row}" if names is None else f"sequence {row} ({names[row]})"
