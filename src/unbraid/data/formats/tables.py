"""The columns of a table (CSV, Parquet, pandas): read and checked; errors name the file and the line.

The rules are described in `unbraid.data.own.tables`.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unbraid.data.formats.delimited import MISSING, TEXT_ENDINGS, check_header, read_delimited
from unbraid.data.formats.extras import missing_extra
from unbraid.data.formats.paths import natural_order
from unbraid.remarks import remark
from unbraid.words import nearest

if TYPE_CHECKING:
    import pandas

__all__ = [
    "TABLE_ENDINGS",
    "SourceTable",
    "Texts",
    "import_pandas",
    "open_table",
    "read_numbers",
    "read_texts",
    "table_ending",
    "table_hint",
]

TABLE_ENDINGS = (*TEXT_ENDINGS, ".parquet", ".pq", ".feather")
BLANKS = " \t\r\n\v\f\u00a0\u200b\ufeff"
WHOLE = r"[+-]?\d+\.0+"


@dataclass(frozen=True)
class SourceTable:
    """A table, and what error messages call it.

    Attributes:
        frame: the pandas DataFrame.
        name: of the file, or of the argument that the DataFrame was passed as.
        row: the number of a row to the words for it: file and line.
        missing: texts or numbers that mean a missing value.
    """

    frame: "pandas.DataFrame"
    name: str
    row: Callable[[int], str]
    missing: tuple[str, ...] = ()

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

    def only(self, columns: Collection[str | None]) -> "SourceTable":
        """The same table with some of its columns, so that the others can leave the memory."""
        return replace(self, frame=self.frame[[column for column in self.frame if column in columns]])


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


def table_ending(path: str | Path) -> str:
    """The ending of a path in small letters; of a compressed file the last two, such as `.csv.gz`."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    return "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def open_table(
    argument: str,
    source: Any,
    id: str | None,
    wanted: Collection[str | None] = (),
    missing: Sequence[str] = (),
    decimal: str | None = None,
) -> SourceTable:
    """Read a file, or take a DataFrame. Blanks around names and texts are removed.

    Args:
        argument: name of the argument that `source` was passed as, for error messages.
        source: path of a text file (CSV), a Parquet or Feather file, or a DataFrame.
        id: column of ids, which are text: 007 is not 7.
        wanted: columns that are asked for by name, which may also be levels of a DataFrame's index.
        missing: texts or numbers that mean a missing value.
        decimal: decimal sign of a text file; None to find it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read, has no rows, or has two columns of one name.
        ImportError: the extra `series` is not installed.
    """
    pandas = import_pandas()
    row: Callable[[int], str] = f"{argument}, row {{}}".format
    name, texts = argument, {id, *wanted}
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        name, ending = path.name, table_ending(path)
        row = f"{path}, row {{}}".format
        if not path.is_file():
            raise FileNotFoundError(f"{argument}: there is no file {path}")
        if ending not in TABLE_ENDINGS:
            raise ValueError(f"{argument}: {path} must end in {', '.join(TABLE_ENDINGS)}{table_hint(path)}")
        if ending in TEXT_ENDINGS:
            frame, line = read_delimited(argument, path, texts, missing, decimal)
            row = partial(_at_line, path, line)
        else:
            try:
                frame = _read_columns(path, ending)
            except ImportError as error:
                raise missing_extra(f"{path}: a Parquet file", "series") from error
            except Exception as error:  # a damaged file makes pyarrow fail in many ways
                reason = " ".join(str(error).split())
                raise ValueError(f"{argument}: {path} cannot be read ({reason})") from error
    elif isinstance(source, pandas.DataFrame):
        frame = source
    else:
        raise ValueError(f"{argument}: is {type(source).__name__}; give a path or a pandas DataFrame")
    frame = _with_index_levels(name, frame, texts)
    if isinstance(frame.columns, pandas.MultiIndex):
        raise ValueError(f"{argument}: {name} has columns with several levels; give each column one name")
    if not len(frame):
        raise ValueError(f"{argument}: {name} has no rows")
    return SourceTable(_without_blanks(argument, name, frame, texts), name, row, tuple(missing))


def _read_columns(path: Path, ending: str) -> "pandas.DataFrame":
    """The table of a Feather or Parquet file, after all places in its buffers were checked: wrong ones end the process."""
    from pyarrow import feather, parquet

    read = partial(feather.read_table, memory_map=False) if ending == ".feather" else parquet.read_table
    table = read(path)
    table.validate(full=True)
    return table.to_pandas()


def table_hint(path: str | Path) -> str:
    """What to do with a file of a table that cannot be read as it is; empty where it is no table."""
    ending = Path(path).suffix.lower()
    if ending in (".xlsx", ".xls", ".xlsm", ".ods"):
        return "; save the sheet as CSV, or pass the DataFrame of pandas.read_excel"
    return "; a table in a text file may be renamed to .csv" if ending in (".txt", ".dat") else ""


