"""Beijing Multi-Site Air Quality: twelve stations, hourly, March 2013 to February 2017.

Six pollutants and four weather variables; a sequence is the first 28 days of a calendar month at one station, one
window a day. Static labels: `month`, its part `season`, `station`, and `wetness` (from the mean rain of the sequence).
The target is `rain` of each day; rain is never an input. There are two forms, both tested on 2016:

- `corrected` (the default): the validation split is 2015, so that it has no month of training at a neighbouring
  station. `rain` is the mean of the observed hours of a day, in mm an hour; NaN for a day without any.
- `official`: as in the code published with GLR and DBSE. 15% of the other years' sequences, at random, are the
  validation split. `rain` is the sum over a day in mm, and 0 for a day with a missing hour.

With a `stride` below 28 days, the train split also has sequences that start every `stride` days and share no hour with
validation or test; their month is that of their middle. The official form has no such sequences.

`groups` are the calendar months, because the stations are neighbours and share their weather. Times are Beijing's.
"""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pooch

from unbraid.cards import DataCard
from unbraid.data.checks import check_choice
from unbraid.data.download import fetch_files
from unbraid.data.formats.csv import read_csv_columns
from unbraid.data.formats.windows import (
    check_stride,
    cut_windows,
    overlapping_starts,
    scale_windows,
    window_means,
)
from unbraid.data.labels import Label
from unbraid.data.sequences import Sequences
from unbraid.data.store import download_folder, from_published, require_files

__all__ = ["card", "fetch", "load"]

card = DataCard(
    name="air_quality",
    summary="air and weather at 12 stations in Beijing: 576 months of 28 days, ten features, hourly",
    source='S. Chen, "Beijing Multi-Site Air Quality", UCI, https://doi.org/10.24432/C5RK5G',
    licence="CC BY 4.0",
    obtain="unbraid data fetch air_quality (8 MB packed, 32 MB), or --data.root with the twelve CSV files",
    shape=(28, 24, 10),
    kind="windows",
    protocols=("downstream",),
)

BASE_URL = "https://archive.ics.uci.edu/static/public/501/"
ARCHIVE = {
    "beijing+multi+site+air+quality+data.zip": "b04da438b2f331ac0ffd45aebdfec0d20d2367feb5f6948c4b1f7ce1191e33c4"
}
STATIONS = {  # with the SHA-256 of each file
    "Aotizhongxin": "a94fbcfc71708b6ffdc033360163d91efb7f675e496f6b5860929aa96b96351b",
    "Changping": "a2e21402a6d95fb7043f87959e6e3dcbecb957aac356a6f8028a85b047c772e7",
    "Dingling": "3d8dff81f18a80d9f455876a785642bffe1e9b9924ec1e6b7ce8cca790432eeb",
    "Dongsi": "9c0020214425e5ee2a64d42f97a1f632e1d8f6b53ad50edd85a686cc7999f27e",
    "Guanyuan": "59390fee3b032597b387491f5230e7edb90a8558e30217ebd6d9befbe669fbf9",
    "Gucheng": "10ae48801ea55869fee56a48b885fb1127859c130551888d71673f34216ba951",
    "Huairou": "812dcbe848b3ba2c2d25731064797bff803c46eb0c602156a1fa044df136dc26",
    "Nongzhanguan": "572cf87b65ef543cd55d3a711b28474def224a46b0ec3fc8add8aaf13b67a487",
    "Shunyi": "520b59e4ead3b0cfe7f1ed673e30275de8441e999db6f413d5172d2277b8c15a",
    "Tiantan": "0743e34799cf1ee36195b73321b91baa5625276532e7263c588f68cdef3b4daa",
    "Wanliu": "0b1a6d754a07f0def2f55434ddfa3870dcd0063b7f766a6f66b6c11bb05a377a",
    "Wanshouxigong": "ab1d6a356d6997a45f6d657ad47de1e05a4a08d4a7015b38a329a90665ab74d0",
}
FEATURES = {
    "PM2.5": "µg/m³",
    "PM10": "µg/m³",
    "SO2": "µg/m³",
    "NO2": "µg/m³",
    "CO": "µg/m³",
    "O3": "µg/m³",
    "TEMP": "°C",
    "PRES": "hPa",
    "DEWP": "°C",
    "WSPM": "m/s",
}
CALENDAR = ("year", "month", "day", "hour")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
SEASONS = ("winter", "spring", "summer", "autumn")  # winter is December to February
WETNESS = ("dry", "some rain", "wet")
WET = (0.1, 2.0)  # mm a day, where a sequence is no longer dry, and where it is wet
WINDOW, DAYS = 24, 28
HOURS = WINDOW * DAYS
TEST_YEAR, VALIDATION_YEAR = 2016, 2015
TRAIN_SHARE = 0.85  # of the official pool


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    form: Literal["corrected", "official"] = "corrected",
    stride: int = DAYS,
    seed: int = 0,
) -> Sequences:
    """Load the months: x `(576, 28, 24, 10)` with a mask, scaled; more than 576 with a stride.

    Static labels `month` (12), `season` (4, part of month), `station` (12), `wetness` (3); target `rain` `(576, 28)`.

    Args:
        root: the folder with the twelve CSV files; None for the folder that `fetch` downloads to.
        cache: where the prepared arrays (20 MB) are kept; None for UNBRAID_CACHE or the user's cache folder.
        form: `corrected`, or `official` for scores that compare with published ones.
        stride: days from one training sequence to the next; below 28 they overlap.
        seed: of the official form's random validation split; the corrected form's splits are years.

    Raises:
        FileNotFoundError: the folder or a file is missing.
        ValueError: a file cannot be read or has gaps in its hours; another `form`; a stride that is not 1 to 28, or a
            stride below 28 with the official form.
    """
    check_choice("form", form, ("corrected", "official"))
    check_stride(stride, DAYS)
    if stride != DAYS and form == "official":
        raise ValueError(
            f"stride: is {stride} days; the official form has whole months only, drop one of the two"
        )
    options = {"form": form, "seed": seed if form == "official" else None}
    if stride != DAYS:
        options["stride"] = stride
    return from_published(
        "air_quality",
        options,
        {"files": _digest(STATIONS)},
        lambda folder: _digest({name: pooch.file_hash(str(path)) for name, path in _find(folder).items()}),
        lambda space, folder: _build(_find(folder), form, stride, seed),
        root,
        cache,
    )


