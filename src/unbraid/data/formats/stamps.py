"""The times of a table's rows: stamps, numbers with a unit, or hours and minutes since a start."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from unbraid.data.formats.tables import SourceTable, Texts, import_pandas, read_numbers
from unbraid.remarks import remark

if TYPE_CHECKING:
    import pandas

__all__ = ["ELAPSED", "NUMBER_UNITS", "counts_from_zero", "read_stamps"]

NUMBER_UNITS = ("ns", "us", "ms", "s", "min", "h", "D")
ELAPSED = "elapsed"
OFFSET = r"\d\d:\d\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$"
CLOCK = r"(?:(\d+) days? )?(\d+):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?"
COMPACT = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Dates that are written as one number, by the count of their digits."""


def counts_from_zero(time_format: str) -> bool:
    """Whether times are counted from 0 and are no dates."""
    return time_format in NUMBER_UNITS or time_format == ELAPSED


def read_stamps(
    table: SourceTable, name: str, time_format: str, ids: Texts, time_zone: str | None = None
) -> np.ndarray:
    """Times in microseconds since 1970, in UTC where they have a time zone; since 0 where they are numbers.

    Args:
        table: to read from.
        name: of the column.
        time_format: `iso`, a pattern, `elapsed` for hours:minutes since a start, or a unit of `NUMBER_UNITS`.
        ids: the sequence of each row.
        time_zone: where stamps without an offset were written, such as Europe/Berlin; None to take them as they are.

    Raises:
        ValueError: a stamp is missing or cannot be read, only some have a time zone, or numbers come without a unit or
            with one that cannot be theirs.
    """
    pandas = import_pandas()
    column = table.column("time", name)
    missing = np.flatnonzero(column.isna())
    if len(missing):
        raise ValueError(f"{table.row(int(missing[0]))}: column {name!r} is empty; every row needs its time")
    if time_format in NUMBER_UNITS:
        return _read_numbers(table, name, time_format)
    if pandas.api.types.is_timedelta64_dtype(column):
        return column.to_numpy(dtype="timedelta64[us]").astype(np.int64)
    places, unique = pandas.factorize(column)  # few times stand in many rows

    def row(place: int) -> str:
        return table.row(int(np.argmax(places == place)))

    times = pandas.Series(unique)
    if not pandas.api.types.is_datetime64_any_dtype(times):
        if pandas.api.types.is_numeric_dtype(times):
            numbers = times.to_numpy(dtype=np.float64)
            whole = (numbers == np.floor(numbers)).all()
            times = pandas.Series(numbers.astype(np.int64) if whole else numbers)
        times = times.astype(str)
        if time_format == ELAPSED:
            return _read_elapsed(times, name, row)[places]
        times = _parse(table, name, times, time_format, row)
    if times.dt.tz is None and time_zone is not None:
        times, places = _localized(table, times.take(places), ids, time_zone), np.arange(len(places))
    if times.dt.tz is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    return times.to_numpy(dtype="datetime64[us]").astype(np.int64)[places]


def _read_numbers(table: SourceTable, name: str, unit: str) -> np.ndarray:
    pandas = import_pandas()
    micro = pandas.Timedelta(1, unit) / pandas.Timedelta(1, "us")
    numbers = read_numbers(table, "time", name)
    likely = _epoch_unit(numbers)
    if likely not in (None, unit):
        raise ValueError(
            f"time: column {name!r} of {table.name} holds numbers such as {numbers[0]:.0f}, {likely} since 1970 and not "
            f"{unit}; pass time_format={likely!r}, or subtract the first if they count from another moment"
        )
    if np.abs(numbers).max() * micro > 2**62:
        raise ValueError(
            f"time: column {name!r} of {table.name} holds {np.abs(numbers).max():.3g} {unit}; too large"
        )
    return np.round(numbers * micro).astype(np.int64)


def _epoch_unit(numbers: np.ndarray) -> str | None:
    """The unit in which all numbers lie between 1990 and 2100, counted from 1970."""
    for unit, second in (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)):
        if 6.3e8 * second < numbers.min() and numbers.max() < 4.1e9 * second:
            return unit
    return None


