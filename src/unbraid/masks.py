"""Masks: which values are observed, which steps lie inside a sequence, which steps are picked.

A mask is bool, True = observed, of shape `(B, T)` (whole steps) or `(B, T, *X)` (single values). The functions of the
first half take torch tensors and numpy arrays alike, and return what they were given.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = [
    "apply_to_steps",
    "inside",
    "inside_steps",
    "last_step",
    "less_mean",
    "mean_of_features",
    "mean_over_steps",
    "mean_shares",
    "observed_steps",
    "observed_values",
    "pick_step",
    "share_missed",
    "steps_below",
    "take_step",
    "widen",
    "zero_unobserved",
]


def observed_steps(mask: Any) -> Any:
    """Steps with at least one observed value: `(B, T)` from a `(B, T)` or `(B, T, *X)` mask."""
    if mask.ndim == 2:
        return mask
    return mask.reshape(*mask.shape[:2], -1).sum(2) > 0  # torch computes `any` several times as slowly


def inside(mask: Any) -> Any:
    """Steps up to the last observed one, `(B, T)`; what follows is padding. Gaps inside a sequence count as inside.

    Without a mask (None) every step is inside, which is None again.
    """
    if mask is None:
        return None
    observed = observed_steps(mask)
    if isinstance(observed, np.ndarray):
        return np.maximum.accumulate(observed[:, ::-1], axis=1)[:, ::-1].copy()
    return observed.flip(1).cumsum(1).flip(1) > 0


def inside_steps(x: Any, mask: Any | None) -> Any:
    """`inside`, or all steps of `x` `(B, T, *X)` when there is no mask."""
    if mask is not None:
        return inside(mask)
    shape = tuple(x.shape[:2])
    return np.ones(shape, bool) if isinstance(x, np.ndarray) else x.new_ones(shape, dtype=torch.bool)


def widen(mask: Any, x: Any) -> Any:
    """The mask with trailing axes of size 1, so that it broadcasts against `x` `(B, T, *X)`."""
    return mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim))


def observed_values(x: Any, mask: Any | None) -> Any:
    """The mask value by value, in the shape of `x`; all True when there is no mask."""
    if isinstance(x, np.ndarray):
        return np.ones(x.shape, bool) if mask is None else np.broadcast_to(widen(mask, x), x.shape)
    return torch.ones_like(x, dtype=torch.bool) if mask is None else widen(mask, x).expand(x.shape)


def zero_unobserved(x: Any, mask: Any | None) -> Any:
    """X with zeros where it is not observed, whatever stood there (NaN included)."""
    if mask is None:
        return x
    if isinstance(x, np.ndarray):
        return np.where(widen(mask, x), x, np.zeros((), x.dtype))
    return torch.where(widen(mask, x), x, torch.zeros((), dtype=x.dtype, device=x.device))


def steps_below(lengths: Any, steps: int) -> Any:
    """The mask `(B, steps)` of sequences with `lengths` `(B,)` valid steps each."""
    if isinstance(lengths, np.ndarray):
        return np.arange(steps) < lengths[:, None]
    return torch.arange(steps, device=lengths.device) < lengths.unsqueeze(1)


def mean_shares(x: Float[Tensor, "B T *X"], mask: Tensor | None) -> Float[Tensor, "B T"]:
    """Share of each step in the mean over the observed ones, in x's type; all 0 where none is observed."""
    observed = x.new_ones(x.shape[:2]) if mask is None else observed_steps(mask).to(x.dtype)
    return observed / observed.sum(1, keepdim=True).clamp_min(1)


def mean_of_features(g: Float[Tensor, "B T features"], mask: Tensor | None) -> Float[Tensor, "B features"]:
    """Mean of the features of each step, weighted by the shares of `mean_shares`."""
    return (mean_shares(g, mask).unsqueeze(2) * g).sum(1)


def less_mean(g: Float[Tensor, "B T features"], mask: Tensor | None) -> Float[Tensor, "B T features"]:
    """Features of each step less their mean over the sequence; zeros at steps that are not observed."""
    return zero_unobserved(
        g - mean_of_features(g, mask).unsqueeze(1), None if mask is None else observed_steps(mask)
    )


def mean_over_steps(values: Any, steps: Any) -> Any:
    """Mean of `values` `(B, T, F)` over the steps where `steps` `(B, T)` is True; 0 where there are none."""
    shown = zero_unobserved(values, steps)
    count = steps.sum(1)
    count = np.maximum(count, 1) if isinstance(count, np.ndarray) else count.clamp_min(1)
    return shown.sum(1) / count[:, None]


def apply_to_steps(
    module: Callable[[Tensor], Tensor], x: Float[Tensor, "B T *X"], steps: Bool[Tensor, "B T"] | None = None
) -> Float[Tensor, "B T *Y"]:
    """Apply a module to each step on its own: `(M, *X) -> (M, *Y)`.

    Only the steps in `steps` pass through it (so padding costs nothing and reaches no batch statistics);
    the others come back as zeros. In an exported graph all steps pass, because the number of the others would be a shape
    that depends on values; without batch statistics the result is the same.

    A module without batch statistics gets copies of the first step beside them, up to the next eighth of all steps: the library of
    matrix products prepares itself anew for every new number of rows, which takes about as long as those of a small model.
    """
    if steps is None:
        return module(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    if torch.compiler.is_compiling():
        return zero_unobserved(apply_to_steps(module, x), steps)
    rows = steps.flatten().nonzero().squeeze(1)
    count, among = len(rows), steps.numel()
    if count == among:
        return apply_to_steps(module, x)
    eighth = 1 if _has_batch_statistics(module) else -(-among // 8)
    filled = torch.nn.functional.pad(rows, (0, -count % eighth))
    y = module(x.flatten(0, 1).index_select(0, filled))[:count]
    return y.new_zeros(among, *y.shape[1:]).index_copy(0, rows, y).unflatten(0, x.shape[:2])


def _has_batch_statistics(module: Callable[[Tensor], Tensor]) -> bool:
    """Whether batch norm reads all that passes through a module together; assumed of plain functions."""
    return not isinstance(module, nn.Module) or any(isinstance(part, _BatchNorm) for part in module.modules())


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
    return x[torch.arange(x.shape[0], device=x.device), step]


def last_step(x: Shaped[Tensor, "B T *X"], steps: Bool[Tensor, "B T"] | None) -> Shaped[Tensor, "B *X"]:
    """The last step inside each sequence; without `steps` the last of all."""
    return x[:, -1] if steps is None else take_step(x, (steps.sum(1) - 1).clamp_min(0))


def share_missed(
    rebuilt: Float[Tensor, "B T *X"],
    x: Float[Tensor, "B T *X"],
    mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
) -> Float[Tensor, ""]:
    """The share of the variance of the observed values that rebuilt sequences miss: 0 for equal ones, 1 for their mean."""
    seen = observed_values(x, mask)
    x = zero_unobserved(x, mask)
    mean = x.sum((0, 1)) / seen.sum((0, 1)).clamp_min(1)
    variance = torch.where(seen, (x - mean).square(), 0.0).sum().clamp_min(1e-12)
    return torch.where(seen, (x - rebuilt).square(), 0.0).sum() / variance
