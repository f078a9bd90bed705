"""Your own sounds: a folder of WAV, FLAC, OGG, MP3 or NIST SPHERE files, with all its sub-folders.

Each file is one recording. It is cut into segments of 200 ms, which all go into one split, or kept whole; see
`unbraid.data.formats.sounds.cut`. All recordings are resampled to the sampling rate that most files have.

Labels come from the file names by a pattern such as `{digit}_{speaker}_{index}` (with a `/` in it, from the path
within the folder: `{speaker}/{sentence}`); or from a CSV file with a header, first the column `file`; or else from
the sub-folders, whose names become the label `class`. In a pattern or a CSV file, `group` is no label: all files of a
group (a speaker, a session) go into one split. In a pattern, `index` is no label either.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from unbraid.data.checks import check_choice
from unbraid.data.features import FeatureKind, Segment
from unbraid.data.formats.images import IMAGE_ENDINGS
from unbraid.data.formats.other_voices import check_other_voices, draw_voices, with_other_voices
from unbraid.data.formats.paths import files_below, files_digest, name_of, refuse_broken, say_left_out
from unbraid.data.formats.sounds import (
    AUDIO_ENDINGS,
    SoundFile,
    check_sound_options,
    open_audio,
    recorded_rate,
)
from unbraid.data.formats.spectra import frame_count
from unbraid.data.formats.video import MOVIE_ENDINGS
from unbraid.data.labels import Label, check_dynamic_labels, make_label
from unbraid.data.own.labels import folder_labels, pattern_labels, read_labels
from unbraid.data.own.recordings import sequences_of_recordings
from unbraid.data.sequences import Sequences, names_of_pieces
from unbraid.data.splits import split_by_group
from unbraid.data.store import Space, prepared
from unbraid.remarks import remark, some

__all__ = ["holds_sound", "load_sounds", "sequences_of_sounds"]


def holds_sound(path: str | Path) -> bool:
    """Whether a path is a sound file, or a folder with more sound files than videos and images."""
    path = Path(path).expanduser()
    if path.is_file():
        return path.suffix.lower() in AUDIO_ENDINGS
    endings = Counter(file.suffix.lower() for file in path.rglob("*"))
    pictures = sum(endings[ending] for ending in (*MOVIE_ENDINGS, *IMAGE_ENDINGS))
    return sum(endings[ending] for ending in AUDIO_ENDINGS) > pictures


def load_sounds(
    folder: str | Path,
    *,
    name: str | None = None,
    features: FeatureKind = "mel80",
    sampling_rate: int | None = None,
    channel: int | None = None,
    segment: Segment = "segment",
    steps: int | None = None,
    pattern: str | None = None,
    labels: str | Path | None = None,
    dynamic_labels: Sequence[str] = (),
    unusable: Literal["refuse", "leave_out"] = "refuse",
    other_voices: int = 0,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    cache: str | Path | None = None,
) -> Sequences:
    """Load your own sounds: `(N, T, F)` features, scaled on the train split, recordings split at random.

    Args:
        folder: of the sound files.
        name: the data set's name; None for the folder's.
        features: kind of features: mel80, mel40, spec200 or linear201, see `unbraid.data.formats.spectra`.
        sampling_rate: samples per second to which all sounds are resampled; None for the rate that most files have.
        channel: of files with several, counted from 1; None for the mean of all.
        segment: "segment" for pieces of `steps` frames (the rest at the end is dropped; a shorter recording is padded),
            "utterance" for whole recordings, padded.
        steps: frames (of 10 ms) of a segment, 20 by default. For utterances: the most frames of a sequence, by default
            those of the longest; longer utterances are cut into equal pieces.
        pattern: of the file names without their ending, such as "{digit}_{speaker}_{index}".
        labels: CSV file with labels, instead of a pattern.
        dynamic_labels: names of the labels that describe what is spoken or what happens; the others are static.
        unusable: what to do with files that cannot be read: `refuse`, or `leave_out`: read the others, and say which were left out.
        other_voices: in how many other voices each recording is kept as well, for the view `voice` (8 are enough); mel
            bands only.
        fractions: shares of train, validation and test, counted in files or groups.
        seed: of the random split.
        cache: where the prepared features are kept; None for UNBRAID_CACHE or the user's cache folder.

    Raises:
        FileNotFoundError: the folder or the label file is missing.
        ValueError: too few files; a file that cannot be read (see `read_audio`) or that has no label in the pattern or
            the CSV file; fewer than two speakers; an option that does not fit.
        ImportError: the extra `audio` is not installed.
    """
    path = Path(folder).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"folder: there is no folder {path}")
    if path.is_file():
        raise ValueError(f"folder: {path} is one file; give a folder of at least 3 sound files")
    if pattern is not None and labels is not None:
        raise ValueError("pattern, labels: labels come from the file names or from a CSV file; give one")
    check_choice("unusable", unusable, ("refuse", "leave_out"))
    listed = files_below(path)
    files = [file for file in listed if file.suffix.lower() in AUDIO_ENDINGS]
    if len(files) < 3:
        raise ValueError(
            f"folder: {path} holds {len(files)} sound files; training, validation and test need one each, at least "
            f"3 of {', '.join(AUDIO_ENDINGS)}. Others must be converted, such as with: ffmpeg -i sound.m4a sound.wav"
        )
    say_left_out(path, listed, files)
    names = [file.relative_to(path).as_posix() for file in files]
    if pattern is not None:
        table = pattern_labels(pattern, names)
    else:
        table = read_labels(Path(labels).expanduser(), names) if labels else folder_labels(names)
    groups = np.array(table.pop("group", names))
    dynamic_labels = check_dynamic_labels(dynamic_labels, table)
    if len(set(table.get("speaker", "12"))) < 2:
        raise ValueError(
            f"folder: all files in {path} are of one speaker, {table['speaker'][0]}; at least two are needed. "
            "Add another, or leave the label `speaker` out"
        )
    rate = sampling_rate or _usual_rate(files, unusable == "leave_out")
    check_sound_options(features, segment, steps, rate)
    check_other_voices(other_voices, features)
    split_by_group(groups, fractions, seed)  # refuses too few groups before sounds are read
    data_name = name or name_of(path)
    options = {
        "files": files_digest(files, path),
        "labels": hashlib.sha256(repr((table, groups.tolist())).encode()).hexdigest(),
        "dynamic_labels": list(dynamic_labels),
        "features": features,
        "sampling_rate": rate,
        "channel": channel,
        "unusable": unusable,
        "other_voices": other_voices,
        "segment": segment,
        "steps": steps,
        "fractions": list(fractions),
        "seed": seed,
    }

    def build(space: Space) -> Sequences:
        kept = np.arange(len(files)) if unusable == "refuse" else _readable(files, features, rate, channel)
        kept_files = [files[row] for row in kept]
        rows = split_by_group(groups[kept], fractions, seed)
        splits = {split: [kept_files[row] for row in chosen] for split, chosen in rows.items()}
        as_labels = {
            key: make_label(key, np.array(values)[kept], "dynamic" if key in dynamic_labels else "static")
            for key, values in table.items()
        }
        data = sequences_of_sounds(
            space,
            data_name,
            splits,
            as_labels,
            features,
            rate,
            segment,
            steps,
            channel,
            kept_files,
            other_voices,
        )
        if segment == "segment" and data.lengths is not None and data.groups is not None:
            short = [kept_files[owner] for owner in data.groups[data.lengths < data.steps]]
            remark(f"{some(short)}: shorter than a segment of {data.steps} frames; padded and masked")
        assert data.groups is not None
        return replace(data, names=names_of_pieces([names[row] for row in kept], data.groups))

    return prepared(data_name, options, build, cache, version=2)


def sequences_of_sounds(
    space: Space,
    name: str,
    splits: Mapping[str, Sequence[Path]],
    labels: Mapping[str, Label],
    features: FeatureKind,
    sampling_rate: int,
    segment: Segment,
    steps: int | None,
    channel: int | None = None,
    files: Sequence[Path] | None = None,
    other_voices: int = 0,
) -> Sequences:
    """Read recordings, compute and scale their features, and cut them into sequences; `groups` are the recordings.

    A remark about a recording (several channels, another sampling rate, clipping) becomes one warning for all files.

    Args:
        space: x is written here.
        name: of the data set.
        splits: the files of each split; scaling is learned on the frames of `train`.
        labels: name to one value for each file, in the order of `files`.
        features: kind of features.
        sampling_rate: samples per second to which sounds are resampled.
        segment: see `cut`.
        steps: see `cut`.
        channel: see `read_audio`.
        files: all files, in the order of the sequences; None for one split after the other.
        other_voices: in how many other voices each recording is kept as well.

    Raises:
        ValueError: naming all files that cannot be read, see `read_audio`, or are shorter than two frames.
    """
    paths = [path for part in splits.values() for path in part] if files is None else list(files)
    place = {path: number for number, path in enumerate(paths)}
    owners = {split: np.array([place[path] for path in part]) for split, part in splits.items()}
    remarks: dict[str, list[Path]] = {}

    def recordings() -> Iterator[Iterable[np.ndarray]]:
        broken: list[str] = []
        for number, path in enumerate(paths):
            try:
                recording = _open_recording(path, features, sampling_rate, channel)
            except ValueError as error:
                broken.append(str(error))
                continue
            for text in recording.remarks:
                remarks.setdefault(text, []).append(path)
            voices = draw_voices(other_voices, 0, number)
            yield with_other_voices(recording.blocks(), features, sampling_rate, voices)
        refuse_broken(broken, len(paths), leave_out=False)

    data = sequences_of_recordings(
        space, name, recordings(), owners, labels, features, sampling_rate, segment, steps
    )
    for text, remarked in remarks.items():
        remark(f"{some(remarked)}: {text}")
    return data


def _open_recording(path: Path, features: FeatureKind, sampling_rate: int, channel: int | None) -> SoundFile:
    recording = open_audio(path, sampling_rate, channel)
    if frame_count(recording.samples, features, sampling_rate) < 2:
        raise ValueError(
            f"{path}: lasts {1000 * recording.samples / sampling_rate:.0f} ms, too short for two frames of features; "
            "remove it"
        )
    return recording


def _readable(
    files: Sequence[Path], features: FeatureKind, sampling_rate: int, channel: int | None
) -> np.ndarray:
    """The numbers of the files that can be read; the others are named."""
    kept: list[int] = []
    broken: list[str] = []
    for number, file in enumerate(files):
        try:
            _open_recording(file, features, sampling_rate, channel)
            kept.append(number)
        except ValueError as error:
            broken.append(str(error))
    refuse_broken(broken, len(files), leave_out=True)
    return np.array(kept)


def _usual_rate(files: Sequence[Path], leave_out: bool) -> int:
    """The sampling rate that most files declare.

    Raises:
        ValueError: naming all files that cannot be read, unless they are left out.
    """
    rates: Counter[int] = Counter()
    broken: list[str] = []
    for file in files:
        try:
            rates[recorded_rate(file)] += 1
        except ValueError as error:
            broken.append(str(error))
    if broken and not (leave_out and rates):
        refuse_broken(broken, len(files), leave_out=False)
    return rates.most_common(1)[0][0]
