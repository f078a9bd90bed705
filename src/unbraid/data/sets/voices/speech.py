"""Speech-like sound from a source and a filter: glottal pulses and breath noise through the resonances of a vocal tract.

The source-filter model (Fant, Acoustic Theory of Speech Production, 1960) in the form of formant synthesis (Klatt, JASA 67,
1980, https://doi.org/10.1121/1.383940; glottal pulses of Klatt and Klatt, JASA 87, 1990, https://doi.org/10.1121/1.398894):

- *Voice*: the flow through the glottis is 27/4 (u² - u³), u = place in the open part of a cycle; breathy voices are open for a
  larger part of it and lose high frequencies. Cycles vary a little in length and strength.
- *Breath*: white noise that comes with the flow.
- *Tract*: resonances (formants) in a row, of which the first three move. All formants of a speaker are those of a tract of 17.5 cm
  times 17.5 cm / tract length.
- *Hiss*: noise of s, f and of the release of t and k, in a band of its own.

Sound is computed in overlapping frames of 16 ms every 8 ms, whose spectra are multiplied by the response of the tract.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

__all__ = ["MELODIES", "RATE", "WORDS", "Utterance", "Voice", "pronounce", "speak"]

RATE = 16000  # samples per second
HOP, WINDOW, FFT = 128, 256, 640  # samples; a frame rings on for up to 24 ms
TRACT = 17.5  # cm, of the formants below
UPPER = (3500.0, 4500.0, 5500.0, 6500.0, 7500.0)  # Hz, the formants that stay
BANDWIDTHS = (60.0, 90.0, 120.0, 200.0, 280.0, 350.0, 400.0, 450.0)  # Hz
JITTER, SHIMMER = 0.01, 0.04  # deviations of the pitch and of the strength, relative
BACKGROUND = 3e-4  # noise of the recording
LOUDNESS = 0.08  # root mean square
MARGIN = 0.04  # s of silence before and after a word

# First three formants in Hz, strength of the voice, strength of the hiss, centre of the hiss in Hz, duration in s.
PHONES = {
    "a": (750, 1250, 2550, 1.0, 0, 3000, 0.15),
    "e": (480, 1900, 2550, 1.0, 0, 3000, 0.15),
    "i": (300, 2250, 2950, 1.0, 0, 3000, 0.15),
    "o": (480, 900, 2500, 1.0, 0, 3000, 0.15),
    "u": (330, 750, 2300, 1.0, 0, 3000, 0.15),
    "m": (260, 1000, 2200, 0.5, 0, 3000, 0.08),
    "n": (260, 1600, 2600, 0.5, 0, 3000, 0.08),
    "l": (350, 1150, 2800, 0.7, 0, 3000, 0.08),
    "w": (300, 650, 2250, 0.7, 0, 3000, 0.08),
    "j": (280, 2250, 3000, 0.7, 0, 3000, 0.08),
    "s": (320, 1700, 2600, 0, 0.5, 5500, 0.10),
    "f": (340, 1000, 2400, 0, 0.2, 3800, 0.10),
    "t": (350, 1800, 2700, 0, 0, 4200, 0.07),
    "k": (320, 1900, 2400, 0, 0, 2000, 0.07),
    "d": (260, 1750, 2650, 0.15, 0, 4000, 0.07),
}
RELEASES = {"t": (4200.0, 0.6), "k": (2000.0, 0.6), "d": (4000.0, 0.3)}  # centre and strength of the hiss
RELEASE_SECONDS = 0.016
WORDS = ("mama", "neni", "lilo", "wowu", "jeja", "susi", "fofa", "tatu", "kiko", "dedo")
FORMANT_BLUR, STRENGTH_BLUR = 7, 3  # frames over which one phone passes into the next
SEMITONES = 3.0  # how far a melody goes up or down
MELODIES = ("falling", "rising", "peak")


@dataclass(frozen=True)
class Voice:
    """What stays of a speaker.

    Attributes:
        pitch: mean frequency of the glottal pulses in Hz.
        tract_length: from the glottis to the lips, in cm.
        breathiness: 0 (clear) to 1 (breathy).
    """

    pitch: float
    tract_length: float
    breathiness: float


@dataclass(frozen=True, eq=False)
class Utterance:
    """A word as it is pronounced, before it has a voice: one value for each of M frames of 8 ms.

    Attributes:
        formants: `(M, 3)` in Hz, of a tract of 17.5 cm.
        voice: `(M,)` strength of the voice, 0 to 1.
        hiss: `(M,)` strength of the hiss.
        centre: `(M,)` of the hiss in Hz.
        bend: `(M,)` the melody, in semitones above the speaker's pitch.
    """

    formants: Float[np.ndarray, "M 3"]
    voice: Float[np.ndarray, "M"]
    hiss: Float[np.ndarray, "M"]
    centre: Float[np.ndarray, "M"]
    bend: Float[np.ndarray, "M"]

    @property
    def samples(self) -> int:
        """Samples of its sound."""
        return len(self.voice) * HOP

    def at(self, track: Float[np.ndarray, "M"], samples: np.ndarray) -> np.ndarray:
        """The values of one track at some samples of the sound."""
        return np.interp(samples, (np.arange(len(track)) + 0.5) * HOP, track)


def pronounce(word: str, melody: str, pace: float) -> Utterance:
    """The movements of a word.

    Args:
        word: letters of `PHONES`.
        melody: one of `MELODIES`; its mean is 0.
        pace: 1 for the durations of `PHONES`, 2 for half of them.
    """
    rows: list[tuple[float, ...]] = []
    silence = round(MARGIN * RATE / HOP)
    for letter in word:
        *phone, seconds = PHONES[letter]
        rows += [tuple(phone)] * max(2, round(seconds / pace * RATE / HOP))
        if letter in RELEASES:
            centre, strength = RELEASES[letter]
            rows += [(*phone[:3], 0.0, strength, centre)] * round(RELEASE_SECONDS * RATE / HOP)
    still = [(*row[:3], 0.0, 0.0, row[5]) for row in (rows[0], rows[-1])]
    table = np.array([still[0]] * silence + rows + [still[1]] * silence, np.float64)
    along = np.clip((np.arange(len(table)) - silence) / max(len(rows) - 1, 1), 0, 1)
    bend = {
        "falling": SEMITONES * (1 - 2 * along),
        "rising": SEMITONES * (2 * along - 1),
        "peak": 1.5 * SEMITONES * (np.sin(np.pi * along) - 2 / np.pi),
    }[melody]
    blurred = [
        _blur(column, FORMANT_BLUR if number < 3 else STRENGTH_BLUR) for number, column in enumerate(table.T)
    ]
    return Utterance(np.stack(blurred[:3], 1), blurred[3], blurred[4], table[:, 5], bend)


def _blur(track: Float[np.ndarray, "M"], frames: int) -> Float[np.ndarray, "M"]:
    weights = np.hanning(frames + 2)[1:-1]
    return np.convolve(np.pad(track, frames // 2, "edge"), weights / weights.sum(), "valid")


def speak(said: Utterance, voice: Voice, random: np.random.Generator) -> Float[np.ndarray, " samples"]:
    """The sound of a word in a voice: float32 samples in [-1, 1], 16,000 a second.

    Args:
        said: the word's movements.
        voice: of the speaker.
        random: of jitter, breath and hiss.
    """
    frames = len(said.voice)
    samples = np.arange(said.samples)
    flow, pulses = _glottis(said, voice, samples, random)
    noise = random.standard_normal((3, len(samples)))
    breath = noise[0] * (0.3 + 0.7 * flow) * said.at(said.voice, samples)
    hiss = noise[1] * said.at(said.hiss, samples)
    edges = np.arange(frames + 1) * HOP  # middles of the frames
    formants = np.stack([said.at(track, edges) for track in said.formants.T], 1)
    through = _tract(formants, voice.tract_length)
    angle = np.pi * np.arange(FFT // 2 + 1) / (FFT // 2)
    hertz = angle * RATE / (2 * np.pi)
    corner = 4000 * (1 - voice.breathiness) + 900 * voice.breathiness
    tilt = (1 - np.exp(-1j * angle)) / (1 + 1j * hertz / corner)
    radiated = (tilt * RATE / (4 * voice.pitch)).astype(np.complex64)
    breath_strength = np.float32(0.02 + 0.3 * voice.breathiness**1.5)
    spectrum = (_spectra(pulses) * radiated + breath_strength * _spectra(breath)) * through
    centre = said.at(said.centre, edges)[:, None] * TRACT / voice.tract_length
    band = np.exp(-0.5 * ((hertz - centre) / 900) ** 2).astype(np.float32)
    sound = _overlap_add(spectrum + _spectra(hiss) * band)[: len(samples)]
    sound *= LOUDNESS / np.sqrt(np.mean(sound**2))
    return (sound + BACKGROUND * noise[2]).clip(-1, 1).astype(np.float32)


def _glottis(
    said: Utterance, voice: Voice, samples: np.ndarray, random: np.random.Generator
) -> tuple[Float[np.ndarray, " samples"], Float[np.ndarray, " samples"]]:
    """The flow through the open glottis, 0 to 1, and the flow in the strength of the voice."""
    pitch = voice.pitch * 2 ** (said.bend / 12) * (1 + JITTER * random.standard_normal(len(said.bend)))
    place = np.cumsum(said.at(pitch, samples) / RATE) % 1
    opened = place / (0.5 + 0.25 * voice.breathiness)
    flow = np.where(opened < 1, 6.75 * (opened**2 - opened**3), 0.0)
    strength = said.voice * (1 + SHIMMER * random.standard_normal(len(said.voice)))
    return flow, flow * said.at(strength, samples)


def _tract(formants: Float[np.ndarray, "M 3"], tract_length: float) -> Complex[np.ndarray, "M bins"]:
    """The response of the tract: resonances in a row, each of gain 1 at frequency 0."""
    longer = TRACT / tract_length
    upper = [
        (hertz, wide) for hertz, wide in zip(UPPER, BANDWIDTHS[3:], strict=True) if hertz * longer < RATE / 2
    ]
    response = np.ones(FFT // 2 + 1, np.complex64)
    for hertz, bandwidth in upper:
        response = response * _resonance(np.array([hertz * longer]), bandwidth)
    for track, bandwidth in zip(formants.T, BANDWIDTHS, strict=False):
        response = response * _resonance(track * longer, bandwidth)
    return response


def _resonance(hertz: Float[np.ndarray, "M"], bandwidth: float) -> Complex[np.ndarray, "M bins"]:
    """The response of two conjugate poles at each of M frequencies."""
    turn = np.exp(-2j * np.pi * np.arange(FFT // 2 + 1) / FFT).astype(np.complex64)
    radius = np.exp(-np.pi * bandwidth / RATE)
    first = (2 * radius * np.cos(2 * np.pi * hertz / RATE))[:, None].astype(np.float32)
    square = np.float32(radius**2)
    return (1 - first + square) / (1 + turn * (square * turn - first))


def _spectra(sound: Float[np.ndarray, " samples"]) -> Complex[np.ndarray, "M bins"]:
    """Spectra of Hann windows around every multiple of `HOP`, which add up to the sound."""
    padded = np.pad(sound, WINDOW // 2)
    framed = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    return np.fft.rfft((framed * np.hanning(WINDOW + 1)[:-1]).astype(np.float32), FFT)


def _overlap_add(spectra: Complex[np.ndarray, "M bins"]) -> Float[np.ndarray, " samples"]:
    pieces = np.fft.irfft(spectra, FFT).reshape(len(spectra), FFT // HOP, HOP)
    sound = np.zeros((len(spectra) + FFT // HOP, HOP))
    for number in range(FFT // HOP):
        sound[number : number + len(spectra)] += pieces[:, number]
    return sound.reshape(-1)[WINDOW // 2 :]
