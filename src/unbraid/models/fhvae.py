"""FHVAE: the static code of a segment lies near the mean of its recording, which is a row of a table.

When to use it: on recordings that are cut into segments (speech), where it is known which segments belong together. That
knowledge is a weak label which most other methods do not use.

Hsu, Zhang, Glass. "Unsupervised Learning of Disentangled and Interpretable Representations from Sequential Data." NeurIPS
2017. https://arxiv.org/abs/1709.07902. Sampled rows of the table: Hsu, Glass. "Scalable Factorized Hierarchical Variational
Autoencoder Training." Interspeech 2018. https://arxiv.org/abs/1804.03201

A recording i has segments x^(n) of `segment` steps, n = 1..N. With the paper's names (z1: content, z2: sequence, mu2: mean):

    p(mu2) = N(0, I),   p(z2 | mu2) = N(mu2, v I),  v = 0.25,   p(z1) = N(0, I),   p(x_t | z1, z2) by a recurrent net
    q(z2 | x), q(z1 | x, z2)     recurrent nets over the segment, their last states
    loss = sum over segments of -log p(x | z1, z2) + KL(q(z1) || p(z1)) + KL(q(z2) || p(z2 | mu2_i))
           - (1 / N) log p(mu2_i) - alpha log p(i | z2mean)
    p(i | z2mean) = softmax over rows i of -|z2mean - mu2_i|^2 / (2 v)                    discriminative term
    new recording: mu2 = sum_n z2mean^(n) / (N + v), the most probable mean               closed form

alpha is the weight of the last term, set by the recipe. In our terms s is mu2 of the sequence, by the closed form, and d_t is
z1 of the segment that step t lies in. Decoding takes s in the place of z2.

A sequence of a data set is cut into segments here, and sequences of one group are segments of one recording: both share a row of
the table. Averaging s over the sequences of a recording gives the closed form of the whole recording up to a factor, which
cosines do not see. Sequences of other splits, and sequences without a recording, take the closed form of their own segments.

Differs from the authors' code: the softmax is over the recording's own row and `candidates` others, drawn for every batch;
the table starts near 0, not at draws of N(0, I); encoder and decoder of a frame are this package's for the kind of observation, with a fixed variance for vectors; a shorter
last segment is kept (theirs is dropped).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.distributions import Distribution, Normal
from torch.nn.functional import pad

from unbraid.cards import ModelCard
from unbraid.masks import inside, inside_steps, take_step, zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.nn.codecs import build_decoder, build_encoder, decode_steps, encode_steps
from unbraid.nn.distributions import Held, hold, kl_over_steps
from unbraid.nn.likelihoods import reconstruction_error
from unbraid.nn.recurrent import GaussianHead
from unbraid.types import Batch, Codes, Posterior, Terms, draw

__all__ = ["FHVAE"]

START = 0.1
"""Deviation of the table's means before training."""


