"""GP-VAE: the codes of all steps are one smooth path, a draw of a Gaussian process; there is no static code.

When to use it: on series with gaps, where the codes of neighbouring steps should be alike, and as a baseline of series
tables. It separates nothing: its static code is the mean of the path.

Fortuin, Baranchuk, Rätsch, Mandt. "GP-VAE: Deep Probabilistic Time Series Imputation." AISTATS 2020.
https://arxiv.org/abs/1907.04155
On windows of a series, as a baseline: Tonekaboni, Li, Arik, Goldenberg, Pfister. "Decoupling Local and Global
Representations of Time Series." AISTATS 2022. https://arxiv.org/abs/2202.02262. It is the "GP-VAE" of DBSE's tables 3 and 4.

For each dimension j of the dynamic code, over all steps at once:

    p(d_{:,j})     = N(0, K_j),   K_j(t, u) = sigma / (1 + (t - u)^2 / l_j^2) + 0.001 [t = u]      Cauchy kernel
    q(d_{:,j} | x) = N(m_j, (U_j U_j^T)^-1),   U_j upper bidiagonal                               tridiagonal precision
    p(x_t | d_t)
    loss = sum over observed values of -log p(x | d) + beta sum_j KL(q(d_{:,j}) || p(d_{:,j}))
    s    = mean of d_t over the observed steps; not decoded

The length scales l_j are l, l/2, l/4, ... for as many dimensions each. U_j^-T is the lower Cholesky factor of the
posterior's covariance; one triangular solve gives it. Sequences of different lengths have the KL of their own steps alone.

The original reads each step together with its neighbours, by a convolution over time (`context`, 3 in the paper's Sprites).
The windowed form of the tables reads each window on its own (`context=1`).

Differs from the authors' code: v_t, the entries of U beside its diagonal, may be negative (theirs are positive, which makes
neighbouring steps opposed, never alike); encoders and decoders are this package's for the kind of observation; one draw
per step, no importance weights. Differs from the windowed code: the bound is a sum over values (theirs: means, with which the
codes collapse), and the decoder has no noise as its input. How the published tables obtain a static code is not
established; the mean of the path is our convention, as for `vae`.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from unbraid.cards import ModelCard
from unbraid.masks import inside, mean_shares, zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.nn.codecs import build_decoder, build_encoder, decode_steps, encode_steps
from unbraid.nn.distributions import JointNormal
from unbraid.nn.gaussian_process import GaussianProcess, TridiagonalHead
from unbraid.nn.likelihoods import reconstruction_error
from unbraid.types import Batch, Codes, Posterior, Terms

__all__ = ["GPVAE"]


class GPVAE(SequenceModel):
    """A variational autoencoder with a Gaussian process over the codes of all steps (Fortuin et al., AISTATS 2020).

    Args:
        observation: shape `*X` of one observation: `(C, H, H)` frames, `(W, F)` windows or `(F,)` vectors.
        dynamic_size: size D of the code of each step; the static code, their mean, has the same.
        features: size of a step's features.
        width: channels of the first convolution, or of the first layer for vectors and windows.
        hidden: size of the two layers between features and code.
        context: steps that the code of a step is read from, an odd number; 1 for the windowed form.
        length_scale: longest length scale l of the kernels, in steps.
        scales: number of length scales; each is half of the one before.
        variance: sigma of the kernels.

    Raises:
        ValueError: settings out of range, or observations without a codec.
    """

    card = ModelCard(
        name="gp_vae",
        title="GP-VAE: Deep Probabilistic Time Series Imputation",
        authors="Fortuin, Baranchuk, Rätsch, Mandt",
        year=2020,
        venue="AISTATS",
        url="https://arxiv.org/abs/1907.04155",
        summary="the codes of all steps are one draw of a Gaussian process; static code = their mean; a baseline",
        capabilities=frozenset({"encode", "decode", "static_prior", "dynamic_prior", "likelihood"}),
        deviations=(
            "no static code of its own: it is the mean of the dynamic codes over the observed steps, and not decoded",
            "posterior: neighbouring steps may be positively or negatively correlated (authors' code: negatively only)",
            "encoders and decoders are shared with the other methods; one draw, no importance weights",
            "windows: the bound is a sum over values; the decoder gets no noise as its input; the encoder reads the mask",
        ),
        variants=({"context": 1}, {"scales": 1, "length_scale": 7.0, "variance": 1.005}),
        symbols=(
            ("z_t", "dynamic[:, t]", "code of step t (the paper's z_t, our d_t)"),
            ("K_j", "process.covariance(T)[j]", "prior covariance of dimension j over time"),
            ("sigma, l", "variance, length_scale", "variance and length scale of the kernels"),
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
        context: int = 3,
        length_scale: float = 2.0,
        scales: int = 4,
        variance: float = 1.0,
    ) -> None:
        super().__init__(locals())
        if context < 1 or context % 2 == 0:
            raise ValueError(f"model.context: {context} must be an odd number of steps, at least 1")
        if variance <= 0:
            raise ValueError(f"model.variance: {variance} must be above 0")
        self.static_size = self.dynamic_size = dynamic_size
        self.encoder = build_encoder(observation, features, width)
        self.over_time = nn.Conv1d(features, hidden, context, padding=context // 2)
        self.path = nn.Sequential(nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.head = TridiagonalHead(hidden, dynamic_size)
        self.process = GaussianProcess(dynamic_size, {"cauchy": variance}, length_scale, scales)
        self.decoder = build_decoder(observation, dynamic_size, width)

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """q(d | x), joint over time, and the distribution of the mean of d over the observed steps."""
        g = encode_steps(self.encoder, x, mask)
        dynamic = self.head(self.path(self.over_time(g.mT).mT))
        share = mean_shares(x, mask)
        mean = (share.unsqueeze(2) * dynamic.mean).sum(1)
        # The variance of a weighted sum w^T d is the squared length of L^T w, with L the Cholesky factor.
        deviation = (share[:, None, :, None] * dynamic.scale_tril).sum(2).square().sum(2).sqrt()
        return Posterior(Normal(mean, deviation, validate_args=False), dynamic)

    def prior(self, dynamic: Float[Tensor, "B T D"]) -> JointNormal:
        """p(d), joint over time; only the number of steps of `dynamic` is used."""
        return self.process(dynamic)

    def roll(self, n: int, length: int, generator: torch.Generator | None = None) -> Float[Tensor, "n T D"]:
        """Draw paths of the Gaussian process."""
        return self.process(self.head.mean.weight.new_zeros(n, length, self.dynamic_size)).draw(generator)

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
        codes = posterior.sample(generator)
        steps = inside(batch.mask)
        x = zero_unobserved(batch.x, batch.mask)
        return {
            "reconstruction": reconstruction_error(self.decode(codes, steps), x, batch.mask).sum(1),
            "kl_dynamic": self.kl_dynamic(posterior, codes, steps),
        }
