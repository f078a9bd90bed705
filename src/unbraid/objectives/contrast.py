"""Contrastive estimates of mutual information.

C-DSVAE (Bai, Wang, Gomes, NeurIPS 2021, https://arxiv.org/abs/2110.12091), appendix A.4, eq. (14): a code is picked out
of n others by its similarity to the code of a view of the same sequence. With loss l, the mutual information is at least
(n + 1) / n (log(n + 1) - l), and this bound cannot exceed about log n.
"""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import normalize

from unbraid.masks import zero_unobserved
from unbraid.processes import gather

__all__ = [
    "Compare",
    "contrast",
    "contrastive_bound",
    "contrastive_loss",
    "info_nce",
    "mean_path",
    "pool",
]

Compare = Literal["process", "all_processes"]
"""Which sequences are compared when several processes train together: each process its own, or all."""


def contrast(
    u: Float[Tensor, "B F"], v: Float[Tensor, "B F"], temperature: float, compare: Compare = "all_processes"
) -> Float[Tensor, ""]:
    """Mean of `contrastive_loss` over the sequences that are compared."""
    return contrastive_loss(pool(u, compare), pool(v, compare), temperature).mean()


def mean_path(q: Distribution, steps: Bool[Tensor, "B T"] | None) -> Float[Tensor, "B TD"]:
    """The path of means of each sequence in one row, with zeros outside the sequence."""
    return zero_unobserved(q.mean, steps).flatten(1)


def pool(x: Tensor, compare: Compare) -> Tensor:
    """X, or the x of all processes that train together."""
    return gather(x) if compare == "all_processes" else x


def info_nce(
    scores: Float[Tensor, "A C"], positive: Int[Tensor, "A"], allowed: Bool[Tensor, "A C"] | None = None
) -> Float[Tensor, "A"]:
    """-log softmax of each anchor's positive among its candidates.

    Args:
        scores: similarity of each of A anchors to each of C candidates; the best possible score is
            log p(candidate | anchor) - log p(candidate).
        positive: index of each anchor's positive, which is one of the candidates.
        allowed: which candidates count for which anchor; all when None.
    """
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    return torch.logsumexp(scores, 1) - scores.gather(1, positive.unsqueeze(1)).squeeze(1)


def contrastive_loss(
    u: Float[Tensor, "B F"], v: Float[Tensor, "B F"], temperature: float = 0.5
) -> Float[Tensor, "B"]:
    """Pick each code's partner, the code of the sequence's view, out of the batch by the cosine similarity.

    All 2 B codes are anchors in turn. An anchor's candidates are the 2 B - 1 other codes; its positive is the other code of
    the same sequence, so there are n = 2 B - 2 negatives. A batch of one sequence has no negatives and loss 0. Float32
    under autocast.

    Args:
        u: code of each sequence.
        v: code of a view of each sequence.
        temperature: divides the cosine.

    Returns:
        The mean of the two anchors of each sequence.

    Raises:
        ValueError: a temperature that is not above 0.
    """
    if temperature <= 0:
        raise ValueError(f"temperature: {temperature} must be above 0")
    with torch.autocast(u.device.type, enabled=False):
        kind = torch.float64 if u.dtype == torch.float64 else torch.float32
        codes = normalize(torch.cat([u, v]).to(kind), dim=1)
        itself = torch.eye(len(codes), dtype=torch.bool, device=u.device)
        partner = torch.arange(len(codes), device=u.device).roll(len(u))
        loss = info_nce(codes @ codes.T / temperature, partner, ~itself)
    return loss.view(2, len(u)).mean(0)


def contrastive_bound(loss: Float[Tensor, ""], negatives: int) -> Float[Tensor, ""]:
    """Lower bound of the mutual information from a mean loss: (n + 1) / n (log(n + 1) - loss), eq. (14).

    Raises:
        ValueError: there are no negatives.
    """
    if negatives < 1:
        raise ValueError(f"negatives: {negatives} must be at least 1; a batch of B sequences has 2 B - 2")
    return (negatives + 1) / negatives * (math.log(negatives + 1) - loss)
