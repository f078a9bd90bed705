import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from unbraid.data.sequences import Sequences
from unbraid.models.build import build_model
from unbraid.objectives.schedules import learning_rate_share, weight_at
from unbraid.training import TrainingConfig, fit, open_run, pace
from unbraid.training.batches import Batches
from unbraid.training.pace import fit_into_minutes
from unbraid.training.phases import TrainingStep
from unbraid.training.plan import budget

SETTINGS = {"width": 4, "static_size": 3, "dynamic_size": 4, "features": 8, "hidden": 6}


def tiny_data(n=30) -> Sequences:
    random = np.random.default_rng(0)
    return Sequences.from_arrays(random.random((n, 4, 5), dtype=np.float32), name="noise")


def test_batches_visit_every_row_once_an_epoch_in_a_new_order():
    batches = Batches(np.arange(100, 150), 10, seed=3)
    first, second = np.concatenate(list(batches)), np.concatenate(list(batches))
    assert sorted(first) == sorted(second) == list(range(100, 150))
    assert not np.array_equal(first, second)
    again = Batches(np.arange(100, 150), 10, seed=3)
    assert np.array_equal(first, np.concatenate(list(again)))


@pytest.mark.parametrize("taken", [0, 1, 4, 5, 7])
def test_batches_go_on_where_they_were_left(taken):
    def stream(batches):
        while True:
            yield from batches

    whole = Batches(np.arange(53), 10, seed=1)
    source = stream(whole)
    expected = [next(source) for _ in range(12)]
    left = Batches(np.arange(53), 10, seed=1)
    source = stream(left)
    for _ in range(taken):
        next(source)
    taken_up = Batches(np.arange(53), 10, seed=1)
    taken_up.load_state_dict(left.state_dict())
    source = stream(taken_up)
    for rows in expected[taken:]:
        assert np.array_equal(rows, next(source))


def test_validation_batches_leave_nothing_out():
    assert np.concatenate(list(Batches(np.arange(23), 5))).tolist() == list(range(23))
    assert len(Batches(np.arange(23), 5)) == 5


def test_weight_schedule():
    points = [[0.0, 0.6], [0.5, 0.6], [1.0, 0.2]]
    assert weight_at(0.3, 0.9) == 0.3
    assert weight_at(points, 0.2) == 0.6
    assert weight_at(points, 0.75) == pytest.approx(0.4)
    assert weight_at(points, 1.0) == pytest.approx(0.2)


def test_learning_rate_schedule():
    assert learning_rate_share(0, 100, 10, "constant") == pytest.approx(0.1)
    assert learning_rate_share(50, 100, 0, "constant") == 1
    assert learning_rate_share(0, 100, 0, "cosine") == 1
    assert learning_rate_share(50, 100, 0, "cosine") == pytest.approx(0.505)
    assert learning_rate_share(100, 100, 0, "cosine") == pytest.approx(0.01)


def test_total_is_the_weighted_sum_of_the_terms():
    config = TrainingConfig(batch_size=4, weights={"kl_static": 0.5, "reconstruction_anchor": 0.0})
    data = tiny_data()
    model = build_model("dbse", data.observation, **SETTINGS)
    step = TrainingStep(model, config, 10, len(data), torch.Generator().manual_seed(0))
    losses = step.take(data.batch(np.arange(4)), 0)
    expected = losses.terms["reconstruction"] + 0.5 * losses.terms["kl_static"] + losses.terms["kl_dynamic"]
    assert losses.total.item() == pytest.approx(expected.item(), rel=1e-6)
    assert losses.sequences == 4


def test_a_phase_whose_terms_all_have_weight_0_takes_no_step():
    model = build_model("dbse", tiny_data().observation, **SETTINGS)
    weights = dict.fromkeys(("reconstruction", "reconstruction_anchor", "kl_static", "kl_dynamic"), 0.0)
    step = TrainingStep(model, TrainingConfig(batch_size=4, weights=weights), 10, 4, torch.Generator())
    before = [parameter.clone() for parameter in model.parameters()]
    assert step.take(tiny_data().batch(np.arange(4)), 0).total.item() == 0
    assert all(map(torch.equal, before, model.parameters()))


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("seed", -1, "training.seed: -1 must be at least 0"),
        ("warmup_steps", -3, "training.warmup_steps: -3 must be at least 0"),
        ("beta2", 1.5, "training.beta2: 1.5 must be at least 0 and below 1"),
    ],
)
def test_settings_out_of_range_are_refused(setting, value, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**{setting: value})


def test_fit_learns_and_leaves_a_whole_run(tmp_path):
    time = np.linspace(0, 6, 8, dtype=np.float32)
    level = np.random.default_rng(0).random((80, 1, 1), dtype=np.float32) * 4 - 2
    phase = np.random.default_rng(1).random((80, 1), dtype=np.float32) * 6
    data = Sequences.from_arrays(
        np.concatenate([level.repeat(8, 1), np.sin(time + phase)[..., None]], 2), name="waves"
    )
    training = TrainingConfig(
        max_epochs=60, batch_size=16, learning_rate=5e-3, weights={"kl_static": 0.05, "kl_dynamic": 0.05}
    )
    settings = SETTINGS | {"width": 16, "hidden": 16, "features": 16}
    before = torch.random.get_rng_state()
    run = fit(data, "dbse", folder=tmp_path / "run", settings=settings, training=training, quiet=True)
    assert torch.equal(before, torch.random.get_rng_state()), "training used the global random state"
    test = data.batch(data.splits["test"])
    with torch.no_grad():
        error = (run.model.reconstruct(test.x) - test.x).square().sum((1, 2)).mean()
    floor = (test.x - data.batch(data.splits["train"]).x.mean(0)).square().sum((1, 2)).mean()
    assert error < 0.2 * floor
    for name in (
        "config.yaml",
        "environment.json",
        "metrics.csv",
        "model/model.safetensors",
        "model/model.json",
    ):
        assert (run.folder / name).exists()
    again = open_run(run.folder)
    assert again.config["training"]["max_epochs"] == 60
    with torch.no_grad():
        assert torch.equal(again.model.encode(test.x).static, run.model.encode(test.x).static)


