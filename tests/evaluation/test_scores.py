import json

import numpy as np
import pytest

from unbraid.evaluation import Figure, Scores, figures, read_scores, write_scores
from unbraid.evaluation.scores import figures_over_repeats

SCORE = {"mean": 0.5, "std": 0.1, "floor": 0.25}


def test_figures_are_found_at_any_depth():
    scores = {"a": SCORE, "b": {"c": {"d": SCORE}, "e": 3}, "protocol": {"split": "test"}, "n": 1}
    assert figures(scores) == {"a": Figure(0.5, 0.1, 0.25), "b / c / d": Figure(0.5, 0.1, 0.25)}
    assert Scores(scores).figures() == figures(scores)


def test_both_forms_of_an_interval_are_read():
    assert Figure.from_json({"mean": 1, "low": 0, "high": 2}) == Figure(1, low=0, high=2)
    assert Figure.from_json({"mean": 1, "interval": [0, 2]}) == Figure(1, low=0, high=2)
    assert Figure.from_json({"mean": 1, "interval": None}) == Figure(1)


def test_a_figure_over_repeats_is_their_mean_and_deviation():
    values = [{"a": 0.25, "b": 1.0}, {"a": 0.75, "b": 1.0}]
    assert figures_over_repeats(values, {"a": 0.5, "b": 0}) == {
        "a": {"mean": 0.5, "std": 0.25, "floor": 0.5},
        "b": {"mean": 1.0, "std": 0.0, "floor": 0.0},
    }
    assert Figure.over_repeats(np.array([1, 3])).to_json() == {"mean": 2, "std": 1}


def test_scores_are_read_as_they_were_written(tmp_path):
    scores = Scores(accuracy=SCORE, protocol={"split": "test"})
    path = write_scores(tmp_path, "generation", scores)
    assert path == tmp_path / "evaluation" / "generation.json"
    assert json.loads(path.read_text()) == scores == Scores.read(path) == read_scores(tmp_path)["generation"]
    with pytest.raises(FileNotFoundError):
        Scores.read(tmp_path / "none.json")


def test_scores_on_validation_leave_those_on_test(tmp_path):
    scores = {split: Scores(accuracy=SCORE, protocol={"split": split}) for split in ("test", "validation")}
    write_scores(tmp_path, "generation", scores["test"])
    path = write_scores(tmp_path, "generation", scores["validation"])
    assert path == tmp_path / "evaluation" / "validation" / "generation.json"
    assert read_scores(tmp_path) == {"generation": scores["test"]}
    assert read_scores(tmp_path, "validation") == {"generation": scores["validation"]}
