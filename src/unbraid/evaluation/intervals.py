"""Scores of predictions under weights of the sequences, and the bootstrap that draws those weights.

To draw sequences with replacement is to give each a whole-number weight, so a score that takes `(R, n)` weights gives
all R resamples at once. Oracles in the tests: the same scores of scikit-learn with `sample_weight`.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

__all__ = ["accuracy", "auprc", "auroc", "balanced_accuracy", "draw_weights", "mean_absolute_error"]


def draw_weights(units: Int[np.ndarray, "n"], resamples: int, seed: int) -> Float[np.ndarray, "R+1 n"]:
    """Weights of n sequences: first all ones, then how often each is drawn in each bootstrap resample.

    Args:
        units: what is drawn: sequences with the same number (cut from one recording, patient or station) are
            drawn together.
        resamples: number R of resamples.
        seed: of the draws.
    """
    names, unit = np.unique(units, return_inverse=True)
    generator = np.random.default_rng([seed, 1])
    drawn = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return np.concatenate([np.ones((1, len(units))), drawn[:, unit]])


def auroc(
    scores: Float[np.ndarray, "n"], positive: Bool[np.ndarray, "n"], weights: Float[np.ndarray, "R n"]
) -> Float[np.ndarray, "R"]:
    """Area under the ROC curve: how often a positive scores above a negative, ties counting one half.

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
    found = hits.cumsum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(hits > 0, found / (found + misses.cumsum(1)), 0.0)
        return (hits * precision).sum(1) / hits.sum(1)


def accuracy(
    scores: Float[np.ndarray, "n K"], labels: Int[np.ndarray, "n"], weights: Float[np.ndarray, "R n"]
) -> Float[np.ndarray, "R"]:
    """Share of sequences whose most probable class is the label."""
    return weights @ (scores.argmax(1) == labels) / weights.sum(1)


def balanced_accuracy(
    scores: Float[np.ndarray, "n K"], labels: Int[np.ndarray, "n"], weights: Float[np.ndarray, "R n"]
) -> Float[np.ndarray, "R"]:
    """Mean over the classes that occur of the share of their sequences that is recognised."""
    member = labels[:, None] == np.unique(labels)
    right = (scores.argmax(1) == labels)[:, None] & member
    with np.errstate(invalid="ignore"):
        return np.nanmean((weights @ right) / (weights @ member), 1)


def mean_absolute_error(
    guess: Float[np.ndarray, "n *T"], truth: Float[np.ndarray, "n *T"], weights: Float[np.ndarray, "R n"]
) -> Float[np.ndarray, "R"]:
    """Mean of |guess - truth| over all values whose truth is known (not NaN)."""
    error = np.abs(guess - truth).reshape(len(truth), -1)
    known = ~np.isnan(truth.reshape(len(truth), -1))
    return (weights @ np.where(known, error, 0.0).sum(1)) / (weights @ known.sum(1))


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
