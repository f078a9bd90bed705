"""Train, score and report from Python: the model and the data are handed on, and nothing differs from reading them back."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

import unbraid as ub
from unbraid import workflow
from unbraid.cli import main
from unbraid.data.features import Sound
from unbraid.generation import encode

SMALL = {
    "model.width": 4,
    "model.features": 8,
    "model.hidden": 8,
    "model.static_size": 8,
    "model.dynamic_size": 8,
    "training.max_epochs": 1,
    "training.batch_size": 8,
    "training.device": "cpu",
}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Settings of a training on an array without labels."""
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    x = np.random.default_rng(0).integers(0, 256, (40, 4, 3, 16, 16), np.uint8)
    np.save(tmp_path / "x.npy", x)
    return ub.resolve_recipe("own/dbse", SMALL | {"data.name": tmp_path / "x.npy"})


@pytest.fixture
def count(monkeypatch):
    """Counts calls of a function of a module."""
    calls = []

    def wrap(module, name):
        original = getattr(module, name)

        def counted(*args, **options):
            calls.append(name)
            return original(*args, **options)

        monkeypatch.setattr(module, name, counted)

    return calls, wrap


def test_train_score_and_report_in_one_call(config, tmp_path, count):
    import unbraid.data.load
    import unbraid.training.run

    calls, wrap = count
    wrap(unbraid.data.load, "load")
    wrap(unbraid.training.run, "load_model")
    run, errors = workflow.train_score_report(config, tmp_path / "run", ["generation"], {"repeats": 1})
    assert errors == {} and calls == ["load"]
    assert run.config["data"] == config["data"] and run.config["model"] == config["model"]
    assert (run.folder / "report.html").is_file()
    scores = json.loads((run.folder / "evaluation" / "generation.json").read_text())
    assert scores["protocol"]["split"] == "test"


def test_the_model_handed_on_is_the_one_on_disk(config, tmp_path):
    data = ub.load(tmp_path / "x.npy")
    run = workflow.train(config, tmp_path / "run", data)
    stored = ub.load_model(run.folder)
    assert not run.model.training and next(run.model.parameters()).device.type == "cpu"
    for name, value in stored.state_dict().items():
        assert torch.equal(value, run.model.state_dict()[name]), name
    ours, theirs = encode(run.model, data), encode(stored, data)
    assert torch.equal(ours.static, theirs.static) and torch.equal(ours.dynamic, theirs.dynamic)
    score = partial(workflow.score, data=data, protocols=["generation"], options={"repeats": 1})
    assert score(run) == {}
    first = (run.folder / "evaluation" / "generation.json").read_text()
    assert score(ub.open_run(run.folder)) == {}
    assert (run.folder / "evaluation" / "generation.json").read_text() == first


def test_an_error_in_one_protocol_does_not_stop_the_others(config, tmp_path):
    data = ub.load(tmp_path / "x.npy")
    run = workflow.train(config, tmp_path / "run", data)
    errors = workflow.score(run, data, ["verification", "generation"], {"repeats": 1})
    assert set(errors) == {"verification"}
    assert (run.folder / "evaluation" / "generation.json").is_file()
    with pytest.raises(ValueError, match="generation"):
        workflow.score(run, data, ["genration"])


