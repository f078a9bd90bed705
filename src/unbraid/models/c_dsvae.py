"""C-DSVAE: a sequential VAE whose codes are separated by mutual information, estimated from changed views.

When to use it: where views can be made that keep one factor and change the other (steps in another order; other
colours, another voice). Such views, more than the estimates themselves, are what separates the codes.

Bai, Wang, Gomes. "Contrastively Disentangled Sequential Variational Autoencoder." NeurIPS 2021.
https://arxiv.org/abs/2110.12091

    p(s) = N(0, I),   p(d_t | d_<t) an LSTM,   p(x_t | s, d_t)                          the model of DSVAE
    h = bidirectional LSTM over the features g_t of each step                           appendix C.2
    q(s | x)             from h's last outputs in both directions
    q(d_{1:T} | x)       an LSTM over h; independent of s given x
    ELBO + I(s; x) + I(d; x) - I(s; d)                                                  theorem 1, eq. (12)
    loss  = -log p(x | s, d) + alpha (KL_s + KL_d) - beta (I(s; x) + I(d; x)) + gamma I(s; d)       appendix A.5

The sum of theorem 1 equals E log p(x | s, d) - KL(q(s, d) || p(s, d)), q(s, d) the aggregated posterior: an objective for
the whole data set. It is not, as the theorem has it, always below the evidence: it is above once I(s, d; x) exceeds
the posterior's error E KL(q(s, d | x) || p(s, d | x)) (tests/objectives/test_theorem.py).

I(s; x) and I(d; x) are estimated by contrast (appendix A.4): of the means of q(s | x) and of q(s | x+), where the view x+
shows the same steps in another order; of the paths of means of q(d | x) and q(d | x+), where x+ shows the same motion
in another look. I(s; d) is estimated by minibatch weighted sampling (appendix A.3). alpha, beta, gamma are weights of
the terms, set by the recipe. Terms and weights that make the paper's ablations:

    all by sampling              static_estimate: mws, dynamic_estimate: mws
    no contrast for s, for d     static_estimate: none; dynamic_estimate: none
    no I(s; d)                   pair_estimate: none
    DSVAE on this backbone       all three: none

Views are encoded and never decoded. A view that only reorders steps has the features of x in another order, so they are
not computed again; the other view's batch norm uses its own batch and leaves the running statistics alone.

Differs from the authors' code in: the normal density of the sampling is fed standard deviations (theirs takes log
variances for logarithms of standard deviations); the recurrent net of the dynamic posterior is an LSTM, and the prior
has one layer, as in the paper (theirs: a plain RNN, two layers); no leaky ReLU on the moments of q(s); the
contrastive diagonal is masked; views are drawn anew for every batch (theirs are prepared beforehand).
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from unbraid.cards import ModelCard
from unbraid.masks import inside, mean_shares, observed_steps, zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.nn.codecs import build_decoder, build_encoder, decode_steps, encode_steps
from unbraid.nn.likelihoods import reconstruction_error
from unbraid.nn.recurrent import GaussianHead, LSTMPrior, MaskedLSTM, last_outputs
from unbraid.nn.statistics import keep_statistics
from unbraid.objectives import information as mi
from unbraid.objectives.contrast import contrastive_loss, gather_processes
from unbraid.types import Batch, Codes, Posterior, Terms, View

__all__ = ["CDSVAE"]

Estimate = Literal["contrastive", "mws", "none"]
PairEstimate = Literal["per_step", "trajectory", "none"]
StaticView = Literal["shuffle", "scatter", "halves"]
StaticFrom = Literal["ends", "mean"]
DynamicView = Literal["auto", "colour", "crop", "stroke", "scale", "spectrum"]
Compare = Literal["process", "all_processes"]


class CDSVAE(SequenceModel):
    """Contrastively disentangled sequential variational autoencoder (Bai et al., NeurIPS 2021).

    Args:
        observation: shape `*X` of one observation.
        static_size: size S of the static code.
        dynamic_size: size D of the dynamic code.
        features: size of a step's features g_t.
        width: channels of the first convolution, or of the first layer for vectors.
        hidden: size of the LSTMs, in each direction, and of the prior's.
        static_estimate: how I(s; x) is estimated: "contrastive", "mws" (minibatch weighted sampling) or "none".
        dynamic_estimate: how I(d; x) is estimated.
        pair_estimate: how I(s; d) is estimated: "per_step" (what the authors' code trains with), "trajectory" (the
            paper's form, whose gradient vanishes once the paths' posteriors separate) or "none". Sampling of
            I(d; x) takes the same form.
        dynamic_view: how the view that keeps the motion is drawn, see `unbraid.augment`; "auto" goes by the
            observations' shape.
        static_view: what keeps the static factor: "shuffle", the steps in another order, contrasted with the sequence
            as it is; "scatter" (ours, frames only): each of them moved as well, by an offset of its own, so that the
            static code cannot be a summary of places; or "halves" (ours): a stretch of the first half, contrasted with one of the second. What is
            said or done differs between the halves and not between the orders, so the static code cannot be a
            summary of it.
        static_from: what the static code is read from: "ends", the LSTM's last outputs in both directions, or "mean"
            (ours), the mean of all steps' features through one hidden layer, which no order of the steps can reach.
        subtract: whether the mean of a sequence's features is subtracted from each before the LSTM of d, as DBSE subtracts
            its anchor's (ours); not with static_from "ends", whose LSTM reads for both codes.
        temperature: of the contrastive term of d, and of that of s.
        static_temperature: of the contrastive term of s; None for `temperature`. A high one makes the term a ratio of
            variances between and within sequences, so that it gathers sequences of one kind instead of telling each
            from all others.
        compare: whose sequences the estimates compare when several processes train together: each process its own, or
            "all_processes".

    Raises:
        ValueError: a temperature that is not above 0; a mean of steps contrasted with that of the same steps in
            another order.
    """

    card = ModelCard(
        name="c_dsvae",
        title="Contrastively Disentangled Sequential Variational Autoencoder",
        authors="Bai, Wang, Gomes",
        year=2021,
        venue="NeurIPS",
        url="https://arxiv.org/abs/2110.12091",
        summary="sequential VAE with contrastive mutual information from views with one factor changed",
        capabilities=frozenset({"encode", "decode", "prior", "likelihood", "views"}),
        deviations=(
            "views: steps in random order for s; for d, by default, colours and blur (frames) or scaled and shifted "
            "features (vectors, windows), drawn for every batch; the paper's strengths are not known",
            "a static code read from the mean of the steps' features, that mean subtracted before d is read, contrast "
            "with scattered frames or between two halves of a sequence and a temperature of its own for s are settings "
            "of ours",
            "I(s; d) per step by default, as in the authors' code; the paper's whole-path form is a setting",
            "the sampling's density reads standard deviations (the authors' code: log variances as log deviations)",
            "batch norm's running statistics are those of the data, not of the views",
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
        static_estimate: Estimate = "contrastive",
        dynamic_estimate: Estimate = "contrastive",
        pair_estimate: PairEstimate = "per_step",
        dynamic_view: DynamicView = "auto",
        static_view: StaticView = "shuffle",
        static_from: StaticFrom = "ends",
        subtract: bool = False,
        temperature: float = 0.5,
        static_temperature: float | None = None,
        compare: Compare = "process",
    ) -> None:
        super().__init__()
        for name, value in (("temperature", temperature), ("static_temperature", static_temperature)):
            if value is not None and value <= 0:
                raise ValueError(f"{name}: {value} must be above 0")
        if static_from == "mean" and static_view == "shuffle" and static_estimate == "contrastive":
            raise ValueError(
                "static_view: shuffled steps have the mean that they had in order, there is nothing to contrast; "
                "with static_from=mean give halves"
            )
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.static_estimate, self.dynamic_estimate = static_estimate, dynamic_estimate
        self.pair_estimate, self.temperature, self.compare = pair_estimate, temperature, compare
        if subtract and static_from == "ends":
            raise ValueError(
                "subtract: the LSTM that reads s would lose it; with subtract give static_from=mean"
            )
        self.subtract = subtract
        self.static_temperature, self.static_from = static_temperature or temperature, static_from
        self.samples = "mws" in (static_estimate, dynamic_estimate) or pair_estimate != "none"
        self.views = {}
        if static_estimate == "contrastive":
            halves = {"static": "early", "static_other": "late"}
            self.views |= halves if static_view == "halves" else {"static": static_view}
        if dynamic_estimate == "contrastive":
            self.views |= {"dynamic": dynamic_view}
        self.encoder = build_encoder(observation, features, width)
        self.both_ways = MaskedLSTM(features, hidden, bidirectional=True)
        if static_from == "mean":
            self.static_path = nn.Sequential(nn.Linear(features, hidden), nn.Tanh())
        self.static_head = GaussianHead(hidden if static_from == "mean" else 2 * hidden, static_size)
        self.onwards = MaskedLSTM(2 * hidden, hidden)
        self.dynamic_head = GaussianHead(hidden, dynamic_size)
        self.dynamic_prior = LSTMPrior(dynamic_size, hidden)
        self.decoder = build_decoder(observation, static_size + dynamic_size, width)

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """q(s | x) q(d | x)."""
        return self._posterior(encode_steps(self.encoder, x, mask), mask)

    def prior(self, dynamic: Float[Tensor, "B T D"]) -> Normal:
        """p(d_t | d_<t) along a path."""
        return self.dynamic_prior(dynamic)

    def roll(self, n: int, length: int, generator: torch.Generator | None = None) -> Float[Tensor, "n T D"]:
        """Draw dynamic paths from the prior."""
        return self.dynamic_prior.roll(n, length, generator)

    def decode(self, codes: Codes, mask: Bool[Tensor, "B T"] | None = None) -> Distribution:
        """p(x_t | s, d_t)."""
        static = codes.static.unsqueeze(1).expand(-1, codes.dynamic.shape[1], -1)
        return decode_steps(self.decoder, torch.cat([static, codes.dynamic], 2), mask)

    def terms(self, batch: Batch, generator: torch.Generator | None = None) -> Terms:
        """Squared error and the two KLs, `(B,)` each, and what the settings estimate of the informations, 0-dim.

        `contrastive_static` and `contrastive_dynamic` are the losses of appendix A.4; `mws_static` and `mws_dynamic`
        are log(N M) - I(s; x) and log(N M) - I(d; x) by sampling, so that they too fall as the information rises;
        `mi_static_dynamic` is I(s; d).

        Raises:
            ValueError: the batch lacks a view or the size of the data set.
        """
        dataset_size = self._check(batch)
        g = encode_steps(self.encoder, batch.x, batch.mask)
        steps = None if batch.mask is None else inside(batch.mask)
        posterior = self._posterior(g, batch.mask)
        codes = posterior.sample(generator)
        x = zero_unobserved(batch.x, batch.mask)
        terms = {
            "reconstruction": reconstruction_error(self.decode(codes, steps), x, batch.mask).sum(1),
            "kl_static": self.kl_static(posterior),
            "kl_dynamic": self.kl_dynamic(posterior, codes, steps),
        }
        if "static" in self.views:
            seen = self._static_of(batch.views["static"], g)
            other = (
                self._static_of(batch.views["static_other"], g)
                if "static_other" in self.views
                else posterior.static
            )
            terms["contrastive_static"] = self._contrast(other.mean, seen.mean, self.static_temperature)
        if "dynamic" in self.views:
            view = batch.views["dynamic"]
            q_view = self._dynamic(*self._both_ways(self._see(view, g), view.mask))
            here, there = self._path(posterior.dynamic, steps), self._path(q_view, steps)
            terms["contrastive_dynamic"] = self._contrast(here, there, self.temperature)
        if self.samples:
            terms |= self._sampled(codes, posterior, steps, dataset_size)
        return terms

    # ---- posterior ----------------------------------------------------------------------------------

    def _posterior(self, g: Tensor, mask: Tensor | None) -> Posterior:
        h, steps = self._both_ways(g, mask)
        return Posterior(self._static(g, h, mask), self._dynamic(h, steps))

    def _both_ways(self, g: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The outputs h, and the steps inside the sequences."""
        steps = None if mask is None else inside(mask)
        if self.subtract:
            g = g - self._mean(g, mask).unsqueeze(1)
            g = g if mask is None else torch.where(observed_steps(mask).unsqueeze(2), g, 0.0)
        return self.both_ways(g, steps), steps

    def _mean(self, g: Tensor, mask: Tensor | None) -> Tensor:
        """The mean of the observed steps' features."""
        return (mean_shares(g, mask).unsqueeze(2) * g).sum(1)

    def _static(self, g: Tensor, h: Tensor | None, mask: Tensor | None) -> Normal:
        """q(s | x) from the features g, or from the LSTM's outputs h over them (computed here when None)."""
        if self.static_from == "mean":
            return self.static_head(self.static_path(self._mean(g, mask)))
        if h is None:
            h = self._both_ways(g, mask)[0]
        return self.static_head(last_outputs(h, None if mask is None else inside(mask)))

    def _static_of(self, view: View, g: Tensor) -> Normal:
        """q(s | view); `g` are the features of x."""
        return self._static(self._see(view, g), None, view.mask)

    def _dynamic(self, h: Tensor, steps: Tensor | None) -> Normal:
        return self.dynamic_head(self.onwards(h, steps))

    def _see(self, view: View, g: Tensor) -> Tensor:
        """The features of a view; `g` are those of x."""
        if view.order is not None:
            return g.take_along_dim(view.order.unsqueeze(2), 1)
        with keep_statistics(self.encoder):
            return encode_steps(self.encoder, view.x, view.mask)

    # ---- informations -------------------------------------------------------------------------------

    def _path(self, q: Distribution, steps: Tensor | None) -> Tensor:
        mean = q.mean if steps is None else torch.where(steps.unsqueeze(2), q.mean, 0.0)
        return mean.flatten(1)

    def _contrast(self, u: Tensor, v: Tensor, temperature: float) -> Tensor:
        return contrastive_loss(self._pool(u), self._pool(v), temperature).mean()

    def _pool(self, x: Tensor) -> Tensor:
        return gather_processes(x) if self.compare == "all_processes" else x

    def _sampled(self, codes: Codes, posterior: Posterior, steps: Tensor | None, n: int) -> Terms:
        """The terms by minibatch weighted sampling."""
        s, d = posterior.static, posterior.dynamic
        codes = Codes(self._pool(codes.static), self._pool(codes.dynamic))
        posterior = Posterior(
            Normal(self._pool(s.mean), self._pool(s.stddev), validate_args=False),
            Normal(self._pool(d.mean), self._pool(d.stddev), validate_args=False),
        )
        steps = None if steps is None else self._pool(steps)
        whole = self.pair_estimate == "trajectory"
        most = torch.tensor(float(n * len(codes)), device=codes.static.device).log()
        terms = {}
        if self.static_estimate == "mws":
            terms["mws_static"] = most - mi.static_input_information(codes, posterior, n).mean()
        if self.dynamic_estimate == "mws":
            estimate = mi.dynamic_input_information if whole else mi.dynamic_input_information_per_step
            terms["mws_dynamic"] = most - estimate(codes, posterior, n, steps).mean()
        if self.pair_estimate != "none":
            estimate = mi.static_dynamic_information if whole else mi.static_dynamic_information_per_step
            terms["mi_static_dynamic"] = estimate(codes, posterior, n, steps).mean()
        return terms

    def _check(self, batch: Batch) -> int:
        for name in self.views:
            if name not in batch.views:
                raise ValueError(
                    f"batch.views: there is no {name!r} view, which the contrastive estimate needs; training draws it, "
                    "elsewhere: unbraid.augment.draw_views(model.views, batch)"
                )
        if self.samples and batch.dataset_size is None:
            raise ValueError(
                "batch.dataset_size: is missing; minibatch weighted sampling needs N, the number of training sequences"
            )
        return batch.dataset_size or 0
