"""Voices: 120 speakers who say ten words, speech-like sound made by code in seconds, with factors that are known exactly.

Every speaker says every word once: 1200 utterances of about half a second at 16 kHz. How they are made: see `speech`.

Static factors, which stay for a speaker:

- `speaker` (a label).
- `pitch`: in semitones above 100 Hz (-3 to 16, so 84 to 252 Hz).
- `tract_length`: 13 to 19 cm; all formants are those of 17.5 cm times 17.5 / tract length.
- `breathiness`: 0 (clear) to 1 (breathy).

Dynamic factors. Labels of an utterance: `word` (ten), `pace` (slow, normal, fast) and `melody` (falling, rising, peak). Targets of
each frame: `voiced` (0 or 1); `melody_bend`, semitones above the speaker's pitch, and `openness` and `frontness`, the logarithms
of the first formant over 500 Hz and of the second over 1500 Hz in a tract of 17.5 cm, known where the frame is voiced.

All are drawn independently of one another. By default the speakers of validation and test do not occur in training. With
`unseen=False` all speakers occur in all splits, and each says other words in each of them.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from unbraid.cards import DataCard
from unbraid.data.checks import check_choice, check_whole
from unbraid.data.features import FeatureKind, Segment
from unbraid.data.formats.other_voices import check_other_voices, draw_voices, with_other_voices
from unbraid.data.formats.sounds import check_sound_options
from unbraid.data.formats.spectra import frame_count, frame_middles
from unbraid.data.labels import Label
from unbraid.data.own.recordings import sequences_of_recordings
from unbraid.data.sequences import Sequences
from unbraid.data.sets.voices.speech import MELODIES, RATE, WORDS, Utterance, Voice, pronounce, speak
from unbraid.data.splits import consecutive_splits, split_by_group
from unbraid.data.store import Space, prepared

__all__ = ["card", "load", "render"]

card = DataCard(
    name="voices",
    summary="120 made-up speakers say ten words: 1200 utterances of speech-like sound, 11 minutes at 16 kHz",
    source="unbraid's own synthesis, by code",
    licence="Apache-2.0",
    obtain="nothing to get: made on first use, in seconds",
    shape=(76, 80),
    kind="sound",
    protocols=("verification", "planted"),
    choices=(
        "static factors of a speaker: pitch, tract length and breathiness (numbers)",
        "dynamic factors: word, pace and melody of an utterance; voiced, melody bend, openness and frontness of a frame",
        "--data.unseen true (default): validation and test have speakers of their own, 12 and 24 of 120",
        "--data.unseen false: all speakers in all splits; 7 of each speaker's words train, 1 validates, 2 test",
    ),
)

VERSION = 1
PACES = {"slow": 0.75, "normal": 1.0, "fast": 1.33}
LOWEST, HIGHEST = -3.0, 16.0  # semitones above 100 Hz
SHORTEST, LONGEST = 13.0, 19.0  # cm
VOICED = 0.1  # strength of the voice from which on a frame is voiced
FRACTIONS = (0.7, 0.1, 0.2)
FRAME_TARGETS = ("voiced", "melody_bend", "openness", "frontness")


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    features: FeatureKind = "mel80",
    segment: Segment = "utterance",
    steps: int | None = None,
    unseen: bool = True,
    speakers: int = 120,
    seed: int = 0,
    other_voices: int = 0,
) -> Sequences:
    """Load Voices: `(10 * speakers, T, F)` features, scaled on the train split.

    Args:
        root: leave it out, for nothing has to be read.
        cache: where the prepared features (30 MB) are kept; None for UNBRAID_CACHE or the user's cache folder.
        features: kind of features, see `unbraid.data.formats.spectra`.
        segment: "utterance" for whole words, padded; "segment" for pieces of `steps` frames.
        steps: frames of a segment, 20 by default. For utterances: the most frames of a sequence; longer ones are cut into
            equal pieces.
        unseen: whether the speakers of validation and test are kept out of training; otherwise all speakers occur in all
            splits, with other words.
        speakers: number of speakers, at least 10.
        seed: of everything that is drawn; another seed gives other speakers.
        other_voices: in how many other voices each utterance is kept as well, for the view `voice`: computed from its sound,
            not rendered; mel bands only.

    Raises:
        ValueError: `root` is given, an option that does not exist, or a number that is out of its range.
    """
    if root is not None:
        raise ValueError(f"root: voices are made by code, not read, found {root}; leave root out")
    check_sound_options(features, segment, steps, RATE)
    check_choice("unseen", unseen, (True, False))
    check_whole("speakers", speakers, 10)
    check_whole("seed", seed, 0)
    check_other_voices(other_voices, features)
    options = {
        "features": features,
        "segment": segment,
        "steps": steps,
        "unseen": unseen,
        "speakers": speakers,
        "seed": seed,
        "other_voices": other_voices,
    }
    return prepared(
        "voices",
        options,
        lambda space: _build(space, features, segment, steps, unseen, speakers, seed, other_voices),
        cache,
        version=VERSION,
    )


def render(
    word: str,
    pitch: float,
    tract_length: float,
    breathiness: float,
    melody: str = "falling",
    pace: float = 1.0,
    seed: int = 0,
) -> Float[np.ndarray, " samples"]:
    """The sound of one word: float32 samples in [-1, 1], 16,000 a second.

    Args:
        word: one of the ten.
        pitch: in semitones above 100 Hz.
        tract_length: in cm.
        breathiness: 0 to 1.
        melody: falling, rising or peak.
        pace: 1 for the normal one; 2 is twice as fast.
        seed: of the noise.

    Raises:
        ValueError: there is no such word or melody, or `pace` is not above 0.
    """
    check_choice("word", word, WORDS)
    check_choice("melody", melody, MELODIES)
    if not pace > 0:
        raise ValueError(f"pace: is {pace}; give more than 0")
    voice = Voice(_hertz(pitch), tract_length, breathiness)
    return speak(pronounce(word, melody, pace), voice, np.random.default_rng(seed))


def _hertz(semitones: float) -> float:
    return 100 * 2 ** (semitones / 12)


def _build(
    space: Space,
    features: FeatureKind,
    segment: Segment,
    steps: int | None,
    unseen: bool,
    speakers: int,
    seed: int,
    other_voices: int,
) -> Sequences:
    random = np.random.default_rng(seed)
    pitch = random.uniform(LOWEST, HIGHEST, speakers)
    tract_length = random.uniform(SHORTEST, LONGEST, speakers)
    breathiness = random.random(speakers)
    shape = (speakers, len(WORDS))
    paces, melodies = random.integers(0, len(PACES), shape), random.integers(0, len(MELODIES), shape)
    variation = random.uniform(0.95, 1.05, shape)
    splits = _splits(unseen, speakers, seed)
    order = np.concatenate(list(splits.values()))
    who, what = np.divmod(order, len(WORDS))
    pace, melody = paces[who, what], melodies[who, what]
    utterances = [
        pronounce(WORDS[w], MELODIES[m], list(PACES.values())[p] * v)
        for w, m, p, v in zip(what, melody, pace, variation[who, what], strict=True)
    ]

    def recordings() -> Iterator[Iterable[np.ndarray]]:
        for row, utterance, speaker in zip(order, utterances, who, strict=True):
            voice = Voice(_hertz(pitch[speaker]), tract_length[speaker], breathiness[speaker])
            samples = speak(utterance, voice, np.random.default_rng([seed, row]))
            yield with_other_voices([samples], features, RATE, draw_voices(other_voices, seed, row))

    of_frames = [_frame_targets(utterance, features) for utterance in utterances]
    width = len(str(speakers - 1))
    names = tuple(f"s{number:0{width}}" for number in range(speakers))
    return sequences_of_recordings(
        space,
        "voices",
        recordings(),
        consecutive_splits({name: len(rows) for name, rows in splits.items()}),
        {
            "speaker": Label(who, names, "static"),
            "word": Label(what, WORDS, "dynamic"),
            "pace": Label(pace, tuple(PACES), "dynamic"),
            "melody": Label(melody, MELODIES, "dynamic"),
        },
        features,
        RATE,
        segment,
        steps,
        {"pitch": pitch[who], "tract_length": tract_length[who], "breathiness": breathiness[who]}
        | {name: [of[name] for of in of_frames] for name in FRAME_TARGETS},
    )


def _splits(unseen: bool, speakers: int, seed: int) -> dict[str, np.ndarray]:
    """Utterances of each split; the number of an utterance is ten times its speaker plus its word."""
    who, what = np.divmod(np.arange(speakers * len(WORDS)), len(WORDS))
    if unseen:
        return split_by_group(who, FRACTIONS, seed)
    turn = (what + who) % len(WORDS)  # every word is in every split, said by other speakers
    bounds = {"train": turn < 7, "validation": turn == 7, "test": turn > 7}
    return {name: np.flatnonzero(rows) for name, rows in bounds.items()}


def _frame_targets(utterance: Utterance, features: FeatureKind) -> dict[str, np.ndarray]:
    """Targets of each frame of features, taken in the middle of its window."""
    middles = frame_middles(frame_count(utterance.samples, features, RATE), features, RATE)
    voiced = utterance.at(utterance.voice, middles) > VOICED
    tracks = {
        "melody_bend": utterance.bend,
        "openness": np.log(utterance.formants[:, 0] / 500),
        "frontness": np.log(utterance.formants[:, 1] / 1500),
    }
    of_frames = {
        name: np.where(voiced, utterance.at(track, middles), np.nan) for name, track in tracks.items()
    }
    return {"voiced": voiced.astype(np.float64)} | of_frames
