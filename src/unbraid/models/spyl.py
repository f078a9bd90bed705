"""SPYL: a sequential VAE whose codes are separated by contrast with sequences that the model itself generates.

When to use it: on any kind of data, video, sound or series, because no augmentation has to be chosen: the model makes its
own views. A training step costs about four times one of DBSE.

Naiman, Berman, Azencot. "Sample and Predict Your Latent: Modality-free Sequential Disentanglement via Contrastive
Estimation." ICML 2023. https://arxiv.org/abs/2305.15924

    p(s) = N(0, I),   p(d_t | d_<t) an LSTM,   p(x_t | s, d_t)                          the model of DSVAE
    q(s | x), q(d | x)   the networks of C-DSVAE; on request (ours) q(d | s, x) or the product of all q(d_t | x_t), as in DSVAE
    loss = SSE + KL_s + KL_d + I(s; d) + l_s + l_d                                      weights set by the recipe

Both contrasts compare a code u of a sequence with one positive and K negatives:

    l = -log phi(u, u+) / (phi(u, u+) + sum_k phi(u, u-_k)),    phi(u, v) = exp(cos(u, v) / tau)
    u_s = mean of q(s | x),   u_d = mean of q(d_t | x), averaged over the steps

Positives come from predictive sampling: one code is kept, the other is drawn from its prior, and both are decoded and
encoded again:

    u_s+ = mean of q(s | x'),  x' = E p(x | mu_s(x), d~),  d~ ~ p(d)
    u_d+ = mean of q(d | x'),  x' = E p(x | s~, mu_d(x)),  s~ ~ p(s)

Negatives are codes whose distributions have a large KL divergence from q(s | x), or from the average of q(d_t | x) over time:

    negatives "bank"     from sequences that are drawn from both priors, decoded and encoded again without gradients; half
                         of them are negatives (`choice`)                               the authors' code
    negatives "batch"    from the batch: the positive is a sequence of the closest third, the negatives are the farthest
                         third; their codes are drawn, then decoded and encoded again as above  the README of the code

Decoded sequences are noise at first, so the contrasts have weight 0 at the beginning (5% of training in the authors' code).
While both weights are 0, nothing is generated.

Differs from the authors' code: dynamic codes are drawn from the prior, where theirs are the prior's means along a drawn path
(`drawn_dynamics="means"`); generated sequences do not change the running statistics of batch norm; the sampling behind
I(s; d) reads standard deviations (theirs: log variances); recurrent nets are those of C-DSVAE's paper. The prior gets no
gradient from the contrasts.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Normal

from unbraid.cards import ModelCard
from unbraid.masks import inside, inside_steps, mean_over_steps
from unbraid.models.sequential_vae import SequentialVAE
from unbraid.nn.codecs import build_decoder, build_encoder, encode_steps
from unbraid.nn.recurrent import GaussianHead, LSTMPrior, MaskedLSTM, last_outputs
from unbraid.nn.statistics import keep_statistics
from unbraid.objectives.information import PairEstimate, sampled_terms
from unbraid.objectives.negatives import Choice, choose_negatives, contrast_among, pairwise_kl, ranks
from unbraid.processes import gather
from unbraid.types import Batch, Codes, Posterior, Terms, draw, standard_normal

__all__ = ["SPYL"]

CONTRASTS = frozenset({"contrastive_static", "contrastive_dynamic"})


class SPYL(SequentialVAE):
    """Sample and predict your latent (Naiman, Berman and Azencot, ICML 2023).

    Args:
        observation: shape `*X` of one observation.
        static_size: size S of the static code.
        dynamic_size: size D of the dynamic code.
        features: size of a step's features g_t.
        width: channels of the first convolution, or units of the first layer for vectors and windows.
        hidden: size of the LSTMs in each direction, and of the prior's.
        dynamic_posterior: what the posterior of d_t reads: "from_sequence" (all observations, as in the authors' code),
            "given_static" (s as well, so that d need not repeat what s says, by nets of its own) or "factorised" (the
            observation of step t alone). The last two are those of DSVAE.
        negatives: "bank" (generated sequences) or "batch" (the other sequences of the batch).
        bank: sequences of the bank for each sequence of the batch (the authors' code: 4; 2 keeps a training step below
            four times DBSE's).
        choice: which half of the bank are negatives: "farthest" (the authors' "soft"), "middle" ("semi") or "random"
            ("hard"); see `unbraid.objectives.negatives.choose_negatives`.
        drawn_dynamics: dynamic codes of generated sequences: "samples" (drawn from the prior) or "means" (the prior's
            means along a drawn path, as in the authors' code).
        pair_estimate: how I(s; d) is estimated: "per_step" (the authors' code), "trajectory" or "none"; see
            `unbraid.models.c_dsvae`.
        temperature: tau of the contrasts.
        decoder_width: width of the decoder; None for `width`. A wider one draws sharper frames, and trains for longer.
        edges: of frames, share of the reconstruction error that counts differences between neighbouring pixels (ours), for
            sharp edges; see `unbraid.nn.likelihoods.reconstruction_error`.

    Raises:
        ValueError: a bank or a temperature that is not above 0, or observations without a codec.
    """

    card = ModelCard(
        name="spyl",
        title="Sample and Predict Your Latent: Modality-free Sequential Disentanglement via Contrastive Estimation",
        authors="Naiman, Berman, Azencot",
        year=2023,
        venue="ICML",
        url="https://arxiv.org/abs/2305.15924",
        summary="contrast with sequences that the model generates itself, so no augmentation is needed",
        capabilities=frozenset(
            {"encode", "decode", "export", "static_prior", "dynamic_prior", "likelihood", "decoded_static"}
        ),
        deviations=(
            "the authors' code is followed where it departs from its README: negatives come from generated sequences; "
            'the README\'s form is `negatives="batch"`, where the size of its sets (a third) and the draw of one '
            "positive are ours",
            "dynamic codes of generated sequences are drawn from the prior (the authors' code: its means along a path)",
            "the bank holds two sequences for each of the batch by default (the authors' code: four), and nothing is "
            "generated while the contrasts have weight 0",
            "batch norm's running statistics are those of the data, not of generated sequences",
            "the sampling's density reads standard deviations (the authors' code: log variances)",
            "no gradient of the contrasts reaches the prior of the dynamic code",
            "the posteriors of d given s as well, and of each step on its own (`dynamic_posterior`), are ours, after DSVAE",
            "the recurrent net of the dynamic posterior is an LSTM, but where d is read given s, and the prior has one layer "
            "(the authors' code: a plain RNN, two layers)",
            "ours: on request a decoder wider than the encoder (`decoder_width`), and an error of edges (`edges`)",
        ),
        variants=(
            {"dynamic_posterior": "given_static", "decoder_width": 6},
            {"negatives": "batch"},
            {"choice": "middle", "bank": 4},
            {"choice": "random", "drawn_dynamics": "means", "pair_estimate": "trajectory"},
        ),
        symbols=(
            ("s", "static", "static code of the sequence"),
            ("d_t", "dynamic[:, t]", "dynamic code of step t"),
            (
                "u_s, u_d",
                "own",
                "codes that are compared: the mean of q(s | x), and that of q(d | x) over the steps",
            ),
            ("u+", "again", "code of the sequence decoded and encoded again"),
            (
                "lambda_c",
                "training.weights.contrastive_static, contrastive_dynamic",
                "weight of the contrasts",
            ),
            ("lambda_mi", "training.weights.mi_static_dynamic", "weight of I(s; d)"),
            ("tau", "temperature", "temperature of the contrasts"),
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
        dynamic_posterior: Literal["from_sequence", "given_static", "factorised"] = "from_sequence",
        negatives: Literal["bank", "batch"] = "bank",
        bank: int = 2,
        choice: Choice = "farthest",
        drawn_dynamics: Literal["samples", "means"] = "samples",
        pair_estimate: PairEstimate = "per_step",
        temperature: float = 0.5,
        decoder_width: int | None = None,
        edges: float = 0.0,
    ) -> None:
        super().__init__(locals())
        if temperature <= 0:
            raise ValueError(f"model.temperature: {temperature} must be above 0")
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.negatives, self.bank, self.choice = negatives, bank, choice
        self.drawn_dynamics, self.pair_estimate, self.temperature = drawn_dynamics, pair_estimate, temperature
        self.encoder = build_encoder(observation, features, width)
        self.both_ways = MaskedLSTM(features, hidden, bidirectional=True)
        self.static_head = GaussianHead(2 * hidden, static_size)
        self.dynamic_posterior = dynamic_posterior
        self.onwards: nn.Module
        if dynamic_posterior == "factorised":
            self.step_path = nn.Sequential(nn.Linear(features, hidden), nn.LeakyReLU(0.2))
        elif dynamic_posterior == "given_static":
            self.with_static = MaskedLSTM(features + static_size, hidden, bidirectional=True)
            self.onwards = nn.RNN(2 * hidden, hidden, batch_first=True)
        else:
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
        """q(s | x), and q(d | x), q(d | s, x) or the product of all q(d_t | x_t)."""
        steps = inside(mask)
        g = encode_steps(self.encoder, x, mask)
        h = self.both_ways(g, steps)
        static = self.static_head(last_outputs(h, steps))
        if self.dynamic_posterior == "factorised":
            return Posterior(static, self.dynamic_head(self.step_path(g)))
        if self.dynamic_posterior == "from_sequence":
            return Posterior(static, self.dynamic_head(self.onwards(h, steps)))

        def dynamic_given(s: Tensor) -> Normal:
            return self.dynamic_head(self.onwards(self.with_static(Codes(s, g).each_step(), steps))[0])

        return Posterior(static, dynamic_given(static.mean), dynamic_given)

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """Squared error and the two KLs, `(B,)` each; I(s; d) and the two contrasts, 0-dim.

        The contrasts are left out while both have weight 0 (`batch.unweighted`).

        Raises:
            ValueError: the batch lacks the size of the data set.
        """
        posterior = self.posterior(batch.x, batch.mask)
        steps = inside(batch.mask)
        s = draw(posterior.static, generator)
        posterior = posterior.at(s)
        codes = Codes(s, draw(posterior.dynamic, generator))
        terms = {
            "reconstruction": self.step_errors(batch, codes, steps).sum(1),
            "kl_static": self.kl_static(posterior),
            "kl_dynamic": self.kl_dynamic(posterior, codes, steps),
        }
        if self.pair_estimate != "none":
            size = batch.require_dataset_size()
            terms |= sampled_terms(codes, posterior, size, steps, pair=self.pair_estimate)
        if not batch.unweighted >= CONTRASTS:
            contrast = self._bank_contrast if self.negatives == "bank" else self._batch_contrast
            terms |= contrast(posterior, inside_steps(batch.x, batch.mask), generator)
        return terms

    # ---- contrasts --------------------------------------------------------------------------------------

    def _bank_contrast(self, posterior: Posterior, steps: Tensor, generator: torch.Generator | None) -> Terms:
        """The sequence's own codes again, among those of generated sequences."""
        own = _joined(_summaries(posterior, steps))
        again = {code: gather(mean) for code, mean in self._again(posterior.mean, steps, generator).items()}
        bank = self._draw_bank(len(steps), steps.shape[1], generator)
        count = len(again["static"])
        positive = torch.arange(count, device=steps.device)
        terms = {}
        for code in ("static", "dynamic"):
            far = choose_negatives(pairwise_kl(own[code], bank[code]), self.choice, generator)
            negatives = torch.cat([torch.zeros_like(far[:, :1]).expand(-1, count), far], 1)
            candidates = torch.cat([again[code], bank[code].mean])
            terms[f"contrastive_{code}"] = contrast_among(
                own[code].mean, candidates, positive, negatives, self.temperature
            )
        return terms

    def _batch_contrast(
        self, posterior: Posterior, steps: Tensor, generator: torch.Generator | None
    ) -> Terms:
        """Codes of a close sequence of the batch again, among those of the farthest sequences."""
        own, kept = _joined(_summaries(posterior, steps)), posterior.sample(generator)
        again = {code: gather(mean) for code, mean in self._again(kept, steps, generator).items()}
        count = len(again["static"])
        third = max(1, count // 3)
        terms = {}
        for code in ("static", "dynamic"):
            rank = ranks(pairwise_kl(own[code], own[code]))
            keys = standard_normal(tuple(rank.shape), own[code].mean, generator, sequences=None)
            positive = keys.masked_fill(rank < count - third, -torch.inf).argmax(1)
            terms[f"contrastive_{code}"] = contrast_among(
                own[code].mean, again[code], positive, rank < third, self.temperature
            )
        return terms

    def _again(
        self, kept: Codes, steps: Tensor, generator: torch.Generator | None
    ) -> dict[str, Float[Tensor, "B F"]]:
        """Predictive sampling: each code is kept, the other one drawn, both decoded and encoded again."""
        new = self._draw_codes(len(steps), steps.shape[1], generator)
        with keep_statistics(self):
            static = self._encode_decoded(Codes(kept.static, new.dynamic), steps)["static"]
            dynamic = self._encode_decoded(Codes(new.static, kept.dynamic), steps)["dynamic"]
        return {"static": static.mean, "dynamic": dynamic.mean}

    def _draw_bank(self, size: int, length: int, generator: torch.Generator | None) -> dict[str, Normal]:
        """Codes of `bank` times `size` sequences, those of all processes, drawn from the priors, `size` at a time."""
        steps = torch.ones(size, length, dtype=torch.bool, device=self.device)
        with torch.no_grad(), keep_statistics(self):
            parts = [
                self._encode_decoded(self._draw_codes(size, length, generator), steps)
                for _ in range(self.bank)
            ]
        parts = [_joined(part) for part in parts]
        return {
            code: Normal(
                torch.cat([part[code].mean for part in parts]),
                torch.cat([part[code].stddev for part in parts]),
                validate_args=False,
            )
            for code in ("static", "dynamic")
        }

    def _draw_codes(self, n: int, length: int, generator: torch.Generator | None) -> Codes:
        """Both codes from the priors, without gradients."""
        with torch.no_grad():
            codes = self.draw(n, length, generator)
            if self.drawn_dynamics == "samples":
                return codes
            return Codes(codes.static, self.prior(codes.dynamic).mean)

    def _encode_decoded(self, codes: Codes, steps: Tensor) -> dict[str, Normal]:
        return _summaries(self.posterior(self.decode(codes, steps).mean, steps), steps)


def _joined(codes: dict[str, Normal]) -> dict[str, Normal]:
    """The codes of all processes that train together."""
    return {name: Normal(gather(q.mean), gather(q.stddev), validate_args=False) for name, q in codes.items()}


def _summaries(posterior: Posterior, steps: Bool[Tensor, "B T"]) -> dict[str, Normal]:
    """q(s | x), and the average over the steps of q(d_t | x): of its means, and of its log deviations."""
    mean = mean_over_steps(posterior.dynamic.mean, steps)
    std = mean_over_steps(posterior.dynamic.stddev.log(), steps).exp()
    static = Normal(posterior.static.mean, posterior.static.stddev, validate_args=False)
    return {"static": static, "dynamic": Normal(mean, std, validate_args=False)}
