"""The folder of a run: how it begins, its settings, who writes in it, and whether it is finished."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import yaml

from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences
from unbraid.files import (
    LOCK,
    FileInUseError,
    locked,
    put_in_place,
    remove_leftovers,
    temporary_beside,
    write_atomically,
)
from unbraid.parameters import parameters
from unbraid.processes import from_first
from unbraid.training.config import TrainingConfig
from unbraid.training.environment import read_environment, write_environment
from unbraid.values import read_value

__all__ = [
    "check_same_data",
    "is_finished",
    "load_run_data",
    "new_folder",
    "new_run",
    "one_writer",
    "read_config",
    "read_training",
]


def new_folder(folder: str | Path | None, data: str, model: str) -> Path:
    """The folder of a new run: the wanted one, or the first of `runs/<data>-<model>-1`, `-2`, ... that is free.

    Several processes that train together get one folder.

    Raises:
        FileExistsError: the wanted folder exists and is not empty.
    """
    return from_first(lambda: _free_folder(folder, data, model))


def _free_folder(folder: str | Path | None, data: str, model: str) -> Path:
    if folder is None:
        number = 1
        while (Path("runs") / f"{data}-{model}-{number}").exists():
            number += 1
        return Path("runs") / f"{data}-{model}-{number}"
    folder = Path(folder)
    if folder.exists() and not _is_empty(folder):
        raise _taken(folder)
    return folder


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _taken(folder: Path) -> FileExistsError:
    """The error of a folder that is there already; it says how to go on."""
    other = "choose another folder (--run)"
    if not (folder / "config.yaml").is_file():
        return FileExistsError(
            f"run: {folder} exists and holds no run; it is never overwritten: {other}, or move it away"
        )
    if is_finished(folder):
        return FileExistsError(f"run: {folder} holds a finished run, which is never overwritten; {other}")
    return FileExistsError(
        f"run: {folder} exists and is never overwritten; {other}, or go on with it: unbraid resume {quote(str(folder))}"
    )


@contextmanager
def new_run(folder: Path, config: Mapping[str, Any], environment: Mapping[str, Any]) -> Iterator[None]:
    """Make the folder of a run with its `config.yaml` and `environment.json` at once, and be its one writer.

    The folder is made under another name beside its place and renamed, so that a kill leaves a run that can be resumed, or
    none.

    Raises:
        FileExistsError: there is something at the place of the folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent, folder.stem)
    partial = temporary_beside(folder)
    partial.mkdir()
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(partial / LOCK))
            write_atomically(partial / "config.yaml", yaml.safe_dump(_plain(config), sort_keys=False))
            write_environment(partial, environment)
            if folder.exists() and not _is_empty(folder):
                raise _taken(folder)
            put_in_place(partial, folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        yield


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Be the one process that writes in a run's folder, and remove what killed writers left there.

    Raises:
        FileInUseError: another process trains the run.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / LOCK))
        except FileInUseError:
            raise FileInUseError(
                f"run: {folder} is trained by another process at this moment; wait until it ends, or stop it first"
            ) from None
        for place in (folder, folder / "checkpoints", folder / "model"):
            remove_leftovers(place)
        yield


def is_finished(folder: Path) -> bool:
    """Whether a run is trained to its end: it has its model, and its environment says how long training took."""
    if not (folder / "model" / "model.json").is_file():
        return False
    return not (folder / "environment.json").is_file() or "seconds" in read_environment(folder)


def read_config(folder: Path) -> dict[str, Any]:
    """The settings of a run, finished or not, from its `config.yaml`.

    Raises:
        FileNotFoundError: there is no run in the folder.
        ValueError: the file is damaged.
    """
    path = folder / "config.yaml"
    if not path.exists():
        raise FileNotFoundError(
            f"{folder}: holds no run (no config.yaml); give the folder that `unbraid train` made"
        )
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: is damaged ({' '.join(str(error).split())})") from None
    for part in ("data", "model", "training"):
        if not isinstance(config, dict) or not isinstance(config.get(part), dict):
            raise ValueError(f"{path}: is damaged (it holds no settings of {part!r})")
        if any(not isinstance(name, str) for name in config[part]):
            raise ValueError(f"{path}: is damaged (a setting of {part!r} has no name)")
    for part in ("data", "model"):
        if not isinstance(config[part].get("name"), str):
            raise ValueError(f"{path}: is damaged (it does not name the {part})")
    return config


def read_training(folder: Path, config: Mapping[str, Any]) -> TrainingConfig:
    """How a run is trained, from its settings.

    Raises:
        ValueError: a setting has a value of another kind, or there is no such setting.
    """
    kinds = parameters(TrainingConfig)
    try:
        training = {
            name: read_value(value, kinds[name].annotation, name)
            for name, value in config["training"].items()
        }
        return TrainingConfig(**training)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder / 'config.yaml'}: is damaged or was changed (training: {error})"
        ) from error


def check_same_data(folder: Path, data: Sequences) -> None:
    """Refuse data that are not those that a run was started on: their splits may hold what was trained on.

    Raises:
        ValueError: the fingerprints differ, or the run does not say what it was started on.
    """
    started_on = read_environment(folder)["data_fingerprint"]
    if started_on != data.fingerprint:
        raise ValueError(
            f"data: fingerprint {data.fingerprint} differs from {started_on}, which {folder} was started on: files were added, "
            "removed or changed since, or options. Put the data back as they were, or train on them anew"
        )


def load_run_data(config: Mapping[str, Any]) -> Sequences:
    """The data set of a run, loaded as its configuration says; with the scaling that `data.scaling` holds, if any."""
    from unbraid.data.load import load

    options = dict(config["data"])
    scaling = options.pop("scaling", None)
    data = load(options.pop("name"), **options)
    return data if scaling is None else data.rescaled(Scaling.from_json(scaling))


def _plain(value: Any) -> Any:
    """The value in types that YAML knows."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, os.PathLike) else value
