"""Sound to features and back: log-mel bands and spectra of short windows, in torch, on any device.

| kind      | F   | window         | shift   | what                                                                   |
|-----------|-----|----------------|---------|------------------------------------------------------------------------|
| mel80     | 80  | 25 ms Hamming  | 10 ms   | log of mel-band power, pre-emphasis 0.97, bands from 20 Hz to half the |
| mel40     | 40  |                |         | sampling rate                                                          |
| spec200   | 200 | 25 ms root-Hann| 10 ms   | log magnitude without the constant (Hsu et al., FHVAE, NeurIPS 2017)   |
| linear201 | 201 | 20 ms Hann     | 10.3 ms | magnitude, centred windows (the code of DBSE, ICML 2024)               |

Logarithms are natural and never below -20. Mel bands are triangles of height 1, evenly spread over
2595 log10(1 + f / 700 Hz), as in HTK and Kaldi. Samples lie in [-1, 1]. Windows that are not centred begin at the
first sample, and only whole ones count. Centred windows see zeros beyond the ends (the authors' code mirrors the
signal there).

`to_waveform` inverts features: a spectrum is computed from the power of the bands (Richardson-Lucy), then phases that
fit it (Griffin and Lim, 1984, with the momentum of Perraudin, Balazs and Sondergaard, WASPAA 2013, https://doi.org/10.1109/WASPAA.2013.6701851).
"""

import functools
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from unbraid.data.features import FeatureKind
from unbraid.words import nearest

__all__ = [
    "FEATURES",
    "LOG_FLOOR",
    "UNITS",
    "Layout",
    "feature_names",
    "features_in_blocks",
    "features_of_windows",
    "frame_count",
    "frame_middles",
    "frame_rate",
    "layout_of",
    "mel_bands",
    "to_features",
    "to_waveform",
    "windows_in_blocks",
]

FEATURES: dict[str, int] = {"mel80": 80, "mel40": 40, "spec200": 200, "linear201": 201}
UNITS = {"mel80": "log power", "mel40": "log power", "spec200": "log magnitude", "linear201": "magnitude"}

LOG_FLOOR = -20.0
PRE_EMPHASIS = 0.97
LOWEST_HZ = 20.0
SPECTRUM_FFT = 400
MEL_FFT = 512
BAND_STEPS = 50
MOMENTUM = 0.99
BLOCK = 4096  # windows that are transformed at once, so that hours of sound take no more memory than minutes


@dataclass(frozen=True)
class Layout:
    """A kind of features at one sampling rate, in samples."""

    kind: str
    sampling_rate: int
    window: int
    shift: int
    fft: int

    @property
    def mel(self) -> bool:
        """Whether features are bands of the mel scale."""
        return self.kind.startswith("mel")

    @property
    def margin(self) -> int:
        """Zeros on either side of the signal."""
        return self.window // 2 if self.kind == "linear201" else 0

    def weights(self, like: Tensor) -> Tensor:
        """The window, `(window,)`."""
        shape = torch.hamming_window if self.mel else torch.hann_window
        weights = shape(self.window, dtype=like.dtype, device=like.device)
        return weights.sqrt() if self.kind == "spec200" else weights

    def frames(self, waveform: Tensor) -> Tensor:
        """The samples under each window, `(B, samples)` -> `(B, T, window)`, without the window's weights."""
        return F.pad(waveform, (self.margin, self.margin)).unfold(1, self.window, self.shift)


def layout_of(kind: str, sampling_rate: int) -> Layout:
    """The layout of a kind of features.

    Raises:
        ValueError: no such kind, or a sampling rate that it does not support.
    """
    if kind not in FEATURES:
        raise ValueError(f"features: no kind is called {kind!r}{nearest(kind, FEATURES)}")
    if sampling_rate < 4000:
        raise ValueError(f"sampling_rate: {sampling_rate} samples per second are too few; 4000 are needed")
    window = round((0.02 if kind == "linear201" else 0.025) * sampling_rate)
    shift = round((165 / 16000 if kind == "linear201" else 0.01) * sampling_rate)
    if kind.startswith("mel"):
        # Below 16 kHz the window is padded with zeros, so that every band covers more than a single frequency.
        return Layout(kind, sampling_rate, window, shift, window if sampling_rate >= 16000 else MEL_FFT)
    if window > SPECTRUM_FFT:
        raise ValueError(
            f"sampling_rate: {kind} has {FEATURES[kind]} frequencies, too few for {sampling_rate} samples per "
            "second; choose 16000, or mel80"
        )
    return Layout(kind, sampling_rate, window, shift, SPECTRUM_FFT)


