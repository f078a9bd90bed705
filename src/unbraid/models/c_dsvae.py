"""C-DSVAE: a sequential VAE whose codes are separated by mutual information, estimated from changed views.

When to use it: where views can be made that keep one factor and change the other (steps in another order; other colours,
another voice). The views, more than the estimates themselves, separate the codes.

Bai, Wang, Gomes. "Contrastively Disentangled Sequential Variational Autoencoder." NeurIPS 2021.
https://arxiv.org/abs/2110.12091

    p(s) = N(0, I),   p(d_t | d_<t) an LSTM,   p(x_t | s, d_t)                          the model of DSVAE
    h = bidirectional LSTM over the features g_t of each step                           appendix C.2
    q(s | x)             from h's last outputs in both directions
    q(d_{1:T} | x)       an LSTM over h; independent of s given x
    ELBO + I(s; x) + I(d; x) - I(s; d)                                                  theorem 1, eq. (12)
    loss  = -log p(x | s, d) + alpha (KL_s + KL_d) - beta (I(s; x) + I(d; x)) + gamma I(s; d)       appendix A.5

The sum of theorem 1 equals E log p(x | s, d) - KL(q(s, d) || p(s, d)), with q(s, d) the aggregated posterior: an objective
for the whole data set. It is not always below the evidence, as the theorem claims: it exceeds it once I(s, d; x) exceeds
the posterior's error E KL(q(s, d | x) || p(s, d | x)) (tests/objectives/test_theorem.py).

I(s; x) and I(d; x) are estimated by contrast (appendix A.4): the means of q(s | x) and q(s | x+), where the view x+ has the
same steps in another order; and the paths of means of q(d | x) and q(d | x+), where x+ has the same motion with another
appearance. I(s; d) is estimated by minibatch weighted sampling (appendix A.3). alpha, beta, gamma are weights of the terms,
set by the recipe. The paper's ablations are settings:

    all by sampling              static_estimate: mws, dynamic_estimate: mws
    no contrast for s, for d     static_estimate: none; dynamic_estimate: none
    no I(s; d)                   pair_estimate: none
    DSVAE on this backbone       all three: none

Views are encoded and never decoded. A view that only reorders steps has the features of x in another order, so they are
not computed again. The other view's batch norm uses its own batch and leaves the running statistics alone.

Differs from the authors' code: the normal density of the sampling receives standard deviations (theirs: log variances in
place of log standard deviations); the recurrent net of the dynamic posterior is an LSTM, and the prior has one layer, as in
the paper (theirs: a plain RNN, two layers); no leaky ReLU on the moments of q(s); the contrastive diagonal is masked; views
are drawn anew for every batch (theirs are prepared beforehand).
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Normal

from unbraid.cards import ModelCard
from unbraid.masks import inside
from unbraid.models.sequential_vae import SequentialVAE
from unbraid.nn.codecs import build_decoder, build_encoder, encode_steps, encode_view
from unbraid.nn.recurrent import GaussianHead, LSTMPrior, MaskedLSTM, last_outputs
from unbraid.objectives.contrast import Compare, contrast, mean_path
from unbraid.objectives.information import Estimate, PairEstimate, sampled_terms
from unbraid.types import Batch, MotionView, Posterior, Terms

__all__ = ["CDSVAE"]


class CDSVAE(SequentialVAE):
    """Contrastively disentangled sequential variational autoencoder (Bai et al., NeurIPS 2021).

    Args:
        observation: shape `*X` of one observation.
        static_size: size S of the static code.
        dynamic_size: size D of the dynamic code.
        features: size of a step's features g_t.
        width: channels of the first convolution, or units of the first layer for vectors and windows.
        hidden: size of the LSTMs in each direction, and of the prior's.
        static_estimate: how I(s; x) is estimated: "contrastive", "mws" (minibatch weighted sampling) or "none".
        dynamic_estimate: how I(d; x) is estimated.
        pair_estimate: how I(s; d) is estimated: "per_step" (the authors' code), "trajectory" (the paper's form, whose
            gradient vanishes once the paths' posteriors separate) or "none". Sampling of I(d; x) takes the same form.
        dynamic_view: how the view that keeps the motion is drawn, see `unbraid.augment`; "auto" chooses by the kind of
            observation.
        temperature: of the two contrastive terms.
        compare: which sequences are compared when several processes train together: "process" (each process its own) or
            "all_processes".
        decoder_width: width of the decoder; None for `width`. A wider one draws sharper frames, and trains for longer.
        edges: of frames, share of the reconstruction error that counts differences between neighbouring pixels (ours), for
            sharp edges; see `unbraid.nn.likelihoods.reconstruction_error`.

    Raises:
        ValueError: a temperature that is not above 0, or observations without a codec.
    """

    card = ModelCard(
        name="c_dsvae",
        title="Contrastively Disentangled Sequential Variational Autoencoder",
        authors="Bai, Wang, Gomes",
        year=2021,
        venue="NeurIPS",
        url="https://arxiv.org/abs/2110.12091",
        summary="sequential VAE with contrastive mutual information from views with one factor changed",
        capabilities=frozenset(
            {"encode", "decode", "export", "static_prior", "dynamic_prior", "likelihood", "decoded_static"}
        ),
        deviations=(
            "views: steps in random order for s; for d, by default, colours and blur (frames) or scaled and shifted "
            "features (vectors, windows), drawn for every batch; the paper's strengths are not known",
            "I(s; d) per step by default, as in the authors' code; the paper's whole-path form is a setting",
            "the sampling's density reads standard deviations (the authors' code: log variances as log deviations)",
            "batch norm's running statistics are those of the data, not of the views",
            "ours: on request a decoder wider than the encoder (`decoder_width`), and an error of edges (`edges`)",
        ),
        variants=(
            {"pair_estimate": "trajectory", "decoder_width": 6},
            {"static_estimate": "mws", "dynamic_estimate": "mws"},
            {"static_estimate": "mws", "dynamic_estimate": "mws", "pair_estimate": "trajectory"},
            {"static_estimate": "none", "dynamic_estimate": "none", "pair_estimate": "none"},
        ),
        symbols=(
            ("s", "static", "static code of the sequence"),
            ("z_t", "dynamic[:, t]", "dynamic code of step t (the paper's z_t, our d_t)"),
            ("alpha", "training.weights.kl_static, kl_dynamic", "weights of the KL terms"),
            (
                "beta",
                "training.weights.contrastive_static, contrastive_dynamic",
                "weights of I(s; x) and I(d; x)",
            ),
            ("gamma", "training.weights.mi_static_dynamic", "weight of I(s; d)"),
            ("tau", "temperature", "temperature of the contrastive terms"),
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
        dynamic_view: MotionView = "auto",
        temperature: float = 0.5,
        compare: Compare = "all_processes",
        decoder_width: int | None = None,
        edges: float = 0.0,
    ) -> None:
        super().__init__(locals())
        if temperature <= 0:
            raise ValueError(f"model.temperature: {temperature} must be above 0")
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.pair_estimate, self.temperature, self.compare = pair_estimate, temperature, compare
        by_sampling = {"static": static_estimate, "dynamic": dynamic_estimate}
        self.sampled: frozenset[Any] = frozenset(
            code for code, estimate in by_sampling.items() if estimate == "mws"
        )
        views = {"static": (static_estimate, "shuffle"), "dynamic": (dynamic_estimate, dynamic_view)}
        self.views = {name: way for name, (estimate, way) in views.items() if estimate == "contrastive"}
        self.encoder = build_encoder(observation, features, width)
        self.both_ways = MaskedLSTM(features, hidden, bidirectional=True)
        self.static_head = GaussianHead(2 * hidden, static_size)
        self.onwards = MaskedLSTM(2 * hidden, hidden)
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
        """q(s | x) q(d | x)."""
        return self._posterior(encode_steps(self.encoder, x, mask), mask)

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """Squared error and the two KLs, `(B,)` each, and the estimates that the settings choose, 0-dim.

        `contrastive_static` and `contrastive_dynamic` are the losses of appendix A.4; `mws_static`, `mws_dynamic` and
        `mi_static_dynamic` are those of `unbraid.objectives.information.sampled_terms`.

        Raises:
            ValueError: the batch lacks a view or the size of the data set.
        """
        g = encode_steps(self.encoder, batch.x, batch.mask)
        steps = inside(batch.mask)
        posterior = self._posterior(g, batch.mask)
        codes = posterior.sample(generator)
        terms = {
            "reconstruction": self.step_errors(batch, codes, steps).sum(1),
            "kl_static": self.kl_static(posterior),
            "kl_dynamic": self.kl_dynamic(posterior, codes, steps),
        }
        if "static" in self.views:
            view = batch.view("static")
            shuffled = self._static(*self._both_ways(encode_view(self.encoder, view, g), view.mask))
            terms["contrastive_static"] = contrast(
                posterior.static.mean, shuffled.mean, self.temperature, self.compare
            )
        if "dynamic" in self.views:
            view = batch.view("dynamic")
            changed = self._dynamic(*self._both_ways(encode_view(self.encoder, view, g), view.mask))
            terms["contrastive_dynamic"] = contrast(
                mean_path(posterior.dynamic, steps), mean_path(changed, steps), self.temperature, self.compare
            )
        if self.sampled or self.pair_estimate != "none":
            size = batch.require_dataset_size()
            terms |= sampled_terms(
                codes, posterior, size, steps, self.sampled, self.pair_estimate, self.compare
            )
        return terms

    def _posterior(self, g: Tensor, mask: Tensor | None) -> Posterior:
        h, steps = self._both_ways(g, mask)
        return Posterior(self._static(h, steps), self._dynamic(h, steps))

    def _both_ways(self, g: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The outputs h over features g, and the steps inside the sequences."""
        steps = inside(mask)
        return self.both_ways(g, steps), steps

    def _static(self, h: Tensor, steps: Tensor | None) -> Normal:
        return self.static_head(last_outputs(h, steps))

    def _dynamic(self, h: Tensor, steps: Tensor | None) -> Normal:
        return self.dynamic_head(self.onwards(h, steps))
