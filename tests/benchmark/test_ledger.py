"""The ledger: what is recorded of a run, and what is refused."""

import csv
import json

import pytest
import yaml
from made_runs import LEAKAGE, scores, settings

from unbraid.benchmark.identity import same_training, settings_hash
from unbraid.benchmark.ledger import COLUMNS, read_ledger, read_rows, record
from unbraid.benchmark.runs import folder_for, read_runs, run_name


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_run_is_one_row(make_run, ledger):
    run = make_run(seed=3, model__width=64)
    record(run, ledger)
    (row,) = rows(ledger)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert tuple(row) == COLUMNS
    assert row["recipe"] == "sprites/dbse" and row["settings"] == settings_hash(config) and row["seed"] == "3"
    assert row["commit"] == "1234" and row["fingerprint"] == "abc" and row["hardware"] == "P, 2 cores"
    assert row["epochs"] == "12" and row["seconds"] == "600"
    assert row["scores"] == f"scores/{run_name(config)}.json"
    stored = json.loads((ledger.parent / row["scores"]).read_text())
    assert stored["generation"] == scores(0.9) and stored["leakage"] == LEAKAGE
    assert stored["config"]["model"]["width"] == 64 and stored["config"]["training"]["seed"] == 3
    assert "/elsewhere" not in (ledger.parent / row["scores"]).read_text()
    (trained,) = read_ledger(ledger)
    assert trained.scores == {"generation": scores(0.9), "leakage": LEAKAGE}
    assert same_training(trained.config, config) and trained.commit == "1234"


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
    assert [run.scores["generation"]["accuracy"]["mean"] for run in read_ledger(ledger)] == [0.6, 0.75]
    (again / "evaluation" / "verification.json").write_text(json.dumps(LEAKAGE))
    record(again, ledger)
    assert len(rows(ledger)) == 2 and "verification" in read_ledger(ledger)[-1].scores


def test_the_same_settings_under_another_recipe_s_name_replace_the_row(make_run, ledger, tmp_path):
    record(make_run(0, 0.5), ledger)
    (tmp_path / "mine.yaml").write_text("# mine\nextends: sprites/dbse\n")
    record(make_run(0, 0.6, recipe=str(tmp_path / "mine.yaml")), ledger)
    (row,) = rows(ledger)
    assert row["recipe"] == str(tmp_path / "mine.yaml")
    assert [f"scores/{path.name}" for path in (ledger.parent / "scores").iterdir()] == [row["scores"]]


@pytest.mark.parametrize("recipe", ["from r", "from /my runs/r", "my recipe.yaml", "a(b)"])
def test_whatever_a_recipe_is_called_its_row_is_read_again(make_run, ledger, recipe):
    run = make_run()
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(config | {"recipe": recipe}))
    record(run, ledger)
    (trained,) = read_ledger(ledger)
    assert trained.config["recipe"] == recipe


def test_an_edited_recipe_changes_no_recorded_row(make_run, ledger, tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("# mine\nextends: sprites/dbse\nmodel: {width: 16}\n")
    record(make_run(0, 0.5, recipe=str(recipe)), ledger)
    (before,) = rows(ledger)
    recipe.write_text("# mine\nextends: sprites/dbse\nmodel: {width: 24}\n")
    record(make_run(0, 0.6, recipe=str(recipe)), ledger)
    first, second = rows(ledger)
    assert first == before and second["settings"] != before["settings"]
    assert [run.config["model"]["width"] for run in read_ledger(ledger)] == [16, 24]


@pytest.mark.parametrize("missing", ["config.yaml", "environment.json", "metrics.csv"])
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


def test_a_ledger_that_does_not_exist_is_empty(tmp_path):
    assert read_rows(tmp_path / "none.csv") == [] and read_ledger(tmp_path / "none.csv") == []


def test_finished_runs_are_read_with_their_test_scores(make_run, tmp_path):
    run = make_run(1)
    path = run / "evaluation" / "leakage.json"
    path.write_text(json.dumps(LEAKAGE | {"protocol": {"split": "validation"}}))
    (make_run(2) / "model" / "model.json").unlink()
    (trained,) = read_runs(tmp_path)
    assert trained.folder == run and trained.scores == {"generation": scores(0.9)}
    assert trained.seconds == 600 and trained.epochs == 12 and trained.fingerprint == "abc"
    assert trained.data == "sprites" and trained.seed == 1


def test_a_training_has_a_folder_of_its_own(tmp_path):
    config, wide = settings("sprites/dbse"), settings("sprites/dbse", model__width=64)
    folder = folder_for(config, tmp_path)
    assert folder == tmp_path / run_name(config) and folder != folder_for(wide, tmp_path)
    folder.mkdir()
    assert folder_for(config, tmp_path).name == f"{run_name(config)}-2"  # holds something else
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"recipe": "renamed"}))
    assert folder_for(config, tmp_path) == folder


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"commit", b"comnit", "row 1 is damaged; its columns must be recipe"),
        (b"600", b"6OO", "is damaged .*6OO"),
        (b"sprites/dbse", b"sprites\xff\xfe", "is damaged"),
        (b",12,", b",12,more,", "row 1 is damaged"),
    ],
)
def test_a_damaged_ledger_is_named(make_run, ledger, old, new, message):
    record(make_run(), ledger)
    content = ledger.read_bytes()
    assert old in content
    ledger.write_bytes(content.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as raised:
        read_ledger(ledger)
    assert str(ledger) in str(raised.value)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"config": 3}'])
def test_damaged_scores_of_a_ledger_are_named(make_run, ledger, content):
    record(make_run(), ledger)
    (path,) = (ledger.parent / "scores").iterdir()
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"{path.name}: .*damaged"):
        read_ledger(ledger)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("environment.json", "{"),
        ("environment.json", '{"data_fingerprint": "abc"}'),
        ("config.yaml", "a: [b"),
        ("metrics.csv", "step\n1\n"),
        ("metrics.csv", "step,epoch\n1,x\n"),
        ("evaluation/leakage.json", "{"),
    ],
)
def test_damaged_files_of_a_run_are_named(make_run, ledger, name, content):
    run = make_run()
    (run / name).write_text(content)
    with pytest.raises(ValueError, match=rf"{run / name}: is damaged"):
        record(run, ledger)
    assert not ledger.exists()
