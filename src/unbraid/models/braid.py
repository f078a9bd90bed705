"""Braid, a method of unbraid's own: codes that predict, from fixed summaries and straight lines beside small nets.

When to use it: for series and sound of your own, without tuning. Deep codes of a few hundred sequences lose to plain
summaries of the raw series when a label is to be predicted. So the static code starts as these summaries, and the deep
part only adds to them: most of what the static code predicts comes from the fixed summaries.

    z                    fixed summaries of the whole sequence (`unbraid.nn.summaries`), K = S numbers
    m, v                 mean and deviation of each feature over the observed values of the sequence
    x~_t = (x_t - m) / max(v, 0.05)        what d reads; frames are read as they are
    g_t                  features of x~_t on its own
    q(s | x)             mean A z + net(mean of g, z)
    q(d_t | x)           mean B x~_t + net(LSTM over g)
    p(x_t | s, d_t)      mean level(s) + scale(s) (C (s, d_t) + net(s, d_t)); level and log scale are straight lines of s
    p(s) = N(0, I),   p(d_t | d_<t) an LSTM
    loss = -log p(x | s, d) + KL_s + KL_d, weights set by the recipe

The normalisation leaves level and scale to the static code, so that they follow it in a swap. With `level: summaries` m and v are
not the sequence's own, but those that a ridge regression of (m, log max(v, 0.05)) on z gives. This suits sound: the mean
spectrum of one word tells the word as well as the voice, and what of it the voice does not tell is left in d. C copies what d
holds, and cannot change it by s; where s has to do so (the formants of another voice), the decoder does without C
(`decoder_line: false`).

A and B, C, level and scale start in closed form: A takes the summaries as they are; B and C are principal components of x~_t,
whitened, and their inverse; level and scale are a ridge regression of (m, log max(v, 0.05)) on z. Nets start at a tenth of
their usual outputs.

Normalisation cannot take a frequency, or the delay between two sensors, out of d: a straight line of d already gives each window,
frequency included. `swaps` teaches the decoder to take from s what lasts. With j another sequence of the batch, x^ the
decoded means and x^~ the same normalised:

    swap_static  = 1/2 |z(x^(s_i, d_j)) - z(x^(s_i, d_i))|^2     in units of how far z differs between the halves of a sequence
    swap_dynamic = 1/2 |x^~(s_i, d_j) - x^~(s_j, d_j)|^2         the changed sequence stays near the one that gave d

The first compares summaries of swaps with those of the sequence that gave s; summaries that change within a sequence count
little. The second keeps what the first leaves open, such as the phase. Where every movement changes the summaries (short series
of a single event) no swap can keep both, and these terms can grow until nothing is rebuilt. With `swaps_until` c they are
therefore multiplied by max(0, 1 - m/c), where m is the share of the variance of a batch that its rebuilt sequences miss. So a
model of noisy series, of which more than c is missed, trains without them.

While training, a share of the observed values can be hidden from the encoder (`hide`), all values of a sequence be moved and
stretched (`jitter`), rare features be weighed up (`weigh_rare`), and d be read from a changed view (`dynamic_view`: for
sound, another voice). The errors count all observed values. With `centre` the LSTM reads g_t less its mean over the
sequence: what shows in the mean of the features does not reach d.

Level and scale as separate parts of an autoencoder of series are usual (instance normalisation); shares of fixed
convolutions as features are those of MiniRocket (Dempster, Schmidt, Webb, KDD 2021, https://arxiv.org/abs/2012.08791).
"""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution, Normal
from torch.nn.functional import linear

from unbraid.cards import ModelCard
from unbraid.kinds import kind_of
from unbraid.masks import (
    inside,
    inside_steps,
    less_mean,
    mean_of_features,
    observed_steps,
    observed_values,
    share_missed,
    zero_unobserved,
)
from unbraid.models.sequential_vae import SequentialVAE
from unbraid.nn.codecs import build_encoder, encode_steps
from unbraid.nn.likelihoods import reconstruction_error
from unbraid.nn.lines import LineDecoder, principal_lines, ridge_line, shrink
from unbraid.nn.recurrent import GaussianHead, LSTMPrior, MaskedLSTM
from unbraid.nn.series import as_series, mean_and_deviation
from unbraid.nn.summaries import Summaries, SummaryName
from unbraid.types import Batch, Codes, MotionView, Posterior, Terms, View, standard_normal, uniform

