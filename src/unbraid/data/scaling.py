"""Scaling of features to mean 0 and standard deviation 1, learned from training values only."""

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Scaling"]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean and standard deviation of each feature, in the units of the raw data.

    Attributes:
        mean: `(F,)`.
        std: `(F,)`, above 0.
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, mask: np.ndarray | None = None) -> "Scaling":
        """Learn from the observed values of `x (..., F)`; a feature that never varies gets deviation 1.

        Args:
            x: training values, in raw units.
            mask: of x's shape, or of its shape without the last axes; True = observed.

        Raises:
            ValueError: a feature has no observed value.
        """
        if mask is None:
            seen = np.ones(x.shape, dtype=bool)
        else:
            seen = np.broadcast_to(mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim)), x.shape)
        axes = tuple(range(x.ndim - 1))
        count = seen.sum(axes)
        if not count.all():
            raise ValueError(
                f"x: feature {int(np.argmin(count))} has no observed training value; leave it out"
            )
        mean = np.where(seen, x, 0.0).sum(axes, dtype=np.float64) / count
        variance = np.square(np.where(seen, x - mean, 0.0)).sum(axes, dtype=np.float64) / count
        # Equal values, not a variance of 0: the mean of many equal values may differ from them in the last digit.
        lowest = np.where(seen, x, np.inf).min(axes)
        highest = np.where(seen, x, -np.inf).max(axes)
        std = np.where((lowest < highest) & (variance > 0), np.sqrt(variance), 1.0)
        return cls(_rounded(mean), _rounded(std))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Raw to scaled values, float32."""
        return ((x - self.mean) / self.std).astype(np.float32)

    def invert(self, x: np.ndarray) -> np.ndarray:
        """Scaled to raw values, float32."""
        return (x * self.std + self.mean).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Plain lists, for a file."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Scaling":
        """What `to_json` wrote."""
        return cls(np.asarray(values["mean"]), np.asarray(values["std"]))


def _rounded(values: np.ndarray) -> np.ndarray:
    """To 13 digits: the last ones depend on the order of summation, fingerprints must not depend on the machine."""
    return np.array([float(f"{value:.12e}") for value in values])
