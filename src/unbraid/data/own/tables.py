"""One's own series: a CSV or Parquet file, or a pandas DataFrame.

Wide form, one row for each sequence and time, one column for each feature; or long form, one row for each
measurement, with a column that names the variable and one with its value. Rows may stand in any order.

How it is read, all of it by rule:

- Bins. Time is cut into steps [k step, (k + 1) step), counted from 1970-01-01 00:00 (from 0 where times are numbers); a
  value of x is the mean of what falls in its step. A series goes from its first step with a row to its last.
- Windows. Every `window` steps are one window, the last one padded. A sequence needs at least two windows.
- Missing. Empty fields, NA and NaN are missing, and so are steps without a row: the mask is False there and x is 0,
  the mean of the feature. Nothing is interpolated.
- Scaling. Every feature gets mean 0 and standard deviation 1, learned on the train split only. A feature that is
  constant there stays 0, with a warning; one that is never observed there is refused.
- Time zones. Stamps with an offset become UTC, also where the offsets differ; stamps with and without one are
  refused.
- Refused by name of file and line: unknown columns, text in a column of numbers, infinite values, unreadable stamps,
  two rows with the same sequence and stamp, a label that changes inside a sequence, sequences without an
  outcome.
"""

import hashlib
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unbraid.data.formats.images import natural_order
from unbraid.data.formats.tables import (
    NUMBER_UNITS,
    Measured,
    Table,
    constant_values,
    import_pandas,
    measure_long,
    measure_wide,
    open_table,
    outcome_values,
    read_stamps,
    read_texts,
    refuse_duplicates,
)
from unbraid.data.formats.windows import (
    bin_means,
    cut_windows,
    in_order_of_splits,
    lengths_or_none,
    scale_windows,
    window_means,
)
from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences, make_label, split_by_group
from unbraid.data.store import prepared
from unbraid.words import nearest

__all__ = ["load_table", "read_table"]

MOST_EMPTY = 1000  # steps of a series for each one that is observed; beyond, a stamp is taken to be wrong


def load_table(
    table: Any,
    *,
    id: str = "id",
    time: str = "time",
    features: Sequence[str] | None = None,
    variable: str | None = None,
    value: str | None = None,
    step: str = "1h",
    window: int = 24,
    windows: int | None = None,
    static_labels: Sequence[str] = (),
    targets: Sequence[str] = (),
    outcomes: Any = None,
    groups: str | None = None,
    units: Mapping[str, str] | None = None,
    time_format: str = "iso",
    duplicates: Literal["refuse", "mean"] = "refuse",
    unusable: Literal["refuse", "leave_out"] = "refuse",
    scaling: Scaling | None = None,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    name: str | None = None,
    cache: str | Path | None = None,
) -> Sequences:
    """Load one's own series: x `(N, T, window, F)` floats with a mask, scaled, split at random.

    Args:
        table: path of a CSV or Parquet file, or a pandas DataFrame.
        id: column that says to which sequence a row belongs.
        time: column with the time of a row.
        features: columns (in long form: variables) that become x, in this order; None for all that have no other use.
        variable: long form: the column with the name of what was measured; None for wide form.
        value: long form: the column with the measured value.
        step: time between two values of x, as pandas writes it: 1h, 15min, 30s, 1D.
        window: steps of a window; each window gets one dynamic code. With 1, x is `(N, T, F)`.
        windows: windows of a sequence: longer series are cut, the rest of under two windows is left out, and all
            pieces stay in one split; None to leave series whole.
        static_labels: columns of the table or of `outcomes` that are constant over a sequence.
        targets: columns of `outcomes`, one number for each sequence `(N,)`; or columns (variables) of the table, that
            become the mean of each window `(N, T)`. Never scaled; NaN where unknown.
        outcomes: a second table with the column `id` and one row for each sequence; further rows are not used.
        groups: column of the table or of `outcomes`; sequences of one group stay in one split. None for `id`.
        units: unit of each feature.
        time_format: `iso` for stamps as 2016-07-01 00:00 (or T between, with or without offset), a pattern as
            `%d.%m.%Y %H:%M`, or the unit of times that are numbers: `s`, `min`, `h` or `D`.
        duplicates: what to do with rows of the same sequence and stamp (and variable): `refuse`, or `mean`.
        unusable: what to do with sequences shorter than two windows or without any value: `refuse`, or `leave_out` with
            a warning.
        scaling: for series that are only to be encoded: that of the trained run, `io.load_features(run).scaling`.
            Sequences then keep the order of their ids and are not split.
        fractions: shares of train, validation and test, counted in groups.
        seed: of the random split.
        name: the data set's name; None for the file's.
        cache: where what was read from a file is kept; see `store.cache_folder`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: what the rules above refuse, naming the file, the line and the column.
        ImportError: needs the extra `series`.
    """
    paths = [Path(given).expanduser() for given in (table, outcomes) if isinstance(given, str | Path)]
    stem = paths[0].stem if isinstance(table, str | Path) else "table"
    called = name or re.sub(r"[^\w.-]+", "_", stem) or "own"
    options: dict[str, Any] = {
        "id": id,
        "time": time,
        "features": None if features is None else _names("features", features),
        "variable": variable,
        "value": value,
        "step": step,
        "window": window,
        "windows": windows,
        "static_labels": _names("static_labels", static_labels),
        "targets": _names("targets", targets),
        "groups": groups,
        "units": None if units is None else dict(units),
        "time_format": time_format,
        "duplicates": duplicates,
        "unusable": unusable,
        "fractions": tuple(fractions),
        "seed": seed,
    }

    def read() -> Sequences:
        return read_table(table, outcomes=outcomes, scaling=scaling, name=called, **options)[1]

    if len(paths) < 1 + (outcomes is not None) or scaling is not None:
        return read()
    files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()]
    return prepared(called, options | {"files": files}, lambda space: read(), cache)


