"""Estimates of mutual information against Gaussians whose information is known, and where they end."""

import math

import pytest
import torch
from torch.distributions import Normal
from torch.nn.functional import normalize

from unbraid.objectives.contrast import contrastive_bound, contrastive_loss, info_nce
from unbraid.objectives.information import (
    dynamic_input_information,
    dynamic_input_information_per_step,
    entropies,
    pairwise_log_density,
    static_dynamic_information,
    static_dynamic_information_per_step,
    static_input_information,
    stratified,
    weighted,
)
from unbraid.types import Codes, Posterior

N = 10_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def gaussian_posterior(batch, correlation, noise, static=1, dynamic=1, steps=3, seed=0):
    """A factor x ~ N(0, 1) per value; q(z | x) = N(x, noise^2); the first values of s and d share their factors.

    With unit factors z ~ N(0, 1 + noise^2), so I(z; x) = log(1 + 1 / noise^2) / 2 of each value. The dynamic factors
    are the same at every step, so that a step's information is the path's for one draw.
    """
    shared = normal(batch, 1, seed=seed)
    rest = normal(batch, static, seed=seed + 1)
    others = normal(batch, dynamic, seed=seed + 2)
    s = correlation * shared + math.sqrt(1 - correlation**2) * rest
    d = correlation * shared + math.sqrt(1 - correlation**2) * others
    d = d.unsqueeze(1).expand(-1, steps, -1)
    posterior = Posterior(Normal(s, torch.full_like(s, noise)), Normal(d, torch.full_like(d, noise)))
    return posterior.sample(generator(seed + 3)), posterior


def test_density_is_the_gaussian_one():
    """The authors' code hands log variances to a density that takes log deviations; ours agrees with torch."""
    z, q = normal(2, 5, 3), Normal(normal(2, 4, 3, seed=1), normal(2, 4, 3, seed=2).exp())
    expected = Normal(q.mean.unsqueeze(1), q.stddev.unsqueeze(1)).log_prob(z.unsqueeze(2)).sum(-1)
    torch.testing.assert_close(pairwise_log_density(z, q), expected)
    log_variance_as_log_deviation = Normal(q.mean.unsqueeze(1), q.stddev.square().unsqueeze(1))
    wrong = log_variance_as_log_deviation.log_prob(z.unsqueeze(2)).sum(-1)
    assert (pairwise_log_density(z, q) - wrong).abs().max() > 1


def test_density_holds_where_posteriors_are_narrow():
    """The matrix form takes differences of numbers near 1e9 here."""
    z = 3 + 1e-4 * torch.randn(4, 256, generator=generator())
    q = Normal(z + 1e-4 * torch.randn(4, 256, generator=generator(1)), torch.full((4, 256), 1e-4))
    expected = (
        Normal(q.mean.double().unsqueeze(0), q.stddev.double()).log_prob(z.double().unsqueeze(1)).sum(-1)
    )
    torch.testing.assert_close(pairwise_log_density(z, q), expected, rtol=1e-6, atol=1e-3)


def mean_over_draws(estimate, correlation, noise, **sizes):
    """Over 20 batches of 400; the estimates are biased by about e^I / 400, their mean is known to within 1%."""
    draws = [gaussian_posterior(400, correlation, noise, **sizes, seed=10 * k) for k in range(20)]
    return sum(estimate(codes, posterior).mean().item() for codes, posterior in draws) / 20


@pytest.mark.parametrize("noise", [0.7, 0.2])
@pytest.mark.parametrize("size", [1, 2])
def test_information_of_gaussians(noise, size):
    """I(s; x) and H(s) of known size, within 5%; the paper's sampling is above it by log N."""
    known = size * 0.5 * math.log(1 + 1 / noise**2)

    def found(estimate):
        return mean_over_draws(estimate, 0.0, noise, static=size)

    assert found(lambda c, q: static_input_information(c, q, N, stratified)) == pytest.approx(known, rel=0.05)
    papers = found(lambda c, q: static_input_information(c, q, N, weighted))
    assert papers - math.log(N) == pytest.approx(known, rel=0.05)
    entropy = size * 0.5 * math.log(2 * math.pi * math.e * (1 + noise**2))
    assert found(lambda c, q: entropies(c, q, N, sampling=stratified).static) == pytest.approx(
        entropy, rel=0.05
    )


@pytest.mark.parametrize("correlation", [0.95, 0.99])
def test_information_of_two_codes(correlation):
    """s and d are normals with a known correlation, so I(s; d) = -log(1 - r^2) / 2, within 5%."""
    noise = 0.3
    known = -0.5 * math.log(1 - (correlation**2 / (1 + noise**2)) ** 2)

    def found(estimate):
        return mean_over_draws(estimate, correlation, noise, steps=1)

    exact = found(lambda c, q: static_dynamic_information(c, q, N, sampling=stratified))
    assert exact == pytest.approx(known, rel=0.05)
    # The paper's constant keeps every value above zero, so that the form without negative values has no bias by it.
    for form in (static_dynamic_information, static_dynamic_information_per_step):
        papers = found(lambda c, q, form=form: form(c, q, N))
        assert papers - math.log(N) == pytest.approx(known, rel=0.05)
    codes, posterior = gaussian_posterior(400, correlation, noise)
    h = entropies(codes, posterior, N)
    expected = static_dynamic_information(codes, posterior, N).mean()
    torch.testing.assert_close(h.static + h.dynamic - h.joint, expected)


