"""What a mask says of steps: which are observed, which lie inside a sequence, which are picked."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

__all__ = [
    "apply_to_steps",
    "inside",
    "mean_shares",
    "observed_steps",
    "pick_step",
    "take_step",
    "zero_unobserved",
]


def observed_steps(mask: Tensor) -> Bool[Tensor, "B T"]:
    """Steps with at least one observed value, from a `(B, T)` or `(B, T, *X)` mask."""
    return mask if mask.ndim == 2 else mask.flatten(2).any(2)


def inside(mask: Tensor) -> Bool[Tensor, "B T"]:
    """Steps up to the last observed one; what follows is padding. Gaps inside a sequence count as inside."""
    return observed_steps(mask).flip(1).cummax(1).values.flip(1) if mask.numel() else observed_steps(mask)


def mean_shares(x: Float[Tensor, "B T *X"], mask: Tensor | None) -> Float[Tensor, "B T"]:
    """Share of each step in the mean over the observed ones, in x's type; all 0 where none is observed."""
    observed = x.new_ones(x.shape[:2]) if mask is None else observed_steps(mask).to(x.dtype)
    return observed / observed.sum(1, keepdim=True).clamp_min(1)


def zero_unobserved(x: Float[Tensor, "B T *X"], mask: Tensor | None) -> Float[Tensor, "B T *X"]:
    """X with zeros where it is not observed, whatever stood there (NaN included)."""
    if mask is None:
        return x
    return torch.where(
        mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim)),
        x,
        torch.zeros((), dtype=x.dtype, device=x.device),
    )


def apply_to_steps(
    module: Callable[[Tensor], Tensor], x: Float[Tensor, "B T *X"], steps: Bool[Tensor, "B T"] | None = None
) -> Float[Tensor, "B T *Y"]:
    """Apply a module to each step on its own: `(M, *X) -> (M, *Y)`.

    Only the steps in `steps` pass through it (so padding costs nothing and reaches no batch statistics);
    the others come back as zeros.
    """
    if steps is None:
        return module(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    y = module(x[steps])
    return y.new_zeros(*x.shape[:2], *y.shape[1:]).index_put((steps,), y)


def pick_step(anchor: str | int | float, count: Int[Tensor, "B"]) -> Int[Tensor, "B"]:
    """Position of an anchor among `count` observed steps.

    Args:
        anchor: "first", "middle", "last", an index (negative ones count from the end, all are clipped to the
            sequence), or a share in [0, 1) of the sequence.
        count: observed steps of each sequence.
    """
    if anchor == "first":
        return torch.zeros_like(count)
    if anchor == "last":
        return count - 1
    if anchor == "middle":
        return count // 2
    if isinstance(anchor, float):
        return (anchor * count).long().clamp_max(count - 1)
    index = torch.full_like(count, int(anchor))
    return torch.where(index < 0, count + index, index).clamp_min(0).minimum(count - 1)


def take_step(x: Shaped[Tensor, "B T *X"], step: Int[Tensor, "B"]) -> Shaped[Tensor, "B *X"]:
    """The given step of each sequence."""
    return x[torch.arange(len(x), device=x.device), step]
