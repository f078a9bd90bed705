"""Recordings at a path, read one by one as the data of a trained model were: resized, cut and scaled in the same way.

A recording is a video, a folder of images or a sound file. A new kind of observation needs a row in `READERS`.
"""

import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unbraid.data.features import Features
from unbraid.data.formats.images import IMAGE_ENDINGS, read_images
from unbraid.data.formats.paths import files_below, say_left_out
from unbraid.data.formats.sounds import AUDIO_ENDINGS, cut, open_audio
from unbraid.data.formats.spectra import features_in_blocks, frame_count
from unbraid.data.formats.video import MOVIE_ENDINGS, read_movie
from unbraid.data.own.frames import say_rates
from unbraid.data.sequences import Sequences, lengths_or_none, names_of_pieces
from unbraid.io import load_features
from unbraid.kinds import Kind, kind_of
from unbraid.remarks import remark
from unbraid.training import Run
from unbraid.training.run_folder import check_same_data, load_run_data

__all__ = ["READERS", "Clip", "Reader", "Source", "reader"]

Clip = tuple[str, np.ndarray]
"""A sequence `(T, *X)` with its name."""


@dataclass(frozen=True)
class Source:
    """A recording.

    Attributes:
        name: of the file or folder, below the path that was listed.
        files: the file, or the pictures of a folder in their order.
    """

    name: str
    files: tuple[Path, ...]


class Reader(ABC):
    """Lists the recordings at or below a path and reads each; safe to use from several threads.

    Args:
        path: a file or a folder.
        run: the run whose model will read them.
        steps: frames of a clip of videos and images; longer ones are cut. None: whole.
    """

    def __init__(self, path: Path, run: Run, steps: int | None) -> None:
        self.path, self.run, self.steps = path, run, steps

    @abstractmethod
    def sources(self) -> list[Source]:
        """The recordings, in natural order; says which files are left out.

        Raises:
            ValueError: there is none that the model can read.
        """

    @abstractmethod
    def read(self, source: Source) -> list[Clip]:
        """The sequences that a recording is cut into.

        Raises:
            ValueError: the recording cannot be read.
        """

    def together(self, clips: Sequence[Clip]) -> Sequences:
        """Clips of different lengths as one set of sequences."""
        lengths = np.array([len(clip) for _, clip in clips])
        first = clips[0][1]
        x = np.zeros((len(clips), lengths.max(), *first.shape[1:]), first.dtype)
        for row, (_, clip) in zip(x, clips, strict=True):
            row[: len(clip)] = clip
        names = tuple(name for name, _ in clips)
        return Sequences(x, self.path.stem, lengths=lengths_or_none(lengths, x.shape[1]), names=names)


def reader(path: Path, run: Run, steps: int | None) -> Reader:
    """The reader of everything at or below a path that the run's model can read."""
    kind = kind_of(run.model.observation)
    if kind == "vectors":  # or sound, which has the same shape: the run's data tell
        kind = "vectors" if _trained_features(run).sound is None else "sound"
    return READERS[kind](path, run, steps)


def _files(path: Path) -> list[Path]:
    """The file at a path, or all files below it, in natural order."""
    return [path] if path.is_file() else files_below(path)


def _name(file: Path, path: Path) -> str:
    """What a file at or below a path is called."""
    return file.name if file == path else file.relative_to(path).as_posix()


# ---- videos and folders of images -----------------------------------------------------------------------


class _Frames(Reader):
    """Videos and folders of images."""

    def sources(self) -> list[Source]:
        files = _files(self.path)
        movies = [file for file in files if file.suffix.lower() in MOVIE_ENDINGS]
        images: dict[Path, list[Path]] = {}
        for file in files:
            if file.suffix.lower() in IMAGE_ENDINGS and self.path.is_dir():
                images.setdefault(file.parent, []).append(file)
        if not movies and not images:
            raise ValueError(f"input: {self.path} is no video and holds no video and no image")
        if len(images) > 1 or movies:
            images.pop(self.path, None)  # a picture beside the videos, perhaps a poster or a plot
        used = [*movies, *itertools.chain.from_iterable(images.values())]
        say_left_out(self.path, files, used)
        if self.run.config["data"].get("fps") is None:
            say_rates([*movies, *(pictures[0] for pictures in images.values())])
        return [Source(_name(file, self.path), (file,)) for file in movies] + [
            Source(folder.name if folder == self.path else _name(folder, self.path), tuple(pictures))
            for folder, pictures in images.items()
        ]

    def read(self, source: Source) -> list[Clip]:
        channels, size, _ = self.run.model.observation
        options = self.run.config["data"]
        every = options.get("every") or 1
        if source.files[0].suffix.lower() in MOVIE_ENDINGS:
            pictures = read_movie(source.files[0], size, channels, every, options.get("fps"))
        else:
            pictures = read_images(source.files, size, channels, every)
        clips = _cut(pictures, self.steps)
        if len(clips[0]) < 2:
            raise ValueError(
                f"{self.path}: {source.name} has {len(clips[0])} frame; a sequence needs at least 2"
            )
        names = names_of_pieces([source.name], np.zeros(len(clips), int))
        return list(zip(names, clips, strict=True))