def read_table(
    table: Any,
    *,
    id: str = "id",
    time: str = "time",
    features: Sequence[str] | None = None,
    variable: str | None = None,
    value: str | None = None,
    step: str = "1h",
    window: int = 24,
    windows: int | None = None,
    static_labels: Sequence[str] = (),
    targets: Sequence[str] = (),
    outcomes: Any = None,
    groups: str | None = None,
    units: Mapping[str, str] | None = None,
    time_format: str = "iso",
    duplicates: Literal["refuse", "mean"] = "refuse",
    unusable: Literal["refuse", "leave_out"] = "refuse",
    scaling: Scaling | None = None,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    name: str = "table",
) -> tuple[list[str], Sequences]:
    """As `load_table`, without a cache, and with the name of each sequence: its id, `id#2` for its third piece."""
    _check_options(window, windows, variable, value, duplicates, unusable)
    given = open_table("table", table, id)
    second = None if outcomes is None else open_table("outcomes", outcomes, id)
    ids = read_texts(given, id, given.column("id", id))
    stamps = read_stamps(given, time, time_format)
    # What belongs to a sequence is looked for among the outcomes first.
    own_targets = [target for target in targets if second is None or target not in second.frame]
    for argument, columns in (("static_labels", static_labels), ("groups", [groups] if groups else [])):
        for column in columns:
            if second is None or column not in second.frame:
                given.column(argument, column)
    if variable is None:
        measured = measure_wide(given, features, own_targets, {id, time, groups, *static_labels})
    else:
        measured = measure_long(given, features, own_targets, variable, str(value))
    names = measured.columns[: len(measured.columns) - len(own_targets)]
    if not names:
        raise ValueError(f"features: {given.name} has no column left to learn from; name some")
    if duplicates == "refuse":
        refuse_duplicates(given, ids, stamps, measured.kind, variable)
    grid = _grid(given, ids, stamps, measured, step)
    never = np.isnan(grid.means[:, : len(names)]).all(0)
    if never.any():
        raise ValueError(
            f"features: {names[int(np.argmax(never))]!r} has no value in {given.name}; leave it out"
        )
    pieces = _usable(given, _pieces(grid, window, windows), len(names), window, unusable)
    owner = np.array([piece.owner for piece in pieces])

    def of_sequence(argument: str, column: str) -> np.ndarray:
        """One value for each piece: from the outcomes, or constant over the rows of the table."""
        if second is not None and column in second.frame:
            known, where = outcome_values(second, id, column), f"outcomes: {second.name}"
        else:
            known, where = constant_values(given, argument, column, ids), f"{given.name}: column {column!r}"
        if argument != "targets":  # only a target may be unknown
            known = {text: value for text, value in known.items() if import_pandas().notna(value)}
        return _complete(known, where, [grid.ids[place] for place in owner])

    labels = {
        label: make_label(label, _whole_numbers(of_sequence("static_labels", label)), "static")
        for label in static_labels
    }
    known_targets = {
        target: _target(target, of_sequence("targets", target))
        for target in targets
        if target not in own_targets
    }
    group = owner
    if groups is not None:
        _, group = np.unique([str(text) for text in of_sequence("groups", groups)], return_inverse=True)
    if scaling is None:
        order, splits = in_order_of_splits(_split(group, fractions, seed))
    else:
        order, splits = np.arange(len(pieces)), {}

    raw, lengths = cut_windows([pieces[place].rows for place in order], window)
    x, mask, learned = _scale(raw[..., : len(names)], splits, names, scaling)
    flat = raw.reshape(len(raw), -1, len(measured.columns))
    begin = np.array([pieces[place].start for place in order])
    times = (begin[:, None] + window * np.arange(x.shape[1])) * grid.step
    if window == 1:
        x, mask = x[:, :, 0], mask[:, :, 0]
    return [pieces[place].name for place in order], Sequences(
        x,
        name,
        lengths=lengths_or_none(lengths, x.shape[1]),
        mask=None if mask.all() else mask,
        labels={key: replace(label, values=label.values[order]) for key, label in labels.items()},
        splits=splits,
        targets={target: known[order] for target, known in known_targets.items()}
        | {
            target: window_means(flat[..., place], window)
            for place, target in enumerate(own_targets, len(names))
        },
        groups=group[order],
        times=None if time_format in NUMBER_UNITS else times.astype("datetime64[us]").astype("datetime64[s]"),
        scaling=learned,
        feature_names=tuple(names),
        units=_units(units, names),
        sampling_rate=1e6 / grid.step,
    )


