"""The columns of a table, read and checked; what is wrong is told by file and line.

`unbraid.data.own.tables` says the rules and makes sequences of what is read here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unbraid.data.formats.images import natural_order
from unbraid.words import nearest

if TYPE_CHECKING:
    import pandas

__all__ = [
    "NUMBER_UNITS",
    "TABLE_ENDINGS",
    "Measured",
    "Table",
    "constant_values",
    "import_pandas",
    "measure_long",
    "measure_wide",
    "open_table",
    "outcome_values",
    "read_stamps",
    "read_texts",
    "refuse_duplicates",
]

TABLE_ENDINGS = (".csv", ".parquet", ".pq")

NUMBER_UNITS = ("s", "min", "h", "D")
OFFSET = r"\d\d:\d\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$"


@dataclass(frozen=True)
class Table:
    """A DataFrame, and how to name it and its rows to the user."""

    frame: "pandas.DataFrame"
    name: str
    row: Callable[[int], str]

    def column(self, argument: str, column: str) -> "pandas.Series":
        """A column by its name.

        Raises:
            ValueError: there is none.
        """
        if column not in self.frame:
            raise ValueError(
                f"{argument}: {self.name} has no column {column!r}{nearest(column, map(str, self.frame))}"
            )
        return self.frame[column]


def import_pandas() -> Any:
    """pandas, or an ImportError that says how to get it."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError("tables need pandas: pip install 'unbraid[series]'") from error
    return pandas


def open_table(argument: str, given: Any, id: str) -> Table:
    """A file or a DataFrame; ids stay the text that they are in a CSV file (007 is not 7)."""
    pandas = import_pandas()
    if isinstance(given, pandas.DataFrame):
        frame = given.reset_index(drop=True)
        table = Table(frame, argument, lambda row: f"{argument}, row {row}")
    elif isinstance(given, str | Path):
        path = Path(given).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"{argument}: there is no file {path}")
        if path.suffix.lower() not in TABLE_ENDINGS:
            raise ValueError(f"{argument}: {path} must end in {', '.join(TABLE_ENDINGS)}")
        try:
            if path.suffix.lower() == ".csv":
                # Blank lines are read and then dropped, so that the index still tells the line.
                frame = pandas.read_csv(
                    path,
                    dtype={id: str},
                    skip_blank_lines=False,
                    low_memory=False,
                    encoding="utf-8-sig",
                ).dropna(how="all")
            else:
                frame = pandas.read_parquet(path)
        except ImportError as error:
            raise ImportError(f"{path}: Parquet needs pyarrow: pip install 'unbraid[series]'") from error
        except (ValueError, OSError) as error:  # pandas' and pyarrow's errors of reading are both
            raise ValueError(f"{argument}: {path} cannot be read ({' '.join(str(error).split())})") from error
        lines = frame.index.to_numpy() + 2
        frame = frame.reset_index(drop=True)
        if path.suffix.lower() == ".csv":
            table = Table(frame, path.name, lambda row: f"{path}, line {lines[row]}")
        else:
            table = Table(frame, path.name, lambda row: f"{path}, row {row}")
    else:
        raise ValueError(f"{argument}: is {type(given).__name__}; give a path or a pandas DataFrame")
    if not len(table.frame):
        raise ValueError(f"{argument}: {table.name} has no rows")
    repeated = table.frame.columns[table.frame.columns.duplicated()]
    if len(repeated):
        raise ValueError(f"{argument}: {table.name} has two columns {repeated[0]!r}; rename one")
    return table


def read_texts(table: Table, name: str, column: "pandas.Series") -> np.ndarray:
    """A column that every row must fill, as text."""
    missing = np.flatnonzero(column.isna())
    if len(missing):
        raise ValueError(f"{table.row(int(missing[0]))}: column {name!r} is empty; every row needs it")
    return np.array([str(text) for text in column.tolist()])


def read_numbers(table: Table, argument: str, name: str) -> np.ndarray:
    """A column as floats, NaN where it is missing."""
    pandas = import_pandas()
    column = table.column(argument, name)
    if pandas.api.types.is_datetime64_any_dtype(column) or pandas.api.types.is_timedelta64_dtype(column):
        raise ValueError(
            f"{argument}: column {name!r} of {table.name} holds times, not numbers; leave it out"
        )
    if not pandas.api.types.is_numeric_dtype(column):
        column = column.astype(object)
    numbers = pandas.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    text = np.flatnonzero(np.isnan(numbers) & column.notna().to_numpy())
    if len(text):
        raise ValueError(
            f"{table.row(int(text[0]))}, column {name!r}: {column.iloc[text[0]]!r} is no number; correct it, empty "
            "it if the value is missing, or leave the column out by naming the features"
        )
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise ValueError(
            f"{table.row(int(infinite[0]))}, column {name!r}: is infinite; correct it, or empty it"
        )
    return numbers


