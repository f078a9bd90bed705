"""Pictures and sounds of recordings: voices exchanged, to be heard and seen, and the mean codes of recordings."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from unbraid import plots
from unbraid.components import train_components
from unbraid.data.sequences import Sequences
from unbraid.evaluation.recordings import content_label, speaker_label
from unbraid.files import write_atomically
from unbraid.generation import decode, encode
from unbraid.masks import observed_steps
from unbraid.models.base import SequenceModel
from unbraid.report.blocks import Block, Heading, Image, Player, Recordings
from unbraid.report.choice import SPREAD, Shown, along_components, scattered_rows, varied_rows
from unbraid.sounds import decibels, exchange, hear, joined, write_wav

__all__ = ["ABOVE", "BELOW", "draw", "players"]

PAIRS = 3  # of recordings that exchange their voices
GRID = 8  # recordings in the grid of all voices with all words
COMPONENTS = 5  # of the static code, the rows of their picture
LEVELS = ("lowest", "in the middle", "highest")  # of a component, its columns

ABOVE = (
    Shown("voices", "Every voice with all words", "Spectrograms, low bands at the bottom. All in a row should be one voice, that of the recording at its left; all in a column should say the same, what the recording at its top says. All have one colour scale."),
)  # fmt: skip
BELOW = (
    Shown("sound_components", "Components of the voice", "One stretch of sound while a single component of the static code goes from low (left) to high (right); the others are kept. Components are found on the train split, without labels, by independent component analysis; those that change the static code most come first. `unbraid swap --components` exchanges them by their numbers. All have one colour scale."),
    Shown("codes", "The codes in two dimensions", "t-SNE of the mean codes of recordings of the test split, one column for each label. The static code should form clumps by the static labels and mix the dynamic ones; the dynamic code the other way round."),
)  # fmt: skip
HEARD = (
    "The spectrogram of each recording, of the one that the model decodes from its two codes, and of its words with the "
    "static code of the other recording. Sounds are made from spectrograms by Griffin and Lim's method, those of the "
    "originals as well, so their roughness is not the model's. All are equally loud. Colours go from the loudest value of "
    "each down by 60 dB."
)


def draw(model: SequenceModel, recordings: Sequences, data: Sequences, folder: Path, seed: int) -> None:
    """Write `pictures/*.png`, `sounds/*.wav` and `sounds/sounds.json`, which lists them.

    Args:
        model: a trained model that encodes and decodes.
        recordings: made of sound; the split to show. The whole data set is shown instead where this is one recording.
        data: the whole data set.
        folder: the run's folder.
        seed: of the choice of recordings.
    """
    recordings = recordings if len(recordings.recordings) > 1 else data  # pairs are shown
    pictures, sounds = folder / "pictures", folder / "sounds"
    sounds.mkdir(exist_ok=True)
    every = recordings.recordings
    first_rows = recordings.take(np.array([rows[0] for rows in every]))
    shown = [every[number] for number in varied_rows(first_rows, GRID, seed)]
    names = [_names(recordings, rows) for rows in shown]
    index = []
    for number, pair in enumerate(_pairs(names)[:PAIRS], start=1):
        two = [recordings.take(shown[i]) for i in pair]
        index.append(_picture_pair(model, two, [names[i] for i in pair], folder, number))
    write_atomically(sounds / "sounds.json", json.dumps(index, indent=1) + "\n")
    if model.can("decoded_static"):
        middles = [recordings.take(rows[len(rows) // 2 :][:1]) for rows in shown]
        _picture_grid(model, middles, names, pictures)
        _picture_components(model, middles[0], recordings, data, pictures)
    _picture_codes(model, recordings, pictures, seed)


def _names(data: Sequences, rows: np.ndarray) -> tuple[str, str]:
    """The voice and the words of a recording by their labels, or by its number where there is no such label."""
    static = any(label.kind == "static" for label in data.heads.values())
    names = (speaker_label(data) if static else None, content_label(data))
    voice, words = (
        f"{kind} {rows[0]}" if name is None else data.labels[name].classes[data.labels[name].values[rows[0]]]
        for kind, name in zip(("voice", "words"), names, strict=True)
    )
    return voice, words


def _pairs(names: list[tuple[str, str]]) -> list[tuple[int, int]]:
    """Pairs of recordings, each in one pair at most: the first with the one that differs most in voice and words, and so on."""
    left, pairs = list(range(len(names))), []
    while len(left) > 1:
        first = left.pop(0)
        other = max(left, key=lambda i: sum(a != b for a, b in zip(names[first], names[i], strict=True)))
        left.remove(other)
        pairs.append((first, other))
    return pairs


def _picture_pair(
    model: SequenceModel, pair: list[Sequences], names: list[tuple[str, str]], folder: Path, number: int
) -> dict[str, Any]:
    """Two recordings, both rebuilt, and both in the other's voice: a picture, their sounds and captions.

    Returns:
        The entry of `sounds.json`.
    """
    kinds = ["original", "rebuilt", "exchanged"] if model.can("decoded_static") else ["original", "rebuilt"]
    rows: list[list[np.ndarray]] = []
    captions: list[list[str]] = []
    for own, other, (voice, words), (other_voice, _) in zip(
        pair, pair[::-1], names, names[::-1], strict=True
    ):
        rows.append([joined(own.batch(slice(None)).x, own), exchange(model, own, own)])
        captions.append([f"{voice} says “{words}”", "rebuilt"])
        if "exchanged" in kinds:
            rows[-1].append(exchange(model, other, own))
            captions[-1].append(f"“{words}” in the voice of {other_voice}")
    like = pair[0]
    assert like.sound is not None
    _picture_spectrograms(rows, captions, like, folder / "pictures" / f"exchange{number}.png")
    files = []
    for letter, row, texts in zip("ab", rows, captions, strict=True):
        for kind, x, caption in zip(kinds, row, texts, strict=True):
            path = folder / "sounds" / f"pair{number}-{letter}-{kind}.wav"
            write_wav(path, hear(x, like), like.sound.sampling_rate)
            files.append({"file": path.name, "caption": caption})
    return {"picture": f"exchange{number}.png", "sounds": files}


def _picture_grid(
    model: SequenceModel, middles: list[Sequences], names: list[tuple[str, str]], pictures: Path
) -> None:
    """Every voice with all words, of one sequence from the middle of each recording."""
    originals = [decibels(joined(clip.batch(slice(None)).x, clip), clip) for clip in middles]
    crossed = [[decibels(exchange(model, voice, words), words) for words in middles] for voice in middles]
    figure = plots.plot_exchanged_voices(originals, crossed, *zip(*names, strict=True))
    figure.savefig(pictures / "voices.png")


def _picture_components(
    model: SequenceModel, one: Sequences, recordings: Sequences, data: Sequences, pictures: Path
) -> None:
    """One sequence while each component of its static code goes from its lowest to its highest value."""
    components = train_components(model, data)
    if components is None:
        return
    values = components.of(encode(model, recordings.take(slice(0, SPREAD))).static)
    moved = along_components(components, encode(model, one), values, COMPONENTS, len(LEVELS))
    rows = [[joined(x[None], one) for x in decode(model, codes)] for codes in moved]
    captions = [[f"component {number}, {level}" for level in LEVELS] for number in range(len(rows))]
    _picture_spectrograms(rows, captions, one, pictures / "sound_components.png", one_scale=True)


def _picture_spectrograms(
    rows: list[list[np.ndarray]],
    captions: list[list[str]],
    like: Sequences,
    path: Path,
    one_scale: bool = False,
) -> None:
    """Scaled features as spectrograms, with the bands and the speed of `like`."""
    assert like.feature_names is not None and like.sampling_rate is not None
    frequencies = np.array([float(name.removesuffix(" Hz")) for name in like.feature_names])
    spectrograms = [[decibels(x, like) for x in row] for row in rows]
    plots.plot_spectrograms(spectrograms, captions, frequencies, like.sampling_rate, one_scale).savefig(path)


def _picture_codes(model: SequenceModel, data: Sequences, pictures: Path, seed: int) -> None:
    """t-SNE of the mean codes of recordings."""
    numbers = scattered_rows(len(data.recordings), seed)
    if not len(numbers):
        return
    some = data.take(np.concatenate([data.recordings[number] for number in numbers]))
    codes = encode(model, some)
    static, dynamic = codes.static.numpy(), codes.dynamic.numpy()
    steps = observed_steps(some.observed())
    rows = some.recordings
    plots.plot_codes(
        plots.embed(np.stack([static[r].mean(0) for r in rows]), seed),
        plots.embed(np.stack([dynamic[r][steps[r]].mean(0) for r in rows]), seed),
        some.take(np.array([r[0] for r in rows])).labels,
    ).savefig(pictures / "codes.png")


# ---- on the page ----------------------------------------------------------------------------------------


def players(folder: Path) -> list[Block]:
    """Pairs of recordings that exchange their voices, with a player for each spectrogram.

    Raises:
        ValueError: `sounds.json` names a file outside the run's folder.
    """
    index = folder / "sounds" / "sounds.json"
    if not index.is_file():
        return []
    groups = [
        (
            Image(_stored(folder, "pictures", pair["picture"]), "png", "spectrograms"),
            [Player(_stored(folder, "sounds", entry["file"]), entry["caption"]) for entry in pair["sounds"]],
        )
        for pair in json.loads(index.read_text(encoding="utf-8"))
    ]
    return [Heading("Voices exchanged"), Recordings(groups, HEARD)]


def _stored(folder: Path, part: str, name: str) -> bytes:
    """A file of `folder/part`. A run folder may come from somebody else, so its index must not lead out of it."""
    path = (folder / part / name).resolve()
    if not path.is_relative_to((folder / part).resolve()):
        raise ValueError(
            f"{folder / 'sounds' / 'sounds.json'}: names {name!r}, which is not in {part}/ of the run's folder; delete the "
            "file and write the report again from the data"
        )
    return path.read_bytes()
