"""PhysioNet / Computing in Cardiology Challenge 2012: the first 48 hours of intensive-care stays (set a).

Ten vital signs and laboratory values, hourly means in windows of four hours; more than half of the values are missing.
Static labels: `death` (in hospital) and `icu_type`. There are two forms:

- `corrected` (the default): hours [h, h + 1) from admission, 48 of them in 12 windows. Stays are split 64:16:20 at random;
  all splits have the same shares of death and ICU types. A stay ends with its last entry.
- `official`: as in the code published with GLR and DBSE. Hours (h, h + 1] count from the first entry; values at the time of
  the first entry and in the last hour, which is not a full one, are dropped. Stays are padded to 80 hours, 20 windows.
  The first fifth by record number is the test split, the rest is split 80:20 at random.

Both forms hold the same 1766 of 4000 stays: those with at least 40 hours (counted the official way) and at most 60% of
their values missing. Impossible values are cleaned as in the published codes. The records have no dates, so there are no
`times`. With `unlabelled` the stays that this rule leaves out train models as well, where they have at least 24 hours and
5% of their values; no protocol reads them or their labels.
"""

import hashlib
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from unbraid.cards import DataCard
from unbraid.data.checks import check_choice
from unbraid.data.download import fetch_files
from unbraid.data.formats.csv import read_csv_columns
from unbraid.data.formats.windows import cut_windows, scale_windows
from unbraid.data.labels import Label
from unbraid.data.sequences import Sequences, lengths_or_none
from unbraid.data.sets.physionet2012.records import (
    FEATURES,
    hours_from_admission,
    official_hours,
    read_records,
)
from unbraid.data.splits import UNLABELLED, in_order_of_splits
from unbraid.data.store import download_folder, from_published, require_files

__all__ = ["card", "fetch", "load"]

card = DataCard(
    name="physionet2012",
    summary="1766 intensive-care stays, ten vital signs and laboratory values, hourly over 48 hours",
    source="PhysioNet/CinC Challenge 2012, set a: https://physionet.org/content/challenge-2012/1.0.0/",
    licence="ODC-By 1.0",
    obtain="unbraid data fetch physionet2012 (6 MB), or --data.root with set-a.tar.gz (or the folder set-a) "
    "and Outcomes-a.txt",
    shape=(20, 4, 10),
    kind="windows",
    protocols=("downstream",),
)

BASE_URL = "https://physionet.org/files/challenge-2012/1.0.0/"
FILES = {
    "set-a.tar.gz": "8cb250f179cd0952b4b9ebcf8954b63d70383131670fac1cfee13deaa13ca920",
    "Outcomes-a.txt": "2613ea60ccda29f87571a7d6b09ad130858a8ccd66325bd073365925026883c2",
}
OUTCOMES = "Outcomes-a.txt"
PUBLISHED = "882e80547951dd8e"  # the `_digest` of the published files
ICU_TYPES = ("coronary", "cardiac surgery", "medical", "surgical")
WINDOW = 4
HOURS = {"corrected": 48, "official": 80}
FEWEST_HOURS, MOST_MISSING = 40, 0.6
UNLABELLED_HOURS, UNLABELLED_MISSING = 24, 0.95


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    form: Literal["corrected", "official"] = "corrected",
    seed: int = 0,
    unlabelled: bool = False,
) -> Sequences:
    """Load the stays: x `(1766, 12, 4, 10)` (`official`: 20 windows) with a mask, scaled.

    Static labels `death` (survived, died) and `icu_type` (coronary, cardiac surgery, medical, surgical); `groups` are
    the record numbers.

    Args:
        root: the folder with `set-a.tar.gz` or the folder `set-a`, and `Outcomes-a.txt`; None for the folder that `fetch`
            downloads to.
        cache: where the prepared arrays (7 MB) are kept; None for UNBRAID_CACHE or the user's cache folder.
        form: `corrected`, or `official` for scores that compare with published ones.
        seed: of the split.
        unlabelled: whether stays that are too short or too sparse to be scored train models too, as a split of their own.

    Raises:
        FileNotFoundError: the folder or a file is missing.
        ValueError: a file cannot be read, or a stay has no outcome; another `form`.
    """
    check_choice("form", form, tuple(HOURS))
    return from_published(
        "physionet2012",
        {"form": form, "seed": seed} | ({"unlabelled": True} if unlabelled else {}),
        {"files": PUBLISHED},
        lambda folder: _digest(_read_files(folder)),
        lambda space, folder: _build(folder, form, seed, unlabelled),
        root,
        cache,
    )


