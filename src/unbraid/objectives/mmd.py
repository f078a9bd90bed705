"""Maximum mean discrepancy: how far two sets of draws are from being of one distribution.

Gretton, Borgwardt, Rasch, Schoelkopf, Smola, "A Kernel Two-Sample Test", JMLR 2012, lemma 6: for n draws a of q and n draws b
of p,

    MMD^2(q, p) ~ mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean_{i, j} k(a_i, b_j)

which is unbiased, so it can be below zero. Kernels are sums over scales kappa in 0.1, 0.2, 0.5, 1, 2, 5, 10, with
C = 2 F, the expected squared distance of two draws of N(0, I) in F dimensions:

    inverse multiquadratic   kappa C / (kappa C + |u - v|^2)       Tolstikhin et al., https://arxiv.org/abs/1711.01558
    rbf                      exp(-|u - v|^2 / (kappa C))
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["SCALES", "Kernel", "mmd"]

Kernel = Literal["inverse_multiquadratic", "rbf"]

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""The kappa of the kernels."""


def mmd(
    a: Float[Tensor, "*K B F"],
    b: Float[Tensor, "*K B F"],
    kernel: Kernel = "inverse_multiquadratic",
    members: Bool[Tensor, "*K B"] | None = None,
) -> Float[Tensor, "*K"]:
    """Estimate of the squared discrepancy of two distributions from B draws of each; float64.

    Args:
        a: draws of the first, in units of the prior's deviation.
        b: draws of the second.
        kernel: see the module.
        members: which of the B places count in each of the K comparisons; all when None. A comparison of fewer than two
            is 0.
    """
    with torch.autocast(a.device.type, enabled=False):
        a, b = a.double(), b.double()
        counted = a.new_ones(a.shape[:-1]) if members is None else members.double()
        pairs = counted.unsqueeze(-1) * counted.unsqueeze(-2)
        others = pairs * (1 - torch.eye(a.shape[-2], dtype=pairs.dtype, device=a.device))
        within = _mean(_kernel(a, a, kernel) + _kernel(b, b, kernel), others)
        return torch.where(counted.sum(-1) > 1, within - 2 * _mean(_kernel(a, b, kernel), pairs), 0.0)


def _mean(values: Float[Tensor, "*K B B"], weights: Float[Tensor, "*K B B"]) -> Float[Tensor, "*K"]:
    return (values * weights).sum((-1, -2)) / weights.sum((-1, -2)).clamp_min(1)


def _kernel(
    u: Float[Tensor, "*K B F"], v: Float[Tensor, "*K B F"], kernel: Kernel
) -> Float[Tensor, "*K B B"]:
    squares = u.square().sum(-1).unsqueeze(-1) + v.square().sum(-1).unsqueeze(-2) - 2 * u @ v.mT
    scales = 2 * u.shape[-1] * torch.tensor(SCALES, dtype=u.dtype, device=u.device)
    ratios = squares.clamp_min(0).unsqueeze(-1) / scales
    return (1 / (1 + ratios) if kernel == "inverse_multiquadratic" else torch.exp(-ratios)).sum(-1)
