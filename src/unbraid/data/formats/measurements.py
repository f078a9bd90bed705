"""What the rows of a table measure: values by variable, in wide or long form; and values that belong to a sequence."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbraid.data.formats.paths import natural_order
from unbraid.data.formats.tables import SourceTable, Texts, import_pandas, read_numbers, read_texts
from unbraid.remarks import remark
from unbraid.words import nearest

__all__ = [
    "Measured",
    "constant_values",
    "measure_long",
    "measure_wide",
    "outcome_values",
    "refuse_duplicates",
    "refuse_sentinels",
    "target_numbers",
    "values_of_ids",
    "whole_numbers",
]


@dataclass(frozen=True)
class Measured:
    """The observed values of a table, one variable after the other.

    Attributes:
        columns: names of the features, then of the targets.
        variable: `(rows,)` number of the variable that a row of the table measures; 0 in wide form.
        read: the place of a name in `columns` to the rows of the table that hold its values, and the values.
    """

    columns: list[str]
    variable: np.ndarray
    read: Callable[[int], tuple[np.ndarray, np.ndarray]]


def measure_wide(
    table: SourceTable, features: Sequence[str] | None, targets: Sequence[str], used: set[str | None]
) -> Measured:
    """Wide form: each column is a variable.

    Args:
        table: to read from.
        features: columns; None for all that are not used otherwise.
        targets: columns.
        used: columns that are no features: ids, times, groups, labels.

    Raises:
        ValueError: there is no such column.
    """
    names = features or [
        column for column in map(str, table.frame) if column not in used and column not in targets
    ]
    arguments = ["features"] * len(names) + ["targets"] * len(targets)
    columns = [*names, *targets]
    for argument, column in zip(arguments, columns, strict=True):
        table.column(argument, column)

    def read(place: int) -> tuple[np.ndarray, np.ndarray]:
        values = read_numbers(table, arguments[place], columns[place])
        rows = np.flatnonzero(~np.isnan(values))
        return rows, values[rows]

    return Measured(columns, np.zeros(len(table.frame), dtype=np.int8), read)


def measure_long(
    table: SourceTable,
    features: Sequence[str] | None,
    targets: Sequence[str],
    variable: str,
    value: str,
    may_lack: bool = False,
) -> Measured:
    """Long form: each row is the measurement of one variable.

    Args:
        table: to read from.
        features: variables; None for all that are no targets.
        targets: variables.
        variable: column with the name of the variable.
        value: column with the measured value.
        may_lack: features may be without any measurement, as those of one new patient may be.

    Raises:
        ValueError: a feature or target is never measured.
    """
    variables = read_texts(table, "variable", variable)
    names = features or [text for text in variables.names if text not in targets]
    for argument, columns in (("features", names), ("targets", targets)):
        for column in columns:
            if column not in variables.names and not (may_lack and argument == "features"):
                raise ValueError(
                    f"{argument}: {table.name} measures no {column!r}{nearest(column, variables.names)}"
                )
    columns = [*names, *targets]
    values = read_numbers(table, "value", value)

    def read(place: int) -> tuple[np.ndarray, np.ndarray]:
        name = columns[place]
        number = variables.names.index(name) if name in variables.names else -1
        rows = np.flatnonzero((variables.numbers == number) & ~np.isnan(values))
        return rows, values[rows]

    return Measured(columns, variables.numbers, read)


def refuse_duplicates(
    table: SourceTable, ids: Texts, stamps: np.ndarray, variables: np.ndarray, long_form: bool
) -> None:
    """Refuse two rows of one sequence that measure the same variable at the same time.

    Args:
        table: for the error message.
        ids: the sequence of each row.
        stamps: `(rows,)` its time.
        variables: `(rows,)` number of its variable, see `Measured`.
        long_form: whether the message should speak of variables.

    Raises:
        ValueError: naming both rows.
    """
    keys = (variables, stamps, ids.numbers)
    order = np.lexsort(keys)  # by owner, then stamp, then variable, then row
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for key in keys:
        same &= key[order[1:]] == key[order[:-1]]
    if same.any():
        place = int(np.argmax(same))
        earlier, later = int(order[place]), int(order[place + 1])
        what = "time and variable" if long_form else "time"
        clocks = _clocks_set_back(stamps[order[1:][same]])
        raise ValueError(
            f"{table.row(later)}: has the same {what} of {ids.names[ids.numbers[later]]!r} as "
            f"{table.row(earlier).split(', ')[-1]} ({int(same.sum())} such rows); {clocks}remove one, or pass "
            "duplicates='mean'"
        )


def refuse_sentinels(table: SourceTable, measured: Measured, missing: Sequence[str] | None) -> Measured:
    """Look for a number that most likely means a missing value: -1, 99, -999 ..., several times, far from all others.

    Args:
        table: for the message.
        measured: the values.
        missing: the texts that the user named; None: such a number is refused; some: it is said; an empty list: it is a
            value like any other.

    Returns:
        `measured`, whose columns are checked when they are read.

    Raises:
        ValueError: on reading a column that holds such a number.
    """

    def read(place: int) -> tuple[np.ndarray, np.ndarray]:
        rows, values = measured.read(place)
        for number in (values.min(), values.max()) if len(values) else ():
            if _is_sentinel(number, values):
                count, first = int((values == number).sum()), int(rows[np.argmax(values == number)])
                text = (
                    f"{table.row(first)}, column {measured.columns[place]!r}: {number:g} stands {count} times, far from all "
                    "other values"
                )
                named = [*(missing or ()), f"{number:g}"]
                if missing is None:
                    raise ValueError(
                        f"{text}; if it means a missing value pass missing={named}, if not, missing=[]"
                    )
                remark(f"{text}; it is learned as a value unless you pass missing={named}")
        return rows, values

    return (
        measured
        if missing is not None and not missing
        else Measured(measured.columns, measured.variable, read)
    )


def _is_sentinel(number: float, values: np.ndarray) -> bool:
    if (
        not (number == -1 or re.fullmatch(r"-?99+", f"{number:.12g}"))
        or np.count_nonzero(values == number) < 2
    ):
        return False
    others = values[values != number]
    if not len(others):
        return False
    spread = np.ptp(others)
    gap = np.abs(others - number).min()
    if number == -1:
        return bool(gap >= 2 and gap > spread)
    return bool(gap > spread / 2 or (number < 0 <= others.min()))


def _clocks_set_back(stamps: np.ndarray) -> str:
    """The advice for stamps that came twice because clocks were set back; empty when that is not the cause."""
    dates = np.unique(stamps.astype("datetime64[us]").astype("datetime64[h]"))
    months = dates.astype("datetime64[M]").astype(int) % 12 + 1
    hours = dates.astype(int) % 24
    days = np.unique(dates.astype("datetime64[D]"))
    if not (np.isin(months, (3, 4, 10, 11)).all() and (hours <= 3).all() and len(days) == len(dates)):
        return ""
    return f"if the clocks were set back in the night of {days[0]}, pass time_zone, such as time_zone='Europe/Berlin'; else "


def constant_values(table: SourceTable, argument: str, column: str, ids: Texts) -> dict[str, Any]:
    """The value of a column for each sequence, over which it must be constant; sequences without a value are left out.

    Args:
        table: to read from.
        argument: for the error message.
        column: to read.
        ids: the sequence of each row.

    Raises:
        ValueError: the column changes inside a sequence.
    """
    numbers, unique = import_pandas().factorize(table.column(argument, column))
    rows = np.flatnonzero(numbers >= 0)
    first = np.full(len(ids.names), -1)
    first[ids.numbers[rows[::-1]]] = numbers[rows[::-1]]  # of several, the first row is written last
    wrong = rows[numbers[rows] != first[ids.numbers[rows]]]
    if len(wrong):
        row = int(wrong[0])
        name = ids.names[ids.numbers[row]]
        before = unique[first[ids.numbers[row]]]
        raise ValueError(
            f"{table.row(row)}, column {column!r}: {unique[numbers[row]]!r}, but sequence {name!r} had {before!r} "
            f"before; {argument} must be constant over a sequence"
        )
    return {name: unique[number] for name, number in zip(ids.names, first, strict=True) if number >= 0}


def outcome_values(table: SourceTable, id: str, column: str) -> dict[str, Any]:
    """The value of a column of the outcomes for every id.

    Raises:
        ValueError: an id has two rows.
    """
    texts = read_texts(table, "outcomes", id)
    order = np.argsort(texts.numbers, kind="stable")
    again = np.flatnonzero(np.diff(texts.numbers[order]) == 0)
    if len(again):
        row = int(order[again + 1].min())
        raise ValueError(
            f"outcomes: {table.row(row)}: has {texts.names[texts.numbers[row]]!r} a second time; keep one row"
        )
    values = table.frame[column].astype(object).tolist()
    return {texts.names[number]: value for number, value in zip(texts.numbers, values, strict=True)}


def values_of_ids(by_id: Mapping[str, Any], where: str, ids: list[str]) -> np.ndarray:
    """The value of each id.

    Raises:
        ValueError: an id has no value.
    """
    missing = sorted({text for text in ids if text not in by_id}, key=natural_order)
    if missing:
        raise ValueError(
            f"{where} has nothing for sequence {missing[0]!r} ({len(missing)} of {len(set(ids))}"
            f"{_others(by_id)}); add them, or leave those sequences out"
        )
    values = np.empty(len(ids), dtype=object)
    values[:] = [by_id[text] for text in ids]
    return values


def _others(by_id: Mapping[str, Any]) -> str:
    return f"; it has {next(iter(by_id))!r}" if by_id else ""


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """Class numbers that pandas turned into floats (beside a missing value) as whole numbers: 1, not 1.0."""
    if all(isinstance(value, float) and value.is_integer() for value in values):
        return values.astype(np.int64)
    return values


def target_numbers(name: str, values: np.ndarray) -> np.ndarray:
    """Values of the outcomes' column `name` as floats, NaN where a value is missing.

    Raises:
        ValueError: a value is no number.
    """
    pandas = import_pandas()
    column = pandas.Series(values, dtype=object)
    numbers = pandas.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    wrong = column[np.isnan(numbers) & column.notna().to_numpy()]
    if len(wrong):
        raise ValueError(f"targets: outcomes, column {name!r}: {wrong.iloc[0]!r} is no number; correct it")
    return numbers
