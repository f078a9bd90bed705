"""DBSE: the static code is read from a single element, and its features are subtracted from the others.

When to use it: the first choice for video with one subject per clip. It has two loss terms, needs no augmentation and
no mutual-information estimates, and the static and dynamic codes may have the same size.

Berman, Naiman, Arbiv, Fadlon, Azencot. "Sequential Disentanglement by Extracting Static Information From A Single
Sequence Element." ICML 2024. https://arxiv.org/abs/2406.18131

With features g_t of each element on its own, and i the anchor (by default the first element):

    q(s | x_i)            s~ = tanh(W g_i);  s ~ N(mu(s~), sigma^2(s~))                      section 4, "static"
    q(d_t | x_<=t)        h = LSTM(g_1 - g_i, .., n, .., g_T - g_i), n ~ N(0, I) at step i;
                          d_t ~ N(mu(h_t), sigma^2(h_t))                                     section 4, "dynamic"
    p(s) = N(0, I),       p(d_t | d_<t) an LSTM,       p(x_t | s, d_t)                       eq. (1)
    loss = SSE_{t != i} + alpha SSE_i + beta KL(q(s) || p(s)) + beta KL(q(d) || p(d))        eqs. (5) to (7)

alpha and the two betas are weights of the terms, set by the recipe.

Differs from the authors' code in: the dynamic posterior is causal, as in the paper (`bidirectional=True` gives their
two-layer bidirectional LSTM); the noise at the anchor step is zero in evaluation, so codes are repeatable; KL and
reconstruction follow eqs. (5) and (6), where their Sprites script adds the anchor's error a second time; the encoder's
last convolution and the decoder's first are written as the linear layers they are.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from unbraid.models.base import SequenceModel
from unbraid.nn.codecs import build_decoder, build_encoder, decode_steps, encode_steps
from unbraid.nn.likelihoods import reconstruction_error
from unbraid.nn.masks import inside, observed_steps, pick_step, take_step, zero_unobserved
from unbraid.nn.recurrent import GaussianHead, LSTMPrior, MaskedLSTM
from unbraid.registry import Card
from unbraid.types import Batch, Codes, Posterior, Terms, standard_normal

__all__ = ["DBSE"]

Anchor = Literal["first", "middle", "last", "random_run", "random_batch"] | int


class DBSE(SequenceModel):
    """Disentanglement by single-element extraction (Berman et al., ICML 2024).

    Args:
        observation: shape `*X` of one observation: `(C, H, H)` frames or `(F,)` vectors.
        static_size: size S of the static code.
        dynamic_size: size D of the dynamic code.
        features: size of an element's features g_t.
        width: channels of the first convolution (32: the paper's, 64: the authors' code), or of the first layer for
            vectors.
        hidden: size of the static path's hidden layer and of the prior's LSTM.
        anchor: the element that the static code is read from: "first", "middle", "last", an index, "random_run"
            (drawn once, when the model is built, from `anchor_seed`) or "random_batch" (drawn for every training
            batch; evaluation uses the first). Counted over the observed elements of each sequence.
        anchor_seed: of the anchor "random_run".
        subtract: whether the anchor's features are subtracted from the others' ("no sub" in the paper's Table 2 is
            False; "no loss" is a weight of zero on `reconstruction_anchor`).
        bidirectional: a two-layer bidirectional LSTM for the dynamic posterior, as in the authors' code, instead of
            the paper's causal one.
    """

    card = Card(
        name="dbse",
        title="Sequential Disentanglement by Extracting Static Information From A Single Sequence Element",
        authors="Berman, Naiman, Arbiv, Fadlon, Azencot",
        year=2024,
        venue="ICML",
        url="https://arxiv.org/abs/2406.18131",
        summary="static code from one element, whose features are subtracted from the others",
        capabilities=frozenset({"encode", "decode", "prior", "likelihood"}),
        deviations=(
            "causal dynamic posterior by default (the authors' code: two-layer bidirectional)",
            "the noise at the anchor step is zero in evaluation",
            "eq. (5) is followed: the anchor's error is not counted twice",
            "two KL weights instead of one may be set",
        ),
    )

    def __init__(
        self,
        observation: tuple[int, ...],
        static_size: int = 256,
        dynamic_size: int = 256,
        features: int = 128,
        width: int = 32,
        hidden: int = 256,
        anchor: Anchor = "first",
        anchor_seed: int = 0,
        subtract: bool = True,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.anchor, self.subtract = anchor, subtract
        if anchor == "random_run":
            self.anchor_share = torch.rand((), generator=torch.Generator().manual_seed(anchor_seed)).item()
        self.encoder = build_encoder(observation, features, width)
        self.static_path = nn.Sequential(nn.Linear(features, hidden), nn.Tanh())
        self.static_head = GaussianHead(hidden, static_size)
        self.dynamic_path = MaskedLSTM(features, dynamic_size, 2 if bidirectional else 1, bidirectional)
        self.dynamic_head = GaussianHead(self.dynamic_path.output_size, dynamic_size)
        self.dynamic_prior = LSTMPrior(dynamic_size, hidden)
        self.decoder = build_decoder(observation, static_size + dynamic_size, width)

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """q(s | x_i) and q(d | x); see the module's equations."""
        return self._posterior(x, mask, self._anchor_step(x, mask, generator), generator)

    def prior(self, dynamic: Float[Tensor, "B T D"]) -> Normal:
        """p(d_t | d_<t) along a path."""
        return self.dynamic_prior(dynamic)

    def roll(self, n: int, length: int, generator: torch.Generator | None = None) -> Float[Tensor, "n T D"]:
        """Draw dynamic paths from the prior."""
        return self.dynamic_prior.roll(n, length, generator)

    def decode(self, codes: Codes, mask: Bool[Tensor, "B T"] | None = None) -> Distribution:
        """p(x_t | s, d_t); for frames and vectors a normal of fixed variance, so its loss is the squared error."""
        static = codes.static.unsqueeze(1).expand(-1, codes.dynamic.shape[1], -1)
        return decode_steps(self.decoder, torch.cat([static, codes.dynamic], 2), mask)

    def terms(self, batch: Batch, generator: torch.Generator | None = None) -> Terms:
        """Squared error without the anchor and of the anchor (eq. 5), and the two KLs (eq. 6); `(B,)` each."""
        anchor = self._anchor_step(batch.x, batch.mask, generator)
        posterior = self._posterior(batch.x, batch.mask, anchor, generator)
        codes = posterior.sample(generator)
        steps = None if batch.mask is None else inside(batch.mask)
        error = reconstruction_error(
            self.decode(codes, steps), zero_unobserved(batch.x, batch.mask), batch.mask
        )
        anchor_error = take_step(error, anchor)
        return {
            "reconstruction": error.sum(1) - anchor_error,
            "reconstruction_anchor": anchor_error,
            "kl_static": self.kl_static(posterior),
            "kl_dynamic": self.kl_dynamic(posterior, codes, steps),
        }

    def _posterior(
        self, x: Tensor, mask: Tensor | None, anchor: Tensor, generator: torch.Generator | None
    ) -> Posterior:
        observed = None if mask is None else observed_steps(mask)
        g = encode_steps(self.encoder, x, mask)
        g_anchor = take_step(g, anchor)
        rest = g - g_anchor.unsqueeze(1) if self.subtract else g
        if observed is not None:
            rest = torch.where(observed.unsqueeze(2), rest, 0.0)
        noise = (
            standard_normal(tuple(g_anchor.shape), g, generator)
            if self.training
            else torch.zeros_like(g_anchor)
        )
        at_anchor = torch.arange(x.shape[1], device=x.device) == anchor.unsqueeze(1)
        rest = torch.where(at_anchor.unsqueeze(2), noise.unsqueeze(1), rest)
        h = self.dynamic_path(rest, None if mask is None else inside(mask))
        return Posterior(self.static_head(self.static_path(g_anchor)), self.dynamic_head(h))

    def _anchor_step(
        self, x: Tensor, mask: Tensor | None, generator: torch.Generator | None
    ) -> Int[Tensor, "B"]:
        """The anchor's step in each sequence, counted over its observed steps."""
        if self.anchor == "random_run":
            where: str | int | float = self.anchor_share
        elif self.anchor == "random_batch":
            device = None if generator is None else generator.device
            where = torch.rand((), generator=generator, device=device).item() if self.training else "first"
        else:
            where = self.anchor
        if mask is None:
            return pick_step(where, torch.full((len(x),), x.shape[1], device=x.device))
        observed = observed_steps(mask)
        order = torch.argsort(observed.logical_not().byte(), dim=1, stable=True)
        return take_step(order, pick_step(where, observed.sum(1)))
