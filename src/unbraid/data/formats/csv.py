"""Columns of CSV files with a fixed layout."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unbraid.words import nearest

__all__ = ["read_csv_columns"]

MISSING = ("", "NA", "NaN", "nan")


def read_csv_columns(
    path: Path, numbers: Sequence[str], texts: Sequence[str] = ()
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Read columns of a CSV file with a header line.

    Args:
        path: the file.
        numbers: names of the columns that hold numbers; empty fields, `NA` and `NaN` are missing values.
        texts: names of the columns that are returned as text.

    Returns:
        `(rows, len(numbers))` floats with NaN for missing values, and the text columns by name.

    Raises:
        ValueError: a column is missing, a line has too few or too many fields, or a column of numbers holds text. The
            error names the file, the line and the column.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        for column in (*numbers, *texts):
            if column not in header:
                raise ValueError(f"{path}: has no column {column!r}{nearest(column, header)}")
        rows = list(reader)
    for line, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(f"{path}, line {line}: has {len(row)} fields; the header has {len(header)}")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(header, ())
    values = [_numbers(path, column, columns[column]) for column in numbers]
    return np.stack(values, axis=1), {column: np.array(columns[column]) for column in texts}


def _numbers(path: Path, column: str, texts: Sequence[str]) -> np.ndarray:
    try:
        return np.array([np.nan if text in MISSING else float(text) for text in texts])
    except ValueError:
        row = next(row for row, text in enumerate(texts) if text not in MISSING and not _is_number(text))
        raise ValueError(
            f"{path}, line {row + 2}, column {column!r}: {texts[row]!r} is no number; correct it, or leave it "
            "empty where the value is missing"
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
