"""C-DSVAE's theorem 1 (appendix A.2, eq. 12) on a model small enough to integrate everything over the codes.

The theorem says that ELBO + I(s; x) + I(d; x) - I(s; d) is a lower bound of the mean log evidence. The equalities of
its proof hold, and are tested. The inequality does not hold in general: the third line of eq. (12) puts an expectation
over q(s, d | x) where the divergence of the line above has one over the aggregated q(s, d). What is true is

    ELBO + I(s; x) + I(d; x) - I(s; d) = log evidence - E KL(q(s, d | x) || p(s, d | x)) + I(s, d; x),

so that it is below the evidence while the posterior's error exceeds I(s, d; x), and above it when the posterior is good.
"""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from unbraid.models.build import build_model
from unbraid.objectives.information import (
    dynamic_input_information,
    static_dynamic_information,
    static_input_information,
    stratified,
    weighted,
)
from unbraid.types import Codes

SEQUENCES, STEPS = 5, 2
SIDE, EDGE = 48, 5.5


@pytest.fixture(scope="module")
def integrals():
    """Of a model that has learned a little."""
    return integrate(training_steps=120)


def integrate(training_steps):
    """Every side of eq. (12) for all sequences of a data set, by sums over a grid of (s, d_1, d_2)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(
            "c_dsvae", (2,), static_size=1, dynamic_size=1, features=4, width=8, hidden=6, pair_estimate="none",
            static_estimate="none", dynamic_estimate="none",
        ).double().eval()  # fmt: skip
        x = 2 * torch.randn(SEQUENCES, STEPS, 2, dtype=torch.float64)
        fit(model, x, training_steps)
    line = torch.linspace(-EDGE, EDGE, SIDE, dtype=torch.float64)
    s, d1, d2 = (axis.flatten() for axis in torch.meshgrid(line, line, line, indexing="ij"))
    volume = (line[1] - line[0]) ** 3
    codes = Codes(s.unsqueeze(1), torch.stack([d1, d2], 1).unsqueeze(2))
    with torch.no_grad():
        posterior = model.posterior(x)
        q_s = [Normal(m, sd).log_prob(s) for m, sd in zip(*moments(posterior.static), strict=True)]
        q_d = [
            Normal(m, sd).log_prob(codes.dynamic).sum((1, 2))
            for m, sd in zip(*moments(posterior.dynamic), strict=True)
        ]
        log_q_s, log_q_d = torch.stack(q_s), torch.stack(q_d)
        log_prior_d = model.prior(codes.dynamic).log_prob(codes.dynamic).sum((1, 2))
        log_prior = Normal(0.0, 1.0).log_prob(s) + log_prior_d
        decoded = model.decode(codes)
        log_x = torch.stack([decoded.log_prob(one).flatten(1).sum(1) for one in x])
    q_pair = log_q_s + log_q_d
    mass = q_pair.exp() * volume
    torch.testing.assert_close(mass.sum(1), torch.ones(SEQUENCES, dtype=torch.float64), atol=1e-3, rtol=0)

    log_evidence = torch.logsumexp(log_x + log_prior, 1, keepdim=True) + volume.log()

    def average(value):
        """E over the data of E_q(s, d | x)."""
        return (mass * value).sum(1).mean().item()

    def aggregated(log_q):
        return torch.logsumexp(log_q, 0) - math.log(SEQUENCES)

    return {
        "model": model,
        "x": x,
        "posterior": posterior,
        "evidence": log_evidence.mean().item(),
        "posterior_error": average(q_pair - (log_x + log_prior - log_evidence)),
        "input": average(q_pair - aggregated(q_pair)),
        "bound": average(log_x) - average(aggregated(q_pair) - log_prior),
        "likelihood": average(log_x),
        "elbo": average(log_x) - average(q_pair - log_prior),
        "kl_dynamic": average(log_q_d - log_prior_d),
        "static_input": average(log_q_s - aggregated(log_q_s)),
        "dynamic_input": average(log_q_d - aggregated(log_q_d)),
        "static_dynamic": average(aggregated(q_pair) - aggregated(log_q_s) - aggregated(log_q_d)),
    }


def moments(q):
    return q.mean, q.stddev


def fit(model, x, steps):
    """A few steps on the bound, so that the posteriors say something of x, with most weight on the error."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(steps):
        posterior = model.posterior(x)
        codes = posterior.sample()
        error = (model.decode(codes).mean - x).square().sum((1, 2))
        optimizer.zero_grad()
        (error + 0.5 * (model.kl_static(posterior) + model.kl_dynamic(posterior, codes))).mean().backward()
        optimizer.step()


def test_the_bound_is_the_elbo_and_three_informations(integrals):
    i = integrals
    right = i["elbo"] + i["static_input"] + i["dynamic_input"] - i["static_dynamic"]
    assert i["bound"] == pytest.approx(right, abs=1e-6)
    assert min(i["static_input"], i["dynamic_input"], i["static_dynamic"]) > 0.01, "there is nothing to test"


def test_when_it_is_a_bound(integrals):
    """It is the evidence, less the posterior's error, plus I(s, d; x): a bound only while the former is larger."""
    i = integrals
    assert i["bound"] == pytest.approx(i["evidence"] - i["posterior_error"] + i["input"], abs=5e-3)
    assert i["input"] == pytest.approx(i["static_input"] + i["dynamic_input"] - i["static_dynamic"], abs=1e-6)
    assert i["elbo"] < i["evidence"] < i["bound"] <= i["evidence"] + i["input"]
    assert i["input"] <= math.log(SEQUENCES)
    untrained = integrate(training_steps=0)
    assert untrained["posterior_error"] > untrained["input"]
    assert untrained["bound"] < untrained["evidence"]


def test_what_the_package_computes_are_these_figures(integrals):
    """The ELBO and the informations from draws, as training takes them, agree with the integrals."""
    draws, batch = 200, SEQUENCES
    model, posterior = integrals["model"], integrals["posterior"]
    found = {name: [] for name in ("static_input", "dynamic_input", "static_dynamic", "papers", "elbo")}
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(draws):
            codes = posterior.sample(generator)
            static = static_input_information(codes, posterior, batch, stratified)
            dynamic = dynamic_input_information(codes, posterior, batch, sampling=stratified)
            pair = static_dynamic_information(codes, posterior, batch, sampling=stratified)
            papers = static_dynamic_information(codes, posterior, batch, sampling=weighted)
            likelihood = model.decode(codes).log_prob(integrals["x"]).flatten(1).sum(1)
            elbo = likelihood - model.kl_static(posterior) - model.kl_dynamic(posterior, codes)
            for name, value in zip(found, (static, dynamic, pair, papers, elbo), strict=True):
                found[name].append(value.mean())
        known = integrals | {"papers": integrals["static_dynamic"] + math.log(batch)}
        for name, values in found.items():
            values = torch.stack(values)
            assert abs(values.mean().item() - known[name]) < 5 * values.std().item() / draws**0.5 + 1e-4, name


def test_the_kl_of_the_static_code(integrals):
    posterior = integrals["posterior"]
    kl = kl_divergence(posterior.static, Normal(torch.zeros(1, dtype=torch.float64), 1.0)).sum(1)
    torch.testing.assert_close(integrals["model"].kl_static(posterior), kl)
    whole = integrals["likelihood"] - kl.mean().item() - integrals["kl_dynamic"]
    assert integrals["elbo"] == pytest.approx(whole, abs=1e-4)