def test_independent_codes_have_none():
    codes, posterior = gaussian_posterior(500, 0.0, 0.5)
    assert abs(static_dynamic_information(codes, posterior, N, sampling=stratified).mean().item()) < 0.03


@pytest.mark.parametrize("batch", [8, 128])
def test_where_sampling_ends(batch):
    """Posteriors far apart: the paper's ends at log(N M), with no gradient left; the stratified one at log N."""
    mean = 100 * torch.arange(batch, dtype=torch.float64).view(-1, 1).requires_grad_()
    posterior = Posterior(Normal(mean, 1.0), Normal(mean.unsqueeze(2).expand(-1, 3, -1), 1.0))
    codes = posterior.sample(generator())
    most = math.log(N * batch)
    for form in (
        static_dynamic_information,
        static_dynamic_information_per_step,
        dynamic_input_information,
        dynamic_input_information_per_step,
    ):
        value = form(codes, posterior, N)
        torch.testing.assert_close(value, torch.full_like(value, most))
        gradient = torch.autograd.grad(value.sum(), mean, retain_graph=True)[0]
        assert gradient.abs().max() < 1e-9
    assert static_input_information(codes, posterior, N).mean().item() == pytest.approx(most)
    for form in (static_dynamic_information, dynamic_input_information):
        assert form(codes, posterior, N, sampling=stratified).mean().item() == pytest.approx(math.log(N))


def test_the_paper_s_constant():
    """H(s) by eq. (13), written out."""
    codes, posterior = gaussian_posterior(6, 0.5, 0.5)
    total = 0.0
    for i in range(6):
        densities = [
            Normal(posterior.static.mean[j], 0.5).log_prob(codes.static[i]).exp().item() for j in range(6)
        ]
        total -= (math.log(sum(densities)) - math.log(77 * 6)) / 6
    assert entropies(codes, posterior, 77).static.item() == pytest.approx(total)


def test_whole_data_set_is_exact():
    """With all N sequences in the batch, the stratified estimate is the aggregated posterior itself."""
    codes, posterior = gaussian_posterior(5, 0.5, 0.5)
    mixture = torch.stack([Normal(m, 0.5).log_prob(codes.static).sum(1) for m in posterior.static.mean])
    own = Normal(posterior.static.mean, 0.5).log_prob(codes.static).sum(1)
    expected = own - (torch.logsumexp(mixture, 0) - math.log(5))
    torch.testing.assert_close(static_input_information(codes, posterior, 5, stratified), expected)


# ---- different lengths ------------------------------------------------------------------------------------


def ragged():
    codes, posterior = gaussian_posterior(6, 0.5, 0.7, static=2, dynamic=2, steps=4)
    steps = torch.arange(4) < torch.tensor([4, 4, 2, 2, 3, 1]).unsqueeze(1)
    return codes, posterior, steps


@pytest.mark.parametrize("sampling", [weighted, stratified])
@pytest.mark.parametrize(
    "form",
    [
        static_dynamic_information,
        static_dynamic_information_per_step,
        dynamic_input_information,
        dynamic_input_information_per_step,
    ],
)
def test_padding_changes_nothing(form, sampling):
    codes, posterior, steps = ragged()
    hidden = ~steps.unsqueeze(2)
    spoilt = Posterior(
        posterior.static,
        Normal(posterior.dynamic.mean + 9 * hidden, posterior.dynamic.stddev * torch.where(hidden, 5.0, 1.0)),
    )
    moved = Codes(codes.static, codes.dynamic - 4 * hidden)
    expected = form(codes, posterior, 50, steps, sampling)
    assert torch.equal(expected, form(moved, spoilt, 50, steps, sampling))
    whole = torch.ones_like(steps)
    torch.testing.assert_close(
        form(codes, posterior, 50, whole, sampling), form(codes, posterior, 50, None, sampling)
    )


def test_paths_are_compared_with_those_at_least_as_long():
    codes, posterior, steps = ragged()
    value = dynamic_input_information(codes, posterior, 60, steps)
    i, others = 4, [0, 1, 4]  # three steps long; 4, 4 and 3 steps
    q = posterior.dynamic
    densities = [Normal(q.mean[j, :3], q.stddev[j, :3]).log_prob(codes.dynamic[i, :3]).sum() for j in others]
    expected = densities[2] - (torch.stack(densities).logsumexp(0) - math.log(30 * 3))
    torch.testing.assert_close(value[i], expected)


