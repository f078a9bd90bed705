"""Distributions of codes beside the Normal: points, Gaussians joint over time, and codes rolled or held over steps.

All can draw from a generator (`unbraid.types.draw`). `kl_over_steps` is the KL divergence that objectives use: it asks
the distributions, so that a method may change its posterior without changing its loss.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution, Normal, constraints, kl_divergence, register_kl

from unbraid.types import draw, standard_normal

__all__ = ["Held", "JointNormal", "Point", "RolledNormal", "hold", "kl_over_steps"]


class Point(Distribution):
    """A code without uncertainty. It has a mean and can be drawn; it has no density and no KL divergence.

    Args:
        value: the code.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own name
    has_rsample = True

    def __init__(self, value: Tensor) -> None:
        self.value = value
        super().__init__(value.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The code."""
        return self.value

    @property
    def stddev(self) -> Tensor:
        """Zeros."""
        return torch.zeros_like(self.value)

    @property
    def variance(self) -> Tensor:
        """Zeros."""
        return torch.zeros_like(self.value)

    def draw(self, generator: torch.Generator | None = None) -> Tensor:
        """The code; nothing is random."""
        return self.value

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # type: ignore[override]
        """The code, repeated to the sample shape."""
        return self.value.expand(*sample_shape, *self.value.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Refuse: a point has no density.

        Raises:
            ValueError: always.
        """
        raise ValueError("posterior: a point has no density; use a method whose posterior is a distribution")


class JointNormal(Distribution):
    """A Gaussian over paths `(B, T, D)`: dependent over time, independent over the D dimensions.

    Args:
        mean: `(B, T, D)`.
        scale_tril: `(B, D, T, T)` or `(D, T, T)`, the lower Cholesky factor of each dimension's covariance over time.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own name
    has_rsample = True

    def __init__(self, mean: Float[Tensor, "B T D"], scale_tril: Tensor) -> None:
        steps, size = mean.shape[1:]
        self.loc = mean
        self.scale_tril = scale_tril.expand(len(mean), size, steps, steps)
        super().__init__(mean.shape[:1], mean.shape[1:], validate_args=False)

    @classmethod
    def from_precision(cls, mean: Float[Tensor, "B T D"], precision_factor: Tensor) -> "JointNormal":
        """The Gaussian of precision `P^T P`, with P the lower triangular `precision_factor`.

        Its Cholesky factor is the inverse of P: one triangular solve, which draws and KL divergences share.

        Args:
            mean: `(B, T, D)`.
            precision_factor: `(B, D, T, T)` or `(D, T, T)`, lower triangular with a positive diagonal.
        """
        eye = torch.eye(mean.shape[1], dtype=precision_factor.dtype, device=precision_factor.device)
        return cls(mean, torch.linalg.solve_triangular(precision_factor, eye, upper=False))

    @property
    def mean(self) -> Float[Tensor, "B T D"]:
        """The mean path."""
        return self.loc

    @property
    def covariance(self) -> Float[Tensor, "B D T T"]:
        """Covariance over time of each dimension."""
        return self.scale_tril @ self.scale_tril.mT

    @property
    def variance(self) -> Float[Tensor, "B T D"]:
        """Variance of each value."""
        return self.scale_tril.square().sum(-1).mT

    def draw(self, generator: torch.Generator | None = None) -> Float[Tensor, "B T D"]:
        """Draw one path per sequence."""
        noise = standard_normal(tuple(self.scale_tril.shape[:-1]), self.loc, generator)
        return self.loc + self._coloured(noise)

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # type: ignore[override]
        """Draw paths `(*sample_shape, B, T, D)`."""
        noise = torch.randn(
            *sample_shape, *self.scale_tril.shape[:-1], dtype=self.loc.dtype, device=self.loc.device
        )
        return self.loc + self._coloured(noise)

    def _coloured(self, noise: Float[Tensor, "*K B D T"]) -> Float[Tensor, "*K B T D"]:
        """White noise times the Cholesky factor. No matrix product, which autocast would compute in bfloat16."""
        return (self.scale_tril * noise.unsqueeze(-2)).sum(-1).mT

    def log_prob(self, value: Float[Tensor, "*K B T D"]) -> Float[Tensor, "*K B"]:
        """Log density of whole paths."""
        gap = (value - self.loc).mT.unsqueeze(-1)
        scale = self.scale_tril.expand(*gap.shape[:-2], *self.scale_tril.shape[-2:])
        white = torch.linalg.solve_triangular(scale, gap, upper=False).squeeze(-1)
        log_scale = self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum((-1, -2))
        constant = 0.5 * self.loc[0].numel() * torch.log(torch.tensor(2 * torch.pi, dtype=self.loc.dtype))
        return -0.5 * white.square().sum((-1, -2)) - log_scale - constant.to(self.loc.device)

    def within(self, steps: Bool[Tensor, "B T"]) -> "JointNormal":
        """The marginal over the given steps; the other steps become independent standard normals.

        Two marginals over the same steps have the KL divergence of those steps alone. Where the steps are the first ones
        of every sequence, their Cholesky factor is a block of the whole one, and nothing is decomposed again.
        """
        pair = (steps.unsqueeze(-1) & steps.unsqueeze(-2)).unsqueeze(1)
        eye = torch.eye(steps.shape[1], dtype=self.loc.dtype, device=self.loc.device)
        mean = torch.where(steps.unsqueeze(-1), self.loc, 0.0)
        if (steps[:, 1:] & ~steps[:, :-1]).any():
            return JointNormal(mean, torch.linalg.cholesky(torch.where(pair, self.covariance, eye)))
        return JointNormal(mean, torch.where(pair, self.scale_tril, eye))


class RolledNormal(Distribution):
    """A path `(B, T, D)` of normals, each of which depends on the values before it.

    It has a mean, in the sense of the path that takes the mean of each step in turn, and can be drawn; its density over
    whole paths is not offered.

    Args:
        step: from the number of a step, the value before it `(B, D)` (zeros at first) and the state (None at first), the
            normal of the step and the next state.
        like: `(B, T, D)`, of the shape, device and precision of a path.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own name
    has_rsample = True

    def __init__(self, step: Callable[[int, Tensor, Any], tuple[Normal, Any]], like: Tensor) -> None:
        self.step, self.like = step, like
        super().__init__(like.shape, validate_args=False)

    @property
    def mean(self) -> Float[Tensor, "B T D"]:
        """The path of means, each given the means before it."""
        return self._roll(lambda normal: normal.mean)

    def draw(self, generator: torch.Generator | None = None) -> Float[Tensor, "B T D"]:
        """Draw one path per sequence."""
        return self._roll(lambda normal: draw(normal, generator))

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # type: ignore[override]
        """Draw paths `(*sample_shape, B, T, D)`."""
        paths = [self.draw() for _ in range(torch.Size(sample_shape).numel())]
        return torch.stack(paths).unflatten(0, tuple(sample_shape)) if sample_shape else paths[0]

    def along(self, path: Float[Tensor, "B T D"]) -> Normal:
        """The normals of the steps, each given the values of `path` before it."""
        normals = [normal for normal, _ in self._walk(lambda t, _: path[:, t])]
        means, deviations = [normal.mean for normal in normals], [normal.stddev for normal in normals]
        return Normal(torch.stack(means, 1), torch.stack(deviations, 1), validate_args=False)

    def _roll(self, pick: Callable[[Normal], Tensor]) -> Tensor:
        return torch.stack([value for _, value in self._walk(lambda _, normal: pick(normal))], 1)

    def _walk(self, pick: Callable[[int, Normal], Tensor]) -> Iterator[tuple[Normal, Tensor]]:
        """The normal of each step and the value picked for it, on which the next step depends."""
        value, state = torch.zeros_like(self.like[:, 0]), None
        for t in range(self.like.shape[1]):
            normal, state = self.step(t, value, state)
            value = pick(t, normal)
            yield normal, value


@register_kl(JointNormal, JointNormal)
def _kl_joint_joint(q: JointNormal, p: JointNormal) -> Float[Tensor, "B"]:
    """KL of two Gaussians over paths, summed over the dimensions."""
    ratio = torch.linalg.solve_triangular(p.scale_tril, q.scale_tril, upper=False)
    gap = torch.linalg.solve_triangular(p.scale_tril, (q.loc - p.loc).mT.unsqueeze(-1), upper=False)
    log_scales = p.scale_tril.diagonal(dim1=-2, dim2=-1).log() - q.scale_tril.diagonal(dim1=-2, dim2=-1).log()
    squares = ratio.square().sum((-1, -2)) + gap.square().sum((-1, -2)) - q.loc.shape[1]
    return (log_scales.sum(-1) + 0.5 * squares).sum(-1)


def hold(values: Float[Tensor, "*B K D"], length: int, steps: int) -> Float[Tensor, "*B T D"]:
    """The value of its segment at each of `steps` steps; segments have `length` steps, the last one perhaps fewer."""
    return values.repeat_interleave(length, -2)[..., :steps, :]


class Held(Distribution):
    """A normal of whole segments, whose values hold for all steps of their segment: `(B, T, D)`.

    Args:
        normal: over `(B, K, D)`, one code for each of K segments.
        length: steps of a segment.
        steps: number T of steps; the last segment may be shorter.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own name
    has_rsample = True

    def __init__(self, normal: Normal, length: int, steps: int) -> None:
        self.normal, self.length, self.steps = normal, length, steps
        shape = (normal.loc.shape[0], steps, normal.loc.shape[2])
        super().__init__(torch.Size(shape), validate_args=False)

    def _hold(self, values: Tensor) -> Tensor:
        return hold(values, self.length, self.steps)

    @property
    def mean(self) -> Float[Tensor, "B T D"]:
        """The mean at each step."""
        return self._hold(self.normal.mean)

    @property
    def stddev(self) -> Float[Tensor, "B T D"]:
        """The standard deviation at each step."""
        return self._hold(self.normal.stddev)

    @property
    def variance(self) -> Float[Tensor, "B T D"]:
        """The variance at each step."""
        return self._hold(self.normal.variance)

    def draw(self, generator: torch.Generator | None = None) -> Float[Tensor, "B T D"]:
        """Draw one code for each segment."""
        return self._hold(draw(self.normal, generator))

    def rsample(self, sample_shape: torch.Size | tuple[int, ...] = ()) -> Tensor:  # type: ignore[override]
        """Draw codes `(*sample_shape, B, T, D)`."""
        return self._hold(self.normal.rsample(torch.Size(sample_shape)))


def kl_over_steps(
    q: Distribution, p: Distribution, steps: Bool[Tensor, "B T"] | None = None
) -> Float[Tensor, "B"]:
    """KL(q || p) of paths `(B, T, D)`, over the given steps (all when None) and all dimensions.

    Raises:
        ValueError: one of the two has no density.
    """
    if isinstance(q, Point) or isinstance(p, Point):
        raise ValueError("posterior: a point has no KL divergence; its method has no such term")
    if isinstance(q, JointNormal):
        if isinstance(p, Normal):
            p = JointNormal(p.loc, torch.diag_embed(p.scale.mT))
        if steps is not None and isinstance(p, JointNormal):
            q, p = q.within(steps), p.within(steps)
        return kl_divergence(q, p)
    kl = kl_divergence(q, p).sum(2)
    return (kl if steps is None else torch.where(steps, kl, 0.0)).sum(1)
