"""One's own data: a folder of videos, a folder of image folders, or one `.npy` or `.npz` file.

A folder is searched with all its sub-folders. Each video, GIF, or folder that directly holds images is one
sequence; images are taken in natural order (2 before 10). Frames are cropped to their central square and
resized. A long video is cut into clips of `steps` frames, the rest that does not fill one is left out; all
clips of a video stay in one split. A video shorter than `steps` becomes one padded sequence with its length.

Labels come from sub-folders (`walking/anna_3.mp4` gives the label `class` the value `walking`), or from a CSV
file with a header: first the column `file` (path within the folder), then one column for each label. A column
called `group` is no label: files of one group (a person, a camera) stay in one split.
"""

import csv
import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unbraid.data.checks import FRAME_SIZES
from unbraid.data.formats.images import IMAGE_ENDINGS, MOVIE_ENDINGS, natural_order, read_images, read_movie
from unbraid.data.sequences import Sequences, split_by_group
from unbraid.data.store import Space, prepared
from unbraid.words import nearest

__all__ = ["folder_labels", "load_folder", "read_labels"]

ARRAY_ENDINGS = (".npy", ".npz")


@dataclass(frozen=True)
class Source:
    """One video, or the images of one folder: its path within the folder, and its files."""

    name: str
    files: tuple[Path, ...]


def load_folder(
    folder: str | Path,
    *,
    name: str | None = None,
    size: int | None = None,
    steps: int | None = None,
    every: int | None = None,
    channels: int | None = None,
    labels: str | Path | None = None,
    dynamic_labels: Sequence[str] = (),
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    cache: str | Path | None = None,
) -> Sequences:
    """Load one's own videos, image folders or arrays: `(N, T, C, size, size)` uint8, split at random.

    Args:
        folder: a folder of videos or image folders; or a `.npy` file with x; or a `.npz` file with x and, if
            wanted, lengths, mask, groups and any number of labels by their names; see
            `Sequences.from_arrays`.
        name: the data set's name; None for the folder's.
        size: side of the frames, 16, 32, 64 (the default) or 128; for folders only, as the next four.
        steps: frames of a clip, 16 by default.
        every: keep every so many-th frame, 1 by default.
        channels: 3 (colour, the default) or 1 (grey).
        labels: CSV file with labels; None for the names of the sub-folders.
        dynamic_labels: names of the labels that describe motion; the others are static.
        fractions: shares of train, validation and test, counted in files or groups.
        seed: of the random split.
        cache: where the prepared frames are kept; see `store.cache_folder`.

    Raises:
        FileNotFoundError: no such folder, file or label file.
        ValueError: nothing to read, too few sequences, a damaged file, frames or labels that do not fit.
        ImportError: videos need the extra `video`.
    """
    path = Path(folder).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"folder: there is no folder or file {path}")
    called = name or re.sub(r"[^\w.-]+", "_", path.resolve().stem) or "own"
    if path.is_file():
        given = {"size": size, "steps": steps, "every": every, "channels": channels, "labels": labels}
        return _load_file(path, called, given, dynamic_labels, fractions, seed)
    size, steps = 64 if size is None else size, 16 if steps is None else steps
    every, channels = 1 if every is None else every, 3 if channels is None else channels
    for option, value, allowed in (("size", size, FRAME_SIZES), ("channels", channels, (1, 3))):
        if value not in allowed:
            raise ValueError(f"{option}: is {value}; choose one of {', '.join(map(str, allowed))}")
    if steps < 2 or every < 1:
        raise ValueError(f"steps, every: are {steps} and {every}; at least 2 and 1 are needed")
    sources = _find(path)
    names = [source.name for source in sources]
    table = read_labels(Path(labels).expanduser(), names) if labels else folder_labels(names)
    groups = np.array(table.pop("group", names))
    if isinstance(dynamic_labels, str):
        dynamic_labels = (dynamic_labels,)
    for label in dynamic_labels:
        if label not in table:
            raise ValueError(f"dynamic_labels: no label is called {label!r}{nearest(label, table)}")
    # Rows in the order of the splits, so that each split is one piece of the prepared file.
    order = np.concatenate(list(split_by_group(groups, fractions, seed).values()))
    sources, groups = [sources[place] for place in order], groups[order]
    table = {label: [values[place] for place in order] for label, values in table.items()}
    files = [(file, file.stat()) for source in sources for file in source.files]
    listing = [(str(file.relative_to(path)), about.st_size, about.st_mtime_ns) for file, about in files]
    options = {
        "files": hashlib.sha256(repr(listing).encode()).hexdigest(),
        "labels": hashlib.sha256(repr((table, groups.tolist())).encode()).hexdigest(),
        "dynamic_labels": list(dynamic_labels),
        "size": size,
        "steps": steps,
        "every": every,
        "channels": channels,
        "fractions": list(fractions),
        "seed": seed,
    }

    def build(space: Space) -> Sequences:
        x, owner, lengths = _read(space, sources, (steps, channels, size, size), every)
        return Sequences.from_arrays(
            x,
            name=called,
            lengths=None if (lengths == x.shape[1]).all() else lengths,
            labels={key: np.asarray(values)[owner] for key, values in table.items()},
            dynamic_labels=dynamic_labels,
            groups=groups[owner],
            fractions=fractions,
            seed=seed,
        )

    return prepared(called, options, build, cache)


