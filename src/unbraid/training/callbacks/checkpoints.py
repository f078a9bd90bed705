"""Checkpoints that survive a kill at any moment, and whose damage is seen."""

import hashlib
import io
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins.io import CheckpointIO
from rich.console import Console

from unbraid.files import replacing
from unbraid.processes import largest, this_process
from unbraid.training.plan import Plan

__all__ = ["CheckpointFiles", "Checkpoints", "newest_checkpoint", "read_checkpoint"]


class CheckpointFiles(CheckpointIO):
    """How Lightning writes and reads a checkpoint: the SHA-256 of what follows (32 bytes), then what `torch.save` writes.

    A file is written whole or not at all, without a copy in the system's temporary folder.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        view = content.getbuffer()
        with replacing(Path(path)) as temporary, open(temporary, "wb") as file:
            file.write(hashlib.sha256(view).digest())
            file.write(view)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint; never more than tensors and plain values."""
        return read_checkpoint(Path(path), map_location)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint."""
        Path(path).unlink(missing_ok=True)


class Checkpoints(lightning.Callback):
    """Writes `step-*.ckpt` whole or not at all and keeps the newest two."""

    def __init__(self, folder: Path, minutes: float) -> None:
        self.folder, self.seconds = folder, 60 * minutes
        self.written = time.monotonic()

    def write(self, trainer: lightning.Trainer, plan: Plan) -> None:
        """Write a checkpoint of this moment."""
        trainer.save_checkpoint(self.folder / f"step-{plan.step:08d}.ckpt")
        self._remove_older()
        self.written = time.monotonic()

    def on_fit_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Remove older checkpoints that a kill left, when there was nothing more to write."""
        self._remove_older()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, plan: Any, outputs: Any, batch: Any, batch_index: int
    ) -> None:
        """Write when enough time has passed; the last batch of an epoch is left to the end of the epoch."""
        if batch_index + 1 < len(plan.batches) and self._due(self.seconds):
            self.write(trainer, plan)

    def on_train_epoch_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Write at the end of an epoch when half the time has passed, and at the end of the training."""
        if self._due(self.seconds / 2) or plan.step >= plan.total_steps:
            self.write(trainer, plan)

    def _due(self, seconds: float) -> bool:
        """Whether so many seconds have passed; several processes agree."""
        return largest(time.monotonic() - self.written) >= seconds

    def _remove_older(self) -> None:
        if not this_process().is_first:
            return
        for old in sorted(self.folder.glob("step-*.ckpt"))[:-2]:
            old.unlink()


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """The content of a checkpoint.

    Raises:
        ValueError: the file is damaged.
    """
    content = path.read_bytes()
    if hashlib.sha256(memoryview(content)[32:]).digest() != content[:32]:
        raise ValueError(f"{path}: is damaged (its checksum is not that of its content)")
    return torch.load(io.BytesIO(content[32:]), map_location=map_location, weights_only=True)


def newest_checkpoint(folder: Path, plan: Plan, console: Console) -> Path | None:
    """The newest intact checkpoint; damaged ones are named and skipped.

    Raises:
        ValueError: a checkpoint is of another model.
    """
    shapes = {name: value.shape for name, value in plan.state_dict().items()}
    for path in sorted(folder.glob("step-*.ckpt"), reverse=True):
        try:
            content = read_checkpoint(path)
        except (ValueError, OSError) as error:
            console.print(f"{error}; falling back to the checkpoint before it", style="yellow", markup=False)
            continue
        if {name: value.shape for name, value in content["state_dict"].items()} != shapes:
            raise ValueError(
                f"{path}: is of another model; config.yaml was changed, or is damaged: put its settings back"
            )
        return path
    return None
