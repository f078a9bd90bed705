"""Fixed summaries of a whole sequence: numbers that no training changes, computed from the raw values.

A sequence is read as a series with features (`unbraid.nn.series`). Columns come in blocks:

- plain: mean, deviation, log of the deviation, least and largest value, and share of observed values, of each feature;
- texture: shares of positive outputs of fixed convolutions, after MiniRocket (Dempster, Schmidt, Webb, KDD 2021,
  https://arxiv.org/abs/2012.08791): the 84 kernels of length 9 with weights -1 and 2, at up to six dilations, over random
  features; each has a threshold, a quantile of its outputs on some training sequences (a narrow sigmoid, not a step);
- ordered: first and last value, slope, and mean and share of observed values in each quarter of the sequence.

Columns are standardised by the train split, bounded, and divided by the square root of their block's width. Then principal
components of the train split, whitened, give z. "halves" instead takes the plain means alone, and the directions in which
two halves of a training sequence agree. "voiced" does the same with weighted means, for mel bands of speech: a step counts
sigmoid(4 e), where e is the mean of the lower half of the bands less its mean over the sequence. Vowels are loud there, and
tell a voice better than silence and hiss do.
"""

import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from unbraid.kinds import kind_of
from unbraid.nn.lines import oriented
from unbraid.nn.series import (
    PIXELS,
    as_series,
    fill_gaps,
    inside_rows,
    mean_and_deviation,
    mean_of_rows,
    two_halves,
)
from unbraid.types import Batch

__all__ = ["Summaries", "SummaryName"]

SummaryName = Literal["plain", "texture", "ordered", "halves", "voiced"]

BLOCKS: dict[SummaryName, tuple[str, ...]] = {
    "plain": ("plain",),
    "texture": ("plain", "texture"),
    "ordered": ("plain", "texture", "ordered"),
    "halves": (),
    "voiced": (),
}
BOUND = 6.0  # of standardised columns
LEAST = 0.05  # deviation that is added before its logarithm is taken
CONSTANT = 1e12  # scale of a column that is the same for all sequences, so that it becomes 0
DILATIONS = 6
KERNEL = 9
THRESHOLD_SEQUENCES = 40
SOFT = 0.02  # of an output's deviation: the width in which a share goes from 0 to 1, so that rounding changes none
GRADUAL = 0.5  # the same where gradients are wanted
LOUD = 4.0  # how steeply the weight of a step rises with its loudness
RIDGE = 0.01  # added to the variance within sequences, of whitened means
LEAST_WITHIN = 0.02  # added to the variance of summaries within sequences


