"""Scores of generated clips from a judge's class probabilities: pure functions, natural logarithms.

Source: the judge protocol of DSVAE-type models (Bai et al., "Contrastively Disentangled Sequential
Variational Autoencoder", NeurIPS 2021, supplement; Berman et al., "Sequential Disentanglement by Extracting
Static Information From A Single Sequence Element", ICML 2024). The two entropies have their symbols
as names, H(y|x) and H(y): the literature uses "inter" and "intra" entropy both ways round.
"""

import numpy as np
from jaxtyping import Float, Int

__all__ = [
    "accuracy",
    "balanced_rows",
    "confusion",
    "entropy_conditional",
    "entropy_marginal",
    "inception_score",
    "part_probabilities",
]


def accuracy(probabilities: Float[np.ndarray, "N K"], labels: Int[np.ndarray, "N"]) -> float:
    """Share of clips, 0 to 1, whose most probable class is the label.

    Raises:
        ValueError: no clips, or a different number of labels.
    """
    p = np.asarray(probabilities)
    if p.ndim != 2 or not len(p):
        raise ValueError(f"probabilities: has shape {p.shape}; give (clips, classes) with at least one clip")
    if len(labels) != len(p):
        raise ValueError(f"labels: {len(labels)} values for {len(p)} clips; give one for each")
    return float(np.mean(p.argmax(1) == labels))


def confusion(
    probabilities: Float[np.ndarray, "N K"], labels: Int[np.ndarray, "N"]
) -> Int[np.ndarray, "K K"]:
    """How many clips of each class (rows) have each class as their most probable one (columns)."""
    p = np.asarray(probabilities)
    counts = np.zeros((p.shape[1], p.shape[1]), np.int64)
    np.add.at(counts, (np.asarray(labels), p.argmax(1)), 1)
    return counts


def entropy_conditional(probabilities: Float[np.ndarray, "N K"]) -> float:
    """H(y|x), the mean entropy of a clip's classes in nats: 0 if the judge is certain, ln K if it guesses."""
    p = _checked(probabilities)
    return float(_entropy(p).mean())


def entropy_marginal(probabilities: Float[np.ndarray, "N K"]) -> float:
    """H(y), the entropy of the mean over clips in nats: ln K if all classes occur equally often, 0 if only one occurs."""
    p = _checked(probabilities)
    return float(_entropy(p.mean(0)))


def inception_score(probabilities: Float[np.ndarray, "N K"]) -> float:
    """Inception score exp(mean KL(p(y|x) || p(y))), 1 (worst) to K; equals exp(H(y) - H(y|x)).

    Computed from the divergences, not from the two entropies, so that the identity can be tested.
    """
    p = _checked(probabilities)
    marginal = p.mean(0)
    ratio = np.divide(p, marginal, out=np.ones_like(p), where=p > 0)
    return float(np.exp((p * np.log(ratio)).sum(1).mean()))


def balanced_rows(labels: Int[np.ndarray, "N"]) -> Int[np.ndarray, "n"]:
    """Rows of a class-balanced subset: the first n clips of each class that occurs, n the smallest count."""
    labels = np.asarray(labels)
    classes, counts = np.unique(labels, return_counts=True)
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[: counts.min()] for c in classes]))


def part_probabilities(
    probabilities: Float[np.ndarray, "N K"], part_of_class: Int[np.ndarray, "K"], parts: int
) -> Float[np.ndarray, "N P"]:
    """Probabilities of a label's part (the action of a motion): the sum over the classes that share it.

    Args:
        probabilities: of the whole label's K classes.
        part_of_class: `(K,)` the part's class for each of the K; -1 for a class that never occurs, whose
            probability goes to no part.
        parts: number P of the part's classes.
    """
    member = np.asarray(part_of_class)[:, None] == np.arange(parts)
    return np.asarray(probabilities) @ member.astype(np.asarray(probabilities).dtype)


def _checked(probabilities: np.ndarray) -> np.ndarray:
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or not len(p):
        raise ValueError(f"probabilities: has shape {p.shape}; give (clips, classes) with at least one clip")
    if not (p >= 0).all() or not np.allclose(p.sum(1), 1, atol=1e-4):
        raise ValueError("probabilities: rows must be positive and sum to 1; pass softmax outputs")
    return p


def _entropy(p: np.ndarray) -> np.ndarray:
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    return -(p * logs).sum(-1)
