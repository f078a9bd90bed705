"""Pooled, a method of unbraid's own: the static code is read from all steps together, and views separate the codes.

When to use it: for series and sound, where one step alone does not show the static factor. It unites what helped there:
the model of C-DSVAE or DBSE, a static code that no order of the steps can reach, and contrast between two halves of a
sequence, which share the static factor and differ in the dynamic one.

With features g_t of each step on its own:

    p(s) = N(0, I),   p(d_t | d_<t) an LSTM,   p(x_t | s, d_t)                                  as in DSVAE
    m                    the mean of g_t over the observed steps
    q(s | x)             static_from "mean": tanh(W m), then mean and deviation
                         static_from "ends": the last outputs of the bidirectional LSTM         as in C-DSVAE
    q(d | x)             dynamic_net "both_ways": a bidirectional LSTM over g_t, then an LSTM   as in C-DSVAE
                         dynamic_net "causal": one LSTM over g_t                                as in DBSE
                         with `subtract`, over g_t - m                                          after DBSE
    loss = -log p(x | s, d) + KL_s + KL_d + contrast of s + contrast of d + I(s; d), weights set by the recipe

The contrast of s compares q(s) of two views of a sequence (`static_view`): the steps in random order ("shuffle"), the same
with every frame moved by an offset of its own ("scatter"), or a stretch of the first half and one of the second ("halves").
At a high `static_temperature` its loss approaches a ratio of the variances between and within sequences: it groups similar
sequences instead of separating every pair.

The parts come from: Bai, Wang, Gomes, NeurIPS 2021, https://arxiv.org/abs/2110.12091 (contrast, informations) and Berman,
Naiman, Arbiv, Fadlon, Azencot, ICML 2024, https://arxiv.org/abs/2406.18131 (subtraction of the static features).
"""

from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Normal

from unbraid.cards import ModelCard
from unbraid.masks import inside, less_mean, mean_of_features
from unbraid.models.sequential_vae import SequentialVAE
from unbraid.nn.codecs import build_decoder, build_encoder, encode_steps, encode_view
from unbraid.nn.recurrent import GaussianHead, LSTMPrior, MaskedLSTM, last_outputs
from unbraid.objectives.contrast import Compare, contrast, mean_path
from unbraid.objectives.information import Estimate, PairEstimate, sampled_terms
from unbraid.types import Batch, Codes, MotionView, Posterior, Terms, View, repeat

__all__ = ["Pooled"]

StaticView = Literal["shuffle", "scatter", "halves"]