class Summaries(nn.Module):
    """Summaries z of each sequence: `(B, T, *X)` and mask -> `(B, size)`.

    Args:
        observation: shape `*X` of one observation.
        size: number K of summaries. Where the train split has fewer directions, the last ones are 0.
        which: "plain"; "texture" (with the plain ones); "ordered" (with both); "halves"; or "voiced".
    """

    weights: Tensor
    reads: Tensor
    dilations: Tensor
    thresholds: Tensor
    widths: Tensor
    center: Tensor
    scale: Tensor
    middle: Tensor
    directions: Tensor
    distance_root: Tensor

    def __init__(self, observation: tuple[int, ...], size: int, which: SummaryName) -> None:
        super().__init__()
        self.which, self.size = which, size
        self.by_halves = not BLOCKS[which]  # whether z is what two halves of a sequence agree on
        features = _features(observation)
        weights = torch.full((84, KERNEL), -1.0)
        for row, places in enumerate(itertools.combinations(range(KERNEL), 3)):
            weights[row, list(places)] = 2.0
        self.register_buffer("weights", weights, persistent=False)
        blocks = {"plain": 6 * features, "texture": DILATIONS * 84, "ordered": 11 * features}
        self.blocks = {name: blocks[name] for name in BLOCKS[which]}  # name to number of columns
        columns = sum(self.blocks.values()) or features
        self.register_buffer("reads", torch.ones(DILATIONS, 84, features))
        self.register_buffer("dilations", torch.ones(DILATIONS, dtype=torch.int64))
        self.register_buffer("thresholds", torch.zeros(DILATIONS, 84))
        self.register_buffer("widths", torch.ones(DILATIONS, 84))
        self.register_buffer("center", torch.zeros(columns))
        self.register_buffer("scale", torch.ones(columns))
        self.register_buffer("middle", torch.zeros(columns))
        self.register_buffer("directions", torch.eye(columns, size))
        self.register_buffer("distance_root", torch.eye(size))

    def forward(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Tensor | None = None,
        exact: bool = True,
        gradual: bool = False,
    ) -> Float[Tensor, "B K"]:
        """The summaries of each sequence; those of one without an observed value are those of the mean sequence.

        Args:
            x: observations.
            mask: `(B, T)` or `(B, T, *X)`, True = observed.
            exact: compute in float64, so that a sequence's summaries do not depend on the batch that it is in.
            gradual: count outputs near their threshold in part, so that the shares have useful gradients.
        """
        series, observed = as_series(x, mask)
        return self._z(series.double() if exact else series, observed, gradual).to(x.dtype)

    def distance(self, a: Float[Tensor, "B K"], b: Float[Tensor, "B K"]) -> Float[Tensor, "B"]:
        """Half the squared distance of summaries, in units of their deviation within a sequence (see `fit_distance`)."""
        return 0.5 * ((a - b) @ self.distance_root.to(a.dtype)).square().sum(1)

    @torch.no_grad()
    def fit(self, batches: Iterable[Batch]) -> None:
        """Fit thresholds, scales and directions to the training sequences."""
        parts = [as_series(batch.x.double(), batch.mask) for batch in batches]
        length = max(series.shape[1] for series, _ in parts)
        series, observed = (
            torch.cat([F.pad(part[i], (0, 0, 0, length - part[i].shape[1])) for part in parts])
            for i in (0, 1)
        )
        if "texture" in self.blocks:
            self._fit_texture(series, observed)
        halves = [self._raw(*half) for half in two_halves(series, observed)] if self.by_halves else []
        raw = torch.cat(
            [self._raw(*part) for part in zip(series.split(256), observed.split(256), strict=True)]
        )
        self.center.copy_(raw.mean(0))
        deviation = raw.std(0, correction=0)
        self.scale.copy_(torch.where(deviation > 1e-6, deviation, CONSTANT))
        columns = self._scaled(raw)
        self.middle.copy_(columns.mean(0))
        if self.by_halves:
            directions = _agreed(columns, *(self._scaled(half) for half in halves))
        else:
            directions = _components(columns)
        self.directions.zero_()
        kept = min(self.size, directions.shape[1])
        self.directions[:, :kept] = directions[:, :kept].to(self.directions)

    @torch.no_grad()
    def fit_distance(self, batches: Iterable[Batch]) -> None:
        """Fit how much the summaries of one sequence differ: W, the covariance of half the difference of its two halves.

        `distance` is then 1/2 (a - b)' (W + 0.02 I)^-1 (a - b): directions that stay over a sequence count most.
        """
        differences = []
        for batch in batches:
            series, observed = as_series(batch.x.double(), batch.mask)
            first, second = (self._z(*half, gradual=True) for half in two_halves(series, observed))
            differences.append((first - second) / 2)
        within = torch.cat(differences).T.cov(correction=0)
        least = LEAST_WITHIN * torch.eye(self.size, dtype=within.dtype, device=within.device)
        self.distance_root.copy_(torch.linalg.cholesky(torch.linalg.inv(within + least)))

    # ---- columns ------------------------------------------------------------------------------------

    def _z(self, series: Tensor, observed: Tensor, gradual: bool) -> Float[Tensor, "B K"]:
        columns = self._scaled(self._raw(series, observed, gradual)) - self.middle
        some = observed.flatten(1).any(1, keepdim=True)
        return torch.where(some, columns @ self.directions.to(columns.dtype), 0.0)

    def _raw(
        self, series: Float[Tensor, "B L F"], observed: Bool[Tensor, "B L F"], gradual: bool = False
    ) -> Float[Tensor, "B columns"]:
        if self.which == "voiced":
            return _voiced_mean(series, observed)
        if self.which == "halves":
            return mean_of_rows(series, observed)
        blocks: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "plain": _plain,
            "texture": partial(self._texture, gradual=gradual),
            "ordered": _ordered,
        }
        return torch.cat([blocks[name](series, observed) for name in self.blocks], 1)

    def _scaled(self, raw: Float[Tensor, "B columns"]) -> Float[Tensor, "B columns"]:
        """Standardised, bounded columns, each divided by the square root of its block's width."""
        if self.by_halves:
            return (raw - self.center) / self.scale
        weight = torch.cat([raw.new_full((width,), width**-0.5) for width in self.blocks.values()])
        return ((raw - self.center) / self.scale).clamp(-BOUND, BOUND) * weight

    def _texture(self, series: Tensor, observed: Tensor, gradual: bool = False) -> Float[Tensor, "B columns"]:
        widths = self.widths * (GRADUAL / SOFT) if gradual else self.widths
        inside = inside_rows(observed)
        count = inside.sum(1, keepdim=True).clamp_min(1)
        shares = []
        for number, output in enumerate(self._outputs(series, observed)):
            above = torch.sigmoid(
                (output - self.thresholds[number].unsqueeze(1)) / widths[number].unsqueeze(1)
            )
            shares.append((above * inside.unsqueeze(1)).sum(2) / count)
        return torch.cat(shares, 1).to(series.dtype)

    def _outputs(self, series: Tensor, observed: Tensor) -> Iterable[Float[Tensor, "B 84 L"]]:
        """The outputs of the 84 kernels at each dilation; gaps are filled, the ends repeated."""
        filled = fill_gaps(series, observed).transpose(1, 2)
        for number, dilation in enumerate(self.dilations.tolist()):
            weight = (self.reads[number].unsqueeze(2) * self.weights.unsqueeze(1)).to(series.dtype)
            side = dilation * (KERNEL // 2)
            yield F.conv1d(F.pad(filled, (side, side), "replicate"), weight, dilation=dilation)

    def _fit_texture(self, series: Tensor, observed: Tensor) -> None:
        """Draw which features a kernel reads, choose dilations by the usual length, and thresholds by quantiles."""
        generator = torch.Generator().manual_seed(0)
        features = series.shape[2]
        share = torch.rand(DILATIONS, 84, 1, generator=generator)
        order = torch.rand(DILATIONS, 84, features, generator=generator).argsort(2)
        # The number of features that are read is spread evenly on a logarithmic scale from 1 to at most 9.
        count = ((min(features, 9) + 1) ** share).floor().clamp_min(1)
        self.reads.copy_((order < count).to(self.reads))
        usual = float(inside_rows(observed).sum(1).float().median())
        highest = max(0.0, torch.tensor((usual - 1) / (KERNEL - 1)).clamp_min(1).log2().item())
        self.dilations.copy_((2 ** torch.linspace(0, highest, DILATIONS)).long().clamp_min(1))
        rows = torch.randperm(len(series), generator=generator)[:THRESHOLD_SEQUENCES]
        inside = inside_rows(observed[rows])
        levels = 0.1 + 0.8 * torch.rand(DILATIONS, 84, generator=generator)
        for number, output in enumerate(self._outputs(series[rows], observed[rows])):
            values = output.transpose(1, 2)[inside].sort(0).values  # (places, 84)
            if len(values):
                place = (levels[number] * (len(values) - 1)).long().to(values.device)
                self.thresholds[number] = values.gather(0, place.unsqueeze(0))[0].to(self.thresholds)
                self.widths[number] = (SOFT * values.std(0, correction=0)).clamp_min(1e-3).to(self.widths)


def _features(observation: tuple[int, ...]) -> int:
    if kind_of(observation) == "frames":
        return observation[0] * min(PIXELS, observation[-1]) ** 2
    return observation[-1]


# ---- blocks of columns ----------------------------------------------------------------------------------


def _plain(series: Tensor, observed: Tensor) -> Float[Tensor, "B plain"]:
    count = observed.sum(1)
    mean, deviation = mean_and_deviation(series, observed)
    least = torch.where(observed, series, torch.inf).amin(1)
    largest = torch.where(observed, series, -torch.inf).amax(1)
    bounds = [torch.where(count > 0, bound, 0.0) for bound in (least, largest)]
    share = count / inside_rows(observed).sum(1, keepdim=True).clamp_min(1)
    return torch.cat([mean, deviation, (deviation + LEAST).log(), *bounds, share], 1)


def _voiced_mean(series: Tensor, observed: Tensor) -> Float[Tensor, "B F"]:
    """Mean of each band, weighted by how loud a step's lower half of the bands is."""
    lower = slice(max(1, series.shape[2] // 2))
    loudness = mean_of_rows(series[:, :, lower].mT, observed[:, :, lower].mT).unsqueeze(2)  # (B, L, 1)
    level = mean_of_rows(loudness, observed.any(2, keepdim=True)).unsqueeze(1)
    weight = torch.sigmoid(LOUD * (loudness - level)) * observed
    return (series * weight).sum(1) / weight.sum(1).clamp_min(1e-6)


def _ordered(series: Tensor, observed: Tensor) -> Float[Tensor, "B ordered"]:
    length = inside_rows(observed).sum(1, keepdim=True).clamp_min(1)
    place = (torch.arange(series.shape[1], device=series.device) + 0.5) / length  # (B, L), 0 to 1 inside
    count = observed.sum(1).clamp_min(1)
    first = series.gather(1, observed.int().argmax(1, keepdim=True))[:, 0]
    from_end = series.shape[1] - 1 - observed.flip(1).int().argmax(1, keepdim=True)
    last = series.gather(1, from_end)[:, 0]
    time = torch.where(observed, place.unsqueeze(2), 0.0)
    offset = torch.where(observed, time - (time.sum(1) / count).unsqueeze(1), 0.0)
    slope = (offset * series).sum(1) / offset.square().sum(1).clamp_min(1e-6)
    quarter = (4 * place).floor().clamp_max(4)  # 4: after the end
    means, shares = [], []
    for number in range(4):
        within = (quarter == number).unsqueeze(2)
        means.append(mean_of_rows(series, observed & within))
        shares.append((observed & within).sum(1) / within.sum(1).clamp_min(1))
    return torch.cat(
        [torch.where(observed.any(1), end, 0.0) for end in (first, last)] + [slope, *means, *shares], 1
    )


# ---- directions -----------------------------------------------------------------------------------------


def _components(columns: Float[Tensor, "N columns"]) -> Float[Tensor, "columns K"]:
    """Principal components, each scaled so that the train split has deviation 1 along it."""
    centered = columns - columns.mean(0)
    _, singular, components = torch.linalg.svd(centered, full_matrices=False)
    deviation = singular / len(columns) ** 0.5
    kept = deviation > 1e-4 * deviation.amax().clamp_min(1e-12)
    return oriented(components[kept].T) / deviation[kept]


def _agreed(columns: Tensor, first: Tensor, second: Tensor) -> Float[Tensor, "columns K"]:
    """Directions in which the means of two halves of a sequence agree, the most agreed first.

    Means are whitened. `within` is the covariance of half the difference of the two halves, `between` the rest. A direction
    is a generalised eigenvector of (between, within + ridge) with its eigenvalue e, scaled by sqrt(e / (1 + e)).
    """
    whitening = _components(columns)
    difference = (first - second) @ whitening / 2
    within = difference.T @ difference / len(difference)
    whole = (columns - columns.mean(0)) @ whitening
    between = whole.T @ whole / len(whole) - within
    below = torch.linalg.cholesky(
        within + RIDGE * torch.eye(len(within), dtype=within.dtype, device=within.device)
    )
    inverse = torch.linalg.inv(below)
    values, vectors = torch.linalg.eigh(inverse @ between @ inverse.T)
    order = values.argsort(descending=True)
    values, vectors = values[order].clamp_min(0), vectors[:, order]
    return oriented(whitening @ (inverse.T @ vectors)) * (values / (1 + values)).sqrt()
