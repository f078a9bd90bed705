"""R-WAE against its equations, both forms, and the promises of its recurrent decoder and posterior."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import logsigmoid

from unbraid.models.build import build_model
from unbraid.nn.distributions import RolledNormal
from unbraid.objectives.mmd import mmd
from unbraid.testing import tiny_batch
from unbraid.training import TrainingConfig
from unbraid.training.phases import TrainingStep
from unbraid.types import Batch, Codes, draw

SIZES = {"static_size": 3, "dynamic_size": 4, "features": 6, "width": 4, "hidden": 5, "critic": 7}


def r_wae(observation=(7,), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build_model("r_wae", observation, **{**SIZES, **settings}).train()


def noise(seed=3):
    return torch.Generator().manual_seed(seed)


def gaussian(head, h, floor=0.05):
    return Normal(head.mean(h), (head.log_variance(h).exp() + floor**2).sqrt())


def encode(model, x, s_noise, d_noise):
    """Draws of s and d, step by step, and their posteriors, by the equations."""
    g = model.encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    e = model.path.lstm(g)[0]
    q_s = gaussian(model.static_head, e[:, -1])
    d, q_ds, before, state = [], [], torch.zeros(len(x), model.dynamic_size), None
    s = q_s.mean + q_s.stddev * s_noise
    for t in range(x.shape[1]):
        read = torch.cat([s, g[:, t]], 1) if model.given_static else e[:, t]
        h, state = model.onwards(torch.cat([read, before], 1).unsqueeze(1), state)
        q_d = gaussian(model.dynamic_head, h[:, 0])
        before = q_d.mean + q_d.stddev * d_noise[:, t]
        d.append(before)
        q_ds.append(q_d)
    return s, torch.stack(d, 1), q_s, q_ds


def decode(model, s, d):
    h = model.decoder_path.lstm(torch.cat([s.unsqueeze(1).expand(-1, d.shape[1], -1), d], 2))[0]
    return model.decoder(h.flatten(0, 1)).unflatten(0, d.shape[:2])


def codes_and_terms(model, x, generator):
    """Codes drawn in the model's order of noise, with the squared error, the discrepancy of d, and the two KLs."""
    s_noise = torch.randn(len(x), 3, generator=generator)
    d_noise = torch.stack([torch.randn(len(x), 4, generator=generator) for _ in range(x.shape[1])], 1)
    s, d, q_s, q_ds = encode(model, x, s_noise, d_noise)
    error = (decode(model, s, d) - x).square().flatten(1).sum(1)
    h = model.dynamic_prior.lstm(torch.cat([torch.zeros_like(d[:, :1]), d[:, :-1]], 1))[0]
    mean, std = model.dynamic_prior.head.mean(h), (model.dynamic_prior.head.log_variance(h) / 2).exp()
    other = torch.randn(len(x), x.shape[1], 4, generator=generator)
    steps = [mmd((d[:, t] - mean[:, t]) / std[:, t], other[:, t]) for t in range(x.shape[1])]
    kls = {
        "kl_static": kl_divergence(q_s, Normal(torch.zeros(3), 1.0)).sum(1),
        "kl_dynamic": sum(kl_divergence(q, Normal(mean[:, t], std[:, t])).sum(1) for t, q in enumerate(q_ds)),
    }
    return s, {"reconstruction": error, "mmd_dynamic": sum(steps)}, kls


