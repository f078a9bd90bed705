"""Convolutions of a trained codec with their batch norm folded in, in a precision of their own.

In evaluation a batch norm multiplies each channel by a number and adds another, which the convolution before it can do
itself: W' = g W / sqrt(v + eps), b' = b - g m / sqrt(v + eps), with the kept mean m and variance v, and the gain g and offset b
of the norm. Convolutions in bfloat16, where the processor multiplies in it, take little more than half the time. Everything
else of a codec stays in float32, and so does a convolution that reads pixels: it is small, and rounded pixels would cost more
than all other rounding together.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from unbraid.nn.strided import PixelConvTranspose2d, up_to_pixels

__all__ = ["evaluate_layers", "evaluation_precision"]

PIXEL_CHANNELS = 4  # a layer that reads so few channels reads pixels

_PRECISION: ContextVar[torch.dtype] = ContextVar(
    "precision of convolutions in evaluation", default=torch.float32
)


@contextmanager
def evaluation_precision(precision: torch.dtype) -> Iterator[None]:
    """Have `evaluate_layers` compute in this precision inside the block, in this thread."""
    before = _PRECISION.set(precision)
    try:
        yield
    finally:
        _PRECISION.reset(before)


def evaluate_layers(layers: nn.Sequential, x: Tensor) -> Tensor:
    """What the layers give for x, in the precision of `evaluation_precision`; float32 computes the layers as they are.

    Args:
        layers: convolutions, each perhaps followed by a batch norm, and other layers that act on each value. In training
            they are computed as they are.
        x: `(M, C, H, H)` in float32.

    Returns:
        The output in float32.
    """
    precision = _PRECISION.get()
    if layers.training or precision == x.dtype or x.dtype != torch.float32:
        return layers(x)
    norm, last = None, [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)][-1]
    for layer, following in zip(layers, [*list(layers)[1:], None], strict=True):
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            norm = following if isinstance(following, _BatchNorm) else None
            x = _convolve(layer, norm, x if layer.in_channels <= PIXEL_CHANNELS else x.to(precision))
            x = x.float() if layer is last else x
        elif layer is norm:
            continue
        elif isinstance(layer, _BatchNorm):
            x = layer(x.float())
        else:
            x = layer(x)
    return x


def _convolve(layer: nn.Conv2d | nn.ConvTranspose2d, norm: _BatchNorm | None, x: Tensor) -> Tensor:
    """The convolution of x with its kernel in x's precision, the norm folded in."""
    kernel, bias, outputs = layer.weight, layer.bias, 1 if layer.transposed else 0
    if norm is not None:
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None and variance is not None
        gain = norm.weight * (variance + norm.eps).rsqrt()
        kernel = kernel * gain.view([-1 if axis == outputs else 1 for axis in range(4)])
        bias = norm.bias - gain * (mean if bias is None else mean - bias)
    kernel, bias = kernel.to(x.dtype), None if bias is None else bias.to(x.dtype)
    if isinstance(layer, PixelConvTranspose2d) and bias is not None and x.device.type == "cpu":
        return up_to_pixels(x, kernel, bias)
    convolve = functional.conv_transpose2d if layer.transposed else functional.conv2d
    return convolve(x, kernel, bias, layer.stride, layer.padding)  # type: ignore[arg-type]
