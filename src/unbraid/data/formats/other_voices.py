"""A recording as other voices would say it: pitch and formants are changed, the words and the melody stay.

A window that is r times as long, around the same middle, whose spectrum is read at f / r, is the window of a sound that is played r
times as fast, at the old pace. All of its frequencies are r times as high, the pitch and the formants. The formants are taken out
again with the envelope of the spectrum, and those of the recording put in their place, at q times their frequencies:

    X_r(f)  log magnitude under the window r times as long, at f / r; above the highest frequency the spectrum is mirrored
    E_r(f)  its envelope: the part of its cepstrum below 2.5 ms
    Y(f)    = X_r(f) - E_r(f) + E_1(f / q)
    features of the other voice = log bands(exp 2Y), at the frequencies that the features are computed from

The split of a voice into source and filter is Fant's (Acoustic Theory of Speech Production, 1960); envelopes by the cepstrum are
those of Oppenheim (Speech Analysis-Synthesis System Based on Homomorphic Filtering, JASA 45, 1969).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unbraid.data.checks import check_whole
from unbraid.data.features import FeatureKind
from unbraid.data.formats.spectra import (
    LOG_FLOOR,
    Layout,
    features_of_windows,
    layout_of,
    mel_bands,
    windows_in_blocks,
)

__all__ = ["OtherVoice", "check_other_voices", "draw_voices", "with_other_voices"]

PITCH = 0.5  # most that the logarithm of the pitch changes
FORMANTS = 0.15  # most that the logarithm of the formants changes
ENVELOPE_SECONDS = 0.0025
LEAST = 1e-6  # magnitude


class OtherVoice(NamedTuple):
    """By how much another voice differs.

    Attributes:
        pitch: factor of the pitch, r; from exp(-0.5) to exp(0.5).
        formants: factor of the formants' frequencies, q.
    """

    pitch: float
    formants: float


def check_other_voices(count: int, kind: FeatureKind) -> None:
    """Refuse other voices of features that are no mel bands.

    Raises:
        ValueError: naming the argument.
    """
    check_whole("other_voices", count, 0)
    if count and not kind.startswith("mel"):
        raise ValueError(
            f"other_voices: are computed of mel bands, and features is {kind!r}; choose mel80, or leave other_voices out"
        )


def draw_voices(count: int, seed: int, recording: int) -> list[OtherVoice]:
    """The other voices of a recording, from the number of the recording and a seed."""
    random = np.random.default_rng([seed, recording])
    drawn = np.exp(random.uniform(-1, 1, (count, 2)) * (PITCH, FORMANTS))
    return [OtherVoice(*row) for row in drawn.tolist()]


def with_other_voices(
    blocks: Iterable[np.ndarray], kind: FeatureKind, sampling_rate: int, voices: Sequence[OtherVoice]
) -> Iterator[Float[np.ndarray, "n voices F"]]:
    """The features of one recording, block by block: as it is, then in each of the other voices.

    Args:
        blocks: `(n,)` float32 samples in [-1, 1], which follow one another.
        kind: of mel bands.
        sampling_rate: samples per second.
        voices: the other voices.

    Raises:
        ValueError: a kind without other voices, or a sampling rate that it does not support.
    """
    check_other_voices(len(voices), kind)
    layout = layout_of(kind, sampling_rate)
    beyond = max([0, *(_longer(layout, voice.pitch) for voice in voices)])
    finer = 2 ** max(0, math.ceil(math.log2((layout.window + 2 * beyond) / layout.fft)))
    fine = replace(layout, fft=finer * layout.fft)
    bands = mel_bands(layout, torch.zeros(())).T
    for windows in windows_in_blocks(blocks, layout, beyond):
        own = features_of_windows(windows[:, beyond : beyond + layout.window], layout)
        if not voices:
            yield own.unsqueeze(1).numpy()
            continue
        envelope = _envelope(_log_spectrum(windows, fine, 1.0), fine)
        others = [own]
        for pitch, formants in voices:
            spectrum = _log_spectrum(windows, fine, pitch)
            changed = spectrum - _envelope(spectrum, fine) + _read_at(envelope, 1 / formants)
            power = (2 * changed[:, ::finer]).exp() @ bands
            others.append(power.clamp_min(math.exp(LOG_FLOOR)).log())
        yield torch.stack(others, 1).numpy()


def _longer(layout: Layout, pitch: float) -> int:
    """Samples that a window of a pitch has more than the usual one, on either side."""
    return round((pitch - 1) * layout.window / 2)


def _log_spectrum(windows: Float[Tensor, "n W"], fine: Layout, pitch: float) -> Float[Tensor, "n f"]:
    """X_r of each window."""
    longer = _longer(fine, pitch)
    beyond = (windows.shape[1] - fine.window) // 2
    inside = windows[:, beyond - longer : beyond + fine.window + longer]
    weights = replace(fine, window=inside.shape[1]).weights(windows)
    magnitude = torch.fft.rfft(inside * weights, fine.fft).abs() * (fine.window / inside.shape[1])
    return _read_at(magnitude.clamp_min(LEAST).log(), 1 / pitch)


def _envelope(spectrum: Float[Tensor, "n f"], fine: Layout) -> Float[Tensor, "n f"]:
    """The smooth part of log spectra."""
    cepstrum = torch.fft.irfft(spectrum)  # symmetric: the spectrum is real
    times = torch.arange(fine.fft)
    seconds = torch.minimum(times, fine.fft - times) / fine.sampling_rate
    return torch.fft.rfft(cepstrum * (seconds < ENVELOPE_SECONDS)).real


def _read_at(spectrum: Float[Tensor, "n f"], factor: float) -> Float[Tensor, "n f"]:
    """Spectra read at their frequencies times a factor, mirrored at the highest frequency."""
    top = spectrum.shape[1] - 1
    place = top - (top - torch.arange(top + 1) * factor).abs()
    low = place.floor().long().clamp(0, top - 1)
    return torch.lerp(spectrum[:, low], spectrum[:, low + 1], (place - low).to(spectrum.dtype))
