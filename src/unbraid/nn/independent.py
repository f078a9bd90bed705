"""Independent component analysis: the turn of a space by which coordinates become independent over many samples.

Hyvärinen, Oja. "Independent component analysis: algorithms and applications." Neural Networks 13, 2000. Computed by
scikit-learn (FastICA), in float64 on the CPU, always from the same start.
"""

import warnings

import torch
from jaxtyping import Float
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

__all__ = ["unmixing"]


def unmixing(values: Float[Tensor, "n S"], count: int) -> tuple[Float[Tensor, "S P"], Float[Tensor, "P S"]]:
    """The matrix that turns centred samples into P independent coordinates of variance 1, and the matrix back.

    Args:
        values: n samples that span at least P dimensions.
        count: P; with fewer than S, those directions in which the samples vary least are left out.
    """
    samples = values.detach().double().cpu()
    largest = torch.linalg.svd(samples - samples.mean(0), full_matrices=False).Vh[:count].T
    analysis = FastICA(count, whiten="unit-variance", max_iter=1000, random_state=0)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        analysis.fit((samples @ largest).numpy())
    return largest @ torch.from_numpy(analysis.components_.T), torch.from_numpy(
        analysis.mixing_.T
    ) @ largest.T
