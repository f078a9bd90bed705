"""A search on a tiny table of numbers: trials are runs, rows and a recipe that trains again to the same score."""

import csv
import os
import signal

import numpy as np
import pytest
import yaml

from unbraid.cli import main
from unbraid.files import locked
from unbraid.recipes import resolve_recipe
from unbraid.search.study import RECIPE_SCORE
from unbraid.search.worker import last_validation
from unbraid.training.callbacks.checkpoints import Checkpoints

optuna = pytest.importorskip("optuna", reason="needs the extra search")

RECIPE = """# A tiny series.
data: {name: DATA}
model: {name: vae, dynamic_size: 2, width: 4, hidden: 4}
training: {max_epochs: 2, batch_size: 8, checkpoint_minutes: 1.0e-9, device: cpu}
"""
SPACE = (
    "training.learning_rate: {low: 1.0e-4, high: 0.1, log: true}\ntraining.weights.kl_dynamic: [0.1, 1.0]\n"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("search")
    np.save(place / "series.npy", np.random.default_rng(0).normal(size=(60, 6, 3)).astype(np.float32))
    (place / "recipe.yaml").write_text(RECIPE.replace("DATA", str(place / "series.npy")))
    (place / "space.yaml").write_text(SPACE)
    return place


@pytest.fixture
def command(place, monkeypatch):
    monkeypatch.chdir(place)

    def search(trials, *more, storage="study.db"):
        words = ["search", "recipe.yaml", "--space", "space.yaml", "--score=-terms/reconstruction"]
        return main([*words, "--storage", storage, "--trials", str(trials), *more])

    return search


def study(place, name="study.db"):
    return optuna.load_study(study_name="unbraid", storage=f"sqlite:///{place / name}")


def test_a_search(place, command, capsys):
    assert command(3) == 0
    said = capsys.readouterr().out
    assert "the recipe: terms/reconstruction" in said and "3 of 3 done" in said and "Best: " in said
    made, folder = study(place), place / "runs" / "search-study"
    assert [trial.state.name for trial in made.trials] == ["COMPLETE"] * 3
    for trial in made.trials:
        run = folder / f"trial-{trial.number:04d}"
        config = yaml.safe_load((run / "config.yaml").read_text())
        assert config["training"]["learning_rate"] == pytest.approx(
            trial.params["training.learning_rate"], rel=1e-3
        )
        assert trial.value == -last_validation(run, "reconstruction")
    of_recipe = made.user_attrs[RECIPE_SCORE]
    assert of_recipe == -last_validation(folder / "recipe", "reconstruction")
    better = made.best_value > of_recipe
    assert ("Train it again: " in said) == better and ("No trial is better than the recipe" in said) != better
    with open(place / "results" / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["remark"] for row in rows] == [
        f"search in search-study, {what}" for what in ("the recipe", "trial 0", "trial 1", "trial 2")
    ]
    assert {row["split"] for row in rows} == {"validation"}
    assert float(rows[1]["figures"].removeprefix("terms/reconstruction=")) == pytest.approx(
        -made.trials[0].value, rel=1e-5
    )
    assert (folder / "study.png").stat().st_size > 10_000


def test_the_best_trial_trains_again_to_the_same_score(place, command):
    command(3)
    best = place / "runs" / "search-study" / "best.yaml"
    assert set(yaml.safe_load(best.read_text())) == {"extends", "training"}
    assert main(["train", str(best), "--run", str(place / "again"), "--no-evaluate"]) == 0
    assert -last_validation(place / "again", "reconstruction") == study(place).best_value


def test_a_search_goes_on_and_stops_at_its_number(place, command):
    command(3)
    before = study(place).trials
    command(4)
    command(4)
    after = study(place).trials
    assert len(after) == 4 and [trial.params for trial in after[:3]] == [trial.params for trial in before]


def test_a_trial_that_was_left_is_taken_up(place, command, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        write, asked = Checkpoints.write, []

        def write_and_ask_to_stop(self, trainer, plan):
            write(self, trainer, plan)
            if "trial-0000" in str(self.folder) and not asked:
                asked.append(plan.step)
                os.kill(os.getpid(), signal.SIGTERM)

        patch.setattr(Checkpoints, "write", write_and_ask_to_stop)
        assert command(1, storage="left.db") == 143
    assert study(place, "left.db").trials[0].state.name == "RUNNING"
    with locked(place / "runs" / "search-left" / ".trial-0000.lock"):  # another worker has it
        command(1, storage="left.db")
    assert study(place, "left.db").trials[0].state.name == "RUNNING"
    capsys.readouterr()
    assert command(1, storage="left.db") == 0
    assert "was left by another worker" in capsys.readouterr().out
    assert [trial.state.name for trial in study(place, "left.db").trials] == ["COMPLETE"]


def test_a_trial_worse_than_the_median_ends_early(place, command):
    command(1, "--prune", "reconstruction", storage="pruned.db")
    made = study(place, "pruned.db")
    trial, good = made.trials[0], dict.fromkeys(range(1, 100), 0.0)
    for _ in range(5):
        made.add_trial(
            optuna.trial.create_trial(
                params=trial.params,
                distributions=trial.distributions,
                value=trial.value,
                intermediate_values=good,
            )
        )
    command(7, "--prune", "reconstruction", storage="pruned.db")
    assert study(place, "pruned.db").trials[6].state.name == "PRUNED"
    assert not (place / "runs" / "search-pruned" / "trial-0006" / "model").exists()


def test_another_search_on_the_same_storage_is_refused(place, command, capsys):
    command(3)
    count = len(study(place).trials)
    for change, said in (
        (["--training.max_epochs", "3"], "other settings: training.max_epochs is 2, not 3"),
        (["--seed", "1"], "another seed: 0, not 1"),
    ):
        assert command(5, *change) == 2
        assert said in capsys.readouterr().err
    other = ["search", "own/vae-series", "--data.name", "series.npy", "--space", "space.yaml"]
    assert main([*other, "--score=-terms/reconstruction", "--storage", "study.db"]) == 2
    assert "another recipe" in capsys.readouterr().err
    assert command(0) == 2
    assert "trials: is 0; give a whole number from 1" in capsys.readouterr().err
    assert main([*other, "--score", "test/accuracy"]) == 2
    assert "test split" in capsys.readouterr().err
    (place / "no.db").write_text("this is no data base, but a file of somebody " * 50)
    assert command(5, storage="no.db") == 2
    assert "storage: no.db cannot be used" in capsys.readouterr().err
    assert len(study(place).trials) == count and (place / "no.db").read_text().startswith("this is no")


def test_a_space_with_a_weight_that_the_method_lacks_is_refused_at_once(place, command, capsys):
    (place / "space.yaml").write_text("training.weights.kl_statics: [0.1, 1]\n")
    assert command(2, storage="none.db") == 2
    assert "training.weights.kl_statics: " in (said := capsys.readouterr().err) and "no such term" in said
    assert not (place / "none.db").exists() and not (place / "runs" / "search-none").exists()


def test_a_term_that_the_model_lacks_is_refused_before_a_study_is_made(place, command, capsys):
    (place / "space.yaml").write_text(SPACE)
    for words, said in (
        (["--score=-terms/recon"], "score: the model has no term 'recon'"),
        (["--prune", "kl_dinamic"], "prune: the model has no term 'kl_dinamic'; did you mean 'kl_dynamic'"),
    ):
        assert command(1, *words, storage="none.db") == 2
        assert said in capsys.readouterr().err
    assert not (place / "none.db").exists() and not (place / "runs" / "search-none").exists()


def test_a_search_without_a_score_is_told_of_one_that_any_data_have(place, command, capsys):
    (place / "space.yaml").write_text(SPACE)
    assert main(["search", "recipe.yaml", "--space", "space.yaml"]) == 2
    assert "such as --score=-terms/reconstruction, or a column" in capsys.readouterr().err


def test_a_study_without_a_score_takes_another_one(place, command, capsys):
    (place / "space.yaml").write_text(SPACE)
    assert command(1, "--score", "generation/nothing", storage="empty.db") == 2
    assert "hold no generation/nothing" in capsys.readouterr().err
    assert command(1, storage="empty.db") == 0
    assert study(place, "empty.db").user_attrs["score"] == "-terms/reconstruction"
    assert command(1, "--score=-terms/kl_dynamic", storage="empty.db") == 2
    assert "another score" in capsys.readouterr().err


def test_a_moved_study_knows_its_runs(place, command, capsys):
    (place / "space.yaml").write_text(SPACE)
    assert command(1, storage="before.db") == 0
    (place / "before.db").rename(place / "after.db")
    capsys.readouterr()
    assert command(1, storage="after.db") == 0
    assert f"{place / 'runs' / 'search-before' / 'trial-0000'}" in capsys.readouterr().out
    assert not (place / "runs" / "search-after").exists()


def test_the_best_trial_finds_data_of_a_relative_path(place, command, tmp_path, monkeypatch):
    (place / "space.yaml").write_text(SPACE)
    (place / "recipe.yaml").write_text(RECIPE.replace("DATA", "series.npy"))
    assert command(1, storage="relative.db") == 0
    best = place / "runs" / "search-relative" / "best.yaml"
    assert yaml.safe_load(best.read_text())["data"] == {"name": str(place / "series.npy")}
    monkeypatch.chdir(tmp_path)
    assert resolve_recipe(str(best))["data"]["name"] == str(place / "series.npy")


def test_the_score_is_that_of_the_weights_that_are_kept(tmp_path):
    (tmp_path / "metrics.csv").write_text(
        "step,split,reconstruction\n5,train,9\n5,validation,3\n10,validation,2\n15,validation,4\n"
    )
    (tmp_path / "environment.json").write_text('{"data_fingerprint": "0", "steps": 15}')
    assert last_validation(tmp_path, "reconstruction") == 4
    (tmp_path / "environment.json").write_text('{"data_fingerprint": "0", "steps": 15, "kept_step": 10}')
    assert last_validation(tmp_path, "reconstruction") == 2
