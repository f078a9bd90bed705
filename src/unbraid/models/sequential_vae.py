"""What sequential VAEs share: an encoder and a decoder of single steps, an LSTM prior, and the terms of the bound.

    p(s) = N(0, I),   p(d_t | d_<t) an LSTM,   p(x_t | s, d_t)

A method adds its posterior and its objective.
"""

from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from unbraid.masks import zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.nn.codecs import decode_steps
from unbraid.nn.likelihoods import reconstruction_error
from unbraid.nn.recurrent import LSTMPrior
from unbraid.types import Batch, Codes

__all__ = ["SequentialVAE"]


class SequentialVAE(SequenceModel):
    """A sequence model whose steps are decoded one by one from (s, d_t), with an LSTM prior of d.

    A constructor sets `encoder` and `decoder` (see `unbraid.nn.codecs`) and `dynamic_prior`.
    """

    encoder: nn.Module
    decoder: nn.Module
    dynamic_prior: LSTMPrior

    @final
    def prior(self, dynamic: Float[Tensor, "B T D"]) -> Normal:
        """p(d_t | d_<t) along a path."""
        return self.dynamic_prior(dynamic)

    @final
    def roll(self, n: int, length: int, generator: torch.Generator | None = None) -> Float[Tensor, "n T D"]:
        """Draw dynamic paths from the prior."""
        return self.dynamic_prior.roll(n, length, generator)

    @final
    def decode(
        self,
        codes: Codes,
        mask: Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Distribution:
        """p(x_t | s, d_t). Its loss is the squared error for frames and vectors, a likelihood for windows."""
        return decode_steps(self.decoder, codes.each_step(), mask)

    @final
    def step_errors(
        self, batch: Batch, codes: Codes, steps: Bool[Tensor, "B T"] | None
    ) -> Float[Tensor, "B T"]:
        """-log p(x_t | s, d_t) of every step, over its observed values."""
        x = zero_unobserved(batch.x, batch.mask)
        return reconstruction_error(self.decode(codes, steps), x, batch.mask)
