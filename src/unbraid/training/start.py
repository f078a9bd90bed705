"""Training that starts from the weights of a trained model (fine-tuning).

The weights are copied into the run's folder, `RUN/start/`, so that a resumed training does not depend on where they were.
"""

import contextlib
from dataclasses import replace
from pathlib import Path

from unbraid.data.sequences import Sequences
from unbraid.io import load_features, load_model, save_model, weights_sha256
from unbraid.models.base import SequenceModel
from unbraid.pretrained.places import locate
from unbraid.training.config import TrainingConfig

__all__ = ["check_features", "keep_start", "kept_start", "load_start", "take_weights", "with_start_hash"]

FOLDER = "start"


def load_start(config: TrainingConfig) -> SequenceModel | None:
    """The model that a training starts from; None for new weights.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: it is another one than `start_sha256` says.
    """
    if config.start_from is None:
        return None
    folder = locate(config.start_from)
    start, found = load_model(folder), weights_sha256(folder)
    if config.start_sha256 not in (None, found):
        raise ValueError(
            f"training.start_from: the weights of {config.start_from} have the SHA-256 {found}, not {config.start_sha256}, "
            "which training.start_sha256 asks for"
        )
    return start


def with_start_hash(config: TrainingConfig, start: SequenceModel | None) -> TrainingConfig:
    """The settings with the hash of the weights that training starts from."""
    if start is None or start.folder is None:
        return config
    return replace(config, start_sha256=weights_sha256(start.folder))


def take_weights(model: SequenceModel, start: SequenceModel | None) -> None:
    """Give a new model the weights of a trained one, if there is one.

    Raises:
        ValueError: the two are not of one method, or their arrays differ in shape.
    """
    if start is None:
        return
    where = f"training.start_from: {start.folder}"
    if model.card.name != start.card.name:
        raise ValueError(f"{where} is a model of {start.card.name}, not of {model.card.name}")
    if model.observation != start.observation:
        raise ValueError(
            f"{where} reads observations {start.observation}; the data have {model.observation}. Frames are resized by "
            "data.size; series need the same features and windows"
        )
    needed, given = model.state_dict(), start.state_dict()
    for name in sorted(needed.keys() | given.keys()):
        shapes = [tuple(values[name].shape) if name in values else None for values in (given, needed)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{where} has {name} of shape {shapes[0]}, this model of {shapes[1]}; start with its settings (model.*), and "
                "note that a method with a row for each training sequence starts from its own data alone"
            )
    model.load_state_dict(given)


def check_features(data: Sequences, start: SequenceModel | None) -> None:
    """Refuse data whose features are not those that a trained model reads, where both have names.

    Raises:
        ValueError: names or their order differ.
    """
    if start is None or start.folder is None or data.feature_names is None:
        return
    with contextlib.suppress(FileNotFoundError):
        names = load_features(start.folder).names
        if names and names != data.feature_names:
            raise ValueError(
                f"training.start_from: {start.folder} reads the features {', '.join(names)}; the data have "
                f"{', '.join(data.feature_names)}; name the same ones in the same order"
            )


def keep_start(model: SequenceModel, folder: Path) -> None:
    """Keep the weights that a training starts from in its folder."""
    save_model(model, folder / FOLDER)


def kept_start(folder: Path) -> SequenceModel | None:
    """The weights that a run started from, None for new ones."""
    return load_model(folder / FOLDER) if (folder / FOLDER / "model.json").is_file() else None
