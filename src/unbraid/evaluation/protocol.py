"""The protocols by name, which of them fit a data set, and their scores in a run's folder.

A protocol is one function `evaluate_<name>(model, data, *, split="test", repeats=..., seed=0, ...)` that returns
what can be written as JSON. Its figures, at any depth, are `{"mean", "std", "floor"}`; std is over the repeats of
one trained model. `result["protocol"]` says how it was scored, the split among it.
"""

import importlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from unbraid.data.load import info
from unbraid.data.sequences import Sequences
from unbraid.files import write_atomically
from unbraid.models.base import SequenceModel
from unbraid.registry import DATASETS, PROTOCOLS
from unbraid.words import nearest

__all__ = ["figures", "fitting_protocols", "read_scores", "run_protocols", "write_scores"]

Scores = dict[str, Any]


def fitting_protocols(name: str, data: Sequences) -> tuple[str, ...]:
    """The protocols that a data set is scored by: those of its card, or by the kind of one's own data.

    Args:
        name: what `config.yaml` calls the data set: a registered name, or a path.
        data: the data set.
    """
    if name in DATASETS:
        return info(name).protocols
    if data.sound is not None and data.labels:  # whose voice, and what is said
        return ("verification",)
    if len(data.observation) < 3 and (data.labels or data.targets):  # what can be told from the codes
        return ("downstream",)
    return ("generation",)


def run_protocols(
    model: SequenceModel,
    data: Sequences,
    folder: str | Path,
    names: Iterable[str],
    options: Mapping[str, Any],
) -> dict[str, Exception]:
    """Score a model by each protocol and write what each finds; one that fails does not stop the others.

    A protocol that has an argument of another's name (leakage: generation) gets what that one has just found.

    Args:
        model: a trained model.
        data: its data set.
        folder: the run's folder.
        names: of the protocols.
        options: keyword arguments of the protocols; each gets those that it takes.

    Returns:
        What went wrong, by the protocol's name; empty when nothing did.

    Raises:
        ValueError: there is no such protocol; nothing has been scored then.
    """
    names = tuple(names)
    for name in names:
        if name not in PROTOCOLS:
            raise ValueError(f"protocols: there is no {name!r}{nearest(name, PROTOCOLS)}")
    failed: dict[str, Exception] = {}
    found: dict[str, Scores] = {}
    for name in names:
        try:
            evaluate = _function(name)
            offered = {**options, **found}
            taken = {key: offered[key] for key in inspect.signature(evaluate).parameters if key in offered}
            found[name] = evaluate(model, data, **taken)
            write_scores(folder, name, found[name])
        except Exception as error:  # what the others find is kept; the caller says what went wrong
            failed[name] = error
    return failed


def _function(name: str) -> Callable[..., Scores]:
    module, function = PROTOCOLS[name].split(":")
    return getattr(importlib.import_module(module), function)


def write_scores(folder: str | Path, protocol: str, scores: Scores) -> Path:
    """Write scores to `RUN/evaluation/<protocol>.json`, whole or not at all."""
    path = Path(folder) / "evaluation" / f"{protocol}.json"
    write_atomically(path, json.dumps(scores, indent=2) + "\n")
    return path


def read_scores(folder: str | Path) -> dict[str, Scores]:
    """The scores of a run by protocol, in the order of `PROTOCOLS`; empty when it has none."""
    paths = {name: Path(folder) / "evaluation" / f"{name}.json" for name in PROTOCOLS}
    return {
        name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.is_file()
    }


def figures(scores: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Every figure of a protocol's scores by its path: `{"latent / static / who": {"mean", "std", "floor"}}`."""
    found: dict[str, dict[str, float]] = {}
    for name, value in scores.items():
        if not isinstance(value, Mapping):
            continue
        if isinstance(value.get("mean"), int | float):
            found[name] = dict(value)
        else:
            found |= {f"{name} / {path}": figure for path, figure in figures(value).items()}
    return found
