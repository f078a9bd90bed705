"""Jester: people who make hand gestures in front of a webcam, 148,092 clips of 27 gestures.

J. Materzynska, G. Berger, I. Bax, R. Memisevic, "The Jester Dataset: A Large-Scale Video Dataset of Human
Gestures" (ICCV Workshops 2019). It is handed out under its own licence, as folders of JPG frames and lists:

    FOLDER/20bn-jester-v1/1/00001.jpg ...          one numbered folder for each clip, 12 frames a second
    FOLDER/jester-v1-train.csv                     lines NUMBER;GESTURE
    FOLDER/jester-v1-validation.csv                the same
    FOLDER/jester-v1-test.csv                      lines NUMBER; their gestures are not published
    FOLDER/jester-v1-labels.csv                    the gestures' names

The gesture is the only label of a clip; there is no static label.
"""

import csv
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from unbraid.cards import DataCard
from unbraid.data.checks import check_clip
from unbraid.data.formats.images import open_image
from unbraid.data.formats.paths import natural_order
from unbraid.data.labels import Label
from unbraid.data.sequences import Sequences
from unbraid.data.splits import consecutive_splits
from unbraid.data.store import Space, prepared
from unbraid.words import nearest

__all__ = ["card", "load"]

card = DataCard(
    name="jester",
    summary="hand gestures in front of a webcam, 27 classes: clips of 10 RGB frames, 64x64",
    source="The 20BN-Jester Dataset V1 (Qualcomm, formerly TwentyBN)",
    licence="the Jester dataset licence, for research only; not to be passed on",
    obtain="ask for it at https://www.qualcomm.com/developer/software/jester-dataset; then pass --data.root FOLDER, "
    "the one with 20bn-jester-v1/ and the lists jester-v1-train.csv and jester-v1-validation.csv",
    shape=(10, 3, 64, 64),
    kind="frames",
    protocols=("generation", "leakage"),
    choices=(
        "the published subset, number of frames, size and split are not known",
        "all 27 gestures, or those named by --data.gestures",
        "10 frames evenly spaced from the first to the last, so that the whole gesture is in the clip",
        "frames are squeezed to a square, so that hands at the left and right edge stay in the picture",
        "test: the published validation list (the published test list has no gestures and is left out); "
        "validation: a tenth of the training list at random",
    ),
)

