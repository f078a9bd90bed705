"""`SequenceModel`: the one interface of every method, and what follows from it once for all."""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, final, get_args, get_origin

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence

from unbraid.cards import ModelCard
from unbraid.masks import inside, zero_unobserved
from unbraid.types import Batch, Codes, Posterior, Terms, standard_normal
from unbraid.words import nearest

__all__ = ["SequenceModel"]


class SequenceModel(nn.Module, ABC):
    """A model with one static code per sequence and one dynamic code per step.

    A method implements `posterior`, `prior`, `roll`, `decode` and `terms`; everything else is derived here.
    Its first constructor argument is `observation`, the shape `*X` of one observation; the others are its
    settings, kept in `self.settings` so that a model can be saved and built again.
    """

    card: ClassVar[ModelCard]
    observation: tuple[int, ...]
    static_size: int
    dynamic_size: int
    settings: dict[str, Any]
    views: Mapping[str, str] = MappingProxyType({})
    """The views that `terms` reads: name in `Batch.views` to a way of `unbraid.augment` to draw it."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        build = cls.__init__
        signature = inspect.signature(build)

        @functools.wraps(build)
        def remember(self: Any, *args: Any, **settings: Any) -> None:
            bound = signature.bind(self, *args, **settings)
            bound.apply_defaults()
            given = dict(list(bound.arguments.items())[1:])
            _check_names(signature, given)
            object.__setattr__(self, "observation", tuple(given.pop("observation")))
            object.__setattr__(self, "settings", given)
            build(self, *args, **settings)

        cls.__init__ = remember  # type: ignore[method-assign]

    @classmethod
    def setting_names(cls) -> list[str]:
        """Names of the constructor's settings."""
        return [
            name for name in inspect.signature(cls.__init__).parameters if name not in ("self", "observation")
        ]

    # ---- what a method implements -------------------------------------------------------------------

    @abstractmethod
    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """q(s, d | x). `generator` feeds noise that is part of a method's encoder, while training."""

    @abstractmethod
    def prior(self, dynamic: Float[Tensor, "B T D"]) -> Distribution:
        """p(d_t | d_<t) along the given path, for all t at once, over (B, T, D)."""

    @abstractmethod
    def roll(self, n: int, length: int, generator: torch.Generator | None = None) -> Float[Tensor, "n T D"]:
        """Draw n dynamic paths of `length` steps from the prior."""

    @abstractmethod
    def decode(self, codes: Codes, mask: Bool[Tensor, "B T"] | None = None) -> Distribution:
        """p(x | s, d) over (B, T, *X). Steps outside `mask` are not decoded; their mean is zero."""

    @abstractmethod
    def terms(self, batch: Batch, generator: torch.Generator | None = None) -> Terms:
        """The named, unweighted terms that training minimises."""

    # ---- what follows -------------------------------------------------------------------------------

    @final
    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @final
    def encode(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Codes:
        """The codes of x: posterior means, or a draw when a generator is given."""
        posterior = self.posterior(x, mask, generator)
        return posterior.mean if generator is None else posterior.sample(generator)

    @final
    def reconstruct(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T *X"]:
        """Encode and decode, by means."""
        return self.decode(self.encode(x, mask)).mean

    @final
    def swap(
        self, static_from: Float[Tensor, "B T *X"], dynamic_from: Float[Tensor, "B U *X"]
    ) -> Float[Tensor, "B U *X"]:
        """Sequences with the static code of one batch and the dynamic codes of another."""
        return self.decode(Codes(self.encode(static_from).static, self.encode(dynamic_from).dynamic)).mean

    @final
    def draw_static(self, n: int, generator: torch.Generator | None = None) -> Float[Tensor, "n S"]:
        """Draw n static codes from the prior N(0, I)."""
        return standard_normal((n, self.static_size), next(self.parameters()), generator)

    @final
    def sample(
        self, n: int, length: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n T *X"]:
        """Draw n whole sequences from the prior."""
        return self.decode(Codes(self.draw_static(n, generator), self.roll(n, length, generator))).mean

    @final
    def interpolate(
        self, x: Float[Tensor, "B T *X"], y: Float[Tensor, "B U *X"], steps: int = 5
    ) -> Float[Tensor, "K B T *X"]:
        """The motion of x under static codes on the line from x's to y's, `steps` of them."""
        here, there = self.encode(x), self.encode(y)
        shares = torch.linspace(0, 1, steps, device=here.static.device, dtype=here.static.dtype)
        lines = [Codes(torch.lerp(here.static, there.static, w), here.dynamic) for w in shares]
        return torch.stack([self.decode(codes).mean for codes in lines])

    @final
    def kl_static(self, posterior: Posterior) -> Float[Tensor, "B"]:
        """KL(q(s) || N(0, I)) of each sequence."""
        standard = Normal(torch.zeros_like(posterior.static.mean), 1.0, validate_args=False)
        return kl_divergence(posterior.static, standard).sum(1)

    @final
    def kl_dynamic(
        self, posterior: Posterior, codes: Codes, steps: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B"]:
        """KL(q(d) || p(d)) of each sequence along drawn `codes`, summed over `steps` (all when None)."""
        dynamic = posterior.at(codes.static).dynamic
        kl = kl_divergence(dynamic, self.prior(codes.dynamic)).sum(2)
        return (kl if steps is None else torch.where(steps, kl, 0.0)).sum(1)

    @final
    def elbo(self, batch: Batch, generator: torch.Generator | None = None) -> Float[Tensor, "B"]:
        """One-draw estimate of the evidence lower bound of each sequence, constants included.

        Needs a likelihood (see the card's capabilities). A static code that is derived from the dynamic ones is no
        part of the bound.
        """
        posterior = self.posterior(batch.x, batch.mask, generator)
        codes = posterior.sample(generator)
        steps = None if batch.mask is None else inside(batch.mask)
        log_density = self.decode(codes, steps).log_prob(zero_unobserved(batch.x, batch.mask))
        observed = torch.ones_like(batch.x, dtype=torch.bool) if batch.mask is None else batch.mask
        observed = observed.reshape(*observed.shape, *[1] * (batch.x.ndim - observed.ndim))
        likelihood = torch.where(observed, log_density, 0.0).flatten(1).sum(1)
        bound = likelihood - self.kl_dynamic(posterior, codes, steps)
        return bound if "derived_static" in self.card.capabilities else bound - self.kl_static(posterior)


def _check_names(signature: inspect.Signature, given: dict[str, Any]) -> None:
    """Refuse values that are none of the names a setting takes."""
    for name, value in given.items():
        kind = signature.parameters[name].annotation
        if get_origin(kind) is Literal and value not in get_args(kind):
            raise ValueError(f"model.{name}: {value!r} is not known{nearest(str(value), get_args(kind))}")