@pytest.mark.parametrize("posterior", ["causal", "given_static"])
@pytest.mark.parametrize("kl_at_first", [False, True])
@pytest.mark.parametrize("observation", [(7,), (3, 16, 16)])
def test_terms_equal_the_equations(observation, kl_at_first, posterior):
    x = tiny_batch(observation, 6, 5).x
    settings = {"kl_at_first": kl_at_first, "dynamic_posterior": posterior}
    terms = r_wae(observation, **settings).terms(Batch(x), noise())
    model, generator = r_wae(observation, **settings), noise()
    s, expected, kls = codes_and_terms(model, x, generator)
    expected |= kls if kl_at_first else {}
    expected["mmd_static"] = mmd(s, torch.randn(6, 3, generator=generator))
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("observation", [(7,), (3, 16, 16)])
def test_the_critic_s_phase_equals_the_equations(observation):
    x = tiny_batch(observation, 6, 5).x
    model = r_wae(observation, divergence="gan")
    critic = model.terms(Batch(x), noise(), "critic")
    fit = model.terms(Batch(x), noise(), "fit")
    model, generator = r_wae(observation, divergence="gan"), noise()
    s_noise, drawn = (torch.randn(6, 3, generator=generator) for _ in range(2))
    s = encode(model, x, s_noise, torch.zeros(6, 5, 4))[0]
    of_codes, of_prior = model.critic(s).squeeze(1), model.critic(drawn).squeeze(1)
    assert critic.keys() == {"critic"}
    torch.testing.assert_close(critic["critic"], -logsigmoid(-of_codes) - logsigmoid(of_prior))
    model = r_wae(observation, divergence="gan")
    s, expected, _ = codes_and_terms(model, x, noise())
    expected["adversarial_static"] = -logsigmoid(model.critic(s).squeeze(1))
    assert fit.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(fit[name], value, rtol=1e-4, atol=1e-5)


def test_each_phase_trains_its_own_modules():
    model = r_wae((3, 16, 16), divergence="gan")
    batch = tiny_batch((3, 16, 16), 6, 5)
    training = TrainingStep(model, TrainingConfig(precision="float32"), 2, 50, noise())
    critic, rest = training.optimizers
    assert critic.param_groups[0]["betas"][0] == 0.5
    assert {id(p) for p in critic.param_groups[0]["params"]} == {id(p) for p in model.critic.parameters()}
    held = {id(p) for group in rest.param_groups for p in group["params"]}
    assert held == {id(p) for name, p in model.named_parameters() if not name.startswith("critic")}
    tracked = model.encoder.layers[1].running_mean.clone()
    model.terms(batch, noise(), "critic")
    assert torch.equal(tracked, model.encoder.layers[1].running_mean)
    assert training.take(batch, 0).terms.keys() == {
        "critic",
        "reconstruction",
        "mmd_dynamic",
        "adversarial_static",
    }


def test_the_critic_learns_where_the_codes_are():
    """Codes far from the prior: after its phase alone the critic tells them from draws of the prior."""
    model = r_wae(divergence="gan", critic=32)
    with torch.no_grad():
        model.static_head.mean.bias += 2
    batch, optimizer = tiny_batch((7,), 32, 5), torch.optim.Adam(model.critic.parameters(), 3e-3)
    losses = []
    for step in range(100):
        optimizer.zero_grad()
        loss = model.terms(batch, noise(step), "critic")["critic"].mean()
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    assert losses[0] > 1.2 and losses[-1] < 0.5


def test_gradients_of_the_discrepancy_reach_encoder_and_prior():
    model = r_wae()
    model.terms(tiny_batch((7,), 6, 5), noise())["mmd_dynamic"].backward()
    for module in (model.encoder, model.onwards, model.dynamic_head, model.dynamic_prior):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_training_on_the_discrepancies_alone_matches_codes_and_prior():
    """The codes of all sequences become draws of their priors, though they start far from them."""
    model = r_wae(static_size=2, dynamic_size=2, hidden=16, width=16, features=16)
    with torch.no_grad():
        model.static_head.mean.bias += 2
        model.dynamic_head.mean.bias -= 2
    batch = Batch(torch.randn(128, 4, 7, generator=noise()))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    first = None
    for step in range(120):
        terms = model.terms(batch, noise(step))
        first = first or {name: terms[name].item() for name in ("mmd_static", "mmd_dynamic")}
        optimizer.zero_grad()
        (terms["mmd_static"] + terms["mmd_dynamic"]).backward()
        optimizer.step()
    last = model.terms(batch, noise(500))
    assert last["mmd_static"] < 0.05 * first["mmd_static"]
    assert last["mmd_dynamic"] < 0.05 * first["mmd_dynamic"]


