"""SPYL against its equations: predictive sampling, the negatives of both forms, and what the bank must not touch."""

import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from unbraid.models.build import build_model
from unbraid.objectives.information import sampled_terms
from unbraid.testing import tiny_batch
from unbraid.training import TrainingConfig
from unbraid.training.phases import TrainingStep
from unbraid.types import Batch, Codes, Posterior

SIZES = {"static_size": 3, "dynamic_size": 4, "features": 6, "width": 4, "hidden": 5}
CONTRASTS = {"contrastive_static", "contrastive_dynamic"}


def spyl(observation=(7,), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build_model("spyl", observation, **{**SIZES, **settings}).train()
    with torch.no_grad():  # usual initial weights would give all sequences nearly the same codes
        for parameter in model.parameters():
            scale = 2 / parameter[0].numel() ** 0.5 if parameter.ndim > 1 else 0.1
            parameter.add_(scale * torch.randn(parameter.shape, generator=noise(parameter.numel())))
    return model


def noise(seed=3):
    return torch.Generator().manual_seed(seed)


def gaussian(head, h):
    return Normal(head.mean(h), (head.log_variance(h) / 2).exp())


def encode(model, x):
    """q(s | x) and q(d | x), by the equations."""
    g = model.encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    h = model.both_ways.lstm(g)[0]
    q_s = gaussian(model.static_head, torch.cat([h[:, -1, :5], h[:, 0, 5:]], 1))
    return q_s, gaussian(model.dynamic_head, model.onwards.lstm(h)[0])


def decode(model, s, d):
    latent = torch.cat([s.unsqueeze(1).expand(-1, d.shape[1], -1), d], 2)
    return model.decoder(latent.flatten(0, 1)).unflatten(0, d.shape[:2])


def over_time(q):
    return Normal(q.mean.mean(1), q.stddev.log().mean(1).exp())


def draw_codes(model, n, length, generator, means=False):
    s, path = torch.randn(n, 3, generator=generator), torch.zeros(n, 0, 4)
    prior = None
    for _ in range(length):
        before = torch.cat([torch.zeros(n, 1, 4), path], 1)
        prior = gaussian(model.dynamic_prior.head, model.dynamic_prior.lstm(before)[0])
        step = prior.mean[:, -1] + prior.stddev[:, -1] * torch.randn(n, 1, 4, generator=generator)[:, 0]
        path = torch.cat([path, step.unsqueeze(1)], 1)
    return s, (prior.mean if means else path)


def divergences(q, p):
    rows = [
        [
            kl_divergence(Normal(m, s), Normal(n, r)).sum().item()
            for n, r in zip(p.mean, p.stddev, strict=True)
        ]
        for m, s in zip(q.mean, q.stddev, strict=True)
    ]
    return torch.tensor(rows)


def loss(u, positive, negatives):
    phi = [torch.cosine_similarity(u, other, dim=0).div(0.5).exp() for other in (positive, *negatives)]
    return -(phi[0] / sum(phi)).log()


@pytest.mark.parametrize("means", [False, True])
@pytest.mark.parametrize("observation", [(7,), (3, 16, 16)])
def test_terms_equal_the_equations(observation, means):
    settings = {"bank": 3, "drawn_dynamics": "means" if means else "samples"}
    batch = tiny_batch(observation, 4, 5)
    terms = spyl(observation, **settings).terms(batch, noise())
    model, generator = spyl(observation, **settings), noise()
    q_s, q_d = encode(model, batch.x)
    s = q_s.mean + q_s.stddev * torch.randn(4, 3, generator=generator)
    d = q_d.mean + q_d.stddev * torch.randn(4, 5, 4, generator=generator)
    expected = {
        "reconstruction": (decode(model, s, d) - batch.x).square().flatten(1).sum(1),
        "kl_static": kl_divergence(q_s, Normal(torch.zeros(3), 1.0)).sum(1),
        "kl_dynamic": kl_divergence(q_d, model.prior(d)).sum((1, 2)),
        **sampled_terms(Codes(s, d), Posterior(q_s, q_d), 50),
    }
    new_s, new_d = draw_codes(model, 4, 5, generator, means)
    s_again = encode(model, decode(model, q_s.mean, new_d))[0].mean
    d_again = over_time(encode(model, decode(model, new_s, q_d.mean))[1]).mean
    bank = [encode(model, decode(model, *draw_codes(model, 4, 5, generator, means))) for _ in range(3)]
    for name, own, again, others in (
        ("static", q_s, s_again, [q for q, _ in bank]),
        ("dynamic", over_time(q_d), d_again, [over_time(q) for _, q in bank]),
    ):
        joined = Normal(torch.cat([q.mean for q in others]), torch.cat([q.stddev for q in others]))
        kl, total = divergences(own, joined), 0.0
        for i in range(4):
            farthest = sorted(range(12), key=lambda j: -kl[i, j])[:6]
            total = total + loss(own.mean[i], again[i], [joined.mean[j] for j in farthest])
        expected[f"contrastive_{name}"] = total / 4
        assert abs(total / 4 - math.log(7)) > 0.02, "the codes are too alike to test anything"
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name].to(value.dtype), value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("form", ["given_static", "factorised"])
@pytest.mark.parametrize("observation", [(7,), (3, 16, 16)])
def test_the_other_posteriors_equal_the_equations(observation, form):
    model, batch = spyl(observation, dynamic_posterior=form), tiny_batch(observation, 4, 5)

    def dynamic(s):
        g = model.encoder(batch.x.flatten(0, 1)).unflatten(0, (4, 5))
        if form == "factorised":
            return gaussian(model.dynamic_head, model.step_path(g))
        h = model.with_static.lstm(torch.cat([s.unsqueeze(1).expand(-1, 5, -1), g], 2))[0]
        return gaussian(model.dynamic_head, model.onwards(h)[0])

    g = model.encoder(batch.x.flatten(0, 1)).unflatten(0, (4, 5))
    h = model.both_ways.lstm(g)[0]
    q_s = gaussian(model.static_head, torch.cat([h[:, -1, :5], h[:, 0, 5:]], 1))
    posterior = model.posterior(batch.x)
    torch.testing.assert_close(posterior.static.mean, q_s.mean)
    torch.testing.assert_close(posterior.dynamic.mean, dynamic(q_s.mean).mean)
    generator = noise()
    s = q_s.mean + q_s.stddev * torch.randn(4, 3, generator=generator)
    q_d = dynamic(s)
    d = q_d.mean + q_d.stddev * torch.randn(4, 5, 4, generator=generator)
    terms = spyl(observation, dynamic_posterior=form).terms(batch, noise())
    expected = {
        "reconstruction": (decode(model, s, d) - batch.x).square().flatten(1).sum(1),
        "kl_dynamic": kl_divergence(q_d, model.prior(d)).sum((1, 2)),
        **sampled_terms(Codes(s, d), Posterior(q_s, q_d), 50),
    }
    for name, value in expected.items():
        torch.testing.assert_close(terms[name].to(value.dtype), value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("observation", [(7,), (3, 16, 16)])
def test_negatives_of_the_batch_equal_the_equations(observation):
    """The positive is drawn from the closest third, negatives are the farthest third, all encoded again."""
    batch = tiny_batch(observation, 9, 5)
    settings = {"negatives": "batch", "pair_estimate": "none"}
    terms = spyl(observation, **settings).terms(batch, noise())
    model, generator = spyl(observation, **settings), noise()
    q_s, q_d = encode(model, batch.x)
    for size in ((9, 3), (9, 5, 4)):  # of the codes that are decoded for the squared error
        torch.randn(size, generator=generator)
    s = q_s.mean + q_s.stddev * torch.randn(9, 3, generator=generator)
    d = q_d.mean + q_d.stddev * torch.randn(9, 5, 4, generator=generator)
    new_s, new_d = draw_codes(model, 9, 5, generator)
    s_again = encode(model, decode(model, s, new_d))[0].mean
    d_again = over_time(encode(model, decode(model, new_s, d))[1]).mean
    for name, own, again in (("static", q_s, s_again), ("dynamic", over_time(q_d), d_again)):
        kl, keys, total = divergences(own, own), torch.randn(9, 9, generator=generator), 0.0
        for i in range(9):
            order = sorted(range(9), key=lambda j: -kl[i, j])
            assert order[-1] == i
            positive = max(order[6:], key=lambda j: keys[i, j])
            total = total + loss(own.mean[i], again[positive], [again[j] for j in order[:3]])
        assert abs(total / 9 - math.log(4)) > 0.001, "the codes are too alike to test anything"
        torch.testing.assert_close(terms[f"contrastive_{name}"], total / 9, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("negatives", "calls"), [("bank", 1 + 2 + 3), ("batch", 1 + 2)])
def test_nothing_is_generated_while_the_contrasts_have_no_weight(negatives, calls):
    model, batch = spyl(negatives=negatives, bank=3), tiny_batch((7,), 4, 5)
    decoded = []
    model.decoder.register_forward_hook(lambda *_: decoded.append(1))
    terms = model.terms(replace(batch, unweighted=frozenset(CONTRASTS)), noise())
    assert len(decoded) == 1 and not CONTRASTS & terms.keys()
    assert (
        model.terms(replace(batch, unweighted=frozenset({"contrastive_static"})), noise()).keys() >= CONTRASTS
    )
    decoded.clear()
    weights = {key: [[0.5, 0.0], [0.6, 1.0]] for key in CONTRASTS}
    config = TrainingConfig(weights=weights, precision="float32")
    training = TrainingStep(model, config, 11, 50, noise())
    took = []
    for step in range(11):
        training.take(batch, step)
        took.append(len(decoded))
        decoded.clear()
    assert took == [1] * 6 + [calls] * 5


def test_the_bank_is_drawn_in_chunks_without_gradients():
    model, sizes, gradients = spyl(bank=3), [], []
    model.decoder.register_forward_hook(lambda _, inputs, output: sizes.append(len(output)))
    model.decoder.register_forward_hook(lambda _, inputs, output: gradients.append(output.requires_grad))
    model.terms(tiny_batch((7,), 4, 5), noise())
    assert sizes == [4 * 5] * 6
    assert gradients == [True] * 3 + [False] * 3


@pytest.mark.parametrize("negatives", ["bank", "batch"])
def test_generated_sequences_leave_the_running_statistics(negatives):
    model, alone = (spyl((3, 16, 16), negatives=negatives) for _ in range(2))
    batch = tiny_batch((3, 16, 16), 4, 5)
    model.terms(batch, noise())
    alone.terms(replace(batch, unweighted=frozenset(CONTRASTS)), noise())
    for name, buffer in alone.named_buffers():
        if "running" in name:
            assert torch.equal(buffer, model.get_buffer(name)), name


@pytest.mark.parametrize("negatives", ["bank", "batch"])
@pytest.mark.parametrize("name", sorted(CONTRASTS))
def test_contrasts_train_encoder_and_decoder_and_not_the_prior(negatives, name):
    model = spyl(negatives=negatives)
    model.terms(tiny_batch((7,), 6, 5), noise())[name].backward()
    reached = {key for key, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert any(key.startswith("decoder") for key in reached)
    assert any(key.startswith("encoder") for key in reached)
    assert not any(key.startswith("dynamic_prior") for key in reached)


def test_positives_have_the_lengths_of_their_sequences():
    """The contrast of a padded batch is that of its sequences, each generated at its own length."""
    model = spyl(negatives="batch", pair_estimate="none").eval()
    batch = tiny_batch((7,), 3, 6)
    mask = torch.arange(6) < torch.tensor([6, 3, 4]).unsqueeze(1)
    lengths = []
    model.decoder.register_forward_hook(lambda _, inputs, output: lengths.append(len(output)))
    model.terms(replace(batch, mask=mask), noise())
    assert lengths == [15] * 3  # 13 steps, filled up to the next eighth of 18: see `apply_to_steps`


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bank": 0}, "model.bank: 0 must be at least 1"),
        ({"temperature": 0.0}, "model.temperature: 0.0 must be above 0"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        spyl(**settings)


def test_the_size_of_the_data_set_is_asked_for():
    x = torch.rand(4, 3, 7)
    with pytest.raises(ValueError, match="dataset_size: is missing"):
        spyl().terms(Batch(x))
    assert set(spyl(pair_estimate="none").terms(Batch(x))) == CONTRASTS | {
        "reconstruction",
        "kl_static",
        "kl_dynamic",
    }
