"""Checks of a sound while its blocks are read through: NaN, clipping, channels that cancel each other, FLAC's checksum."""

import hashlib
from pathlib import Path

import numpy as np

__all__ = ["INT16", "FlacChecksum", "Heard", "one_channel"]

FULL_SCALE = 0.9999
CANCELLED = (
    0.1  # power of the mean of channels, as a share of that of unrelated ones, below which they cancel
)
CLIPPED_RUN = 4  # samples in a row at full scale that count as clipped
INT16 = 32768.0


def one_channel(samples: np.ndarray, channel: int | None) -> np.ndarray:
    """One channel of `samples (n, channels)`, counted from 1, or the mean of all."""
    return samples.mean(1) if channel is None else np.ascontiguousarray(samples[:, channel - 1])


class Heard:
    """What is found while the blocks of a file are read through."""

    def __init__(self, path: Path, rate: int, channel: int | None) -> None:
        self.path, self.rate, self.channel = path, rate, channel
        self.count = self.channels = 0
        self.peak = self.apart = self.together = 0.0
        self.lowest, self.highest = np.inf, -np.inf
        self.end = np.zeros(0, np.float32)  # the last samples of the block before
        self.clipped: set[float] = set()  # full scales at which several samples in a row are at full scale

    def add(self, samples: np.ndarray) -> None:
        """Take the next block, `(n, channels)`.

        Raises:
            ValueError: it holds NaN or infinity, or there is no such channel.
        """
        finite = np.isfinite(samples).all(1)
        if not finite.all():
            place = (self.count + int(np.argmin(finite))) / self.rate
            raise ValueError(f"{self.path}: holds NaN or infinity at {place:.3f} s; repair or remove it")
        self.count, self.channels = self.count + len(samples), samples.shape[1]
        if self.channel is not None and not 1 <= self.channel <= self.channels:
            raise ValueError(f"{self.path}: has {self.channels} channels; there is no channel {self.channel}")
        loudest = np.concatenate([self.end, np.abs(samples).max(1)])
        self.end = loudest[-(CLIPPED_RUN - 1) :]
        self.peak = max(self.peak, float(loudest.max()))
        self.clipped |= {scale for scale in (1.0, INT16) if _in_a_row(loudest >= FULL_SCALE * scale)}
        mono = one_channel(samples, self.channel)
        self.lowest, self.highest = min(self.lowest, mono.min()), max(self.highest, mono.max())
        if self.mixed:
            self.apart += float(np.square(samples, dtype=np.float64).sum()) / self.channels**2
            self.together += float(np.square(mono, dtype=np.float64).sum())

    @property
    def mixed(self) -> bool:
        """Whether several channels are mixed into one."""
        return self.channels > 1 and self.channel is None

    def refuse_cancelling(self) -> None:
        """Refuse channels that cancel each other.

        Raises:
            ValueError: they do.
        """
        # Powers of the mean: 1 / channels of this for channels that have nothing to do with one another.
        if self.apart > 0 and self.together < CANCELLED * self.apart:
            lost = "all" if self.together == 0 else f"{10 * np.log10(self.apart / self.together):.0f} dB"
            raise ValueError(
                f"{self.path}: its {self.channels} channels cancel each other ({lost} of the sound is lost in their mean); "
                "choose one of them with channel=1"
            )


class FlacChecksum:
    """The MD5 of the samples that a FLAC file keeps in its header; for other files, and where it is left out, none."""

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as file:
            head = file.read(42)
        self.bits = ((head[20] & 1) << 4) + (head[21] >> 4) + 1 if len(head) == 42 else 0
        self.expected = head[26:] if head.startswith(b"fLaC\0") or head.startswith(b"fLaC\x80") else bytes(16)
        self.md5 = hashlib.md5(usedforsecurity=False)

    def add(self, samples: np.ndarray) -> None:
        """Take the next block, `(n, channels)`, of floats that hold whole numbers exactly."""
        if any(self.expected) and self.bits <= 24:
            whole = np.round(samples * np.float32(2 ** (self.bits - 1))).astype("<i4")
            self.md5.update(
                np.ascontiguousarray(whole).view(np.uint8).reshape(-1, 4)[:, : (self.bits + 7) // 8].tobytes()
            )

    def is_right(self) -> bool:
        """Whether the samples were those of the checksum."""
        return not any(self.expected) or self.bits > 24 or self.md5.digest() == self.expected


def _in_a_row(flags: np.ndarray) -> bool:
    """Whether `CLIPPED_RUN` flags in a row are True."""
    if len(flags) < CLIPPED_RUN:
        return False
    return bool(np.lib.stride_tricks.sliding_window_view(flags, CLIPPED_RUN).all(1).any())
