"""A clean stop after a whole training step."""

import signal
import sys
from types import FrameType
from typing import Any

import lightning

from unbraid.training.callbacks.checkpoints import Checkpoints
from unbraid.training.callbacks.metrics import Metrics
from unbraid.training.plan import Plan

__all__ = ["Stopped", "Stopping"]


class Stopped(Exception):  # noqa: N818 - it is a signal, not an error
    """Training was stopped on purpose after a whole step; `finished` when its time was up."""

    def __init__(self, finished: bool) -> None:
        super().__init__("time is up" if finished else "interrupted")
        self.finished = finished


class Stopping(lightning.Callback):
    """Ends training after a whole step: on Ctrl-C or SIGTERM (a second one stops at once), or when its minutes are up."""

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
            self._stop_if_asked(trainer, plan)

    def on_train_epoch_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Stop here if asked to."""
        if plan.step < plan.total_steps:
            self._stop_if_asked(trainer, plan)

    def on_exception(self, trainer: lightning.Trainer, plan: Any, exception: BaseException) -> None:
        """Stop listening."""
        self._forget()

    def on_train_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Stop listening."""
        self._forget()

    def _stop_if_asked(self, trainer: lightning.Trainer, plan: Plan) -> None:
        finished = self.max_seconds is not None and self.metrics.seconds >= self.max_seconds
        if self.asked or finished:
            self.checkpoints.write(trainer, plan)
            raise Stopped(finished)

    def _forget(self) -> None:
        for number, handler in (self.before or {}).items():
            signal.signal(number, handler)
        self.before = {}
