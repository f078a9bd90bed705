"""Encoders and decoders of single observations, by kind.

An encoder has `reads_mask` (whether the mask is part of its input) and `kernels`; a decoder has `likelihood`, which turns
its output into p(x), and `kernels`. To add a kind, add its two modules to `CODECS`.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution

from unbraid.kinds import Kind, kind_of
from unbraid.masks import apply_to_steps, observed_steps, observed_values, zero_unobserved
from unbraid.nn.frames import FrameDecoder, FrameEncoder
from unbraid.nn.statistics import keep_statistics
from unbraid.nn.vectors import VectorDecoder, VectorEncoder
from unbraid.nn.windows import WindowDecoder, WindowEncoder
from unbraid.types import View

__all__ = [
    "CODECS",
    "build_decoder",
    "build_encoder",
    "decode_steps",
    "encode_steps",
    "encode_view",
    "kernels",
]

CODECS: dict[Kind, tuple[type[nn.Module], type[nn.Module]]] = {
    "frames": (FrameEncoder, FrameDecoder),
    "vectors": (VectorEncoder, VectorDecoder),
    "windows": (WindowEncoder, WindowDecoder),
    "sound": (VectorEncoder, VectorDecoder),
}
"""Kind to encoder and decoder."""


def build_encoder(observation: tuple[int, ...], features: int, width: int) -> nn.Module:
    """An encoder `(M, *X) -> (M, features)` for observations of the given shape; see `encode_steps`.

    Raises:
        ValueError: no kind has observations of this shape.
    """
    return CODECS[kind_of(observation)][0](observation, features, width)


def build_decoder(
    observation: tuple[int, ...],
    latent: int,
    width: int,
    decoder_width: int | None = None,
    code_units: int | None = None,
    edges: float = 0.0,
) -> nn.Module:
    """A decoder `(M, latent) -> (M, *X)` for observations of the given shape; see `decode_steps`.

    Args:
        observation: shape `*X` of one observation.
        latent: size of the code.
        width: channels of the largest map, or units of a layer.
        decoder_width: the same, where the decoder is not as wide as the encoder; None for `width`.
        code_units: of frames, units of a hidden layer between the code and the first map; None for no such layer.
        edges: of frames, share of the reconstruction error that counts differences between neighbouring pixels; see
            `unbraid.nn.likelihoods.reconstruction_error`.

    Raises:
        ValueError: no kind has observations of this shape, a setting is out of its range, or `code_units` or `edges` of
            observations that are no frames.
    """
    decoder = CODECS[kind_of(observation)][1]
    if decoder_width is not None:
        if decoder_width < 1:
            raise ValueError(f"model.decoder_width: {decoder_width} must be at least 1, or leave it out")
        width = decoder_width
    if not 0 <= edges < 1:
        raise ValueError(f"model.edges: {edges} must be at least 0 and below 1")
    if code_units is not None and code_units < 1:
        raise ValueError(f"model.code_units: {code_units} must be at least 1, or leave it out")
    if kind_of(observation) == "frames":
        return decoder(observation, latent, width, code_units, edges)
    for name, value in (("code_units", code_units), ("edges", edges)):
        if value:
            raise ValueError(f"model.{name}: is for frames, found observations {observation}; leave it out")
    return decoder(observation, latent, width)


def encode_steps(
    encoder: nn.Module, x: Float[Tensor, "B T *X"], mask: Tensor | None = None
) -> Float[Tensor, "B T features"]:
    """Features of each step on its own; steps with no observed value come back as zeros.

    Args:
        encoder: of `build_encoder`.
        x: observations; unobserved values are not read.
        mask: `(B, T)` or `(B, T, *X)`, True = observed.
    """
    observed = None if mask is None else observed_steps(mask)
    values = zero_unobserved(x, mask)
    if encoder.reads_mask:
        values = torch.cat([values, observed_values(x, mask).to(x.dtype)], 3)
    return apply_to_steps(encoder, values, observed)


def encode_view(encoder: nn.Module, view: View, g: Float[Tensor, "B T features"]) -> Tensor:
    """Features of a view of x; `g` are those of x, reordered when the view only reorders steps.

    The running statistics of batch norm are left alone.
    """
    if view.order is not None:
        return g.take_along_dim(view.order.unsqueeze(2), 1)
    with keep_statistics(encoder):
        return encode_steps(encoder, view.x, view.mask)


def decode_steps(
    decoder: nn.Module, z: Float[Tensor, "B T latent"], steps: Bool[Tensor, "B T"] | None = None
) -> Distribution:
    """p(x_t | z_t) of each step on its own; steps outside `steps` are not decoded, their mean is zero.

    Frames and vectors have a fixed variance (`SquaredErrorNormal`), windows a learned one (`BoundedNormal`).
    """
    y = apply_to_steps(decoder, z, steps)
    return decoder.likelihood(y.float() if y.dtype == torch.bfloat16 else y)  # type: ignore[operator]


def kernels(model: nn.Module, heads: bool = False) -> list[nn.Parameter]:
    """Parameters that Muon may train: kernels of convolutions, and matrices of the codecs of vectors and windows.

    Args:
        model: any module.
        heads: whether the layers of frame codecs that read and write the whole 4x4 map are included.
    """
    codecs = [module for module in model.modules() if hasattr(module, "kernels")]
    own = [kernel for codec in codecs for kernel in codec.kernels(heads)]  # type: ignore[operator]
    listed = {id(kernel) for kernel in own}
    return own + [kernel for kernel in model.parameters() if kernel.ndim == 4 and id(kernel) not in listed]
