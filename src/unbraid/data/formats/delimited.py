"""Text files with one row of a table in each line: CSV and its relatives, also compressed with gzip.

Encoding, separator and decimal comma are found, or the file is refused. A row with more or fewer fields than the header is
refused with its line. Lines that begin with `#` before the header, Excel's line `sep=;` and empty lines are no rows.
"""

import csv
import gzip
import itertools
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unbraid.data.formats.extras import missing_extra
from unbraid.remarks import remark

if TYPE_CHECKING:
    import pandas
    import pyarrow

__all__ = ["MISSING", "TEXT_ENDINGS", "Layout", "check_header", "find_layout", "read_delimited"]

TEXT_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
SEPARATORS = (",", ";", "\t", "|")
MISSING = (
    "",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "#NA",
    "<NA>",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "NULL",
    "null",
    "None",
)
"""Texts that always mean a missing value."""
COMMA_NUMBER = r"([+-]?\d+),(\d+)"
UNREADABLE = (UnicodeError, EOFError, OSError, zlib.error)  # what a damaged file raises
FIRST = 1000  # rows by which the separator, and the columns of numbers, are found


@dataclass(frozen=True)
class Layout:
    """How a text file is written.

    Attributes:
        argument: name of the argument that the path was passed as, for error messages.
        path: of the file.
        encoding: a name of Python's.
        separator: between two fields.
        before: lines before the header.
        header: names of the columns, without blanks around them.
    """

    argument: str
    path: Path
    encoding: str
    separator: str
    before: int
    header: list[str]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line and fields of every row below the header that is not empty.

        Raises:
            ValueError: a row has another number of fields than the header, or cannot be decoded.
        """
        line = self.before
        try:
            with _open_text(self.path, self.encoding) as file:
                for _ in range(self.before):
                    next(file)
                reader = csv.reader(file, delimiter=self.separator)
                next(reader)
                for fields in reader:
                    line = self.before + reader.line_num
                    if fields and len(fields) != len(self.header):
                        raise ValueError(self._wrong_width(line, fields))
                    if fields:
                        yield line, fields
        except (*UNREADABLE, csv.Error) as error:
            raise _unreadable(self.argument, self.path, line, error) from error

    def _wrong_width(self, line: int, fields: list[str]) -> str:
        count, expected = len(fields), len(self.header)
        fix = "remove what is too much or add what is missing, or quote a field that holds the separator"
        if count == expected + 1 and not fields[-1].strip():
            fix = f"remove the {self.separator!r} at the end of the rows, or add one to the header"
        return (
            f"{self.argument}: {self.path}, line {line}: has {count} fields; the header has {expected} "
            f"({', '.join(self.header[:6])}); {fix}"
        )

    def line(self, row: int) -> int:
        """The line of a row, which is counted from 0."""
        return next(itertools.islice(self.rows(), row, None))[0]


def _open_text(path: Path, encoding: str) -> Any:
    """Open a text file, plain or compressed with gzip, for the module csv."""
    opener: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
    return opener(path, "rt", encoding=encoding, newline="")


def _unreadable(argument: str, path: Path, line: int, error: Exception) -> ValueError:
    if isinstance(error, UnicodeError):
        return ValueError(
            f"{argument}: {path} is not written in UTF-8 (after line {line}); save it as UTF-8, in Excel as 'CSV UTF-8'"
        )
    return ValueError(f"{argument}: {path} cannot be read (after line {line}: {error})")


def find_layout(argument: str, path: Path) -> Layout:
    """How a text file is written: in UTF-8, or in UTF-16 where it begins with the mark of it.

    Raises:
        ValueError: it has no line, or another encoding.
    """
    lines: list[str] = []
    try:
        opener: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
        with opener(path, "rb") as file:
            encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        with _open_text(path, encoding) as text:
            lines.extend(itertools.islice(text, FIRST))
    except UNREADABLE as error:
        raise _unreadable(argument, path, len(lines), error) from error
    before = 0
    separators: tuple[str, ...] = SEPARATORS
    while before < len(lines) and (not lines[before].strip() or lines[before].startswith(("#", "sep="))):
        if lines[before].startswith("sep=") and len(lines[before].rstrip("\r\n")) == 5:
            separators = (lines[before][4],)
            if not separators[0].isascii() or separators[0] in '"\0':
                raise ValueError(f"{argument}: {path} cannot be read (its separator is {separators[0]!r})")
        before += 1
    if before == len(lines):
        raise ValueError(f"{argument}: {path} cannot be read (it has no header)")
    comments = sum(line.startswith("#") for line in lines[:before])
    if comments:
        remark(f"{path.name}: left out {comments} lines before the header that begin with #")
    separator = max(separators, key=lambda sign: _fit(lines[before:], sign))
    names = next(csv.reader(lines[before:], delimiter=separator))
    header = [name.strip() for name in names]
    if header != names:
        remark(f"{path.name}: removed blanks around names of columns")
    return Layout(argument, path, encoding, separator, before, header)


def _fit(lines: Sequence[str], separator: str) -> tuple[bool, int]:
    """Whether the rows have as many fields as the header, more than one; and how many the header has."""
    counts = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
    return counts[0] > 1 and len(set(counts)) == 1, counts[0]


def check_header(argument: str, name: str, header: Sequence[str]) -> None:
    """Refuse a header with one name twice; columns without a name are allowed.

    Raises:
        ValueError: naming the column.
    """
    for column in header:
        if column and list(header).count(column) > 1:
            raise ValueError(f"{argument}: {name} has two columns {column!r}; rename one, or remove it")


def read_delimited(
    argument: str, path: Path, texts: Collection[str | None], missing: Sequence[str], decimal: str | None
) -> "tuple[pandas.DataFrame, Callable[[int], int]]":
    """Read a text file; columns of numbers become floats, all others text.

    Args:
        argument: name of the argument that the path was passed as, for error messages.
        path: of the file.
        texts: columns that are text although they may hold only digits: 007 is not 7.
        missing: texts that mean a missing value, beside `MISSING`.
        decimal: the decimal sign of numbers, `.` or `,`; None to find it.

    Returns:
        The table without empty rows and without columns that have no name; and the line of each row.

    Raises:
        ValueError: the file cannot be read, a row has another number of fields than the header, or the decimal sign
            is uncertain.
        ImportError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import csv as arrow_csv
    except ImportError as error:
        raise missing_extra(f"{path}: a table", "series") from error
    layout = find_layout(argument, path)
    check_header(argument, path.name, layout.header)
    names = [name or f"\0{place}" for place, name in enumerate(layout.header)]
    empty = {*MISSING, *missing}
    first: dict[str, list[str]] = {name: [] for name in names}
    for _, fields in itertools.islice(layout.rows(), FIRST):
        for name, field in zip(names, fields, strict=True):
            if field.strip() not in empty:
                first[name].append(field.strip())
    values = {name: fields for name, fields in first.items() if name not in texts}
    sign = decimal or _decimal_sign(argument, path, values)
    text = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())  # few texts stand in many rows
    types = {
        name: pyarrow.float64() if name in values and _numbers(values[name], sign) else text for name in names
    }

    def read(types: dict[str, Any]) -> "pandas.DataFrame":
        batches = arrow_csv.open_csv(
            pyarrow.input_stream(str(path), compression="detect"),
            arrow_csv.ReadOptions(
                encoding="utf8" if layout.encoding == "utf-8-sig" else layout.encoding,
                skip_rows=layout.before + 1,
                column_names=names,
            ),
            arrow_csv.ParseOptions(delimiter=layout.separator, newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types=types,
                null_values=sorted(empty),
                strings_can_be_null=True,
                decimal_point=sign,
            ),
        )
        frame = _joined(batches, names)
        del batches
        pyarrow.default_memory_pool().release_unused()
        return frame

    try:
        try:
            frame = read(types)
        except pyarrow.ArrowInvalid:
            for _ in layout.rows():  # names the line of a row that is too long or too short
                pass
            frame = read(dict.fromkeys(names, text))  # the reader of a column will name its line
    except (pyarrow.ArrowException, OSError, UnicodeError, EOFError) as error:
        raise ValueError(f"{argument}: {path} cannot be read ({' '.join(str(error).split())})") from error
    unnamed = [name for name in names if name.startswith("\0")]
    filled = sum(frame[name].notna().any() for name in unnamed)
    if filled:
        remark(f"{path.name}: left out {filled} column without a name, such as a row number")
    frame = frame.drop(columns=unnamed)
    if sign == ",":
        remark(f"{path.name}: numbers are read with a decimal comma")
        for name in values:
            if name in frame and frame[name].dtype != float:
                frame[name] = frame[name].str.replace(f"^{COMMA_NUMBER}$", r"\1.\2", regex=True)
    filled_rows = np.zeros(len(frame), dtype=bool)
    for column in frame:
        filled_rows |= frame[column].notna().to_numpy()
    if filled_rows.all():
        return frame, layout.line
    kept = np.flatnonzero(filled_rows)
    return frame.iloc[kept].reset_index(drop=True), lambda row: layout.line(int(kept[row]))


