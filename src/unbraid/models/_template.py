"""TEMPLATE: a sequential VAE in its plainest form. Copy this file to `models/<name>.py` and work through the TODOs.

TODO: when to use the method, in two or three sentences.

TODO: authors. "Title." Venue year. https://...

With features g_t of each step on its own:

    q(s | x)      from the mean of g_t over the observed steps                TODO: section or equation of the paper
    q(d_t | x_t)  from g_t
    p(s) = N(0, I),   p(d_t | d_<t) an LSTM,   p(x_t | s, d_t)
    loss = -log p(x | s, d) + KL(q(s) || p(s)) + KL(q(d) || p(d)), weights set by the recipe

TODO: where this differs from the authors' code, and why.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unbraid.cards import ModelCard
from unbraid.masks import inside, mean_of_features
from unbraid.models.sequential_vae import SequentialVAE
from unbraid.nn.codecs import build_decoder, build_encoder, encode_steps
from unbraid.nn.recurrent import GaussianHead, LSTMPrior
from unbraid.types import Batch, Posterior, Terms

__all__ = ["Template"]


class Template(SequentialVAE):
    """TODO: the method's name (authors, venue year).

    Args:
        observation: shape `*X` of one observation.
        static_size: size S of the static code.
        dynamic_size: size D of the dynamic code.
        features: size of a step's features g_t.
        width: channels of the first convolution, or units of the first layer for vectors and windows.
        hidden: size of the prior's LSTM.
    """

    card = ModelCard(
        name="template",  # TODO: the registered name, which is the file's
        title="TODO",
        authors="TODO",
        year=2026,
        venue="TODO",
        url="https://example.org",
        summary="TODO: one line",
        capabilities=frozenset(
            {"encode", "decode", "static_prior", "dynamic_prior", "likelihood", "decoded_static"}
        ),
        deviations=("TODO: one sentence for each difference from the paper or the authors' code",),
        variants=(),  # TODO: settings, beside the defaults, that the contract test should try
        symbols=(
            ("s", "static", "static code of the sequence"),
            ("d_t", "dynamic[:, t]", "dynamic code of step t"),
        ),
    )

    def __init__(
        self,
        observation: tuple[int, ...],
        static_size: int = 32,
        dynamic_size: int = 8,
        features: int = 64,
        width: int = 32,
        hidden: int = 64,
    ) -> None:
        super().__init__(locals())
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.encoder = build_encoder(observation, features, width)
        self.static_head = GaussianHead(features, static_size)
        self.dynamic_head = GaussianHead(features, dynamic_size)
        self.dynamic_prior = LSTMPrior(dynamic_size, hidden)
        self.decoder = build_decoder(observation, static_size + dynamic_size, width)

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """q(s | x) and q(d | x)."""
        g = encode_steps(self.encoder, x, mask)
        return Posterior(self.static_head(mean_of_features(g, mask)), self.dynamic_head(g))

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """Reconstruction error and the two KLs; `(B,)` each."""
        steps = inside(batch.mask)
        posterior = self.posterior(batch.x, batch.mask, generator)
        codes = posterior.sample(generator)
        return {
            "reconstruction": self.step_errors(batch, codes, steps).sum(1),
            "kl_static": self.kl_static(posterior),
            "kl_dynamic": self.kl_dynamic(posterior, codes, steps),
        }
