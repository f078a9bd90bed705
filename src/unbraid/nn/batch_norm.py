"""Batch norm over the sequences of all processes that train together.

torch's own `SyncBatchNorm` needs a GPU. Here statistics are those of the whole batch on every device, so that several
processes compute what one process would. In one process, and in evaluation, these are torch's layers.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from unbraid.processes import sum_over_processes, this_process

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]


class _Joint(nn.modules.batchnorm._BatchNorm):
    """Normalises a batch by the statistics of all processes' batches while several train together."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or this_process().count == 1:
            return super().forward(x)
        self._check_input_dim(x)
        mean, variance, count = joint_moments(x)
        kept_mean, kept_variance, batches = self.running_mean, self.running_var, self.num_batches_tracked
        if kept_mean is not None and kept_variance is not None and batches is not None:
            batches.add_(1)
            momentum = 1 / float(batches) if self.momentum is None else self.momentum
            kept_mean.lerp_(mean.to(kept_mean.dtype), momentum)
            kept_variance.lerp_((variance * (count / (count - 1))).to(kept_variance.dtype), momentum)
        return _Normalise.apply(x, self.weight, self.bias, mean, variance, count, self.eps)


class BatchNorm1d(_Joint, nn.BatchNorm1d):
    """Batch norm of `(N, C)` or `(N, C, L)`."""


class BatchNorm2d(_Joint, nn.BatchNorm2d):
    """Batch norm of `(N, C, H, W)`."""


class BatchNorm3d(_Joint, nn.BatchNorm3d):
    """Batch norm of `(N, C, D, H, W)`."""


def joint_moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of each channel over all processes' x, and the number of values; x may be empty in some."""
    x, dtype = x.detach(), torch.promote_types(x.dtype, torch.float32)
    count = x.new_full((1,), x.numel() / x.shape[1], dtype=dtype)
    if x.numel():  # torch.var_mean gives the same; on a CPU it takes twenty times as long
        mean, variance = (moment.to(dtype) for moment in torch.batch_norm_update_stats(x, None, None, 0.0))
    else:
        mean, variance = x.new_zeros(2, x.shape[1], dtype=dtype)
    own = torch.cat([mean, count * variance, count])
    parts = [torch.empty_like(own) for _ in range(this_process().count)]
    dist.all_gather(parts, own)
    means, squares, counts = torch.stack(parts).split([len(mean), len(mean), 1], 1)
    total = counts.sum()
    joint = (counts * means).sum(0) / total
    spread = (squares + counts * (means - joint).square()).sum(0)
    return joint, spread / total, total


class _Normalise(torch.autograd.Function):
    """Normalise by given moments, which depend on every process's x."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.eps = eps
        return batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight, mean, variance, count = ctx.saved_tensors
        # The gradients for fixed moments: those of weight and bias are the sums that the moments' own gradients need.
        of_x, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        sums = sum_over_processes(torch.stack([of_weight, of_bias]).to(mean.dtype)) / count
        scale = (variance + ctx.eps).rsqrt()
        slope = weight * scale.square() * sums[0]
        offset = weight * scale * sums[1] - slope * mean
        zeros, ones = torch.zeros_like(mean), torch.ones_like(mean)
        of_x += batch_norm(x, zeros, ones, -slope, -offset, False, 0.0, 0.0)  # -slope x - offset in one pass
        return of_x, of_weight, of_bias, None, None, None, None
