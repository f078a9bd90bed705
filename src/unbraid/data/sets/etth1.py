"""ETTh1: load and oil temperature of an electricity transformer, hourly, July 2016 to June 2018.

The six loads are the input; a sequence is 28 days, one window a day. The target `oil_temperature` is the mean of each day
in °C; it is no input and is not scaled. It falls over the two years, so the score of a constant prediction depends on the
split:

- `blocked` (the default of the corrected form): 25 consecutive blocks of 28 days. Of each five, three are for training,
  one for validation, one for testing. This removes the drift.
- `official` (the default of the official form): as in the code published with DBSE. The first 28 days of each calendar
  month; 2016 is the test split, 15% of the other months, at random, are the validation split. The two forms differ in
  the default split only.
- `ett_12_4_4`: the borders usual for this file, 12, 4 and 4 times 30 days.

With a `stride` below 28 days, the train split also has the sequences in between, one every `stride` days, that share no
hour with validation or test.
"""

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
from unbraid.data.sequences import Sequences
from unbraid.data.splits import SPLITS, consecutive_splits
from unbraid.data.store import download_folder, from_published, require_files

__all__ = ["card", "fetch", "load"]

card = DataCard(
    name="etth1",
    summary="six loads and the oil temperature of a transformer: 28-day sequences, hourly over two years",
    source="https://github.com/zhouhaoyi/ETDataset (H. Zhou et al., AAAI 2021, https://arxiv.org/abs/2012.07436)",
    licence="CC BY-ND 4.0",
    obtain="unbraid data fetch etth1 (2.6 MB), or --data.root with the folder of ETTh1.csv",
    shape=(28, 24, 6),
    kind="windows",
    protocols=("downstream",),
)

COMMIT = "1d16c8f4f943005d613b5bc962e9eeb06058cf07"
BASE_URL = f"https://raw.githubusercontent.com/zhouhaoyi/ETDataset/{COMMIT}/ETT-small/"
FILE = "ETTh1.csv"
FILES = {FILE: "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066"}
FEATURES = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL")  # useful and useless load, high, middle and low
TARGET = "OT"
WINDOW, DAYS = 24, 28
HOURS = WINDOW * DAYS
TEST_YEAR, TRAIN_SHARE = 2016, 0.85
BORDERS = np.array([0, 12, 16, 20]) * 30 * 24  # hours; train, validation and test lie between
DEFAULT_SPLIT = {"corrected": "blocked", "official": "official"}


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    form: Literal["corrected", "official"] = "corrected",
    split: Literal["blocked", "official", "ett_12_4_4"] | None = None,
    stride: int = DAYS,
    seed: int = 0,
) -> Sequences:
    """Load the 28-day sequences: x `(N, 28, 24, 6)`, scaled; target `oil_temperature` `(N, 28)` in °C.

    N is 25 (`blocked`), 23 (`official`) or 20 (`ett_12_4_4`), more with a stride. Nothing is missing, so there is no
    mask.

    Args:
        root: the folder with ETTh1.csv; None for the folder that `fetch` downloads to.
        cache: where the prepared arrays (under 1 MB) are kept; None for UNBRAID_CACHE or the user's cache folder.
        form: `corrected`, or `official` for scores that compare with published ones.
        split: how sequences are cut and split; None for the form's default.
        stride: days from one training sequence to the next; below 28 they overlap.
        seed: of the random part of the split `official`.

    Raises:
        FileNotFoundError: the folder or the file is missing.
        ValueError: the file cannot be read or has gaps; another `form` or `split`; a stride that is not 1 to 28.
    """
    check_choice("form", form, tuple(DEFAULT_SPLIT))
    split_name = split or DEFAULT_SPLIT[form]
    check_choice("split", split_name, tuple(CUTS))
    check_stride(stride, DAYS)
    options = {"split": split_name, "seed": seed if split_name == "official" else None}
    if stride != DAYS:
        options["stride"] = stride
    return from_published(
        "etth1",
        options,
        {"file": FILES[FILE]},
        _digest,
        lambda space, folder: _build(folder / FILE, split_name, stride, seed),
        root,
        cache,
    )


