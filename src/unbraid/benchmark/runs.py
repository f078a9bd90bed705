"""Finished trainings: what a run's folder says of its training and its scores."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from unbraid.benchmark.identity import Config, same_training, settings_hash
from unbraid.evaluation import read_scores
from unbraid.training.environment import read_environment
from unbraid.training.run_folder import read_config

__all__ = ["Trained", "folder_for", "read_run", "read_runs", "run_name", "titles_by_data"]

NO_LETTER = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Trained:
    """One finished training, from the ledger or from a run's folder.

    Attributes:
        config: its settings.
        scores: by protocol, on the test split.
        fingerprint: of the data.
        seconds: of training; None where the training is not finished.
        epochs: number of epochs trained, the last of them perhaps not to its end.
        hardware: that it was trained on.
        commit: of the code; None or ending in + where no commit holds that code.
        source: where it is recorded: the ledger, or a run's folder.
        folder: of the run; None when only the ledger has it.
    """

    config: Config
    scores: dict[str, Any]
    fingerprint: str
    seconds: float | None
    epochs: int
    hardware: str
    commit: str | None
    source: str
    folder: Path | None = None

    @property
    def data(self) -> str:
        """Name of the data set."""
        return self.config["data"]["name"]

    @property
    def seed(self) -> int:
        """Seed of the training."""
        return self.config["training"]["seed"]


def read_run(folder: str | Path) -> Trained:
    """What a run's folder says, with its scores on the test split.

    Runs that were scored by older versions may have scores on another split in their place, which say so.

    Raises:
        FileNotFoundError: the folder lacks a file that training writes.
        ValueError: one of them is damaged.
    """
    folder = Path(folder)
    for name in ("environment.json", "metrics.csv", "config.yaml"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder}: has no {name}; `unbraid train` writes it")
    environment, config, scores = read_environment(folder), read_config(folder), read_scores(folder)
    try:
        rows = csv.DictReader((folder / "metrics.csv").read_text(encoding="utf-8").splitlines())
        epochs = 1 + max(int(row["epoch"]) for row in rows)
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'metrics.csv'}: is damaged ({error})") from error
    try:
        on_processor = environment["device"] == "cpu"
        return Trained(
            config=config,
            scores=scores,
            fingerprint=environment["data_fingerprint"],
            seconds=environment.get("seconds"),
            epochs=epochs,
            hardware=f"{environment['processor']}, {environment['cores']} cores"
            if on_processor
            else environment["device"],
            commit=environment["commit"],
            source=str(folder),
            folder=folder,
        )
    except KeyError as error:
        raise ValueError(f"{folder / 'environment.json'}: is damaged (it holds no {error})") from error


def read_runs(folder: str | Path) -> list[Trained]:
    """The finished runs in a folder, by name, with their scores on the test split."""
    folders = sorted(path.parent.parent for path in Path(folder).glob("*/model/model.json"))
    return [_on_test_split(read_run(run)) for run in folders]


def _on_test_split(run: Trained) -> Trained:
    scores = {name: figures for name, figures in run.scores.items() if figures["protocol"]["split"] == "test"}
    return replace(run, scores=scores)


def titles_by_data(groups: Mapping[str, list[Trained]]) -> dict[tuple[str, str], list[str]]:
    """Titles of trainings by name and fingerprint of their data; floors depend on these alone.

    Args:
        groups: trainings by title; those of one title saw the same data.
    """
    titles: dict[tuple[str, str], list[str]] = {}
    for title, runs in groups.items():
        if runs:
            titles.setdefault((runs[0].data, runs[0].fingerprint), []).append(title)
    return titles


def run_name(config: Config) -> str:
    """The name of a training: its recipe, the hash of its settings and its seed, as in `sprites-dbse-1a2b3c4d-seed0`.

    It is the name of a file on every system: whatever is no letter, digit, dot, dash or underscore becomes a dash.
    """
    recipe = str(config["recipe"])
    stem = Path(recipe).stem if recipe.endswith((".yaml", ".yml")) else recipe
    return f"{NO_LETTER.sub('-', stem)}-{settings_hash(config)}-seed{config['training']['seed']}"


def folder_for(config: Config, runs: str | Path) -> Path:
    """The folder of a training among others: the one where it was begun, or the first that is free."""
    stem = Path(runs) / run_name(config)
    folder, number = stem, 1
    while folder.exists():
        begun = folder / "config.yaml"
        if begun.is_file() and same_training(yaml.safe_load(begun.read_text(encoding="utf-8")), config):
            break
        number += 1
        folder = stem.with_name(f"{stem.name}-{number}")
    return folder
