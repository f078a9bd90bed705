"""Distributions of an observation given its codes."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Distribution, Normal

__all__ = ["BoundedNormal", "SquaredErrorNormal", "reconstruction_error"]


class SquaredErrorNormal(Normal):
    """A normal with variance one half: its negative log density is the squared error, up to log sqrt(pi).

    Args:
        mean: mean of each value.
        edges: share of the reconstruction error that counts differences between neighbouring pixels in place of pixels;
            see `reconstruction_error`. The log density of single values leaves it out.
    """

    def __init__(self, mean: Tensor, edges: float = 0.0) -> None:
        self.edges = edges
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


class _NormalError(torch.autograd.Function):
    """-log N(x; m, sd) of each value: z^2 / 2 + log sd + log(2 pi) / 2 with z = (x - m) / sd.

    The same as torch's, in half as many passes over the values, which count in small models:

        d/dm = -z / sd,   d/dsd = (1 - z^2) / sd,   d/dx = z / sd
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        z = (x - mean).div_(deviation)
        ctx.save_for_backward(z, deviation)
        return deviation.log().add_(0.5 * math.log(2 * math.pi)).addcmul_(z, z, value=0.5)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        z, deviation = ctx.saved_tensors
        of_deviation = gradient / deviation
        of_x = of_deviation * z
        of_deviation.addcmul_(of_x, z, value=-1)
        return of_x if ctx.needs_input_grad[0] else None, -of_x, of_deviation


def reconstruction_error(
    p: Distribution,
    x: Float[Tensor, "B T *X"],
    mask: Tensor | None = None,
    weights: Float[Tensor, "F"] | None = None,
) -> Float[Tensor, "B T"]:
    """-log p(x) of every step, summed over the observed values of the step.

    For `SquaredErrorNormal` the constant is dropped, so the figure is the squared error itself. With `edges` above 0, for
    frames, a share of it counts the differences of neighbouring pixels (ours): edges count more, colours of large areas less:

        (1 - edges) |r|^2 + edges / 2 (|difference of rows of r|^2 + |difference of columns of r|^2),   r = x - mean

    Args:
        p: distribution over x.
        x: observations, zeros where they are not observed.
        mask: `(B, T)` or `(B, T, *X)`, True = observed.
        weights: of the last axis of x; None for 1.
    """
    if not isinstance(p, SquaredErrorNormal):
        of_values = _NormalError.apply(x, p.loc, p.scale) if isinstance(p, Normal) else -p.log_prob(x)
        return _step_sums(of_values, mask, weights)
    rest = x - p.mean
    error = _step_sums(rest.square(), mask, weights)
    if not p.edges:
        return error
    rows, columns = (_step_sums(rest.diff(dim=axis).square(), _pairs(mask, axis), None) for axis in (3, 4))
    return (1 - p.edges) * error + p.edges / 2 * (rows + columns)


def _step_sums(error: Tensor, mask: Tensor | None, weights: Tensor | None) -> Float[Tensor, "B T"]:
    """Sums over the observed values of each step."""
    if weights is not None:
        error = error * weights
    if mask is None:
        return error.flatten(2).sum(2)
    if mask.ndim == 2:
        return torch.where(mask, error.flatten(2).sum(2), 0.0)
    return (error * mask).flatten(2).sum(2)


def _pairs(mask: Tensor | None, axis: int) -> Tensor | None:
    """Where two neighbours along an axis are both observed."""
    if mask is None or mask.ndim == 2:
        return mask
    count = mask.shape[axis] - 1
    return mask.narrow(axis, 0, count) & mask.narrow(axis, 1, count)
