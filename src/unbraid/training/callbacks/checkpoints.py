"""Checkpoints that survive a kill at any moment."""

import os
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from rich.console import Console

from unbraid.training.plan import Plan

__all__ = ["Checkpoints", "load_newest_checkpoint"]


class Checkpoints(lightning.Callback):
    """Writes `step-*.ckpt` whole or not at all (a temporary file, then a rename) and keeps the newest two."""

    def __init__(self, folder: Path, minutes: float) -> None:
        self.folder, self.seconds = folder, 60 * minutes
        self.written = time.monotonic()

    def write(self, trainer: lightning.Trainer, plan: Plan) -> None:
        """Write a checkpoint of this moment."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{plan.step:08d}.ckpt"
        temporary = path.with_suffix(".partial")
        trainer.save_checkpoint(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        for old in sorted(self.folder.glob("step-*.ckpt"))[:-2]:
            old.unlink()
        self.written = time.monotonic()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, plan: Any, outputs: Any, batch: Any, batch_index: int
    ) -> None:
        """Write when enough time has passed; the last batch of an epoch is left to the end of the epoch."""
        if time.monotonic() - self.written >= self.seconds and batch_index + 1 < len(plan.batches):
            self.write(trainer, plan)

    def on_train_epoch_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Write at the end of an epoch when half the time has passed, and at the end of the training."""
        if time.monotonic() - self.written >= self.seconds / 2 or plan.step >= plan.total_steps:
            self.write(trainer, plan)


def load_newest_checkpoint(folder: Path, console: Console) -> tuple[Path, dict[str, Any]] | None:
    """The newest intact checkpoint and its content; damaged ones are named and skipped."""
    for path in sorted(folder.glob("step-*.ckpt"), reverse=True):
        try:
            return path, torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            console.print(
                f"[yellow]{path} is damaged ({type(error).__name__}); falling back to the one before[/]"
            )
    return None
