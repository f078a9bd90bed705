"""Models that ask for views: drawn by the plan, seeded, resumed bit for bit, refused where they cannot be had."""

import csv
import dataclasses
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences
from unbraid.models.build import build_model
from unbraid.models.c_dsvae import CDSVAE
from unbraid.training import TrainingConfig, fit, resume
from unbraid.training.callbacks.checkpoints import Checkpoints
from unbraid.training.phases import TrainingStep, complete
from unbraid.training.plan import Plan

SETTINGS = {"width": 4, "static_size": 3, "dynamic_size": 4, "features": 8, "hidden": 6}


def frames(n=34, steps=4):
    random = np.random.default_rng(0)
    return Sequences.from_arrays(random.integers(0, 255, (n, steps, 3, 16, 16), dtype=np.uint8), name="noise")


def config(**changes):
    return TrainingConfig(**{"max_epochs": 2, "batch_size": 8, "log_every_steps": 1, **changes})


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def rows(folder, split):
    with open(folder / "metrics.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    fit(frames(), "c_dsvae", folder=folder, settings=SETTINGS, training=config(), quiet=True)
    return folder


def test_terms_and_validation_are_logged(whole):
    """27 training sequences in batches of 8: the last three take no part. 3 validation sequences: one short batch."""
    train, validation = rows(whole, "train"), rows(whole, "validation")
    assert len(train) == 6 and len(validation) == 2
    for row in [*train, *validation]:
        for name in ("contrastive_static", "contrastive_dynamic", "mi_static_dynamic"):
            assert math.isfinite(float(row[name]))
    most = math.log(27 * 8)
    assert all(0 <= float(row["mi_static_dynamic"]) <= most + 1e-3 for row in train)


@pytest.mark.parametrize("writes", [1, 3, 4])
def test_resumed_equals_uninterrupted(whole, tmp_path, monkeypatch, writes):
    """The views are drawn from the plan's noise, whose state is in every checkpoint."""
    folder, write, count = tmp_path / "run", Checkpoints.write, 0

    def write_then_break(self, trainer, plan):
        nonlocal count
        write(self, trainer, plan)
        count += 1
        if count == writes:
            raise InterruptedError

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(Checkpoints, "write", write_then_break)
        often = config(checkpoint_minutes=1e-9)
        fit(frames(), "c_dsvae", folder=folder, settings=SETTINGS, training=often, quiet=True)
    resume(folder, frames(), quiet=True)
    expected, resumed = weights(whole), weights(folder)
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    drop = ("seconds", "sequences_per_second")
    assert [{k: v for k, v in row.items() if k not in drop} for row in rows(whole, "validation")] == [
        {k: v for k, v in row.items() if k not in drop} for row in rows(folder, "validation")
    ]


def test_validation_sees_the_same_views_at_every_epoch():
    data = frames()
    plan = Plan(build_model("c_dsvae", data.observation, **SETTINGS).eval(), data, config())
    first, second = (plan.validation_step(plan.read(data.splits["validation"]), 0) for _ in range(2))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_training_draws_new_views_for_every_batch(monkeypatch):
    data, batches = frames(), []
    model = build_model("c_dsvae", data.observation, **SETTINGS)
    terms = CDSVAE.terms
    monkeypatch.setattr(CDSVAE, "terms", lambda self, b, *rest: batches.append(b) or terms(self, b, *rest))
    step = TrainingStep(model, config(), 10, 27, torch.Generator().manual_seed(0))
    for number in range(2):
        step.take(data.batch(np.arange(8)), number)
    first, second = (batch.views["static"].order for batch in batches)
    assert not torch.equal(first, second)
    assert {batch.dataset_size for batch in batches} == {27}


def test_models_without_views_get_none():
    data, noise = frames(), torch.Generator().manual_seed(0)
    before = noise.get_state()
    batch = complete(build_model("dsvae", data.observation, **SETTINGS), data.batch(np.arange(4)), 27, noise)
    assert batch.views == {} and torch.equal(before, noise.get_state())


def test_a_validation_batch_of_one_breaks_nothing(tmp_path):
    """11 sequences: one for validation."""
    data = frames(11)
    assert len(data.splits["validation"]) == 1
    run = fit(data, "c_dsvae", folder=tmp_path / "run", settings=SETTINGS, training=config(), quiet=True)
    assert all(math.isfinite(float(row["total"])) for row in rows(run.folder, "validation"))


def test_other_voices_are_read_with_their_sequences(tmp_path):
    """Trained on data that hold them; refused, before anything is written, on data that do not."""
    random = np.random.default_rng(0)
    x = random.random((30, 6, 9), dtype=np.float32)
    plain = Sequences.from_arrays(x, name="words", lengths=random.integers(2, 7, 30))
    data = dataclasses.replace(plain, other_voices=np.stack([x + 1, x + 2], 1).astype(np.float16))
    batch = data.batch(np.array([4, 2]))
    np.testing.assert_array_equal(batch.other_voices.numpy(), data.other_voices[[4, 2]])
    settings = SETTINGS | {"dynamic_view": "voice", "dynamic_hidden": 4}
    run = fit(data, "braid", folder=tmp_path / "run", settings=settings, training=config(), quiet=True)
    assert all(math.isfinite(float(row["total"])) for row in rows(run.folder, "validation"))
    with pytest.raises(ValueError, match="load sounds with other_voices=8"):
        fit(plain, "braid", folder=tmp_path / "none", settings=settings, training=config(), quiet=True)
    assert not (tmp_path / "none").exists()
    rescaled = data.rescaled(Scaling(np.full(9, 2.0), np.full(9, 4.0)))
    inside = data.observed()
    np.testing.assert_allclose(rescaled.other_voices[:, 1][inside], (x[inside] + 2 - 2) / 4, atol=1e-3)
    assert not rescaled.other_voices[:, 1][~inside].any()
    with pytest.raises(ValueError, match="other_voices: has shape"):
        dataclasses.replace(plain, other_voices=x)


def test_sequences_of_different_lengths(tmp_path):
    random = np.random.default_rng(0)
    data = Sequences.from_arrays(
        random.random((30, 6, 9), dtype=np.float32), lengths=random.integers(2, 7, 30), name="ragged"
    )
    for settings in (
        {},
        {"pair_estimate": "trajectory", "static_estimate": "mws", "dynamic_estimate": "mws"},
    ):
        run = fit(
            data,
            "c_dsvae",
            folder=tmp_path / str(len(settings)),
            settings=SETTINGS | settings,
            training=config(),
            quiet=True,
        )
        assert all(torch.isfinite(value).all() for value in run.model.state_dict().values())


@pytest.mark.parametrize(
    ("data", "settings", "told"),
    [
        (lambda: frames(steps=1), {}, "sequences have 1 step; at least 2 are needed"),
        (frames, {"dynamic_view": "spectrum"}, "'spectrum' .the dynamic view. does not suit observations"),
    ],
)
def test_data_that_cannot_have_the_views(tmp_path, data, settings, told):
    with pytest.raises(ValueError, match=told):
        fit(data(), "c_dsvae", folder=tmp_path / "run", settings=SETTINGS | settings, training=config())
    assert not (tmp_path / "run").exists()


def test_batches_without_negatives_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"training\.batch_size: 1 is too small"):
        config(batch_size=1)
    data = frames(3)
    with pytest.raises(ValueError, match="1 training sequence is too few; 2 are needed"):
        fit(data, "c_dsvae", folder=tmp_path / "run", settings=SETTINGS, training=config())
    assert not (tmp_path / "run").exists()


def test_speed_covers_models_with_views():
    from unbraid.benchmark.speed import measure

    figures = measure("c_dsvae", "sprites", batch=2, steps=1, settings=SETTINGS, product_seconds=0.01)
    assert figures["train"]["gflop_per_step"] > 4 * figures["encode"]["gflop_per_step"]
