"""The progress of a training on the terminal."""

import time
from typing import Any

import lightning
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from unbraid.training.plan import Plan
from unbraid.types import Terms

__all__ = ["ProgressReport"]


class ProgressReport(lightning.Callback):
    """A bar with rate, time left and the objective on a terminal; one line per epoch elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        self.started = time.monotonic()
        self.first_step = 0
        self.last: Terms = {}

    def on_train_start(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Start the bar at the current step."""
        self.started, self.first_step = time.monotonic(), plan.step
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[rate]}"),
            )
            self.bar = Progress(*columns, console=self.console, speed_estimate_period=120)
            self.bar.add_task("training", total=plan.total_steps, completed=plan.step, rate="")
            self.bar.start()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, plan: Any, outputs: Any, batch: Any, batch_index: int
    ) -> None:
        """Move the bar."""
        self.last = outputs["losses"].terms
        if self.bar:
            rate = f"{self._rate(trainer, plan):.0f} sequences/s"
            self.bar.update(self.bar.task_ids[0], completed=plan.step, rate=rate)

    def on_train_epoch_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Print a line with the last terms, the rate and the time left."""
        rate = self._rate(trainer, plan)
        left = (plan.total_steps - plan.step) * plan.batches.batch_size / rate if rate else 0.0
        terms = "  ".join(f"{name} {float(value):.4g}" for name, value in self.last.items())
        line = f"epoch {trainer.current_epoch + 1}/{plan.epochs}  {terms}"
        self.console.print(
            f"{line}  {rate:.0f} sequences/s  {left / 60:.1f} min left", highlight=False, soft_wrap=True
        )

    def on_exception(self, trainer: lightning.Trainer, plan: Any, exception: BaseException) -> None:
        """Close the bar."""
        self._stop()

    def on_train_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Close the bar."""
        self._stop()

    def _rate(self, trainer: lightning.Trainer, plan: Plan) -> float:
        done = (plan.step - self.first_step) * plan.batches.batch_size
        return done / max(1e-9, time.monotonic() - self.started)

    def _stop(self) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None
