"""A clean stop after a whole training step."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import lightning

from unbraid.processes import largest, this_process
from unbraid.training.callbacks.checkpoints import Checkpoints
from unbraid.training.callbacks.metrics import Metrics
from unbraid.training.plan import Plan

__all__ = ["Interrupted", "Stopped", "Stopping"]

# Ctrl-C, a request to end, a closed terminal, and the warning of a job scheduler (Windows does not have the last two).
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


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
    """Ends training after a whole step: on SIGINT, SIGTERM, SIGHUP or SIGUSR1, or when its minutes are up.

    A second signal ends the process at once, with exit code 128 + the signal's number. A signal that the process was
    started to ignore, as SIGHUP under `nohup`, is ignored still.

    Of several processes that train together all stop after the same step when one of them is asked to, and a second signal
    changes nothing: `torchrun` passes on a Ctrl-C that every process has had already, and kills what does not end in time.
    """

    def __init__(self, checkpoints: Checkpoints, metrics: Metrics, max_minutes: float | None) -> None:
        self.checkpoints, self.metrics = checkpoints, metrics
        self.max_seconds = None if max_minutes is None else 60 * max_minutes
        self.asked: int | None = None
        self.heard: tuple[int, ...] = ()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for signals inside the block; not in other threads than the main one, which gets no signals."""
        before = {}
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            before = {number: signal.signal(number, self._ask) for number in heard}
        self.heard = tuple(before)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def on_sanity_check_start(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Take back the signals for which Lightning has set handlers of its own."""
        self._take_back()

    def on_train_start(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Take back the signals for which Lightning has set handlers of its own."""
        self._take_back()

    def _take_back(self) -> None:
        for number in self.heard:
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            if this_process().count > 1:
                return
            _say("stopped at once, without a checkpoint of this step")
            os._exit(128 + number)
        self.asked = number
        if this_process().count > 1:
            _say("stopping after this step, all processes together ...")
        else:
            _say("stopping after this step; once more to stop at once ...")

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

    def _stop_if_asked(self, trainer: lightning.Trainer, plan: Plan) -> None:
        if asked := int(largest(self.asked or 0)):
            self.asked = asked
        time_is_up = self.max_seconds is not None and largest(self.metrics.seconds) >= self.max_seconds
        if self.asked is not None or time_is_up:
            self.checkpoints.write(trainer, plan)
            raise Stopped(self.asked)