def read_stamps(table: Table, name: str, time_format: str) -> np.ndarray:
    """Times in microseconds since 1970 (UTC where they carry an offset), or since 0 where they are numbers."""
    pandas = import_pandas()
    column = table.column("time", name)
    missing = np.flatnonzero(column.isna())
    if len(missing):
        raise ValueError(f"{table.row(int(missing[0]))}: column {name!r} is empty; every row needs its time")
    if time_format in NUMBER_UNITS:
        micro = pandas.Timedelta(1, time_format) / pandas.Timedelta(1, "us")
        return np.round(read_numbers(table, "time", name) * micro).astype(np.int64)
    if pandas.api.types.is_numeric_dtype(column):
        raise ValueError(
            f"time: column {name!r} of {table.name} holds numbers; say their unit with time_format="
            f"{', '.join(NUMBER_UNITS)}"
        )
    if not pandas.api.types.is_datetime64_any_dtype(column):
        column = column.map(str)
        offset = column.str.contains(OFFSET, regex=True).to_numpy(dtype=bool)
        if offset.any() and not offset.all():
            plain, aware = int(np.argmin(offset)), int(np.argmax(offset))
            raise ValueError(
                f"{table.row(plain)}: {column.iloc[plain]!r} has no time zone, but {column.iloc[aware]!r} has "
                "one; give all stamps an offset, or none"
            )
        parsed = pandas.to_datetime(
            column,
            format="ISO8601" if time_format == "iso" else time_format,
            utc=bool(offset.all()),
            errors="coerce",
        )
        unread = np.flatnonzero(parsed.isna())
        if len(unread):
            wanted = "as 2016-07-01 00:00" if time_format == "iso" else time_format
            raise ValueError(
                f"{table.row(int(unread[0]))}, column {name!r}: {column.iloc[unread[0]]!r} is no time {wanted}; "
                "correct it, or say how times are written with time_format"
            )
        column = parsed
    if column.dt.tz is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return column.to_numpy(dtype="datetime64[us]").astype(np.int64)


@dataclass(frozen=True)
class Measured:
    """Every observed value of a table.

    Attributes:
        columns: names of the features, then of the targets.
        kind: `(rows,)` what a row of the table measures, by number; 0 in wide form.
        rows: `(n,)` the row of each value.
        places: `(n,)` its place in `columns`.
        values: `(n,)`.
    """

    columns: list[str]
    kind: np.ndarray
    rows: np.ndarray
    places: np.ndarray
    values: np.ndarray


def measure_wide(
    table: Table, features: Sequence[str] | None, targets: Sequence[str], used: set[str | None]
) -> Measured:
    """Each column measures one thing; all columns that are not used for something else, unless features are named."""
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
    table: Table, features: Sequence[str] | None, targets: Sequence[str], variable: str, value: str
) -> Measured:
    """Each row measures what its `variable` says; all variables but the targets, unless features are named."""
    variables = read_texts(table, variable, table.column("variable", variable))
    found, kind = np.unique(variables, return_inverse=True)
    names = features or sorted((text for text in found.tolist() if text not in targets), key=natural_order)
    for argument, wanted in (("features", names), ("targets", targets)):
        for column in wanted:
            if column not in found:
                raise ValueError(
                    f"{argument}: {table.name} measures no {column!r}{nearest(column, found.tolist())}"
                )
    columns = [*names, *targets]
    place = {column: number for number, column in enumerate(columns)}
    places = np.array([place.get(text, -1) for text in found.tolist()])[kind]
    values = read_numbers(table, "value", value)
    rows = np.flatnonzero((places >= 0) & ~np.isnan(values))
    return Measured(columns, kind, rows, places[rows], values[rows])


def refuse_duplicates(
    table: Table, ids: np.ndarray, stamps: np.ndarray, kind: np.ndarray, variable: str | None
) -> None:
    """Refuse two rows of one sequence that measure the same thing at the same time."""
    _, owner = np.unique(ids, return_inverse=True)
    keys = np.stack([kind, stamps, owner])
    order = np.lexsort(keys)  # by owner, then stamp, then kind, then row
    same = (keys[:, order[1:]] == keys[:, order[:-1]]).all(0)
    if same.any():
        place = int(np.argmax(same))
        earlier, later = int(order[place]), int(order[place + 1])
        what = "time" if variable is None else "time and variable"
        raise ValueError(
            f"{table.row(later)}: has the same {what} of {str(ids[later])!r} as {table.row(earlier).split(', ')[-1]} "
            f"({int(same.sum())} such rows); remove one, or pass duplicates='mean'"
        )


def constant_values(table: Table, argument: str, column: str, ids: np.ndarray) -> dict[str, Any]:
    """The one value of a column in every sequence; a sequence without any is left out."""
    values = table.column(argument, column).astype(object)
    known: dict[str, Any] = {}
    for row in np.flatnonzero(values.notna()).tolist():
        text, value = str(ids[row]), values.iloc[row]
        if known.setdefault(text, value) != value:
            raise ValueError(
                f"{table.row(row)}, column {column!r}: {value!r}, but sequence {text!r} had {known[text]!r} before; "
                f"{argument} must be constant over a sequence"
            )
    return known


def outcome_values(table: Table, id: str, column: str) -> dict[str, Any]:
    """The value of a column of the outcomes for every id there."""
    texts = read_texts(table, id, table.column("outcomes", id))
    repeated = table.frame[id].duplicated().to_numpy()
    if repeated.any():
        row = int(np.argmax(repeated))
        raise ValueError(f"outcomes: {table.row(row)}: has {str(texts[row])!r} a second time; keep one row")
    return dict(zip(texts.tolist(), table.frame[column].astype(object).tolist(), strict=True))
