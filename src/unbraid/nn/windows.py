"""Encoder and decoder of windows `(W, F)` of a series.

All values of a window (zeros where unobserved) and their mask pass three linear layers with ReLU, 4w wide. The decoder
mirrors the encoder and gives a mean and a standard deviation of every value. The recurrent nets of DBSE's authors' code,
which read and write a window row by row, are not reproduced: they learn far more slowly (figures: results/trials.csv).
"""

from jaxtyping import Float
from torch import Tensor, nn

from unbraid.nn.likelihoods import BoundedNormal
from unbraid.nn.vectors import matrices

__all__ = ["WindowDecoder", "WindowEncoder"]


class WindowEncoder(nn.Sequential):
    """Values and their mask to features: `(M, W, 2F)` -> `(M, features)`, each window on its own."""

    reads_mask = True

    def __init__(self, observation: tuple[int, ...], features: int, width: int) -> None:
        rows, size = observation
        super().__init__(
            nn.Flatten(),
            nn.Linear(2 * rows * size, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, features),
        )

    def kernels(self, heads: bool) -> list[nn.Parameter]:
        """Parameters that Muon may train."""
        return matrices(self)


class WindowDecoder(nn.Sequential):
    """Code to window: `(M, latent)` -> `(M, 2, W, F)`, the mean of each value and the raw form of its deviation."""

    def __init__(self, observation: tuple[int, ...], latent: int, width: int) -> None:
        rows, size = observation
        super().__init__(
            nn.Linear(latent, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, 2 * rows * size),
            nn.Unflatten(1, (2, rows, size)),
        )

    def kernels(self, heads: bool) -> list[nn.Parameter]:
        """Parameters that Muon may train."""
        return matrices(self)

    def likelihood(self, y: Float[Tensor, "B T 2 W F"]) -> BoundedNormal:
        """p(x): normals with a learned, bounded deviation of every value."""
        return BoundedNormal(*y.unbind(2))
