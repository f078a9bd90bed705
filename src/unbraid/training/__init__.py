"""The Lightning plan round any model, runs and their folders. Loaded on first use, because Lightning takes seconds."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbraid.training.config import TrainingConfig
    from unbraid.training.opened import Run, open_run
    from unbraid.training.run import fit, resume

__all__ = ["Run", "TrainingConfig", "fit", "open_run", "resume"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'unbraid.training' has no attribute {name!r}")
    modules = {"TrainingConfig": "config", "Run": "opened", "open_run": "opened"}
    return getattr(importlib.import_module(f"unbraid.training.{modules.get(name, 'run')}"), name)
