"""DBSE against its equations, written out step by step, and against the known defects of published code."""

import pytest
import torch

from unbraid.registry import build_model
from unbraid.testing import tiny_batch
from unbraid.types import Batch

SIZES = {"static_size": 3, "dynamic_size": 4, "features": 6, "width": 4, "hidden": 5}


def dbse(observation=(7,), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build_model("dbse", observation, **{**SIZES, **settings})


@pytest.mark.parametrize("observation", [(7,), (3, 16, 16)])
@pytest.mark.parametrize("anchor", [0, 2])
def test_terms_equal_the_equations(observation, anchor):
    model, x = dbse(observation, anchor=anchor), tiny_batch(observation, 3, 4).x
    terms = model.train().terms(Batch(x), torch.Generator().manual_seed(3))
    noise = torch.Generator().manual_seed(3)

    def normal(*shape):
        return torch.randn(shape, generator=noise)

    def gaussian(head, h):
        return head.mean(h), (head.log_variance(h) / 2).exp()

    def kl(m, s, m0, s0):
        return (torch.log(s0 / s) + (s**2 + (m - m0) ** 2) / (2 * s0**2) - 0.5).sum(1)

    model = dbse(observation, anchor=anchor).train()
    g = model.encoder(x.flatten(0, 1)).unflatten(0, (3, 4))
    differences = [g[:, t] - g[:, anchor] for t in range(4)]
    differences[anchor] = normal(3, 6)
    s_mean, s_std = gaussian(model.static_head, torch.tanh(model.static_path[0](g[:, anchor])))
    s = s_mean + s_std * normal(3, 3)
    d_noise = normal(3, 4, 4)
    state = before = None
    d_last, kl_dynamic, paths = torch.zeros(3, 4), 0.0, []
    for t in range(4):
        h, state = model.dynamic_path.lstm(differences[t].unsqueeze(1), state)
        mean, std = gaussian(model.dynamic_head, h[:, 0])
        h, before = model.dynamic_prior.lstm(d_last.unsqueeze(1), before)
        kl_dynamic = kl_dynamic + kl(mean, std, *gaussian(model.dynamic_prior.head, h[:, 0]))
        d_last = mean + std * d_noise[:, t]
        paths.append(d_last)
    latent = torch.stack([torch.cat([s, d], 1) for d in paths], 1)
    x_hat = model.decoder(latent.flatten(0, 1)).unflatten(0, (3, 4))
    errors = ((x_hat - x) ** 2).flatten(2).sum(2)
    expected = {
        "reconstruction": errors.sum(1) - errors[:, anchor],
        "reconstruction_anchor": errors[:, anchor],
        "kl_static": kl(s_mean, s_std, torch.zeros(()), torch.ones(())),
        "kl_dynamic": kl_dynamic,
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("anchor", "step"), [("first", 0), ("middle", 3), ("last", 5), (1, 1), (-2, 4)])
def test_static_code_reads_the_anchor_and_nothing_else(anchor, step):
    model, x = dbse(anchor=anchor).eval(), tiny_batch((7,), 2, 6).x
    static = model.encode(x).static
    for t in range(6):
        changed = x.clone()
        changed[:, t] += 1
        assert torch.equal(static, model.encode(changed).static) == (t != step)


def test_anchor_is_counted_over_observed_steps():
    x = tiny_batch((7,), 2, 6).x
    mask = torch.tensor([[False, True, True, False, True, False], [True] * 6])
    changed = x.clone()
    for anchor, steps in (("first", (1, 0)), ("last", (4, 5)), ("middle", (2, 3)), (1, (2, 1))):
        model = dbse(anchor=anchor).eval()
        for row, step in enumerate(steps):
            changed = x.clone()
            changed[row, step] += 1
            assert not torch.equal(model.encode(x, mask).static[row], model.encode(changed, mask).static[row])


def test_dynamic_posterior_is_causal_unless_bidirectional():
    x = tiny_batch((7,), 2, 6).x
    changed = x.clone()
    changed[:, 4] += 1
    for bidirectional in (False, True):
        model = dbse(bidirectional=bidirectional).eval()
        before, after = model.encode(x).dynamic, model.encode(changed).dynamic
        assert torch.equal(before[:, :4], after[:, :4]) is not bidirectional
        assert not torch.equal(before[:, 4:], after[:, 4:])


def test_subtraction_reaches_the_dynamic_code():
    """In the authors' time-series code the difference is computed and not used."""
    x = tiny_batch((7,), 2, 4).x
    with_it, without = dbse(subtract=True).eval(), dbse(subtract=False).eval()
    assert torch.equal(with_it.encode(x).static, without.encode(x).static)
    assert not torch.allclose(with_it.encode(x).dynamic, without.encode(x).dynamic)
    changed = x.clone()
    changed[:, 0] += 1
    assert not torch.allclose(with_it.encode(x).dynamic[:, 1:], with_it.encode(changed).dynamic[:, 1:])
    assert torch.equal(without.encode(x).dynamic[:, 1:], without.encode(changed).dynamic[:, 1:])


def test_random_anchors():
    x = tiny_batch((7,), 2, 8).x
    shares = {dbse(anchor="random_run", anchor_seed=seed).anchor_share for seed in range(5)}
    assert len(shares) == 5
    assert dbse(anchor="random_run").anchor_share == dbse(anchor="random_run").anchor_share
    model = dbse(anchor="random_batch").train()
    noise = torch.Generator().manual_seed(0)
    steps = {int(model._anchor_step(x, None, noise)[0]) for _ in range(50)}
    assert len(steps) == 8
    assert int(model.eval()._anchor_step(x, None, noise)[0]) == 0


def test_noise_at_the_anchor_is_for_training_only():
    model, x = dbse(), tiny_batch((7,), 2, 4).x
    model.train()
    assert not torch.equal(model.encode(x).dynamic, model.encode(x).dynamic)
    model.eval()
    assert torch.equal(model.encode(x).dynamic, model.encode(x).dynamic)


def test_prior_is_one_call_on_the_shifted_path():
    """The teacher-forced prior equals the step-by-step one that samples."""
    model = dbse().eval()
    path = model.roll(3, 5, torch.Generator().manual_seed(0))
    whole, state, last = model.prior(path), None, torch.zeros(3, 4)
    for t in range(5):
        h, state = model.dynamic_prior.lstm(last.unsqueeze(1), state)
        torch.testing.assert_close(whole.mean[:, t], model.dynamic_prior.head(h).mean[:, 0])
        last = path[:, t]


@pytest.mark.parametrize("observation", [(3, 24, 24), (3, 64, 32), (2, 3, 4, 5), ()])
def test_observations_without_a_codec_are_refused(observation):
    with pytest.raises(ValueError, match="observation"):
        dbse(observation)