def test_the_decoder_is_recurrent_and_causal():
    """Exchanged codes are decoded from the first step on; a step depends on the codes before it, not on later ones."""
    model = r_wae().eval()
    codes = Codes(torch.randn(3, 3, generator=noise()), torch.randn(3, 5, 4, generator=noise(1)))
    x = model.decode(codes).mean
    torch.testing.assert_close(x, decode(model, codes.static, codes.dynamic))
    moved = codes.dynamic.clone()
    moved[:, 2] += 1
    changed = model.decode(Codes(codes.static, moved)).mean
    torch.testing.assert_close(changed[:, :2], x[:, :2])
    assert not torch.allclose(changed[:, 3:], x[:, 3:])
    a, b = tiny_batch((7,), 3, 5).x, tiny_batch((7,), 3, 5, seed=1).x
    mixed = decode(model, model.encode(a).static, model.encode(b).dynamic)
    torch.testing.assert_close(model.swap(a, b), mixed)


def test_deviations_have_a_lower_bound():
    model = r_wae(least_deviation=0.2)
    with torch.no_grad():
        model.static_head.log_variance.bias.fill_(-60.0)
    assert model.posterior(tiny_batch((7,), 3, 5).x).static.stddev.min() >= 0.2
    with pytest.raises(ValueError, match=r"model.least_deviation: -0.1 must be at least 0"):
        r_wae(least_deviation=-0.1)


def test_posteriors_start_with_the_deviation_that_is_asked_for():
    batch = tiny_batch((7,), 3, 5)
    posterior = r_wae(first_deviation=0.1, least_deviation=0.0).posterior(batch.x)
    assert 0.07 < posterior.static.stddev.mean() < 0.14
    paths = torch.stack([posterior.dynamic.draw(noise(seed)) for seed in range(200)])
    assert 0.07 < paths[:, :, 0].std(0).mean() < 0.14  # the mean of the first step depends on no draw
    with pytest.raises(ValueError, match=r"model.first_deviation: 0.0 must be above 0"):
        r_wae(first_deviation=0.0)


def test_the_divergences_of_the_start_end_with_their_weights():
    """While they count they need a second pass over the steps; afterwards none."""
    model, batch = r_wae(kl_at_first=True), tiny_batch((7,), 6, 5)
    passes = []
    model.dynamic_head.register_forward_hook(lambda *_: passes.append(1))
    weights = {name: [[0.5, 1.0], [0.6, 0.0]] for name in ("kl_static", "kl_dynamic")}
    training = TrainingStep(model, TrainingConfig(weights=weights, precision="float32"), 11, 50, noise())
    took = []
    for step in range(11):
        passes.clear()
        terms = training.take(batch, step).terms
        took.append(("kl_static" in terms, "kl_dynamic" in terms, len(passes)))
    assert took == [(True, True, 10)] * 6 + [(False, False, 5)] * 5


def test_there_is_no_divergence_of_single_posteriors():
    """Unless `kl_at_first` asks for it: it would undo what the method is for. The card denies the bound."""
    model = r_wae()
    assert not any(name.startswith("kl") for name in model.terms(tiny_batch((7,), 6, 5), noise()))
    with pytest.raises(ValueError, match="r_wae has no likelihood"):
        model.elbo(tiny_batch((7,), 3, 5))


def test_a_rolled_normal_is_drawn_step_by_step():
    """A random walk: its mean stays at the start, the variance of its draws grows by 1 at each step."""
    walk = RolledNormal(lambda t, before, state: (Normal(before + 1, 1.0), None), torch.zeros(4000, 5, 1))
    torch.testing.assert_close(walk.mean, torch.arange(1.0, 6).view(1, 5, 1).expand(4000, -1, -1))
    path = draw(walk, noise())
    torch.testing.assert_close(path.var(0).flatten(), torch.arange(1.0, 6), rtol=0.1, atol=0)
    assert torch.equal(path, draw(walk, noise())) and not torch.equal(path, draw(walk, noise(4)))
    along = walk.along(path)
    torch.testing.assert_close(along.mean, torch.cat([torch.zeros(4000, 1, 1), path[:, :-1]], 1) + 1)
    assert torch.equal(along.stddev, torch.ones(4000, 5, 1))
    assert walk.rsample((2,)).shape == (2, 4000, 5, 1) and walk.rsample().shape == (4000, 5, 1)
