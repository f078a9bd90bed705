"""Masks: torch and numpy agree, and both with loops over single values."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unbraid import masks

SHAPES = {"steps": (), "vectors": (3,), "windows": (2, 3), "frames": (1, 2, 2)}


@st.composite
def masked(draw):
    """Values `(B, T, *X)` and a mask of steps or of values."""
    batch, steps = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    inner = SHAPES[draw(st.sampled_from(["vectors", "windows", "frames"]))]
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (batch, steps, *inner)
    mask = random.random(draw(st.sampled_from([shape, shape[:2]]))) < draw(st.sampled_from([0.2, 0.8]))
    return random.normal(size=shape), mask


def both(function, x, mask):
    """The result for numpy arrays, after checking that it is the same for torch tensors."""
    by_numpy = function(x, mask)
    by_torch = function(torch.from_numpy(x), torch.from_numpy(mask))
    assert isinstance(by_numpy, np.ndarray) and isinstance(by_torch, torch.Tensor)
    np.testing.assert_allclose(by_numpy, by_torch.numpy())
    return by_numpy


@given(masked())
def test_observed_steps_and_steps_inside(drawn):
    x, mask = drawn
    observed = both(lambda _, mask: masks.observed_steps(mask), x, mask)
    inside = both(lambda _, mask: masks.inside(mask), x, mask)
    assert (both(masks.inside_steps, x, mask) == inside).all()
    for row in range(len(x)):
        seen = [bool(np.any(mask[row, t])) for t in range(x.shape[1])]
        assert observed[row].tolist() == seen
        last = max((t for t, one in enumerate(seen) if one), default=-1)
        assert inside[row].tolist() == [t <= last for t in range(x.shape[1])]


@given(masked())
def test_values_that_are_hidden_are_zero(drawn):
    x, mask = drawn
    observed = both(masks.observed_values, x, mask)
    assert observed.shape == x.shape
    spoilt = np.where(observed, x, np.nan)
    assert (both(masks.zero_unobserved, spoilt, mask) == np.where(observed, x, 0)).all()


@given(masked())
def test_means_over_steps_leave_out_the_others(drawn):
    x, mask = drawn
    flat, steps = x.reshape(*x.shape[:2], -1), masks.inside(mask)
    means = both(masks.mean_over_steps, flat, steps)
    for row in range(len(x)):
        expected = flat[row][steps[row]].mean(0) if steps[row].any() else np.zeros(flat.shape[2])
        np.testing.assert_allclose(means[row], expected)


def test_without_a_mask_everything_counts():
    x = np.ones((2, 3, 4))
    for values in (x, torch.from_numpy(x)):
        assert masks.inside_steps(values, None).all() and masks.observed_values(values, None).all()
        assert masks.zero_unobserved(values, None) is values


def test_steps_below_a_length():
    lengths = np.array([0, 2, 3])
    expected = [[False] * 3, [True, True, False], [True] * 3]
    assert masks.steps_below(lengths, 3).tolist() == expected
    assert masks.steps_below(torch.from_numpy(lengths), 3).tolist() == expected


@pytest.mark.parametrize(
    ("anchor", "positions"),
    [
        ("first", [0, 0]),
        ("middle", [2, 1]),
        ("last", [4, 1]),
        (1, [1, 1]),
        (-2, [3, 0]),
        (9, [4, 1]),
        (0.5, [2, 1]),
    ],
)
def test_the_picked_step_lies_inside(anchor, positions):
    assert masks.pick_step(anchor, torch.tensor([5, 2])).tolist() == positions


def test_only_the_given_steps_pass_through_a_module():
    x = torch.arange(12.0).view(2, 3, 2)
    steps = torch.tensor([[True, False, True], [False, True, False]])
    seen = []
    y = masks.apply_to_steps(lambda rows: seen.append(len(rows)) or rows + 1, x, steps)
    assert seen == [3]
    assert torch.equal(y, torch.where(steps[..., None], x + 1, 0.0))


def test_a_module_without_batch_statistics_sees_few_numbers_of_rows():
    torch.manual_seed(0)
    module, seen = torch.nn.Linear(2, 3).double(), set()
    module.register_forward_pre_hook(lambda _, inputs: seen.add(len(inputs[0])))
    x = torch.randn(8, 10, 2, dtype=torch.float64, requires_grad=True)
    for observed in range(81):
        steps = (torch.randperm(80) < observed).view(8, 10)
        y = masks.apply_to_steps(module, x, steps)
        expected = torch.where(steps[..., None], x @ module.weight.T + module.bias, 0.0)
        torch.testing.assert_close(y, expected)
        for mine, theirs in zip(
            torch.autograd.grad(y.square().sum(), [x, *module.parameters()]),
            torch.autograd.grad(expected.square().sum(), [x, *module.parameters()]),
            strict=True,
        ):
            torch.testing.assert_close(mine, theirs)
    assert seen == {0, 10, 20, 30, 40, 50, 60, 70, 80}


def test_batch_statistics_are_those_of_the_steps_alone():
    module, x = torch.nn.BatchNorm1d(2, momentum=1.0), torch.randn(3, 5, 2)
    steps = torch.tensor([[True] * 5, [True] * 2 + [False] * 3, [True] + [False] * 4])
    masks.apply_to_steps(module, x, steps)
    torch.testing.assert_close(module.running_mean, x[steps].mean(0))


def test_the_share_of_the_variance_that_is_missed():
    x = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.rand(6, 4, 3, generator=torch.Generator().manual_seed(1)) < 0.7
    mean = (x * mask).sum((0, 1)) / mask.sum((0, 1))
    hidden = torch.where(mask, x, 100.0)  # what is not observed has no influence
    assert masks.share_missed(hidden, x, mask) == 0
    torch.testing.assert_close(masks.share_missed(mean.expand(6, 4, 3), hidden, mask), torch.tensor(1.0))
    halfway = (x + mean) / 2
    torch.testing.assert_close(masks.share_missed(halfway, hidden, mask), torch.tensor(0.25))
