"""The ledger: what is recorded of a run, and what the tables make of it."""

import csv
import json

import pytest
import yaml

from unbraid.benchmark.ledger import COLUMNS, main, record
from unbraid.benchmark.tables import table, with_block
from unbraid.settings import read_recipe, recipe_parser, resolve

PUBLISHED = "data,method,source,accuracy,inception_score\nsprites,DBSE,https://example.org,1.0,8.942\n"


def figure(mean):
    return {"mean": mean, "std": 0.0, "floor": 0.1}


def scores(accuracy, split="test"):
    def label(kind, part_of=None):
        return {"kind": kind, "part_of": part_of, "classes": 3, "chance": 1 / 3, "majority": 0.4}

    shares = {"skin": figure(0.2), "hair": figure(0.1), "motion": figure(accuracy), "action": figure(0.99)}
    return {
        "accuracy": figure(accuracy),
        "inception_score": figure(8.5),
        "squared_error_per_clip": figure(70.25),
        "keep_dynamic": shares,
        "keep_static": shares | {"motion": figure(0.12)},
        "judge": {"accuracy": {"skin": figure(0.995), "motion": figure(1.0)}, "trusted": True},
        "protocol": {"split": split},
        "labels": {
            "skin": label("static"),
            "hair": label("static"),
            "motion": label("dynamic"),
            "action": label("dynamic", "motion"),
        },
    }


@pytest.fixture
def make_run(tmp_path):
    """Writes a run's folder, as a training and an evaluation leave it."""

    def make(seed=0, accuracy=0.9, arguments=(), fingerprint="abc", recipe="sprites/dbse"):
        read = read_recipe(recipe)
        words = [*arguments, "--training.seed", str(seed), "--data.root", "/elsewhere"]
        config, _ = resolve(read, recipe_parser(read, "train"), words)
        run = tmp_path / f"run-{seed}-{accuracy}-{len(arguments)}-{fingerprint}"
        (run / "evaluation").mkdir(parents=True)
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        environment = {
            "commit": "1234",
            "data_fingerprint": fingerprint,
            "processor": "P",
            "cores": 2,
            "device": "cpu",
            "seconds": 600.0,
        }
        (run / "environment.json").write_text(json.dumps(environment))
        (run / "metrics.csv").write_text("step,epoch,split\n10,0,train\n20,11,train\n20,11,validation\n")
        (run / "evaluation" / "generation.json").write_text(json.dumps(scores(accuracy)))
        return run

    return make


@pytest.fixture
def ledger(tmp_path):
    (tmp_path / "published.csv").write_text(PUBLISHED)
    return tmp_path / "ledger.csv"


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_run_is_one_row(make_run, ledger):
    record(make_run(seed=3, arguments=["--model.width", "64"]), ledger)
    (row,) = rows(ledger)
    assert tuple(row) == COLUMNS
    assert row["recipe"] == "sprites/dbse" and row["changes"] == "model.width=64" and row["seed"] == "3"
    assert row["commit"] == "1234" and row["fingerprint"] == "abc" and row["hardware"] == "P, 2 cores"
    assert row["epochs"] == "12" and row["seconds"] == "600"
    assert float(row["accuracy"]) == 0.9 and float(row["action"]) == 0.99 and row["direction"] == ""
    assert float(row["static_in_dynamic"]) == pytest.approx(0.15)
    assert float(row["dynamic_in_static"]) == pytest.approx(0.12)
    assert float(row["judge"]) == 0.995
    assert json.loads((ledger.parent / row["scores"]).read_text()) == scores(0.9)


def test_a_run_is_recorded_once(make_run, ledger):
    run = make_run()
    record(run, ledger)
    with pytest.raises(ValueError, match="already"):
        record(run, ledger)
    assert len(rows(ledger)) == 1


@pytest.mark.parametrize("missing", ["config.yaml", "environment.json", "evaluation/generation.json"])
def test_an_unfinished_run_is_refused(make_run, ledger, missing):
    run = make_run()
    (run / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        record(run, ledger)
    assert not ledger.exists()


def test_scores_on_other_splits_are_refused(make_run, ledger):
    run = make_run()
    (run / "evaluation" / "generation.json").write_text(json.dumps(scores(0.9, "validation")))
    with pytest.raises(ValueError, match="scored on 'validation'"):
        record(run, ledger)
    assert not ledger.exists()


def test_the_table_is_over_seeds(make_run, ledger, tmp_path):
    for seed, accuracy in ((0, 0.90), (1, 0.94), (2, 0.98)):
        record(make_run(seed, accuracy), ledger)
    record(make_run(0, 0.5, ["--model.width", "64"]), ledger)
    text = table(ledger, tmp_path / "published.csv", "sprites")
    lines = text.splitlines()
    assert len(lines) == 6
    assert "| **sprites/dbse** | 3 | 12 ± 0 | 10 ± 0 | 94.0 ± 4.0 | 8.500 ± 0.000 |" in lines[2]
    assert "`model.width=64` | 1 |" in lines[3] and "| 50.0 |" in lines[3]
    assert "floor" in lines[4] and "| 10.0 | 0.100 |" in lines[4]
    assert "DBSE, published" in lines[5] and "| 100.0 | 8.942 |" in lines[5]


def test_a_seed_trained_again_is_no_second_repeat(make_run, ledger, tmp_path):
    record(make_run(0, 0.5), ledger)
    record(make_run(0, 0.75), ledger)
    text = table(ledger, tmp_path / "published.csv", "sprites")
    assert "| 1 |" in text and "75.0" in text and "50.0" not in text


def test_runs_on_different_data_do_not_mix(make_run, ledger, tmp_path):
    record(make_run(0), ledger)
    record(make_run(1, fingerprint="other"), ledger)
    with pytest.raises(ValueError, match="different data"):
        table(ledger, tmp_path / "published.csv", "sprites")


def test_pages_and_readme_are_written(make_run, tmp_path):
    root = tmp_path / "root"
    (root / "results").mkdir(parents=True)
    (root / "results" / "published.csv").write_text(PUBLISHED)
    readme = root / "README.md"
    readme.write_text(
        "before\n<!-- results: made by `make results` -->\nold\n<!-- end of results -->\nafter\n"
    )
    main([], root)
    assert "No run is recorded yet." in readme.read_text()
    main([str(make_run())], root)
    text, page = readme.read_text(), (root / "results" / "sprites.md").read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "**sprites/dbse**" in text and "**sprites/dbse**" in page
    assert "| motion | dynamic | 90.0 | 12.0 | 33.3 |" in page
    main([], root)
    assert readme.read_text() == text


def test_lost_markers_are_told():
    with pytest.raises(ValueError, match="README"):
        with_block("no markers", "x")
