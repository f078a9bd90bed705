"""What happens beside the steps: checkpoints that survive a kill, the metrics file, the progress bar, a clean stop."""

import csv
import math
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

import lightning
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor
from torch.distributions import Normal

from unbraid.masks import inside
from unbraid.models.base import SequenceModel
from unbraid.objectives.information import (
    dynamic_input_information,
    dynamic_input_information_per_step,
    static_dynamic_information,
    static_dynamic_information_per_step,
    static_input_information,
)
from unbraid.training.plan import Plan
from unbraid.types import Batch, Codes, draw

__all__ = [
    "Checkpoints",
    "Information",
    "Metrics",
    "Progressing",
    "Stopped",
    "Stopping",
    "information",
    "load_newest_checkpoint",
]


class Stopped(Exception):  # noqa: N818 - it is a signal, not an error
    """Training was stopped on purpose, after a whole step; `finished` when its time was up."""

    def __init__(self, finished: bool) -> None:
        super().__init__("time is up" if finished else "interrupted")
        self.finished = finished


class Checkpoints(lightning.Callback):
    """Writes `step-*.ckpt` whole or not at all (a temporary file, then a rename) and keeps the newest two."""

    def __init__(self, folder: Path, minutes: float) -> None:
        self.folder, self.seconds = folder, 60 * minutes
        self.written = time.monotonic()

    def write(self, trainer: lightning.Trainer) -> None:
        """Write a checkpoint of this moment."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{trainer.global_step:08d}.ckpt"
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
        """Write when the time has come; the last batch of an epoch is left to the end of the epoch."""
        if time.monotonic() - self.written >= self.seconds and batch_index + 1 < len(plan.batches):
            self.write(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Write at the end of an epoch when half the time has passed, and at the end of the training."""
        if time.monotonic() - self.written >= self.seconds / 2 or trainer.global_step >= plan.total_steps:
            self.write(trainer)


def load_newest_checkpoint(folder: Path, say: Console) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that is whole, and its content; damaged ones are named and passed over."""
    for path in sorted(folder.glob("step-*.ckpt"), reverse=True):
        try:
            return path, torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            say.print(
                f"[yellow]{path} is damaged ({type(error).__name__}); falling back to the one before[/]"
            )
    return None


class Information(lightning.Callback):
    """Mutual information of the codes on the validation split, for the curves of C-DSVAE (Figures 14 and 15).

    Minibatch weighted sampling with N the number of training sequences, in nats: log N where the codes tell
    nothing, up to log(N M) in batches of M. One draw of each sequence, with the same noise at every epoch.
    """

    names = (
        "static_dynamic",
        "static_dynamic_per_step",
        "static_input",
        "dynamic_input",
        "dynamic_input_per_step",
    )

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        plan: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add up the estimates of a batch."""
        generator = torch.Generator(plan.device_name).manual_seed(batch_idx)
        estimates = information(plan.model, batch, len(plan.data.splits["train"]), generator)
        for name, value in estimates.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.sum()

    def take(self, sequences: int) -> dict[str, float]:
        """The means over the split, and start anew."""
        means = {name: float(value) / sequences for name, value in self.sums.items()}
        self.sums = {}
        return means


def information(
    model: SequenceModel, batch: Batch, dataset_size: int, generator: torch.Generator
) -> dict[str, Float[Tensor, "B"]]:
    """The estimates of `Information` for each sequence of a batch.

    Raises:
        ValueError: the model's posteriors are not normal.
    """
    posterior = model.posterior(batch.x, batch.mask)
    for name, part in (("static", posterior.static), ("dynamic", posterior.dynamic)):
        if not isinstance(part, Normal):
            raise ValueError(
                f"training.track_information: the {name} posterior of {model.card.name} is "
                f"{type(part).__name__}; the estimates are for normal ones, leave it out"
            )
    codes = Codes(draw(posterior.static, generator), draw(posterior.dynamic, generator))
    steps = None if batch.mask is None else inside(batch.mask)
    path = (codes, posterior, dataset_size, steps)
    return {
        "static_dynamic": static_dynamic_information(*path),
        "static_dynamic_per_step": static_dynamic_information_per_step(*path),
        "static_input": static_input_information(codes, posterior, dataset_size),
        "dynamic_input": dynamic_input_information(*path),
        "dynamic_input_per_step": dynamic_input_information_per_step(*path),
    }


