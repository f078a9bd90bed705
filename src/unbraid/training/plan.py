"""The Lightning plan round any model: terms, their weights, the optimiser and the noise."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

from unbraid.augment import check_views, draw_views
from unbraid.data.sequences import Sequences
from unbraid.models.base import SequenceModel
from unbraid.nn.codecs import kernels
from unbraid.objectives.schedules import learning_rate_share, weight_at
from unbraid.training.batches import Batches
from unbraid.training.config import TrainingConfig
from unbraid.training.machine import choose_device, choose_precision
from unbraid.training.muon import AdamWithMuon
from unbraid.types import Batch, Terms
from unbraid.words import nearest

__all__ = ["Plan", "complete", "make_optimizer", "terms_of", "weighted_sum"]


def complete(
    model: SequenceModel, batch: Batch, dataset_size: int, generator: torch.Generator | None = None
) -> Batch:
    """The batch with what the model's objective reads beside the data: its views, drawn now, and N."""
    return replace(batch, views=draw_views(model.views, batch, generator), dataset_size=dataset_size)


def terms_of(
    model: SequenceModel, batch: Batch, precision: torch.dtype, generator: torch.Generator | None = None
) -> Terms:
    """The model's terms, each a mean over the batch, computed in the given precision and returned in float32."""
    autocast = torch.autocast(model.device.type, torch.bfloat16, enabled=precision == torch.bfloat16)
    with autocast:
        return {name: term.float().mean() for name, term in model.terms(batch, generator).items()}


def weighted_sum(terms: Terms, weights: dict[str, float]) -> Tensor:
    """The objective: each term times its weight; a term of weight 0 takes no part."""
    return torch.stack([terms[name] * weight for name, weight in weights.items() if weight]).sum()


def make_optimizer(model: SequenceModel, config: TrainingConfig) -> torch.optim.Optimizer:
    """Adam in one fused pass, with Muon for the kernels of codecs where they have a rate of their own."""
    betas, fused = (0.9, config.beta2), model.device.type != "mps"
    if config.kernel_learning_rate is None:
        return torch.optim.Adam(model.parameters(), config.learning_rate, betas, fused=fused)
    return AdamWithMuon(
        model.parameters(),
        kernels(model, config.kernel_heads),
        config.learning_rate,
        config.kernel_learning_rate,
        betas,
        fused=fused,
        precision=choose_precision(config.precision, model.device.type),
    )


class Plan(lightning.LightningModule):
    """Trains a SequenceModel on the train split of a data set and watches the validation split.

    Batches travel as row numbers; the rows are read from the (memory-mapped) data set and turned into floats on the
    device. All noise comes from one generator, whose state is part of every checkpoint.
    """

    def __init__(self, model: SequenceModel, data: Sequences, config: TrainingConfig) -> None:
        super().__init__()
        check_views(model.views, data.observation, data.steps)
        self.model, self.data, self.config = model, data, config
        self.device_name = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device_name)
        self.noise = torch.Generator(self.device_name).manual_seed(config.seed)
        self.batches = Batches(data.splits["train"], config.batch_size, config.seed)
        self.total_steps = len(self.batches) * config.max_epochs
        self.validation_sums: Terms = {}
        self.last: dict[str, Any] = {}

    def complete(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch with the model's views and the number of training sequences."""
        return complete(self.model, batch, len(self.data.splits["train"]), generator)

    def weights_now(self, terms: Collection[str]) -> dict[str, float]:
        """The weight of each term at this point of training.

        Raises:
            ValueError: the settings weight a term that the model does not have.
        """
        for name in self.config.weights:
            if name not in terms:
                raise ValueError(
                    f"training.weights.{name}: {self.model.card.name} has no such term{nearest(name, terms)}"
                )
        share = self.global_step / max(1, self.total_steps - 1)
        return {name: weight_at(self.config.weights.get(name, 1.0), share) for name in terms}

    def configure_optimizers(self) -> Any:
        """The optimiser and the learning rate's schedule, step by step."""
        config, optimizer = self.config, make_optimizer(self.model, self.config)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: learning_rate_share(step, self.total_steps, config.warmup_steps, config.schedule),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: np.ndarray, device: torch.device, dataloader_idx: int) -> Batch:
        """Read the rows and put them on the device."""
        return self.data.batch(batch, device)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """The weighted sum of the terms; everything that is logged stays on the device until it is read."""
        batch = self.complete(batch, self.noise)
        terms = terms_of(self.model, batch, self.precision, self.noise)
        weights = self.weights_now(terms)
        total = weighted_sum(terms, weights)
        self.last = {
            "terms": {name: term.detach() for name, term in terms.items()},
            "weights": weights,
            "total": total.detach(),
            "sequences": len(batch),
        }
        return total

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Add up the terms of the validation split, with noise that is the same at every epoch."""
        generator = torch.Generator(self.device_name).manual_seed(batch_index)
        batch = self.complete(batch, generator)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            terms = self.model.terms(batch, generator)
        for name, term in terms.items():
            value = term.float().sum() if term.ndim else term.float() * len(batch)
            self.validation_sums[name] = self.validation_sums.get(name, 0.0) + value

    def train_dataloader(self) -> Batches:
        """The training batches."""
        return self.batches

    def val_dataloader(self) -> Batches:
        """The validation batches, in order, none left out."""
        return Batches(self.data.splits["validation"], self.config.batch_size)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the place in the order of batches and the state of the noise."""
        checkpoint["batches"] = self.batches.state_dict()
        checkpoint["noise"] = self.noise.get_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the order of batches and the noise."""
        self.batches.load_state_dict(checkpoint["batches"])
        self.noise.set_state(checkpoint["noise"].cpu())
