"""unbraid: split sequences into what stays (one static code) and what changes (a dynamic code per step)."""

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name -> module that defines it. Loaded on first use, so `import unbraid` does not import torch.
_PUBLIC = {
    "Batch": "unbraid.types",
    "Codes": "unbraid.types",
    "Posterior": "unbraid.types",
    "Sequences": "unbraid.data.sequences",
    "Label": "unbraid.data.sequences",
    "load": "unbraid.data.load",
    "fit": "unbraid.training",
    "resume": "unbraid.training",
    "Run": "unbraid.training",
    "TrainingConfig": "unbraid.training",
    "encode": "unbraid.generation",
    "load_model": "unbraid.io",
    "save_model": "unbraid.io",
    "build_model": "unbraid.models.build",
    "list_models": "unbraid.registry",
    "list_datasets": "unbraid.registry",
    "evaluate_generation": "unbraid.evaluation",
    "SequenceDisentangler": "unbraid.estimator",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'unbraid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
