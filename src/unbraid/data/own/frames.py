"""Your own videos: a folder of video files, or a folder of folders of images.

A folder is searched with all its sub-folders. Each video, each GIF and each folder that directly holds images is one
sequence. Images are read in natural order (2 before 10). Frames are cropped to their central square and resized. A long
video is cut into clips of `steps` frames; the rest at its end is left out. All clips of a video go into one split. A video
that is shorter than `steps` becomes one padded sequence with its length.

Labels come from the sub-folders (`walking/anna_3.mp4` gives the label `class` the value `walking`), or from a CSV file
with a header: first the column `file` (the path within the folder), then one column for each label. The column `group`
is no label: all files of a group (a person, a camera) go into one split.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from unbraid.data.checks import check_choice
from unbraid.data.formats.images import IMAGE_ENDINGS, read_images
from unbraid.data.formats.paths import (
    files_below,
    files_digest,
    name_of,
    natural_order,
    refuse_broken,
    say_left_out,
)
from unbraid.data.formats.video import MOVIE_ENDINGS, frame_rate, read_movie
from unbraid.data.labels import check_dynamic_labels
from unbraid.data.own.labels import folder_labels, read_labels
from unbraid.data.sequences import Sequences, lengths_or_none, names_of_pieces
from unbraid.data.splits import split_by_group
from unbraid.data.store import Space, prepared
from unbraid.kinds import FRAME_SIZES
from unbraid.remarks import remark

__all__ = ["load_frames", "say_rates"]


@dataclass(frozen=True)
class Source:
    """One video, or the images of one folder: its path within the folder, and its files."""

    name: str
    files: tuple[Path, ...]


def load_frames(
    folder: str | Path,
    *,
    name: str | None = None,
    size: int = 64,
    steps: int = 16,
    every: int = 1,
    fps: float | None = None,
    channels: int = 3,
    labels: str | Path | None = None,
    dynamic_labels: Sequence[str] = (),
    unusable: Literal["refuse", "leave_out"] = "refuse",
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    cache: str | Path | None = None,
) -> Sequences:
    """Load your own videos or image folders: `(N, T, C, size, size)` uint8, split at random.

    Args:
        folder: of videos or image folders.
        name: the data set's name; None for the folder's.
        size: side of the frames: 16, 32, 64 or 128 pixels.
        steps: frames of a clip, 2 or more.
        every: keep every n-th frame.
        fps: frames per second to which videos are resampled, before `every`; None for the frames as they are, which is
            said where videos differ in their rate. Not for folders of images.
        channels: 3 (colour) or 1 (grey).
        labels: CSV file with labels; None for the names of the sub-folders.
        dynamic_labels: names of the labels that describe the motion; the others are static.
        unusable: what to do with files that cannot be read: `refuse`, or `leave_out`: read the others, and say which were left out.
        fractions: shares of train, validation and test, counted in files or groups.
        seed: of the random split.
        cache: where the prepared frames are kept; None for UNBRAID_CACHE or the user's cache folder.

    Raises:
        FileNotFoundError: the folder or the label file is missing.
        ValueError: nothing to read, too few sequences, a damaged file, or frames or labels that do not fit.
        ImportError: videos need the extra `video`.
    """
    path = Path(folder).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"folder: there is no folder {path}")
    if path.is_file():
        raise ValueError(
            f"folder: {path} is one file; give a folder of at least 3 videos, or a .npy or .npz file"
        )
    check_choice("size", size, FRAME_SIZES)
    check_choice("channels", channels, (1, 3))
    check_choice("unusable", unusable, ("refuse", "leave_out"))
    if fps is not None and not 0 < fps <= 1000:
        raise ValueError(f"fps: is {fps}; give frames per second, more than 0")
    if steps < 2 or every < 1:
        raise ValueError(f"steps, every: are {steps} and {every}; at least 2 and 1 are needed")
    sources = _find(path)
    names = [source.name for source in sources]
    table = read_labels(Path(labels).expanduser(), names) if labels else folder_labels(names)
    groups = np.array(table.pop("group", names))
    dynamic_labels = check_dynamic_labels(dynamic_labels, table)
    split_by_group(groups, fractions, seed)  # refuses too few groups before films are read
    options = {
        "files": files_digest((file for source in sources for file in source.files), path),
        "labels": hashlib.sha256(repr((table, groups.tolist())).encode()).hexdigest(),
        "dynamic_labels": list(dynamic_labels),
        "size": size,
        "steps": steps,
        "every": every,
        "fps": fps,
        "unusable": unusable,
        "channels": channels,
        "fractions": list(fractions),
        "seed": seed,
    }
    data_name = name or name_of(path)

    def build(space: Space) -> Sequences:
        if fps is None:
            say_rates([source.files[0] for source in sources])
        leave_out = unusable == "leave_out"
        x, owner, lengths = _read(space, sources, (steps, channels, size, size), every, fps, leave_out)
        if len(set(groups[owner])) < 3:
            raise ValueError(
                f"folder: {path} holds too few sequences (or groups) that can be read; 3 are needed"
            )
        return Sequences.from_arrays(
            x,
            name=data_name,
            lengths=lengths_or_none(lengths, x.shape[1]),
            labels={key: np.asarray(values)[owner] for key, values in table.items()},
            dynamic_labels=dynamic_labels,
            groups=groups[owner],
            names=names_of_pieces(names, owner),
            fractions=fractions,
            seed=seed,
        )

    return prepared(data_name, options, build, cache, version=3)


def _find(folder: Path) -> list[Source]:
    """The sequences of a folder, in natural order."""
    movies: list[Source] = []
    images: dict[Path, list[Path]] = {}
    files = files_below(folder)
    for file in files:
        if file.suffix.lower() in MOVIE_ENDINGS:
            movies.append(Source(file.relative_to(folder).as_posix(), (file,)))
        elif file.suffix.lower() in IMAGE_ENDINGS:
            images.setdefault(file.parent, []).append(file)
    if folder in images and len(images) == 1 and not movies:
        raise ValueError(
            f"folder: the images lie directly in {folder}; give each sequence a sub-folder of its own"
        )
    images.pop(folder, None)  # a picture beside the videos, such as a poster or a plot
    sources = movies + [Source(k.relative_to(folder).as_posix(), tuple(v)) for k, v in images.items()]
    if not sources:
        endings = sorted({file.suffix or file.name for file in files})
        raise ValueError(
            f"folder: {folder} holds no video and no folder of images, found "
            f"{', '.join(endings[:8]) or 'nothing'}; videos are {', '.join(MOVIE_ENDINGS)}, "
            f"images {', '.join(IMAGE_ENDINGS)}. Sounds of other endings must be converted, such as with: ffmpeg -i "
            "sound.m4a sound.wav"
        )
    if len(sources) < 3:
        raise ValueError(
            f"folder: {folder} holds {len(sources)} sequences; training, validation and test need one each, "
            "at least 3 files or image folders"
        )
    say_left_out(folder, files, [file for source in sources for file in source.files])
    for source in sources:
        if len(source.files) == 1 and source.files[0].suffix.lower() in IMAGE_ENDINGS:
            raise ValueError(f"{source.files[0].parent}: holds one image; a sequence needs at least 2")
    return sorted(sources, key=lambda source: natural_order(source.name))


def say_rates(files: Sequence[Path]) -> None:
    """Say in one line that videos differ in their frames per second, for then one step is not one time."""
    rates = Counter(frame_rate(file) for file in files if file.suffix.lower() in MOVIE_ENDINGS)
    if len(rates.keys() - {"unknown"}) > 1:
        counts = ", ".join(
            f"{count} of {rate or 'unknown'}" for rate, count in sorted(rates.items(), key=str)
        )
        remark(f"videos differ in their frames per second: {counts}; pass fps to resample them to one rate")


def _read(
    space: Space,
    sources: list[Source],
    shape: tuple[int, ...],
    every: int,
    fps: float | None,
    leave_out: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decode each source once, into a temporary raw file, and cut it into clips of `shape`.

    Returns:
        x; the number of the source of each clip; the length of each clip.

    Raises:
        ValueError: naming all sources that cannot be read, unless they are left out; or none can be read.
    """
    steps, *frame = shape
    owner: list[int] = []
    lengths: list[int] = []
    broken: list[str] = []
    raw = space.folder / "frames.raw"
    with open(raw, "wb") as file:
        for place, source in enumerate(sources):
            count = 0
            try:
                for picture in _frames(source, frame[-1], frame[0], every, fps):
                    file.write(picture.tobytes())
                    count += 1
                if count < 2:
                    raise ValueError(
                        f"{source.files[0]}: has {count} frame at every={every}; a sequence needs 2"
                    )
            except ValueError as error:
                broken.append(str(error))
                file.truncate(file.seek(sum(lengths) * int(np.prod(frame))))
                continue
            clips = [steps] * (count // steps) or [count]
            file.truncate(file.seek(sum(clips + lengths) * int(np.prod(frame))))
            owner += [place] * len(clips)
            lengths += clips
            space.advance(place + 1, len(sources))
    refuse_broken(broken, len(sources), leave_out)
    flat = np.memmap(raw, np.uint8, "r", shape=(sum(lengths), *frame))
    x = space.create((len(lengths), max(lengths), *frame))
    start = 0
    for clip, length in enumerate(lengths):
        x[clip, :length] = flat[start : start + length]
        start += length
    del flat
    raw.unlink()
    return x, np.array(owner), np.array(lengths)


def _frames(source: Source, size: int, channels: int, every: int, fps: float | None) -> Iterator[np.ndarray]:
    if source.files[0].suffix.lower() in MOVIE_ENDINGS:
        return read_movie(source.files[0], size, channels, every, fps)
    return read_images(source.files, size, channels, every)
