"""The rows of `metrics.csv`."""

import csv
import io
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import lightning
import torch
from torch import Tensor

from unbraid.files import write_atomically
from unbraid.processes import this_process
from unbraid.training.callbacks.information import Information
from unbraid.training.phases import Losses
from unbraid.training.plan import Plan

__all__ = ["Metrics"]

_NO_CURVE = ("step", "epoch", "split", "seconds")


def _check_finite(means: Mapping[str, float], step: int) -> None:
    broken = [name for name, value in means.items() if not math.isfinite(value)]
    if broken:
        raise ValueError(
            f"training: {', '.join(broken)} became NaN or infinite before step {step}. Training cannot recover from that: "
            "start again with a lower training.learning_rate or training.kernel_learning_rate, or set "
            "training.gradient_clip"
        )


class Metrics(lightning.Callback):
    """Appends rows to `metrics.csv`: means of the terms since the last row, and the validation split's.

    Loggers of the trainer get each row as well, its columns as `train/<column>` or `validation/<column>`.

    Args:
        path: the file.
        every: training steps between rows.
        terms: names of the model's terms, in all phases; each has a column.
        information: whose estimates are added to the validation rows, or None.
    """

    def __init__(
        self, path: Path, every: int, terms: Sequence[str], information: Information | None = None
    ) -> None:
        self.path, self.every, self.terms, self.information = path, every, tuple(terms), information
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.validation_sums: dict[str, Tensor] = {}
        self.validation_means: dict[str, float] = {}  # of the last validation
        self.sequences = 0
        self.seconds_before = 0.0
        self.started = self.since = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training, those before a resume included."""
        return self.seconds_before + time.monotonic() - self.started

    def state_dict(self) -> dict[str, Any]:
        """The seconds trained so far, and the sums since the last row."""
        return {
            "seconds": self.seconds,
            "sums": {name: float(value) for name, value in self.sums.items()},
            "counts": dict(self.counts),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Count on from a checkpoint."""
        self.seconds_before, self.started = state["seconds"], time.monotonic()
        self.sums = {name: torch.tensor(value, dtype=torch.float32) for name, value in state["sums"].items()}
        self.counts = dict(state["counts"])

    def drop_rows_after(self, step: int | None) -> None:
        """Drop the rows of an earlier part of the training that will be written again.

        Args:
            step: of the checkpoint at which training goes on; None when it starts anew.
        """
        if not this_process().is_first:
            return
        if step is None:
            self.path.unlink(missing_ok=True)
            return
        if not self.path.exists():
            return
        with open(self.path, newline="", encoding="utf-8", errors="replace") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        kept = [row for row in rows if len(row) == len(header) and row[0].isdecimal() and int(row[0]) <= step]
        text = io.StringIO(newline="")
        csv.writer(text).writerows([header, *kept])
        write_atomically(self.path, text.getvalue())

    def on_train_start(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Drop rows after the step at which training continues."""
        if plan.step:
            self.drop_rows_after(plan.step)
        self.since = time.monotonic()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, plan: Any, outputs: Any, batch: Any, batch_index: int
    ) -> None:
        """Add up the losses; write a row every few steps, which is the only time the device is waited for."""
        losses: Losses = outputs["losses"]
        for name, value in {**losses.terms, "total": losses.total}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        self.sequences += losses.sequences
        if plan.step % self.every == 0 or plan.step == plan.total_steps:
            means = {name: float(value) / self.counts[name] for name, value in self.sums.items()}
            rate = self.sequences / (time.monotonic() - self.since)
            self._write(trainer, plan, "train", means, rate)
            _check_finite(means, plan.step)
            self.sums, self.counts, self.sequences, self.since = {}, {}, 0, time.monotonic()

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        plan: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add up the terms of a validation batch."""
        for name, value in outputs.items():
            self.validation_sums[name] = self.validation_sums.get(name, 0.0) + value

    def on_validation_epoch_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Write the validation row."""
        means = plan.validation_means(self.validation_sums)
        self.validation_sums = {}
        weights = plan.weights_now(means)
        means["total"] = sum(means[name] * weight for name, weight in weights.items())
        self.validation_means = means
        estimates = {} if self.information is None else plan.validation_means(self.information.take())
        self._write(trainer, plan, "validation", means, None, estimates)
        self.since = time.monotonic()

    def _write(
        self,
        trainer: Any,
        plan: Plan,
        split: str,
        means: Mapping[str, float],
        rate: float | None,
        estimates: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        weights = plan.weights_now(self.terms)
        columns = () if self.information is None else self.information.names
        row = {
            "step": plan.step,
            "epoch": trainer.current_epoch,
            "split": split,
            "seconds": f"{self.seconds:.1f}",
            "sequences_per_second": "" if rate is None else f"{rate:.2f}",
            "learning_rate": f"{trainer.optimizers[0].param_groups[0]['lr']:.6g}",
            "total": f"{means['total']:.6g}",
            **{name: _number(means, name) for name in self.terms},
            **{f"weight/{name}": f"{weights[name]:.6g}" for name in self.terms},
            **{f"information/{name}": _number(estimates, name) for name in columns},
        }
        if not plan.process.is_first:
            return
        values = {name: float(value) for name, value in row.items() if value != "" and name not in _NO_CURVE}
        for logger in trainer.loggers:
            logger.log_metrics({f"{split}/{name}": value for name, value in values.items()}, plan.step)
        new = not self.path.exists()
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)


def _number(values: Mapping[str, float], name: str) -> str:
    """Six digits; nothing for a term of a phase that did not run."""
    return f"{values[name]:.6g}" if name in values else ""