def test_lengths_and_masks_train(tmp_path):
    random = np.random.default_rng(0)
    x = random.random((30, 6, 5), dtype=np.float32)
    x[:, 4:] = np.nan
    data = Sequences.from_arrays(x, lengths=random.integers(2, 5, 30), name="ragged")
    run = fit(
        data,
        "dbse",
        folder=tmp_path / "run",
        settings=SETTINGS,
        training=TrainingConfig(max_epochs=2, batch_size=8),
        quiet=True,
    )
    assert all(torch.isfinite(value).all() for value in run.model.state_dict().values())


def test_a_training_that_diverges_says_so_and_stops(tmp_path):
    training = TrainingConfig(max_epochs=20, batch_size=10, learning_rate=1e30, log_every_steps=2)
    with pytest.raises(
        ValueError, match=r"reconstruction,.* became NaN or infinite before step \d+.* lower training"
    ):
        fit(tiny_data(), "dbse", folder=tmp_path / "run", settings=SETTINGS, training=training, quiet=True)


def test_minutes_end_a_training_cleanly(tmp_path):
    training = TrainingConfig(max_epochs=1000, batch_size=8, max_minutes=0.02, fitted_steps=100_000)
    run = fit(tiny_data(), "dbse", folder=tmp_path / "run", settings=SETTINGS, training=training, quiet=True)
    assert (run.folder / "model" / "model.json").exists()


def test_schedules_end_with_the_minutes(tmp_path, monkeypatch):
    """Steps of an eighth of a second: 40 of them fit into 85% of 6 seconds. Resume reads that number from the settings."""
    monkeypatch.setattr(pace, "seconds_of", lambda run, device: run() and 0.125)
    training = TrainingConfig(max_epochs=1000, batch_size=8, max_minutes=0.1, device="cpu")
    data, built = tiny_data(), build_model("dbse", tiny_data().observation, **SETTINGS)
    before = {name: value.clone() for name, value in built.state_dict().items()}
    assert fit_into_minutes(training, built, data) == replace(training, fitted_steps=40)
    assert all(torch.equal(value, before[name]) for name, value in built.state_dict().items())
    few = replace(training, max_epochs=2)
    assert fit_into_minutes(few, built, data) == few  # it ends before
    monkeypatch.setattr(pace, "seconds_of", lambda run, device: run() and 1.0)
    logged = replace(training, schedule="cosine", log_every_steps=1)
    run = fit(data, "dbse", folder=tmp_path / "run", settings=SETTINGS, training=logged, quiet=True)
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert config["training"]["fitted_steps"] == 5 and config["training"]["max_epochs"] == 1000
    with open(run.folder / "metrics.csv", newline="") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file) if row["split"] == "train"]
    assert rates == pytest.approx([1e-3 * learning_rate_share(step, 6, 0, "cosine") for step in range(6)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {"weights": {"kl_statik": 1.0}}}, "did you mean 'kl_static'"),
        ({"settings": {"statik_size": 3}}, "did you mean 'static_size'"),
        ({"model": "dbze"}, "did you mean 'dbse'"),
    ],
)
def test_wrong_names_are_refused_before_a_folder_is_made(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        fit(
            tiny_data(),
            change.get("model", "dbse"),
            folder=tmp_path / "run",
            settings=change.get("settings", SETTINGS),
            training=TrainingConfig(**change.get("training", {})),
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_epochs", 0),
        ("batch_size", 1),
        ("learning_rate", -1.0),
        ("kernel_heads", True),
        ("weights", {"kl_static": -1.0}),
        ("weights", {"kl_static": [[0.5, 1.0], [0.1, 2.0]]}),
        ("weights", {"kl_static": "much"}),
    ],
)
def test_bad_settings_are_named(setting, value):
    with pytest.raises(ValueError, match=f"training.{setting}"):
        TrainingConfig(**{setting: value})


def test_several_passes_are_one_epoch_and_can_be_interrupted_anywhere():
    def drawn(batches):
        return [batch.tolist() for batch in batches]

    epochs = Batches(np.arange(23), 5, seed=1, passes=3)
    assert len(epochs) == 12
    first, second = drawn(epochs), drawn(epochs)
    single = Batches(np.arange(23), 5, seed=1)
    assert first + second == [batch for _ in range(6) for batch in drawn(single)]
    resumed = Batches(np.arange(23), 5, seed=1, passes=3)
    for batch, _ in zip(resumed, range(7), strict=False):
        assert batch.tolist() in first
    again = Batches(np.arange(23), 5, seed=1, passes=3)
    again.load_state_dict(resumed.state_dict())
    rest = drawn(again)
    assert rest == first[-len(rest) :] and 0 < len(rest) < 6


def test_a_budget_in_steps_makes_epochs_of_enough_steps():
    rows = np.arange(36)
    batches, epochs = budget(rows, TrainingConfig(batch_size=32, steps=800))
    assert len(batches) == 50 and epochs == 16
    batches, epochs = budget(np.arange(6400), TrainingConfig(batch_size=32, steps=800))
    assert len(batches) == 200 and epochs == 4
    batches, epochs = budget(rows, TrainingConfig(batch_size=32, steps=3))
    assert len(batches) * epochs == 3
    batches, epochs = budget(rows, TrainingConfig(batch_size=32, max_epochs=7))
    assert len(batches) == 1 and epochs == 7
