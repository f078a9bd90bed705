"""How well coordinates of codes belong to single labels: pure functions of tables.

`importance[i, j]` says how much coordinate i tells about label j, each column with sum 1.

Eastwood, Williams. "A Framework for the Quantitative Evaluation of Disentangled Representations." ICLR 2018 (DCI).
Kumar, Sattigeri, Balakrishnan. "Variational Inference of Disentangled Latent Concepts from Unlabeled Observations." ICLR 2018
(SAP). Ridgeway, Mozer. "Learning Deep Disentangled Embeddings with the F-Statistic Loss." NeurIPS 2018 (modularity).
"""

import numpy as np
from jaxtyping import Float, Int

__all__ = ["completeness", "disentanglement", "modularity", "mutual_information", "sap"]

BINS = 20  # of equal width, into which a coordinate is divided


def disentanglement(importance: Float[np.ndarray, "P K"]) -> float:
    """1 where every coordinate tells about one label only, 0 where each tells about all alike (DCI).

    1 - the entropy of a coordinate's shares over the labels, to the base of their number; a mean over the coordinates,
    weighted by their importance.
    """
    of_coordinate = importance.sum(1)
    shares = importance / np.where(of_coordinate > 0, of_coordinate, 1)[:, None]
    return float(np.average(1 - _entropy(shares, 1), weights=of_coordinate))


def completeness(importance: Float[np.ndarray, "P K"]) -> float:
    """1 where every label is told by one coordinate only, 0 where all coordinates tell it alike (DCI).

    1 - the entropy of a label's shares over the coordinates, to the base of their number; a mean over the labels.
    """
    of_label = importance.sum(0)
    shares = importance / np.where(of_label > 0, of_label, 1)
    return float(np.mean(1 - _entropy(shares, 0)))


def sap(accuracy: Float[np.ndarray, "P K"]) -> float:
    """Mean over the labels of how much better the best coordinate predicts it than the second best (SAP).

    Args:
        accuracy: of each label predicted from each coordinate alone.
    """
    if len(accuracy) < 2:
        return 0.0
    ordered = np.sort(accuracy, 0)
    return float(np.mean(ordered[-1] - ordered[-2]))


def modularity(information: Float[np.ndarray, "P K"]) -> float:
    """1 where every coordinate has mutual information with one label only; a mean over the coordinates.

    A coordinate's modularity is 1 - sum of the squares of its information about all labels but the best, divided by
    (K - 1) times the square of the best. Coordinates without information count 0.

    Args:
        information: of each coordinate about each label, in nats.
    """
    best = information.max(1)
    others = np.square(information).sum(1) - np.square(best)
    informed = best > 0
    scale = np.where(informed, np.square(best), 1) * max(1, information.shape[1] - 1)
    return float(np.mean(np.where(informed, 1 - others / scale, 0)))


def mutual_information(values: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]) -> float:
    """Mutual information of a coordinate, in 20 bins of equal width, and a label, in nats."""
    low, high = values.min(), values.max()
    if low == high:
        return 0.0
    bins = np.minimum(((values - low) / (high - low) * BINS).astype(int), BINS - 1)
    joint = np.zeros((BINS, int(labels.max()) + 1))
    np.add.at(joint, (bins, labels), 1 / len(values))
    apart = joint.sum(1, keepdims=True) * joint.sum(0)
    occurs = joint > 0
    return max(0.0, float((joint[occurs] * np.log(joint[occurs] / apart[occurs])).sum()))


def _entropy(shares: Float[np.ndarray, "P K"], axis: int) -> np.ndarray:
    """Entropy along an axis, to the base of its length; 0 for an axis of length 1."""
    logs = np.log(np.where(shares > 0, shares, 1))
    return -(shares * logs).sum(axis) / max(np.log(shares.shape[axis]), np.finfo(float).tiny)