def _check_options(
    window: int,
    windows: int | None,
    variable: str | None,
    value: str | None,
    duplicates: str,
    unusable: str,
) -> None:
    if window < 1:
        raise ValueError(f"window: is {window}; give at least 1 step")
    if windows is not None and windows < 2:
        raise ValueError(f"windows: is {windows}; a sequence needs at least 2")
    if (variable is None) != (value is None):
        raise ValueError("variable, value: long form needs both columns; wide form neither")
    for argument, chosen, allowed in (
        ("duplicates", duplicates, ("refuse", "mean")),
        ("unusable", unusable, ("refuse", "leave_out")),
    ):
        if chosen not in allowed:
            raise ValueError(f"{argument}: is {chosen!r}; choose {' or '.join(map(repr, allowed))}")


def _names(argument: str, names: Sequence[str]) -> tuple[str, ...]:
    chosen = (names,) if isinstance(names, str) else tuple(names)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"{argument}: {', '.join(chosen)} names a column twice")
    return chosen


def _step(step: str) -> int:
    """Microseconds."""
    pandas = import_pandas()
    try:
        length = int(pandas.Timedelta(step) / pandas.Timedelta(1, "us"))
    except (ValueError, TypeError) as error:
        raise ValueError(f"step: {step!r} is no length of time; write it as 1h, 15min or 1D") from error
    if length < 1:
        raise ValueError(f"step: {step!r} is too short; give at least a microsecond")
    return length


@dataclass(frozen=True)
class Grid:
    """Series of equal steps, one below the other.

    Attributes:
        ids: of each series, in natural order.
        step: length of a step in microseconds.
        first: `(S,)` number of each series' first step, counted from time 0.
        ends: `(S + 1,)` where each series begins and ends in `means`.
        means: `(steps of all series, columns)`, NaN where nothing was observed.
    """

    ids: list[str]
    step: int
    first: np.ndarray
    ends: np.ndarray
    means: np.ndarray


def _grid(table: Table, ids: np.ndarray, stamps: np.ndarray, measured: Measured, step: str) -> Grid:
    """Mean of the values that fall in each step of each sequence."""
    names = sorted(set(ids.tolist()), key=natural_order)
    number = {text: place for place, text in enumerate(names)}
    owner = np.array([number[text] for text in ids.tolist()])
    length = _step(step)
    steps = stamps // length
    first = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(first, owner, steps)
    offset = steps - first[owner]
    count = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(count, owner, offset + 1)
    rows = np.bincount(owner, minlength=len(names))
    wild = np.flatnonzero(count > MOST_EMPTY * rows)
    if len(wild):  # one wrong stamp would make a series too long for any memory
        raise ValueError(
            f"time: {names[wild[0]]!r} in {table.name} has {rows[wild[0]]} rows over {count[wild[0]]} steps of "
            f"{step}; correct a stamp that is far from the others, or choose a longer step"
        )
    ends = np.concatenate([[0], np.cumsum(count)])
    # In an order of their own, so that sums do not depend on the order of the rows in the last digit.
    order = np.lexsort((measured.values, stamps[measured.rows], measured.places, owner[measured.rows]))
    where = (ends[owner] + offset)[measured.rows[order]]
    means = bin_means(
        measured.values[order],
        (where, measured.places[order]),
        (int(ends[-1]), len(measured.columns)),
    )
    return Grid(names, length, first, ends, means)


