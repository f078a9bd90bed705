"""Losses of the eigenvalues of a real linear operator: which count as static, and what pulls them to 1 or away from it.

Eigenvalues are complex, `(..., k)`, as `torch.linalg.eigvals` gives them: the complex ones come in conjugate pairs. Real
eigenvalues and pairs are *units*: a unit is static or dynamic as a whole. Of a pair only the member with positive
imaginary part is read, with weight 2.

Berman, Naiman, Azencot. "Multifactor Sequential Disentanglement via Structured Koopman Autoencoders." ICLR 2023.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

__all__ = [
    "DynamicMode",
    "StaticMode",
    "dynamic_loss",
    "order_units",
    "static_loss",
    "static_units",
    "unit_weights",
]

StaticMode = Literal["ball", "norm", "real"]
"""What makes an eigenvalue static: distance to 1, absolute value, or real part."""

DynamicMode = Literal["ball", "real", "threshold", "strict", "none"]
"""What a dynamic eigenvalue is penalised for: see `dynamic_loss`."""

STRICT_MODULUS = 0.5  # absolute value that "strict" asks of dynamic eigenvalues


def unit_weights(values: Complex[Tensor, "*B k"]) -> Float[Tensor, "*B k"]:
    """Eigenvalues of the unit that each eigenvalue stands for: 1 if real, 2 if first of a pair, 0 if second."""
    return 1.0 + values.imag.sign()


def order_units(values: Complex[Tensor, "*B k"], mode: StaticMode) -> Float[Tensor, "*B k"]:
    """A number by which units are ordered, lowest first: infinite for the second member of a pair."""
    order = {"ball": (values - 1).abs(), "norm": -values.abs(), "real": -values.real}[mode]
    return order.masked_fill(values.imag < 0, torch.inf)


def static_units(values: Complex[Tensor, "*B k"], count: int, mode: StaticMode) -> Bool[Tensor, "*B k"]:
    """The `count` most static units.

    Raises:
        ValueError: there is no such mode.
    """
    if mode not in get_args(StaticMode):
        raise ValueError(f"mode: {mode!r} is none of {', '.join(get_args(StaticMode))}")
    chosen = order_units(values.detach(), mode).topk(count, largest=False).indices
    return torch.zeros_like(values, dtype=torch.bool).scatter(-1, chosen, True)


def static_loss(
    values: Complex[Tensor, "*B k"], units: Bool[Tensor, "*B k"], mode: StaticMode
) -> Float[Tensor, "*B"]:
    """Mean over the static eigenvalues of |l - 1|^2 ("ball"), (|l|^2 - 1)^2 ("norm") or (Re l - 1)^2 ("real")."""
    errors = {
        "ball": _square(values - 1),
        "norm": (_square(values) - 1).square(),
        "real": (values.real - 1).square(),
    }
    return _mean(errors[mode], unit_weights(values) * units)


def dynamic_loss(
    values: Complex[Tensor, "*B k"],
    units: Bool[Tensor, "*B k"],
    mode: DynamicMode,
    threshold: float = 0.5,
    radius: float = 0.6,
) -> Float[Tensor, "*B"]:
    """Mean over the dynamic eigenvalues of a penalty for being near 1.

    Args:
        values: eigenvalues.
        units: the static units; all others are dynamic.
        mode: "ball": 2 - |l - 1| within `radius` of 1; "real": Re l above `threshold`; "threshold": |l|^2 above
            `threshold`; "strict": (|l|^2 - 0.25)^2; "none": 0. Eigenvalues that fulfil no condition add 0.
        threshold: see `mode`.
        radius: see `mode`.
    """
    distance, square, zero = (values - 1).abs(), _square(values), torch.zeros_like(values.real)
    penalties = {
        "ball": torch.where(distance < radius, 2 - distance, zero),
        "real": torch.where(values.real > threshold, values.real, zero),
        "threshold": torch.where(square > threshold, square, zero),
        "strict": (square - STRICT_MODULUS**2).square(),
        "none": zero,
    }
    return _mean(penalties[mode], unit_weights(values) * ~units)


def _square(values: Tensor) -> Tensor:
    """|l|^2, whose gradient at 0 is 0."""
    return values.real.square() + values.imag.square()


def _mean(errors: Tensor, weights: Tensor) -> Tensor:
    return (errors * weights).sum(-1) / weights.sum(-1).clamp_min(1)
