"""FHVAE against its equations, written out segment by segment, and its closed form against a numerical maximum."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from unbraid.data.sequences import Sequences
from unbraid.masks import steps_below
from unbraid.models.build import build_model
from unbraid.testing import tiny_batch
from unbraid.training import TrainingConfig, fit
from unbraid.training.plan import Plan
from unbraid.types import Batch

SIZES = {"static_size": 3, "dynamic_size": 4, "features": 6, "width": 8, "hidden": 5, "recordings": 9}
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def fhvae(observation=(7,), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build_model("fhvae", observation, **{**SIZES, **settings})


def last_state(lstm, x):
    state = None
    for value in x:
        h, state = lstm(value[None, None], state)
    return h[0, 0]


def normal(head, h):
    return Normal(head.mean(h), (head.log_variance(h) / 2).exp())


@pytest.mark.parametrize("observation", [(7,), (4, 3)])
def test_terms_equal_the_equations(observation):
    model = fhvae(observation, segment=3, variance=0.25, table_rate=5.0).double()
    x, lengths = tiny_batch(observation, 3, 7).x.double(), [7, 3, 5]
    recording, size = torch.tensor([4, -1, 2]), torch.tensor([2, 1, 3])
    batch = Batch(x, steps_below(torch.tensor(lengths), 7), recording=recording, recording_size=size)
    terms = model.terms(batch, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    z2_noise = torch.randn(3, 3, 3, generator=generator, dtype=torch.float64)
    z1_noise = torch.randn(3, 3, 4, generator=generator, dtype=torch.float64)
    means = 5.0 * model.table.weight
    for row, n in enumerate(lengths):
        own = x[row, :n]
        seen = torch.cat([own, torch.ones_like(own)], 2) if len(observation) == 2 else own
        g = model.encoder(seen)
        starts = range(0, n, 3)
        q2 = [normal(model.static_head, last_state(model.static_path, g[a : a + 3])) for a in starts]
        closed = sum(q.mean for q in q2) / (len(q2) + 0.25)
        trained = recording[row] >= 0
        mu2 = means[recording[row]] if trained else closed
        expected = dict.fromkeys(("reconstruction", "kl_static", "kl_dynamic", "discriminative"), 0.0)
        for k, a in enumerate(starts):
            z2 = q2[k].mean + q2[k].stddev * z2_noise[row, k]
            piece = g[a : a + 3]
            q1 = normal(
                model.dynamic_head,
                last_state(model.dynamic_path, torch.cat([piece, z2.expand(len(piece), -1)], 1)),
            )
            z1 = q1.mean + q1.stddev * z1_noise[row, k]
            h, state = [], None
            for _ in piece:
                out, state = model.output_path(torch.cat([z1, z2])[None, None], state)
                h.append(out[0, 0])
            p = model.decoder.likelihood(model.decoder(torch.stack(h)).unsqueeze(0))
            truth = own[a : a + 3]
            error = -p.log_prob(truth[None]) if len(observation) == 2 else (truth - p.mean[0]).square()
            expected["reconstruction"] += error.sum()
            expected["kl_static"] += kl_divergence(q2[k], Normal(mu2, 0.5)).sum()
            expected["kl_dynamic"] += kl_divergence(q1, Normal(0.0, 1.0)).sum()
            if trained:
                score = -(q2[k].mean - means).square().sum(1) / 0.5
                expected["discriminative"] += -score.log_softmax(0)[recording[row]]
        expected["recording_mean"] = mu2.square().sum() / 2 / size[row] if trained else 0.0
        assert terms.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(terms[name][row], torch.as_tensor(value, dtype=torch.float64), **CLOSE)


@pytest.mark.parametrize("variance", [0.25, 1.0])
def test_the_closed_form_is_the_numerical_maximum(variance):
    """Of log p(mu2) + sum_n log p(z2^(n) | mu2), whose curvature gives the deviation."""
    model = fhvae(variance=variance)
    z2 = 2 * torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    segments = torch.tensor([[True] * 5, [True, True, False, False, False]])
    found = model.most_probable_mean(z2, segments)
    for row, count in enumerate((5, 2)):
        around = Normal(z2[row, :count], variance**0.5)

        def log_density(mu, around=around):
            return Normal(0.0, 1.0).log_prob(mu).sum() + around.log_prob(mu).sum()

        mu = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        search = torch.optim.LBFGS([mu], max_iter=100, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

        def step(mu=mu, search=search, log_density=log_density):
            search.zero_grad()
            loss = -log_density(mu)
            loss.backward()
            return loss

        search.step(step)
        torch.testing.assert_close(found.mean[row], mu.detach(), **CLOSE)
        curvature = -torch.autograd.functional.hessian(log_density, mu.detach()).diagonal()
        torch.testing.assert_close(found.stddev[row], curvature.rsqrt(), **CLOSE)


def test_the_mean_over_a_recording_s_sequences_is_its_closed_form_up_to_a_factor():
    """So speaker verification, by cosines of mean static codes, is that of the paper."""
    model, x = fhvae(segment=4).eval(), tiny_batch((7,), 5, 4).x
    whole = model.encode(x.reshape(1, 20, 7)).static[0]
    mean = model.encode(x).static.mean(0)
    factor = (1 + 0.25) / (5 + 0.25) * 5
    torch.testing.assert_close(whole, factor * mean)


def test_the_discriminative_term_over_sampled_rows():
    """The own row is compared exactly once, with as many others as the setting says."""
    few, z2 = fhvae(candidates=4), torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(5))
    index = torch.tensor([0, 1, 2, 6, 7, 8])
    value = few._discriminative(z2, few.means(index), index, torch.Generator().manual_seed(0))
    drawn = torch.randperm(9, generator=torch.Generator().manual_seed(0))[:4].tolist()
    assert set(drawn) & set(index.tolist()) and set(index.tolist()) - set(drawn)
    for row, own in enumerate(index.tolist()):
        rows = [own, *(other for other in drawn if other != own)]
        score = -(z2[row].unsqueeze(1) - few.means(torch.tensor(rows))).square().sum(2) / 0.5
        torch.testing.assert_close(value[row], -score.log_softmax(1)[:, 0])


def test_codes_hold_for_a_segment():
    model, x = fhvae(segment=3).eval(), tiny_batch((7,), 2, 8).x
    for path in (
        model.encode(x).dynamic,
        model.encode(x, generator=torch.Generator().manual_seed(0)).dynamic,
        model.roll(2, 8, torch.Generator().manual_seed(0)),
    ):
        same = (path[:, 1:] == path[:, :-1]).all(2).all(0)
        assert same.tolist() == [True, True, False, True, True, False, True]
    changed = x.clone()
    changed[:, 4] += 1
    same = (model.encode(x).dynamic == model.encode(changed).dynamic).all(2).all(0)
    assert same.tolist() == [True] * 3 + [False] * 3 + [True] * 2
    assert not torch.equal(model.encode(x).static, model.encode(changed).static)


def grouped():
    """Twenty recordings of three sequences each, in no order, those of one recording around a common value."""
    random = np.random.default_rng(0)
    groups = random.permutation(np.repeat(np.arange(100, 120), 3))
    x = random.normal(size=(20, 4))[groups - 100][:, None] + 0.3 * random.normal(size=(60, 6, 4))
    data = Sequences.from_arrays(x.astype(np.float32), groups=groups, name="grouped")
    return replace(data, groups=groups, fingerprint="")


def test_training_says_which_sequences_are_of_one_recording():
    data = grouped()
    plan = Plan(fhvae((4,)), data, TrainingConfig(device="cpu"))
    batch = plan.read(np.arange(60))
    train = np.isin(np.arange(60), data.splits["train"])
    assert (batch.recording.numpy()[~train] == -1).all()
    numbers = batch.recording.numpy()[train]
    names = data.groups[train]
    assert sorted(set(numbers)) == list(range(len(set(names))))
    assert len({*zip(names, numbers, strict=True)}) == len(set(names))
    assert (batch.recording_size.numpy()[train] == 3).all()
    alone = Sequences.from_arrays(data.x, name="alone")
    batch = Plan(fhvae((4,)), alone, TrainingConfig(device="cpu")).read(alone.splits["train"])
    assert torch.equal(batch.recording, batch.index) and (batch.recording_size == 1).all()


def test_the_table_has_a_row_per_training_recording_and_is_learned(tmp_path):
    data = grouped()
    config = TrainingConfig(
        max_epochs=60, batch_size=24, learning_rate=2e-2, device="cpu", precision="float32"
    )
    settings = {
        "static_size": 3,
        "dynamic_size": 4,
        "features": 16,
        "width": 16,
        "hidden": 16,
        "segment": 2,
        "table_rate": 10.0,
    }
    model = fit(data, "fhvae", folder=tmp_path / "run", settings=settings, training=config, quiet=True).model
    recordings = len(np.unique(data.groups[data.splits["train"]]))
    assert model.table.num_embeddings == recordings == model.settings["recordings"]
    plan = Plan(model, data, config)
    batch = plan.read(data.splits["train"])
    static = model.encode(batch.x).static
    rows = model.means(batch.recording)
    gap = (static - rows).square().sum(1).mean()
    others = (static.unsqueeze(1) - rows).square().sum(2).mean()
    assert gap < 0.25 * others
    chance = math.log(recordings)
    found = model.terms(batch, torch.Generator().manual_seed(0))["discriminative"].mean() / 3  # segments
    assert found < 0.8 * chance


@pytest.mark.parametrize("name", ["segment", "variance", "candidates", "table_rate", "recordings"])
def test_refused(name):
    with pytest.raises(ValueError, match=f"model.{name}"):
        fhvae(**{name: 0.0 if name in ("variance", "table_rate") else 0})


def test_a_model_built_for_fewer_recordings_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"model\.recordings: the model was built for 9, the data have \d+; build it"
    ):
        fit(grouped(), fhvae((4,)), folder=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
