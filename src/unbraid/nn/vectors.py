"""Encoder and decoder of vectors `(F,)`: three linear layers with ReLU."""

from jaxtyping import Float
from torch import Tensor, nn

from unbraid.nn.likelihoods import SquaredErrorNormal

__all__ = ["VectorDecoder", "VectorEncoder", "matrices"]


def matrices(module: nn.Module) -> list[nn.Parameter]:
    """The matrices of a module, which Muon may train."""
    return [parameter for parameter in module.parameters() if parameter.ndim == 2]


class VectorEncoder(nn.Sequential):
    """Features of a vector: `(M, F)` -> `(M, features)`."""

    reads_mask = False

    def __init__(self, observation: tuple[int, ...], features: int, width: int) -> None:
        super().__init__(
            nn.Linear(observation[0], width),
            nn.ReLU(),
            nn.Linear(width, 2 * width),
            nn.ReLU(),
            nn.Linear(2 * width, features),
        )

    def kernels(self, heads: bool) -> list[nn.Parameter]:
        """Parameters that Muon may train."""
        return matrices(self)


class VectorDecoder(nn.Sequential):
    """Code to vector: `(M, latent)` -> `(M, F)`, unbounded."""

    def __init__(self, observation: tuple[int, ...], latent: int, width: int) -> None:
        super().__init__(
            nn.Linear(latent, 2 * width),
            nn.ReLU(),
            nn.Linear(2 * width, width),
            nn.ReLU(),
            nn.Linear(width, observation[0]),
        )

    def kernels(self, heads: bool) -> list[nn.Parameter]:
        """Parameters that Muon may train."""
        return matrices(self)

    def likelihood(self, y: Float[Tensor, "B T F"]) -> SquaredErrorNormal:
        """p(x): normals of fixed variance round the decoded vectors."""
        return SquaredErrorNormal(y)