# ---- contrast ---------------------------------------------------------------------------------------------


def written_out(u, v, temperature):
    codes = torch.cat([u, v])
    losses = []
    for i in range(len(codes)):
        likeness = [
            torch.cosine_similarity(codes[i], codes[j], dim=0) / temperature for j in range(len(codes))
        ]
        positive = likeness[(i + len(u)) % len(codes)]
        losses.append(-torch.log(positive.exp() / sum(a.exp() for j, a in enumerate(likeness) if j != i)))
    return (torch.stack(losses[: len(u)]) + torch.stack(losses[len(u) :])) / 2


@pytest.mark.parametrize("temperature", [0.5, 0.1])
def test_contrastive_loss_equals_its_equation(temperature):
    u, v = normal(5, 7), normal(5, 7, seed=1)
    torch.testing.assert_close(contrastive_loss(u, v, temperature), written_out(u, v, temperature))


def test_contrast_survives_a_low_temperature():
    """exp(1 / 0.002) is beyond float32; the sum of logarithms is not."""
    u, v = normal(5, 7).float(), normal(5, 7, seed=1).float()
    loss = contrastive_loss(u, v, 0.002)
    assert torch.isfinite(loss).all()
    torch.testing.assert_close(
        loss.double(), contrastive_loss(u.double(), v.double(), 0.002), rtol=1e-3, atol=1e-2
    )


@pytest.mark.parametrize("r", [0.8, 0.95])
def test_contrast_of_gaussians(r):
    """With the best critic, log p(v | u) - log p(v), the bound is tight while the information is far below log n."""
    batch, bounds = 400, []
    for seed in range(20):
        u = normal(batch, 1, seed=2 * seed)
        v = r * u + math.sqrt(1 - r**2) * normal(batch, 1, seed=2 * seed + 1)
        scores = Normal(r * u, math.sqrt(1 - r**2)).log_prob(v.T) - Normal(0.0, 1.0).log_prob(v.T)
        loss = info_nce(scores, torch.arange(batch)).mean()
        bounds.append(contrastive_bound(loss, batch - 1).item())
    assert sum(bounds) / 20 == pytest.approx(-0.5 * math.log(1 - r**2), rel=0.05)


def test_contrast_by_cosine_where_it_is_the_best_critic():
    """u even on the circle, v | u von Mises with concentration k = 1 / temperature: I = k I1(k)/I0(k) - log I0(k)."""
    temperature, batch = 0.5, 1200
    k = torch.tensor(1 / temperature, dtype=torch.float64)
    known = (k * torch.special.i1(k) / torch.special.i0(k) - torch.special.i0(k).log()).item()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        angle = 2 * math.pi * torch.rand(batch, dtype=torch.float64)
        turned = angle + torch.distributions.VonMises(torch.zeros((), dtype=torch.float64), k).sample(
            (batch,)
        )
    u, v = (torch.stack([a.cos(), a.sin()], 1) for a in (angle, turned))
    bound = contrastive_bound(contrastive_loss(u, v, temperature).mean(), 2 * batch - 2)
    assert bound.item() == pytest.approx(known, rel=0.05)


@pytest.mark.parametrize("batch", [4, 64])
def test_contrast_cannot_exceed_log_n(batch):
    """Codes that tell every sequence from every other carry any amount of information; the bound says log n."""
    u = torch.eye(batch, dtype=torch.float64)
    n = 2 * batch - 2
    loss = contrastive_loss(u, u, temperature=0.01)
    assert loss.max() < 1e-9
    assert contrastive_bound(loss.mean(), n).item() == pytest.approx((n + 1) / n * math.log(n + 1))


def test_one_sequence_has_nothing_to_be_told_from():
    assert contrastive_loss(normal(1, 3), normal(1, 3, seed=1)).tolist() == [0.0]
    with pytest.raises(ValueError, match="negatives: 0"):
        contrastive_bound(torch.zeros(()), 0)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_temperature_is_above_zero(temperature):
    with pytest.raises(ValueError, match="temperature"):
        contrastive_loss(normal(3, 2), normal(3, 2), temperature)


def test_data_set_size_is_checked():
    codes, posterior = gaussian_posterior(3, 0.0, 1.0)
    with pytest.raises(ValueError, match="dataset_size: 0"):
        static_input_information(codes, posterior, 0)


def test_autocast_does_not_reach_the_estimates():
    codes, posterior = gaussian_posterior(16, 0.5, 0.5)
    codes = Codes(codes.static.float(), codes.dynamic.float())
    u, v = normalize(codes.dynamic.flatten(1)), codes.dynamic.flatten(1).flip(0)
    plain = static_dynamic_information(codes, posterior, N), contrastive_loss(u, v)
    with torch.autocast("cpu", torch.bfloat16):
        cast = static_dynamic_information(codes, posterior, N), contrastive_loss(u, v)
    for a, b in zip(plain, cast, strict=True):
        assert torch.equal(a, b) and b.dtype in (torch.float32, torch.float64)
