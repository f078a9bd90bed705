"""Toy models of every kind that the interface must carry: adversaries, joint posteriors, operators, tables."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
import toys
from safetensors.torch import load_file

from unbraid import registry
from unbraid.data.sequences import Sequences
from unbraid.generation import cross, decode, encode, interpolate, swap, with_drawn_dynamic, with_drawn_static
from unbraid.io import load_model
from unbraid.models.base import Phase
from unbraid.testing import CHECKS, build_small
from unbraid.training import TrainingConfig, fit, resume
from unbraid.training.callbacks.checkpoints import Checkpoints

OBSERVATIONS = {"frames": (1, 16, 16), "vectors": (7,), "windows": (4, 3)}
TRAINING = {
    "max_epochs": 3,
    "batch_size": 8,
    "log_every_steps": 2,
    "checkpoint_minutes": 1e-9,
    "gradient_clip": 1.0,
}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(registry, "MODELS", dict(registry.MODELS))
    for name, model in toys.TOYS.items():
        registry.register_model(name, f"toys:{model.__name__}")


def data(kind="vectors", n=40):
    random = np.random.default_rng(0)
    shape = (n, 6, *OBSERVATIONS[kind])
    if kind == "frames":
        return Sequences.from_arrays(random.integers(0, 255, shape, dtype=np.uint8), name="noise")
    return Sequences.from_arrays(random.normal(size=shape).astype(np.float32), name="noise")


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", OBSERVATIONS)
@pytest.mark.parametrize("name", toys.TOYS)
def test_contract(name, kind, check):
    # A linear layer cannot tell a gap from a zero, which windows are checked for.
    if check.__name__ == "check_masks" and kind == "windows":
        kind = "vectors"
    check(build_small(name, OBSERVATIONS[kind], {}))


@pytest.mark.parametrize("name", toys.TOYS)
def test_fit_save_load_and_resume(name, tmp_path, monkeypatch):
    whole = fit(data(), name, folder=tmp_path / "whole", training=TrainingConfig(**TRAINING), quiet=True)
    loaded = load_model(tmp_path / "whole")
    assert same(whole.model.state_dict(), loaded.state_dict())

    class BrokenError(Exception):
        pass

    write, count = Checkpoints.write, 0

    def write_then_break(self, trainer, plan):
        nonlocal count
        write(self, trainer, plan)
        count += 1
        if count == 5:
            raise BrokenError

    with monkeypatch.context() as patch, pytest.raises(BrokenError):
        patch.setattr(Checkpoints, "write", write_then_break)
        fit(data(), name, folder=tmp_path / "broken", training=TrainingConfig(**TRAINING), quiet=True)
    resume(tmp_path / "broken", data(), quiet=True)
    assert same(weights(tmp_path / "broken"), weights(tmp_path / "whole"))


def without_clock(folder):
    rows = (folder / "metrics.csv").read_text().splitlines()
    return [",".join(row.split(",")[:3] + row.split(",")[5:]) for row in rows]


def test_two_phases_killed_at_any_moment_resume_bit_for_bit(tmp_path):
    script = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {os.path.dirname(toys.__file__)!r})
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        import torch, toys
        torch.set_num_threads(1)
        from unbraid import registry
        from unbraid.training import TrainingConfig, fit
        from test_toys import TRAINING, data
        registry.register_model("toy_adversarial", "toys:Adversarial")
        slow = TRAINING | {{"max_epochs": 60, "log_every_steps": 7}}
        fit(data(), "toy_adversarial", folder=sys.argv[1], training=TrainingConfig(**slow), quiet=True)
    """)
    command = [sys.executable, "-c", script]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    for number, wait in enumerate((0.0, 0.3, 0.9)):
        folder = tmp_path / f"killed{number}"
        process = subprocess.Popen([*command, str(folder)])
        while not list(folder.glob("checkpoints/*.ckpt")) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        resume(folder, data(), quiet=True)
        assert same(weights(folder), weights(tmp_path / "whole"))
        assert without_clock(folder) == without_clock(tmp_path / "whole")


def test_an_adversary_in_one_phase_is_refused(tmp_path):
    model = toys.Adversarial((7,))
    model.phases = (Phase("fit"),)
    with pytest.raises(ValueError, match="toy_adversarial has an adversary and 1 phase"):
        fit(data(), model, folder=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ((Phase("a", ("critic",)), Phase("a", ("generator",))), "phases of different names"),
        ((Phase("a", ("critic",)), Phase("b", ("gnerator",))), "did you mean 'generator'"),
        ((Phase("a", ("critic",)), Phase("b")), "must name its modules"),
        ((Phase("a", ("critic",)), Phase("b", ("critic",))), "no phase of toy_adversarial trains generator"),
    ],
)
def test_phases_that_cannot_train_are_named(phases, message, tmp_path):
    model = toys.Adversarial((7,))
    model.phases = phases
    with pytest.raises(ValueError, match=message):
        fit(data(), model, folder=tmp_path / "run", quiet=True)


def test_each_phase_trains_its_own_modules_by_its_own_gradient(tmp_path):
    """Two steps by hand: the critic twice, then the generator, each by Adam on its own term."""
    config = TrainingConfig(max_epochs=1, batch_size=32, precision="float32", schedule="constant")
    made = fit(data(), "toy_adversarial", folder=tmp_path / "run", training=config, quiet=True).model
    with torch.random.fork_rng():
        torch.manual_seed(0)
        by_hand = toys.Adversarial((7,))
    critic = torch.optim.Adam(by_hand.critic.parameters(), 1e-3)
    generator = torch.optim.Adam(by_hand.generator.parameters(), 1e-3, (0.5, 0.999))
    noise, sequences = torch.Generator().manual_seed(0), data()
    batch = sequences.batch(sequences.splits["train"])
    for optimizer, phase, name in ((critic, "critic", "judge"),) * 2 + ((generator, "generator", "fool"),):
        loss = by_hand.terms(batch, noise, phase)[name].mean()
        by_hand.zero_grad()
        loss.backward()
        optimizer.step()
    for name, value in by_hand.state_dict().items():
        assert torch.allclose(value, made.state_dict()[name], atol=1e-6), name


