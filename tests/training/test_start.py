"""Training that starts from a trained model."""

import json

import numpy as np
import pytest
import torch

from unbraid.benchmark.identity import settings_hash
from unbraid.cli import main
from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences
from unbraid.io import load_features, load_model
from unbraid.recipes import recipe_from_run, resolve_recipe
from unbraid.training import TrainingConfig, fit, open_run, resume
from unbraid.training.callbacks.checkpoints import Checkpoints
from unbraid.training.run import load_run_data

SETTINGS = {"width": 4, "static_size": 3, "dynamic_size": 4, "features": 8, "hidden": 6}
TRAINING = {"max_epochs": 2, "batch_size": 8, "checkpoint_minutes": 1e-9, "device": "cpu"}
SMALL = [f"--model.{name}={size}" for name, size in SETTINGS.items()]
BRIEF = ["--training.steps", "4", "--training.batch_size", "4", "--training.device", "cpu", "--no-evaluate"]


def data(seed, features=5):
    x = np.random.default_rng(seed).normal(size=(40, 4, features)).astype(np.float32)
    return Sequences.from_arrays(x, name="noise")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first") / "run"
    return fit(
        data(0), "dbse", folder=folder, settings=SETTINGS, training=TrainingConfig(**TRAINING), quiet=True
    )


def from_first(first, **changes):
    return TrainingConfig(**TRAINING | {"start_from": str(first.folder), **changes})


def same(model, other):
    values = other.state_dict()
    return all(torch.equal(value, values[name]) for name, value in model.state_dict().items())


def test_training_starts_from_the_weights(first, tmp_path):
    """With steps that change next to nothing, the result is the model that training started from."""
    training = from_first(first, learning_rate=1e-12)
    run = fit(data(1), "dbse", folder=tmp_path / "run", settings=SETTINGS, training=training, quiet=True)
    for name, value in first.model.named_parameters():
        assert torch.allclose(value, run.model.get_parameter(name), atol=1e-7)
    assert same(load_model(tmp_path / "run" / "start"), first.model)


def test_the_weights_are_part_of_the_identity_and_their_place_is_not(first, tmp_path):
    moved = first.model.save_pretrained(tmp_path / "moved")
    configs = [
        fit(
            data(1),
            "dbse",
            folder=tmp_path / f"run{number}",
            settings=SETTINGS,
            training=training,
            quiet=True,
        ).config
        for number, training in enumerate((from_first(first), from_first(first, start_from=str(moved))))
    ]
    without = {name: value for name, value in configs[0]["training"].items() if not name.startswith("start_")}
    configs.append(configs[0] | {"training": without})
    stored = json.loads((first.folder / "model" / "model.json").read_text())["weights_sha256"]
    assert configs[0]["training"]["start_sha256"] == stored
    hashes = [settings_hash(config) for config in configs]
    assert hashes[0] == hashes[1] != hashes[2]
    with pytest.raises(ValueError, match=r"training.start_from: the weights .* not 0000"):
        fit(
            data(1),
            "dbse",
            folder=tmp_path / "no",
            settings=SETTINGS,
            training=from_first(first, start_sha256="0000"),
        )
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("writes", [1, 3])
def test_a_resumed_training_is_that_of_one_that_ran_through(first, tmp_path, monkeypatch, writes):
    """Broken off, with the model that it started from gone."""
    start = first.model.save_pretrained(tmp_path / "start")
    training = from_first(first, start_from=str(start))
    whole = fit(data(1), "dbse", folder=tmp_path / "whole", settings=SETTINGS, training=training, quiet=True)
    write, count = Checkpoints.write, 0

    def write_then_break(self, trainer, plan):
        nonlocal count
        if writes > 1 or count > 0:
            write(self, trainer, plan)
        count += 1
        if count == writes:
            raise KeyError("broken off")

    with monkeypatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(Checkpoints, "write", write_then_break)
        fit(data(1), "dbse", folder=tmp_path / "run", settings=SETTINGS, training=training, quiet=True)
    start.rename(tmp_path / "elsewhere")
    assert same(resume(tmp_path / "run", data(1), quiet=True).model, whole.model)


