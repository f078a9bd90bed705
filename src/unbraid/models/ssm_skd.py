"""SSM-SKD: SKD with an operator of each sequence of its own, of which one single mode is static.

When to use it: as `skd`, where the code of a sequence must not depend on the other sequences at all, nothing may be fitted
after training, or sequences follow different dynamics. Factors are sets of coordinates, which
`unbraid.evaluation.factor_maps` finds after training.

Barami, Berman, Naiman, Hason, Ezra, Azencot. "Disentanglement Beyond Static vs. Dynamic: A Benchmark and Evaluation
Framework for Multi-Factor Sequential Representations." NeurIPS 2025, Datasets and Benchmarks.
https://arxiv.org/abs/2510.17313

    z = LSTM(encoder(x)) in R^{T x k},     x^ = decoder(LSTM(z))
    C = argmin sum_t |z_t C - z_{t+1}|^2      over the steps of one sequence; C = V L U, U = V^{-1}
    P = v_1 u_1                               projects on the eigenvector whose eigenvalue l_1 is closest to 1
    s = mean over t of z_t P,                 d_t = z_t - z_t P,                 both in R^k
    z~ = (z_1, z_1 C, ..., z_{T-1} C)
    loss = MSE(x, x^(dropout(z))) + MSE(x, x^(z~)) + MSE(z, z~)
           + |l_1 - 1|^2 + mean over the other l of (Re l where Re l > threshold, else 0)

MSEs are means over all values, as published; on windows -log p(x) replaces those of x. Where T - 1 <= k the least squares
have an exact solution, so that MSE(z, z~) is close to 0 whatever the latents, and only the other terms teach: this follows
from the method. C = A B with A of min(T - 1, k) columns; the eigenvalues of C that are not 0 are those of B A, which is
smaller.

Differs from the authors' code: where l_1 is complex its whole conjugate pair is static (theirs is cut in two, and half of
it is lost); the least squares have a small ridge, so that processors agree; sounds and series pass this package's encoders
and decoders.
"""

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from unbraid.cards import ModelCard
from unbraid.masks import inside_steps, mean_over_steps
from unbraid.models.koopman import KoopmanAutoencoder, consecutive, mean_error, mean_square
from unbraid.nn.distributions import Point
from unbraid.objectives.eigenvalues import dynamic_loss, static_loss, static_units, unit_weights
from unbraid.types import Batch, Codes, Posterior, Terms

__all__ = ["SSMSKD"]

SMALLEST_EIGENVALUE = 1e-6  # below it there is no static mode, and s is 0


