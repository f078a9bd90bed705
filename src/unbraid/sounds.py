"""From features back to sound: recordings joined, their voices exchanged, written as WAV files.

A recording is all sequences of one number in `data.groups`, in their order. Its voice is the mean of their static codes,
its words are their dynamic codes.
"""

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unbraid.data.features import Sound
from unbraid.data.formats.spectra import to_waveform
from unbraid.data.sequences import Sequences
from unbraid.generation import decode, encode
from unbraid.masks import observed_steps
from unbraid.models.base import SequenceModel
from unbraid.types import Codes

__all__ = ["decibels", "exchange", "hear", "joined", "write_wav"]

PEAK = 0.9  # of every sound that is written, so that quiet recordings can be heard too
SILENCE = 1e-4  # sounds with a smaller peak are not amplified
LOWEST = 1e-5  # magnitude that is shown as silence


def joined(x: Float[Tensor, "n T F"], like: Sequences) -> Float[np.ndarray, "L F"]:
    """The steps of a recording's n sequences, one after the other.

    Args:
        x: features of n sequences.
        like: the n sequences; their steps without an observed value are left out.
    """
    return x.numpy()[observed_steps(like.observed())]


def exchange(
    model: SequenceModel,
    voice: Sequences,
    words: Sequences,
    take: Callable[[Codes, Codes], Codes] | None = None,
) -> Float[np.ndarray, "L F"]:
    """The words of one recording in the voice of another, as scaled features.

    Args:
        model: a trained model that encodes and decodes.
        voice: the sequences of the recording that gives its static code.
        words: the sequences of the recording that gives its dynamic codes; the result has its length. With the
            same sequences as `voice` the recording is rebuilt.
        take: what the codes of the words take from the voice's static code, which is the second argument's; None takes
            all of it.
    """
    codes = encode(model, words)
    other = Codes(encode(model, voice).static.mean(0).expand(len(codes), -1), codes.dynamic)
    if take is not None:
        other = take(Codes(codes.static.mean(0).expand(len(codes), -1), codes.dynamic), other)
    return joined(decode(model, other), words)


def hear(x: Float[np.ndarray, "L F"], data: Sequences) -> Float[np.ndarray, " samples"]:
    """The sound of scaled features; Griffin and Lim's method estimates its phases.

    Raises:
        ValueError: the data have no sound.
    """
    return to_waveform(torch.from_numpy(_raw(x, data)), _sound(data).kind, _sound(data).sampling_rate).numpy()


def decibels(x: Float[np.ndarray, "L F"], data: Sequences) -> Float[np.ndarray, "L F"]:
    """Scaled features as the power of each band in decibels, for pictures.

    Raises:
        ValueError: the data have no sound.
    """
    raw = _raw(x, data)
    if _sound(data).kind == "linear201":
        return 20 * np.log10(np.maximum(raw, LOWEST))
    powers = (
        1 if _sound(data).kind.startswith("mel") else 2
    )  # mel features are log power, spectra log magnitude
    return powers * 10 / np.log(10) * raw


def write_wav(path: str | Path, waveform: Float[np.ndarray, " samples"], sampling_rate: int) -> Path:
    """Write a sound as a WAV file, one channel of 16 bits, its peak at 0.9 (silence stays as it is)."""
    peak = float(np.abs(waveform).max(initial=0))
    scaled = waveform * (PEAK / peak if peak > SILENCE else 1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sampling_rate)
        file.writeframes((scaled * 32767).round().astype("<i2").tobytes())
    return Path(path)


def _sound(data: Sequences) -> Sound:
    if data.sound is None:
        raise ValueError(f"data: {data.name} was not made of sound, so it cannot be heard")
    return data.sound


def _raw(x: np.ndarray, data: Sequences) -> np.ndarray:
    return np.asarray(x, np.float32) if data.scaling is None else data.scaling.invert(x)