def test_a_folder_is_never_overwritten_and_refused_before_work(config, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    for train in (workflow.train, workflow.train_score_report):
        with pytest.raises(FileExistsError, match="exists and holds no run; it is never overwritten"):
            train(config | {"data": {"name": "no/such"}}, tmp_path / "run")
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    monkeypatch.chdir(tmp_path)
    assert workflow.run_folder(config).as_posix() == "runs/x-dbse-1"
    (tmp_path / "runs" / "x-dbse-1").mkdir(parents=True)
    assert workflow.run_folder(config).as_posix() == "runs/x-dbse-2"


def test_a_finished_run_is_resumed_with_its_data(config, tmp_path):
    run = workflow.train(config, tmp_path / "run")
    again, data = workflow.resume(run.folder)
    assert data.fingerprint == ub.load(tmp_path / "x.npy").fingerprint
    assert torch.equal(encode(run.model, data).static, encode(again.model, data).static)


def test_data_that_grew_are_not_scored(config, tmp_path):
    run = workflow.train(config, tmp_path / "run")
    x = np.load(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.concatenate([x, x[:8]]))
    data = ub.load(tmp_path / "x.npy")
    assert set(data.splits["test"]) != set(ub.Sequences.from_arrays(x).splits["test"])
    with pytest.raises(
        ValueError, match=r"data: fingerprint .* differs from .*run was started on.*Put the data back"
    ):
        workflow.score(run, data, ["generation"])
    assert not (run.folder / "evaluation").exists()
    assert main(["evaluate", str(run.folder)]) == 2


KINDS = {
    "own/dbse": ub.Sequences(np.zeros((12, 4, 3, 16, 16), np.uint8), "clips"),
    "own/braid-series": ub.Sequences(np.ones((12, 4, 6, 2), np.float32), "windows"),
    "own/braid-sound": ub.Sequences(np.ones((12, 9, 80), np.float32), "sounds", sound=Sound("mel80", 8000)),
}


@pytest.mark.parametrize("recipe", KINDS)
def test_without_a_method_the_recipe_of_the_kind_is_trained(recipe, tmp_path, monkeypatch):
    x = np.random.default_rng(0).random(KINDS[recipe].x.shape)
    x = (255 * x).astype(np.uint8) if recipe == "own/dbse" else x.astype(np.float32)
    splits = {"train": np.arange(8), "validation": np.arange(8, 12)}
    data = replace(KINDS[recipe], x=x, splits=splits)
    wanted = ub.resolve_recipe(replace(ub.read_recipe(recipe), data={"name": "puppets"}))
    short = {"steps": 2, "batch_size": 4, "weights": {"kl_static": 0.7}}
    run = workflow.fit(data, folder=tmp_path / "short", training=short, quiet=True)
    assert run.config["model"] == wanted["model"]
    weights = wanted["training"]["weights"] | {"kl_static": 0.7}
    assert run.config["training"] == wanted["training"] | short | {"weights": weights}
    small = {"static_size": 3}
    run = workflow.fit(data, folder=tmp_path / "small", settings=small, training={"steps": 1}, quiet=True)
    assert run.config["model"] == wanted["model"] | small
    monkeypatch.setattr(workflow, "fit_model", lambda data, model, **options: (model, options["training"]))
    assert workflow.fit(data) == (wanted["model"]["name"], ub.TrainingConfig(**wanted["training"]))
    assert workflow.fit(data, "dbse") == ("dbse", None)
    assert workflow.fit(data, "dbse", training={"steps": 5}) == ("dbse", ub.TrainingConfig(steps=5))


def test_fit_refuses_what_it_would_misread(tmp_path):
    data = KINDS["own/braid-series"]
    for wrong, words in (
        ({"training": ub.TrainingConfig(steps=1)}, "training: a TrainingConfig would replace"),
        ({"training": {"step": 1}}, r"training\.step: there is no such setting; did you mean 'steps'"),
    ):
        with pytest.raises(ValueError, match=words):
            workflow.fit(data, folder=tmp_path / "run", **wrong)
    with pytest.raises(ValueError, match=r"data: found str; give the data set of unbraid\.load"):
        workflow.fit("my_videos")
    assert not (tmp_path / "run").exists()


def test_a_run_from_python_remembers_how_its_files_were_read(tmp_path, monkeypatch):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    rows = ["unit,time,a,b"]
    rows += [f"{unit},{hour},{random.random()},{random.random()}" for unit in range(12) for hour in range(9)]
    (tmp_path / "my table.csv").write_text("\n".join(rows))
    data = ub.load("my table.csv", id="unit", time="time", time_format="h", window=3)
    run = workflow.fit(
        data, folder=tmp_path / "run", training={"steps": 1}, settings={"width": 4}, quiet=True
    )
    assert run.config["data"] == data.source
    assert data.source == {
        "name": str(tmp_path / "my table.csv"),
        "id": "unit",
        "time": "time",
        "time_format": "h",
        "window": 3,
    }
    codes = encode(run.model, data)
    assert main(["encode", "run", "my table.csv", "--output", "codes.npz"]) == 0
    assert np.load("codes.npz")["static"].shape == tuple(codes.static.shape)
    assert main(["swap", "run", "test:0", "validation:0", "--output", "swap.npy"]) == 0
