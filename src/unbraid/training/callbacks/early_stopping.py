"""Early stopping: the weights of the epoch with the lowest loss on validation are kept."""

import math
from typing import Any

import lightning
from rich.console import Console
from torch import Tensor

from unbraid.training.callbacks.metrics import Metrics
from unbraid.training.callbacks.stopping import Stopped
from unbraid.training.phases import weights_at

__all__ = ["EarlyStopping"]


class EarlyStopping(lightning.Callback):
    """Ends training when the loss on validation has not fallen for some epochs, and keeps the weights of the lowest.

    The loss is the sum of the terms with the weights that they have at the end of training, so that epochs can be compared.
    Epochs before the middle of training do not count: there the weights of the terms move what is static and what is
    dynamic into their codes.

    Args:
        metrics: the callback that adds up the validation terms; it comes before this one.
        patience: epochs without a lower loss, after which training ends.
        console: that is told when it ends.
    """

    def __init__(self, metrics: Metrics, patience: int, console: Console) -> None:
        self.metrics, self.patience, self.console = metrics, patience, console
        self.lowest, self.step, self.waited = math.inf, 0, 0
        self.weights: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """The lowest loss so far, its step and weights, and the epochs since."""
        return {
            "lowest": self.lowest,
            "step": self.step,
            "waited": self.waited,
            "weights": self.weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.lowest, self.step, self.waited = state["lowest"], state["step"], state["waited"]
        self.weights = dict(state["weights"])

    def on_train_start(self, trainer: lightning.Trainer, plan: Any) -> None:
        """End a training that had ended when it was killed."""
        self._stop_if_over()

    def on_validation_epoch_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """Compare this epoch with the best one so far."""
        if 2 * plan.step < plan.total_steps:
            return
        means = self.metrics.validation_means
        terms = [name for name in means if name != "total"]  # a list: all processes add up in one order
        weights = weights_at(plan.config, terms, 1.0)
        loss = sum(means[name] * weight for name, weight in weights.items())
        self.waited += 1
        if loss < self.lowest:
            self.lowest, self.step, self.waited = loss, plan.step, 0
            self.weights = {name: value.cpu().clone() for name, value in plan.model.state_dict().items()}

    def on_train_epoch_end(self, trainer: lightning.Trainer, plan: Any) -> None:
        """End the training when the loss has not fallen for long enough."""
        if plan.step < plan.total_steps and self.waited >= self.patience:
            self.console.print(
                f"ended at step {plan.step}: validation has not improved for {self.waited} epochs",
                markup=False,
            )
        self._stop_if_over()

    def _stop_if_over(self) -> None:
        if self.waited >= self.patience:
            raise Stopped(None)
