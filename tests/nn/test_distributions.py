"""Points and Gaussians over paths, against torch's multivariate normals."""

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from unbraid.nn.distributions import JointNormal, Point, kl_over_steps
from unbraid.types import draw


def joint(seed, batch=3, steps=5, size=2):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(batch, size, steps, steps, generator=generator, dtype=torch.float64)
    covariance = root @ root.mT + 0.5 * torch.eye(steps, dtype=torch.float64)
    mean = torch.randn(batch, steps, size, generator=generator, dtype=torch.float64)
    return JointNormal(mean, torch.linalg.cholesky(covariance))


def dense(q, row, column, steps=slice(None)):
    return MultivariateNormal(q.mean[row, steps, column], q.covariance[row, column, steps][:, steps])


def test_moments_and_density_are_those_of_multivariate_normals():
    q, path = joint(0), joint(1).mean
    expected = [sum(dense(q, row, k).log_prob(path[row, :, k]) for k in range(2)) for row in range(3)]
    assert torch.allclose(q.log_prob(path), torch.stack(expected))
    assert torch.allclose(q.stddev[1, :, 0], dense(q, 1, 0).stddev)


def test_draws_have_the_moments_and_follow_their_generator():
    q = joint(0, batch=1)
    draws = q.rsample((20_000,))[:, 0]
    assert torch.allclose(draws.mean(0), q.mean[0], atol=0.15)
    assert torch.allclose(torch.cov(draws[:, :, 1].T), q.covariance[0, 1], rtol=0.1, atol=0.3)
    first, second, third = (draw(q, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_divergence_is_that_of_multivariate_normals():
    q, p = joint(0), joint(1)
    expected = [sum(kl_divergence(dense(q, r, k), dense(p, r, k)) for k in range(2)) for r in range(3)]
    assert torch.allclose(kl_over_steps(q, p), torch.stack(expected))


def test_divergence_over_some_steps_is_that_of_the_marginals():
    q, p = joint(0), joint(1)
    steps = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 1, 0, 1]], dtype=torch.bool)
    expected = [
        sum(kl_divergence(dense(q, r, k, steps[r]), dense(p, r, k, steps[r])) for k in range(2))
        for r in range(3)
    ]
    assert torch.allclose(kl_over_steps(q, p, steps), torch.stack(expected))


def test_a_normal_prior_of_single_steps_is_a_diagonal_covariance():
    q, generator = joint(0), torch.Generator().manual_seed(3)
    p = Normal(joint(1).mean, torch.rand(3, 5, 2, generator=generator, dtype=torch.float64) + 0.5)
    expected = [
        sum(
            kl_divergence(
                dense(q, r, k), MultivariateNormal(p.loc[r, :, k], torch.diag(p.scale[r, :, k] ** 2))
            )
            for k in range(2)
        )
        for r in range(3)
    ]
    assert torch.allclose(kl_over_steps(q, p), torch.stack(expected))


def test_two_normals_are_summed_over_the_steps_given():
    q, p = Normal(torch.ones(2, 3, 4), 1.0), Normal(torch.zeros(2, 3, 4), 1.0)
    steps = torch.tensor([[True, True, False], [True, False, False]])
    assert kl_over_steps(q, p).tolist() == [6.0, 6.0]
    assert kl_over_steps(q, p, steps).tolist() == [4.0, 2.0]


def test_a_point_can_be_drawn_and_has_no_density():
    value = torch.arange(6.0).view(1, 3, 2)
    point = Point(value)
    assert point.mean is value and draw(point, torch.Generator()) is value
    assert point.stddev.eq(0).all() and point.rsample((2,)).shape == (2, 1, 3, 2)
    with pytest.raises(ValueError, match="a point has no density"):
        point.log_prob(value)
    with pytest.raises(ValueError, match="a point has no KL divergence"):
        kl_over_steps(point, Normal(value, 1.0))
