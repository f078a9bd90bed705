"""What the Koopman methods share: an autoencoder whose latent paths evolve linearly, and the error of predicted paths.

    z = LSTM(encoder(x)),   x^ = decoder(LSTM(z))         z = encoder(x) without `recurrent_encoder`
    z_{t+1} ~ z_t C         C by least squares with a small ridge, in float64

A method says whose steps one operator C is fitted to, which of its eigenvalues are static, and what its codes are.
"""

from abc import abstractmethod
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution

from unbraid.masks import inside, observed_values, zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.nn.codecs import build_decoder, build_encoder, decode_steps, encode_steps
from unbraid.nn.likelihoods import reconstruction_error
from unbraid.nn.recurrent import MaskedLSTM
from unbraid.types import Batch, Codes, uniform

__all__ = ["KoopmanAutoencoder", "consecutive", "mean_error", "mean_square", "operator_from_moments"]


def consecutive(
    z: Float[Tensor, "B T k"], steps: Bool[Tensor, "B T"]
) -> tuple[Float[Tensor, "B U k"], Float[Tensor, "B U k"]]:
    """The U = T - 1 pairs of consecutive latents in float64; zeros where a pair is not inside its sequence."""
    pair = (steps[:, :-1] & steps[:, 1:]).unsqueeze(2)
    z = z.double()
    return torch.where(pair, z[:, :-1], 0.0), torch.where(pair, z[:, 1:], 0.0)


def operator_from_moments(
    gram: Float[Tensor, "k k"], cross: Float[Tensor, "k k"], ridge: float
) -> Float[Tensor, "k k"]:
    """The C that minimises the mean of |x C - y|^2 plus ridge |C|^2, from the means of x'x and x'y."""
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve(gram + ridge * eye, cross)


class KoopmanAutoencoder(SequenceModel):
    """An autoencoder of latent paths. A constructor calls `_build`.

    Without a posterior there is no likelihood of the codes and no prior: static codes of other sequences are mixed.
    """

    static_mixture = 2
    encoder: nn.Module
    encoder_path: MaskedLSTM | None
    decoder_path: MaskedLSTM
    decoder: nn.Module

    @abstractmethod
    def _latents_of(self, codes: Codes) -> Float[Tensor, "B T k"]:
        """The latents that the codes stand for."""

    @final
    def _build(
        self,
        observation: tuple[int, ...],
        latent_size: int,
        hidden: int,
        width: int,
        recurrent_encoder: bool = True,
        dropout: float = 0.2,
    ) -> None:
        if not 0 <= dropout < 1:
            raise ValueError(f"model.dropout: {dropout} must be at least 0 and below 1")
        self.dropout = dropout
        self.encoder = build_encoder(observation, latent_size, width)
        self.encoder_path = MaskedLSTM(latent_size, latent_size) if recurrent_encoder else None
        self.decoder_path = MaskedLSTM(latent_size, hidden)
        self.decoder = build_decoder(observation, hidden, width)

    @final
    def latents(
        self, x: Float[Tensor, "B T *X"], mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T k"]:
        """The latent path z of each sequence; zeros outside."""
        steps = inside(mask)
        z = encode_steps(self.encoder, x, mask)
        return zero_unobserved(z if self.encoder_path is None else self.encoder_path(z, steps), steps)

    @final
    def decode(
        self,
        codes: Codes,
        mask: Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Distribution:
        """The sequence of the latents that the codes stand for."""
        return self._decode_latents(self._latents_of(codes), mask)

    @final
    def _decode_latents(self, z: Tensor, steps: Tensor | None) -> Distribution:
        return decode_steps(self.decoder, self.decoder_path(z, steps), steps)

    @final
    def _dropped_out(self, z: Tensor, generator: torch.Generator | None) -> Tensor:
        """The latents, of which in training a random share is set to zero."""
        if not self.training or not self.dropout:
            return z
        kept = uniform(tuple(z.shape), z, generator) >= self.dropout
        return z * kept / (1 - self.dropout)


def mean_error(p: Distribution, batch: Batch) -> Float[Tensor, "B"]:
    """-log p(x) of each sequence, a mean over its observed values; the squared error for frames and vectors."""
    error = reconstruction_error(p, zero_unobserved(batch.x, batch.mask), batch.mask).sum(1)
    return error / observed_values(batch.x, batch.mask).flatten(1).sum(1).clamp_min(1)


def mean_square(values: Float[Tensor, "B T *Y"], mask: Tensor | None) -> Float[Tensor, "B"]:
    """Mean square of each sequence's observed values."""
    squares = zero_unobserved(values.square(), mask).flatten(1).sum(1)
    return squares / observed_values(values, mask).flatten(1).sum(1).clamp_min(1)