def fetch(folder: str | Path | None = None, *, base_url: str | None = None) -> Path:
    """Download ETTh1.csv, checked against its hash; a file that is there already is kept.

    Args:
        folder: where to put it; None for the cache's download folder, where `load` looks.
        base_url: the address that the file's name is appended to; None for the published one.

    Raises:
        ConnectionError: the file cannot be downloaded.
        ValueError: the downloaded file has another hash.
    """
    target = download_folder("etth1") if folder is None else Path(folder).expanduser()
    return fetch_files(target, base_url or BASE_URL, FILES)


def _digest(folder: Path) -> str:
    require_files("etth1", [folder / FILE])
    return pooch.file_hash(str(folder / FILE))


def _build(path: Path, split: str, stride: int, seed: int) -> Sequences:
    values, texts = read_csv_columns(path, (*FEATURES, TARGET), ("date",))
    times = _times(path, texts["date"])
    if np.isnan(values).any():
        row, column = np.argwhere(np.isnan(values))[0]
        raise ValueError(
            f"{path}, line {row + 2}, column {(*FEATURES, TARGET)[column]!r}: is empty; get the file again"
        )
    firsts, splits = CUTS[split](times, seed)
    apart = splits["train"]  # without overlap, so that every hour has the same weight in the scaling
    if stride < DAYS:
        more = overlapping_starts(firsts, splits, HOURS, stride * WINDOW)
        splits = splits | {"train": np.concatenate([apart, len(firsts) + np.arange(len(more))])}
        firsts = np.concatenate([firsts, more])
    rows = np.stack([values[first : first + HOURS] for first in firsts])
    windows, _ = cut_windows(list(rows[..., :-1]), WINDOW)
    x, _, scaling = scale_windows(windows, apart)
    return Sequences(
        x,
        "etth1",
        splits=splits,
        targets={"oil_temperature": window_means(rows[..., -1], WINDOW)},
        times=times[firsts][:, None] + np.arange(DAYS) * np.timedelta64(1, "D"),
        scaling=scaling,
        feature_names=FEATURES,
        sampling_rate=1 / 3600,
    )


def _times(path: Path, dates: np.ndarray) -> np.ndarray:
    try:
        times = dates.astype("datetime64[s]")
    except ValueError as error:
        raise ValueError(f"{path}: column 'date': {error}; it must be as 2016-07-01 00:00:00") from error
    gaps = np.flatnonzero(np.diff(times) != np.timedelta64(1, "h"))
    if len(gaps):
        raise ValueError(
            f"{path}, line {gaps[0] + 3}: {dates[gaps[0] + 1]} does not follow {dates[gaps[0]]} by one hour; "
            "get the file again"
        )
    if len(times) < BORDERS[-1]:
        raise ValueError(f"{path}: has {len(times)} hours; {BORDERS[-1]} are needed; get the file again")
    return times


Cut = tuple[np.ndarray, dict[str, np.ndarray]]  # the hour at which each sequence starts, and the splits


def _blocked(times: np.ndarray, seed: int) -> Cut:
    blocks = np.arange(len(times) // HOURS)
    place = blocks % 5
    splits = {"train": place < 3, "validation": place == 3, "test": place == 4}
    return blocks * HOURS, {name: np.flatnonzero(rows) for name, rows in splits.items()}


def _official(times: np.ndarray, seed: int) -> Cut:
    months = times.astype("datetime64[M]")
    _, firsts, hours = np.unique(months, return_index=True, return_counts=True)
    firsts = firsts[hours >= HOURS]
    test = times[firsts].astype("datetime64[Y]").astype(int) + 1970 == TEST_YEAR
    pool = np.random.default_rng(seed).permutation(np.flatnonzero(~test))
    train = int(TRAIN_SHARE * len(pool))
    return firsts, {
        "train": np.sort(pool[:train]),
        "validation": np.sort(pool[train:]),
        "test": np.flatnonzero(test),
    }


def _ett_12_4_4(times: np.ndarray, seed: int) -> Cut:
    counts = np.diff(BORDERS) // HOURS
    firsts = [start + HOURS * np.arange(count) for start, count in zip(BORDERS[:-1], counts, strict=True)]
    return np.concatenate(firsts), consecutive_splits(dict(zip(SPLITS, counts.tolist(), strict=True)))


CUTS = {"blocked": _blocked, "official": _official, "ett_12_4_4": _ett_12_4_4}
