"""PhysioNet / Computing in Cardiology Challenge 2012: the first 48 hours of intensive-care stays (set a).

Ten vital signs and laboratory values, hourly means in windows of four hours; more than half of the values are
missing. Static labels: `death` (in hospital) and `icu_type`. Two forms:

- `corrected` (the default): hours [h, h + 1) from admission, 48 of them in 12 windows. Stays are split 64:16:20
  at random with the shares of death and ICU type kept equal. A stay ends with its last entry.
- `official`: as in the code published with GLR and DBSE. Hours are right-closed and count from the first entry, those
  at the first entry and in the last, not full hour are dropped; padded to 80 hours, 20 windows. The first fifth
  by record number is the test split, the rest is shuffled 80:20.

Both hold the same 1766 stays of 4000: those with at least 40 hours (counted the official way) and at most 60%
of their values missing. The cleaning of impossible values is that of both published codes. The stays come
without dates, so there are no `times`.
"""

import hashlib
import tarfile
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from unbraid.cards import DataCard
from unbraid.data.download import fetch_files
from unbraid.data.formats.csv import read_columns
from unbraid.data.formats.windows import (
    bin_means,
    cut_windows,
    in_order_of_splits,
    lengths_or_none,
    scale_windows,
)
from unbraid.data.sequences import Label, Sequences
from unbraid.data.store import download_folder, prepared, stored

__all__ = ["card", "fetch", "load"]

card = DataCard(
    name="physionet2012",
    summary="1766 intensive-care stays, ten vital signs and laboratory values, hourly over 48 hours",
    source="PhysioNet/CinC Challenge 2012, set a: https://physionet.org/content/challenge-2012/1.0.0/",
    licence="ODC-By 1.0",
    obtain="unbraid data fetch physionet2012 (6 MB), or --data.root with set-a.tar.gz (or the folder set-a) "
    "and Outcomes-a.txt",
    protocols=("downstream",),
)

BASE_URL = "https://physionet.org/files/challenge-2012/1.0.0/"
FILES = {
    "set-a.tar.gz": "8cb250f179cd0952b4b9ebcf8954b63d70383131670fac1cfee13deaa13ca920",
    "Outcomes-a.txt": "2613ea60ccda29f87571a7d6b09ad130858a8ccd66325bd073365925026883c2",
}
OUTCOMES = "Outcomes-a.txt"
PUBLISHED = "882e80547951dd8e"  # of what `_digest` reads
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
ICU_TYPES = ("coronary", "cardiac surgery", "medical", "surgical")
WINDOW = 4
HOURS = {"corrected": 48, "official": 80}
FEWEST_HOURS, MOST_MISSING = 40, 0.6


@dataclass(frozen=True)
class Stays:
    """The entries of all records, one below the other, and what is known of each record.

    Attributes:
        record: `(S,)` record numbers, ascending.
        icu_type: `(S,)` from 0.
        first: `(S,)` minute of the first entry after admission's descriptors; -1 without any.
        last: `(S,)` minute of the last one.
        stay: `(n,)` place of each measurement's record.
        minute: `(n,)` since admission.
        feature: `(n,)` place in FEATURES.
        value: `(n,)` cleaned; NaN for what cannot be.
    """

    record: np.ndarray
    icu_type: np.ndarray
    first: np.ndarray
    last: np.ndarray
    stay: np.ndarray
    minute: np.ndarray
    feature: np.ndarray
    value: np.ndarray


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    form: Literal["corrected", "official"] = "corrected",
    seed: int = 0,
) -> Sequences:
    """Load the stays: x `(1766, 12, 4, 10)` (`official`: 20 windows) with a mask, scaled.

    Static labels `death` (survived, died) and `icu_type` (coronary, cardiac surgery, medical, surgical); `groups` are
    the record numbers.

    Args:
        root: the folder with `set-a.tar.gz` or the folder `set-a`, and `Outcomes-a.txt`; None for the one `fetch`
            downloads to.
        cache: where the prepared arrays (7 MB) are kept; see `store.cache_folder`.
        form: `corrected`, or `official` for numbers that compare with published ones.
        seed: of the split.

    Raises:
        FileNotFoundError: the folder or a file is missing.
        ValueError: a file cannot be read, or a stay has no outcome; another `form`.
    """
    if form not in HOURS:
        raise ValueError(f"form: is {form!r}; choose 'corrected' or 'official'")
    published = {"form": form, "seed": seed, "files": PUBLISHED}
    folder = download_folder("physionet2012", cache) if root is None else Path(root).expanduser()
    if root is None and stored("physionet2012", published, cache):
        files, options = {}, published
    else:
        files = _read_files(folder, given=root is not None)
        options = published | {"files": _digest(files)}
    if options != published:
        warnings.warn(
            f"root: the files in {folder} are not the published ones; no table compares", stacklevel=2
        )
    return prepared("physionet2012", options, lambda space: _build(files, folder, form, seed), cache)


