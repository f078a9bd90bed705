"""One training step of any model: every phase in turn, each with its own optimiser, schedule and clipping.

The Lightning plan and `unbraid speed` take the same step.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from unbraid.augment import draw_views
from unbraid.machine import choose_precision, computing_in
from unbraid.models.base import Phase, SequenceModel
from unbraid.nn.codecs import kernels
from unbraid.objectives.schedules import learning_rate_share, weight_at
from unbraid.processes import mean_over_processes, this_process
from unbraid.training.config import TrainingConfig
from unbraid.training.muon import AdamWithMuon
from unbraid.types import Batch, Terms
from unbraid.words import nearest

__all__ = ["Losses", "TrainingStep", "check_phases", "complete", "terms_of", "weights_at"]


@dataclass(frozen=True)
class Losses:
    """What one training step computed, detached and still on the device.

    Attributes:
        terms: mean over the batch of each term of the phases that ran; over the batches of all processes.
        total: the weighted sum of the terms.
        sequences: number of sequences of the batch, those of all processes.
    """

    terms: Terms
    total: Tensor
    sequences: int


def check_phases(model: SequenceModel) -> None:
    """Refuse a model whose phases cannot train it.

    Raises:
        ValueError: an adversary without a phase of its own, two phases of one name, several phases of which one does not
            name its modules, a module that does not exist, or parameters that no phase trains.
    """
    phases, name = model.phases, model.card.name
    if model.can("adversary") and len(phases) < 2:
        raise ValueError(
            f"model: {name} has an adversary and {len(phases)} phase; one optimiser on the sum of both losses would train "
            "each against itself, so give each a Phase that names its modules"
        )
    if not phases or len({phase.name for phase in phases}) < len(phases):
        raise ValueError(f"model: {name} must have phases of different names, has {[p.name for p in phases]}")
    children = dict(model.named_children())
    for phase in phases:
        for module in phase.modules:
            if module not in children:
                raise ValueError(
                    f"model: phase {phase.name!r} of {name} trains {module!r}, which is no submodule"
                    f"{nearest(module, children)}"
                )
    if len(phases) == 1:
        return
    for phase in phases:
        if not phase.modules:
            raise ValueError(
                f"model: phase {phase.name!r} of {name} must name its modules, as there are several"
            )
    trained = {id(p) for phase in phases for p in _parameters(model, phase)}
    left_out = [key for key, p in model.named_parameters() if p.requires_grad and id(p) not in trained]
    if left_out:
        raise ValueError(f"model: no phase of {name} trains {left_out[0]}; name its module in a phase")


def complete(
    model: SequenceModel, batch: Batch, dataset_size: int, generator: torch.Generator | None = None
) -> Batch:
    """The batch with its views, drawn now, and the number of training sequences."""
    return replace(batch, views=draw_views(model.views, batch, generator), dataset_size=dataset_size)


def terms_of(
    model: SequenceModel,
    batch: Batch,
    precision: torch.dtype,
    generator: torch.Generator | None = None,
    phase: str = "fit",
) -> Terms:
    """The model's terms, each a mean over the batch, computed in the given precision and returned in float32."""
    with computing_in(precision, model.device.type):
        return {name: term.float().mean() for name, term in model.terms(batch, generator, phase).items()}


def weights_at(config: TrainingConfig, terms: Collection[str], share: float) -> dict[str, float]:
    """The weight of each term after a share (0 to 1) of training; 1 for terms that the settings do not name."""
    return {name: weight_at(config.weights.get(name, 1.0), share) for name in terms}


def weighted_sum(terms: Terms, weights: Mapping[str, float]) -> Tensor:
    """The objective: each term times its weight; a term of weight 0 is left out."""
    return torch.stack([term * weights[name] for name, term in terms.items() if weights[name]]).sum()


