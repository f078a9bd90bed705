"""`SequenceModel`: the one interface of every method, and all operations that follow from it."""

import importlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, ClassVar, Literal, Union, final, get_args, get_origin

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence

from unbraid.cards import Capability, ModelCard
from unbraid.masks import inside, observed_values, zero_unobserved
from unbraid.nn.distributions import RolledNormal, kl_over_steps
from unbraid.types import Batch, Codes, Factor, Posterior, Terms, draw
from unbraid.words import nearest

__all__ = ["CANNOT", "Phase", "SequenceModel"]

StepMask = Bool[Tensor, "B T"]
Mask = Bool[Tensor, "B T *X"] | StepMask

CANNOT = {
    "encode": "has no encoder, so there are no codes of a given sequence",
    "decode": "has no decoder, so codes cannot be turned into sequences",
    "static_prior": "has no prior of the static code, so static codes cannot be drawn",
    "dynamic_prior": "has no prior of the dynamic code, so dynamic codes cannot be drawn",
    "likelihood": "has no likelihood, so there is no evidence lower bound",
    "decoded_static": "computes its static code from the dynamic one and does not decode it",
    "adversary": "trains without an adversary",
    "export": "cannot be exported: its graph depends on values, or on the number of steps",
}


@dataclass(frozen=True)
class Phase:
    """One optimiser's part in a training step.

    Attributes:
        name: handed to `terms`.
        modules: names of the submodules whose parameters this phase trains; () for all parameters.
        repeats: optimiser steps of this phase in each training step.
        start: share of training after which the phase begins.
        end: share of training at which it ends. A prior that is fitted afterwards starts where the others end.
        learning_rate: factor on `training.learning_rate`.
        beta1: Adam's first decay rate.
    """

    name: str
    modules: tuple[str, ...] = ()
    repeats: int = 1
    start: float = 0.0
    end: float = 1.0
    learning_rate: float = 1.0
    beta1: float = 0.9

    def active(self, share: float) -> bool:
        """Whether the phase runs after a share (0 to 1) of training."""
        return self.start <= share < self.end or (share >= 1 and self.end >= 1)


