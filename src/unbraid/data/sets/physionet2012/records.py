"""The records of PhysioNet 2012: read, cleaned, averaged over hours."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unbraid.data.formats.windows import bin_means

__all__ = ["FEATURES", "Stays", "clean", "hours_from_admission", "official_hours", "read_records"]

FEATURES = {
    "DiasABP": "mmHg",
    "GCS": "points",
    "HCT": "%",
    "MAP": "mmHg",
    "NIDiasABP": "mmHg",
    "NIMAP": "mmHg",
    "NISysABP": "mmHg",
    "RespRate": "1/min",
    "SysABP": "mmHg",
    "Temp": "°C",
}
DESCRIPTORS = ("RecordID", "Age", "Gender", "Height", "ICUType", "Weight")


@dataclass(frozen=True)
class Stays:
    """S intensive-care stays and their n measurements, one below the other.

    Attributes:
        record: `(S,)` record numbers, ascending.
        icu_type: `(S,)` from 0.
        first: `(S,)` minute of the first entry that is no descriptor; -1 without any.
        last: `(S,)` minute of the last such entry.
        stay: `(n,)` the stay of each measurement, from 0.
        minute: `(n,)` since admission.
        feature: `(n,)` place in FEATURES.
        value: `(n,)` cleaned; NaN for impossible values.
    """

    record: np.ndarray
    icu_type: np.ndarray
    first: np.ndarray
    last: np.ndarray
    stay: np.ndarray
    minute: np.ndarray
    feature: np.ndarray
    value: np.ndarray


def read_records(records: Mapping[str, bytes]) -> Stays:
    """Read the records, `Time,Parameter,Value` line by line, in ascending order of their numbers.

    Args:
        records: name of each file to its content.

    Raises:
        ValueError: a line cannot be read, or a record has no number or ICU type.
    """
    features = {name: place for place, name in enumerate(FEATURES)}
    numbers, icu_types, spans = [], [], []
    entries: list[tuple[int, str, int, float]] = []
    for place, name in enumerate(sorted(records, key=lambda name: (len(name), name))):
        descriptors: dict[str, float] = {}
        first, last = "99:99", ""  # before and after every time of day
        lines = records[name].decode("ascii", "replace").splitlines()
        for number, line in enumerate(lines[1:], 2):
            try:
                clock, parameter, value = line.split(",")
                if clock == "00:00" and parameter in DESCRIPTORS:
                    descriptors[parameter] = float(value)
                    continue
                if parameter in features:
                    entries.append((place, clock, features[parameter], float(value)))
            except ValueError:
                raise ValueError(
                    f"root: {name}, line {number}: {line!r} is not time,parameter,value with a number as value; get it again"
                ) from None
            if clock < first:
                first = clock
            if clock > last:
                last = clock
        if "RecordID" not in descriptors or descriptors.get("ICUType") not in (1, 2, 3, 4):
            raise ValueError(
                f"root: {name}: has no RecordID, or no ICUType from 1 to 4, at 00:00; get it again"
            )
        numbers.append(int(descriptors["RecordID"]))
        icu_types.append(int(descriptors["ICUType"]) - 1)
        spans.append((_minute(first, name), _minute(last, name)) if last else (-1, -1))
    stay, clocks, feature, values = zip(*entries, strict=True) if entries else ((),) * 4
    minutes = {text: _minute(text, "a record") for text in set(clocks)}
    where = np.array(feature, dtype=np.int64)
    return Stays(
        record=np.array(numbers),
        icu_type=np.array(icu_types),
        first=np.array([span[0] for span in spans]),
        last=np.array([span[1] for span in spans]),
        stay=np.array(stay, dtype=np.int64),
        minute=np.array([minutes[text] for text in clocks], dtype=np.int64),
        feature=where,
        value=clean(np.array(values, dtype=np.float64), where),
    )


def _minute(clock: str, name: str) -> int:
    """Minutes of `HH:MM`."""
    hours, _, minutes = clock.partition(":")
    if len(clock) != 5 or not (hours.isdecimal() and minutes.isdecimal()):
        raise ValueError(f"root: {name}: {clock!r} is no time; it must be HH:MM, such as 07:30; get it again")
    return 60 * int(hours) + int(minutes)


def clean(value: np.ndarray, feature: np.ndarray) -> np.ndarray:
    """Set impossible values to NaN and turn temperatures into °C.

    The rules, also the odd ones, are those of the published codes.

    Args:
        value: `(n,)`.
        feature: `(n,)` place in FEATURES.
    """
    names = np.array(list(FEATURES))[feature]
    pressures = np.isin(names, ("DiasABP", "SysABP", "MAP", "NIDiasABP", "NISysABP", "NIMAP", "RespRate"))
    value = np.where(pressures & (value < 1), np.nan, value)
    value = np.where((names == "DiasABP") & (value > 200), np.nan, value)
    warmth = names == "Temp"
    value = np.where(warmth & (value > 1) & (value < 10), value * 9 / 5 + 32, value)
    value = np.where(warmth & (value > 95) & (value < 113), (value - 32) * 5 / 9, value)
    return np.where(warmth & ((value < 25) | (value > 45)), np.nan, value)


def _means(stays: Stays, hour: np.ndarray, hours: np.ndarray) -> list[np.ndarray]:
    """Series `(hours, F)` of every stay: hourly means, NaN where there is no value.

    Args:
        stays: with their measurements.
        hour: `(n,)` hour of each measurement; those below 0 or beyond the end of the stay are dropped.
        hours: `(S,)` of each stay.
    """
    inside = (hour >= 0) & (hour < hours[stays.stay]) & ~np.isnan(stays.value)
    shape = (len(hours), int(hours.max(initial=1)), len(FEATURES))
    places = (stays.stay[inside], hour[inside], stays.feature[inside])
    means = bin_means(stays.value[inside], places, shape)
    return [rows[:count] for rows, count in zip(means, hours, strict=True)]


def hours_from_admission(stays: Stays, most: int) -> list[np.ndarray]:
    """Series `(hours, F)` of hours [h, h + 1) from admission to the last entry, `most` hours at most."""
    return _means(stays, stays.minute // 60, np.minimum(stays.last // 60 + 1, most))


def official_hours(stays: Stays) -> list[np.ndarray]:
    """Series `(hours, F)` of hours (h, h + 1] from the first entry.

    Values at the time of the first entry and in the last hour, which is not a full one, are dropped.
    """
    hours = np.maximum(-(-(stays.last - stays.first) // 60) - 1, 0)
    return _means(stays, -(-(stays.minute - stays.first[stays.stay]) // 60) - 1, hours)