def test_a_phase_that_starts_late_trains_nothing_before(tmp_path):
    model = toys.Adversarial((7,))
    model.phases = (Phase("critic", ("critic",), end=0.5), Phase("generator", ("generator",), start=0.5))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = TrainingConfig(max_epochs=8, batch_size=32, log_every_steps=1)
    fit(data(), model, folder=tmp_path / "run", training=config, quiet=True)
    rows = [line.split(",") for line in (tmp_path / "run" / "metrics.csv").read_text().splitlines()]
    column = {name: place for place, name in enumerate(rows[0])}
    train = [row for row in rows[1:] if row[column["split"]] == "train"]
    assert [bool(row[column["judge"]]) for row in train] == [True] * 4 + [False] * 4
    assert [bool(row[column["fool"]]) for row in train] == [False] * 4 + [True] * 4
    assert all(not torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_operator_is_fitted_on_the_training_sequences_and_saved(tmp_path):
    run = fit(
        data(), "toy_operator", folder=tmp_path / "run", training=TrainingConfig(**TRAINING), quiet=True
    )
    sequences = data()
    x = sequences.batch(sequences.splits["train"]).x
    with torch.no_grad():
        d = run.model.encoder(x)[..., 3:].double()
    expected = np.linalg.lstsq(d[:, :-1].reshape(-1, 2).numpy(), d[:, 1:].reshape(-1, 2).numpy(), rcond=None)[
        0
    ]
    assert np.allclose(load_model(tmp_path / "run").operator.numpy(), expected, atol=1e-4)


def test_the_table_has_a_row_per_training_sequence_and_the_index_counts_in_train(tmp_path):
    sequences = data()
    run = fit(
        sequences, "toy_table", folder=tmp_path / "run", training=TrainingConfig(**TRAINING), quiet=True
    )
    count = len(sequences.splits["train"])
    assert run.model.settings["sequences"] == count == run.model.rows.num_embeddings
    with torch.random.fork_rng():
        torch.manual_seed(0)
        start = toys.Table((7,), sequences=count).rows.weight
    assert (start != run.model.rows.weight).all()  # every row was trained, and no other exists


def test_three_factors_are_exchanged_one_by_one():
    model = build_small("toy_operator", (7,), {}).eval()
    codes = encode(model, data())
    a, b = codes[:3], codes[3:6]
    for name, factor in model.factors.items():
        mixed = a.exchange(b, factor)
        columns = slice(None) if factor.columns is None else list(factor.columns)
        assert torch.equal(getattr(mixed, factor.code)[..., columns], getattr(b, factor.code)[..., columns])
        assert torch.equal(swap(model, a, b, name), decode(model, mixed))
        back = mixed.exchange(a, factor)
        assert torch.equal(back.static, a.static) and torch.equal(back.dynamic, a.dynamic)
    with pytest.raises(ValueError, match="no factor 'hair'; it has fast, slow, static"):
        swap(model, a, b, "hair")
    with pytest.raises(
        ValueError, match="single coordinates can be exchanged between sequences of one length"
    ):
        a.exchange(type(a)(b.static, b.dynamic[:, :3]), model.factors["slow"])


def test_static_codes_without_a_prior_are_dealt_out():
    model = build_small("toy_operator", (7,), {}).eval()
    codes = encode(model, data())
    dealt = with_drawn_static(model, codes, torch.Generator().manual_seed(0))
    assert torch.equal(dealt.dynamic, codes.dynamic)
    assert (dealt.static != codes.static).any(1).all()
    order = [int(torch.where((codes.static == row).all(1))[0][0]) for row in dealt.static]
    assert sorted(order) == list(range(len(codes)))
    with pytest.raises(ValueError, match=r"toy_operator has no prior of the dynamic code"):
        with_drawn_dynamic(model, codes, torch.Generator())


def test_generation_of_every_toy():
    for name in toys.TOYS:
        model = build_small(name, (7,), {}).eval()
        if not model.can("encode"):
            with pytest.raises(ValueError, match="toy_adversarial has no encoder"):
                encode(model, data())
            continue
        codes = encode(model, data())[:4]
        assert cross(model, codes).shape == (4, 4, 6, 7)
        assert interpolate(model, codes[:2], codes[2:], 3).shape == (3, 2, 6, 7)


def test_the_bound_of_a_joint_posterior_is_that_of_a_dense_gaussian():
    """elbo of the smooth toy against multivariate normals over the whole path, padding left out."""
    model = build_small("toy_smooth", (7,), {}).double().eval()
    x = torch.rand(1, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = torch.arange(6)[None] < 4
    posterior = model.posterior(x, mask)
    dense_q = [
        torch.distributions.MultivariateNormal(
            posterior.dynamic.mean[0, :4, k], posterior.dynamic.covariance[0, k, :4, :4]
        )
        for k in range(2)
    ]
    prior = model.prior(posterior.dynamic.mean)
    dense_p = [
        torch.distributions.MultivariateNormal(
            torch.zeros(4, dtype=torch.float64), prior.covariance[0, k, :4, :4]
        )
        for k in range(2)
    ]
    expected = sum(torch.distributions.kl_divergence(q, p) for q, p in zip(dense_q, dense_p, strict=True))
    assert torch.allclose(model.kl_dynamic(posterior, posterior.mean, mask), expected)
