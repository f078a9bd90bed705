"""The ledger: what is recorded of a run, and which trainings are the same."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from made_runs import LEAKAGE, scores
from made_runs import settings as settings_of

from unbraid.benchmark.ledger import (
    COLUMNS,
    _plain,
    changes,
    differences,
    read_ledger,
    read_runs,
    record,
    rename,
    run_name,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "results" / "ledger.csv"


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_run_is_one_row(make_run, ledger):
    run = make_run(seed=3, arguments=["--model.width", "64"])
    record(run, ledger)
    (row,) = rows(ledger)
    assert tuple(row) == COLUMNS
    assert row["recipe"] == "sprites/dbse" and row["changes"] == "model.width=64" and row["seed"] == "3"
    assert row["commit"] == "1234" and row["fingerprint"] == "abc" and row["hardware"] == "P, 2 cores"
    assert row["epochs"] == "12" and row["seconds"] == "600"
    kept = json.loads((ledger.parent / row["scores"]).read_text())
    assert kept["generation"] == scores(0.9) and kept["leakage"] == LEAKAGE
    assert kept["config"]["model"]["width"] == 64 and kept["config"]["training"]["seed"] == 3
    assert "/elsewhere" not in (ledger.parent / row["scores"]).read_text()
    (one,) = read_ledger(ledger)
    assert one.scores == {"generation": scores(0.9), "leakage": LEAKAGE}
    assert not differences(one.config, yaml.safe_load((run / "config.yaml").read_text()))


def test_a_run_is_recorded_once(make_run, ledger):
    run = make_run()
    record(run, ledger)
    with pytest.raises(ValueError, match="already"):
        record(run, ledger)
    assert len(rows(ledger)) == 1


def test_a_run_made_or_scored_again_replaces_its_row(make_run, ledger):
    record(make_run(0, 0.5), ledger)
    record(make_run(1, 0.6), ledger)
    again = make_run(0, 0.75)
    record(again, ledger)
    assert [row["seed"] for row in rows(ledger)] == ["1", "0"]
    assert [one.scores["generation"]["accuracy"]["mean"] for one in read_ledger(ledger)] == [0.6, 0.75]
    (again / "evaluation" / "verification.json").write_text(json.dumps(LEAKAGE))
    record(again, ledger)
    assert len(rows(ledger)) == 2 and "verification" in read_ledger(ledger)[-1].scores


@pytest.mark.parametrize("missing", ["config.yaml", "environment.json"])
def test_an_incomplete_run_is_refused(make_run, ledger, missing):
    run = make_run()
    (run / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        record(run, ledger)
    assert not ledger.exists()


def test_a_run_without_scores_is_refused(make_run, ledger):
    run = make_run()
    for path in (run / "evaluation").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match=f"unbraid evaluate {run}"):
        record(run, ledger)


def test_an_unfinished_run_is_refused(make_run, ledger):
    run = make_run()
    environment = json.loads((run / "environment.json").read_text())
    del environment["seconds"]
    (run / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(ValueError, match="unbraid resume"):
        record(run, ledger)


@pytest.mark.parametrize("commit", [None, "1234+"])
def test_code_that_is_in_no_commit_is_refused(make_run, ledger, commit):
    run = make_run(commit=commit)
    with pytest.raises(ValueError, match="in no commit"):
        record(run, ledger)
    assert not ledger.exists()


@pytest.mark.parametrize("protocol", ["generation", "leakage"])
def test_scores_on_other_splits_are_refused(make_run, ledger, protocol):
    run = make_run()
    path = run / "evaluation" / f"{protocol}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"protocol": {"split": "validation"}}))
    with pytest.raises(ValueError, match=f"scored by {protocol} on 'validation'"):
        record(run, ledger)
    assert not ledger.exists()


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe of one's own, of some width."""

    def write(width):
        path = tmp_path / "mine.yaml"
        path.write_text(f"# mine\nextends: sprites/dbse\nmodel: {{width: {width}}}\n")
        _plain.cache_clear()
        return str(path)

    return write