__all__ = ["Braid"]

LEAST = 0.05  # deviation that a sequence is divided by
QUIET = -2.0  # first log variance of the codes


class Braid(SequentialVAE):
    """Static code from fixed summaries and a small net, dynamic code from the normalised sequence (ours).

    Args:
        observation: shape `*X` of one observation.
        static_size: size S of the static code, and number of summaries.
        dynamic_size: size D of the dynamic code.
        features: size of a step's features g_t.
        width: channels of the first convolution, or units of the first layer for vectors and windows.
        hidden: size of the layer before the static code, and of the prior's LSTM.
        dynamic_hidden: size of the LSTM before the dynamic code, in each direction.
        bidirectional: whether the LSTM before d reads in both directions.
        summaries: "plain" (mean, deviation, bounds), "texture" (with shares of fixed convolutions), "ordered" (with the ends,
            the slope and quarters as well), "halves" (means, in directions that two halves of a sequence agree on) or "voiced"
            (the same with means over the loud steps, for speech).
        static_net: whether a net adds to the summaries; without one, s is the summaries, and only its deviation is learned.
        closed_form: whether the straight lines start in closed form.
        normalise: whether d reads the sequence normalised by a mean and a deviation, and s gives level and scale.
        level: whose mean and deviation normalise it: those of the "sequence", or those that its "summaries" give.
        lines: whether straight lines stand beside the nets of d and of the decoder.
        decoder_line: with `lines`, whether one stands beside the decoder's net; without it the net alone decides what of a
            voice comes from s and what from d.
        hide: mean share of the observed values that training hides from the encoder; each sequence draws its own, up to
            twice this.
        jitter: deviation of the offset that is added to each feature of a training sequence; its factor is exp(g / 3).
        weigh_rare: whether errors of a feature are divided by its share of observed values.
        dynamic_view: the view that d is read from while training, see `unbraid.augment`; "none" for the sequence itself.
            "voice" needs sounds that were loaded with `other_voices`.
        centre: whether d reads features less their mean over the sequence.
        swaps: whether training compares swaps of pairs of sequences, with two more terms.
        swaps_until: share of the variance that rebuilt sequences miss, from which on the terms of swaps do not count; None to
            count them whatever is missed.

    Raises:
        ValueError: settings out of range, or observations without a codec.
    """

    card = ModelCard(
        name="braid",
        title="Braid: codes from fixed summaries and straight lines beside small nets",
        authors="The unbraid authors",
        year=2026,
        venue="this package",
        url="https://arxiv.org/abs/2012.08791",
        summary="ours: static code from fixed summaries of the whole sequence; the default for your own series",
        capabilities=frozenset(
            {"encode", "decode", "static_prior", "dynamic_prior", "likelihood", "decoded_static"}
        ),
        deviations=("a method of ours: no paper describes it; the module says where its parts come from",),
        variants=(
            {"summaries": "plain", "lines": False, "closed_form": False, "normalise": False},
            {"summaries": "ordered", "hide": 0.3, "jitter": 0.3, "weigh_rare": True},
            {"summaries": "halves", "static_net": False, "bidirectional": True, "dynamic_view": "auto"},
            {"summaries": "voiced", "static_net": False, "bidirectional": True, "centre": True},
            {"swaps": True, "swaps_until": 0.1},
            {"level": "summaries", "swaps": True},
            {"level": "summaries", "decoder_line": False},
        ),
        symbols=(
            ("z", "z", "fixed summaries of the sequence"),
            ("s", "static", "static code of the sequence"),
            ("d_t", "dynamic[:, t]", "dynamic code of step t"),
            ("g_t", "g", "features of step t"),
            ("m, v", "mean, deviation", "the sequence's own mean and deviation of each feature"),
            ("A, B, C", "static_line, dynamic_line, decoder.line", "straight lines beside the nets"),
        ),
    )

    feature_weights: Tensor
    level_weight: Tensor
    level_bias: Tensor
    decoder: LineDecoder

    def __init__(
        self,
        observation: tuple[int, ...],
        static_size: int = 32,
        dynamic_size: int = 8,
        features: int = 32,
        width: int = 32,
        hidden: int = 64,
        dynamic_hidden: int = 32,
        bidirectional: bool = False,
        summaries: SummaryName = "texture",
        static_net: bool = True,
        closed_form: bool = True,
        normalise: bool = True,
        level: Literal["sequence", "summaries"] = "sequence",
        lines: bool = True,
        decoder_line: bool = True,
        hide: float = 0.0,
        jitter: float = 0.0,
        weigh_rare: bool = False,
        dynamic_view: Literal["none", MotionView] = "none",
        centre: bool = False,
        swaps: bool = False,
        swaps_until: float | None = None,
    ) -> None:
        super().__init__(locals())
        if not 0 <= hide <= 0.5:
            raise ValueError(f"model.hide: {hide} must lie between 0 and 0.5")
        if jitter < 0:
            raise ValueError(f"model.jitter: {jitter} must be at least 0")
        if swaps_until is not None and swaps_until <= 0:
            raise ValueError(f"model.swaps_until: {swaps_until} must be above 0, or None")
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.static_net, self.closed_form, self.hide, self.jitter = static_net, closed_form, hide, jitter
        self.normalise = normalise and kind_of(observation) != "frames"
        self.weigh_rare = weigh_rare and kind_of(observation) != "frames"
        self.swaps, self.swaps_until, self.centre = swaps, swaps_until, centre
        self.views = {} if dynamic_view == "none" else {"dynamic": dynamic_view}
        values, last = torch.Size(observation).numel(), observation[-1]
        self.summaries = Summaries(observation, static_size, summaries)
        self.kept: dict[int, Tensor] = {}
        self.static_line = nn.Linear(static_size, static_size) if static_net else nn.Identity()
        self.static_path = nn.Sequential(nn.Linear(features + static_size, hidden), nn.Tanh())
        self.static_added = nn.Linear(hidden, static_size) if static_net else None
        self.static_log_variance = nn.Linear(hidden, static_size)
        self.encoder = build_encoder(observation, features, width)
        self.dynamic_path = MaskedLSTM(features, dynamic_hidden, bidirectional=bidirectional)
        self.dynamic_head = GaussianHead(self.dynamic_path.output_size, dynamic_size)
        self.dynamic_line = nn.Linear(values, dynamic_size) if lines else None
        self.dynamic_prior = LSTMPrior(dynamic_size, hidden)
        self.decoder = LineDecoder(
            observation, static_size, dynamic_size, width, lines and decoder_line, self.normalise
        )
        self.register_buffer("feature_weights", torch.ones(last))
        self.level_of_summaries = self.normalise and level == "summaries"
        if self.level_of_summaries:
            self.register_buffer("level_weight", torch.zeros(2 * last, static_size))
            self.register_buffer("level_bias", torch.zeros(2 * last))
        for layer in (self.static_added, self.dynamic_head.mean):
            if layer is not None:
                shrink(layer)
        for layer in (self.static_log_variance, self.dynamic_head.log_variance):
            nn.init.constant_(layer.bias, QUIET)

    # ---- closed form --------------------------------------------------------------------------------

    @torch.no_grad()
    def start(self, batches: Iterable[Batch]) -> None:
        """Fit the summaries, the shares of observed values, and the first straight lines, to the training sequences."""
        parts = list(batches)
        self.kept.clear()
        self.summaries.fit(parts)
        if self.swaps:
            self.summaries.fit_distance(parts)
        if self.weigh_rare:
            share = torch.stack(
                [as_series(part.x, part.mask)[1].float().mean((0, 1)) for part in parts]
            ).mean(0)
            weights = 1 / share.clamp_min(0.01)
            self.feature_weights.copy_(weights * share.sum() / (weights * share).sum())
        z = [self.summaries(part.x, part.mask) for part in parts]
        if self.normalise:
            own = [mean_and_deviation(*as_series(part.x, part.mask)) for part in parts]
            level = [torch.cat([mean, deviation.clamp_min(LEAST).log()], 1) for mean, deviation in own]
            weight, bias = ridge_line(torch.cat(z), torch.cat(level))
        if self.level_of_summaries:
            self.level_weight.copy_(weight)
            self.level_bias.copy_(bias)
        if not self.closed_form:
            return
        if isinstance(self.static_line, nn.Linear):
            nn.init.eye_(self.static_line.weight)
            nn.init.zeros_(self.static_line.bias)
        if self.dynamic_line is not None:
            normalised = [
                self._normalised(part.x, part.mask, of_part)[
                    observed_steps(observed_values(part.x, part.mask))
                ]
                for part, of_part in zip(parts, z, strict=True)
            ]
            inverse = principal_lines(self.dynamic_line, torch.cat(normalised).flatten(1))
            self.decoder.start_line(*inverse)
        if self.decoder.level is not None:
            self.decoder.level.weight.copy_(weight)
            self.decoder.level.bias.copy_(bias)

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        """Load weights and summaries; what the summaries before them gave is forgotten."""
        self.kept.clear()
        super()._load_from_state_dict(*arguments, **options)

    # ---- codes --------------------------------------------------------------------------------------

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """q(s | x) and q(d | x); see the module's equations."""
        return self._posterior(x, mask, self.summaries(x, mask))

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """-log p(x | s, d), weighed by feature, the two KLs and, with `swaps`, the two terms of swaps; `(B,)` each.

        Raises:
            ValueError: the batch lacks the view that d is read from.
        """
        x, mask = zero_unobserved(batch.x, batch.mask), batch.mask
        if self.training and self.jitter:
            x = zero_unobserved(self._moved(x, generator), mask)
        shown = self._shown(x, mask, generator) if self.training and self.hide else mask
        changed = self.training and (self.hide or self.jitter)
        z = self.summaries(x, shown, exact=False) if changed else self._summaries_of(batch)
        view = batch.view("dynamic") if self.views and self.training else None
        posterior = self._posterior(x, shown, z, view)
        codes = posterior.sample(generator)
        steps = inside(mask)
        weights = self.feature_weights if self.weigh_rare else None
        rebuilt = self.decode(codes, steps)
        error = reconstruction_error(rebuilt, x, mask, weights)
        terms = {
            "reconstruction": error.sum(1),
            "kl_static": self.kl_static(posterior),
            "kl_dynamic": self.kl_dynamic(posterior, codes, steps),
        }
        if not self.swaps:
            return terms
        swap_terms = self._swap_terms(codes, rebuilt.mean.detach(), steps)
        share = self._share_of_swaps(rebuilt.mean.detach(), x, mask)
        return terms | {name: share * term for name, term in swap_terms.items()}

    def _share_of_swaps(self, rebuilt: Tensor, x: Tensor, mask: Tensor | None) -> Tensor | float:
        """By how much the terms of swaps count for this batch, 0 to 1; see `swaps_until`."""
        if self.swaps_until is None:
            return 1.0
        return (1 - share_missed(rebuilt, x, mask) / self.swaps_until).clamp_min(0)

    def _swap_terms(self, codes: Codes, rebuilt: Float[Tensor, "B T *X"], steps: Tensor | None) -> Terms:
        """Each s with the d of the sequence before it in the batch, beside what is rebuilt of both."""
        steps = inside_steps(rebuilt, steps)
        donor = steps.roll(1, 0)
        swapped = self.decode(Codes(codes.static, codes.dynamic.roll(1, 0)), donor).mean
        wanted = self.summaries(rebuilt, steps, exact=False, gradual=True)
        z = self.summaries(swapped, donor, exact=False, gradual=True)
        change = self._normalised(swapped, donor, z) - self._normalised(rebuilt, steps, wanted).roll(1, 0)
        return {
            "swap_static": self.summaries.distance(z, wanted),
            "swap_dynamic": 0.5 * change.square().flatten(1).sum(1),
        }

    def _summaries_of(self, batch: Batch) -> Float[Tensor, "B K"]:
        """The summaries of a batch; those of a training sequence are computed once and kept in memory."""
        if batch.index is None or not self.training or (batch.index < 0).any():
            return self.summaries(batch.x, batch.mask)
        place = batch.index.tolist()
        new = [row for row, number in enumerate(place) if number not in self.kept]
        if new:
            mask = None if batch.mask is None else batch.mask[new]
            z = self.summaries(batch.x[new], mask).detach()
            self.kept.update({place[row]: part for row, part in zip(new, z, strict=True)})
        return torch.stack([self.kept[number] for number in place])

    def _posterior(
        self, x: Tensor, mask: Tensor | None, z: Float[Tensor, "B K"], view: View | None = None
    ) -> Posterior:
        """q(s | x) and q(d | x); with a view q(d | view)."""
        values = self._normalised(x, mask, z)
        g = encode_steps(self.encoder, values, mask)
        static = self._static(z, mask, g)
        if view is not None:
            mask = view.mask
            values = self._normalised(view.x, mask)
            g = encode_steps(self.encoder, values, mask)
        return Posterior(static, self._dynamic(values, g, mask))

    def _static(self, z: Float[Tensor, "B K"], mask: Tensor | None, g: Tensor) -> Normal:
        h = self.static_path(torch.cat([mean_of_features(g, mask), z.to(g.dtype)], 1))
        deviation = (0.5 * self.static_log_variance(h).float()).exp()
        line = self._static_line(z)
        return Normal(
            line if self.static_added is None else line + self.static_added(h), deviation, validate_args=False
        )

    def _static_line(self, z: Float[Tensor, "B K"]) -> Float[Tensor, "B S"]:
        """The straight line of s, in float64, so that it does not depend on the size of the batch."""
        if not isinstance(self.static_line, nn.Linear):
            return z
        weight, bias = self.static_line.weight.double(), self.static_line.bias.double()
        return linear(z.double(), weight, bias).to(z.dtype)

    def _dynamic(self, values: Tensor, g: Tensor, mask: Tensor | None) -> Distribution:
        if self.centre:
            g = less_mean(g, mask)
        normal = self.dynamic_head(self.dynamic_path(g, inside(mask)))
        if self.dynamic_line is None:
            return normal
        line = self.dynamic_line(values.flatten(2))
        if mask is not None:
            line = zero_unobserved(line, observed_steps(mask))
        return Normal(normal.mean + line, normal.stddev, validate_args=False)

    # ---- values -------------------------------------------------------------------------------------

    def _normalised(
        self, x: Tensor, mask: Tensor | None, z: Float[Tensor, "B K"] | None = None
    ) -> Float[Tensor, "B T *X"]:
        """Values less a mean, over a deviation, of each feature; zeros where unobserved. z: their summaries, where known."""
        if not self.normalise:
            return zero_unobserved(x, mask)
        if self.level_of_summaries:
            z = self.summaries(x, mask, exact=False) if z is None else z
            level = linear(z.double(), self.level_weight.double(), self.level_bias.double()).to(x.dtype)
            mean, deviation = level[:, : x.shape[-1]], level[:, x.shape[-1] :].exp()
        else:
            mean, deviation = mean_and_deviation(*as_series(x, mask))
        shape = (len(x), *[1] * (x.ndim - 2), x.shape[-1])
        return zero_unobserved((x - mean.view(shape)) / deviation.clamp_min(LEAST).view(shape), mask)

    def _moved(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        shape = (2, len(x), *[1] * (x.ndim - 2), x.shape[-1])
        stretch, offset = self.jitter * standard_normal(shape, x, generator, sequences=1)
        return x * (stretch / 3).exp() + offset

    def _shown(self, x: Tensor, mask: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """The mask less the values that are hidden from the encoder."""
        share = 2 * self.hide * uniform((len(x),), x, generator)
        drawn = uniform(tuple(x.shape), x, generator)
        return observed_values(x, mask) & (drawn >= share.view(-1, *[1] * (x.ndim - 1)))
