"""GLR: the static code is read from a chunk at a random place, so it can only hold what shows everywhere in the series.

When to use it: on series in windows, where the static factor (a patient, a season) shows in every part. The dynamic code is
smooth over time.

Tonekaboni, Li, Arik, Goldenberg, Pfister. "Decoupling Local and Global Representations of Time Series." AISTATS 2022.
https://arxiv.org/abs/2202.02262

A step is a window. With L the length of a chunk, a share rho of the sequence, and a its random start:

    p(s) = N(0, I)
    p(d_{:,j}) = N(0, K_j)               Cauchy kernels for half of the dimensions j, squared exponentials for the others
    q(s | x) = N(mu(x_{a:a+L}), I)       a recurrent net over the chunk's windows; the variance is fixed
    q(d_{:,j} | x) = N(m_j, (U_j U_j^T)^-1)   each window on its own; U_j upper bidiagonal, so the precision is tridiagonal
    p(x_t | s, d_t)
    counterfactual: s* ~ N(0, I), x* ~ p(x | s*, d), mu* from a chunk of x*;
        R = mean_k exp(((s*_k - mu*_k)^2 - (s_k - mu*_k)^2) / 2)
    loss = -log p(x | s, d) + beta (KL_d + KL_s) + lambda R

R is the ratio of the densities of the old and of the new static code given x*: it is large when d still tells s. beta and lambda
are weights of the terms, set by the recipe; lambda = 0 is the ablation.

A chunk lies among the observed windows of its own sequence, never in the padding. In evaluation the code of s is the mean over
`chunks` chunks, evenly spread, so it is repeatable and depends little on the place of one chunk.

Differs from the authors' code: chunks lie within each sequence's own length (theirs reach into the padding, and on PhysioNet
a chunk is the whole record); the exponent of R is bounded by `highest_exponent` (theirs is unbounded); the bound is a sum over
values (theirs: means, and a KL weighted by the share of observed values); one draw per step; U as in `gp_vae`; windows
are read and written whole, with the mask, not row by row; x* is the decoder's mean where its variance is fixed.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from unbraid.cards import ModelCard
from unbraid.masks import inside, inside_steps, observed_steps, take_step, zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.nn.codecs import build_decoder, build_encoder, decode_steps, encode_steps
from unbraid.nn.distributions import JointNormal
from unbraid.nn.gaussian_process import GaussianProcess, TridiagonalHead
from unbraid.nn.likelihoods import SquaredErrorNormal, reconstruction_error
from unbraid.nn.statistics import keep_statistics
from unbraid.types import Batch, Codes, Posterior, Terms, draw, standard_normal, uniform

__all__ = ["GLR"]


class GLR(SequenceModel):
    """Global and local representations of a series (Tonekaboni et al., AISTATS 2022).

    Args:
        observation: shape `*X` of one observation: `(W, F)` windows, `(F,)` vectors or `(C, H, H)` frames.
        static_size: size S of the static code.
        dynamic_size: size D of the dynamic code, at least 2.
        features: size of a step's features.
        width: units of the first layer for vectors and windows, or channels of the first convolution.
        hidden: size of the recurrent net over a chunk, and of the layer between features and dynamic code.
        chunk: length of a chunk as a share of its sequence's observed steps.
        chunks: chunks that the static code is averaged over in evaluation.
        length_scale: longest length scale of the kernels, in steps.
        scales: number of length scales; each is half of the one before.
        highest_exponent: bound of the exponent in R; with a high one, single draws of s* outweigh the rest of a batch.

    Raises:
        ValueError: settings out of range, or observations without a codec.
    """

    card = ModelCard(
        name="glr",
        title="Decoupling Local and Global Representations of Time Series",
        authors="Tonekaboni, Li, Arik, Goldenberg, Pfister",
        year=2022,
        venue="AISTATS",
        url="https://arxiv.org/abs/2202.02262",
        summary="static code from a chunk at a random place, smooth dynamic code, a counterfactual term between them",
        capabilities=frozenset(
            {"encode", "decode", "static_prior", "dynamic_prior", "likelihood", "decoded_static"}
        ),
        deviations=(
            "chunks lie among the observed steps of their own sequence (authors' code: in the padding as well)",
            "in evaluation the static code is averaged over evenly spread chunks",
            "the exponent of the counterfactual term is bounded",
            "the bound is a sum over values and code dimensions; one draw per step",
            "posterior: neighbouring steps may be positively or negatively correlated (authors' code: negatively only)",
            "a window is read and written whole, with its mask; a chunk is read window by window",
        ),
        variants=({"chunk": 0.6, "chunks": 1}, {"scales": 1, "highest_exponent": 10.0}),
        symbols=(
            ("z_g", "static", "global code (our s)"),
            ("z_t", "dynamic[:, t]", "local code of window t (our d_t)"),
            ("rho", "chunk", "length of a chunk as a share of the sequence"),
            ("beta", "training.weights.kl_static, kl_dynamic", "weights of the KL terms"),
            ("lambda", "training.weights.counterfactual", "weight of the counterfactual term"),
        ),
    )

    def __init__(
        self,
        observation: tuple[int, ...],
        static_size: int = 8,
        dynamic_size: int = 8,
        features: int = 64,
        width: int = 32,
        hidden: int = 64,
        chunk: float = 0.3,
        chunks: int = 8,
        length_scale: float = 2.0,
        scales: int = 4,
        highest_exponent: float = 3.0,
    ) -> None:
        super().__init__(locals())
        if not 0 < chunk <= 1:
            raise ValueError(f"model.chunk: {chunk} must be a share above 0 and up to 1")
        if dynamic_size < 2:
            raise ValueError(f"model.dynamic_size: {dynamic_size} must be at least 2, one for each kernel")
        if highest_exponent <= 0:
            raise ValueError(f"model.highest_exponent: {highest_exponent} must be above 0")
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.chunk, self.chunks, self.highest_exponent = chunk, chunks, highest_exponent
        self.global_encoder = build_encoder(observation, features, width)
        self.over_chunk = nn.LSTM(features, hidden, batch_first=True)
        self.global_head = nn.Linear(hidden, static_size)
        self.encoder = build_encoder(observation, features, width)
        self.path = nn.Sequential(nn.Linear(features, hidden), nn.ReLU())
        self.head = TridiagonalHead(hidden, dynamic_size)
        self.process = GaussianProcess(dynamic_size, {"cauchy": 0.5, "rbf": 1.0}, length_scale, scales)
        self.decoder = build_decoder(observation, static_size + dynamic_size, width)

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """q(s | x), from one random chunk in training and from several fixed ones in evaluation, and q(d | x)."""
        mean = self.global_mean(x, mask, generator)
        dynamic = self.head(self.path(encode_steps(self.encoder, x, mask)))
        return Posterior(Normal(mean, torch.ones_like(mean), validate_args=False), dynamic)

    def prior(self, dynamic: Float[Tensor, "B T D"]) -> JointNormal:
        """p(d), joint over time; only the number of steps of `dynamic` is used."""
        return self.process(dynamic)

    def roll(self, n: int, length: int, generator: torch.Generator | None = None) -> Float[Tensor, "n T D"]:
        """Draw paths of the Gaussian processes."""
        return self.process(self.head.mean.weight.new_zeros(n, length, self.dynamic_size)).draw(generator)

    def decode(
        self,
        codes: Codes,
        mask: Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Distribution:
        """p(x_t | s, d_t)."""
        return decode_steps(self.decoder, codes.each_step(), mask)

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """The three terms of the bound and the counterfactual term R; `(B,)` each."""
        posterior = self.posterior(batch.x, batch.mask, generator)
        codes = posterior.sample(generator)
        steps = inside(batch.mask)
        x = zero_unobserved(batch.x, batch.mask)
        return {
            "reconstruction": reconstruction_error(self.decode(codes, steps), x, batch.mask).sum(1),
            "kl_static": self.kl_static(posterior),
            "kl_dynamic": self.kl_dynamic(posterior, codes, steps),
            "counterfactual": self._counterfactual(codes, inside_steps(x, batch.mask), generator),
        }

    def global_mean(
        self, x: Tensor, mask: Tensor | None, generator: torch.Generator | None = None
    ) -> Float[Tensor, "B S"]:
        """Mean of q(s | x): of one chunk at a random place in training, over `chunks` fixed places in evaluation."""
        g = encode_steps(self.global_encoder, x, mask)
        observed = g.new_ones(g.shape[:2], dtype=torch.bool) if mask is None else observed_steps(mask)
        observed_first = (~observed).long().argsort(dim=1, stable=True)
        g, count = g.take_along_dim(observed_first.unsqueeze(2), 1), observed.sum(1)
        if self.training:
            places = uniform((len(g), 1), g, generator)
        else:
            places = ((torch.arange(self.chunks, device=g.device) + 0.5) / self.chunks).expand(len(g), -1)
        return torch.stack([self._of_chunk(g, count, place) for place in places.unbind(1)]).mean(0)

    def _of_chunk(
        self, g: Float[Tensor, "B T features"], count: Int[Tensor, "B"], place: Float[Tensor, "B"]
    ) -> Float[Tensor, "B S"]:
        """The mean of s from the chunk at a place, 0 to 1, among the first `count` steps of each sequence."""
        length = (self.chunk * count.double()).ceil().long().clamp_min(1)
        start = (place * (count - length + 1)).long().minimum(count - length).clamp_min(0)
        longest = math.ceil(self.chunk * g.shape[1])
        step = (start.unsqueeze(1) + torch.arange(longest, device=g.device)).clamp_max(g.shape[1] - 1)
        h = self.over_chunk(g.take_along_dim(step.unsqueeze(2), 1))[0]
        return self.global_head(take_step(h, length - 1))

    def _counterfactual(
        self, codes: Codes, steps: Bool[Tensor, "B T"], generator: torch.Generator | None
    ) -> Float[Tensor, "B"]:
        """R: how much of s is still found after the same d was decoded with another static code."""
        other = standard_normal(tuple(codes.static.shape), codes.static, generator)
        p = self.decode(Codes(other, codes.dynamic), steps)
        made = p.mean if isinstance(p, SquaredErrorNormal) else draw(p, generator)
        with keep_statistics(self.global_encoder):
            mean = self.global_mean(made, steps, generator)
        exponent = 0.5 * ((other - mean).square() - (codes.static - mean).square())
        return exponent.clamp_max(self.highest_exponent).exp().mean(1)
