"""Batch norm's running statistics: what may change them."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["keep_statistics"]


@contextmanager
def keep_statistics(module: nn.Module) -> Iterator[None]:
    """Leave the running statistics of batch norm as they are; while training, batches are normed by their own.

    For observations that are encoded beside the data, such as changed views of them: evaluation never sees those, so
    their statistics must not become the ones it uses.
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
