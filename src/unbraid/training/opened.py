"""A finished run, opened for use; Lightning is not needed for that."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbraid.data.sequences import Sequences
from unbraid.io import load_model
from unbraid.models.base import SequenceModel
from unbraid.pretrained.places import locate
from unbraid.training.run_folder import check_same_data, load_run_data, read_config

__all__ = ["Run", "load_same_data", "open_run"]


@dataclass(frozen=True)
class Run:
    """A training and what it left.

    Attributes:
        folder: the run's folder.
        model: the trained model, in evaluation mode.
        config: every resolved setting, as in the folder's `config.yaml`.
    """

    folder: Path
    model: SequenceModel
    config: dict[str, Any]


def open_run(folder: str | Path, device: str = "cpu") -> Run:
    """Open a finished run, or a pretrained model as one (`folder` may be a name as in `unbraid.from_pretrained`).

    Raises:
        FileNotFoundError: there is no run in the folder, or it is not finished, or there is no model of that name.
    """
    folder = locate(folder)
    return Run(folder, load_model(folder, device), read_config(folder))


def load_same_data(run: Run) -> Sequences:
    """The data that a run was trained on.

    Raises:
        ValueError: the data have changed since.
        FileNotFoundError: they are no longer there.
    """
    data = load_run_data(run.config)
    check_same_data(run.folder, data)
    return data
