"""Encoders and decoders of one observation, picked from its shape.

Frames `(C, H, H)`, H = 16, 32, 64 or 128: convolutions of kernel 4 and stride 2 down to 4x4, with widths w, 2w, 4w, 8w
(then 8w), batch norm and leaky ReLU, and a last layer over the whole 4x4 map; the decoder mirrors it and ends in a
sigmoid. Width 32 is DBSE's (ICML 2024, appendix A.4), width 64 that of its authors' code. At 16 pixels (ours), where two
convolutions are too few, one more layer, of 16w units, stands between the map and the features, and the codes and the
map: told which digits to draw where, a decoder of two moving digits ends at a squared error of 9.4 with it and of 15.1
without (1500 batches of 32 clips, width 32).
Vectors `(F,)`: three linear layers with ReLU.
Windows `(W, F)` of a series: all values of a window (zeros where unobserved) and their mask pass three linear layers with
ReLU, 4w wide; the decoder mirrors it and gives a mean and a standard deviation for every value. The recurrent nets of
DBSE's authors' code read and write a window row by row; on PhysioNet they stand still for the first hundreds of steps (as
plain autoencoders of the same code, the negative log-likelihood of a stay after 600 steps is 251 against -6 here).
"""

from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution

from unbraid.kinds import FRAME_SIZES
from unbraid.masks import apply_to_steps, observed_steps, zero_unobserved
from unbraid.nn.likelihoods import BoundedNormal, SquaredErrorNormal

__all__ = [
    "FrameDecoder",
    "FrameEncoder",
    "VectorDecoder",
    "VectorEncoder",
    "WindowDecoder",
    "WindowEncoder",
    "build_decoder",
    "build_encoder",
    "decode_steps",
    "encode_steps",
    "kernels",
]

SHAPES = "give (C, H, H) frames, (W, F) windows or (F,) vectors"


def _widths(size: int, width: int) -> list[int]:
    """Channels after each halving, from `size` pixels down to 4."""
    halvings = size.bit_length() - 3
    return [width * min(2**i, 8) for i in range(halvings)]


def _hidden(size: int, before: int, width: int) -> tuple[list[nn.Module], int]:
    """What stands between the 4x4 map and the outside, and its size: nothing, or at 16 pixels a layer of 16 widths."""
    if size > 16:
        return [], before
    units = 16 * width
    return [
        nn.Linear(before, units, bias=False),
        nn.BatchNorm1d(units),
        nn.LeakyReLU(0.2, inplace=True),
    ], units


class FrameEncoder(nn.Module):
    """Frame to features: `(M, C, H, H)` -> `(M, features)`, each frame on its own."""

    def __init__(self, channels: int, size: int, features: int, width: int) -> None:
        super().__init__()
        widths = _widths(size, width)
        layers: list[nn.Module] = []
        for before, after in pairwise([channels, *widths]):
            layers += [
                nn.Conv2d(before, after, 4, 2, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.layers: nn.Module = nn.Sequential(*layers)
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        hidden, units = _hidden(size, widths[-1] * 16, width)
        self.head = nn.Sequential(
            *hidden, nn.Linear(units, features, bias=False), nn.BatchNorm1d(features), nn.Tanh()
        )

    def forward(self, x: Float[Tensor, "M C H H"]) -> Float[Tensor, "M features"]:
        """Encode M frames."""
        maps = self.layers(x.contiguous(memory_format=torch.channels_last))
        return self.head(maps.permute(0, 2, 3, 1).flatten(1))


class FrameDecoder(nn.Module):
    """Code to frame: `(M, latent)` -> `(M, C, H, H)` in (0, 1)."""

    def __init__(self, channels: int, size: int, latent: int, width: int) -> None:
        super().__init__()
        widths = _widths(size, width)[::-1]
        self.top = widths[0]
        hidden, units = _hidden(size, latent, width)
        last = nn.Linear(units, widths[0] * 16, bias=False)
        self.head = nn.Sequential(*hidden, last) if hidden else last
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.LeakyReLU(0.2, inplace=True)]
        for before, after in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers += [nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1), nn.Sigmoid()]
        self.layers: nn.Module = nn.Sequential(*layers)
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, z: Float[Tensor, "M latent"]) -> Float[Tensor, "M C H H"]:
        """Decode M codes."""
        return self.layers(self.head(z).view(len(z), 4, 4, self.top).permute(0, 3, 1, 2))


class VectorEncoder(nn.Sequential):
    """Features of a vector: `(M, F)` -> `(M, features)`."""

    def __init__(self, size: int, features: int, width: int) -> None:
        super().__init__(
            nn.Linear(size, width),
            nn.ReLU(),
            nn.Linear(width, 2 * width),
            nn.ReLU(),
            nn.Linear(2 * width, features),
        )