def fetch(folder: str | Path | None = None, *, base_url: str | None = None) -> Path:
    """Download set-a.tar.gz and Outcomes-a.txt, checked against their hashes; files that are there already are kept.

    Args:
        folder: where to put them; None for the cache's download folder, where `load` looks.
        base_url: the address that the files' names are appended to; None for the published one.

    Raises:
        ConnectionError: a file cannot be downloaded.
        ValueError: a downloaded file has another hash.
    """
    target = download_folder("physionet2012") if folder is None else Path(folder).expanduser()
    return fetch_files(target, base_url or BASE_URL, FILES)


def _read_files(folder: Path) -> dict[str, bytes]:
    """The content of the records of set a and of the outcomes, by the names of their files."""
    require_files("physionet2012", [folder / OUTCOMES])
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
        raise FileNotFoundError(
            f"root: {folder} holds neither set-a.tar.gz nor a folder set-a; run `unbraid data fetch physionet2012`"
        )
    if not files:
        raise FileNotFoundError(
            f"root: {packed if packed.is_file() else unpacked} holds no record (.txt); get it again"
        )
    return files | {OUTCOMES: (folder / OUTCOMES).read_bytes()}


def _digest(files: Mapping[str, bytes]) -> str:
    """A hash of names and contents: the same for the packed and the unpacked set."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {len(files[name])} ".encode() + files[name])
    return digest.hexdigest()[:16]


def _build(folder: Path, form: str, seed: int, unlabelled: bool) -> Sequences:
    stays = read_records({name: content for name, content in _read_files(folder).items() if name != OUTCOMES})
    official = official_hours(stays)
    kept = _kept(official, FEWEST_HOURS, MOST_MISSING)
    if len(kept) < 5:
        raise ValueError(
            f"root: of the {len(stays.record)} records in {folder} only {len(kept)} have {FEWEST_HOURS} hours and "
            f"at most {MOST_MISSING:.0%} of their values missing; at least 5 are needed"
        )
    others = np.setdiff1d(_kept(official, UNLABELLED_HOURS, UNLABELLED_MISSING), kept)
    used = np.concatenate([kept, others]) if unlabelled else kept
    death = _deaths(folder / OUTCOMES, stays.record[used])
    icu_type = stays.icu_type[used]
    if form == "official":
        series, parts = official, _official_split(len(kept), seed)
    else:
        series = hours_from_admission(stays, HOURS[form])
        parts = _stratified_split((4 * death + icu_type)[: len(kept)], seed)
    if len(used) > len(kept):
        parts[UNLABELLED] = np.arange(len(kept), len(used))
    order, splits = in_order_of_splits(parts)
    rows = used[order]
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


def _kept(series: list[np.ndarray], fewest_hours: int, most_missing: float) -> np.ndarray:
    """The stays that are long enough and have enough values."""
    return np.array(
        [
            row
            for row, values in enumerate(series)
            if len(values) >= fewest_hours and np.isnan(values).mean() <= most_missing
        ],
        dtype=np.int64,
    )


def _deaths(path: Path, records: np.ndarray) -> np.ndarray:
    """Who died in hospital, `(n,)` of 0 and 1.

    Raises:
        ValueError: a record has no outcome, two that differ, or one that is neither 0 nor 1.
    """
    values, _ = read_csv_columns(path, ("RecordID", "In-hospital_death"))
    deaths = dict(values.tolist())
    without = [record for record in records.tolist() if deaths.get(record) not in (0, 1)]
    if without:
        raise ValueError(
            f"root: {path} has no In-hospital_death of 0 or 1 for record {without[0]} ({len(without)} of the "
            f"{len(records)} stays); get it again"
        )
    return np.array([int(deaths[record]) for record in records.tolist()])


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
    """Order each stratum at random; every fifth stay is for testing, every fifth of the others for validation."""
    order = np.lexsort((np.random.default_rng(seed).permutation(len(stratum)), stratum))
    test, pool = order[::5], np.delete(order, np.s_[::5])
    validation, train = pool[::5], np.delete(pool, np.s_[::5])
    return {"train": np.sort(train), "validation": np.sort(validation), "test": np.sort(test)}