def fetch(folder: str | Path | None = None, *, base_url: str | None = None) -> Path:
    """Download and unpack the twelve files, each checked against its hash, unless they are there already.

    Args:
        folder: where to put them; None for the cache's download folder, where `load` looks.
        base_url: the address that the archive's name is appended to; None for the published one.

    Raises:
        ConnectionError: the archive cannot be downloaded.
        ValueError: the archive or a file in it has another hash.
    """
    target = download_folder("air_quality") if folder is None else Path(folder).expanduser()
    paths = {station: target / _file(station) for station in STATIONS}
    if all(path.is_file() and pooch.file_hash(str(path)) == STATIONS[name] for name, path in paths.items()):
        return target
    fetch_files(target, base_url or BASE_URL, ARCHIVE)
    (archive,) = (target / name for name in ARCHIVE)
    with zipfile.ZipFile(archive) as outer:
        (inner_name,) = (name for name in outer.namelist() if name.endswith(".zip"))
        with outer.open(inner_name) as packed, zipfile.ZipFile(packed) as inner:
            places = {Path(name).name: name for name in inner.namelist()}
            for station, path in paths.items():
                content = inner.read(places[path.name])
                if hashlib.sha256(content).hexdigest() != STATIONS[station]:
                    raise ValueError(f"{path.name}: in {archive} is not the published file")
                path.write_bytes(content)
    archive.unlink()
    return target


def _file(station: str) -> str:
    return f"PRSA_Data_{station}_20130301-20170228.csv"


def _digest(hashes: Mapping[str, str]) -> str:
    return hashlib.sha256("".join(hashes[station] for station in STATIONS).encode()).hexdigest()[:16]


def _find(folder: Path) -> dict[str, Path]:
    """The file of each station, in the folder or in the folder that the inner archive unpacks to."""
    unpacked = folder / "PRSA_Data_20130301-20170228"
    files = {station: (unpacked if unpacked.is_dir() else folder) / _file(station) for station in STATIONS}
    require_files("air_quality", list(files.values()))
    return files