@pytest.mark.parametrize(
    ("model", "settings", "features", "text"),
    [
        (
            "dbse",
            SETTINGS | {"static_size": 5},
            5,
            r"has decoder.0.weight of shape \(8, 7\), this model of \(8, 9\)",
        ),
        ("dbse", SETTINGS, 6, r"reads observations \(5,\); the data have \(6,\)"),
        ("vae", {"dynamic_size": 4}, 5, "is a model of dbse, not of vae"),
    ],
)
def test_what_does_not_fit_is_refused(first, tmp_path, model, settings, features, text):
    with pytest.raises(ValueError, match=text):
        fit(
            data(1, features),
            model,
            folder=tmp_path / "run",
            settings=settings,
            training=from_first(first),
            quiet=True,
        )
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two tables of one machine's sensors; the second runs hotter."""
    pytest.importorskip("pandas")
    folder = tmp_path_factory.mktemp("tables")
    random = np.random.default_rng(0)
    for name, hotter in (("before", 0.0), ("after", 30.0)):
        rows = ["id,hour,heat,speed"]
        for series in range(12):
            heat, speed = random.normal(50 + hotter, 4, 12), random.normal(9, 2, 12)
            rows += [f"{series},{t},{heat[t]:.3f},{speed[t]:.3f}" for t in range(12)]
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def before(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "before"
    table = [
        "--data",
        str(tables / "before.csv"),
        "--data.id",
        "id",
        "--data.time",
        "hour",
        "--data.time_format",
        "h",
        "--data.window",
        "4",
    ]
    assert main(["train", *table, "--model", "dbse", "--run", str(folder), *SMALL, *BRIEF]) == 0
    return folder


@pytest.mark.parametrize("scaling", ["keep", "learn"])
def test_the_scaling_is_kept_or_learned_anew(tables, before, tmp_path, scaling):
    folder, table = tmp_path / "after", str(tables / "after.csv")
    words = ["train", "--from", str(before), "--data", table, "--scaling", scaling, "--run", str(folder)]
    assert main([*words, *BRIEF]) == 0
    old, new = (load_features(place).scaling for place in (before, folder))
    run = open_run(folder)
    x = load_run_data(run.config).x
    if scaling == "keep":
        assert new.to_json() == old.to_json()
        assert run.config["data"]["scaling"] == old.to_json()
        assert 5 < x[..., 0].mean() < 10  # 30 degrees above the old mean, in old deviations of 4
    else:
        assert new.mean[0] == pytest.approx(old.mean[0] + 30, abs=2)
        assert "scaling" not in run.config["data"]
    assert run.config["training"]["start_from"] == str(before)
    config = resolve_recipe(recipe_from_run(str(folder)), {"training.seed": 3})
    assert config["data"] == run.config["data"]


def test_other_columns_are_refused(tables, before, tmp_path, capsys):
    text = (tables / "after.csv").read_text().replace("heat", "noise")
    (tmp_path / "other.csv").write_text(text)
    assert main(["train", "--from", str(before), "--data", str(tmp_path / "other.csv"), *BRIEF]) == 2
    assert "heat" in capsys.readouterr().err


def test_rescaled_data_are_the_raw_ones_in_the_other_scaling():
    x = np.random.default_rng(0).normal(3, 2, (6, 4, 2)).astype(np.float32)
    one, other = (
        Scaling(np.array([3.0, 3.0]), np.array([2.0, 2.0])),
        Scaling(np.array([1.0, -1.0]), np.array([0.5, 4.0])),
    )
    mask = np.random.default_rng(1).random((6, 4, 2)) > 0.3
    mask[:, -1] = True
    scaled = Sequences(one.apply(x), mask=mask, scaling=one).rescaled(other)
    expected = np.where(mask, (x - other.mean) / other.std, 0)
    assert np.allclose(scaled.x, expected, atol=1e-5) and scaled.scaling is other
    assert np.allclose(Sequences(x).rescaled(other).x, (x - other.mean) / other.std, atol=1e-5)
    with pytest.raises(ValueError, match="scaling: is for 3 features; arrays has 2"):
        Sequences(x).rescaled(Scaling(np.zeros(3), np.ones(3)))
