"""Read new recordings as the data of a trained model were read: resized, cut and scaled in the same way.

`read_one` gives the one sequence that a text names, `read_parts` everything at a path, a part at a time.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unbraid.data.features import Features
from unbraid.data.formats.images import IMAGE_ENDINGS, read_images
from unbraid.data.formats.paths import files_below, refuse_broken, say_left_out
from unbraid.data.formats.sounds import AUDIO_ENDINGS, cut, open_audio
from unbraid.data.formats.spectra import features_in_blocks, frame_count
from unbraid.data.formats.tables import TABLE_ENDINGS, table_ending
from unbraid.data.formats.video import MOVIE_ENDINGS, read_movie
from unbraid.data.load import load
from unbraid.data.own.arrays import ARRAY_ENDINGS
from unbraid.data.own.frames import say_rates
from unbraid.data.own.tables import read_series
from unbraid.data.sequences import Sequences, lengths_or_none, names_of_pieces
from unbraid.io import load_features
from unbraid.kinds import Kind, kind_of
from unbraid.registry import DATASETS
from unbraid.remarks import remark
from unbraid.training import Run
from unbraid.training.run import check_same_data, load_run_data
from unbraid.words import nearest

__all__ = ["READERS", "read_one", "read_parts"]

Part = tuple[list[str], Sequences]  # names of sequences, and the sequences

SPLITS = ("train", "validation", "test")
STEPS = 16  # frames of a clip where the run does not say how many, as in `load_frames`
TOGETHER = 64  # clips that are in memory at once


def read_one(text: str, run: Run, argument: str = "input") -> Sequences:
    """The one sequence that a text names.

    Args:
        text: `test:12` for a row of a split of the run's data, `FILE.npy:3` for a row of an array, or the path of a
            video, of a folder of images or of a sound (which gives all the sequences that it is cut into).
        run: the run whose model will read it.
        argument: what error messages call the text.

    Raises:
        ValueError: the text names nothing, several sequences, or what the model cannot read.
        FileNotFoundError: there is no such file.
    """
    place, colon, row = text.rpartition(":")
    if colon and row.isdecimal():
        return _read_row(place, int(row), run, argument)
    path = Path(text).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"{argument}: there is no file {text}; to name a row of the run's data write test:12"
        )
    if path.suffix.lower() in ARRAY_ENDINGS:
        raise ValueError(f"{argument}: name a row of {text}, as in {text}:0")
    if path.suffix.lower() in AUDIO_ENDINGS:
        return _read_sound(path, _trained_features(run), run, path.name)
    names, sequences = next(_read_path(path, run, None))
    if len(names) > 1:
        raise ValueError(
            f"{argument}: {text} holds {len(names)} sequences; name one video or one folder of images"
        )
    return sequences


def read_parts(
    text: str,
    run: Run,
    *,
    steps: int | None = None,
    unusable: str | None = None,
    root: str | Path | None = None,
    cache: str | Path | None = None,
) -> Iterator[Part]:
    """The sequences of a data set, an array file, a table, a recording or a folder of recordings, a part at a time.

    Args:
        text: name of a data set, or a path.
        run: the run whose model will read them.
        steps: frames of a clip of videos and images; longer ones are cut. By default as in the run's data.
        unusable: what to do with files that cannot be read, `refuse` or `leave_out`. By default as in the run's data.
        root: folder with the raw files of a data set.
        cache: folder where prepared data sets are kept.

    Yields:
        Names of sequences, and the sequences.

    Raises:
        ValueError: nothing that the model can read.
        FileNotFoundError: there is no such path.
    """
    path = Path(text).expanduser()
    if unusable is not None and text not in DATASETS:
        run = replace(run, config=run.config | {"data": run.config["data"] | {"unusable": unusable}})
    if text in DATASETS:
        options = run.config["data"] if run.config["data"]["name"] == text else {}
        yield _numbered(load_run_data({"data": {**options, "name": text, "root": root, "cache": cache}}), run)
    elif path.suffix.lower() in ARRAY_ENDINGS:
        yield _numbered(_load_array(text, "input"), run)
    elif table_ending(path) in TABLE_ENDINGS:
        yield _read_table(path, run)
    elif path.exists():
        yield from _read_path(path, run, steps or run.config["data"].get("steps") or STEPS)
    else:
        close = nearest(text, DATASETS) if "/" not in text and "." not in text else ""
        raise FileNotFoundError(f"input: there is no folder, file or data set {text}{close}")


def _read_row(place: str, row: int, run: Run, argument: str) -> Sequences:
    """One row of a split of the run's data, or of an array file."""
    sequences = _run_data(run).split(place) if place in SPLITS else _load_array(place, argument)
    _check(sequences, run, argument)
    if row >= len(sequences):
        last = len(sequences) - 1
        raise ValueError(
            f"{argument}: {place} has {len(sequences)} sequences, 0 to {last}; there is no {row}"
        )
    return sequences.take(np.array([row]))


