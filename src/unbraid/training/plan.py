"""The Lightning plan: reads batches, takes training steps, adds up the validation terms."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

from unbraid.augment import check_views
from unbraid.data.sequences import Sequences
from unbraid.machine import choose_device, choose_precision, computing_in
from unbraid.models.base import SequenceModel
from unbraid.nn.statistics import keep_statistics
from unbraid.processes import ALONE, sum_over_processes, this_process
from unbraid.training.batches import Batches
from unbraid.training.config import TrainingConfig
from unbraid.training.phases import TrainingStep, check_phases, complete, weights_at
from unbraid.types import Batch, JointNoise, Terms
from unbraid.words import nearest

__all__ = ["Plan", "budget", "training_recordings"]

EPOCH_STEPS = 50


def training_recordings(data: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """The recording (the group) of each training sequence, numbered from 0, and its number of training sequences.

    Without groups each sequence is a recording by itself.
    """
    rows = data.training_rows
    groups = rows if data.groups is None else data.groups[rows]
    _, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return number, sizes[number]


def budget(rows: np.ndarray, config: TrainingConfig) -> tuple[Batches, int]:
    """The training batches of an epoch, this process's share of them, and the number of epochs.

    With a budget in steps, an epoch has so many passes over the rows that it has at least `EPOCH_STEPS` steps, where the
    budget allows, since each epoch ends with a validation and a checkpoint.
    """
    process = this_process()
    one_pass = Batches(rows, config.batch_size, config.seed, process=process)
    steps = config.fitted_steps or config.steps
    if steps is None:
        return one_pass, config.max_epochs
    passes = -(-min(EPOCH_STEPS, steps) // len(one_pass))
    batches = Batches(rows, config.batch_size, config.seed, passes, process)
    return batches, -(-steps // len(batches))


class Plan(lightning.LightningModule):
    """Trains a SequenceModel on the train split of a data set and watches the validation split.

    Batches travel as row numbers; the rows are read from the (memory-mapped) data set and turned into floats on the
    device. All noise comes from one generator. Its state, the order of the batches and the plan's own count of steps are
    part of every checkpoint; schedules, logs and checkpoints rest on that count, not on Lightning's, which counts the
    steps of every optimiser.

    Several processes train as one: a batch is shared evenly among them, their noise is that of the whole batch, the model's
    terms compare the sequences of all, and gradients are averaged. Batches of validation are shared where there are enough.
    """

    def __init__(self, model: SequenceModel, data: Sequences, config: TrainingConfig) -> None:
        super().__init__()
        check_phases(model)
        check_views(model.views, data.observation, data.steps)
        self.automatic_optimization = False
        self.model, self.data, self.config = model, data, config
        self.device_name = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device_name)
        self.process = this_process()
        self.batches, self.epochs = budget(data.training_rows, config)
        self.noise = JointNoise(self.device_name, self.process, self.batches.own)
        self.noise.manual_seed(config.seed)
        whole = Batches(data.splits["validation"], config.batch_size)
        self.validating = self.process if len(whole) >= self.process.count else ALONE
        model.check_batches(self.batches.batch_size, data.steps)
        self.total_steps = len(self.batches) * self.epochs
        self.step = 0
        rows = data.training_rows
        self.place_in_train, self.recording = np.full(len(data), -1), np.full(len(data), -1)
        self.recording_size = np.ones(len(data), int)
        self.place_in_train[rows] = np.arange(len(rows))
        self.recording[rows], self.recording_size[rows] = training_recordings(data)

    @property
    def dataset_size(self) -> int:
        """Number of training sequences."""
        return len(self.data.training_rows)

    def read(self, rows: np.ndarray, device: torch.device | str = "cpu") -> Batch:
        """Rows of the data set as a batch; index and recording count within the train split, -1 elsewhere."""

        def numbers(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values[rows]).to(device)

        return replace(
            self.data.batch(rows, device),
            index=numbers(self.place_in_train),
            recording=numbers(self.recording),
            recording_size=numbers(self.recording_size),
        )

    def terms(self, batch: Batch, generator: torch.Generator) -> Terms:
        """The terms of all phases on a batch, without gradients, `(B,)` or 0-dim each.

        Raises:
            ValueError: two phases have a term of one name, or the settings weight a term that does not exist.
        """
        batch = complete(self.model, batch, self.dataset_size, generator)
        every: Terms = {}
        with torch.no_grad():
            for phase in self.model.phases:
                terms = self.model.terms(batch, generator, phase.name)
                if shared := sorted(every.keys() & terms.keys()):
                    raise ValueError(f"model: two phases of {self.model.card.name} have a term {shared[0]!r}")
                every |= terms
        for name in self.config.weights:
            if name not in every:
                raise ValueError(
                    f"training.weights.{name}: {self.model.card.name} has no such term{nearest(name, every)}"
                )
        return every

    def leaves_parameters_out(self) -> bool:
        """Whether some parameter has no gradient in some step: phases, weights of 0, or terms that do not read it."""
        points = [weight for weight in self.config.weights.values() if isinstance(weight, list)]
        numbers = [weight for weight in self.config.weights.values() if not isinstance(weight, list)]
        if len(self.model.phases) > 1 or 0 in numbers or any(value == 0 for p in points for _, value in p):
            return True
        batch, noise = (
            self.read(self.data.training_rows[:2], self.model.device),
            torch.Generator(self.device_name),
        )
        batch = complete(self.model, batch, self.dataset_size, noise)
        with keep_statistics(self.model):
            terms = self.model.terms(batch, noise, self.model.phases[0].name)
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        total = torch.stack([term.float().mean() for term in terms.values()]).sum()
        return None in torch.autograd.grad(total, parameters, allow_unused=True)

    def weights_now(self, terms: Collection[str]) -> dict[str, float]:
        """The weight of each term at this point of training."""
        return weights_at(self.config, terms, self.step / max(1, self.total_steps - 1))

    # ---- Lightning's hooks --------------------------------------------------------------------------

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The optimiser of every phase."""
        self.taking = TrainingStep(
            self.model, self.config, self.total_steps, self.dataset_size, self.noise, self.manual_backward
        )
        return self.taking.optimizers

    def transfer_batch_to_device(self, batch: np.ndarray, device: torch.device, dataloader_idx: int) -> Batch:
        """Read the rows and put them on the device."""
        return self.read(batch, device)

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Any]:
        """Take one step; callbacks get its losses, which stay on the device until they are read."""
        losses = self.taking.take(batch, self.step)
        self.step += 1
        return {"losses": losses}

    def validation_step(self, batch: Batch, batch_index: int) -> dict[str, Tensor]:
        """Sums of the terms over a batch, with noise that is the same at every epoch."""
        generator = torch.Generator(self.device_name).manual_seed(self.validation_seed(batch_index))
        with computing_in(self.precision, self.device.type):
            terms = self.terms(batch, generator)
        return {
            name: term.float().sum() if term.ndim else term.float() * len(batch)
            for name, term in terms.items()
        }

    def validation_seed(self, batch_index: int) -> int:
        """The seed of the noise of a validation batch: its number in the split's order."""
        rank, count = self.validating
        return count * batch_index + rank

    def validation_means(self, sums: Terms) -> dict[str, float]:
        """The means over the validation split, from the sums over this process's share of it."""
        if self.validating.count > 1:
            joint = sum_over_processes(torch.stack([value.double() for value in sums.values()]))
            sums = dict(zip(sums, joint.unbind(), strict=True))
        return {name: float(value) / len(self.data.splits["validation"]) for name, value in sums.items()}

    def train_dataloader(self) -> Batches:
        """The training batches."""
        return self.batches

    def val_dataloader(self) -> Batches:
        """The validation batches, in order, none left out; this process's share of them."""
        return Batches(self.data.splits["validation"], self.config.batch_size, process=self.validating)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the count of steps, the place in the order of batches and the state of the noise."""
        checkpoint["step"] = self.step
        checkpoint["batches"] = self.batches.state_dict()
        checkpoint["noise"] = self.noise.get_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the count of steps, the order of batches and the noise."""
        self.step = checkpoint["step"]
        self.batches.load_state_dict(checkpoint["batches"])
        self.noise.set_state(checkpoint["noise"].cpu())
