"""S3VAE against its equations; the errors of its reimplementations have tests that ours does not have them."""

import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import cross_entropy

from unbraid.augment import draw_views
from unbraid.models.build import build_model
from unbraid.objectives.information import static_dynamic_information_per_step
from unbraid.testing import tiny_batch
from unbraid.types import Batch, Codes, Posterior

SIZES = {"static_size": 3, "dynamic_size": 4, "features": 6, "width": 4, "hidden": 5}


def s3vae(observation=(7,), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build_model("s3vae", observation, **{**SIZES, **settings}).train()


def noise(seed=3):
    return torch.Generator().manual_seed(seed)


def batch_for(model, size=4, length=5):
    return tiny_batch(model.observation, size, length, views=model.views)


def gaussian(head, h):
    return Normal(head.mean(h), (head.log_variance(h) / 2).exp())


def unrolled(lstm, g):
    """The outputs of an LSTM, step by step."""
    state, h = None, []
    for t in range(g.shape[1]):
        step, state = lstm(g[:, t : t + 1], state)
        h.append(step[:, 0])
    return torch.stack(h, 1)


def encode_static(model, x):
    """q(s | x) by the equations, and the features g."""
    g = model.encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    return gaussian(model.static_head, unrolled(model.static_path.lstm, g)[:, -1]), g


def encode_dynamic(model, g, s):
    """q(d | x), or q(d | s, x), by the equations."""
    if model.given_static:
        g = torch.stack([torch.cat([g[:, t], s], 1) for t in range(g.shape[1])], 1)
    return gaussian(model.dynamic_head, unrolled(model.dynamic_path.lstm, g))


def signal_error(model, d, x):
    """L_DFP for frames (most changed cell) and for vectors (change of each feature)."""
    prediction = model.motion_head(d)
    if x.ndim == 3:
        return (prediction[:, 1:] - x.diff(dim=1)).square().sum((1, 2))
    edges = [(size * i // 3, math.ceil(size * (i + 1) / 3)) for size in x.shape[-1:] for i in range(3)]
    change = x.diff(dim=1).abs().mean(2)
    cells = [change[..., a:b, c:d_].mean((2, 3)) for a, b in edges for c, d_ in edges]
    label = torch.stack(cells, 2).argmax(2)
    return cross_entropy(prediction[:, 1:].permute(0, 2, 1), label, reduction="none").sum(1)


@pytest.mark.parametrize("posterior", ["causal", "given_static"])
@pytest.mark.parametrize("observation", [(7,), (3, 16, 16)])
def test_terms_equal_the_equations(observation, posterior):
    model = s3vae(observation, dynamic_posterior=posterior)
    batch = batch_for(model)
    terms = model.terms(batch, noise())
    model, generator = s3vae(observation, dynamic_posterior=posterior), noise()
    q_s, g = encode_static(model, batch.x)
    s = q_s.mean + q_s.stddev * torch.randn(4, 3, generator=generator)
    q_d = encode_dynamic(model, g, s)
    d = q_d.mean + q_d.stddev * torch.randn(4, 5, 4, generator=generator)
    latent = torch.cat([s.unsqueeze(1).expand(-1, 5, -1), d], 2)
    x_hat = model.decoder(latent.flatten(0, 1)).unflatten(0, (4, 5))
    places = torch.randint(1, 4, (), generator=generator).item()
    near = (q_s.mean - encode_static(model, batch.views["static"].x)[0].mean).square().sum(1).sqrt()
    far = torch.stack([(q_s.mean[i] - q_s.mean[(i + places) % 4]).square().sum().sqrt() for i in range(4)])
    expected = {
        "reconstruction": (x_hat - batch.x).square().flatten(1).sum(1),
        "kl_static": kl_divergence(q_s, Normal(torch.zeros(3), 1.0)).sum(1),
        "kl_dynamic": kl_divergence(q_d, model.prior(d)).sum((1, 2)),
        "static_consistency": (near - far + 1).clamp_min(0),
        "motion": signal_error(model, d, batch.x),
        "mi_static_dynamic": static_dynamic_information_per_step(Codes(s, d), Posterior(q_s, q_d), 50).mean(),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name].to(value.dtype), value, rtol=1e-3, atol=1e-4)


def test_the_positive_is_the_same_sequence_in_another_order():
    """Neither another sequence, nor the sequence as it is: two errors of reimplementations."""
    batch = batch_for(s3vae(), 6, 8)
    view = batch.views["static"]
    for x, shuffled in zip(batch.x, view.x, strict=True):
        assert not torch.equal(x, shuffled)
        assert sorted(map(tuple, x.tolist())) == sorted(map(tuple, shuffled.tolist()))


def test_the_negative_is_never_the_sequence_itself():
    """With the sequence itself as positive, L_SCC is max(0, 1 - |s - s-|), which is 1 only if s- is s."""
    model = s3vae(margin=1.0).eval()
    s = 0.1 * torch.randn(5, 3, generator=noise())
    seen = set()
    for seed in range(60):
        loss = model._triplets(s, s, noise(seed))
        gaps = 1 - torch.cdist(s, s)
        where = [(gaps[i] - loss[i]).abs().argmin().item() for i in range(5)]
        assert all(i != j for i, j in enumerate(where))
        seen.add(tuple(where))
    assert len(seen) == 4
    assert model._triplets(s[:1], s[:1], noise()).tolist() == [0.0]


def test_dynamic_posterior_reads_no_later_step():
    model = s3vae().eval()
    x = batch_for(model).x
    changed = x.clone()
    changed[:, 3:] += 1
    before, after = model.posterior(x), model.posterior(changed)
    torch.testing.assert_close(before.dynamic.mean[:, :3], after.dynamic.mean[:, :3])
    assert not torch.allclose(before.dynamic.mean[:, 3:], after.dynamic.mean[:, 3:])
    assert not torch.allclose(before.static.mean, after.static.mean)


def test_the_prior_s_inputs_pass_gradients_to_the_posterior():
    """A reimplementation cuts them off. With q(d) held fixed but for the draws, KL_d still reaches its mean."""
    model = s3vae()
    d = torch.randn(2, 4, 4, generator=noise(), requires_grad=True)
    fixed = Normal(torch.zeros(2, 4, 4), 1.0)
    kl_divergence(fixed, model.prior(d)).sum().backward()
    assert d.grad[:, :3].abs().sum() > 0 and d.grad[:, 3].abs().sum() == 0


def test_information_is_a_penalty_on_codes_that_agree():
    """I(s; d) is larger where d repeats s than where it does not: a reimplementation has the sign reversed."""
    s = torch.randn(16, 4, generator=noise())
    other = torch.randn(16, 4, generator=noise(1))
    narrow = lambda mean: Normal(mean, torch.full_like(mean, 0.5))  # noqa: E731
    values = []
    for d in (s, other):
        codes = Codes(s, d.unsqueeze(1))
        posterior = Posterior(narrow(s), narrow(d.unsqueeze(1)))
        values.append(static_dynamic_information_per_step(codes, posterior, 16).mean().item())
    assert values[0] > values[1]


@pytest.mark.parametrize("observation", [(3, 16, 16), (4, 3), (7,)])
def test_settings_leave_out_terms(observation):
    model = s3vae(observation, motion="none", pair_estimate="none")
    assert set(model.terms(batch_for(model))) == {
        "reconstruction",
        "kl_static",
        "kl_dynamic",
        "static_consistency",
    }
    assert not hasattr(model, "motion_head")


def test_triplets_are_right_after_training_on_them():
    """Sequences with a planted offset: the code of a new order is nearer than that of any other sequence."""
    model = s3vae(static_size=8, features=16, width=16, hidden=16)
    x = torch.randn(16, 1, 7, generator=noise()) + 0.5 * torch.randn(16, 8, 7, generator=noise(1))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(150):
        batch = Batch(x, views=draw_views(model.views, Batch(x), noise(step)), dataset_size=16)
        optimizer.zero_grad()
        model.terms(batch, noise(step))["static_consistency"].mean().backward()
        optimizer.step()
    s = model.eval().encode(x).static
    near = (s - model.encode(x[:, torch.randperm(8, generator=noise(999))]).static).norm(dim=1)
    far = torch.cdist(s, s)[~torch.eye(16, dtype=torch.bool)].view(16, 15)
    assert (near.unsqueeze(1) < far).float().mean() > 0.95


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"margin": 0.0}, "model.margin: 0.0 must be above 0"),
        ({"motion": "flow"}, "motion: there is no signal 'flow'"),
        ({"motion": "grid"}, "motion: vectors have no signal 'grid'"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        s3vae(**settings)


def test_what_is_missing_is_named():
    model = s3vae()
    with pytest.raises(ValueError, match="there is no 'static' view"):
        model.terms(Batch(torch.rand(4, 3, 7), dataset_size=9))
    with pytest.raises(ValueError, match="dataset_size: is missing"):
        model.terms(replace(batch_for(model), dataset_size=None))