def _run_data(run: Run) -> Sequences:
    """The data that a run was trained on."""
    data = load_run_data(run.config)
    check_same_data(run.folder, data)
    return data


def _load_array(path: str, argument: str) -> Sequences:
    if not Path(path).expanduser().is_file():
        raise FileNotFoundError(f"{argument}: there is no file {path}, and no split of that name")
    return load(Path(path))


def _numbered(sequences: Sequences, run: Run) -> Part:
    _check(sequences, run, "input")
    return list(sequences.names or map(str, range(len(sequences)))), sequences


def _check(sequences: Sequences, run: Run, argument: str) -> None:
    if sequences.observation != run.model.observation:
        raise ValueError(
            f"{argument}: observations are {sequences.observation}; "
            f"{run.folder} was trained on {run.model.observation}"
        )


# ---- tables ---------------------------------------------------------------------------------------------


def _read_table(path: Path, run: Run) -> Part:
    """The series of a table, with the columns, the steps and the scaling of the run's table."""
    features = load_features(run.folder)
    if features.sampling_rate is None:
        raise ValueError(
            f"input: {run.folder} was trained on data without a time step; {path} cannot be read"
        )
    same = [
        *("id", "time", "variable", "value", "windows", "duplicates", "unusable"),
        *("time_format", "time_zone", "missing", "decimal"),
    ]
    names, sequences = read_series(
        path,
        features=features.names,
        step=f"{round(1e6 / features.sampling_rate)}us",
        window=run.model.observation[0] if kind_of(run.model.observation) == "windows" else 1,
        scaling=features.scaling,
        **{name: value for name, value in run.config["data"].items() if name in same},
    )
    _check(sequences, run, "input")
    return names, sequences


# ---- files and folders, by the kind of observation ------------------------------------------------------


def _read_path(path: Path, run: Run, steps: int | None) -> Iterator[Part]:
    """Everything at or below a path that the run's model can read."""
    kind = kind_of(run.model.observation)
    if kind == "vectors":  # or sound, which has the same shape: the run's data tell
        kind = "vectors" if _trained_features(run).sound is None else "sound"
    return READERS[kind](path, run, steps)


def _read_frames(path: Path, run: Run, steps: int | None) -> Iterator[Part]:
    """Videos and folders of images, in clips of `steps` frames (None: whole)."""
    channels, size, _ = run.model.observation
    options = run.config["data"]
    every, fps = options.get("every") or 1, options.get("fps")
    sources = _sources(path)
    if fps is None:
        say_rates([files[0] for _, files in sources])
    names: list[str] = []
    clips: list[np.ndarray] = []
    broken: list[str] = []
    for name, files in sources:
        try:
            movie = files[0].suffix.lower() in MOVIE_ENDINGS
            pictures = (
                read_movie(files[0], size, channels, every, fps)
                if movie
                else read_images(files, size, channels, every)
            )
            read = _cut(pictures, steps)
            if len(read[0]) < 2:
                raise ValueError(f"{path}: {name} has {len(read[0])} frame; a sequence needs at least 2")
        except ValueError as error:
            broken.append(str(error))
            continue
        names += [name] if len(read) == 1 else [f"{name}#{clip}" for clip in range(len(read))]
        clips += read
        del read
        while len(clips) >= TOGETHER:
            yield names[:TOGETHER], _padded(names[:TOGETHER], clips[:TOGETHER], path)
            names, clips = names[TOGETHER:], clips[TOGETHER:]
    refuse_broken(broken, len(sources), options.get("unusable") == "leave_out")
    if clips:
        yield names, _padded(names, clips, path)


def _cut(pictures: Iterator[np.ndarray], steps: int | None) -> list[np.ndarray]:
    """Clips of `steps` pictures, one after the other; all pictures in one clip where they are fewer, or where it is None."""
    clips: list[np.ndarray] = []
    while rest := list(itertools.islice(pictures, steps)):
        if clips and len(rest) < len(clips[0]):
            break
        clips.append(np.stack(rest))
    return clips or [np.zeros(0)]


