"""A clean stop after a whole training step."""

import contextlib
import os
import signal
from types import FrameType
from typing import Any

import lightning

from unbraid.training.callbacks.checkpoints import Checkpoints
from unbraid.training.callbacks.metrics import Metrics
from unbraid.training.plan import Plan

__all__ = ["Interrupted", "Stopped", "Stopping"]

# Ctrl-C, a request to end, and a closed terminal (which Windows does not have).
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """Training was interrupted and saved.

    Attributes:
        signal_number: of the signal; the command ends with exit code 128 + signal_number.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"training was stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class Stopped(Exception):  # noqa: N818 - it is a signal, not an error
    """Training was stopped on purpose after a whole step.

    Attributes:
        signal_number: of the signal that asked for it; None when the training's time was up.
    """

    def __init__(self, signal_number: int | None) -> None:
        super().__init__("time is up" if signal_number is None else "interrupted")
        self.signal_number = signal_number


def _say(text: str) -> None:
    """Write a line to the standard error past Python's streams, which a signal may have interrupted."""
    with contextlib.suppress(OSError):  # nobody reads it any more
        os.write(2, f"\n{text}\n".encode())


class Stopping(lightning.Callback):
    """Ends training after a whole step: on SIGINT, SIGTERM or SIGHUP, or when its minutes are up.

    A second signal ends the process at once, with exit code 128 + the signal's number. A signal that the process was
    started to ignore, as SIGHUP under `nohup`, is ignored still.
    """

    def __init__(self, checkpoints: Checkpoints, metrics: Metrics, max_minutes: float | None) -> None:
        self.checkpoints, self.metrics = checkpoints, metrics
        self.max_seconds = None if max_minutes is None else 60 * max_minutes
        self.asked: int | None = None
        self.before: dict[int, Any] = {}

    def on_sanity_check_start(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Listen for signals."""
        self._listen()

    def on_train_start(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Listen for signals."""
        self._listen()

    def _listen(self) -> None:
        def ask(number: int, frame: FrameType | None) -> None:
            if self.asked is not None:
                _say("stopped at once, without a checkpoint of this step")
                os._exit(128 + number)
            self.asked = number
            _say("stopping after this step; once more to stop at once ...")

        for number in _SIGNALS:
            if number not in self.before and signal.getsignal(number) is not signal.SIG_IGN:
                try:
                    self.before[number] = signal.signal(number, ask)
                except ValueError:  # not the main thread
                    return

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
        time_is_up = self.max_seconds is not None and self.metrics.seconds >= self.max_seconds
        if self.asked is not None or time_is_up:
            self.checkpoints.write(trainer, plan)
            raise Stopped(self.asked)

    def _forget(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}
