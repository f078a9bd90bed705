"""The columns of a table (CSV, Parquet, pandas): read and checked; errors name the file and the line.

The rules are described in `unbraid.data.own.tables`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unbraid.data.formats.extras import missing_extra
from unbraid.words import nearest

if TYPE_CHECKING:
    import pandas

__all__ = [
    "NUMBER_UNITS",
    "TABLE_ENDINGS",
    "SourceTable",
    "import_pandas",
    "open_table",
    "read_numbers",
    "read_stamps",
    "read_texts",
]

TABLE_ENDINGS = (".csv", ".parquet", ".pq")

NUMBER_UNITS = ("s", "min", "h", "D")
OFFSET = r"\d\d:\d\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$"


@dataclass(frozen=True)
class SourceTable:
    """A table, and what error messages call it.

    Attributes:
        frame: the pandas DataFrame.
        name: of the file, or of the argument that the DataFrame was passed as.
        row: the number of a row to the words for it: file and line.
    """

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
    """The package pandas, which is installed with the extra `series`.

    Raises:
        ImportError: it is not installed; the error says how to install it.
    """
    try:
        import pandas
    except ImportError as error:
        raise missing_extra("a table", "series") from error
    return pandas


def open_table(argument: str, source: Any, id: str) -> SourceTable:
    """Read a file, or take a DataFrame as it is.

    Args:
        argument: name of the argument that `source` was passed as, for error messages.
        source: path of a CSV or Parquet file, or a DataFrame.
        id: column of ids, which are read as text from a CSV file: 007 is not 7.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read, has no rows, or has two columns of one name.
        ImportError: the extra `series` is not installed.
    """
    pandas = import_pandas()
    if isinstance(source, pandas.DataFrame):
        frame = source.reset_index(drop=True)
        table = SourceTable(frame, argument, lambda row: f"{argument}, row {row}")
    elif isinstance(source, str | Path):
        path = Path(source).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"{argument}: there is no file {path}")
        if path.suffix.lower() not in TABLE_ENDINGS:
            raise ValueError(f"{argument}: {path} must end in {', '.join(TABLE_ENDINGS)}")
        try:
            if path.suffix.lower() == ".csv":
                # Blank lines are read and dropped afterwards, so that the index still gives the line.
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
            raise missing_extra(f"{path}: a Parquet file", "series") from error
        except (ValueError, OSError) as error:  # pandas and pyarrow raise both where a file cannot be read
            raise ValueError(f"{argument}: {path} cannot be read ({' '.join(str(error).split())})") from error
        lines = frame.index.to_numpy() + 2
        frame = frame.reset_index(drop=True)
        if path.suffix.lower() == ".csv":
            table = SourceTable(frame, path.name, lambda row: f"{path}, line {lines[row]}")
        else:
            table = SourceTable(frame, path.name, lambda row: f"{path}, row {row}")
    else:
        raise ValueError(f"{argument}: is {type(source).__name__}; give a path or a pandas DataFrame")
    if not len(table.frame):
        raise ValueError(f"{argument}: {table.name} has no rows")
    repeated = table.frame.columns[table.frame.columns.duplicated()]
    if len(repeated):
        raise ValueError(f"{argument}: {table.name} has two columns {repeated[0]!r}; rename one")
    return table


def read_texts(table: SourceTable, name: str, column: "pandas.Series") -> np.ndarray:
    """A column as text.

    Raises:
        ValueError: a row has no value.
    """
    missing = np.flatnonzero(column.isna())
    if len(missing):
        raise ValueError(f"{table.row(int(missing[0]))}: column {name!r} is empty; every row needs it")
    return np.array([str(text) for text in column.tolist()])


def read_numbers(table: SourceTable, argument: str, name: str) -> np.ndarray:
    """A column as floats, NaN where a value is missing.

    Raises:
        ValueError: the column holds times, text or infinite values.
    """
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


def read_stamps(table: SourceTable, name: str, time_format: str) -> np.ndarray:
    """Times in microseconds since 1970, in UTC where they have an offset; since 0 where they are numbers.

    Args:
        table: to read from.
        name: of the column.
        time_format: `iso`, a pattern, or a unit of `NUMBER_UNITS`.

    Raises:
        ValueError: a stamp is missing or cannot be read, only some have a time zone, or numbers come without a unit.
    """
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
            f"time: column {name!r} of {table.name} holds numbers; give their unit as time_format: "
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
            example = "like 2016-07-01 00:00" if time_format == "iso" else time_format
            raise ValueError(
                f"{table.row(int(unread[0]))}, column {name!r}: {column.iloc[unread[0]]!r} is no time {example}; "
                "correct it, or describe how times are written with time_format"
            )
        column = parsed
    if column.dt.tz is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return column.to_numpy(dtype="datetime64[us]").astype(np.int64)