def _sources(path: Path) -> list[tuple[str, list[Path]]]:
    """Name and files of every video and every folder of images at or below a path."""
    files = _files(path)
    movies = [file for file in files if file.suffix.lower() in MOVIE_ENDINGS]
    images: dict[Path, list[Path]] = {}
    for file in files:
        if file.suffix.lower() in IMAGE_ENDINGS and path.is_dir():
            images.setdefault(file.parent, []).append(file)
    if not movies and not images:
        raise ValueError(f"input: {path} is no video and holds no video and no image")
    if len(images) > 1 or movies:
        images.pop(path, None)  # a picture beside the videos, perhaps a poster or a plot
    say_left_out(path, files, [*movies, *(picture for folder in images.values() for picture in folder)])
    return [(_name(file, path), [file]) for file in movies] + [
        (folder.name if folder == path else _name(folder, path), pictures)
        for folder, pictures in images.items()
    ]


def _padded(names: Sequence[str], clips: list[np.ndarray], path: Path) -> Sequences:
    """Clips of different lengths as one set of sequences."""
    lengths = np.array([len(clip) for clip in clips])
    x = np.zeros((len(clips), lengths.max(), *clips[0].shape[1:]), clips[0].dtype)
    for row, clip in zip(x, clips, strict=True):
        row[: len(clip)] = clip
    return Sequences(x, path.stem, lengths=lengths_or_none(lengths, x.shape[1]), names=tuple(names))


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


def _read_sounds(path: Path, run: Run, steps: int | None) -> Iterator[Part]:
    """The sequences of every sound file at or below a path."""
    listed = _files(path)
    files = [file for file in listed if file.suffix.lower() in AUDIO_ENDINGS]
    if not files:
        raise ValueError(f"input: {run.folder} reads sound; {path} is no sound file and holds none")
    say_left_out(path, listed, files)
    trained = _trained_features(run)
    broken: list[str] = []
    for file in files:
        try:
            sequences = _read_sound(file, trained, run, _name(file, path))
        except ValueError as error:
            broken.append(str(error))
            continue
        yield list(sequences.names or ()), sequences
    refuse_broken(broken, len(files), run.config["data"].get("unusable") == "leave_out")


def _read_sound(path: Path, trained: Features, run: Run, name: str) -> Sequences:
    """A sound file as features, cut and scaled as the data that the run was trained on."""
    if trained.sound is None or trained.scaling is None:
        raise ValueError(f"{path}: is sound; {run.folder} was not trained on sound")
    kind, rate = trained.sound.kind, trained.sound.sampling_rate
    recording = open_audio(path, rate, run.config["data"].get("channel"))
    for text in recording.remarks:
        remark(f"{path}: {text}")
    if frame_count(recording.samples, kind, rate) < 2:
        milliseconds = 1000 * recording.samples / rate
        raise ValueError(f"{path}: lasts {milliseconds:.0f} ms, too short for two frames")
    blocks = features_in_blocks(recording.blocks(), kind, rate)
    frames = np.concatenate([trained.scaling.apply(block) for block in blocks])
    options = run.config["data"]
    pieces = cut(len(frames), options.get("segment") or "segment", options.get("steps"))
    named = names_of_pieces([name], np.zeros(len(pieces), int))
    sequences = _padded(named, [frames[start : start + length] for start, length in pieces], path)
    return replace(
        sequences,
        sound=trained.sound,
        scaling=trained.scaling,
        feature_names=trained.names,
        units=trained.units,
        sampling_rate=trained.sampling_rate,
        groups=np.zeros(len(pieces), int),
    )


def _refuse_path(path: Path, run: Run, steps: int | None) -> Iterator[Part]:
    raise ValueError(
        f"input: {run.folder} reads series; give a table (CSV, Parquet) or a NumPy file, not {path}"
    )


READERS: Mapping[Kind, Callable[[Path, Run, int | None], Iterator[Part]]] = {
    "frames": _read_frames,
    "sound": _read_sounds,
    "vectors": _refuse_path,
    "windows": _refuse_path,
}
"""How files and folders are read, by the kind of observation that the model reads."""


def _files(path: Path) -> list[Path]:
    """The file at a path, or all files below it, in natural order."""
    return [path] if path.is_file() else files_below(path)


def _name(file: Path, path: Path) -> str:
    """What a file at or below a path is called."""
    return file.name if file == path else file.relative_to(path).as_posix()
