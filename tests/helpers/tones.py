"""Recordings of known voices and words, made of harmonics, and a model that splits them exactly."""

import numpy as np
import torch
from torch import nn
from torch.distributions import Distribution, Normal

from unbraid.cards import ModelCard
from unbraid.data.features import Sound
from unbraid.data.formats.spectra import feature_names, to_features
from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Label, Sequences
from unbraid.models.base import SequenceModel
from unbraid.types import Posterior

RATE = 8000
PITCH = 100.0  # Hz
VOICES = (500.0, 1500.0, 2800.0)  # Hz, where a voice is loudest
WORDS = ("1010", "1100", "0110")  # when it is loud


def waveform(voice: int, word: int, quarter: float = 0.08) -> np.ndarray:
    """Harmonics of one pitch with one resonance, loud or soft in each quarter."""
    loud = np.repeat([1 if on == "1" else 0.04 for on in WORDS[word]], int(quarter * RATE))
    time = np.arange(len(loud)) / RATE
    hertz = np.arange(PITCH, RATE / 2, PITCH)
    strength = 0.05 + np.exp(-(((hertz - VOICES[voice]) / 200) ** 2))
    tone = strength @ np.sin(2 * np.pi * hertz[:, None] * time + hertz[:, None] ** 2)
    return (0.1 * loud * tone).astype(np.float32)


def recordings(each: int = 3, pieces: int = 1, kind: str = "mel80", seed: int = 0) -> Sequences:
    """Every voice says every word `each` times at different speeds; a recording is cut into `pieces` sequences."""
    generator = np.random.default_rng(seed)
    numbers = [(v, w) for _ in range(each) for v in range(len(VOICES)) for w in range(len(WORDS))]
    frames = []
    for v, w in numbers:
        wave = waveform(v, w, generator.uniform(0.06, 0.1))
        wave = wave + generator.normal(0, 1e-4, len(wave)).astype(np.float32)
        frames.append(to_features(torch.from_numpy(wave)[None], kind, RATE)[0].numpy())
    split = np.arange(len(numbers)) * 3 // len(numbers)
    scaling = Scaling.fit(np.concatenate([f for f, s in zip(frames, split, strict=True) if s == 0]))
    parts = [part for f in frames for part in np.array_split(scaling.apply(f), pieces)]
    lengths = np.array([len(part) for part in parts])
    x = np.zeros((len(parts), lengths.max(), frames[0].shape[1]), np.float32)
    for row, part in zip(x, parts, strict=True):
        row[: len(part)] = part
    voice, word = np.array(numbers).repeat(pieces, 0).T
    owner = np.arange(len(numbers)).repeat(pieces)
    return Sequences(
        x,
        "tones",
        lengths=lengths,
        labels={
            "speaker": Label(voice, ("low", "middle", "high"), "static"),
            "word": Label(word, ("<ta>", "taa", "ata"), "dynamic"),
        },
        splits={
            name: np.flatnonzero(split[owner] == i) for i, name in enumerate(("train", "validation", "test"))
        },
        groups=owner,
        scaling=scaling,
        feature_names=feature_names(kind, RATE),
        sampling_rate=100,
        sound=Sound(kind, RATE),
    )


class Additive(SequenceModel):
    """S is the mean spectrum, d_t how much louder or softer each band is at step t; their sum is the step."""

    card = ModelCard(
        "additive",
        "",
        "",
        2024,
        "",
        "",
        "",
        frozenset({"encode", "decode", "static_prior", "decoded_static"}),
    )

    def __init__(self, observation) -> None:
        super().__init__(locals())
        self.static_size = self.dynamic_size = observation[0]
        self.nothing = nn.Parameter(torch.zeros(()))

    def posterior(self, x, mask=None, generator=None) -> Posterior:
        seen = torch.ones(x.shape[:2]) if mask is None else mask.float()
        mean = (x * seen[..., None]).sum(1) / seen.sum(1, keepdim=True)
        return Posterior(Normal(mean, 0.1), Normal(x - mean[:, None], 0.1))

    def decode(self, codes, mask=None, generator=None) -> Distribution:
        return Normal(codes.static[:, None] + codes.dynamic, 0.1)

    def terms(self, batch, generator=None, phase="fit"):
        return {"nothing": self.nothing.expand(len(batch))}
