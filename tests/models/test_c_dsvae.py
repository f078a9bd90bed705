"""C-DSVAE against its equations, its ablations, and what its views may and may not touch."""

import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from unbraid.models.build import build_model
from unbraid.testing import tiny_batch
from unbraid.types import Batch

SIZES = {"static_size": 3, "dynamic_size": 4, "features": 6, "width": 4, "hidden": 5}
PLAIN = {"reconstruction", "kl_static", "kl_dynamic"}
N = 50


def c_dsvae(observation=(7,), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build_model("c_dsvae", observation, **{**SIZES, **settings})


def batch_for(model, size=4, length=5):
    return tiny_batch(model.observation, size, length, views=model.views)


def gaussian(head, h):
    return Normal(head.mean(h), (head.log_variance(h) / 2).exp())


def encode(model, x):
    """q(s | x) and q(d | x), by the equations."""
    g = model.encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    h = model.both_ways.lstm(g)[0]
    q_s = gaussian(model.static_head, torch.cat([h[:, -1, :5], h[:, 0, 5:]], 1))
    return q_s, gaussian(model.dynamic_head, model.onwards.lstm(h)[0])


def contrast(u, v, temperature=0.5):
    codes, total = torch.cat([u, v]), 0.0
    for i in range(len(codes)):
        likeness = torch.cosine_similarity(codes[i], codes, dim=1) / temperature
        others = torch.arange(len(codes)) != i
        total = total - likeness[(i + len(u)) % len(codes)] + likeness[others].logsumexp(0)
    return total / len(codes)


def log_q(z, q):
    """log 1/(N M) sum_j q(z_i | x_j) of each draw, over the last axis."""
    m = len(z)
    pairs = [[Normal(q.mean[j], q.stddev[j]).log_prob(z[i]).sum() for j in range(m)] for i in range(m)]
    return torch.stack([torch.stack(row) for row in pairs]).logsumexp(1) - math.log(N * m)


@pytest.mark.parametrize("pair", ["per_step", "trajectory"])
@pytest.mark.parametrize("observation", [(7,), (3, 16, 16)])
def test_terms_equal_the_equations(observation, pair):
    model = c_dsvae(observation, pair_estimate=pair).train()
    batch = batch_for(model)
    terms = model.terms(batch, torch.Generator().manual_seed(3))
    model, noise = c_dsvae(observation, pair_estimate=pair).train(), torch.Generator().manual_seed(3)
    q_s, q_d = encode(model, batch.x)
    s = q_s.mean + q_s.stddev * torch.randn(4, 3, generator=noise)
    d = q_d.mean + q_d.stddev * torch.randn(4, 5, 4, generator=noise)
    latent = torch.cat([s.unsqueeze(1).expand(-1, 5, -1), d], 2)
    x_hat = model.decoder(latent.flatten(0, 1)).unflatten(0, (4, 5))
    if pair == "trajectory":
        flat = Normal(q_d.mean.flatten(1), q_d.stddev.flatten(1))
        both = Normal(torch.cat([q_s.mean, flat.mean], 1), torch.cat([q_s.stddev, flat.stddev], 1))
        z = d.flatten(1)
        information = log_q(torch.cat([s, z], 1), both) - log_q(s, q_s) - log_q(z, flat)
    else:
        steps = []
        for t in range(5):
            one = Normal(q_d.mean[:, t], q_d.stddev[:, t])
            both = Normal(torch.cat([q_s.mean, one.mean], 1), torch.cat([q_s.stddev, one.stddev], 1))
            joint = log_q(torch.cat([s, d[:, t]], 1), both)
            steps.append(torch.relu(joint - log_q(s, q_s) - log_q(d[:, t], one)))
        information = torch.stack(steps)
    expected = {
        "reconstruction": (x_hat - batch.x).square().flatten(1).sum(1),
        "kl_static": kl_divergence(q_s, Normal(torch.zeros(3), 1.0)).sum(1),
        "kl_dynamic": kl_divergence(q_d, model.prior(d)).sum((1, 2)),
        "contrastive_static": contrast(q_s.mean, encode(model, batch.views["static"].x)[0].mean),
        "contrastive_dynamic": contrast(
            q_d.mean.flatten(1), encode(model, batch.views["dynamic"].x)[1].mean.flatten(1)
        ),
        "mi_static_dynamic": information.mean(),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name].to(value.dtype), value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "more", "views"),
    [
        ({}, {"contrastive_static", "contrastive_dynamic", "mi_static_dynamic"}, {"static", "dynamic"}),
        (
            {"static_estimate": "mws", "dynamic_estimate": "mws"},
            {"mws_static", "mws_dynamic", "mi_static_dynamic"},
            set(),
        ),
        ({"static_estimate": "none"}, {"contrastive_dynamic", "mi_static_dynamic"}, {"dynamic"}),
        ({"dynamic_estimate": "none"}, {"contrastive_static", "mi_static_dynamic"}, {"static"}),
        ({"pair_estimate": "none"}, {"contrastive_static", "contrastive_dynamic"}, {"static", "dynamic"}),
        ({"static_estimate": "none", "dynamic_estimate": "none", "pair_estimate": "none"}, set(), set()),
    ],
)
def test_ablations_leave_out_terms_and_views(settings, more, views):
    model = c_dsvae(**settings).train()
    assert set(model.views) == views
    assert set(model.terms(batch_for(model))) == PLAIN | more


