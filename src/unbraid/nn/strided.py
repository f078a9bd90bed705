"""Convolutions of kernel 4, stride 2 and padding 1, as one matrix product where that is faster.

Three operations make up both layers and their gradients, for maps x `(M, C, 2h, 2h)` and y `(M, O, h, h)` and a kernel
w `(O, C, 4, 4)`:

    down(x, w) -> y             forwards of the convolution,      backwards of the transposed one
    up(y, w) -> x               backwards of the convolution,     forwards of the transposed one
    kernel_gradient(x, y) -> w  backwards of both

As matrix products: `down` multiplies the 4x4 patches of x, which overlap by half; `up` multiplies the 2x2 patches of y by
four parts of the kernel, one for each place in a 2x2 block of x; `kernel_gradient` multiplies the patches of x by y. On small
maps processors do this faster than their convolutions, most of all the gradient of the kernel. `by_product` says where.

The layer that draws pixels has few channels of x, for which transposed convolutions are slow. `up_to_pixels` does the same by a
convolution of stride 1, with an output for each channel and each place in a 2x2 block of x.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from unbraid.machine import has_matrix_tiles

__all__ = [
    "PixelConvTranspose2d",
    "StridedConv2d",
    "StridedConvTranspose2d",
    "by_product",
    "down",
    "kernel_gradient",
    "up",
    "up_to_pixels",
]

Operation = Literal["down", "up", "kernel_gradient"]
SMALL_MAP = 8  # pixels at the side of x, up to which products are faster
MANY_CHANNELS = 128  # of x, from which they are


def by_product(operation: Operation, x_shape: tuple[int, ...], dtype: torch.dtype, device: str) -> bool:
    """Whether an operation is faster as a matrix product.

    Args:
        operation: of the module's three.
        x_shape: of the larger map.
        dtype: of both maps.
        device: cpu or cuda.
    """
    if device != "cpu" or x_shape[2] > SMALL_MAP or x_shape[1] < MANY_CHANNELS:
        return False
    return operation == "kernel_gradient" or (dtype == torch.bfloat16 and has_matrix_tiles())


def down(x: Float[Tensor, "M C H H"], w: Float[Tensor, "O C 4 4"]) -> Float[Tensor, "M O h h"]:
    """The convolution of x, as a matrix product."""
    side = x.shape[2] // 2
    y = _patches(x) @ _rows(w).T
    return y.view(len(x), side, side, len(w)).permute(0, 3, 1, 2)


def up(y: Float[Tensor, "M O h h"], w: Float[Tensor, "O C 4 4"]) -> Float[Tensor, "M C H H"]:
    """The transposed convolution of y, as four matrix products.

    A pixel of x in an even row of blocks is reached from y's row above by the kernel's last row and from its own by the
    second; one in an odd row from its own by the third and from the row below by the first. Columns likewise.
    """
    count, channels, side, _ = y.shape
    padded = functional.pad(y.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    x = y.new_empty(count, side, 2, side, 2, w.shape[1])
    taps = ((3, 1), (2, 0))
    for row in range(2):
        for column in range(2):
            part = padded[:, row : row + side + 1, column : column + side + 1]
            pairs = part.unfold(1, 2, 1).unfold(2, 2, 1)  # (M, h, h, O, 2, 2)
            patches = pairs.permute(0, 1, 2, 4, 5, 3).reshape(-1, 4 * channels)
            kernel = w[:, :, taps[row]][:, :, :, taps[column]].permute(2, 3, 0, 1).reshape(-1, w.shape[1])
            x[:, :, row, :, column] = (patches @ kernel).view(count, side, side, -1)
    return x.view(count, 2 * side, 2 * side, -1).permute(0, 3, 1, 2)


def up_to_pixels(
    y: Float[Tensor, "M O h h"], w: Float[Tensor, "O C 4 4"], bias: Float[Tensor, " C"]
) -> Float[Tensor, "M C H H"]:
    """The transposed convolution of y with a bias, by a convolution of kernel 3 and stride 1.

    The rows of y above, at and below a pixel's block reach an even row of x by the kernel's rows 3 and 1 and by none, an odd
    row by none and by the rows 2 and 0. Columns likewise.
    """
    none = 4
    taps = torch.tensor([[3, 1, none], [none, 2, 0]], device=w.device)
    with_none = functional.pad(w, (0, 1, 0, 1))
    kernel = with_none[:, :, taps][:, :, :, :, taps]  # (O, C, row of a block, 3, column of a block, 3)
    kernel = kernel.permute(2, 4, 1, 0, 3, 5).flatten(0, 2).contiguous(memory_format=torch.channels_last)
    blocks = functional.conv2d(y, kernel, bias.repeat(4), 1, 1).permute(0, 2, 3, 1)
    count, side, _, _ = blocks.shape
    x = blocks.unflatten(3, (2, 2, -1)).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(count, 2 * side, 2 * side, w.shape[1]).permute(0, 3, 1, 2)


def kernel_gradient(x: Float[Tensor, "M C H H"], y: Float[Tensor, "M O h h"]) -> Float[Tensor, "O C 4 4"]:
    """The gradient of the kernel of `down` for the gradient y, or of `up` for the gradient x, as a matrix product."""
    gradient = y.permute(0, 2, 3, 1).reshape(-1, y.shape[1]).T @ _patches(x)
    return gradient.view(-1, 4, 4, x.shape[1]).permute(0, 3, 1, 2)


def _patches(x: Float[Tensor, "M C H H"]) -> Float[Tensor, "P W"]:
    """The 4x4 patches of x, `(M * h * h, 16 * C)`, channels last."""
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    return padded.unfold(1, 4, 2).unfold(2, 4, 2).permute(0, 1, 2, 4, 5, 3).reshape(-1, 16 * x.shape[1])


def _rows(w: Float[Tensor, "O C 4 4"]) -> Float[Tensor, "O W"]:
    return w.permute(0, 2, 3, 1).reshape(len(w), -1)


def _choose(operation: Operation, x_shape: tuple[int, ...], like: Tensor) -> Callable[..., Tensor]:
    product = by_product(operation, x_shape, like.dtype, like.device.type)
    return (_PRODUCTS if product else _PLAIN)[operation]


def _plain_kernel_gradient(x: Tensor, y: Tensor) -> Tensor:
    shape, layout = (y.shape[1], x.shape[1], 4, 4), torch.channels_last
    w = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)  # its values are not read
    return torch.ops.aten.convolution_backward(
        y, x, w, None, (2, 2), (1, 1), (1, 1), False, (0, 0), 1, (False, True, False)
    )[1]


_PRODUCTS = {"down": down, "up": up, "kernel_gradient": kernel_gradient}
_PLAIN: dict[str, Callable[..., Tensor]] = {
    "down": lambda x, w: functional.conv2d(x, w, None, 2, 1),
    "up": lambda y, w: functional.conv_transpose2d(y, w, None, 2, 1),
    "kernel_gradient": _plain_kernel_gradient,
}


class _Down(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return _choose("down", x.shape, x)(x, w)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:  # type: ignore[override]
        x, w = ctx.saved_tensors
        of_x = _choose("up", x.shape, x)(gradient, w) if ctx.needs_input_grad[0] else None
        of_w = _choose("kernel_gradient", x.shape, x)(x, gradient) if ctx.needs_input_grad[1] else None
        return of_x, of_w


class _Up(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(y, w)
        return _choose("up", _larger(y, w), y)(y, w)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:  # type: ignore[override]
        y, w = ctx.saved_tensors
        shape = gradient.shape
        of_y = _choose("down", shape, y)(gradient, w) if ctx.needs_input_grad[0] else None
        of_w = _choose("kernel_gradient", shape, y)(gradient, y) if ctx.needs_input_grad[1] else None
        return of_y, of_w


class _UpToPixels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(y, w)
        return up_to_pixels(y, w, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        y, w = ctx.saved_tensors
        return torch.ops.aten.convolution_backward(
            gradient,
            y,
            w,
            [w.shape[1]],
            (2, 2),
            (1, 1),
            (1, 1),
            True,
            (0, 0),
            1,
            ctx.needs_input_grad,
        )


def _larger(y: Tensor, w: Tensor) -> tuple[int, ...]:
    return (y.shape[0], w.shape[1], 2 * y.shape[2], 2 * y.shape[3])


def _in_autocast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All in the precision of autocast, where that is on, as a convolution would have them."""
    device = tensors[0].device.type
    if torch.is_autocast_enabled(device):
        return tuple(tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors)
    return tensors