def _read_elapsed(column: "pandas.Series", name: str, row: Callable[[int], str]) -> np.ndarray:
    parts = column.str.extract(f"^{CLOCK}$")
    unread = np.flatnonzero(parts[1].isna())
    if len(unread):
        raise ValueError(
            f"{row(int(unread[0]))}, column {name!r}: {column.iloc[unread[0]]!r} is no time since a start like "
            "24:48 (hours:minutes) or 24:48:30; correct it"
        )
    days, hours, minutes, seconds = (parts[place].astype(float).fillna(0).to_numpy() for place in range(4))
    return np.round(1e6 * (seconds + 60 * (minutes + 60 * (hours + 24 * days)))).astype(np.int64)


def _parse(
    table: SourceTable, name: str, column: "pandas.Series", time_format: str, row: Callable[[int], str]
) -> "pandas.Series":
    """Texts as times; in UTC where they have an offset."""
    pandas = import_pandas()
    if time_format == "iso" and column.str.fullmatch(r"\d+(\.\d+)?").all():
        time_format = _number_pattern(table, name, column)
    offset = column.str.contains(OFFSET, regex=True).to_numpy(dtype=bool)
    if offset.any() and not offset.all():
        plain, aware = int(np.argmin(offset)), int(np.argmax(offset))
        raise ValueError(
            f"{row(plain)}: {column.iloc[plain]!r} has no time zone, but {column.iloc[aware]!r} has "
            "one; give all stamps an offset, or none"
        )
    try:
        parsed = pandas.to_datetime(
            column,
            format="ISO8601" if time_format == "iso" else time_format,
            utc=bool(offset.all()),
            errors="coerce",
        )
    except ValueError as error:
        if "timezone" in str(error).lower():
            raise ValueError(
                f"{table.name}: stamps of column {name!r} differ in their time zones; give all an offset, or none"
            ) from error
        raise ValueError(f"time_format: {time_format!r} is no pattern of a time ({error})") from error
    unread = np.flatnonzero(parsed.isna())
    if len(unread):
        text = str(column.iloc[unread[0]])
        example = "like 2016-07-01 00:00" if time_format == "iso" else time_format
        raise ValueError(
            f"{row(int(unread[0]))}, column {name!r}: {text!r} is no time {example}; {_fix(text)}"
        )
    return parsed


def _fix(text: str) -> str:
    if re.fullmatch(CLOCK, text):
        return f"if it is hours:minutes since a start, pass time_format={ELAPSED!r}"
    if re.search(r"\d [A-Z]{2,5}$", text):
        return (
            "write the offset (+02:00) instead of the name of the zone, or remove the name and pass time_zone"
        )
    return "correct it, or describe how times are written with time_format"


def _number_pattern(table: SourceTable, name: str, column: "pandas.Series") -> str:
    """The pattern of dates that are written as one number.

    Raises:
        ValueError: the numbers are no such dates.
    """
    pandas = import_pandas()
    digits = column.str.len()
    pattern = COMPACT.get(int(digits.iloc[0])) if digits.nunique() == 1 else None
    if pattern is not None:
        dates = pandas.to_datetime(column, format=pattern, errors="coerce")
        if dates.dt.year.between(1900, 2100).all():
            remark(f"{table.name}: times such as {column.iloc[0]} are read as {pattern}")
            return pattern
    unit = _epoch_unit(column.astype(float).to_numpy())
    likely = f"; they seem to be {unit} since 1970" if unit else ""
    raise ValueError(
        f"time: column {name!r} of {table.name} holds numbers; give their unit as time_format: "
        f"{', '.join(NUMBER_UNITS)}, or a pattern like %Y%m%d{likely}"
    )


def _localized(table: SourceTable, column: Any, ids: Texts, time_zone: str) -> "pandas.Series":
    """Local stamps in their time zone; an hour that came twice is found by the order of a sequence's rows."""
    pandas = import_pandas()
    parts = []
    column = column.reset_index(drop=True)
    for _, rows in column.groupby(ids.numbers):
        try:
            parts.append(rows.dt.tz_localize(time_zone, ambiguous="infer", nonexistent="raise"))
        except (KeyError, OSError) as error:
            raise ValueError(f"time_zone: {time_zone!r} is not known; give one like Europe/Berlin") from error
        except ValueError as error:  # pandas' own error of a stamp that is not there, or not unique
            if "zone" in type(error).__name__.lower():
                raise ValueError(
                    f"time_zone: {time_zone!r} is not known; give one like Europe/Berlin"
                ) from error
            number = int(ids.numbers[rows.index[0]])
            raise ValueError(
                f"time_zone: {table.name}, sequence {ids.names[number]!r}: {error}; correct it, or write stamps with "
                "their offset (+02:00)"
            ) from error
    return pandas.concat(parts).sort_index()