def _at_line(path: Path, line: Callable[[int], int], number: int) -> str:
    """Where a row stands: the file, and its line."""
    return f"{path}, line {line(number)}"


def _with_index_levels(
    name: str, frame: "pandas.DataFrame", wanted: Collection[str | None]
) -> "pandas.DataFrame":
    """A DataFrame whose index levels are columns where they are wanted; the others are left out."""
    levels = [level for level in frame.index.names if level is not None]
    use = [level for level in levels if level in wanted and level not in frame]
    for level in use:
        frame = frame.copy(deep=False)
        frame[level] = frame.index.get_level_values(level)  # type: ignore[arg-type]
    unused = [str(level) for level in levels if level not in use]
    if unused:
        remark(f"{name}: left out the index {', '.join(unused)}")
    return frame.reset_index(drop=True)


def _without_blanks(
    argument: str, name: str, frame: "pandas.DataFrame", wanted: Collection[str | None]
) -> "pandas.DataFrame":
    """A DataFrame without blanks around names and texts, and without columns that have no name."""
    names = [str(column).strip() for column in frame.columns]
    changed = sum(new != str(old) for new, old in zip(names, frame.columns, strict=True))
    if changed:
        remark(f"{name}: removed blanks around {changed} names of columns")
    check_header(argument, name, names)
    frame = frame.set_axis(names, axis=1)
    unnamed = [column for column in names if re.fullmatch(r"|Unnamed: \d+", column) and column not in wanted]
    if unnamed:
        remark(f"{name}: left out {len(unnamed)} column without a name, such as a row number")
        frame = frame.drop(columns=unnamed)
    pandas = import_pandas()
    fields = 0
    for column in frame.columns:
        values = frame[column]
        if not pandas.api.types.is_numeric_dtype(values) and not pandas.api.types.is_datetime64_any_dtype(
            values
        ):
            numbers, unique = pandas.factorize(values)  # few texts stand in many rows
            stripped = [text.strip(BLANKS) if isinstance(text, str) else text for text in unique]
            wrong = np.array(
                [new is not old and new != old for new, old in zip(stripped, unique, strict=True)], bool
            )
            if wrong.any():
                rows = (numbers >= 0) & wrong[numbers]
                fields += int(rows.sum())
                kept = np.array([*(text if text != "" else None for text in stripped), None], object)
                frame = frame.assign(**{column: kept[numbers]})
    if fields:
        remark(f"{name}: removed blanks around {fields} fields")
    return frame


@dataclass(frozen=True)
class Texts:
    """A column of texts.

    Attributes:
        names: the different texts, in natural order.
        numbers: `(rows,)` the place of each row's text in `names`.
    """

    names: list[str]
    numbers: np.ndarray


def read_texts(table: SourceTable, argument: str, name: str) -> Texts:
    """A column as text, in which whole numbers have no point: 1, not 1.0.

    Raises:
        ValueError: a row has no value, or one number is written in two ways.
    """
    column = table.column(argument, name)
    numbers, unique = import_pandas().factorize(column)
    missing = np.flatnonzero(numbers < 0)
    if len(missing):
        raise ValueError(f"{table.row(int(missing[0]))}: column {name!r} is empty; every row needs it")
    texts = [str(value) for value in unique]
    if all(re.fullmatch(WHOLE, text) for text in texts):
        texts = [text.partition(".")[0] for text in texts]
    elif both := {text for text in texts if f"{text}.0" in texts}:
        raise ValueError(
            f"{table.name}: column {name!r} holds {min(both)!r} and '{min(both)}.0'; write one sequence's id in one way"
        )
    names = sorted(set(texts), key=lambda text: (natural_order(text), text))
    same = len({text.lower() for text in names})
    if same < len(names):
        remark(
            f"{table.name}: {len(names) - same} texts of column {name!r} differ from another only by capitals"
        )
    place = {text: number for number, text in enumerate(names)}
    return Texts(names, np.array([place[text] for text in texts])[numbers])


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
    if pandas.api.types.is_numeric_dtype(column):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        places, unique = pandas.factorize(column)  # few texts stand in many rows
        texts = pandas.Series(unique, dtype=object)
        texts = texts.mask(texts.astype(str).isin([*MISSING, *table.missing]))
        read = pandas.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
        wrong = np.flatnonzero(np.isnan(read) & texts.notna().to_numpy())
        if len(wrong):
            row = int(np.argmax(places == wrong[0]))
            raise ValueError(
                f"{table.row(row)}, column {name!r}: {unique[wrong[0]]!r} is no number; correct it, or name it in `missing` "
                "if it stands for a missing value. If the column is a label, name the column in `static_labels`; to leave it out, "
                "name the others in `features`"
            )
        numbers = np.append(read, np.nan)[places]
    for text in filter(_is_number, table.missing):
        numbers = np.where(numbers == float(text), np.nan, numbers)
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise ValueError(
            f"{table.row(int(infinite[0]))}, column {name!r}: is infinite; correct it, or empty it"
        )
    return numbers


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
