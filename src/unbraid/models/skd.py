"""SKD: a linear operator moves the latents from step to step; its eigenvectors split them into factors.

When to use it: where more than two factors are wanted. Single eigenvectors often carry single attributes (hair, skin), so
one attribute can be exchanged alone. There is no prior: new static codes are mixtures of those of other sequences. Use it
for motions that repeat: a steady drift has eigenvalues near 1, like a static attribute, and ends up in the static code.

Berman, Naiman, Azencot. "Multifactor Sequential Disentanglement via Structured Koopman Autoencoders." ICLR 2023.
https://arxiv.org/abs/2303.17264

    z = LSTM(encoder(x)) in R^{T x k},     x^ = decoder(LSTM(z))
    C = argmin sum |z_t C - z_{t+1}|^2     over all pairs of steps of a batch
    C = V L U,  U = V^{-1}                 coordinates z V, back by U
    z~ = (z_1, z_1 C, ..., z_{T-1} C)      every step predicted from the one before
    loss = MSE(x, x^(dropout(z))) + MSE(x^(dropout(z)), x^(z~)) + MSE(z, z~) + L_static + L_dynamic

L_static pulls the eigenvalues of the `static_units` most static units to 1, L_dynamic pushes the others away from 1
(`unbraid.objectives.eigenvalues`); a unit is a real eigenvalue or a conjugate pair. MSEs are means over all values, as
published, so that the published weights can be used; on windows -log p(x) replaces the first MSE.

After training one operator is fitted to all training sequences, and its units are split again: the `static_units` most
static ones, or all within `static_radius` of 1. The codes are coordinates in its eigenvectors:

    s = mean over t of the static coordinates,     d_t = the dynamic coordinates of step t

With `independent_static`, independent component analysis chooses the basis of the static space. All static eigenvalues are
close to 1, so any basis of this space consists of eigenvectors. In the one chosen the coordinates are independent over the
training sequences, and each attribute has coordinates of its own. What is slow but not constant, such as the direction of
a walk, gets coordinates of its own too. With `static_share` they are told apart by the share of their variance that lies
within sequences, and go to the dynamic code.

A conjugate pair has two real coordinates, in an orthonormal basis of its plane, so that nothing complex is left. Each unit
is a factor of its own: `static_1`, ..., `dynamic_1`, ...; `unbraid.evaluation.factor_maps` finds which of them carries which
label. With `independent_static` each static coordinate is a unit.

Differs from the authors' code: the encoder's LSTM has the size of the latents (theirs, by default twice that, is reshaped so
that halves of a vector become steps); C is fitted with a ridge in float64; codes come from one operator, not from the
batch's; z~ is compared with z before dropout, and decoded without it; pairs of eigenvalues are never split; the static
code is one vector per sequence.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unbraid.cards import ModelCard
from unbraid.masks import inside_steps, mean_over_steps
from unbraid.models.koopman import (
    KoopmanAutoencoder,
    consecutive,
    mean_error,
    mean_square,
    operator_from_moments,
)
from unbraid.nn.distributions import Point
from unbraid.nn.independent import unmixing
from unbraid.objectives.eigenvalues import (
    DynamicMode,
    StaticMode,
    dynamic_loss,
    order_units,
    static_loss,
    static_units,
)
from unbraid.processes import gather
from unbraid.types import Batch, Codes, Factor, Posterior, Terms

__all__ = ["SKD"]


class SKD(KoopmanAutoencoder):
    """Structured Koopman disentanglement (Berman et al., ICLR 2023).

    Args:
        observation: shape `*X` of one observation.
        latent_size: size k of the latents, and of both LSTMs.
        static_units: number of units (real eigenvalues or conjugate pairs) that are static.
        width: channels of the first convolution, or units of the first layer for vectors and windows.
        static_mode: what makes an eigenvalue static: "ball" (distance to 1), "norm" (absolute value) or "real" (real
            part).
        dynamic_mode: what dynamic eigenvalues are penalised for: "real", "threshold", "ball", "strict" or "none".
        dynamic_threshold: of "real" and "threshold".
        dynamic_radius: of "ball".
        static_radius: distance to 1 within which all units are static after training, however many they are; None for the
            `static_units` most static ones.
        independent_static: whether independent component analysis makes the static coordinates independent.
        static_share: largest share of the variance of an independent coordinate that may lie within sequences; coordinates
            above it are dynamic. None for no limit; needs `independent_static`.
        ridge: of the least squares, beside the mean square of the latents.
        recurrent_encoder: whether the encoder ends in an LSTM over the steps; without it each latent depends on its own step
            only.
        dropout: share of the latents' values that are set to 0 before the reconstruction, in training.

    Raises:
        ValueError: more static units than leave room for dynamic ones, another setting out of its range, or observations
            without a codec.
    """

    card = ModelCard(
        name="skd",
        title="Multifactor Sequential Disentanglement via Structured Koopman Autoencoders",
        authors="Berman, Naiman, Azencot",
        year=2023,
        venue="ICLR",
        url="https://arxiv.org/abs/2303.17264",
        summary="Koopman autoencoder: eigenvectors of a linear operator between steps are the factors",
        capabilities=frozenset({"encode", "decode", "export", "decoded_static"}),
        deviations=(
            "no prior: the static code of a sequence is drawn as a random mixture of those of two others, as in the "
            "authors' code; tables mark such rows",
            "latents and LSTMs have one size (the authors' default mixes steps with halves of the latents)",
            "least squares with a ridge of 1e-6 in float64; codes come from one operator fitted after training",
            "conjugate pairs are kept together, in real coordinates",
            "the static code is the mean over time of the static coordinates",
            "dropout reaches the reconstruction, with which the predicted sequence is compared, not the comparison of latents",
            "`static_radius` is ours: what hardly changes, such as the direction of a walk, is then left to d",
            "`independent_static` and `static_share` are ours: independent component analysis chooses the static eigenvectors, "
            "and those that vary within sequences are dynamic",
            "an encoder without its LSTM (`recurrent_encoder: false`) is ours",
            "which modes gave the published tables is not known; the defaults are those of the authors' training script",
            "encoder and decoder are this package's; vectors and windows are ours",
        ),
        variants=(
            {"static_mode": "norm", "dynamic_mode": "threshold"},
            {"static_mode": "real", "dynamic_mode": "ball"},
            {"dynamic_mode": "strict"},
            {"dynamic_mode": "none", "static_radius": 0.04, "independent_static": True},
            {"static_radius": 0.5, "independent_static": True, "static_share": 0.5},
            {"recurrent_encoder": False, "dropout": 0.0},
        ),
        symbols=(
            ("z_t", "latents(x)[:, t]", "latent of step t"),
            ("C", "operator", "linear map between the latents of consecutive steps"),
            ("k", "latent_size", "size of the latents"),
            ("k_s", "static_units", "number of static units"),
            ("s", "static", "static coordinates, mean over time"),
            ("d_t", "dynamic[:, t]", "dynamic coordinates of step t"),
            (
                "lambda_eig",
                "training.weights.static_eigenvalues, dynamic_eigenvalues",
                "weights of the two eigenvalue losses",
            ),
        ),
    )

    def __init__(
        self,
        observation: tuple[int, ...],
        latent_size: int = 40,
        static_units: int = 7,
        width: int = 32,
        static_mode: StaticMode = "ball",
        dynamic_mode: DynamicMode = "real",
        dynamic_threshold: float = 0.5,
        dynamic_radius: float = 0.6,
        static_radius: float | None = None,
        independent_static: bool = False,
        static_share: float | None = None,
        ridge: float = 1e-6,
        recurrent_encoder: bool = True,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(locals())
        if not 1 <= static_units < latent_size / 2:
            raise ValueError(
                f"model.static_units: {static_units} must be at least 1 and less than half of latent_size "
                f"({latent_size}), as each may be a pair of eigenvalues"
            )
        if ridge <= 0:
            raise ValueError(f"model.ridge: {ridge} must be above 0")
        if static_radius is not None and static_radius <= 0:
            raise ValueError(f"model.static_radius: {static_radius} must be above 0, or leave it out")
        if static_share is not None and not (independent_static and 0 < static_share < 1):
            raise ValueError(
                f"model.static_share: {static_share} must be between 0 and 1, with model.independent_static; or leave it out"
            )
        self.latent_size, self.static_units, self.ridge = latent_size, static_units, ridge
        self.static_mode, self.dynamic_mode = static_mode, dynamic_mode
        self.dynamic_threshold, self.dynamic_radius = dynamic_threshold, dynamic_radius
        self.static_radius, self.independent_static = static_radius, independent_static
        self.static_share = static_share
        self._build(observation, latent_size, latent_size, width, recurrent_encoder, dropout)
        self.basis: Tensor
        self.inverse: Tensor
        self.eigenvalues: Tensor
        self.unit: Tensor
        self.static: Tensor
        self.register_buffer("basis", torch.eye(latent_size))
        self.register_buffer("inverse", torch.eye(latent_size))
        self.register_buffer("eigenvalues", torch.zeros(latent_size, 2))
        self.register_buffer("unit", torch.arange(latent_size))
        self.register_buffer("static", torch.arange(latent_size) < static_units)
        self.register_load_state_dict_post_hook(_name_factors)
        _name_factors(self)

    def check_batches(self, sequences: int, steps: int) -> None:
        """Refuse batches with fewer pairs of consecutive steps than the least squares have unknowns per column.

        Raises:
            ValueError: the batch is too small.
        """
        pairs = sequences * (steps - 1)
        if pairs < self.latent_size:
            raise ValueError(
                f"training.batch_size: {sequences} sequences of {steps} steps have {pairs} pairs of consecutive steps; skd "
                f"fits its operator to at least latent_size = {self.latent_size}. Give larger batches or a smaller "
                "model.latent_size"
            )

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """The coordinates of x in the eigenvectors of the operator fitted after training, as points."""
        static, dynamic = (self.latents(x, mask) @ self.basis).tensor_split([self.static_size], 2)
        return Posterior(Point(mean_over_steps(static, inside_steps(x, mask))), Point(dynamic))

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """Errors of the reconstruction and of both predictions, `(B,)` each, and the eigenvalue losses, 0-dim."""
        z, inside_mask = self.latents(batch.x, batch.mask), inside_steps(batch.x, batch.mask)
        steps = None if batch.mask is None else inside_mask
        before, after = consecutive(z, inside_mask)
        moments = _moments(gather(before), gather(after), gather(inside_mask))
        operator = operator_from_moments(*moments, self.ridge)
        predicted = torch.cat([z[:, :1], (before @ operator).to(z.dtype)], 1)
        rebuilt = self._decode_latents(self._dropped_out(z, generator), steps)
        continued = self._decode_latents(predicted, steps)
        values = torch.linalg.eigvals(operator.cpu())
        static = static_units(values, self.static_units, self.static_mode)
        pushed = dynamic_loss(values, static, self.dynamic_mode, self.dynamic_threshold, self.dynamic_radius)
        return {
            "reconstruction": mean_error(rebuilt, batch),
            "prediction": mean_square(rebuilt.mean - continued.mean, batch.mask),
            "latent_prediction": mean_square(z - predicted, steps),
            "static_eigenvalues": static_loss(values, static, self.static_mode).to(z.device),
            "dynamic_eigenvalues": pushed.to(z.device),
        }

    def finish(self, batches: Iterable[Batch]) -> None:
        """Fit the operator to all pairs of consecutive steps, and keep the coordinates in its eigenvectors."""
        square = torch.zeros(self.latent_size, self.latent_size, dtype=torch.float64)
        gram, cross, scatter, pairs, means, inside = square, square, square, 0, [], 0
        for batch in batches:
            z, steps = self.latents(batch.x, batch.mask), inside_steps(batch.x, batch.mask)
            before, after = consecutive(z, steps)
            count = int((steps[:, :-1] & steps[:, 1:]).sum())
            of_batch = [count * moment.cpu() for moment in _moments(before, after, steps)]
            gram, cross, pairs = gram + of_batch[0], cross + of_batch[1], pairs + count
            means.append(mean_over_steps(z, steps).double().cpu())
            around = (z.double().cpu() - means[-1].unsqueeze(1))[steps.cpu()]
            scatter, inside = scatter + around.T @ around, inside + len(around)
        operator = operator_from_moments(gram / max(1, pairs), cross / max(1, pairs), self.ridge)
        self._keep_coordinates(*torch.linalg.eig(operator))
        if self.independent_static:
            self._make_static_independent(operator, torch.cat(means), scatter / inside)
        _name_factors(self)

    def _keep_coordinates(self, values: Tensor, vectors: Tensor) -> None:
        """Keep real coordinates in the eigenvectors, the most static units first; a pair's plane gets two."""
        static, order = self._split(values)
        columns: list[Tensor] = []
        for number, place in enumerate(order):
            value, vector = values[place], vectors[:, place]
            plane = [vector.real] if value.imag == 0 else [vector.real, vector.imag]
            rows = slice(start := sum(len(part) for part in columns), start + len(plane))
            columns.append(torch.linalg.qr(torch.stack(plane, 1)).Q.T)
            self.eigenvalues[rows] = torch.view_as_real(value).float()
            self.unit[rows], self.static[rows] = number, static[place]
        basis = torch.cat(columns).T
        self.basis.copy_(basis)
        self.inverse.copy_(torch.linalg.inv(basis))

    def _make_static_independent(
        self, operator: Tensor, means: Float[Tensor, "n k"], within: Float[Tensor, "k k"]
    ) -> None:
        """Make the static coordinates independent over the sequences; each is a unit then, the most static first.

        Those that vary more than `static_share` allows become dynamic, but for the one that varies least. All stay as they
        are where the sequences do not span the static space.

        Args:
            operator: C.
            means: of the latents of each sequence over its steps.
            within: covariance of the latents around these means.
        """
        count = int(self.static.sum())
        basis = self.basis.double().cpu()
        static = means @ basis[:, :count]
        if torch.linalg.matrix_rank(static - static.mean(0)) < count:
            return
        turned = torch.cat([basis[:, :count] @ unmixing(static), basis[:, count:]], 1)
        values = (torch.linalg.inv(turned) @ operator @ turned).diagonal()[:count]
        varying = (turned.T @ within @ turned).diagonal()[:count]
        share = varying / (varying + (means @ turned[:, :count]).var(0))
        limit = 1.0 if self.static_share is None else max(self.static_share, float(share.min()))
        moves, distance = share > limit, (values - 1).abs()
        order = torch.tensor(
            sorted(range(count), key=lambda place: (bool(moves[place]), float(distance[place])))
        )
        turned[:, :count] = turned[:, order]
        self.basis.copy_(turned)
        self.inverse.copy_(torch.linalg.inv(turned))
        self.eigenvalues[:count] = torch.stack([values[order], torch.zeros(count)], 1)
        self.unit[count:] += count - self.unit[count]
        self.unit[:count] = torch.arange(count)
        self.static[:count] = ~moves[order]

    def _split(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Which eigenvalues stand for a static unit, and the places of all units, the most static first."""
        units = int((values.imag >= 0).sum())
        if self.static_radius is None:
            mode, count = self.static_mode, self.static_units
        else:
            mode = "ball"
            near = int((order_units(values, mode) < self.static_radius).sum())
            count = min(max(1, near), units - 1)
        return static_units(values, count, mode), order_units(values, mode).argsort()[:units]

    def _latents_of(self, codes: Codes) -> Float[Tensor, "B T k"]:
        static, dynamic = self.inverse.tensor_split([self.static_size])
        return (codes.static @ static).unsqueeze(1) + codes.dynamic @ dynamic


def _moments(before: Tensor, after: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Means of x'x and x'y over the pairs of consecutive steps."""
    before, after = before.flatten(0, 1), after.flatten(0, 1)
    pairs = (steps[:, :-1] & steps[:, 1:]).sum().clamp_min(1)
    return before.T @ before / pairs, before.T @ after / pairs


def _name_factors(model: SKD, *_: object) -> None:
    """Sizes of the codes and one factor per unit, from the buffers."""
    units = {"static": model.unit[model.static].tolist(), "dynamic": model.unit[~model.static].tolist()}
    model.static_size, model.dynamic_size = len(units["static"]), len(units["dynamic"])
    factors = {"static": Factor("static"), "dynamic": Factor("dynamic")}
    for whole in tuple(factors.values()):
        numbers = units[whole.code]
        for count, number in enumerate(dict.fromkeys(numbers), 1):
            columns = tuple(column for column, other in enumerate(numbers) if other == number)
            factors[f"{whole.code}_{count}"] = Factor(whole.code, columns)
    model.factors = factors
