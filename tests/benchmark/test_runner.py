"""Filling a table: what is missing is trained, what exists is used; one test really trains."""

import json
import shutil

import numpy as np
import pytest
import yaml
from made_runs import scores, write_run

import unbraid.workflow
from unbraid.benchmark import runner
from unbraid.benchmark.filled_table import fill_table
from unbraid.benchmark.ledger import record
from unbraid.benchmark.runner import find_all, forecast, missing_data, protocols_for, run_table
from unbraid.benchmark.runs import read_runs
from unbraid.benchmark.tables import planned_trainings, read_table_spec

SMALL = "width: 4, features: 8, hidden: 8, static_size: 8, dynamic_size: 8"


@pytest.fixture
def table():
    return read_table_spec("sprites")


@pytest.fixture
def all_data(monkeypatch):
    """No data set is missing."""
    monkeypatch.setattr(runner, "missing_data", lambda planned: {})


def test_protocols_are_those_that_the_table_shows_and_the_data_have():
    leakage = read_table_spec("leakage")
    assert protocols_for(leakage, planned_trainings(leakage, 1)[0]) == ("generation", "leakage")
    fsdd = read_table_spec("fsdd")
    assert protocols_for(fsdd, planned_trainings(fsdd, 1)[0]) == ("verification",)


def test_data_that_are_missing_are_named(table, tmp_path, monkeypatch):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path))
    planned = planned_trainings(table, 1)
    absent = missing_data(planned)
    assert list(absent) == ["sprites"] and "unbraid data fetch sprites" in absent["sprites"]
    told = []
    trained, errors = run_table(table, planned, tmp_path / "runs", tmp_path, tell=told.append)
    assert trained == {} and errors == [] and told == [absent["sprites"]]
    assert {item.state for item in forecast(table, planned, tmp_path / "runs", tmp_path)} == {"data missing"}
    assert not (tmp_path / "runs").exists()


def test_recorded_trainings_are_used(table, tmp_path, make_run, ledger):
    record(make_run(), ledger)
    planned = planned_trainings(table, 2)
    trained = find_all(table, planned, tmp_path / "none", ledger.parent)
    assert list(trained) == [("DBSE", 0)] and trained["DBSE", 0].source == "the ledger, commit 1234"


def test_a_stopped_table_goes_on(table, tmp_path, monkeypatch, all_data):
    """Trainings are made up here; the last test trains."""
    done = []

    def made_up(planned, protocols, runs, accept_weak_judge, tell):
        if len(done) == 3:
            done.append("stopped")
            raise KeyboardInterrupt
        done.append(planned.key)
        write_run(runs / f"run{len(done)}", planned.config, {name: scores(0.9) for name in protocols})

    monkeypatch.setattr(runner, "_train_and_score", made_up)
    planned, told = planned_trainings(table, 2), []

    def run():
        return run_table(table, planned, tmp_path / "runs", tmp_path, tell=told.append)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert "goes on where it stopped" in told[-1]
    trained, errors = run()
    assert not errors and [key for key in done if key != "stopped"] == [item.key for item in planned]
    assert fill_table(table, trained)[1][:3] == ["**DBSE**", "2", "90.0 ± 0.0 [0.2]"]
    run()
    assert len(done) == 1 + len(planned)


def test_a_row_that_cannot_be_trained_does_not_stop_the_others(table, tmp_path, monkeypatch, all_data):
    def made_up(planned, protocols, runs, accept_weak_judge, tell):
        assert accept_weak_judge
        if planned.row.title == "DBSE":
            raise ValueError("weights: no such term")
        write_run(runs / planned.row.title, planned.config, {name: scores(0.9) for name in protocols})

    monkeypatch.setattr(runner, "_train_and_score", made_up)
    told = []
    trained, errors = run_table(
        table, planned_trainings(table, 1), tmp_path / "runs", tmp_path, True, told.append
    )
    assert [str(error) for error in errors] == ["weights: no such term"]
    assert "DBSE, seed 0 failed: weights: no such term" in told
    assert ("DBSE paper weights", 0) in trained and ("DBSE", 0) not in trained


@pytest.fixture
def mine(tmp_path):
    """A recipe and a table of one's own, on made-up vectors."""
    x = np.random.default_rng(0).random((40, 3, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "mine.yaml").write_text(
        f"# Of the tests.\ndata: {{name: {tmp_path}/x.npy}}\nmodel: {{name: dbse, {SMALL}}}\n"
        "training: {max_epochs: 1, batch_size: 8, device: cpu}\n"
    )
    declared = {
        "title": "Mine",
        "rows": [
            {"title": "full", "recipe": f"{tmp_path}/mine.yaml"},
            {"title": "no sub", "recipe": f"{tmp_path}/mine.yaml", "set": {"model.subtract": False}},
        ],
        "columns": ["squared_error_per_clip"],
    }
    (tmp_path / "table.yaml").write_text("# A table of the tests.\n" + yaml.safe_dump(declared))
    return read_table_spec(str(tmp_path / "table.yaml"))


def test_a_table_trains_what_it_lacks(mine, tmp_path, monkeypatch):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("unbraid.workflow.report", lambda *_: None)  # takes longer than the training
    scored, accepted = unbraid.workflow.run_protocols, []

    def run_protocols(model, data, folder, protocols, options):
        accepted.append(options["accept_weak_judge"])
        return scored(model, data, folder, protocols, options)

    monkeypatch.setattr("unbraid.workflow.run_protocols", run_protocols)
    runs, planned = tmp_path / "runs", planned_trainings(mine, 1)

    def states():
        return [item.state for item in forecast(mine, planned, runs, tmp_path)]

    assert states() == ["to be trained", "to be trained"]
    assert all(
        item.seconds > 0 and "measured" in item.basis for item in forecast(mine, planned, runs, tmp_path)
    )
    trained, errors = run_table(mine, planned, runs, tmp_path, tell=lambda text: None)
    assert not errors and list(trained) == [("full", 0), ("no sub", 0)]
    full, without = trained.values()
    assert full.config["model"]["subtract"] is True and without.config["model"]["subtract"] is False
    error = full.scores["generation"]["squared_error_per_clip"]
    rows = fill_table(mine, trained)
    assert rows[1] == ["**full**", "1", f"{error['mean']:.1f}"]
    assert rows[3] == ["floor", "", f"{error['floor']:.1f}"]

    # Nothing is left to do; what is begun or not scored is taken up where it is.
    times = {path: path.stat().st_mtime_ns for path in runs.glob("*/model/*")}
    assert states() == ["recorded", "recorded"]
    (full.folder / "evaluation" / "generation.json").unlink()
    shutil.rmtree(without.folder / "model")
    (without.folder / "evaluation" / "generation.json").unlink()
    assert states() == ["to be scored", "to be resumed"]
    told = []
    again, errors = run_table(mine, planned, runs, tmp_path, True, told.append)
    assert not errors and len(again) == 2 and accepted == [False, False, True, True]
    assert f"Going on with {without.folder}." in told
    untouched = {path: path.stat().st_mtime_ns for path in full.folder.glob("model/*")}
    assert untouched and all(times[path] == when for path, when in untouched.items())
    assert len(list(runs.iterdir())) == 2 == len(read_runs(runs))
    written = json.loads((full.folder / "evaluation" / "generation.json").read_text())
    assert written == full.scores["generation"]