def test_trainings_are_named_by_what_they_differ_in_from_a_recipe_that_has_changed(make_run, ledger, recipe):
    for seed, width in ((0, 16), (1, 24)):
        record(make_run(seed, recipe=recipe(16), arguments=["--model.width", str(width)]), ledger)
    before = {row["seed"]: (ledger.parent / row["scores"]).read_text() for row in rows(ledger)}
    assert [row["changes"] for row in rows(ledger)] == ["", "model.width=24"] and rename(ledger) == []
    name = recipe(24)
    assert rename(ledger) == [name]
    assert [row["changes"] for row in rows(ledger)] == ["model.width=16", ""]
    after = {row["seed"]: (ledger.parent / row["scores"]).read_text() for row in rows(ledger)}
    assert before == after and len(list((ledger.parent / "scores").iterdir())) == 2


def test_names_that_change_places_lose_no_scores(make_run, ledger, recipe):
    """One training takes the name that the other had."""
    record(make_run(0, 0.5, recipe=recipe(16)), ledger)
    record(make_run(0, 0.6, recipe=recipe(16), arguments=["--model.width", "24"]), ledger)
    recipe(24)
    rename(ledger)
    assert [one.scores["generation"]["accuracy"]["mean"] for one in read_ledger(ledger)] == [0.5, 0.6]
    assert [row["changes"] for row in rows(ledger)] == ["model.width=16", ""]


def test_of_one_training_under_two_names_the_newer_stays(make_run, ledger, recipe):
    record(make_run(0, 0.5, recipe=recipe(16)), ledger)
    name = recipe(24)
    record(make_run(0, 0.6, recipe=name, arguments=["--model.width", "16"]), ledger)
    assert len(rows(ledger)) == 2
    rename(ledger)
    (one,) = read_ledger(ledger)
    assert one.scores["generation"]["accuracy"]["mean"] == 0.6
    assert [path.name for path in (ledger.parent / "scores").iterdir()] == [
        Path(rows(ledger)[0]["scores"]).name
    ]


def test_this_ledger_s_names_are_those_of_the_recipes_as_they_stand():
    ledger = ROOT / "results" / "ledger.csv"
    for row, one in zip(rows(ledger), read_ledger(ledger), strict=True):
        named = row["changes"], row["scores"]
        assert named == (" ".join(changes(one.config)), f"scores/{run_name(one.config)}.json")


def test_finished_runs_are_read_with_their_test_scores(make_run, tmp_path):
    run = make_run(1)
    path = run / "evaluation" / "leakage.json"
    path.write_text(json.dumps(LEAKAGE | {"protocol": {"split": "validation"}}))
    (make_run(2) / "model" / "model.json").unlink()
    (one,) = read_runs(tmp_path)
    assert one.folder == run and one.scores == {"generation": scores(0.9)}
    assert one.seconds == 600 and one.epochs == 12 and one.fingerprint == "abc"


def settings(*words):
    return settings_of("sprites/dbse", *words)


def test_what_makes_another_training():
    plain = settings()
    same = ["--data.root", "/there", "--training.device", "cpu", "--training.checkpoint_minutes", "9"]
    assert not differences(settings(*same), plain) and not changes(settings(*same))
    assert differences(settings("--model.width", "64"), plain) == {"model.width": 64}
    assert differences(settings("--training.seed", "1"), plain) == {"training.seed": 1}
    assert not changes(settings("--training.seed", "1", "--model.anchor_seed", "1"))


def test_weights_that_are_not_named_are_one():
    plain = settings()
    assert not differences(settings("--training.weights.extra", "1"), plain)
    assert changes(settings("--training.weights.extra", "0")) == ["training.weights.extra=0.0"]
    assert differences(plain, settings("--training.weights.extra", "0")) == {"training.weights.extra": 1}


def test_a_setting_of_a_newer_version_is_no_difference():
    older = settings()
    del older["model"]["subtract"]
    assert not differences(older, settings()) and not differences(settings(), older)


def test_what_a_newer_version_sets_was_at_its_default_before():
    older = settings()
    del older["training"]["kernel_heads"], older["model"]["width"]
    assert differences(older, settings()) == {"training.kernel_heads": False}
    assert changes(older) == ["training.kernel_heads=False"]


def test_a_setting_that_no_version_knows_is_passed_over():
    older = settings()
    older["model"]["gone"] = 3
    assert not differences(older, settings()) and not differences(settings(), older)


def test_a_run_is_named_by_recipe_changes_and_seed():
    assert run_name(settings()) == "sprites-dbse-seed0"
    assert run_name(settings("--training.seed", "4", "--data.root", "/x")) == "sprites-dbse-seed4"
    wide = run_name(settings("--model.width", "64"))
    assert wide.startswith("sprites-dbse-") and wide.endswith("-seed0") and wide != "sprites-dbse-seed0"