class VectorDecoder(nn.Sequential):
    """Code to vector: `(M, latent)` -> `(M, F)`, unbounded."""

    def __init__(self, size: int, latent: int, width: int) -> None:
        super().__init__(
            nn.Linear(latent, 2 * width),
            nn.ReLU(),
            nn.Linear(2 * width, width),
            nn.ReLU(),
            nn.Linear(width, size),
        )


class WindowEncoder(nn.Sequential):
    """Values and their mask to features: `(M, W, 2F)` -> `(M, features)`, each window on its own."""

    def __init__(self, rows: int, size: int, features: int, width: int) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(2 * rows * size, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, features),
        )


class WindowDecoder(nn.Sequential):
    """Code to window: `(M, latent)` -> `(M, 2, W, F)`, the mean of each value and what sets its deviation."""

    def __init__(self, rows: int, size: int, latent: int, width: int) -> None:
        super().__init__(
            nn.Linear(latent, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, 2 * rows * size),
            nn.Unflatten(1, (2, rows, size)),
        )


def _frame_size(observation: tuple[int, ...]) -> tuple[int, int]:
    channels, height, width = observation
    if height != width or height not in FRAME_SIZES:
        raise ValueError(
            f"observation: frames are {height}x{width}; resize them to {', '.join(map(str, FRAME_SIZES))} pixels square"
        )
    return channels, height


def build_encoder(observation: tuple[int, ...], features: int, width: int) -> nn.Module:
    """An encoder `(M, *X) -> (M, features)` for observations of the given shape; see `encode_steps`.

    Raises:
        ValueError: observations of this shape have no codec.
    """
    if len(observation) == 3:
        return FrameEncoder(*_frame_size(observation), features, width)
    if len(observation) == 2:
        return WindowEncoder(*observation, features, width)
    if len(observation) == 1:
        return VectorEncoder(observation[0], features, width)
    raise ValueError(f"observation: no codec for shape {observation}; {SHAPES}")


def build_decoder(observation: tuple[int, ...], latent: int, width: int) -> nn.Module:
    """A decoder `(M, latent) -> (M, *X)` for observations of the given shape; see `decode_steps`.

    Raises:
        ValueError: observations of this shape have no codec.
    """
    if len(observation) == 3:
        return FrameDecoder(*_frame_size(observation), latent, width)
    if len(observation) == 2:
        return WindowDecoder(*observation, latent, width)
    if len(observation) == 1:
        return VectorDecoder(observation[0], latent, width)
    raise ValueError(f"observation: no codec for shape {observation}; {SHAPES}")


def encode_steps(
    encoder: nn.Module, x: Float[Tensor, "B T *X"], mask: Tensor | None = None
) -> Float[Tensor, "B T features"]:
    """Features of each step on its own; steps with no observed value come back as zeros.

    Args:
        encoder: of `build_encoder`.
        x: observations; what the mask does not show is not read.
        mask: `(B, T)` or `(B, T, *X)`, True = observed.
    """
    observed = None if mask is None else observed_steps(mask)
    values = zero_unobserved(x, mask)
    if isinstance(encoder, WindowEncoder):
        shown = torch.ones_like(x) if mask is None else mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim))
        values = torch.cat([values, shown.expand_as(x).to(x.dtype)], 3)
    return apply_to_steps(encoder, values, observed)


def decode_steps(
    decoder: nn.Module, z: Float[Tensor, "B T latent"], steps: Bool[Tensor, "B T"] | None = None
) -> Distribution:
    """p(x_t | z_t) of each step on its own; steps outside `steps` are not decoded, their mean is zero.

    Frames and vectors have a fixed variance, `SquaredErrorNormal`; windows a learned one, `BoundedNormal`.
    """
    y = apply_to_steps(decoder, z, steps)
    y = y.float() if y.dtype == torch.bfloat16 else y
    return BoundedNormal(*y.unbind(2)) if isinstance(decoder, WindowDecoder) else SquaredErrorNormal(y)


def kernels(model: nn.Module, heads: bool = False) -> list[nn.Parameter]:
    """What training may move by Muon: kernels of convolutions, and matrices of the codecs of vectors and windows.

    Args:
        model: any module.
        heads: whether the layers of frame codecs that read and write the whole 4x4 map are kernels too.
    """
    found = [kernel for kernel in model.parameters() if kernel.ndim == 4]
    for module in model.modules():
        if heads and isinstance(module, FrameEncoder | FrameDecoder):
            found += [matrix for matrix in module.head.parameters() if matrix.ndim == 2]
        if isinstance(module, VectorEncoder | VectorDecoder | WindowEncoder | WindowDecoder):
            found += [matrix for matrix in module.parameters() if matrix.ndim == 2]
    return found
