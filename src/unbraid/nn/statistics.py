"""Batch norm's running statistics, and how to leave them alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["keep_statistics"]


@contextmanager
def keep_statistics(module: nn.Module) -> Iterator[None]:
    """Leave batch norm's running statistics unchanged; in training, batches are still normalised by their own.

    For changed views of the data: evaluation never sees views, so their statistics must not become the ones it uses.
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
