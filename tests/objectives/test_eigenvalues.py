"""Eigenvalue losses against loops over the eigenvalues."""

import numpy as np
import pytest
import torch

from unbraid.objectives.eigenvalues import dynamic_loss, static_loss, static_units, unit_weights

STATIC = {
    "ball": (lambda v: abs(v - 1), lambda v: abs(v - 1) ** 2),
    "norm": (lambda v: -abs(v), lambda v: (abs(v) ** 2 - 1) ** 2),
    "real": (lambda v: -v.real, lambda v: (v.real - 1) ** 2),
}
DYNAMIC = {
    "ball": lambda v: 2 - abs(v - 1) if abs(v - 1) < 0.6 else 0,
    "real": lambda v: v.real if v.real > 0.5 else 0,
    "threshold": lambda v: abs(v) ** 2 if abs(v) ** 2 > 0.5 else 0,
    "strict": lambda v: (abs(v) ** 2 - 0.25) ** 2,
    "none": lambda v: 0,
}


def units_by_loop(values, count, order):
    """The eigenvalues of the first `count` units: a unit is a real eigenvalue or a pair."""
    units = sorted((v for v in values if v.imag >= 0), key=order)[:count]
    return [value for v in units for value in ([v] if v.imag == 0 else [v, v.conjugate()])]


def rest_of(values, static):
    left = list(values)
    for value in static:
        left.remove(value)
    return left


@pytest.mark.parametrize("dynamic_mode", DYNAMIC)
@pytest.mark.parametrize("static_mode", STATIC)
def test_losses_equal_loops(static_mode, dynamic_mode):
    order, error = STATIC[static_mode]
    for seed in range(10):
        operator = torch.randn(9, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) / 2
        values = torch.linalg.eigvals(operator)
        plain = [complex(v) for v in values]
        static = units_by_loop(plain, 3, order)
        dynamic = rest_of(plain, static)
        units = static_units(values, 3, static_mode)
        assert int((units * unit_weights(values)).sum()) == len(static)
        loss = static_loss(values, units, static_mode)
        assert loss.item() == pytest.approx(np.mean([error(v) for v in static]))
        loss = dynamic_loss(values, units, dynamic_mode)
        assert loss.item() == pytest.approx(np.mean([DYNAMIC[dynamic_mode](v) for v in dynamic]))


def test_a_pair_is_one_unit_of_two_eigenvalues():
    values = torch.tensor([0.2, 0.9 + 0.1j, 0.9 - 0.1j, 0.95, 0.5], dtype=torch.complex128)
    assert unit_weights(values).tolist() == [1, 2, 0, 1, 1]
    assert static_units(values, 1, "ball").tolist() == [False, False, False, True, False]
    two = static_units(values, 2, "ball")
    assert two.tolist() == [False, True, False, True, False]
    expected = (0.05**2 + 2 * (0.1**2 + 0.1**2)) / 3
    assert static_loss(values, two, "ball").item() == pytest.approx(expected)


def test_gradients_are_finite_at_the_targets():
    """Eigenvalues of exactly 1 and 0, where distances have no gradient of their own."""
    operator = torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0, 0.5], dtype=torch.float64)).requires_grad_()
    for static_mode in STATIC:
        for dynamic_mode in DYNAMIC:
            values = torch.linalg.eigvals(operator)
            units = static_units(values, 2, static_mode)
            loss = static_loss(values, units, static_mode) + dynamic_loss(values, units, dynamic_mode)
            (gradient,) = torch.autograd.grad(loss, operator)
            assert torch.isfinite(gradient).all()


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode: 'balls' is none of ball, norm, real"):
        static_units(torch.ones(3, dtype=torch.complex128), 1, "balls")
