"""Contrastive estimates of mutual information, and what joins the batches of several processes for them.

C-DSVAE (Bai, Wang, Gomes, NeurIPS 2021, https://arxiv.org/abs/2110.12091), appendix A.4, eq. (14): a code is picked out
of n others by its similarity to the code of a view of the same sequence. With loss l, the mutual information is at least
(n + 1) / n (log(n + 1) - l), and this bound cannot exceed about log n.
"""

import math
from typing import Literal

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import normalize

from unbraid.masks import zero_unobserved

__all__ = [
    "Compare",
    "contrast",
    "contrastive_bound",
    "contrastive_loss",
    "gather_processes",
    "info_nce",
    "mean_path",
    "pool",
]

Compare = Literal["process", "all_processes"]
"""Which sequences are compared when several processes train together: each process its own, or all."""


def contrast(
    u: Float[Tensor, "B F"], v: Float[Tensor, "B F"], temperature: float, compare: Compare = "process"
) -> Float[Tensor, ""]:
    """Mean of `contrastive_loss` over the sequences that are compared."""
    return contrastive_loss(pool(u, compare), pool(v, compare), temperature).mean()


def mean_path(q: Distribution, steps: Bool[Tensor, "B T"] | None) -> Float[Tensor, "B TD"]:
    """The path of means of each sequence in one row, with zeros outside the sequence."""
    return zero_unobserved(q.mean, steps).flatten(1)


def pool(x: Tensor, compare: Compare) -> Tensor:
    """X, or the x of all processes."""
    return gather_processes(x) if compare == "all_processes" else x


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


# ---- several processes ------------------------------------------------------------------------------------


def gather_processes(x: Float[Tensor, "B *X"]) -> Float[Tensor, "M *X"]:
    """The batches of all processes, joined in the order of their ranks; each gradient returns to its process.

    A term that every process computes on the joined batch, averaged by DistributedDataParallel, has the gradients of one
    process with the whole batch. All batches must have the same size. Outside torch.distributed x is returned as it is.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return x
    return _Gather.apply(x)


class _Gather(torch.autograd.Function):
    """All-gather; the gradient of a process's part is the sum of all processes' gradients of that part."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        parts = [
            torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())
        ]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:  # type: ignore[override]
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]
