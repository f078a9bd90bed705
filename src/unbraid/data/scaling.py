"""Scaling of features to mean 0 and standard deviation 1, learned from training values only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbraid.masks import observed_values, zero_unobserved

__all__ = ["Scaling"]

BLOCK = 2**14  # rows that are read at once


@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean and standard deviation of each feature, in raw units.

    Attributes:
        mean: `(F,)`.
        std: `(F,)`, above 0.
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, mask: np.ndarray | None = None) -> "Scaling":
        """Learn from the observed values of `x (..., F)`. A feature that never varies gets the standard deviation 1.

        Args:
            x: training values, in raw units.
            mask: of x's shape, or of its shape without the last axes; True = observed.

        Raises:
            ValueError: a feature has no observed value.
        """
        seen = observed_values(x, mask)
        axes = tuple(range(x.ndim - 1))
        count = seen.sum(axes)
        if not count.all():
            raise ValueError(
                f"x: feature {int(np.argmin(count))} has no observed training value; leave it out"
            )
        mean = zero_unobserved(x, seen).sum(axes, dtype=np.float64) / count
        variance = np.square(zero_unobserved(x - mean, seen)).sum(axes, dtype=np.float64) / count
        # Whether a feature varies is asked of its values, not of its variance: the mean of many equal values may differ
        # from them in the last digit.
        lowest = np.where(seen, x, np.inf).min(axes)
        highest = np.where(seen, x, -np.inf).max(axes)
        std = np.where((lowest < highest) & (variance > 0), np.sqrt(variance), 1.0)
        return cls(_rounded(mean), _rounded(std))

    @classmethod
    def fit_parts(cls, parts: Sequence[np.ndarray]) -> "Scaling":
        """Learn from values that stand in several arrays `(n, F)`, which are read in blocks; all are observed.

        The result is that of `fit` for the arrays below one another: rows are summed one after the other.
        """
        blocks = [part[start : start + BLOCK] for part in parts for start in range(0, len(part), BLOCK)]
        count, features = sum(map(len, blocks)), blocks[0].shape[1]
        total, squares = np.zeros(features), np.zeros(features)
        lowest, highest = np.full(features, np.inf), np.full(features, -np.inf)
        for block in blocks:
            total = np.vstack([total, block]).sum(0, dtype=np.float64)
            lowest, highest = np.minimum(lowest, block.min(0)), np.maximum(highest, block.max(0))
        mean = total / count
        for block in blocks:
            squares = np.vstack([squares, np.square(block - mean)]).sum(0, dtype=np.float64)
        variance = squares / count
        std = np.where((lowest < highest) & (variance > 0), np.sqrt(variance), 1.0)
        return cls(_rounded(mean), _rounded(std))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Raw to scaled values, float32."""
        return ((x - self.mean) / self.std).astype(np.float32)

    def invert(self, x: np.ndarray) -> np.ndarray:
        """Scaled to raw values, float32."""
        return (x * self.std + self.mean).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Plain lists, to be written to a file."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Scaling":
        """The scaling that `to_json` wrote.

        Raises:
            ValueError: the values are no numbers, or a standard deviation is not above 0.
        """
        mean, std = (np.asarray(values[name], dtype=np.float64) for name in ("mean", "std"))
        if (
            mean.ndim != 1
            or mean.shape != std.shape
            or not np.isfinite([mean, std]).all()
            or not (std > 0).all()
        ):
            raise ValueError("scaling: is no list of means and of standard deviations above 0")
        return cls(mean, std)


def _rounded(values: np.ndarray) -> np.ndarray:
    """To 13 digits: further ones depend on the order of summation, and fingerprints must not depend on the machine."""
    return np.array([float(f"{value:.12e}") for value in values])
