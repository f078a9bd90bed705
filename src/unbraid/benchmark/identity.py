"""The identity of a training: when two runs have the same settings, and the short hash that says so.

Settings are brought into one form before they are compared or hashed:

- Left out: the seed, and what only says where a run was made and how often it was saved (`NO_SETTING`).
- Left out: every setting at its default, and every loss weight of 1, because a term without a weight has weight 1.
- Integers become floats, tuples become lists, paths become text.

So a hash stays the same when a setting is added to a data set, a model or the training later, as long as its default
does what was done before. A stored setting that today's code no longer has stays in, so the run matches no recipe.
The name of the recipe is no setting: a recipe may be renamed or edited, a recorded training stays what it is.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unbraid.parameters import REQUIRED, parameters
from unbraid.registry import DATASETS, MODELS, dataset_loader, model_class
from unbraid.training import TrainingConfig

__all__ = ["NO_SETTING", "Config", "changed_settings", "essential_settings", "same_training", "settings_hash"]

Config = dict[str, Any]

PARTS = ("data", "model", "training")
NO_SETTING = frozenset(
    {
        "data.root",
        "data.cache",
        "model.sequences",  # both are counted when a training starts
        "model.recordings",
        "training.device",
        "training.start_from",  # `start_sha256` says which weights these were
        "training.fitted_steps",  # measured when a training starts
        "training.checkpoint_minutes",
        "training.log_every_steps",
        "training.seed",
        "training.devices",  # several processes train as one
        "model.compare",
    }
)
WEIGHT = "training.weights."


def settings_hash(config: Config) -> str:
    """Eight hexadecimal digits that name the settings of a run; runs that differ in their seed alone share them."""
    text = json.dumps(essential_settings(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def same_training(config: Config, other: Config) -> bool:
    """Whether two runs have the same settings and the same seed."""
    seeds = (config["training"]["seed"], other["training"]["seed"])
    return seeds[0] == seeds[1] and essential_settings(config) == essential_settings(other)


def changed_settings(config: Config, base: Config) -> dict[str, Any]:
    """The settings of `config` that differ from those of `base`: `{"model.width": 64}`.

    Args:
        config: settings of a run.
        base: settings that it is compared with, for example those of its recipe.

    Returns:
        The values in `config`, by name in alphabetical order; a setting at its default appears with the default.
    """
    defaults = _defaults(config["data"]["name"], config["model"]["name"])
    mine, others = essential_settings(config), essential_settings(base)
    names = sorted(name for name in mine.keys() | others.keys() if mine.get(name) != others.get(name))
    stored = _flat(config)
    return {name: stored.get(name, 1 if name.startswith(WEIGHT) else defaults.get(name)) for name in names}


def essential_settings(config: Config) -> dict[str, Any]:
    """The settings that make up the identity, in the form that is hashed: `{"model.width": 64.0}`."""
    defaults = _defaults(config["data"]["name"], config["model"]["name"])
    settings = {name: _plain(value) for name, value in _flat(config).items() if name not in NO_SETTING}
    return {
        name: value
        for name, value in settings.items()
        if not (name in defaults and _same(value, _plain(defaults[name])))
        and not (name.startswith(WEIGHT) and value == 1.0)
    }


@functools.cache
def _defaults(data: str, model: str) -> dict[str, Any]:
    """The default of every setting, by name; none for a data set or a model that is not registered."""
    functions: dict[str, Any] = {"training": TrainingConfig}
    if data in DATASETS:
        functions["data"] = dataset_loader(data)
    if model in MODELS:
        functions["model"] = model_class(model)
    return {
        f"{part}.{name}": parameter.default
        for part, function in functions.items()
        for name, parameter in parameters(function).items()
        if parameter.default is not REQUIRED
    }


def _flat(config: Config) -> dict[str, Any]:
    """All settings of a run by name."""
    flat: dict[str, Any] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                add(f"{name}.{key}", item)
        else:
            flat[name] = value

    for part in PARTS:
        add(part, config[part])
    return flat


def _same(value: Any, default: Any) -> bool:
    """Whether a plain value is the default; False is not 0."""
    return value == default and isinstance(value, bool) == isinstance(default, bool)


def _plain(value: Any) -> Any:
    """The value with floats for integers, lists for tuples and text for paths."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return str(value) if isinstance(value, Path) else value