class Pooled(SequentialVAE):
    """Static code from the mean of all steps, separated by contrast of views (ours).

    Args:
        observation: shape `*X` of one observation.
        static_size: size S of the static code.
        dynamic_size: size D of the dynamic code.
        features: size of a step's features g_t.
        width: channels of the first convolution, or units of the first layer for vectors and windows.
        hidden: size of the layer before the static code, of the LSTMs in each direction, and of the prior's.
        dynamic_hidden: size of the last LSTM before the dynamic code; None for `hidden`.
        static_from: "mean" (of all steps' features) or "ends" (the last outputs of the bidirectional LSTM).
        dynamic_net: "both_ways" (a bidirectional LSTM, then a causal one) or "causal" (one LSTM).
        subtract: whether the mean of a sequence's features is subtracted from each before the LSTM of d.
        static_estimate: how I(s; x) is estimated: "contrastive", "mws" (minibatch weighted sampling) or "none".
        dynamic_estimate: how I(d; x) is estimated.
        pair_estimate: how I(s; d) is estimated: "per_step", "trajectory" or "none"; see `unbraid.models.c_dsvae`.
        static_view: the views whose static codes are compared: "shuffle", "scatter" (frames only) or "halves".
        dynamic_view: how the view that keeps the motion is drawn, see `unbraid.augment`; "auto" chooses by the kind of
            observation.
        temperature: of the contrast of d.
        static_temperature: of the contrast of s; None for `temperature`.
        samples: draws of the codes in a training step, over which the bound is averaged.
        compare: which sequences are compared when several processes train together: "process" (each process its own) or
            "all_processes".
        decoder_width: width of the decoder; None for `width`. A wider one draws sharper frames, and trains for longer.
        edges: of frames, share of the reconstruction error that counts differences between neighbouring pixels (ours), for
            sharp edges; see `unbraid.nn.likelihoods.reconstruction_error`.

    Raises:
        ValueError: settings that do not go together, or observations without a codec.
    """

    card = ModelCard(
        name="pooled",
        title="Pooled: a static code from the mean of all steps, separated by contrast of views",
        authors="The unbraid authors",
        year=2026,
        venue="this package",
        url="https://arxiv.org/abs/2110.12091",
        summary="ours: static code from all steps, contrast between halves of a sequence",
        capabilities=frozenset(
            {"encode", "decode", "export", "static_prior", "dynamic_prior", "likelihood", "decoded_static"}
        ),
        deviations=("a method of ours: no paper describes it; the module says where its parts come from",),
        variants=(
            {"static_view": "shuffle", "static_from": "ends", "subtract": False, "static_temperature": 2.0},
            {"subtract": False, "static_temperature": 2.0, "dynamic_estimate": "contrastive"},
            {"static_estimate": "mws", "dynamic_estimate": "mws", "pair_estimate": "trajectory"},
            {"dynamic_net": "causal", "dynamic_hidden": 7, "samples": 3, "decoder_width": 6}
            | dict.fromkeys(("static_estimate", "dynamic_estimate", "pair_estimate"), "none"),
        ),
        symbols=(
            ("s", "static", "static code of the sequence"),
            ("d_t", "dynamic[:, t]", "dynamic code of step t"),
            ("g_t", "g", "features of step t"),
            ("m", "mean", "mean of g_t over the observed steps"),
        ),
    )

    def __init__(
        self,
        observation: tuple[int, ...],
        static_size: int = 32,
        dynamic_size: int = 32,
        features: int = 128,
        width: int = 64,
        hidden: int = 128,
        dynamic_hidden: int | None = None,
        static_from: Literal["mean", "ends"] = "mean",
        dynamic_net: Literal["both_ways", "causal"] = "both_ways",
        subtract: bool = True,
        static_estimate: Estimate = "contrastive",
        dynamic_estimate: Estimate = "none",
        pair_estimate: PairEstimate = "none",
        static_view: StaticView = "halves",
        dynamic_view: MotionView = "auto",
        temperature: float = 0.5,
        static_temperature: float | None = None,
        samples: int = 1,
        compare: Compare = "all_processes",
        decoder_width: int | None = None,
        edges: float = 0.0,
    ) -> None:
        super().__init__(locals())
        self._check_settings()
        self.static_size, self.dynamic_size, self.samples = static_size, dynamic_size, samples
        self.subtract, self.static_from, self.pair_estimate = subtract, static_from, pair_estimate
        self.temperature, self.static_temperature = temperature, static_temperature or temperature
        self.compare = compare
        by_sampling = {"static": static_estimate, "dynamic": dynamic_estimate}
        self.sampled: frozenset[Any] = frozenset(
            code for code, estimate in by_sampling.items() if estimate == "mws"
        )
        self.views = {}
        if static_estimate == "contrastive":
            halves = {"static": "early", "static_other": "late"}
            self.views |= halves if static_view == "halves" else {"static": static_view}
        if dynamic_estimate == "contrastive":
            self.views |= {"dynamic": dynamic_view}
        self.encoder = build_encoder(observation, features, width)
        self.both_ways = (
            MaskedLSTM(features, hidden, bidirectional=True) if dynamic_net == "both_ways" else None
        )
        if static_from == "mean":
            self.static_path = nn.Sequential(nn.Linear(features, hidden), nn.Tanh())
        self.static_head = GaussianHead(hidden if static_from == "mean" else 2 * hidden, static_size)
        self.onwards = MaskedLSTM(2 * hidden if self.both_ways else features, dynamic_hidden or hidden)
        self.dynamic_head = GaussianHead(self.onwards.output_size, dynamic_size)
        self.dynamic_prior = LSTMPrior(dynamic_size, hidden)
        self.decoder = build_decoder(
            observation, static_size + dynamic_size, width, decoder_width, edges=edges
        )

    def _check_settings(self) -> None:
        """Refuse settings that do not go together."""
        chosen = self.settings
        for name in ("temperature", "static_temperature"):
            if chosen[name] is not None and chosen[name] <= 0:
                raise ValueError(f"model.{name}: {chosen[name]} must be above 0")
        from_mean, contrastive = chosen["static_from"] == "mean", chosen["static_estimate"] == "contrastive"
        if from_mean and contrastive and chosen["static_view"] == "shuffle":
            raise ValueError(
                "model.static_view: shuffled steps have the same mean, so with static_from=mean there is nothing to "
                "compare; give halves or scatter, or static_from=ends"
            )
        if chosen["subtract"] and not from_mean:
            raise ValueError(
                "model.subtract: with static_from=ends the static code is read after the subtraction and would lose it; "
                "give static_from=mean or subtract=False"
            )
        if chosen["dynamic_net"] == "causal" and not from_mean:
            raise ValueError(
                "model.dynamic_net: static_from=ends reads the bidirectional LSTM; give both_ways"
            )

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """q(s | x) q(d | x)."""
        return self._posterior(encode_steps(self.encoder, x, mask), mask)

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """Squared error and the two KLs, `(B,)` each, and the estimates that the settings choose, 0-dim.

        `contrastive_static` and `contrastive_dynamic` are contrastive losses; `mws_static`, `mws_dynamic` and
        `mi_static_dynamic` are those of `unbraid.objectives.information.sampled_terms`.

        Raises:
            ValueError: the batch lacks a view or the size of the data set.
        """
        g = encode_steps(self.encoder, batch.x, batch.mask)
        posterior = self._posterior(g, batch.mask)
        steps = inside(batch.mask)
        terms, codes = self._bound(batch, posterior, generator)
        if "static" in self.views:
            other = (
                self._static_of(batch.view("static_other"), g)
                if "static_other" in self.views
                else posterior.static
            )
            changed = self._static_of(batch.view("static"), g)
            terms["contrastive_static"] = contrast(
                other.mean, changed.mean, self.static_temperature, self.compare
            )
        if "dynamic" in self.views:
            view = batch.view("dynamic")
            changed = self._dynamic(self._hidden(encode_view(self.encoder, view, g), view.mask), view.mask)
            terms["contrastive_dynamic"] = contrast(
                mean_path(posterior.dynamic, steps), mean_path(changed, steps), self.temperature, self.compare
            )
        if self.sampled or self.pair_estimate != "none":
            size = batch.require_dataset_size()
            terms |= sampled_terms(
                codes, posterior, size, steps, self.sampled, self.pair_estimate, self.compare
            )
        return terms

    def _bound(
        self, batch: Batch, posterior: Posterior, generator: torch.Generator | None
    ) -> tuple[Terms, Codes]:
        """The terms of the evidence lower bound, averaged over the draws of the codes, and the first draw."""
        draws = Posterior(repeat(posterior.static, self.samples), repeat(posterior.dynamic, self.samples))
        codes = draws.sample(generator)
        steps = None if batch.mask is None else inside(batch.mask).repeat(self.samples, 1)
        error = self.step_errors(batch.repeat(self.samples), codes, steps).sum(1)
        kl_dynamic = self.kl_dynamic(draws, codes, steps)
        terms = {
            "reconstruction": error.unflatten(0, (self.samples, -1)).mean(0),
            "kl_static": self.kl_static(posterior),
            "kl_dynamic": kl_dynamic.unflatten(0, (self.samples, -1)).mean(0),
        }
        return terms, codes[: len(batch)]

    # ---- posterior ----------------------------------------------------------------------------------

    def _posterior(self, g: Tensor, mask: Tensor | None) -> Posterior:
        h = self._hidden(g, mask)
        return Posterior(self._static(g, h, mask), self._dynamic(h, mask))

    def _hidden(self, g: Tensor, mask: Tensor | None) -> Tensor:
        """The input of the last LSTM of d.

        The features, less their mean with `subtract`; with `dynamic_net="both_ways"`, the outputs of the bidirectional
        LSTM over them.
        """
        if self.subtract:
            g = less_mean(g, mask)
        return g if self.both_ways is None else self.both_ways(g, inside(mask))

    def _static(self, g: Tensor, h: Tensor | None, mask: Tensor | None) -> Normal:
        """q(s | x) from the features g, or from the bidirectional LSTM's outputs h (computed here when None)."""
        if self.static_from == "mean":
            return self.static_head(self.static_path(mean_of_features(g, mask)))
        h = self._hidden(g, mask) if h is None else h
        return self.static_head(last_outputs(h, inside(mask)))

    def _static_of(self, view: View, g: Tensor) -> Normal:
        """q(s | view); `g` are the features of x."""
        return self._static(encode_view(self.encoder, view, g), None, view.mask)

    def _dynamic(self, h: Tensor, mask: Tensor | None) -> Normal:
        return self.dynamic_head(self.onwards(h, inside(mask)))
