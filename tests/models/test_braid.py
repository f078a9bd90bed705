"""Braid: its closed-form start, what s and d read, and what a swap carries."""

import dataclasses

import numpy as np
import pytest
import torch

from unbraid.augment import draw_views
from unbraid.models.build import build_model
from unbraid.types import Batch

SIZES = {"static_size": 6, "dynamic_size": 3, "features": 8, "width": 4, "hidden": 8, "dynamic_hidden": 5}


def braid(observation=(8, 2), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model("braid", observation, **{**SIZES, **settings})


def sensors(n=60, steps=12, rows=8, seed=0):
    """Two features with a level and a scale of each sequence, and a slow wave whose phase and events change."""
    random = np.random.default_rng(seed)
    place = np.arange(steps * rows)
    wave = np.sin(place / 9 + random.uniform(0, 6.3, (n, 1)))
    events = (random.random((n, steps)) < 0.2).repeat(rows, 1)
    level, scale = random.normal(0, 2, (n, 1, 2)), np.exp(random.normal(0, 0.7, (n, 1, 2)))
    series = level + scale * np.stack([wave + events, wave - 2 * events], 2)
    x = torch.from_numpy(series).float().view(n, steps, rows, 2)
    return x / x.std(), torch.from_numpy(level[:, 0] / x.std().item())


def started(model, x, mask=None):
    model.eval()
    model.start([Batch(x, mask)])
    return model


def test_before_training_the_static_code_is_the_summaries():
    x, _ = sensors()
    model = started(braid(), x)
    with torch.no_grad():
        model.static_added.weight.zero_()
        model.static_added.bias.zero_()
        torch.testing.assert_close(model.posterior(x).static.mean, model.summaries(x))


def test_before_training_level_and_scale_come_from_the_static_code():
    x, level = sensors()
    model = started(braid(static_size=12), x)
    with torch.no_grad():
        codes = model.encode(x)
        swapped = model.decode(dataclasses.replace(codes, static=codes.static.roll(1, 0))).mean
    own, donor = level, level.roll(1, 0)
    mean = swapped.mean((1, 2)).double()
    assert np.corrcoef(mean[:, 0], donor[:, 0])[0, 1] > 0.9
    assert abs(np.corrcoef(mean[:, 0], own[:, 0])[0, 1]) < 0.3


def test_the_lines_alone_rebuild_most_of_the_normalised_sequence():
    x, _ = sensors()
    model = started(braid(static_size=12, dynamic_size=8), x)
    with torch.no_grad():
        rebuilt = model.reconstruct(x)
    share = 1 - (x - rebuilt).square().mean() / (x - x.mean((1, 2), keepdim=True)).square().mean()
    assert share > 0.7


@pytest.mark.parametrize("observation", [(5,), (8, 2)])
def test_the_dynamic_code_does_not_see_level_and_scale(observation):
    x = torch.randn(4, 6, *observation, generator=torch.Generator().manual_seed(0))
    model = braid(observation).eval()
    moved = 3 * x + 5
    with torch.no_grad():
        codes, other = model.encode(100 * x), model.encode(100 * moved)
    torch.testing.assert_close(codes.dynamic, other.dynamic, atol=2e-2, rtol=2e-2)
    assert not torch.allclose(codes.static, other.static, atol=0.1)


@pytest.mark.parametrize("closed_form", [True, False])
def test_the_level_of_the_summaries_normalises_what_d_reads(closed_form):
    x, _ = sensors()
    model = started(braid(level="summaries", closed_form=closed_form), x)
    with torch.no_grad():
        for part in model.dynamic_head.mean.parameters():
            part.zero_()
        z = model.summaries(x).double().numpy()
        mean, deviation = (
            values.double().numpy() for values in (x.mean((1, 2)), x.std((1, 2), correction=0))
        )
        level = np.concatenate([mean, np.log(np.maximum(deviation, 0.05))], 1)
        offset = z - z.mean(0)
        slope = np.linalg.solve(offset.T @ offset + np.eye(6), offset.T @ (level - level.mean(0)))
        told = torch.from_numpy(offset @ slope + level.mean(0)).float().view(60, 2, 1, 1, 2)
        normalised = (x - told[:, 0]) / told[:, 1].exp()
        expected = model.dynamic_line(normalised.flatten(2))
        torch.testing.assert_close(model.posterior(x).dynamic.mean, expected, atol=1e-3, rtol=1e-3)


def test_what_the_summaries_do_not_tell_of_the_level_is_left_in_d():
    x, level = sensors(n=200)
    seen = {}
    for whose in ("sequence", "summaries"):
        model = started(braid(level=whose, summaries="halves", static_size=1, static_net=False), x)
        with torch.no_grad():
            d = model.posterior(x).dynamic.mean.mean(1).double().numpy()
        design = np.concatenate([d, np.ones((200, 1))], 1)
        rest = level.numpy() - design @ np.linalg.lstsq(design, level.numpy(), rcond=None)[0]
        seen[whose] = 1 - (rest**2).sum() / ((level.numpy() - level.numpy().mean(0)) ** 2).sum()
    assert seen["sequence"] < 0.1 and seen["summaries"] > 0.3


def test_terms_equal_the_equations():
    x = torch.randn(5, 6, 8, 2, generator=torch.Generator().manual_seed(0))
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.8
    model = braid().eval()
    with torch.no_grad():
        terms = model.terms(Batch(x, mask), torch.Generator().manual_seed(3))
        posterior = model.posterior(x, mask)
        codes = posterior.sample(torch.Generator().manual_seed(3))
        p = model.decode(codes)
        error = (-p.log_prob(x) * mask).sum((1, 2, 3))
        s = posterior.static
        kl = 0.5 * (s.mean.square() + s.variance - 1 - s.variance.log()).sum(1)
    torch.testing.assert_close(terms["reconstruction"], error)
    torch.testing.assert_close(terms["kl_static"], kl)


def test_terms_of_swaps_equal_the_equations():
    x, _ = sensors(n=20)
    steps = torch.arange(12) < torch.randint(4, 13, (20, 1), generator=torch.Generator().manual_seed(2))
    model = started(braid(swaps=True), x, steps)
    with torch.no_grad():
        terms = model.terms(Batch(x, steps), torch.Generator().manual_seed(3))
        codes = model.posterior(x, steps).sample(torch.Generator().manual_seed(3))
        for i in range(20):
            j = i - 1
            swap = dataclasses.replace(codes, static=codes.static[[i]], dynamic=codes.dynamic[[j]])
            swapped = model.decode(swap, steps[[j]]).mean
            own, other = (model.decode(codes[[k]], steps[[k]]).mean for k in (i, j))
            z = [
                model.summaries(values, mask, gradual=True)
                for values, mask in ((swapped, steps[[j]]), (own, steps[[i]]))
            ]
            expected = 0.5 * ((z[0] - z[1]) @ model.summaries.distance_root).square().sum()
            torch.testing.assert_close(terms["swap_static"][i], expected, rtol=2e-3, atol=1e-3)

            def normalised(values, mask=steps[[j]]):
                inside = values[mask]
                deviation = inside.flatten(0, 1).std(0, correction=0).clamp_min(0.05)
                return (inside - inside.flatten(0, 1).mean(0)) / deviation

            expected = 0.5 * (normalised(swapped) - normalised(other)).square().sum()
            torch.testing.assert_close(terms["swap_dynamic"][i], expected, rtol=1e-3, atol=1e-3)


def test_swaps_count_less_the_more_of_the_variance_rebuilt_sequences_miss():
    x, _ = sensors(n=20)
    steps = torch.arange(12) < torch.randint(4, 13, (20, 1), generator=torch.Generator().manual_seed(2))
    terms, batch = {}, Batch(x, steps)
    for until in (None, 0.5, 10.0, 1e-6):
        model = started(braid(swaps=True, swaps_until=until), x, steps)
        with torch.no_grad():
            terms[until] = model.terms(batch, torch.Generator().manual_seed(3))
    with torch.no_grad():
        codes = model.posterior(x, steps).sample(torch.Generator().manual_seed(3))
        values, rebuilt = x[steps].flatten(0, 1), model.decode(codes, steps).mean[steps].flatten(0, 1)
    missed = (values - rebuilt).square().sum() / (x[steps] - x[steps].mean(0)).square().sum()
    assert 0.01 < missed < 0.5
    for until in (0.5, 10.0):
        for name in ("swap_static", "swap_dynamic"):
            torch.testing.assert_close(terms[until][name], (1 - missed / until) * terms[None][name])
        torch.testing.assert_close(terms[until]["reconstruction"], terms[None]["reconstruction"])
    assert not terms[1e-6]["swap_static"].any() and terms[None]["swap_static"].all()


def test_rare_features_weigh_as_much_as_others():
    x = torch.randn(40, 6, 8, 2, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(x.shape, dtype=torch.bool)
    mask[..., 1] = torch.rand(x.shape[:-1], generator=torch.Generator().manual_seed(1)) < 0.1
    model = started(braid(weigh_rare=True), x, mask)
    share = mask.float().mean((0, 1, 2))
    weights = model.feature_weights
    torch.testing.assert_close(weights[0] * share[0], weights[1] * share[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close((weights * share).sum(), share.sum())


def test_hidden_values_are_counted_but_not_read():
    x = torch.randn(3, 6, 8, 2, generator=torch.Generator().manual_seed(0))
    model = braid(hide=0.5).train()
    shown = model._shown(x.repeat(100, 1, 1, 1), None, torch.Generator().manual_seed(0))
    shares = 1 - shown.float().mean((1, 2, 3))
    assert shares.mean().item() == pytest.approx(0.5, abs=0.05) and shares.std() > 0.2
    read = []
    posterior = model._posterior
    model._posterior = lambda x, mask, *rest: read.append(mask) or posterior(x, mask, *rest)
    terms = model.terms(Batch(x), torch.Generator().manual_seed(0))
    assert not read[0].all()
    assert model.eval().terms(Batch(x))["reconstruction"].shape == terms["reconstruction"].shape
    assert read[1] is None


def test_jitter_moves_a_sequence_as_a_whole():
    x = torch.randn(200, 6, 8, 2, generator=torch.Generator().manual_seed(0))
    moved = braid(jitter=0.6)._moved(x, torch.Generator().manual_seed(1))
    factor = moved.std((1, 2)) / x.std((1, 2))
    torch.testing.assert_close(
        moved,
        x * factor[:, None, None] + (moved - x * factor[:, None, None]).mean((1, 2), keepdim=True),
        atol=1e-4,
        rtol=1e-3,
    )
    assert factor.log().std().item() == pytest.approx(0.2, abs=0.03)


def test_the_view_is_read_by_the_dynamic_code_alone():
    model = braid((16,), dynamic_view="spectrum", summaries="halves", static_net=False).train()
    x = torch.randn(4, 6, 16, generator=torch.Generator().manual_seed(0))
    batch = Batch(x)
    batch = dataclasses.replace(batch, views=draw_views(model.views, batch, torch.Generator().manual_seed(1)))
    other = dataclasses.replace(batch, views={"dynamic": dataclasses.replace(batch.views["dynamic"], x=x)})
    terms, plain = (model.terms(b, torch.Generator().manual_seed(2)) for b in (batch, other))
    torch.testing.assert_close(terms["kl_static"], plain["kl_static"])
    assert not torch.allclose(terms["kl_dynamic"], plain["kl_dynamic"])


@pytest.mark.parametrize("centre", [True, False])
def test_centred_features_hide_what_stays(centre):
    """The same number added to all features of a sequence reaches d only where they are not centred."""
    model = braid((16,), centre=centre, lines=False).eval()
    x = torch.randn(3, 7, 16, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(7) < torch.tensor([[7], [4], [6]])
    before = model.posterior(x, mask).dynamic
    with torch.no_grad():
        model.encoder[-1].bias += 1
    after = model.posterior(x, mask).dynamic
    for one, other in ((before.mean, after.mean), (before.stddev, after.stddev)):
        assert torch.allclose(one[mask], other[mask], atol=1e-5) == centre


@pytest.mark.parametrize(
    ("settings", "message"), [({"hide": 0.6}, "model.hide"), ({"jitter": -1.0}, "model.jitter")]
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        braid(**settings)


def test_summaries_of_training_sequences_are_computed_once(monkeypatch):
    x, _ = sensors(6)
    model = started(braid(), x).train()
    batch = Batch(x, index=torch.arange(6))
    first = model.terms(batch, torch.Generator().manual_seed(0))
    computed = []
    forward = model.summaries.forward
    monkeypatch.setattr(
        model.summaries, "forward", lambda *args, **more: computed.append(args) or forward(*args, **more)
    )
    again = model.terms(batch, torch.Generator().manual_seed(0))
    assert not computed
    for name, term in first.items():
        torch.testing.assert_close(term, again[name])
    other = Batch(x + 1, index=torch.full((6,), -1))  # of another split
    model.terms(other, torch.Generator().manual_seed(0))
    assert len(computed) == 1


def test_loading_weights_forgets_the_summaries_before_them():
    """A resumed training of several processes tries a batch before its checkpoint is loaded."""
    x, _ = sensors(6)
    trained, fresh = started(braid(), x), braid().train()
    batch = Batch(x, index=torch.arange(6))
    fresh.terms(batch, torch.Generator().manual_seed(0))
    fresh.load_state_dict(trained.state_dict())
    for name, term in trained.train().terms(batch, torch.Generator().manual_seed(0)).items():
        torch.testing.assert_close(term, fresh.terms(batch, torch.Generator().manual_seed(0))[name])
