"""Negatives of a contrast, chosen by how far their distributions are from the anchor's.

SPYL (Naiman, Berman, Azencot, ICML 2023, https://arxiv.org/abs/2305.15924) compares an anchor with the codes whose
distributions have a large KL divergence from its own.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import normalize

from unbraid.objectives.contrast import info_nce
from unbraid.types import standard_normal

__all__ = ["Choice", "choose_negatives", "contrast_among", "pairwise_kl", "ranks"]

Choice = Literal["farthest", "middle", "random"]
"""Which half of the candidates are negatives; see `choose_negatives`."""


def pairwise_kl(q: Distribution, p: Distribution) -> Float[Tensor, "A C"]:
    """KL(q_i || p_j) of every pair of diagonal normals, summed over their F dimensions; float64.

    Args:
        q: A normals over `(A, F)`.
        p: C normals over `(C, F)`.
    """
    with torch.autocast(q.mean.device.type, enabled=False):
        mean, std, other, other_std = (m.double() for m in (q.mean, q.stddev, p.mean, p.stddev))
        precision = other_std.pow(-2)
        square = (mean.square() + std.square()) @ precision.T - 2 * mean @ (other * precision).T
        square = square + (other.square() * precision).sum(1)
        logs = other_std.log().sum(1) - std.log().sum(1, keepdim=True)
        return logs + 0.5 * (square - mean.shape[1])


def ranks(values: Float[Tensor, "A C"]) -> Int[Tensor, "A C"]:
    """The place of each value in its row, 0 for the largest."""
    return values.argsort(1, descending=True).argsort(1)


def choose_negatives(
    kl: Float[Tensor, "A C"], choice: Choice = "farthest", generator: torch.Generator | None = None
) -> Bool[Tensor, "A C"]:
    """Half of the candidates of each anchor.

    Args:
        kl: KL divergence of each candidate from each anchor.
        choice: "farthest" (the half with the largest divergence; "soft" in SPYL's code), "middle" (the largest third is
            left out; "semi") or "random" (drawn from the two thirds with the largest; "hard").
        generator: of the draw.
    """
    candidates, rank = kl.shape[1], ranks(kl)
    if choice == "random":
        keys = standard_normal(tuple(kl.shape), kl, generator, sequences=None)
        rank = ranks(keys.masked_fill(rank >= 2 * candidates // 3, -torch.inf))
    first = candidates // 3 if choice == "middle" else 0
    return (rank >= first) & (rank < first + candidates // 2)


def contrast_among(
    u: Float[Tensor, "A F"],
    candidates: Float[Tensor, "C F"],
    positive: Int[Tensor, "A"],
    negatives: Bool[Tensor, "A C"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Pick each anchor's positive out of its negatives by the cosine similarity; the mean loss of all anchors.

    Args:
        u: code of each anchor.
        candidates: codes that are compared with it.
        positive: index of each anchor's positive among the candidates.
        negatives: which candidates are each anchor's negatives.
        temperature: divides the cosine.
    """
    with torch.autocast(u.device.type, enabled=False):
        dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
        scores = normalize(u.to(dtype), dim=1) @ normalize(candidates.to(dtype), dim=1).T / temperature
    allowed = negatives.scatter(1, positive.unsqueeze(1), True)
    return info_nce(scores, positive, allowed).mean()