def _build(files: Mapping[str, Path], form: str, stride: int, seed: int) -> Sequences:
    values, times = [], []
    for path in files.values():
        station_values, station_times = _hours(path)
        values.append(station_values)
        times.append(station_times)
    if any(not np.array_equal(times[0], other) for other in times):
        raise ValueError(f"root: the files in {path.parent} cover different hours; get them again")
    hours = times[0]
    firsts = _month_starts(hours)
    if not len(firsts):
        raise ValueError(f"{path}: holds no month of {DAYS} days; get the file again")
    between = firsts[:0]
    if stride < DAYS:
        between = overlapping_starts(firsts, _split(_year(hours[firsts])), HOURS, stride * WINDOW)
    starts = np.concatenate([firsts, between])
    # (stations, hours, columns) to one row for each start and station, the months in the order of time
    rows = np.stack([hourly[start : start + HOURS] for start in starts for hourly in values])
    first = np.repeat(starts, len(files))
    station = np.tile(np.arange(len(files)), len(starts))
    months = len(firsts) * len(files)
    year = _year(hours[first[:months]])
    splits = _official_split(year, seed) if form == "official" else _split(year)
    windows, _ = cut_windows(list(rows[..., :-1]), WINDOW)
    x, mask, scaling = scale_windows(windows, splits["train"])
    splits["train"] = np.concatenate([splits["train"], np.arange(months, len(rows))])
    rain = window_means(rows[..., -1], WINDOW)
    daily = rows[..., -1].reshape(len(rows), DAYS, WINDOW).sum(2)
    without_rain = np.flatnonzero(np.isnan(rain).all(1))
    if len(without_rain):
        row = without_rain[0]
        raise ValueError(
            f"root: {list(files)[station[row]]} has no value of RAIN in the {DAYS} days from "
            f"{str(hours[first[row]])[:10]} on; get the file again"
        )
    calendar = hours[first + HOURS // 2].astype("datetime64[M]").astype(int)
    month = calendar % 12
    wetness = np.digitize(24 * np.nanmean(rain, axis=1), WET)
    return Sequences(
        x,
        "air_quality",
        mask=mask,
        labels={
            "month": Label(month, MONTHS, "static"),
            "season": Label((month + 1) % 12 // 3, SEASONS, "static", part_of="month"),
            "station": Label(station, tuple(files), "static"),
            "wetness": Label(wetness, WETNESS, "static"),
        },
        splits=splits,
        targets={"rain": np.nan_to_num(daily, nan=0.0) if form == "official" else rain},
        groups=calendar,
        times=hours[first][:, None] + np.arange(DAYS) * np.timedelta64(1, "D"),
        scaling=scaling,
        feature_names=tuple(FEATURES),
        units=tuple(FEATURES.values()),
        sampling_rate=1 / 3600,
    )


def _hours(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The values of a station's file, `(hours, features and rain)`, and the time of each hour."""
    values, _ = read_csv_columns(path, (*CALENDAR, *FEATURES, "RAIN"))
    calendar, values = values[:, :4], values[:, 4:]
    if np.isnan(calendar).any():
        line = int(np.flatnonzero(np.isnan(calendar).any(1))[0]) + 2
        raise ValueError(f"{path}, line {line}: has no year, month, day or hour; get the file again")
    year, month, day, hour = calendar.astype(np.int64).T
    months = (12 * (year - 1970) + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    times = days.astype("datetime64[s]") + hour.astype("timedelta64[h]")
    gaps = np.flatnonzero(np.diff(times) != np.timedelta64(1, "h"))
    if len(gaps):
        raise ValueError(
            f"{path}, line {gaps[0] + 3}: {times[gaps[0] + 1]} does not follow {times[gaps[0]]} by one hour; "
            "get the file again"
        )
    return values, times


def _month_starts(times: np.ndarray) -> np.ndarray:
    """The numbers of the hours at which a month starts whose first 28 days are all in the file."""
    firsts = np.flatnonzero(times == times.astype("datetime64[M]"))
    return firsts[firsts + HOURS <= len(times)]


def _year(times: np.ndarray) -> np.ndarray:
    return times.astype("datetime64[Y]").astype(int) + 1970


def _split(year: np.ndarray) -> dict[str, np.ndarray]:
    held = {"validation": year == VALIDATION_YEAR, "test": year == TEST_YEAR}
    return {"train": np.flatnonzero(~held["validation"] & ~held["test"])} | {
        name: np.flatnonzero(rows) for name, rows in held.items()
    }


def _official_split(year: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    pool = np.random.default_rng(seed).permutation(np.flatnonzero(year != TEST_YEAR))
    train = int(TRAIN_SHARE * len(pool))
    return {
        "train": np.sort(pool[:train]),
        "validation": np.sort(pool[train:]),
        "test": np.flatnonzero(year == TEST_YEAR),
    }
