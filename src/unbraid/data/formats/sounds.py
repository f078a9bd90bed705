"""Sound files: read, checked, mixed into one channel, resampled; and where a recording is cut into sequences.

Files are read by libsndfile (WAV, FLAC, OGG, MP3, AIFF, AU, NIST SPHERE) and resampled by soxr.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from unbraid.data.checks import check_choice
from unbraid.data.features import Segment
from unbraid.data.formats.extras import missing_extra
from unbraid.data.formats.sound_checks import INT16, FlacChecksum, Heard, one_channel
from unbraid.data.formats.spectra import FEATURES, frame_count
from unbraid.words import nearest

__all__ = [
    "AUDIO_ENDINGS",
    "SEGMENT_STEPS",
    "Recording",
    "SoundFile",
    "check_sound_options",
    "cut",
    "open_audio",
    "read_audio",
    "recorded_rate",
]

AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".sph", ".nist")
SEGMENT_STEPS = 20  # 200 ms
UNKNOWN_LENGTH = 0x7FFF0000  # bytes; programs that write to a pipe declare this or more
LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000  # samples per second that a file may declare
BLOCK = 2**18  # samples of each channel that are in memory at once
ESTIMATED = ("MP3",)  # formats whose header does not say how long the sound is
LOUDEST = 4.0  # of floats on the scale [-1, 1], which may be louder than full scale
QUIETEST_INT16 = 128.0  # peak of floats on the scale of 16-bit samples


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


@dataclass(frozen=True)
class SoundFile:
    """A sound file that was read through once and found sound; it is read again in blocks, so that hours take little memory.

    Attributes:
        path: of the file.
        recorded_rate: samples per second in the file.
        sampling_rate: samples per second of the blocks.
        samples: their number in all blocks.
        channel: of a file with several, counted from 1; None for the mean of all.
        full_scale: by which samples are divided.
        remarks: what is changed or was noticed, for a warning.
    """

    path: Path
    recorded_rate: int
    sampling_rate: int
    samples: int
    channel: int | None
    full_scale: float
    remarks: tuple[str, ...]

    def blocks(self) -> Iterator[np.ndarray]:
        """The samples of one channel in [-1, 1], `(n,)` float32, one block after the other."""
        blocks = (one_channel(samples, self.channel) for samples in _raw_blocks(self.path))
        if self.full_scale != 1:
            blocks = (block / np.float32(self.full_scale) for block in blocks)
        if self.sampling_rate == self.recorded_rate:
            yield from blocks
            return
        import soxr

        stream = soxr.ResampleStream(self.recorded_rate, self.sampling_rate, 1, "float32")
        for block in blocks:
            yield stream.resample_chunk(block)
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def read_audio(path: str | Path, sampling_rate: int | None = None, channel: int | None = None) -> Recording:
    """Read a sound file into one channel of samples in [-1, 1]; see `open_audio`."""
    file = open_audio(path, sampling_rate, channel)
    return Recording(np.concatenate(list(file.blocks())), file.sampling_rate, file.remarks)


def open_audio(path: str | Path, sampling_rate: int | None = None, channel: int | None = None) -> SoundFile:
    """Read a sound file through, to check it.

    Args:
        path: of the file.
        sampling_rate: to convert to; None keeps the file's own.
        channel: of a file with several, counted from 1; None for the mean of all.

    Raises:
        ValueError: the file is no audio, damaged, truncated, empty, silent, compressed with shorten, or holds NaN; its
            channels cancel each other; its samples lie on no scale that we know; or it has no such channel.
        ImportError: the extra `audio` is not installed.
    """
    path = Path(path)
    expected, info = _declared_samples(path), _info(path)
    heard, remarks = Heard(path, info.samplerate, channel), []
    checksum = FlacChecksum(path)
    for samples in _raw_blocks(path):
        heard.add(samples)
        checksum.add(samples)
    if not heard.count:
        raise ValueError(f"{path}: holds no sound; remove it")
    declared = _declared_bytes(info.extra_info)
    if expected is None:
        expected = 0 if info.format in ESTIMATED or info.frames > 2**62 else info.frames
    if declared is not None and declared >= UNKNOWN_LENGTH:
        remarks.append("the header does not say how long the sound is; read to the end of the file")
    elif heard.count < expected or declared is not None:
        raise ValueError(f"{path}: is truncated, it ends before the length that it declares; replace it")
    if not checksum.is_right():
        raise ValueError(f"{path}: is damaged, its samples are not those of its checksum; replace it")
    full_scale = _full_scale(path, heard.peak)
    if full_scale != 1:
        remarks.append("its floats are on the scale of 16-bit samples; divided by 32768")
    if full_scale in heard.clipped:
        remarks.append("clipped: several samples in a row are at full scale")
    heard.refuse_cancelling()
    if heard.mixed:
        remarks.append(f"mixed down from {heard.channels} channels")
    if heard.lowest == heard.highest:
        raise ValueError(f"{path}: is silent; remove it")
    if sampling_rate is not None and info.samplerate != sampling_rate:
        remarks.append(f"resampled from {info.samplerate} to {sampling_rate} Hz")
    rate = sampling_rate or info.samplerate
    count = (2 * heard.count * rate + info.samplerate) // (2 * info.samplerate)  # rounded, as by soxr
    return SoundFile(path, info.samplerate, rate, count, channel, full_scale, tuple(remarks))


def recorded_rate(path: Path) -> int:
    """The sampling rate that a file declares.

    Raises:
        ValueError: the file is no audio, or declares a rate that no sound has.
        ImportError: the extra `audio` is not installed.
    """
    _declared_samples(path)
    return _info(path).samplerate


def _info(path: Path) -> Any:
    """What a file declares."""
    soundfile = _soundfile(path)
    try:
        info = soundfile.info(path, verbose=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(f"{path}: is damaged or not audio ({error}); replace or remove it") from error
    if not LOWEST_RATE <= info.samplerate <= HIGHEST_RATE:
        raise ValueError(
            f"{path}: is damaged, it declares {info.samplerate} samples per second; replace or remove it"
        )
    return info


def _raw_blocks(path: Path) -> Iterator[np.ndarray]:
    """The samples of a file as they are, `(n, channels)` float32, one block after the other."""
    soundfile = _soundfile(path)
    try:
        with soundfile.SoundFile(path) as file:
            while len(samples := file.read(BLOCK, dtype="float32", always_2d=True)):
                yield samples
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


def _full_scale(path: Path, peak: float) -> float:
    """By what samples are divided to lie in [-1, 1]: floats may hold the numbers of 16-bit samples.

    Raises:
        ValueError: the samples are on another scale.
    """
    if peak <= LOUDEST:
        return 1.0
    if QUIETEST_INT16 <= peak <= INT16:
        return INT16
    raise ValueError(
        f"{path}: its samples reach {peak:.4g}; floats must lie in [-1, 1], or be on the scale of 16-bit samples. Divide "
        "them by their full scale and save the file again"
    )


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
