"""The discrepancy against loops, a closed form and distributions that are the same or not."""

import pytest
import torch

from unbraid.objectives.mmd import SCALES, mmd


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def kernel(u, v, name):
    ratio = [(u - v).square().sum().item() / (kappa * 2 * len(u)) for kappa in SCALES]
    return sum(
        1 / (1 + r) if name == "inverse_multiquadratic" else torch.exp(torch.tensor(-r)).item() for r in ratio
    )


def by_loops(a, b, name):
    n = len(a)
    same = sum(kernel(x[i], x[j], name) for x in (a, b) for i in range(n) for j in range(n) if i != j)
    return same / (n * (n - 1)) - 2 * sum(kernel(u, v, name) for u in a for v in b) / n**2


@pytest.mark.parametrize("name", ["inverse_multiquadratic", "rbf"])
def test_it_equals_the_loops(name):
    a, b = normal(3, 6, 4), normal(3, 6, 4, seed=1) + 0.5
    expected = torch.tensor([by_loops(*pair, name) for pair in zip(a, b, strict=True)], dtype=torch.float64)
    torch.testing.assert_close(mmd(a, b, name), expected, rtol=1e-5, atol=1e-6)


def test_members_are_compared_alone():
    a, b = normal(3, 6, 4), normal(3, 6, 4, seed=1)
    members = torch.tensor([[1, 1, 0, 1, 0, 1], [1, 0, 0, 0, 0, 0], [0] * 6]).bool()
    value = mmd(a, b, members=members)
    torch.testing.assert_close(value[0], mmd(a[0, members[0]], b[0, members[0]]))
    assert value[1:].tolist() == [0, 0]
    assert mmd(a[:, :1], b[:, :1]).tolist() == [0, 0, 0]


def test_it_is_zero_on_average_for_one_distribution_and_not_for_others():
    """Unbiased: over many batches the mean is within its error of 0; a shift, a scale and a point are seen."""
    a, b = normal(400, 16, 8), normal(400, 16, 8, seed=1)
    values = mmd(a, b)
    assert values.mean().abs() < 4 * values.std() / 20
    assert (values < 0).any()
    for other in (a + 0.5, 0.5 * a, torch.zeros_like(a)):
        changed = mmd(other, b)
        assert changed.mean() > 10 * changed.std() / 20


def test_the_expected_value_of_a_shift_is_that_of_the_closed_form():
    """E k of two normals under the rbf kernel: det(1 + 2 * 2 / (kappa C))^-1/2 exp(-|m|^2 / (kappa C + 4))."""
    size, shift = 2, 1.5
    a, b = normal(2000, 32, size), normal(2000, 32, size, seed=1)
    a[..., 0] += shift
    expected = 0.0
    for kappa in SCALES:
        width = kappa * 2 * size
        same = (1 + 4 / width) ** (-size / 2)
        expected += 2 * same * (1 - torch.exp(torch.tensor(-(shift**2) / (width + 4))).item())
    values = mmd(a, b, "rbf")
    assert abs(values.mean().item() - expected) < 4 * values.std().item() / 2000**0.5


def test_gradients_are_finite_where_draws_coincide():
    a = torch.zeros(4, 3, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        mmd(a, torch.zeros(4, 3)).backward()
    assert torch.isfinite(a.grad).all()
