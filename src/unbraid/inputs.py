"""Sequences that a command names: rows of a run's data, files and folders of one's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unbraid.cli.common import load_data
from unbraid.registry import DATASETS
from unbraid.words import nearest

if TYPE_CHECKING:
    from unbraid.data.sequences import Sequences
    from unbraid.training import Run

__all__ = ["one", "parts"]

SPLITS = ("train", "validation", "test")
STEPS = 16  # of a clip, as in `load_frames`
TOGETHER = 64  # clips of one's own that are in memory at once


def one(text: str, run: "Run", argument: str) -> "Sequences":
    """The one sequence that `text` names: `test:12` of the run's data, a video, an image folder, `X.npy:3`.

    A sound file gives all the sequences that it is cut into.

    Raises:
        ValueError: it names nothing, or something that the model cannot read.
        FileNotFoundError: there is no such file.
    """
    from unbraid.data.formats.sounds import AUDIO_ENDINGS

    where, colon, number = text.rpartition(":")
    if colon and number.isdecimal():
        whole = load_data(run.config).split(where) if where in SPLITS else _load_own(where, argument)
        data = _checked(whole, run, argument)
        if int(number) >= len(data):
            raise ValueError(
                f"{argument}: {where} has {len(data)} sequences; {number} is none of 0 to {len(data) - 1}"
            )
        return data.take(np.array([int(number)]))
    path = Path(text).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{argument}: there is no file {text}; or name a row, as in test:12")
    if path.suffix.lower() in (".npy", ".npz"):
        raise ValueError(f"{argument}: say which row of {text}, as in {text}:0")
    if path.suffix.lower() in AUDIO_ENDINGS:
        return _read_sound(path, load_data(run.config), run)
    names, data = next(_read(path, run, None))
    if len(names) > 1:
        raise ValueError(
            f"{argument}: {text} holds {len(names)} sequences; name one video or one folder of images"
        )
    return data


def parts(text: str, run: "Run", options: dict[str, Any]) -> "Iterator[tuple[list[str], Sequences]]":
    """The named sequences of a data set, an array file, a table, a video or a folder, a part at a time.

    Args:
        text: name of a data set, or a path.
        run: whose model will read them; frames of one's own are resized to what it was trained on.
        options: `root` and `cache` of a data set; `steps` of a clip of one's own videos.

    Raises:
        ValueError: nothing that the model can read.
        FileNotFoundError: there is no such path.
    """
    from unbraid.data.load import TABLE_ENDINGS, load

    path = Path(text).expanduser()
    if text in DATASETS:
        same = {
            key: value for key, value in run.config["data"].items() if key not in ("name", "root", "cache")
        }
        data = load(
            text, options["root"], options["cache"], **same if run.config["data"]["name"] == text else {}
        )
        yield [str(row) for row in range(len(data))], _checked(data, run, "input")
    elif path.suffix.lower() in (".npy", ".npz"):
        data = _load_own(text, "input")
        yield [str(row) for row in range(len(data))], _checked(data, run, "input")
    elif path.suffix.lower() in TABLE_ENDINGS:
        yield _read_table(path, run)
    elif path.exists():
        yield from _read(path, run, options["steps"] or run.config["data"].get("steps") or STEPS)
    else:
        hint = nearest(text, DATASETS) if "/" not in text and "." not in text else ""
        raise FileNotFoundError(f"input: there is no folder, file or data set {text}{hint}")


def _load_own(path: str, argument: str) -> "Sequences":
    from unbraid.data.load import load

    if not Path(path).expanduser().is_file():
        raise FileNotFoundError(f"{argument}: there is no file {path}, and no split of that name")
    return load(Path(path))


def _read_table(path: Path, run: "Run") -> "tuple[list[str], Sequences]":
    """The series of a table, read as those of the run's table were and scaled as the run's training data were."""
    from unbraid.data.own.tables import read_series
    from unbraid.io import load_features

    features = load_features(run.folder)
    if features.sampling_rate is None:
        raise ValueError(
            f"input: {run.folder} was trained on data without a time step; {path} cannot be read"
        )
    told = ("id", "time", "variable", "value", "windows", "time_format", "duplicates", "unusable")
    names, data = read_series(
        path,
        features=features.names,
        step=f"{round(1e6 / features.sampling_rate)}us",
        window=run.model.observation[0] if len(run.model.observation) == 2 else 1,
        scaling=features.scaling,
        **{key: value for key, value in run.config["data"].items() if key in told},
    )
    return names, _checked(data, run, "input")


def _checked(data: "Sequences", run: "Run", argument: str) -> "Sequences":
    if data.observation != run.model.observation:
        raise ValueError(
            f"{argument}: observations are {data.observation}; "
            f"{run.folder} was trained on {run.model.observation}"
        )
    return data


def _read(path: Path, run: "Run", steps: int | None) -> "Iterator[tuple[list[str], Sequences]]":
    """Videos and image folders, cut into clips of `steps` frames (None: whole); sounds cut as in training."""
    from unbraid.data.sequences import Sequences

    if len(run.model.observation) != 3:
        yield from _read_sounds(path, run)
        return
    channels, size, _ = run.model.observation
    every = run.config["data"].get("every") or 1
    names: list[str] = []
    clips: list[np.ndarray] = []

    def gathered() -> tuple[list[str], Sequences]:
        lengths = np.array([len(clip) for clip in clips])
        x = np.zeros((len(clips), lengths.max(), channels, size, size), np.uint8)
        for row, clip in zip(x, clips, strict=True):
            row[: len(clip)] = clip
        return names, Sequences(x, path.stem, lengths=None if lengths.min() == x.shape[1] else lengths)

    for name, frames in _sources(path, size, channels, every):
        if len(frames) < 2:
            raise ValueError(f"{path}: {name} has {len(frames)} frame; a sequence needs at least 2")
        count = max(1, len(frames) // steps) if steps else 1
        for clip in range(count):
            names.append(name if count == 1 else f"{name}#{clip}")
            clips.append(frames[clip * steps : (clip + 1) * steps] if steps else frames)
        if len(clips) >= TOGETHER:
            yield gathered()
            names, clips = [], []
    if clips:
        yield gathered()


def _read_sounds(path: Path, run: "Run") -> "Iterator[tuple[list[str], Sequences]]":
    """The sequences of every sound file at or below a path."""
    from unbraid.data.formats.paths import natural_order
    from unbraid.data.formats.sounds import AUDIO_ENDINGS

    files = [path] if path.is_file() else sorted(path.rglob("*"), key=lambda file: natural_order(str(file)))
    files = [file for file in files if file.suffix.lower() in AUDIO_ENDINGS]
    if not files:
        raise ValueError(
            f"input: {run.folder} reads vectors {run.model.observation}; {path} is no sound file and holds none"
        )
    trained = load_data(run.config)
    for file in files:
        data = _read_sound(file, trained, run)
        name = file.name if path.is_file() else file.relative_to(path).as_posix()
        yield [name if len(data) == 1 else f"{name}#{piece}" for piece in range(len(data))], data


def _read_sound(path: Path, trained: "Sequences", run: "Run") -> "Sequences":
    """A sound file as features, cut and scaled like the data that the run was trained on."""
    import warnings
    from dataclasses import replace

    import torch

    from unbraid.data.formats.sounds import cut, read_audio
    from unbraid.data.formats.spectra import frame_count, to_features

    if trained.sound is None or trained.scaling is None:
        raise ValueError(f"{path}: is sound; {run.folder} was not trained on sound")
    kind, rate = trained.sound.kind, trained.sound.sampling_rate
    recording = read_audio(path, rate)
    for remark in recording.remarks:
        warnings.warn(f"{path}: {remark}", stacklevel=2)
    if frame_count(len(recording.samples), kind, rate) < 2:
        raise ValueError(
            f"{path}: lasts {1000 * len(recording.samples) / rate:.0f} ms, too short for two frames"
        )
    frames = to_features(torch.from_numpy(recording.samples)[None], kind, rate)[0].numpy()
    options = run.config["data"]
    pieces = cut(len(frames), options.get("segment") or "segment", options.get("steps"))
    lengths = np.array([length for _, length in pieces])
    x = np.zeros((len(pieces), lengths.max(), frames.shape[1]), np.float32)
    for row, (start, length) in zip(x, pieces, strict=True):
        row[:length] = trained.scaling.apply(frames[start : start + length])
    return replace(
        trained,
        x=x,
        name=path.stem,
        lengths=None if lengths.min() == lengths.max() else lengths,
        mask=None,
        labels={},
        splits={},
        targets={},
        groups=np.zeros(len(pieces), int),
        times=None,
        fingerprint="",
    )


def _sources(path: Path, size: int, channels: int, every: int) -> Iterator[tuple[str, np.ndarray]]:
    """Name and frames `(T, C, size, size)` of every video and every folder of images at or below a path."""
    from unbraid.data.formats.images import IMAGE_ENDINGS, read_images
    from unbraid.data.formats.paths import natural_order
    from unbraid.data.formats.video import MOVIE_ENDINGS, read_movie

    files = [path] if path.is_file() else sorted(path.rglob("*"), key=lambda file: natural_order(str(file)))
    movies = [file for file in files if file.suffix.lower() in MOVIE_ENDINGS]
    images: dict[Path, list[Path]] = {}
    for file in files:
        if file.suffix.lower() in IMAGE_ENDINGS and path.is_dir():
            images.setdefault(file.parent, []).append(file)
    if not movies and not images:
        raise ValueError(f"input: {path} is no video and holds no video and no image")
    if len(images) > 1 or movies:
        images.pop(path, None)  # a picture beside the videos, a poster or a plot
    for file in movies:
        name = file.name if path.is_file() else file.relative_to(path).as_posix()
        yield name, np.stack(list(read_movie(file, size, channels, every)))
    for folder, found in images.items():
        name = folder.name if folder == path else folder.relative_to(path).as_posix()
        yield name, np.stack(list(read_images(found, size, channels, every)))