def _cut(pictures: Iterator[np.ndarray], steps: int | None) -> list[np.ndarray]:
    """Clips of `steps` pictures, one after the other; all pictures in one clip where they are fewer, or where it is None."""
    clips: list[np.ndarray] = []
    while rest := list(itertools.islice(pictures, steps)):
        if clips and len(rest) < len(clips[0]):
            break
        clips.append(np.stack(rest))
    return clips or [np.zeros(0)]


# ---- sounds ---------------------------------------------------------------------------------------------


class _Sounds(Reader):
    """Sound files."""

    def __init__(self, path: Path, run: Run, steps: int | None) -> None:
        super().__init__(path, run, steps)
        self.features = _trained_features(run)

    def sources(self) -> list[Source]:
        listed = _files(self.path)
        files = [file for file in listed if file.suffix.lower() in AUDIO_ENDINGS]
        if not files:
            raise ValueError(
                f"input: {self.run.folder} reads sound; {self.path} is no sound file and holds none"
            )
        say_left_out(self.path, listed, files)
        return [Source(_name(file, self.path), (file,)) for file in files]

    def read(self, source: Source) -> list[Clip]:
        path, trained, options = source.files[0], self.features, self.run.config["data"]
        if trained.sound is None or trained.scaling is None:
            raise ValueError(f"{path}: is sound; {self.run.folder} was not trained on sound")
        kind, rate = trained.sound.kind, trained.sound.sampling_rate
        recording = open_audio(path, rate, options.get("channel"))
        for text in recording.remarks:
            remark(f"{path}: {text}")
        if frame_count(recording.samples, kind, rate) < 2:
            milliseconds = 1000 * recording.samples / rate
            raise ValueError(f"{path}: lasts {milliseconds:.0f} ms, too short for two frames")
        blocks = features_in_blocks(recording.blocks(), kind, rate)
        frames = np.concatenate([trained.scaling.apply(block) for block in blocks])
        pieces = cut(len(frames), options.get("segment") or "segment", options.get("steps"))
        names = names_of_pieces([source.name], np.zeros(len(pieces), int))
        return [
            (name, frames[start : start + length])
            for name, (start, length) in zip(names, pieces, strict=True)
        ]

    def together(self, clips: Sequence[Clip]) -> Sequences:
        recordings = [name.partition("#")[0] for name, _ in clips]
        trained = self.features
        return replace(
            super().together(clips),
            sound=trained.sound,
            scaling=trained.scaling,
            feature_names=trained.names,
            units=trained.units,
            sampling_rate=trained.sampling_rate,
            groups=np.unique(recordings, return_inverse=True)[1],
        )


def _trained_features(run: Run) -> Features:
    """What the run's model reads: as kept with the model, or, of a run that kept no kind of sound, as in its data."""
    with contextlib.suppress(FileNotFoundError):
        features = load_features(run.folder)
        if features.sound is not None:
            return features
    data = load_run_data(run.config)
    if data.sound is not None:
        check_same_data(run.folder, data)
    return Features(data.feature_names or (), data.units, data.scaling, data.sampling_rate, data.sound)


# ---- kinds of which there are no recordings -------------------------------------------------------------


class _NoRecordings(Reader):
    """Series, which are read from tables and arrays."""

    def sources(self) -> list[Source]:
        raise ValueError(
            f"input: {self.run.folder} reads series; give a table (CSV, Parquet) or a NumPy file, not {self.path}"
        )

    def read(self, source: Source) -> list[Clip]:
        return []


READERS: Mapping[Kind, type[Reader]] = {
    "frames": _Frames,
    "sound": _Sounds,
    "vectors": _NoRecordings,
    "windows": _NoRecordings,
}
"""How files and folders are read, by the kind of observation that the model reads."""
