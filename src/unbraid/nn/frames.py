"""Encoder and decoder of frames `(C, H, H)`, H = 16, 32, 64 or 128.

Convolutions of kernel 4 and stride 2 down to a 4x4 map, with w, 2w, 4w, 8w (then 8w) channels, batch norm and leaky ReLU,
and a last layer over the whole map. The decoder mirrors the encoder and ends in a sigmoid. Width 32 is that of DBSE (ICML
2024, appendix A.4), width 64 that of its authors' code. Frames of 16 pixels (ours), for which two convolutions are too few,
have one more layer of 16w units between the map and the features, and between the code and the map.
"""

from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unbraid.kinds import FRAME_SIZES
from unbraid.nn.batch_norm import BatchNorm1d, BatchNorm2d
from unbraid.nn.folded import evaluate_layers
from unbraid.nn.likelihoods import SquaredErrorNormal
from unbraid.nn.strided import PixelConvTranspose2d, StridedConv2d, StridedConvTranspose2d

__all__ = ["FrameDecoder", "FrameEncoder", "SigmoidWithLeastGradient", "check_size"]

LEAST_GRADIENT = 0.02


def _channels(size: int, width: int) -> list[int]:
    """Channels after each halving, from `size` pixels down to 4."""
    halvings = size.bit_length() - 3
    return [width * min(2**i, 8) for i in range(halvings)]


def _hidden_layer(before: int, units: int | None) -> tuple[list[nn.Module], int]:
    """A hidden layer and its number of units; without units no layer."""
    if units is None:
        return [], before
    return [
        nn.Linear(before, units, bias=False),
        BatchNorm1d(units),
        nn.LeakyReLU(0.2, inplace=True),
    ], units


def check_size(observation: tuple[int, ...]) -> tuple[int, int]:
    """Channels and side of frames.

    Raises:
        ValueError: frames that are not square or of another size.
    """
    channels, height, width = observation
    if height != width or height not in FRAME_SIZES:
        raise ValueError(
            f"observation: frames are {height}x{width}; resize them to {', '.join(map(str, FRAME_SIZES))} pixels square"
        )
    return channels, height


def _kernels(layers: nn.Module, head: nn.Module, heads: bool) -> list[nn.Parameter]:
    kernels = [kernel for kernel in layers.parameters() if kernel.ndim == 4]
    return kernels + [matrix for matrix in head.parameters() if heads and matrix.ndim == 2]


class FrameEncoder(nn.Module):
    """Frame to features: `(M, C, H, H)` -> `(M, features)`, each frame on its own.

    Raises:
        ValueError: frames that are not square, or of a size without a codec.
    """

    reads_mask = False

    def __init__(self, observation: tuple[int, ...], features: int, width: int) -> None:
        super().__init__()
        input_channels, size = check_size(observation)
        channels = _channels(size, width)
        layers: list[nn.Module] = []
        for before, after in pairwise([input_channels, *channels]):
            layers += [
                StridedConv2d(before, after),
                BatchNorm2d(after),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.layers = nn.Sequential(*layers)
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        extra, units = _hidden_layer(channels[-1] * 16, 16 * width if size == 16 else None)
        self.head = nn.Sequential(
            *extra, nn.Linear(units, features, bias=False), BatchNorm1d(features), nn.Tanh()
        )

    def kernels(self, heads: bool) -> list[nn.Parameter]:
        """Parameters that Muon may train: the convolutions and, with `heads`, the layers at the 4x4 map."""
        return _kernels(self.layers, self.head, heads)

    def forward(self, x: Float[Tensor, "M C H H"]) -> Float[Tensor, "M features"]:
        """Encode M frames."""
        maps = evaluate_layers(self.layers, x.contiguous(memory_format=torch.channels_last))
        return self.head(maps.permute(0, 2, 3, 1).flatten(1))


class SigmoidWithLeastGradient(nn.Module):
    """The sigmoid, whose gradient in training is at least 0.02, that of a value of 0.02 or 0.98.

    The squared error of a saturated sigmoid has no gradient: a bright background that became white early would stay white.
    """

    def forward(self, z: Tensor) -> Tensor:
        """Values in (0, 1)."""
        return _LeastGradient.apply(z) if self.training else torch.sigmoid(z)


class _LeastGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        y = torch.sigmoid(z)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return gradient * (y * (1 - y)).clamp_min(LEAST_GRADIENT)


class FrameDecoder(nn.Module):
    """Code to frame: `(M, latent)` -> `(M, C, H, H)` in (0, 1).

    Args:
        observation: shape of a frame.
        latent: size of the code.
        width: channels of the largest map.
        code_units: units of a hidden layer between the code and the 4x4 map; None for no such layer in frames above 16
            pixels, and 16w units in those of 16 pixels.
        edges: share of the reconstruction error that counts differences between neighbouring pixels.

    Raises:
        ValueError: frames that are not square, or of a size without a codec.
    """

    def __init__(
        self,
        observation: tuple[int, ...],
        latent: int,
        width: int,
        code_units: int | None = None,
        edges: float = 0.0,
    ) -> None:
        super().__init__()
        self.edges = edges
        output_channels, size = check_size(observation)
        channels = _channels(size, width)[::-1]
        self.top = channels[0]
        extra, units = _hidden_layer(latent, code_units or (16 * width if size == 16 else None))
        last = nn.Linear(units, channels[0] * 16, bias=False)
        self.head = nn.Sequential(*extra, last) if extra else last
        layers: list[nn.Module] = [BatchNorm2d(channels[0]), nn.LeakyReLU(0.2, inplace=True)]
        for before, after in pairwise(channels):
            layers += [
                StridedConvTranspose2d(before, after),
                BatchNorm2d(after),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers += [PixelConvTranspose2d(channels[-1], output_channels), SigmoidWithLeastGradient()]
        self.layers = nn.Sequential(*layers)
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def kernels(self, heads: bool) -> list[nn.Parameter]:
        """Parameters that Muon may train: the convolutions and, with `heads`, the layers at the 4x4 map."""
        return _kernels(self.layers, self.head, heads)

    def likelihood(self, y: Float[Tensor, "B T C H H"]) -> SquaredErrorNormal:
        """p(x): normals of fixed variance round the decoded frames."""
        return SquaredErrorNormal(y, self.edges)

    def forward(self, z: Float[Tensor, "M latent"]) -> Float[Tensor, "M C H H"]:
        """Decode M codes."""
        return evaluate_layers(self.layers, self.head(z).view(-1, 4, 4, self.top).permute(0, 3, 1, 2))
