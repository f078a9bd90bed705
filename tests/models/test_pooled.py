"""Pooled against its equations: the mean, the subtraction, the views, and DBSE's net of the dynamic code."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from unbraid.models.build import build_model
from unbraid.testing import tiny_batch

SIZES = {"static_size": 3, "dynamic_size": 4, "features": 6, "width": 4, "hidden": 5}
NO_ESTIMATES = dict.fromkeys(("static_estimate", "dynamic_estimate", "pair_estimate"), "none")


def pooled(observation=(7,), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build_model("pooled", observation, **{**SIZES, **settings})


def batch_for(model, size=4, length=5):
    return tiny_batch(model.observation, size, length, views=model.views)


def gaussian(head, h):
    return Normal(head.mean(h), (head.log_variance(h) / 2).exp())


def contrast(u, v, temperature):
    codes, total = torch.cat([u, v]), 0.0
    for i in range(len(codes)):
        similarity = torch.cosine_similarity(codes[i], codes, dim=1) / temperature
        others = torch.arange(len(codes)) != i
        total = total - similarity[(i + len(u)) % len(codes)] + similarity[others].logsumexp(0)
    return total / len(codes)


def test_terms_of_the_causal_form_equal_the_equations():
    """Two draws of the codes, each step's features less their mean, one causal LSTM."""
    model = pooled(dynamic_net="causal", dynamic_hidden=6, samples=2, **NO_ESTIMATES).train()
    batch, noise = batch_for(model), torch.Generator().manual_seed(3)
    terms = model.terms(batch, torch.Generator().manual_seed(3))
    g = model.encoder(batch.x.flatten(0, 1)).unflatten(0, (4, 5))
    mean = g.mean(1)
    q_s = gaussian(model.static_head, torch.tanh(model.static_path[0](mean)))
    q_d = gaussian(model.dynamic_head, model.onwards.lstm(g - mean.unsqueeze(1))[0])
    s = q_s.mean.repeat(2, 1) + q_s.stddev.repeat(2, 1) * torch.randn(8, 3, generator=noise)
    d = q_d.mean.repeat(2, 1, 1) + q_d.stddev.repeat(2, 1, 1) * torch.randn(8, 5, 4, generator=noise)
    x_hat = model.decoder(torch.cat([s.unsqueeze(1).expand(-1, 5, -1), d], 2).flatten(0, 1)).unflatten(
        0, (8, 5)
    )
    error = (x_hat - batch.x.repeat(2, 1, 1)).square().sum((1, 2))
    kl = kl_divergence(Normal(q_d.mean.repeat(2, 1, 1), q_d.stddev.repeat(2, 1, 1)), model.prior(d)).sum(
        (1, 2)
    )
    expected = {
        "reconstruction": error.view(2, 4).mean(0),
        "kl_static": kl_divergence(q_s, Normal(torch.zeros(3), 1.0)).sum(1),
        "kl_dynamic": kl.view(2, 4).mean(0),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-5)


def test_the_form_of_c_dsvae_has_its_terms():
    """Static code from the ends, shuffled steps, all estimates: the very terms of C-DSVAE with the same weights."""
    settings = {"dynamic_estimate": "contrastive", "pair_estimate": "per_step", "subtract": False}
    ours = pooled(static_from="ends", static_view="shuffle", **settings)
    theirs = build_model("c_dsvae", (7,), **SIZES)
    theirs.load_state_dict(ours.state_dict())
    batch = batch_for(ours)
    assert ours.views == theirs.views
    first, second = (m.train().terms(batch, torch.Generator().manual_seed(0)) for m in (ours, theirs))
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name])


@pytest.mark.parametrize("settings", [{"subtract": False}, {"subtract": False, "static_from": "ends"}, {}])
@pytest.mark.parametrize("observation", [(7,), (3, 16, 16)])
def test_halves_are_contrasted_as_if_they_were_sequences(settings, observation):
    """The contrast is that of the codes of the two stretches, each encoded on its own, at the temperature of s."""
    model = pooled(observation, static_temperature=2.0, **settings).eval()
    batch = batch_for(model, size=6, length=8)
    codes = []
    for name in ("static_other", "static"):
        stretch = batch.views[name]
        lengths = stretch.mask.sum(1).tolist()
        codes.append(
            torch.cat([model.encode(stretch.x[i : i + 1, :n]).static for i, n in enumerate(lengths)])
        )
    contrastive = model.terms(batch, torch.Generator().manual_seed(0))["contrastive_static"]
    torch.testing.assert_close(contrastive, contrast(*codes, temperature=2.0), rtol=1e-4, atol=1e-5)


def test_scattered_steps_are_contrasted_with_the_sequence():
    model = pooled((3, 16, 16), static_view="scatter").eval()
    batch = batch_for(model, size=6, length=8)
    codes = [model.encode(x).static for x in (batch.x, batch.views["static"].x)]
    assert not torch.allclose(*codes, atol=1e-3)
    contrastive = model.terms(batch, torch.Generator().manual_seed(0))["contrastive_static"]
    torch.testing.assert_close(contrastive, contrast(*codes, temperature=0.5), rtol=1e-4, atol=1e-5)


def test_static_code_of_the_mean_does_not_depend_on_the_order():
    model = pooled(subtract=False).eval()
    x = batch_for(model).x
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(model.encode(x).static, model.encode(x[:, order]).static)
    g = model.encoder(x.flatten(0, 1)).unflatten(0, (4, 5)).mean(1)
    torch.testing.assert_close(model.encode(x).static, gaussian(model.static_head, model.static_path(g)).mean)


def test_subtraction_removes_a_constant_offset_from_the_features_of_d():
    """Features with an offset that is the same at all steps, padding aside, give the same dynamic codes."""
    model, plain = pooled().eval(), pooled(subtract=False).eval()
    g = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0))
    steps = torch.arange(5) < torch.tensor([5, 3, 4]).unsqueeze(1)
    offset = torch.randn(3, 1, 6, generator=torch.Generator().manual_seed(1))
    for built, same in ((model, True), (plain, False)):
        codes = [built._posterior(features, steps).dynamic.mean[steps] for features in (g, g + offset)]
        assert torch.allclose(*codes, atol=1e-5) == same


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"static_temperature": -1.0}, r"static_temperature: -1.0 must be above 0"),
        ({"samples": 0}, r"samples: 0 must be at least 1"),
        ({"static_view": "shuffle"}, r"static_view: shuffled steps have the same mean"),
        ({"static_from": "ends"}, r"subtract: with static_from=ends the static code"),
        (
            {"static_from": "ends", "subtract": False, "dynamic_net": "causal"},
            r"dynamic_net: static_from=ends reads",
        ),
        ({"dynamic_net": "both"}, r"dynamic_net: 'both' is no choice; did you mean 'both_ways'"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        pooled(**settings)
