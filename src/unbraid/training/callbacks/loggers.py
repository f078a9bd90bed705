"""Loggers of Lightning beside metrics.csv, and the pictures that TensorBoard gets."""

import inspect
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning
import lightning.pytorch.loggers
import torch
from jaxtyping import Float
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor

from unbraid.kinds import kind_of
from unbraid.models.base import SequenceModel
from unbraid.training.plan import Plan
from unbraid.types import Batch, Factor
from unbraid.words import nearest

__all__ = ["Pictures", "build_loggers", "check_loggers", "picture", "series_picture"]

PICTURED = 4  # sequences in a picture
EXTRAS = {"tensorboard": "pip install '.[tb]' in the folder of unbraid's source"}
PACKAGES = {
    "comet": ("comet_ml",),
    "lit": ("litlogger",),
    "mlflow": ("mlflow",),
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
}
"""The modules of which a logger needs one."""


def check_loggers(loggers: Sequence[str | Logger]) -> None:
    """Refuse names of loggers that Lightning does not have, and loggers whose own package is missing.

    Raises:
        ValueError: names the nearest.
        ImportError: says how to install the package.
    """
    classes = _classes()
    for name in (logger for logger in loggers if isinstance(logger, str)):
        if name not in classes:
            raise ValueError(f"loggers: {name!r} is no logger of Lightning{nearest(name, classes)}")
        if name in PACKAGES and not any(map(find_spec, PACKAGES[name])):
            raise _not_installed(name)


def _classes() -> dict[str, Any]:
    """The loggers of Lightning by name: `TensorBoardLogger` is "tensorboard"."""
    module = lightning.pytorch.loggers
    names = [name for name in module.__all__ if name.endswith("Logger") and name != "Logger"]
    return {name.removesuffix("Logger").lower(): getattr(module, name) for name in names}


def build_loggers(loggers: Sequence[str | Logger], folder: Path) -> list[Logger]:
    """Loggers by name, each with its files in a folder of the run; loggers that are built already stay.

    Args:
        loggers: loggers, or names of Lightning's: "tensorboard" for `TensorBoardLogger`.
        folder: of the run.

    Raises:
        ImportError: the logger's own package is not installed.
    """
    return [_logger(logger, folder) if isinstance(logger, str) else logger for logger in loggers]


def _logger(name: str, folder: Path) -> Logger:
    kind = _classes()[name]
    taken = inspect.signature(kind.__init__).parameters
    options: dict[str, Any] = {"save_dir": folder} if "save_dir" in taken else {}
    if name in ("tensorboard", "csv"):  # one folder of files, without a version below it
        options = {"save_dir": folder, "name": name, "version": ""}
    try:
        return kind(**options)
    except ModuleNotFoundError as error:
        raise _not_installed(name) from error


def _not_installed(name: str) -> ImportError:
    how = EXTRAS.get(name, f"pip install {PACKAGES.get(name, (name,))[0].replace('_', '-')}")
    return ImportError(f"loggers: {name} needs a package that is not installed: {how}")


class Pictures(lightning.Callback):
    """Hands TensorBoard a picture after every validation: sequences, their reconstructions, and swapped static codes."""

    def on_validation_epoch_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Draw the first sequences of the validation split."""
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                for name, image in _pictures(plan).items():
                    logger.experiment.add_image(name, image, plan.step)


def _pictures(plan: Plan) -> dict[str, Tensor]:
    """The pictures that the model can make, `(3, H, W)` each, by name."""
    model = plan.model
    if not (model.can("encode") and model.can("decode")):
        return {}
    batch = plan.read(plan.data.splits["validation"][:PICTURED], plan.device)
    with torch.no_grad():
        return {"validation/swaps": picture(model, batch)}


def picture(model: SequenceModel, batch: Batch) -> Float[Tensor, "3 H W"]:
    """Each sequence in three rows: itself, its reconstruction, and its motion with the static code of the next sequence.

    Frames are shown side by side. Of vectors and windows every value is a grey dot, time from left to right.

    Args:
        model: that encodes and decodes, in evaluation mode.
        batch: the sequences.
    """
    codes = model.encode(batch.x, batch.mask)
    swapped = codes.exchange(codes[torch.arange(1, len(batch) + 1).remainder(len(batch))], Factor("static"))
    shown = [batch.x, model.decode(codes).mean, model.decode(swapped).mean]
    rows = torch.stack(shown, 1).flatten(0, 1).float().cpu()
    if kind_of(model.observation) == "frames":
        strips = rows.permute(0, 2, 3, 1, 4).flatten(3)  # (rows, C, H, T W)
        image = strips.permute(1, 0, 2, 3).flatten(1, 2).clamp(0, 1)
        return image.expand(3, -1, -1) if len(image) == 1 else image[:3]
    return series_picture(rows)


def series_picture(rows: Float[Tensor, "R T *X"]) -> Float[Tensor, "3 H W"]:
    """Rows of a series below each other; each value's grey is its place between the lowest and highest of its feature."""
    rows = rows.flatten(1, -2) if rows.ndim == 4 else rows
    low, high = rows.amin((0, 1)), rows.amax((0, 1))
    grey = (rows - low) / (high - low).clamp_min(1e-9)
    return grey.mT.flatten(0, 1).expand(3, -1, -1)