class SequenceModel(nn.Module, ABC):
    """A model with one static code per sequence and one dynamic code per step.

    A method implements `terms` and what its card promises: `posterior` ("encode"), `decode` ("decode"), `prior` and
    `roll` ("dynamic_prior"). Everything else is derived here. The first constructor argument is `observation`, the shape
    `*X` of one observation; the others are the method's settings. A constructor starts with `super().__init__(locals())`,
    which keeps them in `self.settings`, so that a model can be saved and built again.

    A setting called `sequences` is filled by training with the number of training sequences, one called `recordings` with the
    number of recordings that these were cut from.

    Args:
        arguments: the constructor's `locals()`.

    Raises:
        ValueError: a setting is none of the names that it may be.
    """

    card: ClassVar[ModelCard]
    observation: tuple[int, ...]
    static_size: int
    dynamic_size: int
    settings: dict[str, Any]
    folder: Path | None = None  # of the run that trained the model, or that it was loaded from
    phases: tuple[Phase, ...] = (Phase("fit"),)
    """Optimisers of a training step, in their order."""
    views: Mapping[str, str] = MappingProxyType({})
    """The views that `terms` reads: name in `Batch.views` to a way of `unbraid.augment` to draw it."""
    factors: Mapping[str, Factor] = MappingProxyType(
        {"static": Factor("static"), "dynamic": Factor("dynamic")}
    )
    """What can be exchanged between sequences, by name."""
    static_mixture: int = 1
    """Where there is no prior of the static code: how many other sequences' codes are mixed into a new one."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        self.observation = tuple(arguments["observation"])
        self.settings = {name: arguments[name] for name in self.setting_names()}
        self.check_settings(self.settings)

    @classmethod
    def setting_names(cls) -> list[str]:
        """Names of the constructor's settings."""
        return [
            name for name in inspect.signature(cls.__init__).parameters if name not in ("self", "observation")
        ]

    @classmethod
    def check_settings(cls, settings: Mapping[str, Any]) -> None:
        """Refuse values that are none of the names that a setting may be, and numbers that are not whole or below 1.

        A setting that may be a name or something else is checked where its value is text. Seeds may be 0.

        Raises:
            ValueError: names the setting, the value and the nearest choice.
        """
        parameters = inspect.signature(cls.__init__).parameters
        for name, value in settings.items():
            annotation = parameters[name].annotation
            kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
            choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
            if choices and value not in choices and (len(kinds) == 1 or isinstance(value, str)):
                raise ValueError(
                    f"model.{name}: {value!r} is no choice{nearest(str(value), map(str, choices))}"
                )
            if annotation not in (int, int | None) or value is None or name.endswith("seed"):
                continue
            if not isinstance(value, int):
                raise ValueError(f"model.{name}: {value!r} must be a whole number (int)")
            if value < 1:
                raise ValueError(f"model.{name}: {value} must be at least 1")

    # ---- what a method implements -------------------------------------------------------------------

    def posterior(
        self, x: Float[Tensor, "B T *X"], mask: Mask | None = None, generator: torch.Generator | None = None
    ) -> Posterior:
        """q(s, d | x). `generator` feeds noise that is part of a method's encoder while training."""
        raise self._refusal("encode")

    def prior(self, dynamic: Float[Tensor, "B T D"]) -> Distribution:
        """p(d_t | d_<t) along the given path, for all t at once, over (B, T, D)."""
        raise self._refusal("dynamic_prior")

    def roll(self, n: int, length: int, generator: torch.Generator | None = None) -> Float[Tensor, "n T D"]:
        """Draw n dynamic paths of `length` steps from the prior."""
        raise self._refusal("dynamic_prior")

    def decode(
        self, codes: Codes, mask: StepMask | None = None, generator: torch.Generator | None = None
    ) -> Distribution:
        """p(x | s, d) over (B, T, *X). Steps outside `mask` are not decoded; their mean is zero.

        `generator` feeds the noise of decoders that draw. A decoder without a density returns a
        `unbraid.nn.distributions.Point`.
        """
        raise self._refusal("decode")

    @abstractmethod
    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """The named, unweighted terms that `phase` minimises. No name is used by two phases."""

    def prior_static(self) -> Distribution | None:
        """p(s) over (S,): N(0, I) unless a method says otherwise; None where static codes cannot be drawn."""
        if not self.can("static_prior"):
            return None
        parameter = next(self.parameters())
        zeros = torch.zeros(self.static_size, device=parameter.device, dtype=parameter.dtype)
        return Normal(zeros, torch.ones_like(zeros), validate_args=False)

    def draw(self, n: int, length: int, generator: torch.Generator | None = None) -> Codes:
        """Draw n pairs of codes from the prior; a joint prior overrides this."""
        self.require("static_prior", "dynamic_prior")
        return Codes(self.draw_static(n, generator), self.roll(n, length, generator))

    def start(self, batches: Iterable[Batch]) -> None:
        """Fit what is computed once before training, from all training sequences. By default nothing.

        Called in evaluation mode, without gradients, before the first step; a resumed training has it in its checkpoint.
        """

    def finish(self, batches: Iterable[Batch]) -> None:
        """Fit what is computed once after training, from all training sequences; buffers keep it. By default nothing.

        Called in evaluation mode, without gradients, before the model is saved.
        """

    def check_batches(self, sequences: int, steps: int) -> None:
        """Refuse, before training starts, batches of `sequences` sequences of `steps` steps. By default nothing.

        Raises:
            ValueError: the method cannot train on them; names the setting to change.
        """

    # ---- capabilities -------------------------------------------------------------------------------

    @final
    def can(self, capability: Capability) -> bool:
        """Whether the method has a capability."""
        return capability in self.card.capabilities

    @final
    def require(self, *capabilities: Capability) -> None:
        """Refuse what the method cannot do.

        Raises:
            ValueError: the method lacks one of the capabilities; names the method and the capability.
        """
        for capability in capabilities:
            if not self.can(capability):
                raise self._refusal(capability)

    @final
    def _refusal(self, capability: Capability) -> ValueError:
        return ValueError(f"model: {self.card.name} {CANNOT[capability]} (capability {capability!r})")

    # ---- what follows -------------------------------------------------------------------------------

    @final
    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @final
    def encode(
        self, x: Float[Tensor, "B T *X"], mask: Mask | None = None, generator: torch.Generator | None = None
    ) -> Codes:
        """The codes of x: posterior means, or a draw when a generator is given."""
        self.require("encode")
        posterior = self.posterior(x, mask, generator)
        return posterior.mean if generator is None else posterior.sample(generator)

    @final
    def reconstruct(self, x: Float[Tensor, "B T *X"], mask: Mask | None = None) -> Float[Tensor, "B T *X"]:
        """Encode and decode by means; zeros outside the sequences."""
        self.require("encode", "decode")
        return self.decode(self.encode(x, mask), inside(mask)).mean

    @final
    def swap(
        self,
        static_from: Float[Tensor, "B T *X"],
        dynamic_from: Float[Tensor, "B U *X"],
        static_mask: Mask | None = None,
        dynamic_mask: Mask | None = None,
    ) -> Float[Tensor, "B U *X"]:
        """Sequences with the static code of one batch and the dynamic codes of another."""
        self.require("encode", "decode")
        static, dynamic = self.encode(static_from, static_mask), self.encode(dynamic_from, dynamic_mask)
        return self.decode(dynamic.exchange(static, Factor("static")), inside(dynamic_mask)).mean

    @final
    def draw_static(self, n: int, generator: torch.Generator | None = None) -> Float[Tensor, "n S"]:
        """Draw n static codes from the prior.

        Raises:
            ValueError: the method has no prior of the static code.
        """
        prior = self.prior_static()
        if prior is None:
            raise self._refusal("static_prior")
        return draw(prior.expand((n, *prior.batch_shape)), generator)

    @final
    def sample(
        self, n: int, length: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n T *X"]:
        """Draw n whole sequences: both codes from the prior, decoded by the mean."""
        self.require("decode")
        return self.decode(self.draw(n, length, generator), generator=generator).mean

    @final
    def interpolate(
        self,
        x: Float[Tensor, "B T *X"],
        y: Float[Tensor, "B U *X"],
        steps: int = 5,
        x_mask: Mask | None = None,
        y_mask: Mask | None = None,
    ) -> Float[Tensor, "K B T *X"]:
        """The dynamics of x under `steps` static codes on the line from x's to y's."""
        self.require("encode", "decode")
        start, end = self.encode(x, x_mask), self.encode(y, y_mask)
        shares = torch.linspace(0, 1, steps, device=start.static.device, dtype=start.static.dtype)
        line = [Codes(torch.lerp(start.static, end.static, share), start.dynamic) for share in shares]
        return torch.stack([self.decode(codes, inside(x_mask)).mean for codes in line])

    @final
    def traverse(
        self,
        x: Float[Tensor, "B T *X"],
        column: int,
        values: Float[Tensor, "K"],
        code: Literal["static", "dynamic"] = "static",
        mask: Mask | None = None,
    ) -> Float[Tensor, "K B T *X"]:
        """X with one coordinate of a code set to each of `values`, at every step."""
        self.require("encode", "decode")
        codes = self.encode(x, mask)
        changed = []
        for value in values:
            copy = Codes(codes.static.clone(), codes.dynamic.clone())
            getattr(copy, code)[..., column] = value
            changed.append(self.decode(copy, inside(mask)).mean)
        return torch.stack(changed)

    @final
    def save_pretrained(self, folder: str | Path, **options: str) -> Path:
        """Write the model into a new folder to pass on; the options are those of `unbraid.save_pretrained`."""
        return importlib.import_module("unbraid").save_pretrained(self, folder, **options)

    @final
    def kl_static(self, posterior: Posterior) -> Float[Tensor, "B"]:
        """KL(q(s) || p(s)) of each sequence.

        Raises:
            ValueError: the method has no prior of the static code.
        """
        prior = self.prior_static()
        if prior is None:
            raise self._refusal("static_prior")
        return kl_divergence(posterior.static, prior).sum(1)

    @final
    def kl_dynamic(
        self, posterior: Posterior, codes: Codes, steps: StepMask | None = None
    ) -> Float[Tensor, "B"]:
        """KL(q(d) || p(d)) of each sequence along drawn `codes`, summed over `steps` (all when None)."""
        q = posterior.at(codes.static).dynamic
        if isinstance(q, RolledNormal):
            q = q.along(codes.dynamic)
        return kl_over_steps(q, self.prior(codes.dynamic), steps)

    @final
    def elbo(self, batch: Batch, generator: torch.Generator | None = None) -> Float[Tensor, "B"]:
        """One-draw estimate of the evidence lower bound of each sequence, constants included.

        A static code that is computed from the dynamic ones is not part of the bound.

        Raises:
            ValueError: the method has no likelihood.
        """
        self.require("encode", "decode", "likelihood")
        posterior = self.posterior(batch.x, batch.mask, generator)
        codes = posterior.sample(generator)
        steps = inside(batch.mask)
        log_density = self.decode(codes, steps).log_prob(zero_unobserved(batch.x, batch.mask))
        observed = observed_values(batch.x, batch.mask)
        likelihood = torch.where(observed, log_density, 0.0).flatten(1).sum(1)
        bound = likelihood - self.kl_dynamic(posterior, codes, steps)
        return bound - self.kl_static(posterior) if self.can("decoded_static") else bound