def fetch(folder: str | Path | None = None, *, base_url: str | None = None) -> Path:
    """Download set-a.tar.gz and Outcomes-a.txt, checked against their hashes; files already there are kept.

    Args:
        folder: where to put them; None for the cache's download folder, where `load` looks.
        base_url: the address that the files' names are appended to; None for the published one.

    Raises:
        ConnectionError: a file cannot be downloaded.
        ValueError: a downloaded file has another hash.
    """
    target = download_folder("physionet2012") if folder is None else Path(folder).expanduser()
    return fetch_files(target, base_url or BASE_URL, FILES)


def _read_files(folder: Path, given: bool) -> dict[str, bytes]:
    """The record files of set a by their names, and the outcomes."""
    if not folder.is_dir():
        fix = (
            "check --data.root"
            if given
            else "run `unbraid data fetch physionet2012`, or pass --data.root FOLDER"
        )
        raise FileNotFoundError(f"root: there is no folder {folder} with PhysioNet 2012; {fix}")
    outcomes = folder / OUTCOMES
    if not outcomes.is_file():
        raise FileNotFoundError(f"root: {folder} lacks {OUTCOMES}; fetch it, or put it beside the records")
    packed, unpacked = folder / "set-a.tar.gz", folder / "set-a"
    if packed.is_file():
        try:
            with tarfile.open(packed) as archive:
                files = {
                    Path(member.name).name: archive.extractfile(member).read()  # type: ignore[union-attr]
                    for member in archive
                    if member.isfile() and member.name.endswith(".txt")
                }
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise ValueError(f"root: {packed} is damaged ({error}); fetch it again") from error
    elif unpacked.is_dir():
        files = {path.name: path.read_bytes() for path in unpacked.glob("*.txt")}
    else:
        raise FileNotFoundError(f"root: {folder} holds neither set-a.tar.gz nor a folder set-a")
    if not files:
        raise FileNotFoundError(f"root: {packed if packed.is_file() else unpacked} holds no record (.txt)")
    return files | {OUTCOMES: outcomes.read_bytes()}


