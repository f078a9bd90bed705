"""Sound files: read, checked, mixed into one channel, resampled; and where a recording is cut into sequences.

Files are read by libsndfile (WAV, FLAC, OGG, MP3, AIFF, AU, NIST SPHERE) and resampled by soxr.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from unbraid.data.checks import check_choice
from unbraid.data.features import Segment
from unbraid.data.formats.extras import missing_extra
from unbraid.data.formats.spectra import FEATURES, frame_count
from unbraid.words import nearest

__all__ = [
    "AUDIO_ENDINGS",
    "SEGMENT_STEPS",
    "Recording",
    "check_sound_options",
    "cut",
    "read_audio",
    "recorded_rate",
]

AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".sph", ".nist")
SEGMENT_STEPS = 20  # 200 ms
FULL_SCALE = 0.9999
CLIPPED_RUN = 4  # samples in a row at full scale that count as clipped


@dataclass(frozen=True)
class Recording:
    """A sound in one channel.

    Attributes:
        samples: `(n,)` float32 in [-1, 1].
        sampling_rate: samples per second.
        remarks: what was changed or noticed while reading, for a warning.
    """

    samples: np.ndarray
    sampling_rate: int
    remarks: tuple[str, ...] = ()


def read_audio(path: str | Path, sampling_rate: int | None = None) -> Recording:
    """Read a sound file into one channel of samples in [-1, 1].

    Args:
        path: of the file.
        sampling_rate: to convert to; None keeps the file's own.

    Raises:
        ValueError: the file is no audio, damaged, truncated, empty, silent, compressed with shorten, or holds NaN.
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
        raise missing_extra(f"{path}: a sound file", "audio") from error
    return soundfile


def _declared_samples(path: Path) -> int | None:
    """The number of samples that the header of a NIST SPHERE file declares; refuses empty and compressed files."""
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
        raise ValueError(f"{path}: its NIST SPHERE header has no sample_count; replace it") from error


def _data_line(log: str) -> str:
    """The line of libsndfile's log about the chunk with the samples of a WAV file."""
    return next((line for line in log.splitlines() if line.strip().startswith("data :")), "")


def check_sound_options(features: str, segment: str, steps: int | None, sampling_rate: int) -> None:
    """Refuse options that do not exist or do not fit one another, before files are read.

    Args:
        features: kind of features, see `unbraid.data.formats.spectra`.
        segment: see `cut`.
        steps: see `cut`.
        sampling_rate: of the sounds.

    Raises:
        ValueError: naming the option.
    """
    if features not in FEATURES:
        raise ValueError(f"features: no kind is called {features!r}{nearest(features, FEATURES)}")
    check_choice("segment", segment, ("segment", "utterance"))
    if steps is not None and steps < 2:
        raise ValueError(f"steps: is {steps}; a sequence needs at least 2 frames")
    frame_count(sampling_rate, features, sampling_rate)


def cut(frames: int, segment: Segment, steps: int | None) -> list[tuple[int, int]]:
    """Start and length of the sequences that a recording is cut into.

    Args:
        frames: of the recording.
        segment: "segment" for sequences of `steps` frames, one after the other. The rest at the end is dropped, but a
            recording shorter than one segment is kept. "utterance" for the whole recording; if it has more than
            `steps` frames, it is cut into as few pieces as possible, equal to within a frame.
        steps: frames of a segment (None: 20), or the most frames of a piece of an utterance (None: no limit).
    """
    if segment == "segment":
        steps = steps or SEGMENT_STEPS
        return [(start, steps) for start in range(0, frames - steps + 1, steps)] or [(0, frames)]
    pieces = -(-frames // (steps or frames))
    bounds = [frames * piece // pieces for piece in range(pieces + 1)]
    return [(start, end - start) for start, end in pairwise(bounds)]
