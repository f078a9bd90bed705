"""R-WAE: a recurrent Wasserstein autoencoder: the codes of all sequences together match their priors, not each one's.

When to use it: where a KL divergence of every posterior to the prior blurs the reconstruction or empties the codes. It
compares the codes of a batch with draws from the priors, which is rough in small batches. A training step costs little more than
one of DBSE.

Han (Jun), Min, Han (Ligong), Li, Zhang. "Disentangled Recurrent Wasserstein Autoencoder." ICLR 2021.
https://arxiv.org/abs/2101.07496

With features g_t of each step on its own:

    p(s) = N(0, I),   p(d_t | d_<t) an LSTM
    p(x_t | h_t)         h an LSTM over (s, d_t): the path from the codes to the observations is recurrent; on request h_t = (s, d_t)
    q(s | x_{1:T})       the last output of an LSTM e over g
    q(d_t | d_<t, x_<=t) a second LSTM over (e_t, d_t-1); on request (ours) over (s, g_t, d_t-1)
    loss = sum_t |x_t - x^_t|^2 + beta_1 D(Q_s, p(s)) + beta_2 sum_t D(Q_d_t, p(d_t | d_<t))

Q is the aggregated posterior, of which a batch holds draws. D is the squared maximum mean discrepancy with inverse
multiquadratic kernels (`unbraid.objectives.mmd`). d_t is compared with the prior along the same path: the residuals
(d_t - mu(d_<t)) / sigma(d_<t) are compared with N(0, I), which trains both the encoder and the prior.

    divergence "mmd"     D(Q_s, p(s)) is the discrepancy
    divergence "gan"     a critic, in a phase of its own, learns to separate s from draws of p(s); the encoder minimises
                         -log of the probability that the critic gives to its s being a draw of p(s)

A discrepancy is no cost of information: it asks how the codes of all sequences spread, not how much each says of its sequence.
So it does not decide which code takes up a factor that both could hold, such as the direction of a walk. `kl_at_first`
(ours) adds the KL divergences of a sequential VAE. Their weights decide it, and fall to 0 before the end of training (in our
recipes after three quarters); while they count, a step of `puppets/r_wae` takes about a fifth longer:

    kl_static = KL(q(s | x) || p(s)),   kl_dynamic = sum_t KL(q(d_t | d_<t, x_<=t) || p(d_t | d_<t))

There is no code of the authors, and we could not read the paper beyond abstract and figures: this is a re-implementation
from the published description. The form of the loss, the kernels, the critic and all sizes are ours, as is the lower bound
on the encoder's deviations: without one the posteriors shrink to points, and drawn codes fall between them. Left out: the
weakly supervised form, which adds a categorical code for the action.
"""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution, Normal
from torch.nn.functional import softplus

from unbraid.cards import ModelCard
from unbraid.masks import inside, last_step, zero_unobserved
from unbraid.models.base import Phase, SequenceModel
from unbraid.nn.codecs import build_decoder, build_encoder, decode_steps, encode_steps
from unbraid.nn.distributions import RolledNormal
from unbraid.nn.likelihoods import reconstruction_error
from unbraid.nn.recurrent import GaussianHead, LSTMPrior, MaskedLSTM
from unbraid.nn.statistics import keep_statistics
from unbraid.objectives.mmd import Kernel, mmd
from unbraid.processes import gather
from unbraid.types import Batch, Codes, Posterior, Terms, draw, standard_normal

__all__ = ["RWAE"]

KLS = frozenset({"kl_static", "kl_dynamic"})