class SSMSKD(KoopmanAutoencoder):
    """Single static mode structured Koopman disentanglement (Barami et al., NeurIPS 2025).

    Args:
        observation: shape `*X` of one observation.
        latent_size: size k of the latents, and of either code.
        hidden: size of the decoder's LSTM.
        width: channels of the first convolution, or units of the first layer for vectors and windows.
        dynamic_threshold: real part above which dynamic eigenvalues are penalised.
        ridge: of the least squares, beside the sum of the squares of a sequence's latents.
        recurrent_encoder: whether the encoder ends in an LSTM over the steps; without it each latent depends on its own step
            alone.
        dropout: share of the latents' values that are set to 0 before the reconstruction, in training.

    Raises:
        ValueError: a ridge that is not above 0, a dropout outside [0, 1), or observations without a codec.
    """

    card = ModelCard(
        name="ssm_skd",
        title="Disentanglement Beyond Static vs. Dynamic: A Benchmark and Evaluation Framework for Multi-Factor "
        "Sequential Representations",
        authors="Barami, Berman, Naiman, Hason, Ezra, Azencot",
        year=2025,
        venue="NeurIPS",
        url="https://arxiv.org/abs/2510.17313",
        summary="Koopman autoencoder with an operator for each sequence and a single static mode",
        capabilities=frozenset({"encode", "decode", "decoded_static"}),
        deviations=(
            "no prior: the static code of a sequence is drawn as a random mixture of those of two others; tables mark such "
            "rows",
            "a complex static mode keeps both eigenvalues of its pair",
            "least squares with a ridge of 1e-6 in float64 instead of the minimum-norm solution",
            "dropout reaches the reconstruction only",
            "s is the mean over time of the static part, d the rest of each step, both in the latents' coordinates",
            "encoder and decoder are this package's",
            "an encoder without its LSTM (`recurrent_encoder: false`) is ours",
            "the paper's tables were not available to us; settings are those of the authors' code",
        ),
        variants=(
            {"latent_size": 3},
            {"dynamic_threshold": 0.1},
            {"recurrent_encoder": False, "dropout": 0.0},
        ),
        symbols=(
            ("z_t", "latents(x)[:, t]", "latent of step t"),
            ("k", "latent_size", "size of the latents"),
            ("h", "hidden", "size of the decoder's LSTM"),
            ("s", "static", "static part of the latents, mean over time"),
            ("d_t", "dynamic[:, t]", "the rest of the latent of step t"),
            ("w_pred", "training.weights.prediction, latent_prediction", "half of it each"),
            ("w_eig", "training.weights.static_eigenvalues, dynamic_eigenvalues", "weights of both"),
        ),
    )

    def __init__(
        self,
        observation: tuple[int, ...],
        latent_size: int = 15,
        hidden: int = 170,
        width: int = 32,
        dynamic_threshold: float = 0.75,
        ridge: float = 1e-6,
        recurrent_encoder: bool = True,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(locals())
        if ridge <= 0:
            raise ValueError(f"model.ridge: {ridge} must be above 0")
        self.static_size = self.dynamic_size = self.latent_size = latent_size
        self.dynamic_threshold, self.ridge = dynamic_threshold, ridge
        self._build(observation, latent_size, hidden, width, recurrent_encoder, dropout)

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """The static part of the latents, a mean over time, and the rest of each step, as points."""
        z, steps = self.latents(x, mask), inside_steps(x, mask)
        left, right = self._operators(z, steps)
        static = z @ _static_projection(left.cpu(), right.cpu()).to(z)
        return Posterior(Point(mean_over_steps(static, steps)), Point(z - static))

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """Errors of the reconstruction and of both predictions and the two eigenvalue losses, `(B,)` each."""
        z, inside_mask = self.latents(batch.x, batch.mask), inside_steps(batch.x, batch.mask)
        steps = None if batch.mask is None else inside_mask
        left, right = self._operators(z, inside_mask)
        predicted = torch.cat([z[:, :1], (z[:, :-1].double() @ left @ right).to(z.dtype)], 1)
        values = torch.linalg.eigvals((right @ left).cpu())
        static = _static_mode(values)
        zeros = values.new_zeros(len(values), self.latent_size - values.shape[1])
        every = torch.cat([values, zeros], 1), torch.cat([static, zeros.bool()], 1)
        return {
            "reconstruction": mean_error(self._decode_latents(self._dropped_out(z, generator), steps), batch),
            "prediction": mean_error(self._decode_latents(predicted, steps), batch),
            "latent_prediction": mean_square(z - predicted, steps),
            "static_eigenvalues": static_loss(values, static, "ball").to(z.device),
            "dynamic_eigenvalues": dynamic_loss(*every, "real", self.dynamic_threshold).to(z.device),
        }

    def _latents_of(self, codes: Codes) -> Float[Tensor, "B T k"]:
        return codes.static.unsqueeze(1) + codes.dynamic

    def _operators(self, z: Tensor, steps: Tensor) -> tuple[Float[Tensor, "B k q"], Float[Tensor, "B q k"]]:
        """Two factors whose product is the operator C of each sequence; q = min(T - 1, k)."""
        if z.shape[1] < 2:
            raise ValueError(
                "x: ssm_skd predicts each step from the one before; give sequences of at least 2 steps"
            )
        before, after = consecutive(z, steps)
        if before.shape[1] < self.latent_size:
            return before.mT, self._solve(before @ before.mT, after)
        operator = self._solve(before.mT @ before, before.mT @ after)
        return operator, torch.eye(self.latent_size).to(operator).expand_as(operator)

    def _solve(self, gram: Tensor, target: Tensor) -> Tensor:
        return torch.linalg.solve(gram + self.ridge * torch.eye(gram.shape[-1]).to(gram), target)


def _static_mode(values: Complex[Tensor, "B q"]) -> Bool[Tensor, "B q"]:
    """The eigenvalue closest to 1. Steps outside a sequence add eigenvalues of 0, which are no modes."""
    modes = torch.where(values.abs() > SMALLEST_EIGENVALUE, values, torch.finfo(values.real.dtype).min)
    return static_units(modes, 1, "ball")


def _static_projection(left: Tensor, right: Tensor) -> Float[Tensor, "B k k"]:
    """P of each sequence, whose operator is `left @ right`: the projection on its static mode, or on the mode's plane.

    With right left w = l w, and r the row of the inverse of all w, the eigenvectors of the operator are v = left w and
    u = r right, and u v = l.
    """
    values, vectors = torch.linalg.eig(right @ left)
    place = _static_mode(values).long().argmax(1)
    rows = torch.arange(len(values))
    value, weight = values[rows, place], unit_weights(values)[rows, place]
    v = left.to(values.dtype) @ vectors[rows, :, place].unsqueeze(2)
    u = torch.linalg.pinv(vectors)[rows, place].unsqueeze(1) @ right.to(values.dtype)
    exists = value.abs() > SMALLEST_EIGENVALUE
    scale = torch.where(exists, weight / torch.where(exists, value, 1.0), 0.0)
    return (scale.view(-1, 1, 1) * (v @ u)).real