def _find(folder: Path) -> list[Source]:
    """The sequences of a folder, in natural order."""
    movies: list[Source] = []
    images: dict[Path, list[Path]] = {}
    files = sorted(
        (file for file in folder.rglob("*") if file.is_file()), key=lambda f: natural_order(str(f))
    )
    for file in files:
        if any(part.startswith(".") for part in file.relative_to(folder).parts):
            continue
        if file.suffix.lower() in MOVIE_ENDINGS:
            movies.append(Source(file.relative_to(folder).as_posix(), (file,)))
        elif file.suffix.lower() in IMAGE_ENDINGS:
            images.setdefault(file.parent, []).append(file)
    if folder in images and len(images) == 1 and not movies:
        raise ValueError(
            f"folder: the images lie directly in {folder}; give each sequence a sub-folder of its own"
        )
    images.pop(folder, None)  # a picture beside the videos, a poster or a plot
    sources = movies + [Source(k.relative_to(folder).as_posix(), tuple(v)) for k, v in images.items()]
    if not sources:
        found = sorted({file.suffix or file.name for file in files})
        raise ValueError(
            f"folder: {folder} holds no video and no folder of images, found "
            f"{', '.join(found[:8]) or 'nothing'}; videos are {', '.join(MOVIE_ENDINGS)}, "
            f"images {', '.join(IMAGE_ENDINGS)}"
        )
    if len(sources) < 3:
        raise ValueError(
            f"folder: {folder} holds {len(sources)} sequences; training, validation and test need one each, "
            "at least 3 files or image folders"
        )
    for source in sources:
        if len(source.files) == 1 and source.files[0].suffix.lower() in IMAGE_ENDINGS:
            raise ValueError(f"{source.files[0].parent}: holds one image; a sequence needs at least 2")
    return sorted(sources, key=lambda source: natural_order(source.name))


def folder_labels(names: Sequence[str]) -> dict[str, list[str]]:
    """The label `class` from the sub-folders, where every sequence lies in one and they differ."""
    parents = [name.rpartition("/")[0] for name in names]
    return {"class": parents} if all(parents) and 1 < len(set(parents)) < len(parents) else {}


def read_labels(path: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """The columns of a CSV file of labels, in the order of `names`, which its column `file` must hold.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such table, or lacks or repeats a name.
    """
    if not path.is_file():
        raise FileNotFoundError(f"labels: there is no file {path}")
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    header = [column.strip() for column in rows[0]] if rows else []
    if len(header) < 2 or header[0] != "file" or len(set(header)) < len(header):
        raise ValueError(
            f"labels: the first line of {path} is {','.join(header)!r}; it must be file,label,..."
        )
    table: dict[str, list[str]] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(row):
            continue
        values = [value.strip() for value in row]
        if len(values) != len(header) or not all(values):
            raise ValueError(
                f"labels: line {number} of {path} is {','.join(row)!r}; fill {len(header)} columns"
            )
        if values[0] not in names:
            raise ValueError(
                f"labels: line {number} of {path} names {values[0]!r}{nearest(values[0], names)}"
            )
        if values[0] in table:
            raise ValueError(f"labels: line {number} of {path} names {values[0]!r} a second time")
        table[values[0]] = values[1:]
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(f"labels: {path} has no line for {missing[0]!r} ({len(missing)} in all); add it")
    return {label: [table[name][place] for name in names] for place, label in enumerate(header[1:])}


def _read(
    space: Space, sources: list[Source], shape: tuple[int, ...], every: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decode each source once, first to a raw file; gives x, and the source and the length of each clip."""
    steps, *frame = shape
    owner: list[int] = []
    lengths: list[int] = []
    raw = space.folder / "frames.raw"
    with open(raw, "wb") as file:
        for place, source in enumerate(sources):
            count = 0
            for picture in _frames(source, frame[-1], frame[0], every):
                file.write(picture.tobytes())
                count += 1
            if count < 2:
                raise ValueError(f"{source.files[0]}: has {count} frame at every={every}; a sequence needs 2")
            clips = [steps] * (count // steps) or [count]
            file.truncate(file.seek(sum(clips + lengths) * int(np.prod(frame))))
            owner += [place] * len(clips)
            lengths += clips
            space.advance(place + 1, len(sources))
    flat = np.memmap(raw, np.uint8, "r", shape=(sum(lengths), *frame))
    x = space.create((len(lengths), max(lengths), *frame))
    start = 0
    for clip, length in enumerate(lengths):
        x[clip, :length] = flat[start : start + length]
        start += length
    del flat
    raw.unlink()
    return x, np.array(owner), np.array(lengths)


def _frames(source: Source, size: int, channels: int, every: int) -> Iterator[np.ndarray]:
    if source.files[0].suffix.lower() in MOVIE_ENDINGS:
        return read_movie(source.files[0], size, channels, every)
    return read_images(source.files, size, channels, every)


def _load_file(
    path: Path,
    name: str,
    given: Mapping[str, object],
    dynamic_labels: Sequence[str],
    fractions: tuple[float, float, float],
    seed: int,
) -> Sequences:
    """Sequences of a `.npy` or `.npz` file."""
    if path.suffix.lower() not in ARRAY_ENDINGS:
        raise ValueError(
            f"folder: {path} is one file; give a folder of at least 3 videos, or a .npy or .npz file"
        )
    for option, value in given.items():
        if value is not None:
            raise ValueError(f"{option}: is for folders of videos or images; {path.name} is taken as it is")
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        arrays = {"x": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: is damaged or no array of numbers ({error}); save it with numpy.save"
        ) from error
    if "x" not in arrays:
        raise ValueError(f"{path}: has no array called 'x'; found {', '.join(arrays) or 'nothing'}")
    try:
        return Sequences.from_arrays(
            arrays.pop("x"),
            name=name,
            lengths=arrays.pop("lengths", None),
            mask=arrays.pop("mask", None),
            groups=arrays.pop("groups", None),
            labels=arrays,
            dynamic_labels=dynamic_labels,
            fractions=fractions,
            seed=seed,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
