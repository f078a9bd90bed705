"""What a run was trained with: versions, commit, machine, data; kept in its `environment.json`."""

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from unbraid.files import write_atomically
from unbraid.training.machine import choose_precision, processor_name
from unbraid.training.plan import Plan

__all__ = ["write_environment"]


def write_environment(folder: Path, plan: Plan, more: dict[str, Any]) -> None:
    """Write `environment.json`, or add to it."""
    path = folder / "environment.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    packages = ("unbraid", "torch", "numpy", "lightning")
    device = plan.device_name
    described = {
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
        "commit": _commit(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "precision": str(choose_precision(plan.config.precision, device)).removeprefix("torch."),
        "data_fingerprint": plan.data.fingerprint,
        "sequences": {name: len(rows) for name, rows in plan.data.splits.items()},
        "parameters": sum(p.numel() for p in plan.model.parameters()),
    }
    write_atomically(path, json.dumps({**before, **described, **more}, indent=2) + "\n")


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        import unbraid

        return unbraid.__version__


def _commit() -> str | None:
    """The commit of the source tree, with + when it has changes; None outside a checkout."""
    try:
        here = Path(__file__).parent
        ask = ["git", "-C", str(here), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