@dataclass(frozen=True)
class Piece:
    """A series, or what one was cut into.

    Attributes:
        name: of the sequence.
        owner: number of its id.
        start: number of its first step, counted from time 0.
        rows: `(steps, columns)`.
    """

    name: str
    owner: int
    start: int
    rows: np.ndarray


def _pieces(grid: Grid, window: int, windows: int | None) -> list[Piece]:
    pieces = []
    for owner, name in enumerate(grid.ids):
        series = grid.means[grid.ends[owner] : grid.ends[owner + 1]]
        length = window * windows if windows else len(series)
        starts = [
            start for start in range(0, len(series), length) if not start or len(series) - start > window
        ]
        for place, start in enumerate(starts):
            called = name if len(starts) == 1 else f"{name}#{place}"
            rows = series[start : start + length]
            pieces.append(Piece(called, owner, int(grid.first[owner]) + start, rows))
    return pieces


def _usable(table: Table, pieces: list[Piece], features: int, window: int, unusable: str) -> list[Piece]:
    """The pieces that can be learned from."""
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
            said = f"{table.name}: sequence {pieces[min(places)].name!r} is {what} ({len(places)} of {len(pieces)})"
            if unusable == "refuse":
                raise ValueError(f"{said}; {fix} unusable='leave_out'")
            warnings.warn(f"{said}; left out", stacklevel=4)
    usable = [piece for place, piece in enumerate(pieces) if place not in short | empty]
    if not usable:
        raise ValueError(f"{table.name}: no sequence is left; choose a smaller window")
    return usable


def _complete(known: Mapping[str, Any], where: str, ids: list[str]) -> np.ndarray:
    """The value of each id.

    Raises:
        ValueError: some have none.
    """
    missing = sorted({text for text in ids if text not in known}, key=natural_order)
    if missing:
        raise ValueError(
            f"{where} has nothing for sequence {missing[0]!r} ({len(missing)} of {len(set(ids))}); add them, or "
            "leave those sequences out"
        )
    values = np.empty(len(ids), dtype=object)
    values[:] = [known[text] for text in ids]
    return values


def _whole_numbers(values: np.ndarray) -> np.ndarray:
    """Class numbers that became floats beside a missing value are whole again: 1, not 1.0."""
    if all(isinstance(value, float) and value.is_integer() for value in values):
        return values.astype(np.int64)
    return values


def _target(name: str, values: np.ndarray) -> np.ndarray:
    pandas = import_pandas()
    given = pandas.Series(values, dtype=object)
    numbers = pandas.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64)
    wrong = given[np.isnan(numbers) & given.notna().to_numpy()]
    if len(wrong):
        raise ValueError(f"targets: outcomes, column {name!r}: {wrong.iloc[0]!r} is no number; correct it")
    return numbers


def _split(group: np.ndarray, fractions: tuple[float, float, float], seed: int) -> dict[str, np.ndarray]:
    if len(np.unique(group)) < 3:
        raise ValueError(
            f"id: the table has {len(np.unique(group))} sequences (or groups); training, validation and test need "
            "one each. Give a long series an id of its own for each part that may be split from the others, as "
            "its month"
        )
    return split_by_group(group, fractions, seed)


def _scale(
    raw: np.ndarray, splits: Mapping[str, np.ndarray], names: list[str], scaling: Scaling | None
) -> tuple[np.ndarray, np.ndarray, Scaling]:
    if scaling is not None:
        if scaling.mean.shape != (len(names),):
            raise ValueError(
                f"scaling: is for {len(scaling.mean)} features; the table has {', '.join(names)}; name the features "
                "that the run was trained on, in their order"
            )
        return scale_windows(raw, np.arange(0), scaling)
    seen = (~np.isnan(raw[splits["train"]])).any((0, 1, 2))
    if not seen.all():
        raise ValueError(
            f"features: {names[int(np.argmin(seen))]!r} has no value in the training split; leave it out, or choose "
            "another seed"
        )
    x, mask, learned = scale_windows(raw, splits["train"])
    train = raw[splits["train"]]
    constant = np.nanmin(train, (0, 1, 2)) == np.nanmax(train, (0, 1, 2))
    if constant.any():
        which = ", ".join(repr(name) for name, same in zip(names, constant, strict=True) if same)
        warnings.warn(
            f"features: constant in the training split, nothing to learn from: {which}", stacklevel=4
        )
    return x, mask, learned


def _units(units: Mapping[str, str] | None, names: list[str]) -> tuple[str, ...] | None:
    if units is None:
        return None
    for name in units:
        if name not in names:
            raise ValueError(f"units: there is no feature {name!r}{nearest(name, names)}")
    return tuple(units.get(name, "") for name in names)
