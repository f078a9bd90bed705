"""What a run was trained with: versions, commit, machine, data; kept in its `environment.json`."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import unbraid
from unbraid.files import read_json, write_atomically
from unbraid.machine import choose_precision, processor_name
from unbraid.processes import this_process

if TYPE_CHECKING:
    from unbraid.training.plan import Plan  # with Lightning, which those who only read the file do without

__all__ = ["add_to_environment", "differences", "environment", "read_environment", "write_environment"]

_PACKAGES = ("unbraid", "torch", "numpy", "lightning")
_NAME = "environment.json"


def environment(plan: "Plan") -> dict[str, Any]:
    """What a training is run with, for `environment.json`."""
    device = plan.device_name
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "commit": own_commit(Path(unbraid.__file__).parent),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": this_process().count,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "precision": str(choose_precision(plan.config.precision, device)).removeprefix("torch."),
        "data_fingerprint": plan.data.fingerprint,
        "sequences": {name: len(rows) for name, rows in plan.data.splits.items()},
        "parameters": sum(p.numel() for p in plan.model.parameters()),
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What is not as before and can change the last digits of the weights: `[before, now]` by name."""
    names = ("processes", "threads", *_PACKAGES, "processor", "device", "precision")
    before = {"processes": 1, **before}
    return {name: [before.get(name), now[name]] for name in names if before.get(name) != now[name]}


def write_environment(folder: Path, content: Mapping[str, Any]) -> None:
    """Write a run's `environment.json`."""
    write_atomically(folder / _NAME, json.dumps(content, indent=2) + "\n")


def read_environment(folder: Path) -> dict[str, Any]:
    """The content of a run's `environment.json`.

    Raises:
        ValueError: the file is missing or damaged.
    """
    try:
        content = read_json(folder / _NAME)
        if not isinstance(content.get("data_fingerprint"), str):
            raise ValueError(f"{folder / _NAME}: is damaged (it holds no data_fingerprint)")
    except FileNotFoundError:
        raise ValueError(
            f"{folder}: holds no {_NAME}, so nobody can check that it goes on with the same data; move the folder away "
            "and train again"
        ) from None
    except ValueError as error:
        raise ValueError(f"{error}; move {folder} away and train again") from None
    return content


def add_to_environment(folder: Path, more: Mapping[str, Any]) -> None:
    """Add to a run's `environment.json`."""
    write_environment(folder, read_environment(folder) | dict(more))


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        return unbraid.__version__


def own_commit(package: Path) -> str | None:
    """The commit of unbraid's own source tree, with + when it has changes.

    None when the package does not lie in `src/unbraid` of a checkout, as when it is installed somewhere inside the user's
    own repository.

    Args:
        package: the folder of the package.
    """

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", os.fspath(package), *words], capture_output=True, check=True, env=variables
        )
        return os.fsdecode(done.stdout).strip()

    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        if (Path(git("rev-parse", "--show-toplevel")) / "src" / "unbraid").resolve() != package.resolve():
            return None
        git("ls-files", "--error-unmatch", "__init__.py")  # the files belong to the checkout
        return git("describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return None
