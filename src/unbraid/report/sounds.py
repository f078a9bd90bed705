"""The report's part on sound: voices exchanged, to be heard and seen, and the codes of whole recordings."""

import json
from pathlib import Path

import numpy as np

from unbraid import plots
from unbraid.data.sequences import Sequences
from unbraid.evaluation.verification import content_label, speaker_label
from unbraid.files import write_atomically
from unbraid.generation import encode
from unbraid.models.base import SequenceModel
from unbraid.sounds import decibels, exchange, hear, joined, write_wav

__all__ = ["GRID", "PAIRS", "make_sounds"]

PAIRS = 3  # of recordings that exchange their voices
GRID = 8  # clips in the grid of all voices with all words
POINTS = 600  # recordings in a scatter plot


def make_sounds(
    model: SequenceModel, data: Sequences, chosen: list[int], folder: str | Path, *, seed: int = 0
) -> Path:
    """Write what a model does with recordings: `pictures/*.png`, `sounds/*.wav` and `sounds/sounds.json`.

    Args:
        model: a trained model that encodes and decodes.
        data: made of sound; the split to show.
        chosen: numbers in `data.recordings` of what is shown: at least two, `GRID` at most.
        folder: the run's folder.
        seed: of the choice of codes in the scatter plot.

    Returns:
        The folder of the pictures.
    """
    pictures, sounds = Path(folder) / "pictures", Path(folder) / "sounds"
    pictures.mkdir(parents=True, exist_ok=True)
    sounds.mkdir(exist_ok=True)
    shown = [data.recordings[number] for number in chosen]
    names = [_names(data, rows) for rows in shown]
    index = []
    for number, pair in enumerate(_pairs(names)[:PAIRS], start=1):
        two, called = [data.take(shown[i]) for i in pair], [names[i] for i in pair]
        index.append(_exchange_pair(model, two, called, pictures, sounds, number))
    write_atomically(sounds / "sounds.json", json.dumps(index, indent=1) + "\n")

    middles = [data.take(rows[len(rows) // 2 :][:1]) for rows in shown]
    originals = [decibels(joined(clip.batch(slice(None)).x, clip), clip) for clip in middles]
    crossed = [[decibels(exchange(model, voice, words), words) for words in middles] for voice in middles]
    figure = plots.plot_exchanged_voices(originals, crossed, *zip(*names, strict=True))
    figure.savefig(pictures / "voices.png")
    _picture_codes(model, data, pictures, seed)
    return pictures


def _names(data: Sequences, rows: np.ndarray) -> tuple[str, str]:
    """Who speaks in a recording, and what is said, as far as labels tell."""
    static = any(label.kind == "static" for label in data.heads.values())
    names = (speaker_label(data) if static else None, content_label(data))
    who, what = (
        f"{kind} {rows[0]}" if name is None else data.labels[name].classes[data.labels[name].values[rows[0]]]
        for kind, name in zip(("voice", "words"), names, strict=True)
    )
    return who, what


def _pairs(names: list[tuple[str, str]]) -> list[tuple[int, int]]:
    """Everyone once, each with the first of the others who differs most in voice and words."""
    left, pairs = list(range(len(names))), []
    while len(left) > 1:
        first = left.pop(0)
        other = max(left, key=lambda i: sum(a != b for a, b in zip(names[first], names[i], strict=True)))
        left.remove(other)
        pairs.append((first, other))
    return pairs


def _exchange_pair(
    model: SequenceModel,
    pair: list[Sequences],
    names: list[tuple[str, str]],
    pictures: Path,
    sounds: Path,
    number: int,
) -> dict[str, object]:
    """Two recordings, both rebuilt, and both in the other's voice: a picture, six sounds, and their captions."""
    rows: list[list[np.ndarray]] = []
    captions: list[list[str]] = []
    for words, voice, (who, what), (other, _) in zip(pair, pair[::-1], names, names[::-1], strict=True):
        rows.append(
            [
                joined(words.batch(slice(None)).x, words),
                exchange(model, words, words),
                exchange(model, voice, words),
            ]
        )
        captions.append([f"{who} says “{what}”", "rebuilt", f"“{what}” in the voice of {other}"])
    like = pair[0]
    assert like.sound is not None and like.feature_names is not None and like.sampling_rate is not None
    frequencies = np.array([float(name.removesuffix(" Hz")) for name in like.feature_names])
    figure = plots.plot_spectrograms(
        [[decibels(x, like) for x in row] for row in rows], captions, frequencies, like.sampling_rate
    )
    figure.savefig(pictures / f"exchange{number}.png")
    heard = []
    for letter, row, texts in zip("ab", rows, captions, strict=True):
        for kind, x, caption in zip(("original", "rebuilt", "exchanged"), row, texts, strict=True):
            path = write_wav(
                sounds / f"pair{number}-{letter}-{kind}.wav", hear(x, like), like.sound.sampling_rate
            )
            heard.append({"file": path.name, "caption": caption})
    return {"picture": f"exchange{number}.png", "sounds": heard}


def _picture_codes(model: SequenceModel, data: Sequences, pictures: Path, seed: int) -> None:
    """t-SNE of the mean codes of recordings."""
    recordings = data.recordings
    if len(recordings) < 10:
        return  # too few to see anything
    chosen = np.sort(np.random.default_rng(seed).permutation(len(recordings))[:POINTS])
    some = data.take(np.concatenate([recordings[number] for number in chosen]))
    codes = encode(model, some)
    static, dynamic = codes.static.numpy(), codes.dynamic.numpy()
    inside = np.arange(some.steps) < (some.steps if some.lengths is None else some.lengths[:, None])
    inside = np.broadcast_to(inside, dynamic.shape[:2])
    rows = some.recordings
    plots.plot_codes(
        plots.embed(np.stack([static[r].mean(0) for r in rows]), seed),
        plots.embed(np.stack([dynamic[r][inside[r]].mean(0) for r in rows]), seed),
        some.take(np.array([r[0] for r in rows])).labels,
    ).savefig(pictures / "codes.png")