def _check_finite(means: Mapping[str, float], step: int) -> None:
    lost = [name for name, value in means.items() if not math.isfinite(value)]
    if lost:
        raise ValueError(
            f"training: no longer finite at step {step}: {', '.join(lost)}; that does not mend itself, train anew "
            "with a lower training.learning_rate or training.kernel_learning_rate, or a training.gradient_clip"
        )


class Metrics(lightning.Callback):
    """Appends rows to `metrics.csv`: the mean of the terms since the last row, and the validation split's."""

    def __init__(
        self,
        path: Path,
        every: int,
        information: Information | None = None,
        seconds_before: float = 0.0,
    ) -> None:
        self.path, self.every, self.seconds_before = path, every, seconds_before
        self.information = information
        self.sums: dict[str, Tensor] = {}
        self.count = self.sequences = 0
        self.started = self.since = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training, those before a resume included."""
        return self.seconds_before + time.monotonic() - self.started

    def state_dict(self) -> dict[str, float]:
        """The seconds trained so far."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Count on from a checkpoint's seconds."""
        self.seconds_before, self.started = state["seconds"], time.monotonic()

    def on_train_start(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Drop rows after the step that training goes on from."""
        if self.path.exists():
            with open(self.path, newline="", encoding="utf-8") as file:
                header, *rows = list(csv.reader(file)) or [[]]
            kept = [row for row in rows if len(row) == len(header) and int(row[0]) <= trainer.global_step]
            temporary = self.path.with_suffix(".partial")
            with open(temporary, "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([header, *kept])
            os.replace(temporary, self.path)
        self.since = time.monotonic()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, plan: Any, outputs: Any, batch: Any, batch_index: int
    ) -> None:
        """Add up; write a row every few steps, which is the only time the device is waited for."""
        for name, value in {**plan.last["terms"], "total": plan.last["total"]}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        self.sequences += plan.last["sequences"]
        if trainer.global_step % self.every == 0 or trainer.global_step == plan.total_steps:
            means = {name: float(value) / self.count for name, value in self.sums.items()}
            rate = self.sequences / (time.monotonic() - self.since)
            self._write(trainer, plan, "train", means, rate)
            _check_finite(means, trainer.global_step)
            self.sums, self.count, self.sequences, self.since = {}, 0, 0, time.monotonic()

    def on_validation_epoch_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Write the validation row."""
        size = len(plan.data.splits["validation"])
        means = {name: float(value) / size for name, value in plan.validation_sums.items()}
        plan.validation_sums = {}
        weights = plan.weights_now(means)
        means["total"] = sum(means[name] * weight for name, weight in weights.items())
        tracked = {} if self.information is None else self.information.take(size)
        self._write(trainer, plan, "validation", means, None, tracked)
        self.since = time.monotonic()

    def _write(
        self,
        trainer: Any,
        plan: Plan,
        split: str,
        means: dict[str, float],
        rate: float | None,
        tracked: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        terms = [name for name in means if name != "total"]
        weights = plan.weights_now(terms)
        columns = () if self.information is None else self.information.names
        row = {
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "split": split,
            "seconds": f"{self.seconds:.1f}",
            "sequences_per_second": "" if rate is None else f"{rate:.2f}",
            "learning_rate": f"{trainer.optimizers[0].param_groups[0]['lr']:.6g}",
            "total": f"{means['total']:.6g}",
            **{name: f"{means[name]:.6g}" for name in terms},
            **{f"weight/{name}": f"{weights[name]:.6g}" for name in terms},
            **{f"information/{name}": f"{tracked[name]:.6g}" if tracked else "" for name in columns},
        }
        new = not self.path.exists()
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)


class Progressing(lightning.Callback):
    """A bar with rate, time left and the objective on a terminal; one line per epoch elsewhere."""

    def __init__(self, say: Console) -> None:
        self.say = say
        self.bar: Progress | None = None
        self.started = time.monotonic()
        self.first_step = 0

    def on_train_start(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Start the bar where training stands."""
        self.started, self.first_step = time.monotonic(), trainer.global_step
        if self.say.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[rate]}"),
            )
            self.bar = Progress(*columns, console=self.say, speed_estimate_period=120)
            self.bar.add_task("training", total=plan.total_steps, completed=trainer.global_step, rate="")
            self.bar.start()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, plan: Any, outputs: Any, batch: Any, batch_index: int
    ) -> None:
        """Move the bar."""
        if self.bar:
            rate = f"{self._rate(trainer, plan):.0f} sequences/s"
            self.bar.update(self.bar.task_ids[0], completed=trainer.global_step, rate=rate)

    def on_train_epoch_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Say where training stands."""
        rate = self._rate(trainer, plan)
        left = (plan.total_steps - trainer.global_step) * plan.batches.batch_size / rate if rate else 0.0
        terms = "  ".join(f"{name} {float(value):.4g}" for name, value in plan.last["terms"].items())
        line = f"epoch {trainer.current_epoch + 1}/{plan.config.max_epochs}  {terms}"
        self.say.print(
            f"{line}  {rate:.0f} sequences/s  {left / 60:.1f} min left", highlight=False, soft_wrap=True
        )

    def on_exception(self, trainer: lightning.Trainer, plan: Any, exception: BaseException) -> None:
        """Close the bar."""
        self._stop()

    def on_train_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Close the bar."""
        self._stop()

    def _rate(self, trainer: lightning.Trainer, plan: Plan) -> float:
        done = (trainer.global_step - self.first_step) * plan.batches.batch_size
        return done / max(1e-9, time.monotonic() - self.started)

    def _stop(self) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None


class Stopping(lightning.Callback):
    """Ends training after a whole step: on Ctrl-C (a second one stops at once) or when its minutes are up."""

    def __init__(self, checkpoints: Checkpoints, metrics: Metrics, max_minutes: float | None) -> None:
        self.checkpoints, self.metrics = checkpoints, metrics
        self.max_seconds = None if max_minutes is None else 60 * max_minutes
        self.asked = False
        self.before: Any = None

    def on_train_start(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Listen for Ctrl-C and for a request to end (SIGTERM)."""

        def ask(number: int, frame: FrameType | None) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True
            print("\nstopping after this step ...", file=sys.stderr)

        try:
            self.before = {n: signal.signal(n, ask) for n in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread
            self.before = {}

    def on_train_batch_end(
        self, trainer: lightning.Trainer, plan: Any, outputs: Any, batch: Any, batch_index: int
    ) -> None:
        """Stop here if asked to; the last batch of an epoch is finished with its epoch."""
        if batch_index + 1 < len(plan.batches):
            self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Stop here if asked to."""
        if trainer.global_step < plan.total_steps:
            self._stop_if_asked(trainer)

    def on_exception(self, trainer: lightning.Trainer, plan: Any, exception: BaseException) -> None:
        """Stop listening."""
        self._forget()

    def on_train_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Stop listening."""
        self._forget()

    def _stop_if_asked(self, trainer: lightning.Trainer) -> None:
        finished = self.max_seconds is not None and self.metrics.seconds >= self.max_seconds
        if self.asked or finished:
            self.checkpoints.write(trainer)
            raise Stopped(finished)

    def _forget(self) -> None:
        for number, handler in (self.before or {}).items():
            signal.signal(number, handler)
        self.before = {}
