"""A look at validation while a training runs, which may end it."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning

from unbraid.training.callbacks.metrics import Metrics

__all__ = ["Ended", "Watch"]


class Ended(Exception):  # noqa: N818 - it is a decision, not an error
    """A training was ended because its validation is not good enough to go on."""


class Watch(lightning.Callback):
    """Hands each validation's means to a function, and ends the training when it says so.

    Args:
        look: gets the step and the means of the terms over the validation split, and says whether to end the training.

    Raises:
        Ended: the function said so; the run can be resumed.
    """

    def __init__(self, look: Callable[[int, Mapping[str, float]], bool]) -> None:
        self.look = look

    def on_validation_epoch_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Look, once the metrics have been written."""
        metrics = next(each for each in trainer.callbacks if isinstance(each, Metrics))  # type: ignore[attr-defined]
        if self.look(plan.step, metrics.validation_means):
            raise Ended