def test_sampled_informations_fall_as_the_loss_rises():
    """mws_static is log(N M) - I(s; x): apart posteriors make it 0."""
    model = c_dsvae(static_estimate="mws", dynamic_estimate="mws").train()
    batch = batch_for(model)
    with torch.no_grad():
        model.static_head.log_variance.bias.fill_(6.0)
        model.dynamic_head.log_variance.bias.fill_(6.0)
        alike = model.terms(batch, torch.Generator().manual_seed(0))
        model.static_head.log_variance.bias.fill_(-26.0)
        model.dynamic_head.log_variance.bias.fill_(-26.0)
        apart = model.terms(batch, torch.Generator().manual_seed(0))
    for name in ("mws_static", "mws_dynamic"):
        assert alike[name].item() == pytest.approx(math.log(4), abs=0.1)
        assert apart[name].item() == pytest.approx(0, abs=1e-4)


def test_reordered_view_is_not_encoded_again():
    """Its features are those of x in another order; what comes of it is what encoding it would give."""
    model = c_dsvae((3, 16, 16), dynamic_estimate="none", pair_estimate="none").train()
    batch = batch_for(model)
    plain = replace(batch, views={"static": replace(batch.views["static"], order=None)})
    calls = []
    model.encoder.register_forward_hook(lambda *_: calls.append(1))
    short = model.terms(batch, torch.Generator().manual_seed(0))
    assert len(calls) == 1
    long = model.terms(plain, torch.Generator().manual_seed(0))
    assert len(calls) == 3
    torch.testing.assert_close(short["contrastive_static"], long["contrastive_static"], rtol=1e-4, atol=1e-5)


def test_views_are_not_decoded_and_leave_the_running_statistics():
    model = c_dsvae((3, 16, 16)).train()
    batch, decoded = batch_for(model), []
    model.decoder.register_forward_hook(lambda *_: decoded.append(1))
    model.terms(batch)
    assert len(decoded) == 1
    alone = c_dsvae((3, 16, 16)).train()
    alone.posterior(batch.x)
    for name, buffer in alone.encoder.named_buffers():
        if "running" in name:
            assert torch.equal(buffer, model.encoder.get_buffer(name)), name
    norms = [part for part in model.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)]
    assert norms and all(norm.momentum == 0.1 for norm in norms)


def test_running_statistics_are_kept_when_encoding_fails():
    from unbraid.nn.statistics import keep_statistics

    model = c_dsvae((3, 16, 16))
    with pytest.raises(RuntimeError), keep_statistics(model):
        raise RuntimeError
    assert {part.momentum for part in model.modules() if hasattr(part, "momentum")} == {0.1}


def test_contrast_pulls_the_code_of_a_view_to_that_of_its_sequence():
    """A few steps on the contrastive terms alone: codes of a view find their sequence."""
    model = c_dsvae(static_size=8, dynamic_size=8, features=16, width=16, hidden=16).train()
    batch = batch_for(model, size=16)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    names = ("contrastive_static", "contrastive_dynamic")
    first = None
    for _ in range(60):
        terms = model.terms(batch, torch.Generator().manual_seed(0))
        first = first or {name: terms[name].item() for name in names}
        optimizer.zero_grad()
        sum(terms[name] for name in names).backward()
        optimizer.step()
    assert all(terms[name].item() < first[name] - 0.5 for name in names)


def test_what_is_missing_is_named():
    model = c_dsvae()
    x = torch.rand(4, 3, 7)
    with pytest.raises(ValueError, match="there is no 'static' view"):
        model.terms(Batch(x, dataset_size=9))
    with pytest.raises(ValueError, match="dataset_size: is missing"):
        model.terms(replace(batch_for(model), dataset_size=None))
    bare = c_dsvae(static_estimate="none", dynamic_estimate="none", pair_estimate="none")
    assert set(bare.terms(Batch(x))) == PLAIN


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"static_estimate": "contrast"},
            "static_estimate: 'contrast' is no choice; did you mean 'contrastive'",
        ),
        ({"pair_estimate": "path"}, "pair_estimate: 'path' is no choice"),
        ({"dynamic_view": "shuffle"}, "dynamic_view: 'shuffle' is no choice"),
        ({"compare": "all"}, "compare: 'all' is no choice"),
        ({"temperature": 0.0}, "temperature: 0.0 must be above 0"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        c_dsvae(**settings)


def test_ways_of_the_dynamic_view_are_those_of_augment():
    from typing import get_args

    from unbraid.augment import WAYS
    from unbraid.types import MotionView

    assert set(get_args(MotionView)) == {"auto", *WAYS} - {"shuffle", "scatter", "early", "late"}