FRAMES = "20bn-jester-v1"
LISTS = {"train": "jester-v1-train.csv", "test": "jester-v1-validation.csv"}
UNLABELLED = "jester-v1-test.csv"
NAMES = "jester-v1-labels.csv"


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    size: int = 64,
    steps: int = 10,
    gestures: list[str] | None = None,
    seed: int = 0,
) -> Sequences:
    """Load Jester: `(N, steps, 3, size, size)` uint8, dynamic label gesture.

    Args:
        root: the folder with `20bn-jester-v1` and the lists.
        cache: where the prepared clips (18 GB for all gestures) are kept; None for UNBRAID_CACHE or the user's cache folder.
        size: side of the frames, 16, 32, 64 or 128.
        steps: frames of a clip.
        gestures: names of the gestures to keep; None for all.
        seed: of the split of the training list.

    Raises:
        FileNotFoundError: no root, or the folder, a list or the folder of a clip is missing.
        ValueError: a clip has no gesture or too few frames, a frame is damaged, a gesture is unknown.
    """
    check_clip(size, steps)
    if root is None:
        raise FileNotFoundError(f"root: Jester cannot be downloaded; {card.obtain}")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"root: there is no folder {folder}; give the one with {LISTS['train']}")
    names = _gesture_names(folder)
    lists = {split: _read_list(folder / file, names) for split, file in LISTS.items()}
    frames = folder / FRAMES if (folder / FRAMES).is_dir() else folder
    _check_clips(folder, frames, lists)
    kept = tuple(names if gestures is None else gestures)
    for gesture in kept:
        if gesture not in names:
            raise ValueError(f"gestures: Jester has no gesture {gesture!r}{nearest(gesture, names)}")
    clips = {
        split: [(clip, gesture) for clip, gesture in rows if gesture in kept] for split, rows in lists.items()
    }
    if len(clips["train"]) < 2 or not clips["test"]:
        raise ValueError(
            f"gestures: {', '.join(kept)} have too few clips; 2 to train on and 1 to test are needed"
        )
    order = np.random.default_rng(seed).permutation(len(clips["train"]))
    held = max(1, len(order) // 10)
    rows = [clips["train"][i] for i in np.concatenate([order[held:], order[:held]])] + clips["test"]
    counts = {"train": len(order) - held, "validation": held, "test": len(clips["test"])}
    changed = [(clip, (frames / clip).stat().st_mtime_ns) for clip, _ in rows]
    options = {
        "clips": hashlib.sha256(repr((rows, changed)).encode()).hexdigest(),
        "gestures": list(kept),
        "size": size,
        "steps": steps,
        "seed": seed,
    }
    return prepared(
        "jester",
        options,
        lambda space: _build(space, frames, rows, kept, consecutive_splits(counts), (steps, size)),
        cache,
    )


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Line number and columns of each line that is not empty."""
    if not path.is_file():
        raise FileNotFoundError(f"root: there is no file {path}; it is handed out together with the frames")
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file, delimiter=";")]
    return [(number, row) for number, row in enumerate(rows, 1) if any(row)]


def _gesture_names(folder: Path) -> list[str]:
    """The gestures in the order of their list, or in alphabetical order where there is no list."""
    if (folder / NAMES).is_file():
        return [row[0] for _, row in _lines(folder / NAMES)]
    return sorted({row[1] for file in LISTS.values() for _, row in _lines(folder / file) if len(row) == 2})


def _read_list(path: Path, names: list[str]) -> list[tuple[str, str]]:
    clips = []
    for number, row in _lines(path):
        if len(row) != 2 or not all(row):
            raise ValueError(f"{path}: line {number} is {';'.join(row)!r}; it must be NUMBER;GESTURE")
        if row[1] not in names:
            raise ValueError(f"{path}: line {number} names the gesture {row[1]!r}{nearest(row[1], names)}")
        clips.append((row[0], row[1]))
    return clips


def _check_clips(folder: Path, frames: Path, lists: dict[str, list[tuple[str, str]]]) -> None:
    """Refuse a clip of the lists without a folder, and a folder without a line in a list."""
    folders = {
        entry.name for entry in os.scandir(frames) if entry.is_dir() and not entry.name.startswith(".")
    }
    listed = {clip for rows in lists.values() for clip, _ in rows}
    missing = sorted(listed - folders, key=natural_order)
    if missing:
        raise FileNotFoundError(
            f"root: {frames} has no folder {missing[0]} ({len(missing)} of the {len(listed)} clips in the lists are "
            "missing); unpack every part of the frames, or remove the lines from the lists"
        )
    test_clips = (
        {row[0] for _, row in _lines(folder / UNLABELLED)} if (folder / UNLABELLED).is_file() else set()
    )
    unlabelled = sorted(folders - listed - test_clips, key=natural_order)
    if unlabelled:
        raise ValueError(
            f"{frames / unlabelled[0]}: has no line in {' or '.join(LISTS.values())} ({len(unlabelled)} such "
            f"clips); label it, remove it, or list it in {UNLABELLED}, whose clips are left out"
        )


def _build(
    space: Space,
    frames: Path,
    rows: list[tuple[str, str]],
    gestures: tuple[str, ...],
    splits: dict[str, np.ndarray],
    shape: tuple[int, int],
) -> Sequences:
    steps, size = shape
    x = space.create((len(rows), steps, 3, size, size))
    for row, (clip, _) in enumerate(rows):
        files = sorted((frames / clip).glob("*.jpg"), key=lambda path: natural_order(path.name))
        if len(files) < steps:
            raise ValueError(f"{frames / clip}: has {len(files)} frames; a clip needs {steps}")
        x[row] = _read([files[i] for i in np.linspace(0, len(files) - 1, steps).round().astype(int)], size)
        space.advance(row + 1, len(rows))
    gesture = Label(np.array([gestures.index(name) for _, name in rows]), gestures, "dynamic")
    return Sequences(x, "jester", labels={"gesture": gesture}, splits=splits)


def _read(files: Sequence[Path], size: int) -> np.ndarray:
    images = [
        open_image(file).convert("RGB").resize((size, size), Image.Resampling.BILINEAR) for file in files
    ]
    return np.stack([np.asarray(image) for image in images]).transpose(0, 3, 1, 2)
