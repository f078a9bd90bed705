"""Your own series: a CSV or Parquet file, or a pandas DataFrame.

A table has one of two forms. Wide form: one row for each sequence and time, one column for each feature. Long form: one
row for each measurement, with a column that names the variable and a column with its value. Rows may stand in any order.

The rules by which a table is read:

- Bins. A step is the usual time between two rows unless `step` says otherwise; a step for which nearly no row is there is
  refused. Time is cut into steps [k step, (k + 1) step), counted from 1970-01-01 00:00 (from 0 where times are numbers). A
  value of x is the mean of the values in its step. A series goes from its first step with a row to its last.
- Windows. Every `window` steps are one window; the last window is padded. A sequence needs at least two windows.
- Missing values. Empty fields, NA, NaN and `missing` are missing, and so are steps without a row. The mask is False there and x is
  0, the mean of the feature. Nothing is interpolated.
- Scaling. Every feature gets mean 0 and standard deviation 1, learned on the train split only. A feature that is
  constant there stays 0, with a warning; a feature that is never observed there is refused.
- Time zones. Stamps with an offset become UTC, also where the offsets differ. A table in which only some stamps have an
  offset is refused.
- Text. Blanks around names and texts are removed; a decimal comma is found; a column without a name is left out. All are said.
- Refused, with file and line: rows of another length than the header, a column twice, unknown columns, text in a column of numbers, infinite values, unreadable stamps, two rows
  with the same sequence and stamp, a label that changes inside a sequence, sequences without an outcome.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unbraid.data.checks import check_choice
from unbraid.data.formats.measurements import (
    constant_values,
    measure_long,
    measure_wide,
    outcome_values,
    refuse_duplicates,
    refuse_sentinels,
    target_numbers,
    values_of_ids,
    whole_numbers,
)
from unbraid.data.formats.paths import name_of
from unbraid.data.formats.series import bin_series, cut_series, scale_series, step_length, usable_pieces
from unbraid.data.formats.stamps import counts_from_zero, read_stamps
from unbraid.data.formats.tables import Texts, import_pandas, open_table, read_texts
from unbraid.data.formats.windows import cut_windows, window_means
from unbraid.data.labels import make_label
from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences, lengths_or_none
from unbraid.data.splits import split_by_group
from unbraid.data.store import prepared
from unbraid.files import digest
from unbraid.remarks import remark
from unbraid.words import nearest

__all__ = ["load_table", "read_series"]


def load_table(
    table: Any,
    *,
    id: str | None = "id",
    time: str = "time",
    features: Sequence[str] | None = None,
    variable: str | None = None,
    value: str | None = None,
    step: str | None = None,
    window: int = 24,
    windows: int | None = None,
    static_labels: Sequence[str] = (),
    targets: Sequence[str] = (),
    outcomes: Any = None,
    groups: str | None = None,
    units: Mapping[str, str] | None = None,
    time_format: str = "iso",
    time_zone: str | None = None,
    missing: Sequence[str] | None = None,
    decimal: Literal[".", ","] | None = None,
    duplicates: Literal["refuse", "mean"] = "refuse",
    unusable: Literal["refuse", "leave_out"] = "refuse",
    scaling: Scaling | None = None,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    name: str | None = None,
    cache: str | Path | None = None,
) -> Sequences:
    """Load your own series: x `(N, T, window, F)` float32 with a mask, scaled, split at random.

    Args:
        table: path of a text file (.csv, .tsv, also with .gz), of a Parquet or Feather file, or a pandas DataFrame.
        id: column that says to which sequence a row belongs. None: the table is one long series, which is cut into
            sequences of `windows` windows; these are split at random.
        time: column with the time of a row.
        features: columns (in long form: variables) that become x, in this order; None for all that are not used
            otherwise.
        variable: long form: the column with the name of what was measured; None for wide form.
        value: long form: the column with the measured value.
        step: time between two values of x, as pandas writes it: 1h, 15min, 30s, 1D; None for the usual time between
            two rows of a sequence.
        window: steps of a window; each window gets one dynamic code. With 1, x is `(N, T, F)`.
        windows: windows of a sequence. Longer series are cut into pieces, which all go into one split; a rest that is not
            longer than one window is left out. None to leave series whole.
        static_labels: columns of the table or of `outcomes` that are constant over a sequence.
        targets: columns of `outcomes`, one number for each sequence `(N,)`; or columns (variables) of the table, of
            which the mean of each window is taken `(N, T)`. Targets are not scaled; NaN where unknown.
        outcomes: a second table with the column `id` and one row for each sequence; rows of other ids are not used.
        groups: column of the table or of `outcomes`; all sequences of a group go into one split. None for `id`.
        units: unit of each feature.
        time_format: `iso` for stamps like 2016-07-01 00:00 (or with T in between, with or without offset), a pattern
            like `%d.%m.%Y %H:%M` (also of numbers: `%Y%m%d`), `elapsed` for hours:minutes since a start, or the unit of
            times that are numbers: `ns`, `us`, `ms`, `s`, `min`, `h` or `D`.
        time_zone: where stamps without an offset were written, such as Europe/Berlin, for clocks that are set forward and
            back; they become UTC. None to take them as they are.
        missing: texts or numbers that mean a missing value, such as -999 or ?. With None, a number such as -999 that stands
            far from all others of its column is refused; an empty list allows it.
        decimal: decimal sign of a text file; None to find it.
        duplicates: what to do with rows of the same sequence and stamp (and variable): `refuse`, or take the `mean`.
        unusable: what to do with sequences that are not longer than one window or have no value: `refuse`, or
            `leave_out` with a warning.
        scaling: of a trained run, `io.load_features(run).scaling`, for series that are only to be encoded. Sequences
            then keep the order of their ids and are not split.
        fractions: shares of train, validation and test, counted in groups.
        seed: of the random split.
        name: the data set's name; None for the file's.
        cache: where the prepared series of a file are kept; None for UNBRAID_CACHE or the user's cache folder.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the rules above refuse the table; the error names the file, the line and the column.
        ImportError: the extra `series` is not installed.
    """
    paths = [Path(source).expanduser() for source in (table, outcomes) if isinstance(source, str | Path)]
    data_name = name or (name_of(paths[0]) if isinstance(table, str | Path) else "table")
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
        "time_zone": time_zone,
        "missing": None if missing is None else _names("missing", missing),
        "decimal": decimal,
        "duplicates": duplicates,
        "unusable": unusable,
        "fractions": tuple(fractions),
        "seed": seed,
    }

    def read() -> Sequences:
        return read_series(table, outcomes=outcomes, scaling=scaling, name=data_name, **options)[1]

    if len(paths) < 1 + (outcomes is not None) or scaling is not None:
        return read()
    files = [digest(path) for path in paths if path.is_file()]
    return prepared(data_name, options | {"files": files}, lambda space: read(), cache, version=2)


def read_series(
    table: Any,
    *,
    id: str | None = "id",
    time: str = "time",
    features: Sequence[str] | None = None,
    variable: str | None = None,
    value: str | None = None,
    step: str | None = None,
    window: int = 24,
    windows: int | None = None,
    static_labels: Sequence[str] = (),
    targets: Sequence[str] = (),
    outcomes: Any = None,
    groups: str | None = None,
    units: Mapping[str, str] | None = None,
    time_format: str = "iso",
    time_zone: str | None = None,
    missing: Sequence[str] | None = None,
    decimal: Literal[".", ","] | None = None,
    duplicates: Literal["refuse", "mean"] = "refuse",
    unusable: Literal["refuse", "leave_out"] = "refuse",
    scaling: Scaling | None = None,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    name: str = "table",
) -> tuple[list[str], Sequences]:
    """Read a table as `load_table` does, without a cache.

    Returns:
        The name of each sequence (its id; `id#2` for the third piece of a series that was cut), and the sequences.
    """
    _check_options(window, windows, variable, value, duplicates, unusable)
    missing = None if missing is None else [text for text in _names("missing", missing) if text]
    if id is None and windows is None:
        raise ValueError("windows: with id=None the table is one series; give the windows of a sequence")
    wanted = {id, time, variable, groups, *static_labels}
    source = open_table("table", table, id, wanted, missing or (), decimal)
    outcome_table = (
        outcomes if outcomes is None else open_table("outcomes", outcomes, id, (), missing or (), decimal)
    )
    if id is None:
        ids = Texts([source.name.partition(".")[0]], np.zeros(len(source.frame), dtype=np.int64))
    elif id not in source.frame and time in source.frame:
        columns_there = [str(column) for column in source.frame]
        raise ValueError(
            f"id: {source.name} has no column {id!r}{nearest(id, columns_there)}; for one long series pass id=None (on the command "
            "line --data.id none) and windows, the length of a sequence"
        )
    else:
        ids = read_texts(source, "id", id)
    stamps = read_stamps(source, time, time_format, ids, time_zone)
    # Labels, groups and targets are looked for among the outcomes first.
    window_targets = [t for t in targets if outcome_table is None or t not in outcome_table.frame]
    for column in (*static_labels, *([groups] if groups else [])):
        if outcome_table is None or column not in outcome_table.frame:
            source.column("groups" if column == groups else "static_labels", column)
    if variable is None:
        measured = measure_wide(source, features, window_targets, wanted)
    else:
        measured = measure_long(source, features, window_targets, variable, str(value), scaling is not None)
    names = measured.columns[: len(measured.columns) - len(window_targets)]
    if not names:
        raise ValueError(f"features: {source.name} has no column left to learn from; name some")
    if duplicates == "refuse":
        refuse_duplicates(source, ids, stamps, measured.variable, variable is not None)
    length = step_length(source, ids, stamps, step)
    measured = refuse_sentinels(source, measured, missing)
    grid = bin_series(source, ids, stamps, measured, length)
    targets_after = len(measured.columns) - len(names)
    del measured
    source = source.only(wanted)
    empty = [name for place, name in enumerate(names) if np.isnan(grid.means[:, place]).all()]
    if empty and scaling is None:
        raise ValueError(f"features: {empty[0]!r} has no value in {source.name}; leave it out")
    if empty:
        remark(f"features: {', '.join(empty)}: no value in {source.name}; masked")
    pieces = usable_pieces(source, cut_series(grid, window, windows), len(names), window, unusable)
    owner = np.array([piece.owner for piece in pieces])

    def of_sequence(
        argument: str, column: str
    ) -> np.ndarray:  # from the outcomes, or constant over a table's rows
        if outcome_table is not None and column in outcome_table.frame:
            by_id = outcome_values(outcome_table, str(id), column)
            where = f"outcomes: {outcome_table.name}"
        else:
            by_id = constant_values(source, argument, column, ids)
            where = f"{source.name}: column {column!r}"
        if argument != "targets":  # only a target may be unknown
            by_id = {text: value for text, value in by_id.items() if import_pandas().notna(value)}
        return values_of_ids(by_id, where, [ids.names[place] for place in owner])

    labels = {
        label: make_label(label, whole_numbers(of_sequence("static_labels", label)), "static")
        for label in static_labels
    }
    sequence_targets = {
        target: target_numbers(target, of_sequence("targets", target))
        for target in targets
        if target not in window_targets
    }
    group = owner if id is not None else np.arange(len(pieces))
    if groups is not None:
        _, group = np.unique([str(text) for text in of_sequence("groups", groups)], return_inverse=True)
    splits = _split(group, fractions, seed) if scaling is None else {}

    begin = np.array([piece.start for piece in pieces])
    piece_names, series = [piece.name for piece in pieces], [piece.rows for piece in pieces]
    del grid, pieces
    raw, lengths = cut_windows(series, window)
    del series
    x, mask, learned = scale_series(raw[..., : len(names)], splits, names, scaling)
    flat = raw.reshape(len(raw), -1, len(names) + targets_after)
    times = (begin[:, None] + window * np.arange(x.shape[1])) * length
    if window == 1:
        x, mask = x[:, :, 0], mask[:, :, 0]
    return piece_names, Sequences(
        x,
        name,
        lengths=lengths_or_none(lengths, x.shape[1]),
        mask=None if mask.all() else mask,
        labels=labels,
        splits=splits,
        targets=sequence_targets
        | {
            target: window_means(flat[..., place], window)
            for place, target in enumerate(window_targets, len(names))
        },
        groups=group,
        names=tuple(piece_names),
        times=None
        if counts_from_zero(time_format)
        else times.astype("datetime64[us]").astype("datetime64[s]"),
        scaling=learned,
        feature_names=tuple(names),
        units=_units(units, names),
        sampling_rate=1e6 / length,
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
    check_choice("duplicates", duplicates, ("refuse", "mean"))
    check_choice("unusable", unusable, ("refuse", "leave_out"))


def _names(argument: str, names: Sequence[str]) -> tuple[str, ...]:
    chosen = (names,) if isinstance(names, str) else tuple(str(name) for name in names)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"{argument}: {', '.join(chosen)} names a column twice")
    return chosen


def _split(group: np.ndarray, fractions: tuple[float, float, float], seed: int) -> dict[str, np.ndarray]:
    if len(np.unique(group)) < 3:
        raise ValueError(
            f"id: the table has {len(np.unique(group))} sequences (or groups); training, validation and test need "
            "one each. Give each part of a long series an id of its own, for example its month"
        )
    return split_by_group(group, fractions, seed)


def _units(units: Mapping[str, str] | None, names: list[str]) -> tuple[str, ...] | None:
    if units is None:
        return None
    for name in units:
        if name not in names:
            raise ValueError(f"units: there is no feature {name!r}{nearest(name, names)}")
    return tuple(units.get(name, "") for name in names)
