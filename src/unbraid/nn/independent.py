"""Independent component analysis: the linear map that makes the columns of many samples independent.

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


def unmixing(values: Float[Tensor, "n P"]) -> Float[Tensor, "P P"]:
    """The matrix by which samples are multiplied to get independent columns of variance 1.

    Args:
        values: n samples that span all P dimensions.
    """
    analysis = FastICA(values.shape[1], whiten="unit-variance", max_iter=1000, random_state=0)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        analysis.fit(values.double().cpu().numpy())
    return torch.from_numpy(analysis.components_.T.copy())
