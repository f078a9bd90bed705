"""Models on disk: weights as safetensors, settings as JSON; loading runs no code from the files."""

import json
import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from unbraid.data.features import Features
from unbraid.files import write_atomically
from unbraid.models.base import SequenceModel
from unbraid.models.build import build_model

__all__ = ["load_features", "load_model", "save_features", "save_model"]


def save_model(model: SequenceModel, folder: str | Path) -> Path:
    """Write `model.safetensors` and `model.json` into `folder`, replacing an older model there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / ".model.safetensors")
    os.replace(folder / ".model.safetensors", folder / "model.safetensors")
    described = {"model": model.card.name, "observation": model.observation, "settings": model.settings}
    write_atomically(folder / "model.json", json.dumps(described, indent=2) + "\n")
    return folder


def load_model(folder: str | Path, device: str = "cpu") -> SequenceModel:
    """Load a model from a run's folder or from its `model/`, in evaluation mode.

    Raises:
        FileNotFoundError: there is no model in the folder.
        ValueError: the files are damaged.
    """
    folder = Path(folder)
    if not (folder / "model.json").exists() and (folder / "model").is_dir():
        folder = folder / "model"
    if not (folder / "model.json").exists():
        raise FileNotFoundError(
            f"{folder}: holds no model.json; give a finished run's folder (an unfinished one: `unbraid resume` it first)"
        )
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    model = build_model(described["model"], tuple(described["observation"]), **described["settings"])
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise ValueError(
            f"{folder / 'model.safetensors'}: is damaged or of another model ({error})"
        ) from error
    return model.to(device).eval()


def save_features(features: Features, folder: str | Path) -> Path:
    """Write `features.json` into a model's folder: names, units and scaling of what the model reads."""
    path = Path(folder) / "features.json"
    write_atomically(path, json.dumps(features.to_json(), indent=2) + "\n")
    return path


def load_features(folder: str | Path) -> Features:
    """What the features of a run's data were, and how they were scaled, from a run's folder or its `model/`.

    Raises:
        FileNotFoundError: the run's data had no named features.
        ValueError: the file is damaged.
    """
    folder = Path(folder)
    found = [
        path for path in (folder / "features.json", folder / "model" / "features.json") if path.is_file()
    ]
    if not found:
        raise FileNotFoundError(
            f"{folder}: holds no features.json; it was not trained on data with named features"
        )
    try:
        return Features.from_json(json.loads(found[0].read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{found[0]}: is damaged ({error})") from error
