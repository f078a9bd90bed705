"""Straight lines in closed form, and a decoder that has its level and scale from s."""

import numpy as np
import pytest
import torch
from torch import nn

from unbraid.nn.codecs import decode_steps
from unbraid.nn.likelihoods import SquaredErrorNormal
from unbraid.nn.lines import LineDecoder, principal_lines, ridge_line


def test_principal_lines_whiten_and_their_inverse_rebuilds():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(500, 3, generator=generator) @ torch.randn(3, 7, generator=generator) + 5
    line = nn.Linear(7, 5)
    weight, bias = principal_lines(line, rows)
    codes = line(rows)
    torch.testing.assert_close(torch.cov(codes[:, :3].T, correction=0), torch.eye(3), atol=1e-3, rtol=0)
    assert (codes[:, 3:] == 0).all()
    torch.testing.assert_close(codes[:, :3] @ weight.T + bias, rows, atol=1e-3, rtol=1e-3)


def test_components_of_few_rows_are_those_of_many():
    """Fewer rows than values: the same directions by the other Gram matrix."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(20, 3, generator=generator) @ torch.randn(3, 50, generator=generator)
    few, many = nn.Linear(50, 3), nn.Linear(50, 3)
    principal_lines(few, rows)
    principal_lines(many, rows.repeat(10, 1))
    torch.testing.assert_close(few(rows), many(rows), atol=1e-3, rtol=1e-3)


def test_ridge_line_is_the_solution_with_an_intercept():
    random = np.random.default_rng(0)
    x, y = random.normal(2, 1, (60, 4)), random.normal(size=(60, 3))
    weight, bias = ridge_line(torch.from_numpy(x).float(), torch.from_numpy(y).float())
    z = x - x.mean(0)
    slope = np.linalg.solve(z.T @ z + np.eye(4), z.T @ (y - y.mean(0)))
    np.testing.assert_allclose(x @ weight.numpy().T + bias.numpy(), z @ slope + y.mean(0), atol=1e-5)


@pytest.mark.parametrize("observation", [(6,), (4, 2)])
def test_level_and_scale_move_and_stretch_what_is_decoded(observation):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = LineDecoder(observation, 3, 2, 4, line=True, level=True)
    z = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1))
    features = observation[-1]
    with torch.no_grad():
        decoder.level.weight.zero_()
        decoder.level.bias.zero_()
        plain = decode_steps(decoder, z)
        decoder.level.bias[:features] = 7.0
        decoder.level.bias[features:] = np.log(2.0)
        moved = decode_steps(decoder, z)
    torch.testing.assert_close(moved.mean, 7 + 2 * plain.mean)
    fixed = isinstance(plain, SquaredErrorNormal)
    torch.testing.assert_close(moved.stddev, plain.stddev * (1 if fixed else 2))


def test_level_and_scale_read_the_static_code_alone():
    decoder = LineDecoder((4, 2), 3, 2, 4, line=False, level=True)
    static = torch.randn(1, 1, 3)
    z = torch.cat([static.expand(1, 6, 3), torch.randn(1, 6, 2)], 2)
    *_, level, log_scale = decoder(z.flatten(0, 1)).unbind(1)
    assert (level == level[:1]).all() and (log_scale == log_scale[:1]).all()


def test_the_line_begins_with_the_dynamic_code_alone():
    decoder = LineDecoder((6,), 3, 2, 4, line=True, level=False)
    weight, bias = torch.randn(6, 2), torch.randn(6)
    decoder.start_line(weight, bias)
    z = torch.randn(4, 5)
    with torch.no_grad():
        torch.testing.assert_close(decoder.line(z), z[:, 3:] @ weight.T + bias)