class StridedConv2d(nn.Conv2d):
    """`nn.Conv2d` of kernel 4, stride 2, padding 1 without bias; in training by products where they are faster."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(channels, outputs, 4, 2, 1, bias=False)

    def forward(self, x: Float[Tensor, "M C H H"]) -> Float[Tensor, "M O h h"]:
        """The convolution of x."""
        if _is_trained(self, x.shape, x):
            return _Down.apply(*_in_autocast(x, self.weight))
        return super().forward(x)


class StridedConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` of kernel 4, stride 2, padding 1 without bias; in training by products where they are faster."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(channels, outputs, 4, 2, 1, bias=False)

    def forward(
        self, y: Float[Tensor, "M O h h"], output_size: list[int] | None = None
    ) -> Float[Tensor, "M C H H"]:
        """The transposed convolution of y."""
        if _is_trained(self, _larger(y, self.weight), y):
            return _Up.apply(*_in_autocast(y, self.weight))
        return super().forward(y, output_size)


class PixelConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` of kernel 4, stride 2, padding 1 with a bias, for few outputs; faster on a CPU."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(channels, outputs, 4, 2, 1)

    def forward(
        self, y: Float[Tensor, "M O h h"], output_size: list[int] | None = None
    ) -> Float[Tensor, "M C H H"]:
        """The transposed convolution of y."""
        if y.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(y, output_size)
        assert self.bias is not None
        return _UpToPixels.apply(*_in_autocast(y, self.weight, self.bias))


def _is_trained(layer: nn.Module, x_shape: tuple[int, ...], like: Tensor) -> bool:
    """Whether gradients will be computed and one of the layer's operations is a product."""
    trained = layer.training and torch.is_grad_enabled() and not torch.compiler.is_compiling()
    return trained and by_product("kernel_gradient", x_shape, like.dtype, like.device.type)
