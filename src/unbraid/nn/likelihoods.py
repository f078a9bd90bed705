"""Distributions of an observation given its codes."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Normal

__all__ = ["BoundedNormal", "SquaredErrorNormal", "reconstruction_error"]


class SquaredErrorNormal(Normal):
    """A normal with variance one half: its negative log density is the squared error, up to log sqrt(pi)."""

    def __init__(self, mean: Tensor) -> None:
        super().__init__(
            mean,
            torch.full((), math.sqrt(0.5), dtype=mean.dtype, device=mean.device).expand_as(mean),
            validate_args=False,
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of each value."""
        return -torch.square(value - self.loc) - 0.5 * math.log(math.pi)


class BoundedNormal(Normal):
    """A normal whose standard deviation is learned, between 0.05 and 2.

    Observations are scaled to deviation 1. Without the lower bound, the likelihood of a value that is easy to predict
    (a sensor that stands still) would grow without limit. The upper bound is wide, so that noise can be modelled as
    noise; with 0.5, the bound of DBSE's authors' code, the codes describe noise instead.

    Args:
        mean: mean of each value.
        raw: unbounded deviation of each value; 0 gives the middle between the bounds.
    """

    LOWEST, HIGHEST = 0.05, 2.0

    def __init__(self, mean: Tensor, raw: Tensor) -> None:
        spread = self.HIGHEST - self.LOWEST
        super().__init__(mean, self.LOWEST + spread * torch.sigmoid(raw), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of each value, in fewer passes over the values than torch's own."""
        z = (value - self.loc) / self.scale
        return -0.5 * z * z - self.scale.log() - 0.5 * math.log(2 * math.pi)


def reconstruction_error(
    p: Distribution,
    x: Float[Tensor, "B T *X"],
    mask: Tensor | None = None,
    weights: Float[Tensor, "F"] | None = None,
) -> Float[Tensor, "B T"]:
    """-log p(x) of every step, summed over the observed values of the step.

    For `SquaredErrorNormal` the constant is dropped, so the figure is the squared error itself.

    Args:
        p: distribution over x.
        x: observations, zeros where they are not observed.
        mask: `(B, T)` or `(B, T, *X)`, True = observed.
        weights: of the last axis of x; None for 1.
    """
    error = torch.square(x - p.mean) if isinstance(p, SquaredErrorNormal) else -p.log_prob(x)
    if weights is not None:
        error = error * weights
    if mask is None:
        return error.flatten(2).sum(2)
    if mask.ndim == 2:
        return torch.where(mask, error.flatten(2).sum(2), 0.0)
    return (error * mask).flatten(2).sum(2)