class TrainingStep:
    """Takes training steps of a model.

    Args:
        model: with its parameters on their device.
        config: how to train.
        total_steps: steps of the whole training, for the schedules.
        dataset_size: number of training sequences.
        noise: generator of all noise of training.
        backward: computes the gradients of an objective; where several processes train together, their mean.

    Raises:
        ValueError: phases that cannot train the model.
    """

    def __init__(
        self,
        model: SequenceModel,
        config: TrainingConfig,
        total_steps: int,
        dataset_size: int,
        noise: torch.Generator,
        backward: Callable[[Tensor], None] = Tensor.backward,
    ) -> None:
        check_phases(model)
        self.model, self.config, self.noise, self.backward = model, config, noise, backward
        self.total_steps, self.dataset_size = total_steps, dataset_size
        self.precision = choose_precision(config.precision, model.device.type)
        self.parameters = {phase.name: _parameters(model, phase) for phase in model.phases}
        self.others = {name: _others(model, own) for name, own in self.parameters.items()}
        self.optimizers = [self._optimizer(phase) for phase in model.phases]
        self.base_rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]

    def share(self, step: int) -> float:
        """The share of training (0 to 1) at a step."""
        return step / max(1, self.total_steps - 1)

    def take(self, batch: Batch, step: int) -> Losses:
        """Take training step number `step` (from 0) on a batch: every active phase in turn."""
        batch = complete(self.model, batch, self.dataset_size, self.noise)
        now = weights_at(self.config, self.config.weights, self.share(step))
        batch = replace(batch, unweighted=frozenset(name for name, weight in now.items() if not weight))
        terms: Terms = {}
        total: Tensor | float = 0.0
        for phase, optimizer, rates in zip(self.model.phases, self.optimizers, self.base_rates, strict=True):
            if not phase.active(self.share(step)):
                continue
            self._set_rates(optimizer, rates, step)
            for _ in range(phase.repeats):
                phase_terms, objective = self._descend(phase, optimizer, batch, step)
            terms |= {name: term.detach() for name, term in phase_terms.items()}
            total = total + objective.detach()
        return self._losses(terms, torch.as_tensor(total), len(batch))

    def _losses(self, terms: Terms, total: Tensor, sequences: int) -> Losses:
        """The losses of the batches of all processes."""
        means = mean_over_processes(torch.stack([*terms.values(), total]))
        *values, total = means.unbind()
        return Losses(dict(zip(terms, values, strict=True)), total, sequences * this_process().count)

    def _descend(
        self, phase: Phase, optimizer: torch.optim.Optimizer, batch: Batch, step: int
    ) -> tuple[Terms, Tensor]:
        """One optimiser step of one phase; the terms before it and their weighted sum.

        No step is taken where all terms of the phase have weight 0.
        """
        own = self.parameters[phase.name]
        with _left_out(self.others[phase.name]):
            terms = terms_of(self.model, batch, self.precision, self.noise, phase.name)
            for parameter in own:
                parameter.grad = None
            weights = weights_at(self.config, terms, self.share(step))
            if not any(weights.values()):
                return terms, next(iter(terms.values())).new_zeros(())
            objective = weighted_sum(terms, weights)
            self.backward(objective)
        if self.config.gradient_clip is not None:
            nn.utils.clip_grad_norm_(own, self.config.gradient_clip)
        optimizer.step()
        return terms, objective

    def _set_rates(self, optimizer: torch.optim.Optimizer, rates: list[float], step: int) -> None:
        factor = learning_rate_share(step, self.total_steps, self.config.warmup_steps, self.config.schedule)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor

    def _optimizer(self, phase: Phase) -> torch.optim.Optimizer:
        """Adam in one fused pass, with Muon for the kernels of codecs where they have a rate of their own."""
        config, parameters = self.config, self.parameters[phase.name]
        rate, betas = config.learning_rate * phase.learning_rate, (phase.beta1, config.beta2)
        fused = self.model.device.type != "mps"
        if config.kernel_learning_rate is None:
            return torch.optim.Adam(parameters, rate, betas, fused=fused)
        return AdamWithMuon(
            parameters,
            kernels(self.model, config.kernel_heads),
            rate,
            config.kernel_learning_rate * phase.learning_rate,
            betas,
            fused=fused,
            precision=self.precision,
        )


def _parameters(model: SequenceModel, phase: Phase) -> list[nn.Parameter]:
    """The parameters that a phase trains."""
    if not phase.modules:
        return list(model.parameters())
    children = dict(model.named_children())
    return [parameter for name in phase.modules for parameter in children[name].parameters()]


def _others(model: SequenceModel, own: list[nn.Parameter]) -> list[nn.Parameter]:
    """The parameters of a model that are not among a phase's own."""
    listed = {id(parameter) for parameter in own}
    return [parameter for parameter in model.parameters() if id(parameter) not in listed]


@contextmanager
def _left_out(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Compute no gradients of these parameters."""
    changed = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in changed:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in changed:
            parameter.requires_grad_(True)
