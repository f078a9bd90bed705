"""Straight lines beside nets, and how they start in closed form."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from unbraid.kinds import kind_of
from unbraid.nn.codecs import build_decoder
from unbraid.nn.likelihoods import BoundedNormal, SquaredErrorNormal

__all__ = ["LineDecoder", "oriented", "principal_lines", "ridge_line", "shrink"]

SMALL = 0.1
MOST_ROWS = 8192  # that principal components are computed from
MOST_NUMBERS = 4_000_000  # in these rows
RIDGE = 1.0


class LineDecoder(nn.Module):
    """Codes (s, d_t) to observations: a net, a straight line beside it, and level and scale from s.

    Args:
        observation: shape `*X` of one observation.
        static_size: size S of the static code, which comes first.
        dynamic_size: size D of the dynamic code.
        width: of the net, see `unbraid.nn.codecs.build_decoder`.
        line: whether a straight line stands beside the net.
        level: whether s gives the level and the scale of each feature (vectors and windows).
    """

    def __init__(
        self,
        observation: tuple[int, ...],
        static_size: int,
        dynamic_size: int,
        width: int,
        line: bool,
        level: bool,
    ) -> None:
        super().__init__()
        self.static_size, self.observation = static_size, observation
        self.of_windows = kind_of(observation) == "windows"
        latent = static_size + dynamic_size
        self.net = build_decoder(observation, latent, width)
        self.line = nn.Linear(latent, torch.Size(observation).numel()) if line else None
        self.level = nn.Linear(static_size, 2 * observation[-1]) if level else None
        shrink([module for module in self.net.modules() if isinstance(module, nn.Linear)][-1])

    def forward(self, z: Float[Tensor, "M latent"]) -> Tensor:
        """What `likelihood` needs: the net's output, and level and log scale in the same shape where s gives them."""
        y = self.net(z)
        parts = list(y.unbind(1)) if self.of_windows else [y]
        if self.line is not None:
            parts[0] = parts[0] + self.line(z).view(len(z), *self.observation)
        if self.level is not None:
            level = self.level(z[:, : self.static_size]).view(
                len(z), 2, *[1] * (len(self.observation) - 1), -1
            )
            parts += [part.expand_as(parts[0]) for part in level.unbind(1)]
        return torch.stack(parts, 1) if len(parts) > 1 else parts[0]

    def likelihood(self, y: Tensor) -> Distribution:
        """p(x): normals of a learned deviation for windows, of a fixed one for vectors and frames."""
        if self.level is None:
            return BoundedNormal(*y.unbind(2)) if self.of_windows else SquaredErrorNormal(y)
        *parts, level, log_scale = y.unbind(2)
        scale = log_scale.exp()
        if not self.of_windows:
            return SquaredErrorNormal(level + scale * parts[0])
        inner = BoundedNormal(*parts)
        return Normal(level + scale * inner.mean, scale * inner.stddev, validate_args=False)

    @torch.no_grad()
    def start_line(self, weight: Float[Tensor, "values D"], bias: Float[Tensor, " values"]) -> None:
        """Let the straight line begin with the given values of d, and nothing of s."""
        if self.line is None:
            return
        self.line.weight.zero_()
        self.line.weight[:, self.static_size : self.static_size + weight.shape[1]] = weight
        self.line.bias.copy_(bias)


def shrink(layer: nn.Module) -> None:
    """Let a layer begin at a tenth of its usual output."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(SMALL)


@torch.no_grad()
def principal_lines(
    line: nn.Linear, rows: Float[Tensor, "N values"]
) -> tuple[Float[Tensor, "values K"], Float[Tensor, " values"]]:
    """Set a line to the whitened principal components of rows; returns weight and bias of the line back.

    Where the rows have fewer directions than the line has outputs, the other outputs begin at 0.
    """
    generator = torch.Generator().manual_seed(0)
    most = max(len(line.bias), min(MOST_ROWS, MOST_NUMBERS // rows.shape[1]))
    chosen = torch.randperm(len(rows), generator=generator)[:most]
    rows = rows[chosen.to(rows.device)].double()
    mean = rows.mean(0)
    values, vectors = _components(rows - mean)
    kept = min(len(line.bias), int((values > 1e-6 * values[0].clamp_min(1e-12)).sum()))
    deviation, vectors = values[:kept].sqrt(), vectors[:, :kept]
    line.weight.zero_()
    line.bias.zero_()
    line.weight[:kept] = (vectors / deviation).T.to(line.weight)
    line.bias[:kept] = -(mean @ vectors / deviation).to(line.bias)
    return (vectors * deviation).to(line.weight), mean.to(line.bias)


def _components(centered: Float[Tensor, "N values"]) -> tuple[Float[Tensor, "K"], Float[Tensor, "values K"]]:
    """Variances and directions of principal components, the largest first: by the smaller of the two Gram matrices."""
    count, size = centered.shape
    if size <= count:
        values, vectors = torch.linalg.eigh(centered.T @ centered / count)
        return values.flip(0), oriented(vectors.flip(1))
    _, singular, vectors = torch.linalg.svd(centered, full_matrices=False)
    return singular.square() / count, oriented(vectors.T)


def oriented(directions: Float[Tensor, "values K"]) -> Float[Tensor, "values K"]:
    """Directions whose largest entry is positive: libraries of linear algebra leave the signs open."""
    place = directions.abs().argmax(0, keepdim=True)
    return directions * torch.where(directions.gather(0, place) < 0, -1.0, 1.0)


def ridge_line(
    x: Float[Tensor, "N K"], y: Float[Tensor, "N out"]
) -> tuple[Float[Tensor, "out K"], Float[Tensor, " out"]]:
    """Weight and bias of the ridge regression of y on x; float64."""
    x, y = x.double(), y.double()
    center = x.mean(0)
    offset = x - center
    gram = offset.T @ offset + RIDGE * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    weight = torch.linalg.solve(gram, offset.T @ (y - y.mean(0)))
    return weight.T, y.mean(0) - center @ weight
