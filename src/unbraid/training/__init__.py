"""The Lightning plan round any model, runs and their folders. Loaded on first use, because Lightning takes seconds."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbraid.training.config import TrainingConfig
    from unbraid.training.run import Run, fit, open_run, resume

__all__ = ["Run", "TrainingConfig", "fit", "open_run", "resume"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'unbraid.training' has no attribute {name!r}")
    module = "config" if name == "TrainingConfig" else "run"
    return getattr(importlib.import_module(f"unbraid.training.{module}"), name)