def _joined(batches: "Iterable[pyarrow.RecordBatch]", names: Sequence[str]) -> "pandas.DataFrame":
    """The batches of a file, of which only numbers and the places of texts stay in memory."""
    import pandas

    texts: dict[str, dict[str, int]] = {name: {} for name in names}
    columns: dict[str, Any] = {}
    rows = 0
    for batch in batches:
        for name, column in zip(names, batch.columns, strict=True):
            if hasattr(column, "dictionary"):
                places = texts[name]
                own = [places.setdefault(value, len(places)) for value in column.dictionary.to_pylist()]
                numbers = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
                values = np.array([*own, -1], dtype=np.int32)[numbers]
            else:
                values = column.to_numpy(zero_copy_only=False)
            columns.setdefault(name, np.empty(0, values.dtype))
            _write_at(columns[name], rows, values)
        rows += batch.num_rows
    for name in names:
        values = columns.pop(name, np.empty(0))
        values.resize(rows, refcheck=False)
        is_text = values.dtype == np.int32
        columns[name] = (
            pandas.Categorical.from_codes(values, pandas.Index(list(texts[name]))) if is_text else values
        )
    return pandas.DataFrame(columns, copy=False)


def _write_at(array: np.ndarray, start: int, values: np.ndarray) -> None:
    """Write values into an array, which grows in its place: joining parts at the end would take twice the memory."""
    if len(array) < start + len(values):
        array.resize((start + len(values)) * 9 // 8, refcheck=False)
    array[start : start + len(values)] = values


def _decimal_sign(argument: str, path: Path, columns: Mapping[str, Sequence[str]]) -> str:
    """The decimal sign: a comma where a whole column is written with it, and no number with a point."""
    with_comma: list[str] = []
    for values in columns.values():
        if any(re.fullmatch(r"[+-]?\d*\.\d+", value) for value in values):
            return "."
        with_comma += [value for value in values if re.fullmatch(COMMA_NUMBER, value)]
    if not with_comma:
        return "."
    if all(re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", value) for value in with_comma):
        raise ValueError(
            f"{argument}: {path}: is {with_comma[0]!r} a decimal comma, or does the comma group digits? Pass "
            "decimal=',' or remove the commas"
        )
    return ","


def _numbers(values: Sequence[str], sign: str) -> bool:
    """Whether all values are numbers with this decimal sign."""
    try:
        for value in values:
            float(value.replace(sign, ".") if sign == "," else value)
    except ValueError:
        return False
    return True
