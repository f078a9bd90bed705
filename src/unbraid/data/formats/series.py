"""Series of a table: binned to even steps, cut into pieces."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unbraid.data.formats.measurements import Measured
from unbraid.data.formats.tables import SourceTable, Texts, import_pandas
from unbraid.data.formats.windows import bin_means
from unbraid.data.scaling import Scaling
from unbraid.masks import zero_unobserved
from unbraid.remarks import remark

__all__ = [
    "Piece",
    "SeriesGrid",
    "bin_series",
    "cut_series",
    "scale_series",
    "step_length",
    "step_text",
    "usable_pieces",
]

USUAL_SECONDS = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10800,
    21600,
    43200,
    86400,
    604800,
)
FEW, FEWEST = (
    0.5,
    0.1,
)  # shares of steps that have a row: below the first it is said, below the second refused
MOST_EMPTY = 1000  # steps of a series for each of its rows; with more, a stamp must be wrong


def step_length(table: SourceTable, ids: Texts, stamps: np.ndarray, step: str | None) -> int:
    """The length of a step in microseconds: `step`, or else the usual time between two rows of a sequence.

    Raises:
        ValueError: `step` is no length of time, or no sequence has two times.
    """
    if step is None:
        usual = _usual_spacing(ids.numbers, stamps)
        if usual is None:
            raise ValueError(
                f"step: no sequence of {table.name} has rows at two times; pass step, such as 1h"
            )
        order = np.lexsort((stamps, ids.numbers))
        other = np.diff(ids.numbers[order]) != 0
        times, steps = (
            1 + int(np.count_nonzero(other | (np.diff(part[order]) != 0)))
            for part in (stamps, stamps // usual)
        )
        if steps < times:
            remark(
                f"{table.name}: a step is {step_text(usual)}, the usual time between two rows of a sequence; {times - steps} "
                f"of {times} times share a step with another and are averaged"
            )
        return usual
    if re.fullmatch(r"[\d.]+", step):
        raise ValueError(f"step: {step!r} has no unit; write it as {step}h, {step}min or {step}D")
    pandas = import_pandas()
    try:
        length = int(pandas.Timedelta(step) / pandas.Timedelta(1, "us"))
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"step: {step!r} is no length of time; write it as 1h, 15min or 1D") from error
    if length < 1:
        raise ValueError(f"step: {step!r} is too short; give at least a microsecond")
    return length


def _usual_spacing(owner: np.ndarray, stamps: np.ndarray) -> int | None:
    """The time between two rows of a sequence: that of most rows; where it varies, the usual length nearest to its median."""
    order = np.lexsort((stamps, owner))
    gaps = np.diff(stamps[order])
    gaps = gaps[(np.diff(owner[order]) == 0) & (gaps > 0)]
    if not len(gaps):
        return None
    median = float(np.median(gaps))
    lengths, counts = np.unique(gaps, return_counts=True)
    if counts.max() > len(gaps) / 2:
        return int(lengths[np.argmax(counts)])
    usual = np.array(USUAL_SECONDS) * 1e6
    if median < usual[0] or median > usual[-1]:
        return max(1, round(median))
    return int(usual[np.argmin(np.abs(np.log(usual / median)))])


def step_text(length: int) -> str:
    """A length of time in microseconds, as pandas reads it.

    >>> step_text(3_600_000_000), step_text(90_000_000)
    ('1h', '90s')
    """
    for unit, size in (("D", 86400e6), ("h", 3600e6), ("min", 60e6), ("s", 1e6), ("ms", 1e3)):
        if length % size == 0:
            return f"{length // int(size)}{unit}"
    return f"{length}us"


@dataclass(frozen=True)
class SeriesGrid:
    """Series with even steps, one below the other.

    Attributes:
        ids: of the S series, in natural order.
        step: length of a step in microseconds.
        first: `(S,)` number of each series' first step, counted from time 0.
        ends: `(S + 1,)` series s is the rows `ends[s]` to `ends[s + 1]` of `means`.
        means: `(steps of all series, columns)`, NaN where nothing was observed.
    """

    ids: list[str]
    step: int
    first: np.ndarray
    ends: np.ndarray
    means: np.ndarray


def bin_series(
    table: SourceTable, ids: Texts, stamps: np.ndarray, measured: Measured, length: int
) -> SeriesGrid:
    """Average the values that fall in each step of each sequence.

    Args:
        table: for error messages.
        ids: the sequence of each row of the table.
        stamps: `(rows,)` its time in microseconds.
        measured: the values.
        length: of a step, in microseconds.

    Raises:
        ValueError: a stamp is far from all others of its sequence, or nearly all steps would be empty.
    """
    owner, names = ids.numbers, ids.names
    steps = stamps // length
    first = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(first, owner, steps)
    offset = steps - first[owner]
    count = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(count, owner, offset + 1)
    rows = np.bincount(owner, minlength=len(names))
    wild = np.flatnonzero(count > MOST_EMPTY * rows)
    if len(wild):  # one wrong stamp would make a series too long for the memory
        raise ValueError(
            f"time: {names[wild[0]]!r} in {table.name} has {rows[wild[0]]} rows over {count[wild[0]]} steps of "
            f"{step_text(length)}; correct a stamp that is far from the others, or choose a longer step"
        )
    ends = np.concatenate([[0], np.cumsum(count)])
    where = ends[owner] + offset
    del steps, offset
    filled = int(np.count_nonzero(np.bincount(where, minlength=int(ends[-1]))))
    _refuse_sparse(table, owner, stamps, filled, int(ends[-1]), length)
    once = filled == len(where)  # one row in each step: nothing is averaged, and order means nothing
    means = np.full((int(ends[-1]), len(measured.columns)), np.nan)
    for place in range(len(measured.columns)):
        chosen, values = measured.read(place)
        if once:
            means[where[chosen], place] = values + 0.0  # -0.0 becomes 0.0, as in a sum
            continue
        # Sorted, so that the last digit of a sum does not depend on the order of the rows.
        order = np.lexsort((values, stamps[chosen], owner[chosen]))
        chosen, values = chosen[order], values[order]
        means[:, place] = bin_means(values, (where[chosen],), (int(ends[-1]),))
    return SeriesGrid(names, length, first, ends, means)


def _refuse_sparse(
    table: SourceTable, owner: np.ndarray, stamps: np.ndarray, filled: int, total: int, length: int
) -> None:
    """Refuse a step so much shorter than the time between rows that nearly all steps are empty; name a rare one."""
    usual = _usual_spacing(owner, stamps) if filled < total * FEW else None
    if usual is None or usual <= length:
        return
    text = (
        f"step: only {filled / total:.1%} of the steps of {step_text(length)} have a row in {table.name}; the usual time "
        f"between two rows is {step_text(usual)}"
    )
    if filled < total * FEWEST:
        raise ValueError(f"{text}; pass step={step_text(usual)!r}")
    remark(text)


@dataclass(frozen=True)
class Piece:
    """A sequence: a whole series, or one of the pieces that it was cut into.

    Attributes:
        name: of the sequence.
        owner: number of the series.
        start: number of its first step, counted from time 0.
        rows: `(steps, columns)`.
    """

    name: str
    owner: int
    start: int
    rows: np.ndarray


def cut_series(grid: SeriesGrid, window: int, windows: int | None) -> list[Piece]:
    """Cut every series into pieces of `windows` windows of `window` steps (None: leave it whole).

    A rest that is not longer than one window is left out. The second piece of the series `a` is called `a#1`.
    """
    pieces = []
    for owner, name in enumerate(grid.ids):
        series = grid.means[grid.ends[owner] : grid.ends[owner + 1]]
        length = window * windows if windows else len(series)
        starts = [
            start for start in range(0, len(series), length) if not start or len(series) - start > window
        ]
        for place, start in enumerate(starts):
            piece_name = name if len(starts) == 1 else f"{name}#{place}"
            rows = series[start : start + length]
            pieces.append(Piece(piece_name, owner, int(grid.first[owner]) + start, rows))
    return pieces


def usable_pieces(
    table: SourceTable, pieces: list[Piece], features: int, window: int, unusable: str
) -> list[Piece]:
    """The pieces that are longer than one window and have an observed feature.

    Args:
        table: for error messages.
        pieces: to choose from.
        features: number of columns that are features; those after them are targets.
        window: steps of a window.
        unusable: "refuse" the other pieces, or "leave_out" with a warning.

    Raises:
        ValueError: a piece is not usable and `unusable` is "refuse", or none is left.
    """
    short = {place for place, piece in enumerate(pieces) if len(piece.rows) <= window}
    empty = {place for place, piece in enumerate(pieces) if np.isnan(piece.rows[:, :features]).all()}
    for places, what, fix in (
        (
            short,
            f"not longer than one window of {window} steps, and two windows are needed",
            "choose a smaller window, or pass",
        ),
        (empty, "without any observed value", "remove it, or pass"),
    ):
        if places:
            reason = f"{table.name}: sequence {pieces[min(places)].name!r} is {what} ({len(places)} of {len(pieces)})"
            if unusable == "refuse":
                raise ValueError(
                    f"{reason}; {fix} unusable='leave_out' (on the command line --data.unusable leave_out)"
                )
            remark(f"{reason}; left out")
    usable = [piece for place, piece in enumerate(pieces) if place not in short | empty]
    if not usable:
        raise ValueError(f"{table.name}: no sequence is left; choose a smaller window")
    return usable


def scale_series(
    raw: np.ndarray, splits: Mapping[str, np.ndarray], names: list[str], scaling: Scaling | None
) -> tuple[np.ndarray, np.ndarray, Scaling]:
    """Scale every feature; the scaling is learned on the observed values of the train split.

    Args:
        raw: `(N, T, W, F)`, NaN = missing.
        splits: the sequences of each split; not read where there is a scaling.
        names: of the features, for error messages.
        scaling: learned before, to be used instead.

    Returns:
        x, float32 and 0 where nothing was observed; the mask of x, True = observed; the scaling.

    Raises:
        ValueError: a scaling of other features, or a feature without a value in the train split.
    """
    if scaling is not None:
        if scaling.mean.shape != (len(names),):
            raise ValueError(
                f"scaling: is for {len(scaling.mean)} features; the table has {', '.join(names)}; name the features "
                "that the run was trained on, in their order"
            )
        return *_apply(raw, scaling), scaling
    parts, constant = [], []
    for place, name in enumerate(names):  # one feature after the other, so that few copies are in memory
        train = raw[splits["train"], ..., place : place + 1]
        if np.isnan(train).all():
            raise ValueError(
                f"features: {name!r} has no value in the training split; leave it out, or choose another seed"
            )
        parts.append(Scaling.fit(train, ~np.isnan(train)))
        if np.nanmin(train) == np.nanmax(train):
            constant.append(repr(name))
    if constant:
        remark(f"features: constant in the training split, nothing to learn from: {', '.join(constant)}")
    learned = Scaling(*(np.concatenate([getattr(part, key) for part in parts]) for key in ("mean", "std")))
    return *_apply(raw, learned), learned


def _apply(raw: np.ndarray, scaling: Scaling) -> tuple[np.ndarray, np.ndarray]:
    """Scaled values, 0 where nothing was observed, and the mask; a few sequences after the other."""
    x, mask = np.empty(raw.shape, np.float32), ~np.isnan(raw)
    for start in range(0, len(raw), 256):
        part = slice(start, start + 256)
        x[part] = zero_unobserved(scaling.apply(raw[part]), mask[part])
    return x, mask
