"""What the rows of a table measure: values by variable, in wide or long form; and values that belong to a sequence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbraid.data.formats.paths import natural_order
from unbraid.data.formats.tables import SourceTable, import_pandas, read_numbers, read_texts
from unbraid.words import nearest

__all__ = [
    "Measured",
    "constant_values",
    "measure_long",
    "measure_wide",
    "outcome_values",
    "refuse_duplicates",
    "target_numbers",
    "values_of_ids",
    "whole_numbers",
]


@dataclass(frozen=True)
class Measured:
    """Every observed value of a table.

    Attributes:
        columns: names of the features, then of the targets.
        variable: `(rows,)` number of the variable that a row of the table measures; 0 in wide form.
        rows: `(n,)` the row of each value.
        places: `(n,)` the place of each value's variable in `columns`.
        values: `(n,)`.
    """

    columns: list[str]
    variable: np.ndarray
    rows: np.ndarray
    places: np.ndarray
    values: np.ndarray


def measure_wide(
    table: SourceTable, features: Sequence[str] | None, targets: Sequence[str], used: set[str | None]
) -> Measured:
    """Wide form: each column is a variable.

    Args:
        table: to read from.
        features: columns; None for all that are not used otherwise.
        targets: columns.
        used: columns that are no features: ids, times, groups, labels.
    """
    names = features or [
        column for column in map(str, table.frame) if column not in used and column not in targets
    ]
    for target in targets:
        table.column("targets", target)
    columns = [*names, *targets]
    arguments = ["features"] * len(names) + ["targets"] * len(targets)
    values = np.empty((len(table.frame), len(columns)))
    for place, (argument, column) in enumerate(zip(arguments, columns, strict=True)):
        values[:, place] = read_numbers(table, argument, column)
    rows, places = np.nonzero(~np.isnan(values))
    return Measured(columns, np.zeros(len(values), dtype=np.int64), rows, places, values[rows, places])


def measure_long(
    table: SourceTable, features: Sequence[str] | None, targets: Sequence[str], variable: str, value: str
) -> Measured:
    """Long form: each row is the measurement of one variable.

    Args:
        table: to read from.
        features: variables; None for all that are no targets.
        targets: variables.
        variable: column with the name of the variable.
        value: column with the measured value.

    Raises:
        ValueError: a feature or target is never measured.
    """
    variables = read_texts(table, variable, table.column("variable", variable))
    unique, number = np.unique(variables, return_inverse=True)
    names = features or sorted((text for text in unique.tolist() if text not in targets), key=natural_order)
    for argument, columns in (("features", names), ("targets", targets)):
        for column in columns:
            if column not in unique:
                raise ValueError(
                    f"{argument}: {table.name} measures no {column!r}{nearest(column, unique.tolist())}"
                )
    columns = [*names, *targets]
    place = {column: position for position, column in enumerate(columns)}
    places = np.array([place.get(text, -1) for text in unique.tolist()])[number]
    values = read_numbers(table, "value", value)
    rows = np.flatnonzero((places >= 0) & ~np.isnan(values))
    return Measured(columns, number, rows, places[rows], values[rows])


def refuse_duplicates(
    table: SourceTable, ids: np.ndarray, stamps: np.ndarray, variables: np.ndarray, long_form: bool
) -> None:
    """Refuse two rows of one sequence that measure the same variable at the same time.

    Args:
        table: for the error message.
        ids: `(rows,)` the sequence of each row.
        stamps: `(rows,)` its time.
        variables: `(rows,)` number of its variable, see `Measured`.
        long_form: whether the message should speak of variables.

    Raises:
        ValueError: naming both rows.
    """
    _, owner = np.unique(ids, return_inverse=True)
    keys = np.stack([variables, stamps, owner])
    order = np.lexsort(keys)  # by owner, then stamp, then variable, then row
    same = (keys[:, order[1:]] == keys[:, order[:-1]]).all(0)
    if same.any():
        place = int(np.argmax(same))
        earlier, later = int(order[place]), int(order[place + 1])
        what = "time and variable" if long_form else "time"
        raise ValueError(
            f"{table.row(later)}: has the same {what} of {str(ids[later])!r} as {table.row(earlier).split(', ')[-1]} "
            f"({int(same.sum())} such rows); remove one, or pass duplicates='mean'"
        )


def constant_values(table: SourceTable, argument: str, column: str, ids: np.ndarray) -> dict[str, Any]:
    """The value of a column for each sequence, over which it must be constant; sequences without a value are left out.

    Args:
        table: to read from.
        argument: for the error message.
        column: to read.
        ids: `(rows,)` the sequence of each row.

    Raises:
        ValueError: the column changes inside a sequence.
    """
    values = table.column(argument, column).astype(object)
    by_id: dict[str, Any] = {}
    for row in np.flatnonzero(values.notna()).tolist():
        text, value = str(ids[row]), values.iloc[row]
        if by_id.setdefault(text, value) != value:
            raise ValueError(
                f"{table.row(row)}, column {column!r}: {value!r}, but sequence {text!r} had {by_id[text]!r} before; "
                f"{argument} must be constant over a sequence"
            )
    return by_id


def outcome_values(table: SourceTable, id: str, column: str) -> dict[str, Any]:
    """The value of a column of the outcomes for every id.

    Raises:
        ValueError: an id has two rows.
    """
    texts = read_texts(table, id, table.column("outcomes", id))
    repeated = table.frame[id].duplicated().to_numpy()
    if repeated.any():
        row = int(np.argmax(repeated))
        raise ValueError(f"outcomes: {table.row(row)}: has {str(texts[row])!r} a second time; keep one row")
    return dict(zip(texts.tolist(), table.frame[column].astype(object).tolist(), strict=True))


def values_of_ids(by_id: Mapping[str, Any], where: str, ids: list[str]) -> np.ndarray:
    """The value of each id.

    Raises:
        ValueError: an id has no value.
    """
    missing = sorted({text for text in ids if text not in by_id}, key=natural_order)
    if missing:
        raise ValueError(
            f"{where} has nothing for sequence {missing[0]!r} ({len(missing)} of {len(set(ids))}); add them, or "
            "leave those sequences out"
        )
    values = np.empty(len(ids), dtype=object)
    values[:] = [by_id[text] for text in ids]
    return values


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
