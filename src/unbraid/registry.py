"""Names of models, data sets and protocols, and where each is defined. Nothing is imported before it is asked for."""

import importlib
from typing import Any

from unbraid.words import nearest

__all__ = [
    "DATASETS",
    "MODELS",
    "PROTOCOLS",
    "dataset_loader",
    "dataset_module",
    "list_datasets",
    "list_models",
    "list_protocols",
    "model_class",
    "protocol",
    "register_model",
]

MODELS = {
    "braid": "unbraid.models.braid:Braid",
    "c_dsvae": "unbraid.models.c_dsvae:CDSVAE",
    "dbse": "unbraid.models.dbse:DBSE",
    "dsvae": "unbraid.models.dsvae:DSVAE",
    "fhvae": "unbraid.models.fhvae:FHVAE",
    "glr": "unbraid.models.glr:GLR",
    "gp_vae": "unbraid.models.gp_vae:GPVAE",
    "mocogan": "unbraid.models.mocogan:MoCoGAN",
    "pooled": "unbraid.models.pooled:Pooled",
    "r_wae": "unbraid.models.r_wae:RWAE",
    "s3vae": "unbraid.models.s3vae:S3VAE",
    "side_by_side": "unbraid.models.side_by_side:SideBySide",
    "skd": "unbraid.models.skd:SKD",
    "spyl": "unbraid.models.spyl:SPYL",
    "ssm_skd": "unbraid.models.ssm_skd:SSMSKD",
    "vae": "unbraid.models.vae:VAE",
}

DATASETS = {
    "air_quality": "unbraid.data.sets.air_quality:load",
    "etth1": "unbraid.data.sets.etth1:load",
    "fsdd": "unbraid.data.sets.fsdd:load",
    "jester": "unbraid.data.sets.jester:load",
    "librispeech": "unbraid.data.sets.librispeech:load",
    "machines": "unbraid.data.sets.machines:load",
    "moving_digits": "unbraid.data.sets.moving_digits:load",
    "mug": "unbraid.data.sets.mug:load",
    "physionet2012": "unbraid.data.sets.physionet2012.physionet2012:load",
    "puppets": "unbraid.data.sets.puppets.puppets:load",
    "sprites": "unbraid.data.sets.sprites:load",
    "timit": "unbraid.data.sets.timit:load",
    "ucr": "unbraid.data.sets.ucr:load",
    "voices": "unbraid.data.sets.voices.voices:load",
}

PROTOCOLS = {
    "generation": "unbraid.evaluation.generation:PROTOCOL",
    "leakage": "unbraid.evaluation.leakage:PROTOCOL",
    "downstream": "unbraid.evaluation.downstream:PROTOCOL",
    "verification": "unbraid.evaluation.verification:PROTOCOL",
    "factors": "unbraid.evaluation.factors:PROTOCOL",
    "planted": "unbraid.evaluation.planted:PROTOCOL",
}


def list_models() -> list[str]:
    """Names of the registered models."""
    return sorted(MODELS)


def list_datasets() -> list[str]:
    """Names of the registered data sets."""
    return sorted(DATASETS)


def list_protocols() -> list[str]:
    """Names of the registered protocols, in the order in which they are run and shown."""
    return list(PROTOCOLS)


def model_class(name: str) -> Any:
    """The class of the model registered under `name`.

    Raises:
        ValueError: no model has that name.
    """
    return _look_up("model", MODELS, name)


def register_model(name: str, where: str) -> None:
    """Register a model of one's own for this process, so that its runs can be resumed and loaded.

    Args:
        name: the name on its card.
        where: "module:Class".

    Raises:
        ValueError: another model has that name.
    """
    if MODELS.get(name, where) != where:
        raise ValueError(f"name: {name!r} is registered for {MODELS[name]}; choose another name")
    MODELS[name] = where


def dataset_loader(name: str) -> Any:
    """The `load` function of the data set registered under `name`.

    Raises:
        ValueError: no data set has that name.
    """
    return _look_up("data", DATASETS, name)


def dataset_module(name: str) -> Any:
    """The module of the data set registered under `name`: its `card`, `load` and perhaps `fetch`.

    Raises:
        ValueError: no data set has that name.
    """
    dataset_loader(name)
    return importlib.import_module(DATASETS[name].split(":")[0])


def protocol(name: str) -> Any:
    """The protocol registered under `name`.

    Raises:
        ValueError: no protocol has that name.
    """
    return _look_up("protocols", PROTOCOLS, name)


def _look_up(argument: str, table: dict[str, str], name: str) -> Any:
    if name not in table:
        raise ValueError(f"{argument}: there is no {name!r}{nearest(name, table)}")
    module, attribute = table[name].split(":")
    return getattr(importlib.import_module(module), attribute)