def _digest(files: Mapping[str, bytes]) -> str:
    """Of names and contents, so that a packed and an unpacked set are the same."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {len(files[name])} ".encode() + files[name])
    return digest.hexdigest()[:16]


def _build(files: Mapping[str, bytes], folder: Path, form: str, seed: int) -> Sequences:
    stays = _parse({name: content for name, content in files.items() if name != OUTCOMES})
    official = _official_hours(stays)
    kept = _kept(official)
    if len(kept) < 5:
        raise ValueError(
            f"root: of the {len(stays.record)} records in {folder} only {len(kept)} have {FEWEST_HOURS} hours and "
            f"at most {MOST_MISSING:.0%} of their values missing; at least 5 are needed"
        )
    death = _deaths(folder / OUTCOMES, stays.record[kept])
    icu_type = stays.icu_type[kept]
    if form == "official":
        series, parts = official, _official_split(len(kept), seed)
    else:
        series, parts = _hours(stays), _stratified_split(4 * death + icu_type, seed)
    order, splits = in_order_of_splits(parts)
    rows = kept[order]
    windows, lengths = cut_windows([series[row] for row in rows], WINDOW, HOURS[form] // WINDOW)
    x, mask, scaling = scale_windows(windows, splits["train"])
    return Sequences(
        x,
        "physionet2012",
        lengths=lengths_or_none(lengths, x.shape[1]),
        mask=mask,
        labels={
            "death": Label(death[order], ("survived", "died"), "static"),
            "icu_type": Label(icu_type[order], ICU_TYPES, "static"),
        },
        splits=splits,
        groups=stays.record[rows],
        scaling=scaling,
        feature_names=tuple(FEATURES),
        units=tuple(FEATURES.values()),
        sampling_rate=1 / 3600,
    )


def _parse(records: Mapping[str, bytes]) -> Stays:
    """Read the records, `Time,Parameter,Value` line by line, in ascending order of their numbers."""
    features = {name: place for place, name in enumerate(FEATURES)}
    numbers, icu_types, spans = [], [], []
    entries: list[tuple[int, str, int, float]] = []
    for place, name in enumerate(sorted(records, key=lambda name: (len(name), name))):
        about: dict[str, float] = {}
        first, last = "99:99", ""  # before and after every time of day
        lines = records[name].decode("ascii", "replace").splitlines()
        for number, line in enumerate(lines[1:], 2):
            try:
                clock, parameter, value = line.split(",")
                if clock == "00:00" and parameter in DESCRIPTORS:
                    about[parameter] = float(value)
                    continue
                if parameter in features:
                    entries.append((place, clock, features[parameter], float(value)))
            except ValueError:
                raise ValueError(
                    f"root: {name}, line {number}: {line!r} is not time,parameter,value with a number as value"
                ) from None
            if clock < first:
                first = clock
            if clock > last:
                last = clock
        if "RecordID" not in about or about.get("ICUType") not in (1, 2, 3, 4):
            raise ValueError(
                f"root: {name}: has no RecordID, or no ICUType from 1 to 4, at 00:00; get it again"
            )
        numbers.append(int(about["RecordID"]))
        icu_types.append(int(about["ICUType"]) - 1)
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
        value=_clean(np.array(values, dtype=np.float64), where),
    )


def _minute(clock: str, name: str) -> int:
    """Minutes of `HH:MM`."""
    hours, _, minutes = clock.partition(":")
    if len(clock) != 5 or not (hours.isdecimal() and minutes.isdecimal()):
        raise ValueError(f"root: {name}: {clock!r} is no time; it must be HH:MM, as 07:30")
    return 60 * int(hours) + int(minutes)


def _clean(value: np.ndarray, feature: np.ndarray) -> np.ndarray:
    """NaN for impossible values, temperatures to Celsius; rule for rule that of the published codes, odd ones included."""
    names = np.array(list(FEATURES))[feature]
    pressures = np.isin(names, ("DiasABP", "SysABP", "MAP", "NIDiasABP", "NISysABP", "NIMAP", "RespRate"))
    value = np.where(pressures & (value < 1), np.nan, value)
    value = np.where((names == "DiasABP") & (value > 200), np.nan, value)
    warmth = names == "Temp"
    value = np.where(warmth & (value > 1) & (value < 10), value * 9 / 5 + 32, value)
    value = np.where(warmth & (value > 95) & (value < 113), (value - 32) * 5 / 9, value)
    return np.where(warmth & ((value < 25) | (value > 45)), np.nan, value)


def _means(stays: Stays, hour: np.ndarray, hours: np.ndarray) -> list[np.ndarray]:
    """Series `(hours, F)` of every stay; values whose hour is outside of it are dropped."""
    inside = (hour >= 0) & (hour < hours[stays.stay]) & ~np.isnan(stays.value)
    shape = (len(hours), int(hours.max(initial=1)), len(FEATURES))
    places = (stays.stay[inside], hour[inside], stays.feature[inside])
    means = bin_means(stays.value[inside], places, shape)
    return [rows[:count] for rows, count in zip(means, hours, strict=True)]


def _hours(stays: Stays) -> list[np.ndarray]:
    """Hours [h, h + 1) from admission to the last entry, 48 at most."""
    return _means(stays, stays.minute // 60, np.minimum(stays.last // 60 + 1, HOURS["corrected"]))


def _official_hours(stays: Stays) -> list[np.ndarray]:
    """Hours (h, h + 1] from the first entry; values at the first entry and in the last part hour are dropped."""
    hours = np.maximum(-(-(stays.last - stays.first) // 60) - 1, 0)
    return _means(stays, -(-(stays.minute - stays.first[stays.stay]) // 60) - 1, hours)


def _kept(series: list[np.ndarray]) -> np.ndarray:
    return np.array(
        [
            row
            for row, values in enumerate(series)
            if len(values) >= FEWEST_HOURS and np.isnan(values).mean() <= MOST_MISSING
        ],
        dtype=np.int64,
    )


def _deaths(path: Path, records: np.ndarray) -> np.ndarray:
    """Who died in hospital, `(n,)` of 0 and 1.

    Raises:
        ValueError: a record has no outcome, two that differ, or one that is neither 0 nor 1.
    """
    values, _ = read_columns(path, ("RecordID", "In-hospital_death"))
    known = dict(values.tolist())
    without = [record for record in records.tolist() if known.get(record) not in (0, 1)]
    if without:
        raise ValueError(
            f"root: {path} has no In-hospital_death of 0 or 1 for record {without[0]} ({len(without)} of the "
            f"{len(records)} stays); get it again"
        )
    return np.array([int(known[record]) for record in records.tolist()])


def _official_split(count: int, seed: int) -> dict[str, np.ndarray]:
    test = count // 5
    pool = np.random.default_rng(seed).permutation(np.arange(test, count))
    train = int(0.8 * len(pool))
    return {
        "train": np.sort(pool[:train]),
        "validation": np.sort(pool[train:]),
        "test": np.arange(test),
    }


def _stratified_split(stratum: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Every fifth stay of each stratum, in random order, to the test split; of the others every fifth to validation."""
    order = np.lexsort((np.random.default_rng(seed).permutation(len(stratum)), stratum))
    test, pool = order[::5], np.delete(order, np.s_[::5])
    validation, train = pool[::5], np.delete(pool, np.s_[::5])
    return {"train": np.sort(train), "validation": np.sort(validation), "test": np.sort(test)}
