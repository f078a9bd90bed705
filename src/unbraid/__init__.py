"""unbraid: split sequences into what stays (one static code) and what changes (a dynamic code per step).

    data = unbraid.load("my/videos")                     # or a table, sounds, an array, a registered data set
    run = unbraid.fit(data, folder="runs/mine")          # the default method for its kind; or "dbse", ...
    codes = unbraid.encode(run.model, data)              # codes.static (N, S), codes.dynamic (N, T, D)

As on the command line: `resolve_recipe` gives the settings of a run, `train_score_report` does the rest (or `train` and
`score`, one after the other). `load_model` reads a trained model, `SequenceDisentangler` is the scikit-learn estimator.
"""

import importlib
from typing import Any

__version__ = "0.2.0"

# Public name -> module that defines it. Loaded on first use, so `import unbraid` does not import torch.
_PUBLIC = {
    "Batch": "unbraid.types",
    "Codes": "unbraid.types",
    "Posterior": "unbraid.types",
    "Sequences": "unbraid.data.sequences",
    "Label": "unbraid.data.labels",
    "load": "unbraid.data.load",
    "list_datasets": "unbraid.registry",
    "list_models": "unbraid.registry",
    "build_model": "unbraid.models.build",
    "load_model": "unbraid.io",
    "save_model": "unbraid.io",
    "from_pretrained": "unbraid.pretrained.places",
    "save_pretrained": "unbraid.pretrained.saving",
    "list_recipes": "unbraid.recipes",
    "read_recipe": "unbraid.recipes",
    "resolve_recipe": "unbraid.recipes",
    "fit": "unbraid.workflow",
    "resume": "unbraid.training",
    "open_run": "unbraid.training",
    "Run": "unbraid.training",
    "TrainingConfig": "unbraid.training",
    "train": "unbraid.workflow",
    "score": "unbraid.workflow",
    "train_score_report": "unbraid.workflow",
    "encode": "unbraid.generation",
    "find_components": "unbraid.components",
    "export": "unbraid.exporting",
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
