"""Gaussian processes over the steps of a sequence, and Gaussians of tridiagonal precision to approximate them with."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from unbraid.nn.distributions import JointNormal

__all__ = ["JITTER", "KERNELS", "GaussianProcess", "TridiagonalHead"]

JITTER = 1e-3
"""Variance added to every step, so that the covariance of smooth processes can be decomposed."""

KERNELS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cauchy": lambda lag, scale: 1 / (1 + (lag / scale).square()),
    "rbf": lambda lag, scale: torch.exp(-0.5 * (lag / scale).square()),
}
"""Correlation of two steps, from their distance and the length scale, both in steps."""


class GaussianProcess(nn.Module):
    """Zero-mean Gaussian processes over the number of the step, independent over the D dimensions of a path.

    The dimensions are shared out evenly among the kernels, those of one kernel among the length scales l, l/2, l/4, ...

    Args:
        size: dimensions D of a path.
        variances: variance of each kernel, by its name in `KERNELS`.
        length_scale: l, the longest length scale, in steps.
        scales: number of length scales.

    Raises:
        ValueError: a length scale that is not above 0, or less than one scale.
    """

    def __init__(
        self, size: int, variances: Mapping[str, float], length_scale: float = 2.0, scales: int = 4
    ) -> None:
        super().__init__()
        if length_scale <= 0:
            raise ValueError(f"model.length_scale: {length_scale} must be above 0")
        if scales < 1:
            raise ValueError(f"model.scales: {scales} must be at least 1")
        names = list(variances)
        self.size, self.variances = size, dict(variances)
        self.kernels = [names[i * len(names) // size] for i in range(size)]
        self.length_scales = [
            length_scale / 2 ** (self.kernels[:i].count(name) * scales // self.kernels.count(name))
            for i, name in enumerate(self.kernels)
        ]
        self._factors: dict[tuple[int, torch.dtype, torch.device], Tensor] = {}

    def covariance(self, length: int) -> Float[Tensor, "D T T"]:
        """Covariance over `length` steps of each dimension, in float64."""
        step = torch.arange(length, dtype=torch.float64)
        lag = step.unsqueeze(1) - step
        return torch.stack(
            [
                self.variances[name] * KERNELS[name](lag, torch.tensor(scale, dtype=torch.float64))
                for name, scale in zip(self.kernels, self.length_scales, strict=True)
            ]
        ) + JITTER * torch.eye(length, dtype=torch.float64)

    def scale_tril(self, length: int, like: Tensor) -> Float[Tensor, "D T T"]:
        """Cholesky factors of the covariance, decomposed in float64 and kept for each length, in the type of `like`."""
        key = (length, like.dtype, like.device)
        if key not in self._factors:
            with torch.inference_mode(False):  # a factor that evaluation made must serve training too
                self._factors[key] = (
                    torch.linalg.cholesky(self.covariance(length)).to(like.dtype).to(like.device)
                )
        return self._factors[key]

    def forward(self, path: Float[Tensor, "B T D"]) -> JointNormal:
        """The distribution of paths of the shape of `path`."""
        return JointNormal(torch.zeros_like(path), self.scale_tril(path.shape[1], path))


class TridiagonalHead(nn.Module):
    """Gaussians over paths whose precision over time is tridiagonal: `(B, T, features)` to paths `(B, T, size)`.

    In each dimension u_t d_t + v_t d_{t-1} = e_t around the mean, with e ~ N(0, I), u_t = 1 + softplus(a_t) and
    v_t = u_t tanh(b_t); a and b are linear in the features of step t. The 1 in u bounds the variance of e_t / u_t, and the
    tanh that of whole paths. v may have either sign, so that neighbouring steps may be alike or opposed.
    """

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.mean = nn.Linear(features, size)
        self.diagonal = nn.Linear(features, size)
        self.coupling = nn.Linear(features, size)

    def forward(self, h: Float[Tensor, "B T features"]) -> JointNormal:
        """The Gaussian given features h, in float32 under autocast: triangular solves need its precision."""
        parts = [self.mean(h), self.diagonal(h), self.coupling(h)]
        mean, a, b = (
            part.float() if part.dtype in (torch.bfloat16, torch.float16) else part for part in parts
        )
        diagonal = 1 + softplus(a)
        below = (diagonal * torch.tanh(b))[:, 1:]
        return JointNormal.from_precision(
            mean, torch.diag_embed(diagonal.mT) + torch.diag_embed(below.mT, offset=-1)
        )
