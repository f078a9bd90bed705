"""Series of a table: binned to even steps, cut into pieces."""

import warnings
from dataclasses import dataclass

import numpy as np

from unbraid.data.formats.measurements import Measured
from unbraid.data.formats.paths import natural_order
from unbraid.data.formats.tables import SourceTable, import_pandas
from unbraid.data.formats.windows import bin_means

__all__ = ["Piece", "SeriesGrid", "bin_series", "cut_series", "usable_pieces"]

MOST_EMPTY = 1000  # steps of a series for each of its rows; with more, a stamp must be wrong


def _microseconds(step: str) -> int:
    pandas = import_pandas()
    try:
        length = int(pandas.Timedelta(step) / pandas.Timedelta(1, "us"))
    except (ValueError, TypeError) as error:
        raise ValueError(f"step: {step!r} is no length of time; write it as 1h, 15min or 1D") from error
    if length < 1:
        raise ValueError(f"step: {step!r} is too short; give at least a microsecond")
    return length


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
    table: SourceTable, ids: np.ndarray, stamps: np.ndarray, measured: Measured, step: str
) -> SeriesGrid:
    """Average the values that fall in each step of each sequence.

    Args:
        table: for error messages.
        ids: `(rows,)` the sequence of each row of the table.
        stamps: `(rows,)` its time in microseconds.
        measured: the values.
        step: length of a step, as pandas writes it.

    Raises:
        ValueError: `step` is no length of time, or a stamp is far from all others of its sequence.
    """
    names = sorted(set(ids.tolist()), key=natural_order)
    number = {text: place for place, text in enumerate(names)}
    owner = np.array([number[text] for text in ids.tolist()])
    length = _microseconds(step)
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
            f"{step}; correct a stamp that is far from the others, or choose a longer step"
        )
    ends = np.concatenate([[0], np.cumsum(count)])
    # Sorted, so that the last digit of a sum does not depend on the order of the rows.
    order = np.lexsort((measured.values, stamps[measured.rows], measured.places, owner[measured.rows]))
    where = (ends[owner] + offset)[measured.rows[order]]
    means = bin_means(
        measured.values[order],
        (where, measured.places[order]),
        (int(ends[-1]), len(measured.columns)),
    )
    return SeriesGrid(names, length, first, ends, means)


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
                raise ValueError(f"{reason}; {fix} unusable='leave_out'")
            warnings.warn(f"{reason}; left out", stacklevel=4)
    usable = [piece for place, piece in enumerate(pieces) if place not in short | empty]
    if not usable:
        raise ValueError(f"{table.name}: no sequence is left; choose a smaller window")
    return usable
