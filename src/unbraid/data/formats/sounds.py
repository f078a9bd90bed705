"""Recordings on disk to sequences of features: read, checked, transformed, cut and scaled.

Files are read by libsndfile (WAV, FLAC, OGG, MP3, AIFF, AU, NIST SPHERE). Several channels are mixed into one, other
sampling rates are converted (soxr); both are said, once, as warnings.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unbraid.data.features import FeatureKind, Segment, Sound
from unbraid.data.formats.spectra import FEATURES, feature_names, frame_count, frame_rate, to_features
from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Label, Sequences
from unbraid.data.store import Space
from unbraid.words import nearest

__all__ = [
    "AUDIO_ENDINGS",
    "Recording",
    "check_sound_options",
    "cut",
    "listing",
    "read_audio",
    "recorded_rate",
    "sequences_from",
]

AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".sph", ".nist")
SEGMENT_STEPS = 20  # 200 ms
UNITS = {"mel80": "log power", "mel40": "log power", "spec200": "log magnitude", "linear201": "magnitude"}
FULL_SCALE = 0.9999
CLIPPED_RUN = 4


@dataclass(frozen=True)
class Recording:
    """One sound: `samples (n,)` float32 in one channel, its rate, and what was done or found while reading it."""

    samples: np.ndarray
    sampling_rate: int
    remarks: tuple[str, ...] = ()


def read_audio(path: str | Path, sampling_rate: int | None = None) -> Recording:
    """Read a sound file into one channel of samples in [-1, 1].

    Args:
        path: of the file.
        sampling_rate: to convert to; None keeps the file's own.

    Raises:
        ValueError: the file is no audio, damaged, cut short, empty, silent, or holds NaN; it is compressed with
            shorten.
        ImportError: the extra `audio` is not installed.
    """
    path, soundfile = Path(path), _soundfile(path)
    expected = _declared_samples(path)
    try:
        with soundfile.SoundFile(path) as file:
            rate, log = file.samplerate, file.extra_info
            samples = file.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(f"{path}: is damaged or not audio ({error}); replace or remove it") from error
    if not len(samples):
        raise ValueError(f"{path}: holds no sound; remove it")
    if (expected is not None and len(samples) < expected) or "(should be" in _data_line(log):
        raise ValueError(f"{path}: is truncated, it ends before the length that it declares; replace it")
    if not np.isfinite(samples).all():
        place = int(np.argmin(np.isfinite(samples).all(1)))
        raise ValueError(f"{path}: holds NaN or infinity at {place / rate:.3f} s; repair or remove it")
    remarks = []
    if samples.shape[1] > 1:
        remarks.append(f"mixed down from {samples.shape[1]} channels")
    full = np.abs(samples).max(1) >= FULL_SCALE
    if len(full) >= CLIPPED_RUN and np.lib.stride_tricks.sliding_window_view(full, CLIPPED_RUN).all(1).any():
        remarks.append("clipped: several samples in a row are at full scale")
    mono = samples.mean(1)
    if not np.ptp(mono):
        raise ValueError(f"{path}: is silent; remove it")
    if sampling_rate is not None and rate != sampling_rate:
        import soxr

        remarks.append(f"resampled from {rate} to {sampling_rate} Hz")
        mono, rate = soxr.resample(mono, rate, sampling_rate), sampling_rate
    return Recording(np.ascontiguousarray(mono, np.float32), rate, tuple(remarks))


def recorded_rate(path: Path) -> int:
    """The sampling rate that a file declares.

    Raises:
        ValueError: the file is no audio.
        ImportError: the extra `audio` is not installed.
    """
    soundfile = _soundfile(path)
    _declared_samples(path)
    try:
        return soundfile.info(path).samplerate
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(f"{path}: is damaged or not audio ({error}); replace or remove it") from error


def _soundfile(path: Path) -> Any:
    try:
        import soundfile
        import soxr  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{path}: to read audio install the extra: pip install 'unbraid[audio]'") from error
    return soundfile


def _declared_samples(path: Path) -> int | None:
    """The number of samples that the head of a NIST SPHERE file declares; refuses empty and compressed files."""
    with open(path, "rb") as file:
        head = file.read(1024)
    if not head:
        raise ValueError(f"{path}: is an empty file; replace or remove it")
    if not head.startswith(b"NIST_1A"):
        return None
    fields = dict(line.split(b" ", 1) for line in head.splitlines() if line.count(b" ") >= 2)
    if b"shorten" in fields.get(b"sample_coding", b""):
        raise ValueError(
            f"{path}: is compressed with shorten, which cannot be read; unpack it first: "
            "sph2pipe -f wav IN OUT, or w_decode -o pcm IN OUT"
        )
    try:
        return int(fields[b"sample_count"].split()[-1])
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: its NIST SPHERE head has no sample_count; replace it") from error


def _data_line(log: str) -> str:
    """What libsndfile notes of the chunk that holds the samples of a WAV file."""
    return next((line for line in log.splitlines() if line.strip().startswith("data :")), "")


def check_sound_options(features: str, segment: str, steps: int | None, sampling_rate: int) -> None:
    """Refuse options that no sound could satisfy, before files are read.

    Raises:
        ValueError: naming the option.
    """
    if features not in FEATURES:
        raise ValueError(f"features: no kind is called {features!r}{nearest(features, FEATURES)}")
    if segment not in ("segment", "utterance"):
        raise ValueError(f"segment: is {segment!r}; choose 'segment' or 'utterance'")
    if steps is not None and steps < 2:
        raise ValueError(f"steps: is {steps}; a sequence needs at least 2 frames")
    frame_count(sampling_rate, features, sampling_rate)


def cut(frames: int, segment: Segment, steps: int | None) -> list[tuple[int, int]]:
    """Start and length of the sequences that a recording of so many frames is cut into.

    "segment": `steps` (20) frames each, one after the other; what is left over at the end is dropped, but a
    recording shorter than that is kept as it is. "utterance": the whole; if it has more than `steps` frames, as many
    pieces as needed, equal to within a frame.
    """
    if segment == "segment":
        steps = steps or SEGMENT_STEPS
        return [(start, steps) for start in range(0, frames - steps + 1, steps)] or [(0, frames)]
    pieces = -(-frames // (steps or frames))
    bounds = [frames * piece // pieces for piece in range(pieces + 1)]
    return [(start, end - start) for start, end in pairwise(bounds)]


def listing(paths: Sequence[Path]) -> str:
    """Names, sizes and times of files as text: the same as long as none of them changes."""
    return repr([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths])


def sequences_from(
    space: Space,
    name: str,
    splits: Mapping[str, Sequence[Path]],
    labels: Mapping[str, Label],
    features: FeatureKind,
    sampling_rate: int,
    segment: Segment,
    steps: int | None,
) -> Sequences:
    """Make a data set of recordings; `groups` says which recording each sequence was cut from.

    Args:
        space: where the observations are written.
        name: of the data set.
        splits: the files of each split, the train split first; scaling is learned on its frames.
        labels: one value for each file, in the order of the splits.
        features: kind of features.
        sampling_rate: that sounds are converted to.
        segment: see `cut`.
        steps: see `cut`.

    Raises:
        ValueError: a file cannot be used, see `read_audio`, or it is shorter than two frames.
    """
    paths = [path for files in splits.values() for path in files]
    counts: list[int] = []
    remarks: dict[str, list[Path]] = {}
    raw = space.folder / "frames.raw"
    with open(raw, "wb") as file:
        for done, path in enumerate(paths):
            recording = read_audio(path, sampling_rate)
            if frame_count(len(recording.samples), features, sampling_rate) < 2:
                raise ValueError(
                    f"{path}: lasts {1000 * len(recording.samples) / sampling_rate:.0f} ms, too short for two "
                    "frames of features; remove it"
                )
            frames = to_features(torch.from_numpy(recording.samples)[None], features, sampling_rate)[0]
            file.write(frames.numpy().tobytes())
            counts.append(len(frames))
            for remark in recording.remarks:
                remarks.setdefault(remark, []).append(path)
            space.advance(done + 1, len(paths))
    for remark, found in remarks.items():
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        warnings.warn(f"{found[0]}{more}: {remark}", stacklevel=2)
    flat = np.memmap(raw, np.float32, "r", shape=(sum(counts), FEATURES[features]))
    scaling = Scaling.fit(flat[: sum(counts[: len(splits["train"])])])
    pieces = [
        (owner, begin + start, length)
        for owner, (begin, count) in enumerate(zip(np.cumsum([0, *counts[:-1]]), counts, strict=True))
        for start, length in cut(count, segment, steps)
    ]
    owner, starts, lengths = (np.array(column) for column in zip(*pieces, strict=True))
    longest = (steps or SEGMENT_STEPS) if segment == "segment" else int(lengths.max())
    x = space.create((len(pieces), longest, flat.shape[1]), np.float32)
    for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        x[row, :length] = scaling.apply(flat[start : start + length])
    del flat
    raw.unlink()
    ends = pairwise(np.cumsum([0, *map(len, splits.values())]))
    return Sequences(
        x,
        name,
        lengths=None if (lengths == longest).all() else lengths,
        labels={key: replace(label, values=label.values[owner]) for key, label in labels.items()},
        splits={
            key: np.flatnonzero((owner >= start) & (owner < end))
            for key, (start, end) in zip(splits, ends, strict=True)
        },
        groups=owner,
        scaling=scaling,
        feature_names=feature_names(features, sampling_rate),
        units=(UNITS[features],) * FEATURES[features],
        sampling_rate=frame_rate(features, sampling_rate),
        sound=Sound(features, sampling_rate),
    )
