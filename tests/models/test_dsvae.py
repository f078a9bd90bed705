"""DSVAE against its equations, written out step by step."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from unbraid.models.build import build_model
from unbraid.testing import tiny_batch
from unbraid.types import Batch

SIZES = {"static_size": 3, "dynamic_size": 4, "features": 6, "width": 4, "hidden": 5}


def dsvae(observation=(7,), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build_model("dsvae", observation, **{**SIZES, **settings})


def both_ways(lstm, x):
    """A bidirectional LSTM as two that run step by step."""
    outputs = lstm(x)[0]
    forwards = lstm(x[:, :1])[0][:, :, :5]
    torch.testing.assert_close(outputs[:, :1, :5], forwards)  # the past alone
    return outputs


@pytest.mark.parametrize("observation", [(7,), (3, 16, 16)])
@pytest.mark.parametrize("kind", ["factorised", "full"])
def test_terms_equal_the_equations(observation, kind):
    model, x = dsvae(observation, dynamic_posterior=kind).train(), tiny_batch(observation, 3, 4).x
    terms = model.terms(Batch(x), torch.Generator().manual_seed(3))
    noise = torch.Generator().manual_seed(3)

    def gaussian(head, h):
        return Normal(head.mean(h), (head.log_variance(h) / 2).exp())

    model = dsvae(observation, dynamic_posterior=kind).train()
    g = model.encoder(x.flatten(0, 1)).unflatten(0, (3, 4))
    h = both_ways(model.static_path.lstm, g)
    q_s = gaussian(model.static_head, torch.cat([h[:, 3, :5], h[:, 0, 5:]], 1))
    s = q_s.mean + q_s.stddev * torch.randn(3, 3, generator=noise)
    if kind == "factorised":
        q_d = [gaussian(model.dynamic_head, model.step_path(g[:, t])) for t in range(4)]
    else:
        h = both_ways(model.both_ways.lstm, torch.cat([g, torch.stack([s] * 4, 1)], 2))
        out = model.onwards(h)[0]
        q_d = [gaussian(model.dynamic_head, out[:, t]) for t in range(4)]
    d_noise = torch.randn(3, 4, 4, generator=noise)
    last, state, kl_dynamic, error = torch.zeros(3, 4), None, 0.0, 0.0
    latents = []
    for t in range(4):
        h, state = model.dynamic_prior.lstm(last.unsqueeze(1), state)
        kl_dynamic = kl_dynamic + kl_divergence(q_d[t], gaussian(model.dynamic_prior.head, h[:, 0])).sum(1)
        last = q_d[t].mean + q_d[t].stddev * d_noise[:, t]
        latents.append(torch.cat([s, last], 1))
    x_hat = model.decoder(torch.stack(latents, 1).flatten(0, 1)).unflatten(0, (3, 4))
    error = (x_hat - x).square().flatten(1).sum(1)
    expected = {
        "reconstruction": error,
        "kl_static": kl_divergence(q_s, Normal(torch.zeros(3, 3), 1.0)).sum(1),
        "kl_dynamic": kl_dynamic,
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-5)


def test_factorised_posterior_reads_one_step_and_full_all_and_s():
    x = tiny_batch((7,), 2, 6).x
    changed = x.clone()
    changed[:, 4] += 1
    for kind in ("factorised", "full"):
        model = dsvae(dynamic_posterior=kind).eval()
        before, after = model.encode(x).dynamic, model.encode(changed).dynamic
        same = [torch.equal(before[:, t], after[:, t]) for t in range(6)]
        assert same == [kind == "factorised" and t != 4 for t in range(6)]
        posterior = model.posterior(x)
        other = posterior.at(posterior.static.mean + 1).dynamic.mean
        assert torch.equal(other, posterior.dynamic.mean) is (kind == "factorised")
        assert torch.equal(posterior.at(posterior.static.mean).dynamic.mean, posterior.dynamic.mean)


def test_bound_draws_d_given_the_drawn_s():
    """q(s, d | x) = q(s | x) q(d | s, x): draw, divergence and likelihood must be of one and the same s."""
    model, batch = dsvae(dynamic_posterior="full").eval(), tiny_batch((7,), 3, 4)
    bound = model.elbo(batch, torch.Generator().manual_seed(0))
    posterior, noise = model.posterior(batch.x), torch.Generator().manual_seed(0)
    s = posterior.static.mean + posterior.static.stddev * torch.randn(3, 3, generator=noise)
    q_d = posterior.at(s).dynamic
    d = q_d.mean + q_d.stddev * torch.randn(3, 4, 4, generator=noise)
    codes = posterior.sample(torch.Generator().manual_seed(0))
    assert torch.equal(codes.static, s) and torch.equal(codes.dynamic, d)
    likelihood = model.decode(codes).log_prob(batch.x).flatten(1).sum(1)
    expected = likelihood - kl_divergence(q_d, model.prior(d)).sum((1, 2)) - model.kl_static(posterior)
    torch.testing.assert_close(bound, expected)


def test_unknown_posterior_is_refused():
    with pytest.raises(ValueError, match="dynamic_posterior"):
        dsvae(dynamic_posterior="half")
