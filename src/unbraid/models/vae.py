"""VAE: every step is encoded and decoded on its own; the static code is the mean of the dynamic ones.

When to use it: as the lower bar of a comparison. It has no static code of its own, no prior over time, and nothing that
separates the static from the dynamic factor. A method that does not beat it has not disentangled anything.

Kingma, Welling. "Auto-Encoding Variational Bayes." ICLR 2014. https://arxiv.org/abs/1312.6114
On windows of a series, as a baseline: Tonekaboni, Li, Arik, Goldenberg, Pfister. "Decoupling Local and Global
Representations of Time Series." AISTATS 2022. https://arxiv.org/abs/2202.02262. It is the "VAE" of DBSE's tables 3 and 4.

    q(d_t | x_t) = N(mu(x_t), sigma^2(x_t)),    p(d_t) = N(0, I),    p(x_t | d_t)
    loss = sum_t -log p(x_t | d_t) + beta sum_t KL(q(d_t) || p(d_t))
    s    = mean of d_t over the observed steps; not decoded

beta is the weight of the term, set by the recipe. How the published tables obtain a static code for methods without one is
not established; the mean of the dynamic codes is our convention. Under q it is normal as well, so encoding and drawing
work as for every model. It is not part of the bound (the card lacks `decoded_static`), and a swap or an interpolation gives
the reconstruction of the sequence that supplies the dynamic codes.

Differs from the baseline's code: the bound is a sum over values (theirs: a mean over values, and a KL divided by the
number of features, so that the KL weighs as much as a window has rows); codes are posterior means of every window (theirs:
the code of one window at a random place); a window is read and written whole (theirs: row by row, with noise as the
decoder's input); the encoder reads the mask.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from unbraid.cards import ModelCard
from unbraid.masks import inside, mean_shares, zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.nn.codecs import build_decoder, build_encoder, decode_steps, encode_steps
from unbraid.nn.likelihoods import reconstruction_error
from unbraid.nn.recurrent import GaussianHead
from unbraid.types import Batch, Codes, Posterior, Terms, repeat, standard_normal

__all__ = ["VAE"]


class VAE(SequenceModel):
    """A variational autoencoder of single steps (Kingma and Welling, ICLR 2014), as a baseline.

    Args:
        observation: shape `*X` of one observation: `(C, H, H)` frames, `(W, F)` windows or `(F,)` vectors.
        dynamic_size: size D of the code of each step; the static code, their mean, has the same.
        features: size of a step's features.
        width: channels of the first convolution, or of the first layer for vectors and windows.
        hidden: size of the layer between features and code.
        samples: draws of the codes in a training step, over which the reconstruction is averaged.

    Raises:
        ValueError: settings out of range, or observations without a codec.
    """

    card = ModelCard(
        name="vae",
        title="Auto-Encoding Variational Bayes",
        authors="Kingma, Welling",
        year=2014,
        venue="ICLR",
        url="https://arxiv.org/abs/1312.6114",
        summary="every step on its own; static code = mean of the steps' codes; a baseline",
        capabilities=frozenset({"encode", "decode", "export", "static_prior", "dynamic_prior", "likelihood"}),
        deviations=(
            "no static code of its own: it is the mean of the dynamic codes over the observed steps, and not decoded",
            "the bound is a sum over values and code dimensions, with one weight on its KL",
            "windows: read and written whole, not row by row; the encoder reads the mask",
        ),
        variants=({"samples": 3},),
        symbols=(
            ("z_t", "dynamic[:, t]", "code of step t"),
            ("beta", "training.weights.kl_dynamic", "weight of the KL"),
        ),
    )

    def __init__(
        self,
        observation: tuple[int, ...],
        dynamic_size: int = 256,
        features: int = 128,
        width: int = 32,
        hidden: int = 256,
        samples: int = 1,
    ) -> None:
        super().__init__(locals())
        self.static_size = self.dynamic_size = dynamic_size
        self.samples = samples
        self.encoder = build_encoder(observation, features, width)
        self.path = nn.Sequential(nn.Linear(features, hidden), nn.ReLU())
        self.head = GaussianHead(hidden, dynamic_size)
        self.decoder = build_decoder(observation, dynamic_size, width)

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """q(d_t | x_t) of every step, and the distribution of the mean of d over the observed steps."""
        dynamic = self.head(self.path(encode_steps(self.encoder, x, mask)))
        share = mean_shares(x, mask).unsqueeze(2)
        mean = (share * dynamic.mean).sum(1)
        deviation = torch.square(share * dynamic.stddev).sum(1).sqrt()
        return Posterior(Normal(mean, deviation, validate_args=False), dynamic)

    def prior(self, dynamic: Float[Tensor, "B T D"]) -> Normal:
        """p(d_t) = N(0, I), independent of the steps before."""
        return Normal(torch.zeros_like(dynamic), torch.ones_like(dynamic), validate_args=False)

    def roll(self, n: int, length: int, generator: torch.Generator | None = None) -> Float[Tensor, "n T D"]:
        """Draw the codes of each step on its own."""
        return standard_normal((n, length, self.dynamic_size), self.head.mean.weight, generator)

    def decode(
        self,
        codes: Codes,
        mask: Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Distribution:
        """p(x_t | d_t); the static code is not read."""
        return decode_steps(self.decoder, codes.dynamic, mask)

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """The two terms of the bound; `(B,)` each."""
        posterior = self.posterior(batch.x, batch.mask)
        draws = Posterior(repeat(posterior.static, self.samples), repeat(posterior.dynamic, self.samples))
        codes, many = draws.sample(generator), batch.repeat(self.samples)
        steps = inside(many.mask)
        error = reconstruction_error(
            self.decode(codes, steps), zero_unobserved(many.x, many.mask), many.mask
        ).sum(1)
        return {
            "reconstruction": error.unflatten(0, (self.samples, -1)).mean(0),
            "kl_dynamic": self.kl_dynamic(posterior, posterior.mean, inside(batch.mask)),
        }
