"""DBSE against its equations, written out step by step, and against the known defects of published code."""

import pytest
import torch

from unbraid.models.build import build_model
from unbraid.nn.likelihoods import reconstruction_error
from unbraid.testing import tiny_batch
from unbraid.types import Batch, Codes

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
    steps = {int(model._anchor_steps(x, None, noise)[0].argmax()) for _ in range(50)}
    assert len(steps) == 8
    assert model.eval()._anchor_steps(x, None, noise)[0].tolist() == [1] + [0] * 7


def test_noise_at_the_anchor_is_for_training_only():
    model, x = dbse(), tiny_batch((7,), 2, 4).x
    model.train()
    assert not torch.equal(model.encode(x).dynamic, model.encode(x).dynamic)
    model.eval()
    assert torch.equal(model.encode(x).dynamic, model.encode(x).dynamic)


def test_the_anchor_of_a_series_is_a_window():
    """The static code reads one window, as it stands: time is not rotated to it."""
    model, x = dbse((4, 3), anchor="middle").eval(), tiny_batch((4, 3), 2, 6).x
    codes = model.encode(x)
    for t in range(6):
        changed = x.clone()
        changed[:, t, 2, 1] += 1
        after = model.encode(changed)
        assert torch.equal(codes.static, after.static) == (t != 3)
        if t != 3:  # the posterior is causal, and the anchor's own step holds no features of its own
            assert torch.equal(codes.dynamic[:, :t], after.dynamic[:, :t])
            assert not torch.equal(codes.dynamic[:, t], after.dynamic[:, t])


def test_a_mask_of_values_reaches_the_codes():
    """The authors' time-series evaluation hands the mask to another argument, and codes are made without it."""
    model, x = dbse((4, 3)).eval(), tiny_batch((4, 3), 2, 6).x
    x[:, :, 1] = 0.0
    mask = torch.ones(x.shape, dtype=torch.bool)
    mask[:, :, 1] = False
    seen, missing = model.encode(x), model.encode(x, mask)
    assert not torch.equal(seen.static, missing.static)
    assert not torch.equal(seen.dynamic, missing.dynamic)


def test_without_memory_a_step_s_code_is_of_that_step():
    model, x = dbse((4, 3), memory=False, subtract=False).eval(), tiny_batch((4, 3), 2, 6).x
    changed = x.clone()
    changed[:, 2] += 1
    same = (model.encode(x).dynamic == model.encode(changed).dynamic).all(2).all(0)
    assert same.tolist() == [True, True, False, True, True, True]
    with pytest.raises(ValueError, match="bidirectional"):
        dbse(memory=False, bidirectional=True)


@pytest.mark.parametrize("observation", [(4, 3), (7,)])
def test_terms_are_means_over_samples(observation):
    """Three draws in one call equal three calls with the same noise; the encoder runs once."""
    x, draws = tiny_batch(observation, 2, 5).x, 3
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(4)) < 0.7
    mask[:, 0] = True
    batch = Batch(x, mask)
    model = dbse(observation, samples=draws).eval()
    runs = []
    hook = model.encoder.register_forward_hook(lambda *_: runs.append(1))
    terms = model.terms(batch, torch.Generator().manual_seed(0))
    hook.remove()
    assert len(runs) == 1
    noise = torch.Generator().manual_seed(0)
    static, dynamic = torch.randn(draws, 2, 3, generator=noise), torch.randn(draws, 2, 5, 4, generator=noise)
    posterior = model.posterior(x, mask)
    steps = torch.ones(2, 5, dtype=torch.bool)
    expected = {name: torch.zeros(2) for name in terms}
    for s, d in zip(static, dynamic, strict=True):
        codes = Codes(
            posterior.static.mean + posterior.static.stddev * s,
            posterior.dynamic.mean + posterior.dynamic.stddev * d,
        )
        error = reconstruction_error(model.decode(codes, steps), x, mask)
        expected["reconstruction"] += error[:, 1:].sum(1) / draws
        expected["reconstruction_anchor"] += error[:, 0] / draws
        expected["kl_static"] += model.kl_static(posterior) / draws
        expected["kl_dynamic"] += model.kl_dynamic(posterior, codes) / draws
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)
    with pytest.raises(ValueError, match="samples"):
        dbse(samples=0)


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


def test_a_hidden_layer_between_codes_and_frames():
    plain, hidden = dbse((3, 32, 32)), dbse((3, 32, 32), code_units=24)
    assert [layer.out_features for layer in hidden.decoder.head if hasattr(layer, "out_features")] == [
        24,
        plain.decoder.head.out_features,
    ]
    assert hidden.reconstruct(tiny_batch((3, 32, 32), 2, 4).x).shape == (2, 4, 3, 32, 32)
    with pytest.raises(ValueError, match=r"model\.code_units: is for frames, found observations \(7,\)"):
        dbse((7,), code_units=24)
    with pytest.raises(ValueError, match=r"model\.code_units: 0 must be at least 1"):
        dbse((3, 32, 32), code_units=0)
