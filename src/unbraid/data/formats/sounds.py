"""Sound files: read, checked, mixed into one channel, resampled; and where a recording is cut into sequences.

Files are read by libsndfile (WAV, FLAC, OGG, MP3, AIFF, AU, NIST SPHERE) and resampled by soxr.
"""

import re
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
UNKNOWN_LENGTH = 0x7FFF0000  # bytes; programs that write to a pipe declare this or more
LOUDEST = 4.0  # of floats on the scale [-1, 1], which may be louder than full scale
QUIETEST_INT16 = 128.0  # peak of floats on the scale of 16-bit samples
CANCELLED = (
    0.1  # power of the mean of channels, as a share of that of unrelated ones, below which they cancel
)
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


def read_audio(path: str | Path, sampling_rate: int | None = None, channel: int | None = None) -> Recording:
    """Read a sound file into one channel of samples in [-1, 1].

    Args:
        path: of the file.
        sampling_rate: to convert to; None keeps the file's own.
        channel: of a file with several, counted from 1; None for the mean of all.

    Raises:
        ValueError: the file is no audio, damaged, truncated, empty, silent, compressed with shorten, or holds NaN; its
            channels cancel each other; its samples lie on no scale that we know; or it has no such channel.
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
    remarks = []
    declared = _declared_bytes(log)
    if declared is not None and declared >= UNKNOWN_LENGTH:
        remarks.append("the header does not say how long the sound is; read to the end of the file")
    elif (expected is not None and len(samples) < expected) or declared is not None:
        raise ValueError(f"{path}: is truncated, it ends before the length that it declares; replace it")
    if not np.isfinite(samples).all():
        place = int(np.argmin(np.isfinite(samples).all(1)))
        raise ValueError(f"{path}: holds NaN or infinity at {place / rate:.3f} s; repair or remove it")
    samples, scaled = _on_unit_scale(path, samples)
    remarks += scaled
    full = np.abs(samples).max(1) >= FULL_SCALE
    if len(full) >= CLIPPED_RUN and np.lib.stride_tricks.sliding_window_view(full, CLIPPED_RUN).all(1).any():
        remarks.append("clipped: several samples in a row are at full scale")
    mono, mixed = _one_channel(path, samples, channel)
    remarks += mixed
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


def _declared_bytes(log: str) -> int | None:
    """The bytes of sound that a WAV file declares, where libsndfile's log says that others are there; else None."""
    line = next((line for line in log.splitlines() if line.strip().startswith("data :")), "")
    declared = re.search(r"data : (\d+) \(should be", line)
    return int(declared[1]) if declared else None


def _on_unit_scale(path: Path, samples: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Samples on the scale [-1, 1], and what to say of it: floats may hold the numbers of 16-bit samples.

    Raises:
        ValueError: the samples are on another scale.
    """
    peak = float(np.abs(samples).max())
    if peak <= LOUDEST:
        return samples, []
    if QUIETEST_INT16 <= peak <= 32768:
        return samples / np.float32(32768), [
            "its floats are on the scale of 16-bit samples; divided by 32768"
        ]
    raise ValueError(
        f"{path}: its samples reach {peak:.4g}; floats must lie in [-1, 1], or be on the scale of 16-bit samples. Divide "
        "them by their full scale and save the file again"
    )


def _one_channel(path: Path, samples: np.ndarray, channel: int | None) -> tuple[np.ndarray, list[str]]:
    """One channel of `samples (n, channels)`, or the mean of all; and what to say of it.

    Raises:
        ValueError: there is no such channel, or the channels cancel each other.
    """
    count = samples.shape[1]
    if channel is not None:
        if not 1 <= channel <= count:
            raise ValueError(f"{path}: has {count} channels; there is no channel {channel}")
        return samples[:, channel - 1], []
    mono = samples.mean(1)
    if count == 1:
        return mono, []
    # Powers of the mean: 1 / count of this for channels that have nothing to do with one another.
    apart = float(np.square(samples, dtype=np.float64).sum()) / count**2
    together = float(np.square(mono, dtype=np.float64).sum())
    if apart > 0 and together < CANCELLED * apart:
        lost = "all" if together == 0 else f"{10 * np.log10(apart / together):.0f} dB"
        raise ValueError(
            f"{path}: its {count} channels cancel each other ({lost} of the sound is lost in their mean); choose one of "
            "them with channel=1"
        )
    return mono, [f"mixed down from {count} channels"]


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
