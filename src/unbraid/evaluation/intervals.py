"""Scores of predictions under weights of the sequences, and the bootstrap that draws those weights.

Drawing sequences with replacement gives each a whole-number weight. A score that takes weights `(R, n)` therefore scores
all R resamples in one call. Oracles in the tests: the same scores of scikit-learn with `sample_weight`.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = [
    "accuracy",
    "auprc",
    "auroc",
    "balanced_accuracy",
    "draw_weights",
    "interval",
    "mean_absolute_error",
    "resamples_of",
]

BOUNDS = (0.025, 0.975)  # shares of the resamples below the ends of an interval


def resamples_of(count: int, generator: np.random.Generator) -> Iterator[Int[np.ndarray, " count"]]:
    """Bootstrap resamples without end: how often each of `count` units is drawn in `count` draws."""
    shares = np.full(count, 1 / count)
    while True:
        yield generator.multinomial(count, shares)


def interval(values: Float[np.ndarray, "R"]) -> tuple[float, float]:
    """The bounds of the middle 95% of a score's values over resamples; values that are NaN are left out."""
    low, high = np.nanquantile(values, BOUNDS)
    return float(low), float(high)


def draw_weights(units: Int[np.ndarray, "n"], resamples: int, seed: int) -> Float[np.ndarray, "R+1 n"]:
    """Weights of n sequences: first all ones, then how often each is drawn in each bootstrap resample.

    Args:
        units: the number of each sequence's unit. Sequences of one unit (cut from one recording, patient or station)
            are drawn together.
        resamples: number R of resamples.
        seed: of the draws.
    """
    names, unit = np.unique(units, return_inverse=True)
    endless = resamples_of(len(names), np.random.default_rng([seed, 1]))
    drawn = np.stack(list(itertools.islice(endless, resamples)))
    return np.concatenate([np.ones((1, len(units))), drawn[:, unit]])


def auroc(
    scores: Float[np.ndarray, "n"], positive: Bool[np.ndarray, "n"], weights: Float[np.ndarray, "R n"]
) -> Float[np.ndarray, "R"]:
    """Area under the ROC curve: the share of pairs in which the positive scores above the negative; a tie counts one half.

    NaN where a resample holds only one class.
    """
    hits, misses = _by_threshold(scores, positive, weights)
    below = misses[:, ::-1].cumsum(1)[:, ::-1] - misses / 2
    with np.errstate(invalid="ignore"):
        return (hits * below).sum(1) / (hits.sum(1) * misses.sum(1))


def auprc(
    scores: Float[np.ndarray, "n"], positive: Bool[np.ndarray, "n"], weights: Float[np.ndarray, "R n"]
) -> Float[np.ndarray, "R"]:
    """Average precision: the mean over the positives of the precision at their threshold.

    NaN where a resample holds no positive.
    """
    hits, misses = _by_threshold(scores, positive, weights)
    true = hits.cumsum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(hits > 0, true / (true + misses.cumsum(1)), 0.0)
        return (hits * precision).sum(1) / hits.sum(1)


def accuracy(
    scores: Float[np.ndarray, "n K"], labels: Int[np.ndarray, "n"], weights: Float[np.ndarray, "R n"]
) -> Float[np.ndarray, "R"]:
    """Share of sequences whose most probable class is the label."""
    return weights @ (scores.argmax(1) == labels) / weights.sum(1)


def balanced_accuracy(
    scores: Float[np.ndarray, "n K"], labels: Int[np.ndarray, "n"], weights: Float[np.ndarray, "R n"]
) -> Float[np.ndarray, "R"]:
    """Mean of the recalls of the classes that occur."""
    member = labels[:, None] == np.unique(labels)
    right = (scores.argmax(1) == labels)[:, None] & member
    with np.errstate(invalid="ignore"):
        return np.nanmean((weights @ right) / (weights @ member), 1)


def mean_absolute_error(
    guess: Float[np.ndarray, "n *T"], truth: Float[np.ndarray, "n *T"], weights: Float[np.ndarray, "R n"]
) -> Float[np.ndarray, "R"]:
    """Mean of |guess - truth| over all values whose truth is not NaN."""
    error = np.abs(guess - truth).reshape(len(truth), -1)
    measured = ~np.isnan(truth.reshape(len(truth), -1))
    return (weights @ np.where(measured, error, 0.0).sum(1)) / (weights @ measured.sum(1))


def _by_threshold(
    scores: np.ndarray, positive: np.ndarray, weights: np.ndarray
) -> tuple[Float[np.ndarray, "R thresholds"], Float[np.ndarray, "R thresholds"]]:
    """Weight of positives and of negatives at each distinct score, from the highest score down."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    weights, positive = weights[:, order], positive[order]
    hits = np.add.reduceat(weights * positive, starts, axis=1)
    misses = np.add.reduceat(weights * ~positive, starts, axis=1)
    return hits, misses
