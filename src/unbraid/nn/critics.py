"""Critics of steps and of clips: logits that are high for real observations, by kind.

Critics of frames (MoCoGAN, CVPR 2018): convolutions of kernel 4 and stride 2 with w, 2w, 4w (8w) channels, leaky ReLU and,
from the second on, batch norm. The critic of steps judges patches; that of clips has kernels of `TEMPORAL_KERNEL` steps and
judges the neighbourhood of each step. Critics of vectors (ours) are linear layers and convolutions over time.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unbraid.kinds import kind_of
from unbraid.nn.batch_norm import BatchNorm2d, BatchNorm3d
from unbraid.nn.frames import check_size
from unbraid.types import standard_normal

__all__ = ["TEMPORAL_KERNEL", "ClipCritic", "StepCritic"]

TEMPORAL_KERNEL = 3  # steps that a critic of clips compares at a time


class _Blocks(nn.Module):
    """Blocks of layers, with Gaussian noise of deviation `noise` added to the input of each while training."""

    def __init__(self, blocks: list[nn.Module], noise: float) -> None:
        super().__init__()
        self.blocks, self.noise = nn.ModuleList(blocks), noise

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        for block in self.blocks:
            if self.training and self.noise:
                x = x + self.noise * standard_normal(tuple(x.shape), x, generator)
            x = block(x)
        return x


class StepCritic(nn.Module):
    """Logits of single observations: `(M, *X)` -> `(M, patches)`; vectors have one patch.

    Args:
        observation: shape of frames or vectors.
        width: channels of the first convolution, or units of the layers.
        noise: deviation of the noise added before each layer while training.

    Raises:
        ValueError: windows, or frames of a size that cannot be read.
    """

    def __init__(self, observation: tuple[int, ...], width: int, noise: float) -> None:
        super().__init__()
        self.frames = _is_frames(observation)
        if self.frames:
            channels, _ = check_size(observation)
            sizes = [channels, width, 2 * width, 4 * width]
            blocks: list[nn.Module] = [
                _block(nn.Conv2d(a, b, 4, 2, 1, bias=False), i and BatchNorm2d(b))
                for i, (a, b) in enumerate(pairwise(sizes))
            ]
            blocks.append(nn.Conv2d(sizes[-1], 1, 4, 2, 1, bias=False))
        else:
            sizes = [*observation, 2 * width, 2 * width]
            blocks = [_block(nn.Linear(a, b), None) for a, b in pairwise(sizes)]
            blocks.append(nn.Linear(sizes[-1], 1))
        self.layers = _Blocks(blocks, noise)

    def forward(
        self, x: Float[Tensor, "M *X"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "M patches"]:
        """The logits of M observations."""
        return self.layers(2 * x - 1 if self.frames else x, generator).flatten(1)


class ClipCritic(nn.Module):
    """Logits of the neighbourhood of each step of a clip: `(B, T, *X)` -> `(B, T)`.

    Args:
        observation: shape of frames or vectors.
        width: channels of the first convolution, or units of the layers.
        noise: deviation of the noise added before each layer while training.

    Raises:
        ValueError: windows, or frames of a size that cannot be read.
    """

    def __init__(self, observation: tuple[int, ...], width: int, noise: float) -> None:
        super().__init__()
        self.frames, k = _is_frames(observation), TEMPORAL_KERNEL
        if self.frames:
            channels, size = check_size(observation)
            halvings = size.bit_length() - 3
            sizes = [channels, *(width * min(2**i, 8) for i in range(halvings))]
            blocks: list[nn.Module] = [
                _block(
                    nn.Conv3d(a, b, (k, 4, 4), (1, 2, 2), (k // 2, 1, 1), bias=False), i and BatchNorm3d(b)
                )
                for i, (a, b) in enumerate(pairwise(sizes))
            ]
            blocks.append(nn.Conv3d(sizes[-1], 1, (k, 4, 4), padding=(k // 2, 0, 0), bias=False))
        else:
            sizes = [*observation, 2 * width, 2 * width]
            blocks = [_block(nn.Conv1d(a, b, k, padding=k // 2), None) for a, b in pairwise(sizes)]
            blocks.append(nn.Conv1d(sizes[-1], 1, k, padding=k // 2))
        self.layers = _Blocks(blocks, noise)

    def forward(
        self, x: Float[Tensor, "B T *X"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "B T"]:
        """The logits of B clips."""
        x = x.transpose(1, 2)
        return self.layers(2 * x - 1 if self.frames else x, generator).flatten(1)


def _is_frames(observation: tuple[int, ...]) -> bool:
    kind = kind_of(observation)
    if kind == "windows":
        raise ValueError(
            f"observation: {observation} is a window of a series; critics read frames (C, H, H) or vectors (F,)"
        )
    return kind == "frames"


def _block(layer: nn.Module, norm: nn.Module | int | None) -> nn.Module:
    norms = [norm] if isinstance(norm, nn.Module) else []
    return nn.Sequential(layer, *norms, nn.LeakyReLU(0.2))