class FHVAE(SequenceModel):
    """Factorised hierarchical variational autoencoder (Hsu, Zhang, Glass, NeurIPS 2017).

    Args:
        observation: shape `*X` of one observation: `(F,)` vectors, `(W, F)` windows or `(C, H, H)` frames.
        static_size: size S of the static code (z2 and mu2).
        dynamic_size: size D of the dynamic code (z1).
        features: size of a step's features.
        width: units of the first layer for vectors and windows, or channels of the first convolution.
        hidden: size of the three recurrent nets.
        segment: steps of a segment. Sequences of at least three segments separate the codes best.
        variance: v, the variance of z2 around the mean of its recording.
        candidates: rows of the table, beside the recording's own, in the discriminative term; all where there are fewer.
        table_rate: factor on the learning rate of the table. A row learns only from its own recording's sequences, so short
            trainings need a high one; 1 in the paper, whose trainings take hundreds of thousands of steps.
        recordings: number of training recordings, rows of the table; training fills it in.

    Raises:
        ValueError: settings out of range, or observations without a codec.
    """

    card = ModelCard(
        name="fhvae",
        title="Unsupervised Learning of Disentangled and Interpretable Representations from Sequential Data",
        authors="Hsu, Zhang, Glass",
        year=2017,
        venue="NeurIPS",
        url="https://arxiv.org/abs/1709.07902",
        summary="codes of segments, the static one near the mean of its recording; needs to know the recordings",
        capabilities=frozenset({"encode", "decode", "static_prior", "dynamic_prior", "decoded_static"}),
        deviations=(
            "weak supervision: training knows which sequences are of one recording (the groups of the data set)",
            "no bound (capability likelihood): s is the mean of the recording, not the z2 of its segments",
            "the table starts near 0 (authors' code: draws of N(0, I), which take long to forget)",
            "the discriminative term compares with a random part of the table, drawn for every batch",
            "encoders and decoders of single steps are shared with the other methods; vectors have a fixed variance",
            "outside the train split a sequence's mean is that of its own segments",
        ),
        variants=({"segment": 2}, {"segment": 3, "candidates": 4, "variance": 0.5, "table_rate": 10.0}),
        symbols=(
            ("mu2", "static", "mean of the recording, the s-vector (our s)"),
            (
                "z1",
                "dynamic[:, t]",
                "content code of the segment at step t (our d_t; z2 in the authors' first code)",
            ),
            ("z2", "", "sequence-level code of a segment (z1 in the authors' first code)"),
            ("alpha", "training.weights.discriminative", "weight of the discriminative term"),
        ),
    )

    def __init__(
        self,
        observation: tuple[int, ...],
        static_size: int = 32,
        dynamic_size: int = 32,
        features: int = 128,
        width: int = 64,
        hidden: int = 256,
        segment: int = 20,
        variance: float = 0.25,
        candidates: int = 2000,
        table_rate: float = 1.0,
        recordings: int = 1,
    ) -> None:
        super().__init__(locals())
        for name, number in (("variance", variance), ("table_rate", table_rate)):
            if number <= 0:
                raise ValueError(f"model.{name}: {number} must be above 0")
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.segment, self.variance = segment, variance
        self.candidates, self.table_rate = candidates, table_rate
        self.encoder = build_encoder(observation, features, width)
        self.static_path = nn.LSTM(features, hidden, batch_first=True)
        self.static_head = GaussianHead(hidden, static_size)
        self.dynamic_path = nn.LSTM(features + static_size, hidden, batch_first=True)
        self.dynamic_head = GaussianHead(hidden, dynamic_size)
        self.output_path = nn.LSTM(dynamic_size + static_size, hidden, batch_first=True)
        self.decoder = build_decoder(observation, hidden, width)
        self.table = nn.Embedding(recordings, static_size)
        nn.init.normal_(self.table.weight, std=START / table_rate)

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """p(mu2 | z2 of the segments) and q(z1 | x, z2) of each segment, with z2 at its mean."""
        g, steps = self._cut(encode_steps(self.encoder, x, mask)), self._cut(inside_steps(x, mask))
        z2 = self._static_codes(g, steps)
        z1 = self._dynamic_codes(g, steps, z2.mean)
        return Posterior(self.most_probable_mean(z2.mean, steps.any(2)), self._held(z1, x.shape[1]))

    def prior(self, dynamic: Float[Tensor, "B T D"]) -> Held:
        """p(z1) = N(0, I) of each segment; only the shape of `dynamic` is used."""
        zeros = torch.zeros_like(self._cut(dynamic)[:, :, 0])
        return self._held(Normal(zeros, torch.ones_like(zeros), validate_args=False), dynamic.shape[1])

    def roll(self, n: int, length: int, generator: torch.Generator | None = None) -> Float[Tensor, "n T D"]:
        """Draw one code for each segment."""
        return self.prior(self.table.weight.new_zeros(n, length, self.dynamic_size)).draw(generator)

    def decode(
        self,
        codes: Codes,
        mask: Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Distribution:
        """p(x | z1 = d, z2 = s): the recurrent net starts anew with every segment."""
        static = codes.static.unsqueeze(1).expand(-1, codes.dynamic.shape[1], -1)
        return self._decode(torch.cat([codes.dynamic, static], 2), mask)

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """The terms of the loss, sums over the segments of each sequence; `(B,)` each.

        `recording_mean` is -log p(mu2) without its constant, shared among the sequences of the recording. It and
        `discriminative` are 0 for sequences without a recording of the train split.
        """
        g = self._cut(encode_steps(self.encoder, batch.x, batch.mask))
        steps = self._cut(inside_steps(batch.x, batch.mask))
        segments = steps.any(2)
        z2 = self._static_codes(g, steps)
        static = draw(z2, generator)
        z1 = self._dynamic_codes(g, steps, static)
        drawn = torch.cat([draw(z1, generator), static], 2)
        codes = hold(drawn, min(self.segment, batch.x.shape[1]), batch.x.shape[1])
        p = self._decode(codes, inside(batch.mask))
        x = zero_unobserved(batch.x, batch.mask)

        index = (
            batch.recording
            if batch.recording is not None
            else torch.full_like(segments[:, 0], -1, dtype=torch.long)
        )
        trained = index >= 0
        row = self.means(index.clamp_min(0))
        size = 1 if batch.recording_size is None else batch.recording_size
        closed = self.most_probable_mean(z2.mean, segments).mean
        mean = torch.where(trained.unsqueeze(1), row, closed).unsqueeze(1).expand_as(z2.mean)
        around = Normal(mean, torch.full_like(mean, self.variance**0.5), validate_args=False)
        standard = Normal(torch.zeros_like(z1.mean), torch.ones_like(z1.mean), validate_args=False)
        found = self._discriminative(z2.mean, row, index, generator)
        return {
            "reconstruction": reconstruction_error(p, x, batch.mask).sum(1),
            "kl_static": kl_over_steps(z2, around, segments),
            "kl_dynamic": kl_over_steps(z1, standard, segments),
            "recording_mean": torch.where(trained, 0.5 * row.square().sum(1) / size, 0.0),
            "discriminative": torch.where(segments & trained.unsqueeze(1), found, 0.0).sum(1),
        }

    def means(self, index: Int[Tensor, "*B"]) -> Float[Tensor, "*B S"]:
        """The table's means mu2 of training recordings. They are stored divided by `table_rate`, which Adam does not see."""
        return self.table_rate * self.table(index)

    def most_probable_mean(self, z2: Float[Tensor, "B N S"], segments: Bool[Tensor, "B N"]) -> Normal:
        """p(mu2 | z2 of the segments), over (B, S): its mean is the paper's closed form."""
        count = segments.sum(1, keepdim=True)
        total = torch.where(segments.unsqueeze(2), z2, 0.0).sum(1)
        deviation = (self.variance / (count + self.variance)).sqrt().to(total.dtype).expand_as(total)
        return Normal(total / (count + self.variance), deviation, validate_args=False)

    def _discriminative(
        self,
        z2: Float[Tensor, "B N S"],
        own: Float[Tensor, "B S"],
        index: Int[Tensor, "B"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, "B N"]:
        """-log p(i | z2) among the recording's own row and some others."""
        count = self.table.num_embeddings
        rows = torch.arange(count, device=index.device)
        if self.candidates < count:
            device = index.device if generator is None else generator.device
            rows = torch.randperm(count, generator=generator, device=device)[: self.candidates].to(
                index.device
            )
        gaps = torch.cdist(z2, self.means(rows).to(z2.dtype), compute_mode="donot_use_mm_for_euclid_dist")
        others = torch.where(rows == index[:, None, None], -torch.inf, -gaps.square() / (2 * self.variance))
        mine = -(z2 - own.unsqueeze(1)).square().sum(2, keepdim=True) / (2 * self.variance)
        return torch.logsumexp(torch.cat([mine, others], 2), 2) - mine.squeeze(2)

    # ---- segments -----------------------------------------------------------------------------------

    def _cut(self, values: Tensor) -> Tensor:
        """`(B, T, ...)` in segments `(B, N, L, ...)`, the last one filled up with zeros."""
        steps = values.shape[1]
        length = min(self.segment, steps)
        filled = pad(values, (0, 0) * (values.ndim - 2) + (0, -steps % length))
        return filled.unflatten(1, (-1, length))

    def _held(self, codes: Normal, steps: int) -> Held:
        return Held(codes, min(self.segment, steps), steps)

    def _static_codes(self, g: Float[Tensor, "B N L f"], steps: Bool[Tensor, "B N L"]) -> Normal:
        """q(z2 | x) of each segment."""
        return self.static_head(_last(self.static_path, g, steps))

    def _dynamic_codes(
        self, g: Float[Tensor, "B N L f"], steps: Bool[Tensor, "B N L"], z2: Float[Tensor, "B N S"]
    ) -> Normal:
        """q(z1 | x, z2) of each segment."""
        beside = z2.unsqueeze(2).expand(-1, -1, g.shape[2], -1)
        return self.dynamic_head(_last(self.dynamic_path, torch.cat([g, beside.to(g.dtype)], 3), steps))

    def _decode(self, codes: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"] | None) -> Distribution:
        """p(x) from (z1, z2) at each step."""
        h = self.output_path(self._cut(codes).flatten(0, 1))[0].unflatten(0, (len(codes), -1))
        return decode_steps(self.decoder, h.flatten(1, 2)[:, : codes.shape[1]], mask)


def _last(
    lstm: nn.LSTM, x: Float[Tensor, "B N L f"], steps: Bool[Tensor, "B N L"]
) -> Float[Tensor, "B N hidden"]:
    """A recurrent net's output at the last step inside each segment."""
    h = lstm(x.flatten(0, 1))[0]
    return take_step(h, (steps.flatten(0, 1).sum(1) - 1).clamp_min(0)).unflatten(0, x.shape[:2])