class RWAE(SequenceModel):
    """Disentangled recurrent Wasserstein autoencoder (Han et al., ICLR 2021).

    Args:
        observation: shape `*X` of one observation.
        static_size: size S of the static code.
        dynamic_size: size D of the dynamic code.
        features: size of a step's features g_t.
        width: channels of the first convolution, or units of the first layer for vectors and windows.
        hidden: size of all LSTMs.
        divergence: how the static codes of a batch are compared with draws of their prior: "mmd" or "gan" (a critic).
            Dynamic codes are always compared by "mmd".
        kernel: of the discrepancy: "inverse_multiquadratic" or "rbf"; see `unbraid.objectives.mmd`.
        critic: units of both hidden layers of the critic.
        dynamic_posterior: what the posterior of d_t reads: "causal" (the observations up to step t, through the LSTM of
            s, and d before it, as published) or "given_static" (s, the observations up to step t and d before it, through an
            LSTM of its own, so that d need not repeat what s says).
        recurrent_decoder: whether an LSTM stands between the codes and the decoder, as published. With one, s alone can make
            a motion; without one, what changes has to stand in d.
        least_deviation: lower bound of the standard deviations of both posteriors.
        first_deviation: standard deviation, about, that both posteriors start with. With a large one the first draws of a
            code are mostly noise, and the decoder can learn to ignore that code.
        kl_at_first: whether there are terms `kl_static` and `kl_dynamic` as well. Without weights of their own they count to
            the end; a recipe lets them fall to 0 before it.
        decoder_width: width of the decoder; None for `width`. A wider one draws sharper frames, and trains for longer.
        edges: of frames, share of the reconstruction error that counts differences between neighbouring pixels (ours), for
            sharp edges; see `unbraid.nn.likelihoods.reconstruction_error`.

    Raises:
        ValueError: a bound below 0, a first deviation that is not above 0, or observations without a codec.
    """

    card = ModelCard(
        name="r_wae",
        title="Disentangled Recurrent Wasserstein Autoencoder",
        authors="Han (Jun), Min, Han (Ligong), Li, Zhang",
        year=2021,
        venue="ICLR",
        url="https://arxiv.org/abs/2101.07496",
        summary="Wasserstein autoencoder with a recurrent decoder; the codes of a batch match their priors",
        capabilities=frozenset({"encode", "decode", "static_prior", "dynamic_prior", "decoded_static"}),
        deviations=(
            "a re-implementation from the published description (abstract and figures); there is no code of the authors",
            "ours: the form of the loss, the kernels and their scales, the critic, all sizes and the weights",
            "ours: the posteriors' deviations have a lower bound (`least_deviation`) and a choice of where they start "
            "(`first_deviation`)",
            "the dynamic codes are compared as residuals of the prior along their own path, by the discrepancy in both forms",
            "whether the published scores are of the discrepancy or of the critic is not known",
            "ours: on request a decoder without its LSTM (`recurrent_decoder`)",
            'ours: on request d is read given s as well (`dynamic_posterior="given_static"`), after DSVAE',
            "ours: on request KL divergences of both codes to their priors, for a part of training (`kl_at_first`)",
            "left out: the weakly supervised form with a code for the action",
            "ours: on request a decoder wider than the encoder (`decoder_width`), and an error of edges (`edges`)",
        ),
        variants=(
            {"divergence": "gan", "critic": 7},
            {"kernel": "rbf", "least_deviation": 0.2},
            {"recurrent_decoder": False, "first_deviation": 0.1, "kl_at_first": True, "decoder_width": 6},
            {"dynamic_posterior": "given_static"},
        ),
        symbols=(
            ("z^c", "static", "static code of the sequence (the paper's z^c, our s)"),
            ("z^m_t", "dynamic[:, t]", "dynamic code of step t (the paper's z^m_t, our d_t)"),
            ("beta_1", "training.weights.mmd_static, adversarial_static", "weight of the divergence of s"),
            ("beta_2", "training.weights.mmd_dynamic", "weight of the divergence of d"),
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
        divergence: Literal["mmd", "gan"] = "mmd",
        kernel: Kernel = "inverse_multiquadratic",
        critic: int = 512,
        dynamic_posterior: Literal["causal", "given_static"] = "causal",
        recurrent_decoder: bool = True,
        least_deviation: float = 0.05,
        first_deviation: float = 1.0,
        kl_at_first: bool = False,
        decoder_width: int | None = None,
        edges: float = 0.0,
    ) -> None:
        super().__init__(locals())
        if least_deviation < 0:
            raise ValueError(f"model.least_deviation: {least_deviation} must be at least 0")
        if first_deviation <= 0:
            raise ValueError(f"model.first_deviation: {first_deviation} must be above 0")
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.divergence, self.kernel, self.least_deviation = divergence, kernel, least_deviation
        self.kl_at_first = kl_at_first
        self.encoder = build_encoder(observation, features, width)
        self.path = MaskedLSTM(features, hidden)
        self.static_head = GaussianHead(hidden, static_size)
        self.given_static = dynamic_posterior == "given_static"
        read = features + static_size if self.given_static else hidden
        self.onwards = nn.LSTM(read + dynamic_size, hidden, batch_first=True)
        self.dynamic_head = GaussianHead(hidden, dynamic_size)
        if first_deviation != 1:
            for head in (self.static_head, self.dynamic_head):
                nn.init.constant_(head.log_variance.bias, 2 * math.log(first_deviation))
        self.dynamic_prior = LSTMPrior(dynamic_size, hidden)
        codes = static_size + dynamic_size
        self.decoder_path = MaskedLSTM(codes, hidden) if recurrent_decoder else None
        self.decoder = build_decoder(
            observation, hidden if recurrent_decoder else codes, width, decoder_width, edges=edges
        )
        if divergence == "gan":
            others = tuple(name for name, _ in self.named_children())
            self.critic = nn.Sequential(
                nn.Linear(static_size, critic),
                nn.LeakyReLU(0.2),
                nn.Linear(critic, critic),
                nn.LeakyReLU(0.2),
                nn.Linear(critic, 1),
            )
            self.phases = (Phase("critic", ("critic",), beta1=0.5), Phase("fit", others))

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """q(s | x), and q(d | x) or q(d | s, x), whose steps depend on those drawn before."""
        steps = inside(mask)
        g = encode_steps(self.encoder, x, mask)
        e = self.path(g, steps)
        static = self._at_least(self.static_head(last_step(e, steps)))
        if not self.given_static:
            return Posterior(static, self._dynamic(e))

        def dynamic_given(s: Tensor) -> RolledNormal:
            return self._dynamic(Codes(s, g).each_step())

        return Posterior(static, dynamic_given(static.mean), dynamic_given)

    def prior(self, dynamic: Float[Tensor, "B T D"]) -> Normal:
        """p(d_t | d_<t) along a path."""
        return self.dynamic_prior(dynamic)

    def roll(self, n: int, length: int, generator: torch.Generator | None = None) -> Float[Tensor, "n T D"]:
        """Draw dynamic paths from the prior."""
        return self.dynamic_prior.roll(n, length, generator)

    def decode(
        self, codes: Codes, mask: Bool[Tensor, "B T"] | None = None, generator: torch.Generator | None = None
    ) -> Distribution:
        """p(x_t | h_t); where h is an LSTM over the codes, a step depends on the codes of the steps before it."""
        h = codes.each_step()
        if self.decoder_path is not None:
            h = self.decoder_path(h, mask)
        return decode_steps(self.decoder, h, mask)

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """Squared error and, at first, the two KLs, `(B,)` each, and the divergences of s and of d, 0-dim.

        In phase "critic" the critic's loss, `(B,)`. The KLs are left out while both have weight 0 (`batch.unweighted`).
        """
        if phase == "critic":
            with torch.no_grad(), keep_statistics(self.encoder):
                s = draw(self.posterior(batch.x, batch.mask).static, generator)
            drawn = standard_normal(tuple(s.shape), s, generator)
            return {"critic": softplus(self._judge(s)) + softplus(-self._judge(drawn))}
        posterior = self.posterior(batch.x, batch.mask)
        codes = posterior.sample(generator)
        steps = inside(batch.mask)
        p = self.decode(codes, steps)
        error = reconstruction_error(p, zero_unobserved(batch.x, batch.mask), batch.mask)
        prior = self.prior(codes.dynamic)
        residuals = (codes.dynamic - prior.mean) / prior.stddev
        noise = gather(standard_normal(tuple(residuals.shape), residuals, generator))
        residuals, members = gather(residuals), None if steps is None else gather(steps).T
        per_step = mmd(residuals.transpose(0, 1), noise.transpose(0, 1), self.kernel, members)
        terms = {"reconstruction": error.sum(1), "mmd_dynamic": per_step.sum()}
        if self.kl_at_first and not batch.unweighted >= KLS:
            terms |= {
                "kl_static": self.kl_static(posterior),
                "kl_dynamic": self.kl_dynamic(posterior, codes, steps),
            }
        if self.divergence == "gan":
            return terms | {"adversarial_static": softplus(-self._judge(codes.static))}
        drawn = standard_normal(tuple(codes.static.shape), codes.static, generator)
        return terms | {"mmd_static": mmd(gather(codes.static), gather(drawn), self.kernel)}

    def _judge(self, s: Float[Tensor, "B S"]) -> Float[Tensor, "B"]:
        """Log odds of s being a draw of the prior."""
        return self.critic(s).squeeze(1).float()

    def _dynamic(self, e: Float[Tensor, "B T read"]) -> RolledNormal:
        def step(t: int, before: Tensor, state: object) -> tuple[Normal, object]:
            h, state = self.onwards(torch.cat([e[:, t], before], 1).unsqueeze(1), state)
            return self._at_least(self.dynamic_head(h[:, 0])), state

        return RolledNormal(step, e.new_zeros(*e.shape[:2], self.dynamic_size))

    def _at_least(self, normal: Normal) -> Normal:
        """The normal with its deviation raised smoothly above the lower bound."""
        std = (normal.stddev.square() + self.least_deviation**2).sqrt()
        return Normal(normal.mean, std, validate_args=False)