def frame_count(samples: int, kind: str = "mel80", sampling_rate: int = 16000) -> int:
    """Frames T that `to_features` computes from so many samples; 0 where the sound is shorter than a window.

    Raises:
        ValueError: no such kind, or a sampling rate that the kind does not support.
    """
    layout = layout_of(kind, sampling_rate)
    return max(0, 1 + (samples + 2 * layout.margin - layout.window) // layout.shift)


def frame_middles(frames: int, kind: str = "mel80", sampling_rate: int = 16000) -> np.ndarray:
    """The sample in the middle of the window of each frame, `(frames,)`."""
    layout = layout_of(kind, sampling_rate)
    return np.arange(frames) * layout.shift - layout.margin + (layout.window - 1) / 2


def frame_rate(kind: str = "mel80", sampling_rate: int = 16000) -> float:
    """Frames per second."""
    return sampling_rate / layout_of(kind, sampling_rate).shift


def feature_names(kind: str = "mel80", sampling_rate: int = 16000) -> tuple[str, ...]:
    """The centre of each band or bin, as in "440.0 Hz"."""
    layout = layout_of(kind, sampling_rate)
    if layout.mel:
        centres = _mel_edges(FEATURES[kind], sampling_rate)[1:-1]
    else:
        centres = _frequencies(layout)[-FEATURES[kind] :]
    return tuple(f"{centre:.1f} Hz" for centre in centres.tolist())


def to_features(
    waveform: Float[Tensor, "B samples"], kind: FeatureKind = "mel80", sampling_rate: int = 16000
) -> Float[Tensor, "B T F"]:
    """Features of a batch of sounds, on the device and in the precision of `waveform`.

    Sounds shorter than the longest are padded with zeros at their end. The first `frame_count(samples, ...)` frames of
    a sound do not depend on its padding.

    Args:
        waveform: samples in [-1, 1].
        kind: see the table of this module.
        sampling_rate: samples per second.

    Raises:
        ValueError: no such kind, a sampling rate that the kind does not support, or sounds shorter than one window.
    """
    layout = layout_of(kind, sampling_rate)
    if not frame_count(waveform.shape[1], kind, sampling_rate):
        raise ValueError(
            f"waveform: {waveform.shape[1]} samples are shorter than one window of {layout.window}"
        )
    if layout.mel:  # the sample before the first is set equal to it, so that there is no click at the start
        waveform = waveform - PRE_EMPHASIS * torch.cat([waveform[:, :1], waveform[:, :-1]], 1)
    blocks = layout.frames(waveform).split(max(1, BLOCK // len(waveform)), 1)
    return torch.cat([features_of_windows(frames, layout) for frames in blocks], 1)


def features_in_blocks(
    blocks: Iterable[np.ndarray], kind: FeatureKind = "mel80", sampling_rate: int = 16000
) -> Iterator[Float[np.ndarray, "T F"]]:
    """The features of one sound that comes in blocks, block by block; together they are those of `to_features`.

    Args:
        blocks: `(n,)` float32 samples in [-1, 1], which follow one another.
        kind: see the table of this module.
        sampling_rate: samples per second.

    Raises:
        ValueError: no such kind, or a sampling rate that the kind does not support.
    """
    layout = layout_of(kind, sampling_rate)
    for windows in windows_in_blocks(blocks, layout):
        yield features_of_windows(windows, layout).numpy()


def windows_in_blocks(
    blocks: Iterable[np.ndarray], layout: Layout, beyond: int = 0
) -> Iterator[Float[Tensor, "n samples"]]:
    """The samples under the windows of a sound that comes in blocks, with pre-emphasis where the layout has one.

    Args:
        blocks: `(n,)` float32 samples in [-1, 1], which follow one another.
        layout: of the features.
        beyond: samples on either side of each window that are given as well; zeros beyond the ends of the sound.
    """
    margin = torch.zeros(layout.margin + beyond)
    length = layout.window + 2 * beyond
    waiting = margin  # samples whose windows were not given yet
    before: Tensor | None = None
    for block in itertools.chain(blocks, [None]):
        samples = margin if block is None else torch.from_numpy(block)
        if layout.mel and block is not None and len(samples):
            shifted = torch.cat([samples[:1] if before is None else before, samples[:-1]])
            before = samples[-1:]
            samples = samples - PRE_EMPHASIS * shifted
        waiting = torch.cat([waiting, samples])
        ready = max(0, 1 + (len(waiting) - length) // layout.shift)
        if block is not None:
            ready = ready // BLOCK * BLOCK
        for start in range(0, ready, BLOCK):
            yield waiting.unfold(0, length, layout.shift)[start : min(start + BLOCK, ready)]
        waiting = waiting[ready * layout.shift :]


def features_of_windows(windows: Float[Tensor, "*B window"], layout: Layout) -> Float[Tensor, "*B F"]:
    """Features of the samples under each window."""
    spectrum = torch.fft.rfft(windows * layout.weights(windows), layout.fft)
    if layout.mel:
        power = spectrum.real.square() + spectrum.imag.square()
        return (power @ mel_bands(layout, windows).T).clamp_min(math.exp(LOG_FLOOR)).log()
    magnitude = spectrum.abs()
    return (
        magnitude if layout.kind == "linear201" else magnitude[..., 1:].clamp_min(math.exp(LOG_FLOOR)).log()
    )


def to_waveform(
    x: Float[Tensor, "T F"],
    kind: FeatureKind = "mel80",
    sampling_rate: int = 16000,
    *,
    iterations: int = 60,
    seed: int = 0,
) -> Float[Tensor, " samples"]:
    """A sound whose features are near `x`: a spectrum for each frame, then phases that fit together.

    The original phases are lost, and mel bands blur the harmonics of high frequencies.

    Args:
        x: features in raw units, as `to_features` gives them (undo a data set's scaling first).
        kind: of the features.
        sampling_rate: samples per second of the sound.
        iterations: of Griffin and Lim's algorithm.
        seed: of the phases that it starts from.

    Raises:
        ValueError: no such kind, a sampling rate that the kind does not support, or another number of features than the kind has.
    """
    layout = layout_of(kind, sampling_rate)
    if x.shape[1] != FEATURES[kind]:
        raise ValueError(f"x: has {x.shape[1]} features; {kind} has {FEATURES[kind]}")
    magnitude = _magnitude(x.float(), layout)
    start = torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(seed)).to(x.device)
    phase = torch.polar(torch.ones_like(start), 2 * math.pi * start)
    rebuilt = torch.zeros_like(phase)
    for _ in range(iterations):
        before, rebuilt = rebuilt, _spectra(_overlap_add(magnitude * phase, layout), layout)
        phase = rebuilt + MOMENTUM * (rebuilt - before)
        phase = phase / phase.abs().clamp_min(1e-12)
    return _overlap_add(magnitude * phase, layout)


def _magnitude(x: Tensor, layout: Layout) -> Tensor:
    """Magnitude of the spectrum under each window, `(T, F)` features -> `(T, frequencies)`."""
    if layout.kind == "linear201":
        return x.clamp_min(0)
    if layout.kind == "spec200":
        return F.pad(x.exp(), (1, 0))
    # Find a non-negative spectrum with the wanted bands by multiplicative steps. Errors count relative to a band's power,
    # as they do in the logarithm, so quiet bands are fitted as well as loud ones.
    power, bands = x.exp(), mel_bands(layout, x)
    share = bands.sum(0).clamp_min(1e-12)
    spectrum = power @ bands / share
    for _ in range(BAND_STEPS):
        spectrum = spectrum * ((power / (spectrum @ bands.T).clamp_min(1e-12)) @ bands) / share
    angle = 2 * math.pi * _frequencies(layout).to(x) / layout.sampling_rate
    emphasis = (1 + PRE_EMPHASIS**2 - 2 * PRE_EMPHASIS * angle.cos()).sqrt()
    return spectrum.sqrt() / emphasis


def _spectra(waveform: Tensor, layout: Layout) -> Tensor:
    """Spectra of all windows, `(samples,)` -> `(T, frequencies)`."""
    frames = layout.frames(waveform.unsqueeze(0)).squeeze(0)
    return torch.fft.rfft(frames * layout.weights(frames), layout.fft)


def _overlap_add(spectra: Tensor, layout: Layout) -> Tensor:
    """The signal whose windows are nearest to `spectra` in squared error; it fades in and out at its ends."""
    frames = torch.fft.irfft(spectra, layout.fft)[:, : layout.window]
    weights = layout.weights(frames)
    length = (len(frames) - 1) * layout.shift + layout.window

    def add(pieces: Tensor) -> Tensor:
        return F.fold(pieces.T, (1, length), (1, layout.window), stride=(1, layout.shift)).flatten()

    covered = add(weights.square().expand(len(frames), -1))
    signal = add(frames * weights) / covered.clamp_min(0.05 * covered.max())
    return signal[layout.margin : length - layout.margin]


def _frequencies(layout: Layout) -> Tensor:
    """Frequency of each bin in Hz."""
    return torch.arange(layout.fft // 2 + 1, dtype=torch.float64) * layout.sampling_rate / layout.fft


def _mel_edges(bands: int, sampling_rate: int) -> Tensor:
    """Edges of the bands in Hz, `(bands + 2,)`: band i rises from edge i to edge i + 1 and falls to edge i + 2."""
    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (LOWEST_HZ, sampling_rate / 2))
    return 700 * (10 ** (torch.linspace(low, high, bands + 2, dtype=torch.float64) / 2595) - 1)


@functools.lru_cache(maxsize=16)
def _triangles(layout: Layout) -> Tensor:
    edges, frequencies = _mel_edges(FEATURES[layout.kind], layout.sampling_rate), _frequencies(layout)
    rise = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp_min(0)


def mel_bands(layout: Layout, like: Tensor) -> Tensor:
    """Weight of each frequency in each band, `(F, frequencies)`."""
    return _triangles(layout).to(like)
