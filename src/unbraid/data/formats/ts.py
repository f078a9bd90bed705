"""Classified series in the text form `.ts` of the UCR and UEA archives.

Lines that start with # are comments, lines that start with @ are the header. `@classLabel true a b` names the classes, `@data`
ends the header. Then each line is one series: the values of each feature, with `,` between them, the features and the class
with `:` between them. `?` and `NaN` are missing values.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["ClassifiedSeries", "read_ts"]


@dataclass(frozen=True)
class ClassifiedSeries:
    """Series and the class of each.

    Attributes:
        series: `(L, F)` arrays that may differ in L, with NaN for missing values.
        labels: the name of each series' class.
        classes: names of all classes, in the order of the header.
    """

    series: list[np.ndarray]
    labels: list[str]
    classes: tuple[str, ...]


def read_ts(path: Path) -> ClassifiedSeries:
    """Read a `.ts` file.

    Raises:
        ValueError: it has no classes, time stamps or no series, or a line cannot be read. The error names the file and the
            line.
    """
    series: list[np.ndarray] = []
    labels: list[str] = []
    classes: tuple[str, ...] = ()
    in_data = False
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        for number, text in enumerate(file, 1):
            line, where = text.strip(), f"{path}, line {number}"
            if not line or line.startswith("#"):
                continue
            if line.startswith("@"):
                name, *words = line[1:].split()
                in_data = name.lower() == "data"
                if name.lower() == "timestamps" and "true" in map(str.lower, words):
                    raise ValueError(
                        f"{where}: the values have time stamps; write evenly spaced ones without"
                    )
                if name.lower() == "classlabel":
                    classes = tuple(words[1:])
                continue
            if not in_data:
                raise ValueError(f"{where}: stands before the line @data, but starts with neither @ nor #")
            *features, label = line.split(":")
            if label.strip() not in classes:
                raise ValueError(
                    f"{where}: ends with {label.strip()[:40]!r}, which is no class of the line @classLabel "
                    f"({', '.join(classes) or 'none'})"
                )
            rows = _rows(features, where)
            if series and rows.shape[1] != series[0].shape[1]:
                raise ValueError(f"{where}: has {rows.shape[1]} features; the first has {series[0].shape[1]}")
            series.append(rows)
            labels.append(label.strip())
    if not series:
        raise ValueError(f"{path}: has no series; a file has the line @data and one line for each series")
    return ClassifiedSeries(series, labels, classes)


def _rows(features: list[str], where: str) -> np.ndarray:
    """The `(L, F)` values of one line."""
    columns = [[_value(text, where) for text in feature.split(",")] for feature in features]
    lengths = sorted({len(column) for column in columns})
    if len(lengths) != 1:
        found = f"of {lengths[0]} to {lengths[-1]} values" if lengths else "of no value"
        raise ValueError(f"{where}: has features {found}; all features of a series need the same number")
    rows = np.array(columns).T
    if np.isnan(rows).all():
        raise ValueError(f"{where}: has no observed value; leave the series out")
    return rows


def _value(text: str, where: str) -> float:
    try:
        value = float("nan" if text.strip() == "?" else text)
    except ValueError:
        value = np.inf
    if np.isinf(value):
        raise ValueError(
            f"{where}: {text.strip()!r} is no number; correct it, or write ? for a missing value"
        )
    return value
