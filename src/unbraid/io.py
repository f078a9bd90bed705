"""Models on disk: weights as safetensors, settings as JSON; loading runs no code from the files."""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from unbraid import registry
from unbraid.data.features import Features
from unbraid.data.scaling import Scaling
from unbraid.files import read_json, with_checksum, write_atomically
from unbraid.models.base import SequenceModel
from unbraid.models.build import build_model
from unbraid.words import nearest

__all__ = [
    "StoredType",
    "load_features",
    "load_model",
    "load_scaling",
    "model_fingerprint",
    "save_features",
    "save_model",
    "stored_weights",
    "weights_sha256",
]

StoredType = Literal["float32", "bfloat16"]


def save_model(model: SequenceModel, folder: str | Path, dtype: StoredType = "float32") -> Path:
    """Write `model.safetensors` and, last, `model.json` into `folder`, replacing an older model there.

    `model.json` holds the name, the settings and the SHA-256 of the weights.

    Args:
        model: to save.
        folder: of the files; made where it is missing.
        dtype: of the parameters in the file. bfloat16 halves the file and rounds every parameter to 8 significant bits;
            buffers, as statistics of the data, keep their type. `load_model` makes float32 of them again.
    """
    folder = Path(folder)
    weights = save(stored_weights(model, dtype))
    write_atomically(folder / "model.safetensors", weights)
    description = {
        "model": model.card.name,
        "observation": model.observation,
        "settings": model.settings,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    write_atomically(folder / "model.json", json.dumps(with_checksum(description), indent=2) + "\n")
    return folder


def stored_weights(model: SequenceModel, dtype: StoredType = "float32") -> dict[str, torch.Tensor]:
    """The arrays of a model as `save_model` writes them, by name; see there for `dtype`."""
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if dtype == "bfloat16":
        weights |= {name: weights[name].to(torch.bfloat16) for name, _ in model.named_parameters()}
    return weights


def load_model(folder: str | Path, device: str = "cpu") -> SequenceModel:
    """Load a model from a run's folder or from its `model/`, in evaluation mode.

    Raises:
        FileNotFoundError: there is no model in the folder.
        ValueError: a file is damaged, the weights are not those that were saved, or the method is not registered.
    """
    folder = _folder_of_model(folder)
    description = read_json(folder / "model.json")
    try:
        name, observation = description["model"], tuple(description["observation"])
        settings = dict(description["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'model.json'}: is damaged ({type(error).__name__}: {error})") from error
    if isinstance(name, str) and name not in registry.MODELS:
        raise ValueError(
            f"{folder / 'model.json'}: was trained by {name!r}, which is not registered{nearest(name, registry.MODELS)}; for a method of "
            f"your own first call unbraid.registry.register_model({name!r}, 'module:Class')"
        )
    try:
        model = build_model(name, observation, **settings)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{folder / 'model.json'}: is damaged ({' '.join(str(error).split())})") from error
    model.load_state_dict(
        _read_weights(folder / "model.safetensors", description.get("weights_sha256"), model)
    )
    model.folder = folder.parent if folder.name == "model" else folder
    return model.to(device).eval()


def weights_sha256(folder: str | Path) -> str:
    """The SHA-256 of the stored weights of a model, from a run's folder or its `model/`.

    Raises:
        FileNotFoundError: there is no model in the folder.
    """
    return read_json(_folder_of_model(folder) / "model.json")["weights_sha256"]


def _folder_of_model(folder: str | Path) -> Path:
    """A run's `model/`, or the folder itself where the model's files lie in it."""
    folder = Path(folder)
    if not (folder / "model.json").exists() and (folder / "model").is_dir():
        folder = folder / "model"
    if not (folder / "model.json").exists():
        raise FileNotFoundError(
            f"{folder}: holds no model.json; give a finished run's folder (an unfinished one: `unbraid resume` it first)"
        )
    return folder


def _read_weights(path: Path, checksum: str | None, model: SequenceModel) -> dict[str, Any]:
    """The weights of a file, after checking that they are those that were saved and fit the model."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: is missing; the folder holds no whole model")
    content = path.read_bytes()
    if checksum is not None and hashlib.sha256(content).hexdigest() != checksum:
        raise ValueError(f"{path}: is damaged or of another model (its SHA-256 is not that of model.json)")
    try:
        weights = load(content)
    except SafetensorError as error:
        raise ValueError(f"{path}: is damaged ({' '.join(str(error).split())})") from error
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if shapes != {name: tuple(value.shape) for name, value in weights.items()}:
        raise ValueError(
            f"{path}: is damaged or of another model (its arrays are not those of {model.card.name})"
        )
    return weights


def save_features(features: Features, folder: str | Path) -> Path:
    """Write `features.json` into a model's folder: names, units and scaling of what the model reads."""
    path = Path(folder) / "features.json"
    write_atomically(path, json.dumps(with_checksum(features.to_json()), indent=2) + "\n")
    return path


def load_features(folder: str | Path) -> Features:
    """Names, units and scaling of the features that a model reads, from a run's folder or its `model/`.

    Raises:
        FileNotFoundError: the run's data had no named features.
        ValueError: the file is damaged.
    """
    folder = Path(folder)
    places = (folder / "features.json", folder / "model" / "features.json")
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{folder}: holds no features.json; it was not trained on data with named features"
        )
    try:
        return Features.from_json(read_json(path))
    except (KeyError, TypeError, ValueError) as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path}: is damaged ({type(error).__name__}: {error})") from error


def load_scaling(folder: str | Path) -> Scaling | None:
    """The scaling of the features that a model reads, from a run's folder or its `model/`; None where they are not scaled.

    Raises:
        ValueError: the file is damaged.
    """
    with contextlib.suppress(FileNotFoundError):
        return load_features(folder).scaling
    return None


def model_fingerprint(folder: str | Path) -> str:
    """A hash of a model and of what it reads, from a run's folder or its `model/`: settings, weights, scaling.

    Raises:
        FileNotFoundError: there is no model in the folder.
    """
    folder = Path(folder)
    folder = folder if (folder / "model.json").exists() else folder / "model"
    hashed = hashlib.sha256((folder / "model.json").read_bytes())  # it holds the hash of the weights
    if (folder / "features.json").is_file():
        hashed.update((folder / "features.json").read_bytes())
    return hashed.hexdigest()[:16]
