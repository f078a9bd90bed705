"""The pictures of a run, chosen by the kind of its data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from unbraid import plots
from unbraid.data.sequences import Sequences
from unbraid.kinds import Kind
from unbraid.models.base import SequenceModel
from unbraid.report import frames, series, sounds
from unbraid.report.choice import Shown

__all__ = ["PICTURE_SETS", "PictureSet", "make_pictures", "stored_set"]


@dataclass(frozen=True)
class PictureSet:
    """The pictures of one kind of data.

    Attributes:
        draw: writes them: `draw(model, shown, data, folder, seed)` with the sequences to show and the whole data set.
        above: pictures above the scores.
        below: pictures below the scores.
        always: a picture that every run of this kind has.
    """

    draw: Callable[[SequenceModel, Sequences, Sequences, Path, int], None]
    above: tuple[Shown, ...]
    below: tuple[Shown, ...]
    always: str


FRAMES = PictureSet(frames.draw, frames.ABOVE, frames.BELOW, "reconstruction")
SERIES = PictureSet(series.draw, (), series.BELOW, "series")
SOUNDS = PictureSet(sounds.draw, sounds.ABOVE, sounds.BELOW, "exchange1")

PICTURE_SETS: dict[Kind, PictureSet] = {
    "frames": FRAMES,
    "vectors": SERIES,
    "windows": SERIES,
    "sound": SOUNDS,
}


def make_pictures(model: SequenceModel, data: Sequences, folder: str | Path, *, seed: int = 0) -> Path:
    """Draw what a model does with sequences of the test split, into `folder/pictures` (and `folder/sounds`).

    Pictures that need what the method cannot do are left out; without an encoder and a decoder nothing is drawn. The
    global random state is left alone.

    Args:
        model: a trained model.
        data: its data set; sequences come from `test`, or from all where that has fewer than two.
        folder: the run's folder.
        seed: of the choice of sequences and of all that is drawn from the prior.

    Returns:
        The folder of the pictures.
    """
    pictures = Path(folder) / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for path in [*pictures.glob("*.png"), *pictures.glob("*.gif"), *pictures.glob("*.json")]:
        path.unlink()  # of an earlier report
    if not (model.can("encode") and model.can("decode")):
        return pictures
    shown = data.split("test") if len(data.splits.get("test", ())) > 1 else data
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for decoders that draw
        _set_of(data).draw(model, shown, data, Path(folder), seed)
    return pictures


def _set_of(data: Sequences) -> PictureSet:
    if data.kind == "vectors" and data.observation[0] > plots.MOST_FEATURES:
        return FRAMES  # too many features for a lane each: clips are drawn as heat maps
    return PICTURE_SETS[data.kind]


def stored_set(folder: Path) -> PictureSet:
    """The set whose pictures lie in a run's folder."""
    sets = PICTURE_SETS.values()
    return next((each for each in sets if (folder / "pictures" / f"{each.always}.png").is_file()), FRAMES)
