"""Scores of a protocol: figures beside their floors, and the JSON files in a run's folder that hold them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unbraid.files import read_json, write_atomically
from unbraid.registry import PROTOCOLS

__all__ = [
    "Figure",
    "Scores",
    "figures",
    "figures_over_repeats",
    "read_scores",
    "scores_to_show",
    "write_scores",
]


@dataclass(frozen=True)
class Figure:
    """One score of one trained model, beside its floor.

    Attributes:
        mean: over the repeats.
        std: standard deviation over the repeats (ddof 0). None where it is unknown.
        floor: the score of chance or of a trivial method. None where there is none.
        low, high: bounds of the 95% bootstrap interval. None where there is none.
    """

    mean: float
    std: float | None = None
    floor: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def over_repeats(cls, values: Sequence[float], floor: float | None = None) -> "Figure":
        """Mean and standard deviation of one value for each repeat.

        >>> Figure.over_repeats([0.5, 0.7], floor=0.25).mean
        0.6
        """
        return cls(float(np.mean(values)), float(np.std(values)), None if floor is None else float(floor))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Figure":
        """The figure of a score file; an `interval` there is `[low, high]`, or None."""
        low, high = values.get("interval") or (values.get("low"), values.get("high"))
        return cls(values["mean"], values.get("std"), values.get("floor"), low, high)

    def to_json(self) -> dict[str, float]:
        """The figure for a score file; parts that are None are left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Scores(dict[str, Any]):
    """The result of a protocol, as it stands in its JSON file.

    Names at any depth lead to figures (`{"mean", "std", "floor", ...}`, read them by `figures`). The entry `protocol`
    says how the scores were computed, with the split among it.
    """

    @classmethod
    def read(cls, path: str | Path) -> "Scores":
        """Read one score file.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged.
        """
        return cls(read_json(Path(path)))

    def write(self, path: str | Path) -> None:
        """Write one score file, whole or not at all."""
        write_atomically(Path(path), json.dumps(self, indent=2) + "\n")

    def figures(self) -> dict[str, Figure]:
        """See `figures`."""
        return figures(self)


def figures(scores: Mapping[str, Any]) -> dict[str, Figure]:
    """Every figure by its path.

    >>> list(figures({"latent": {"static": {"who": {"mean": 0.5}}}, "protocol": {"split": "test"}}))
    ['latent / static / who']
    """
    by_path: dict[str, Figure] = {}
    for name, value in scores.items():
        if not isinstance(value, Mapping):
            continue
        if isinstance(value.get("mean"), int | float):
            by_path[name] = Figure.from_json(value)
        else:
            by_path |= {f"{name} / {path}": figure for path, figure in figures(value).items()}
    return by_path


def figures_over_repeats(
    repeats: Sequence[Mapping[str, float]], floors: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """The figure of every named value, in the form of a score file.

    Args:
        repeats: the named values of each repeat.
        floors: the floor of each name.
    """
    return {
        name: Figure.over_repeats([values[name] for values in repeats], floors[name]).to_json()
        for name in repeats[0]
    }


def score_path(folder: str | Path, protocol: str, split: str = "test") -> Path:
    """The file in a run's folder that holds the scores of a protocol; splits other than test have a folder of their own."""
    scores = Path(folder) / "evaluation"
    return (scores if split == "test" else scores / split) / f"{protocol}.json"


def write_scores(folder: str | Path, protocol: str, scores: Mapping[str, Any]) -> Path:
    """Write scores, whole or not at all: to `RUN/evaluation/<protocol>.json`, those of other splits than test to a folder of theirs."""
    path = score_path(folder, protocol, scores.get("protocol", {}).get("split", "test"))
    Scores(scores).write(path)
    return path


def scores_to_show(folder: str | Path) -> dict[str, Scores]:
    """The scores of a run on test, or those on validation where it has none on test."""
    return read_scores(folder) or read_scores(folder, "validation")


def read_scores(folder: str | Path, split: str = "test") -> dict[str, Scores]:
    """The scores of a run on a split by protocol, in the order of `PROTOCOLS`; empty where it was not scored."""
    paths = {name: score_path(folder, name, split) for name in PROTOCOLS}
    return {name: Scores.read(path) for name, path in paths.items() if path.is_file()}
