"""Names of models and data sets, the cards that describe them, and how to build one by name."""

import difflib
import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from unbraid.models.base import SequenceModel

__all__ = [
    "Capability",
    "Card",
    "DataCard",
    "build_model",
    "dataset_loader",
    "list_datasets",
    "list_models",
    "model_class",
    "nearest",
]

MODELS = {
    "c_dsvae": "unbraid.models.c_dsvae:CDSVAE",
    "dbse": "unbraid.models.dbse:DBSE",
    "dsvae": "unbraid.models.dsvae:DSVAE",
    "vae": "unbraid.models.vae:VAE",
}

DATASETS = {
    "air_quality": "unbraid.data.air_quality:load",
    "etth1": "unbraid.data.etth1:load",
    "fsdd": "unbraid.data.fsdd:load",
    "jester": "unbraid.data.jester:load",
    "moving_digits": "unbraid.data.moving_digits:load",
    "mug": "unbraid.data.mug:load",
    "physionet2012": "unbraid.data.physionet2012:load",
    "puppets": "unbraid.data.puppets:load",
    "sprites": "unbraid.data.sprites:load",
    "timit": "unbraid.data.timit:load",
}

Capability = Literal[
    "encode", "decode", "prior", "likelihood", "views", "adversary", "joint_dynamics", "derived_static"
]
"""What a method has. `derived_static`: its static code is computed from the dynamic ones, and not decoded."""


@dataclass(frozen=True)
class Card:
    """What a model is, where it was published, what it can do and where ours departs from the authors' code."""

    name: str
    title: str
    authors: str
    year: int
    venue: str
    url: str
    summary: str
    capabilities: frozenset[Capability]
    deviations: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataCard:
    """What a data set is, where it comes from, under which licence, how to get it and what is scored on it.

    `protocols` are names of `unbraid.evaluation.PROTOCOLS`, in the order in which they are run and shown.
    `choices` say how we decided what the literature leaves open.
    """

    name: str
    summary: str
    source: str
    licence: str
    obtain: str
    protocols: tuple[str, ...] = ("generation",)
    choices: tuple[str, ...] = ()


def nearest(name: str, names: Iterable[str]) -> str:
    """Say which of `names` was meant, for error messages: `"; did you mean 'x'?"`, or the full list."""
    names = sorted(names)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; there is {', '.join(names)}"


def _look_up(kind: str, table: dict[str, str], name: str) -> Any:
    if name not in table:
        raise ValueError(f"{kind}: no {kind} is called {name!r}{nearest(name, table)}")
    module, attribute = table[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def list_models() -> list[str]:
    """Names of the registered models."""
    return sorted(MODELS)


def list_datasets() -> list[str]:
    """Names of the registered data sets."""
    return sorted(DATASETS)


def model_class(name: str) -> "type[SequenceModel]":
    """The class registered under `name`.

    Raises:
        ValueError: no model has that name.
    """
    return _look_up("model", MODELS, name)


def dataset_loader(name: str) -> Any:
    """The `load` function of the data set registered under `name`.

    Raises:
        ValueError: no data set has that name.
    """
    return _look_up("data", DATASETS, name)


def build_model(name: str, observation: tuple[int, ...], **settings: Any) -> "SequenceModel":
    """Build a registered model for observations of shape `observation` (`*X`).

    Raises:
        ValueError: no model has that name, or it has no such setting.
    """
    cls = model_class(name)
    unknown = sorted(set(settings) - set(cls.setting_names()))
    if unknown:
        raise ValueError(
            f"model.{unknown[0]}: {name} has no such setting{nearest(unknown[0], cls.setting_names())}"
        )
    return cls(observation, **settings)
