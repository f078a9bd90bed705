"""Classifiers of codes: any method of scikit-learn, fitted on standardised features."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

__all__ = ["CLASSIFIERS", "Fitted", "SupportVectors", "best_of", "every_class", "fit"]


T = TypeVar("T")


@dataclass(frozen=True)
class Fitted:
    """A method of scikit-learn that was fitted on features scaled to mean 0 and deviation 1."""

    scaler: StandardScaler
    method: Any

    def predict(self, x: Float[np.ndarray, "n P"]) -> np.ndarray:
        """The class, or the value, of each row."""
        return self.method.predict(self.scaler.transform(x))

    def probabilities(self, x: Float[np.ndarray, "n P"], classes: int) -> Float[np.ndarray, "n K"]:
        """The probability of each of `classes` classes; 0 for those that training did not have."""
        return every_class(self.method.predict_proba(self.scaler.transform(x)), self.method.classes_, classes)


def every_class(p: Float[np.ndarray, "n k"], present: np.ndarray, classes: int) -> Float[np.ndarray, "n K"]:
    """Probabilities of the classes that training had, as those of all `classes`, with 0 for the others."""
    every = np.zeros((len(p), classes))
    every[:, present] = p
    return every


def fit(method: Any, x: Float[np.ndarray, "n P"], y: np.ndarray) -> Fitted:
    """Fit a method of scikit-learn on standardised features.

    Args:
        method: an estimator with `fit` and `predict`.
        x: features.
        y: the class number, or the value, of each row.
    """
    scaler = StandardScaler().fit(x)
    return Fitted(scaler, method.fit(scaler.transform(x), y))


def best_of(candidates: Iterable[T], loss: Callable[[T], float]) -> tuple[float, T]:
    """The smallest loss and its candidate, the first of equals."""
    return min(((loss(candidate), candidate) for candidate in candidates), key=lambda pair: pair[0])


class SupportVectors:
    """scikit-learn's default SVC with its kernel computed by matrix products, which is faster on many columns."""

    def fit(self, x: Float[np.ndarray, "n P"], y: np.ndarray) -> "SupportVectors":
        """Learn the classes y."""
        self.x, self.gamma = x, 1 / (x.shape[1] * (x.var() or 1.0))  # SVC's gamma="scale"
        self.classifier = SVC(kernel="precomputed").fit(rbf_kernel(x, gamma=self.gamma), y)
        return self

    def predict(self, x: Float[np.ndarray, "m P"]) -> np.ndarray:
        """The class of each row."""
        return self.classifier.predict(rbf_kernel(x, self.x, gamma=self.gamma))


CLASSIFIERS: dict[str, Callable[[int], Any]] = {
    "support_vectors": lambda seed: SupportVectors(),
    "random_forest": lambda seed: RandomForestClassifier(random_state=seed, n_jobs=-1),
    "nearest_neighbours": lambda seed: KNeighborsClassifier(),
}
"""Three classifiers with scikit-learn's default settings, by name; the argument is a seed."""
