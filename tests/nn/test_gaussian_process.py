"""Joint Gaussians over time against dense ones, and the kernels against their formulas; all to 1e-6 in float64."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from unbraid.masks import steps_below
from unbraid.nn.distributions import JointNormal, kl_over_steps
from unbraid.nn.gaussian_process import JITTER, GaussianProcess, TridiagonalHead

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
B, T, D = 3, 7, 4


def tridiagonal(length=T, seed=0):
    """A posterior of a head with random weights, and the bidiagonal factors U written out entry by entry."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = TridiagonalHead(5, D).double()
    h = 2 * torch.randn(B, length, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    upper = torch.zeros(B, D, length, length, dtype=torch.float64)
    for t in range(length):
        u = 1 + torch.log1p(torch.exp(head.diagonal(h[:, t])))
        upper[:, :, t, t] = u
        if t:
            upper[:, :, t - 1, t] = u * torch.tanh(head.coupling(h[:, t]))
    return head(h), head.mean(h), upper


def dense(mean, covariance):
    """Dense Gaussians over time for each sequence and dimension."""
    return MultivariateNormal(mean.mT, covariance)


def test_a_tridiagonal_precision_is_that_of_a_dense_gaussian():
    q, mean, upper = tridiagonal()
    precision = upper @ upper.mT
    assert precision.triu(2).abs().max() == 0  # tridiagonal
    covariance = torch.linalg.inv(precision)
    torch.testing.assert_close(q.mean, mean, **CLOSE)
    torch.testing.assert_close(q.covariance, covariance, **CLOSE)
    torch.testing.assert_close(q.variance, covariance.diagonal(dim1=-2, dim2=-1).mT, **CLOSE)
    path = torch.randn(B, T, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = dense(mean, covariance).log_prob(path.mT).sum(1)
    torch.testing.assert_close(q.log_prob(path), expected, **CLOSE)


def test_draws_are_those_of_a_dense_gaussian():
    q, mean, upper = tridiagonal()
    drawn = q.draw(torch.Generator().manual_seed(2))
    noise = torch.randn(B, D, T, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    factor = torch.linalg.cholesky(torch.linalg.inv(upper @ upper.mT))
    torch.testing.assert_close(drawn, mean + (factor @ noise.unsqueeze(-1)).squeeze(-1).mT, **CLOSE)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(drawn, q.draw(torch.Generator().manual_seed(2)))


@pytest.mark.parametrize("kernels", [{"cauchy": 1.0}, {"cauchy": 0.5, "rbf": 1.0}])
def test_kl_is_that_of_dense_gaussians_over_each_sequence_s_own_steps(kernels):
    q, mean, upper = tridiagonal()
    process = GaussianProcess(D, kernels)
    covariance = torch.linalg.inv(upper @ upper.mT)
    lengths = torch.tensor([7, 4, 1])
    kl = kl_over_steps(q, process(mean), steps_below(lengths, T))
    for row, n in enumerate(lengths.tolist()):
        own = MultivariateNormal(mean[row, :n].T, covariance[row, :, :n, :n])
        prior = MultivariateNormal(torch.zeros(D, n, dtype=torch.float64), process.covariance(n))
        torch.testing.assert_close(kl[row], kl_divergence(own, prior).sum(), **CLOSE)
    assert kl_over_steps(q, process(mean))[0] == kl[0]


def test_kernels_and_their_length_scales():
    """Half of the dimensions have a Cauchy kernel, half a squared exponential; four length scales from 2 down each."""
    process = GaussianProcess(8, {"cauchy": 0.5, "rbf": 1.0}, length_scale=2.0, scales=4)
    covariance = process.covariance(5)
    for j in range(8):
        scale = (2.0, 1.0, 0.5, 0.25)[j % 4]
        for t in range(5):
            for u in range(5):
                lag = t - u
                value = 0.5 / (1 + lag**2 / scale**2) if j < 4 else math.exp(-(lag**2) / (2 * scale**2))
                assert abs(covariance[j, t, u].item() - value - JITTER * (lag == 0)) < 1e-12
    assert GaussianProcess(8, {"cauchy": 1.0}).length_scales == [2, 2, 1, 1, 0.5, 0.5, 0.25, 0.25]
    assert GaussianProcess(3, {"cauchy": 1.0}, 7.0, 1).length_scales == [7, 7, 7]


def test_smooth_kernels_are_decomposed_in_double_precision_once_for_each_length():
    process = GaussianProcess(2, {"rbf": 1.0}, length_scale=30.0, scales=1)
    like = torch.zeros(())
    factor = process.scale_tril(48, like)
    assert factor.dtype == torch.float32 and process.scale_tril(48, like) is factor
    assert (factor @ factor.mT - process.covariance(48)).abs().max() < 1e-5


def test_a_factor_made_in_evaluation_serves_training():
    process, path = GaussianProcess(2, {"cauchy": 1.0}), torch.zeros(1, 4, 2)
    with torch.inference_mode():
        process(path)
    mean = torch.zeros(1, 4, 2, requires_grad=True)
    kl_over_steps(JointNormal(mean + 1, torch.eye(4)), process(mean)).sum().backward()
    assert mean.grad.abs().min() > 0


def test_neighbouring_steps_may_be_alike_or_opposed():
    """The authors' code can only express neighbours of opposite deviation: its entries beside the diagonal are positive."""
    q, _, _ = tridiagonal(seed=3)
    neighbours = q.covariance.diagonal(offset=1, dim1=-2, dim2=-1)
    assert neighbours.max() > 0.05 and neighbours.min() < -0.05


def test_the_variance_of_a_long_path_is_bounded():
    head = TridiagonalHead(1, 2).double()
    with torch.no_grad():
        head.coupling.bias.fill_(-1.5)
        head.diagonal.bias.fill_(-20.0)
    q = head(torch.zeros(1, 200, 1, dtype=torch.float64))
    decay = math.tanh(1.5)
    assert isinstance(q, JointNormal) and q.variance.max() < 1 / (1 - (decay + 0.05) ** 2) * 1e3
    assert q.variance[0, -1].max() < q.variance[0, 100].max() + 1e-3  # stationary


@pytest.mark.parametrize(
    ("settings", "name"), [({"length_scale": 0.0}, "length_scale"), ({"scales": 0}, "scales")]
)
def test_refused(settings, name):
    with pytest.raises(ValueError, match=f"model.{name}"):
        GaussianProcess(2, {"cauchy": 1.0}, **settings)
