"""DSVAE: one latent for the sequence, one per step, and nothing but the evidence lower bound.

When to use it: as the baseline that every later method starts from. The structure alone separates the codes: s is shared
by all steps, and d_t is small and follows a recurrent prior.

Li (Yingzhen), Mandt. "Disentangled Sequential Autoencoder." ICML 2018. https://arxiv.org/abs/1803.02991

With features g_t of each step on its own:

    p(s) = N(0, I),   p(d_t | d_<t) an LSTM,   p(x_t | s, d_t)
    q(s | x_{1:T})       a bidirectional LSTM over g, its last outputs in both directions
    q(d | x)             "factorised": prod_t q(d_t | x_t), a layer on g_t
                         "full": q(d_{1:T} | s, x_{1:T}), a bidirectional LSTM over (g_t, s), then a recurrent net
    loss = -log p(x | s, d) + KL(q(s) || p(s)) + sum_t KL(q(d_t) || p(d_t | d_<t)), all weights 1 in the paper

Differs from the paper: encoder and decoder are this package's for the kind of observation, so that all methods share them,
and the hidden sizes are those of C-DSVAE (https://arxiv.org/abs/2110.12091), whose tables hold DSVAE's scores on that
backbone. Frames are in [0, 1]. The prior reads the posterior's draws d_<t, as the bound asks; the best known
reimplementation compares with a path that runs freely. The authors published no code for the model.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Normal

from unbraid.cards import ModelCard
from unbraid.masks import inside
from unbraid.models.sequential_vae import SequentialVAE
from unbraid.nn.codecs import build_decoder, build_encoder, encode_steps
from unbraid.nn.recurrent import GaussianHead, LSTMPrior, MaskedLSTM, last_outputs
from unbraid.types import Batch, Codes, Posterior, Terms, draw

__all__ = ["DSVAE"]


class DSVAE(SequentialVAE):
    """Disentangled sequential autoencoder (Li and Mandt, ICML 2018).

    Args:
        observation: shape `*X` of one observation.
        static_size: size S of the static code.
        dynamic_size: size D of the dynamic code; a small size is all that keeps the static factor out of it.
        features: size of a step's features g_t.
        width: channels of the first convolution, or units of the first layer for vectors and windows.
        hidden: size of the LSTMs in each direction, and of the prior's.
        dynamic_posterior: "factorised" (each step on its own) or "full" (given s and all steps).
        decoder_width: width of the decoder; None for `width`. A wider one draws sharper frames, and trains for longer.
        edges: of frames, share of the reconstruction error that counts differences between neighbouring pixels (ours), for
            sharp edges; see `unbraid.nn.likelihoods.reconstruction_error`.
    """

    card = ModelCard(
        name="dsvae",
        title="Disentangled Sequential Autoencoder",
        authors="Li, Mandt",
        year=2018,
        venue="ICML",
        url="https://arxiv.org/abs/1803.02991",
        summary="the plain sequential VAE with a static and a dynamic code, factorised or full posterior",
        capabilities=frozenset(
            {"encode", "decode", "export", "static_prior", "dynamic_prior", "likelihood", "decoded_static"}
        ),
        deviations=(
            "encoder and decoder are shared with the other methods; hidden sizes are those of C-DSVAE's baseline",
            "frames in [0, 1] and a sigmoid (a reimplementation: [-1, 1] and a tanh)",
            "ours: on request a decoder wider than the encoder (`decoder_width`), and an error of edges (`edges`)",
        ),
        variants=({"dynamic_posterior": "factorised", "decoder_width": 6},),
        symbols=(
            ("f", "static", "static code of the sequence (the paper's f, our s)"),
            ("z_t", "dynamic[:, t]", "dynamic code of step t (the paper's z_t, our d_t)"),
            ("q(z | f, x)", "Posterior.dynamic_given", "the full posterior of the dynamic code"),
        ),
    )

    def __init__(
        self,
        observation: tuple[int, ...],
        static_size: int = 256,
        dynamic_size: int = 32,
        features: int = 128,
        width: int = 64,
        hidden: int = 256,
        dynamic_posterior: Literal["factorised", "full"] = "full",
        decoder_width: int | None = None,
        edges: float = 0.0,
    ) -> None:
        super().__init__(locals())
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.encoder = build_encoder(observation, features, width)
        self.static_path = MaskedLSTM(features, hidden, bidirectional=True)
        self.static_head = GaussianHead(2 * hidden, static_size)
        if dynamic_posterior == "factorised":
            self.step_path = nn.Sequential(nn.Linear(features, hidden), nn.LeakyReLU(0.2))
        else:
            self.both_ways = MaskedLSTM(features + static_size, hidden, bidirectional=True)
            self.onwards = nn.RNN(2 * hidden, hidden, batch_first=True)
        self.full = dynamic_posterior == "full"
        self.dynamic_head = GaussianHead(hidden, dynamic_size)
        self.dynamic_prior = LSTMPrior(dynamic_size, hidden)
        self.decoder = build_decoder(
            observation, static_size + dynamic_size, width, decoder_width, edges=edges
        )

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """q(s | x) and q(d | x), or q(d | s, x)."""
        g, steps = encode_steps(self.encoder, x, mask), inside(mask)
        static = self._static(g, steps)
        dynamic = self._dynamic(g, steps, static.mean)
        return Posterior(static, dynamic, (lambda s: self._dynamic(g, steps, s)) if self.full else None)

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """Squared error and the two KLs; `(B,)` each."""
        g = encode_steps(self.encoder, batch.x, batch.mask)
        steps = inside(batch.mask)
        static = self._static(g, steps)
        s = draw(static, generator)
        posterior = Posterior(static, self._dynamic(g, steps, s))
        codes = Codes(s, draw(posterior.dynamic, generator))
        return {
            "reconstruction": self.step_errors(batch, codes, steps).sum(1),
            "kl_static": self.kl_static(posterior),
            "kl_dynamic": self.kl_dynamic(posterior, codes, steps),
        }

    def _static(self, g: Tensor, steps: Tensor | None) -> Normal:
        return self.static_head(last_outputs(self.static_path(g, steps), steps))

    def _dynamic(self, g: Tensor, steps: Tensor | None, s: Tensor) -> Normal:
        if not self.full:
            return self.dynamic_head(self.step_path(g))
        with_static = torch.cat([g, s.unsqueeze(1).expand(-1, g.shape[1], -1)], 2)
        return self.dynamic_head(self.onwards(self.both_ways(with_static, steps))[0])
