"""Mutual information of the codes, followed on the validation split."""

from typing import Any

import lightning
import torch
from jaxtyping import Float
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
from unbraid.types import Batch, Codes, Terms, draw

__all__ = ["Information", "information"]


class Information(lightning.Callback):
    """Mutual information of the codes on the validation split, for the curves of C-DSVAE (Figures 14 and 15).

    Minibatch weighted sampling with N the number of training sequences, in nats: log N for codes without information,
    up to log(N M) in batches of M. One draw of each sequence, with the same noise at every epoch.
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
        generator = torch.Generator(plan.device_name).manual_seed(plan.validation_seed(batch_idx))
        estimates = information(plan.model, batch, plan.dataset_size, generator)
        for name, value in estimates.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.sum()

    def take(self) -> Terms:
        """The sums over the split, and start anew."""
        sums, self.sums = self.sums, {}
        return sums


def information(
    model: SequenceModel, batch: Batch, dataset_size: int, generator: torch.Generator
) -> dict[str, Float[Tensor, "B"]]:
    """The estimates of `Information` for each sequence of a batch.

    Raises:
        ValueError: the model's posteriors are not normal.
    """
    model.require("encode")
    posterior = model.posterior(batch.x, batch.mask)
    for name, part in (("static", posterior.static), ("dynamic", posterior.dynamic)):
        if not isinstance(part, Normal):
            raise ValueError(
                f"training.track_information: the {name} posterior of {model.card.name} is a "
                f"{type(part).__name__}; the estimates need a Normal, leave the option out"
            )
    codes = Codes(draw(posterior.static, generator), draw(posterior.dynamic, generator))
    steps = inside(batch.mask)
    path = (codes, posterior, dataset_size, steps)
    return {
        "static_dynamic": static_dynamic_information(*path),
        "static_dynamic_per_step": static_dynamic_information_per_step(*path),
        "static_input": static_input_information(codes, posterior, dataset_size),
        "dynamic_input": dynamic_input_information(*path),
        "dynamic_input_per_step": dynamic_input_information_per_step(*path),
    }
