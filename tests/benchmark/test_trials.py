"""Recipes are short, and `results/trials.csv` holds what was tried: on validation, never on test."""

import csv
import re
from pathlib import Path

import pytest

from unbraid.benchmark.score_columns import shared_columns
from unbraid.recipes import RECIPES, list_recipes

TRIALS = Path(__file__).parents[2] / "results" / "trials.csv"
CHANGE = re.compile(r"(data|model|training)\.[a-z_.]+=\S+")


def rows():
    with TRIALS.open(newline="") as file:
        return list(csv.DictReader(file))


def test_trials_have_their_columns():
    with TRIALS.open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["date", "recipe", "changes", "split", "trainings", "figures", "remark"]
    assert len(lines) > 50 and all(len(line) == len(header) for line in lines)
    assert lines == sorted(lines, key=lambda line: line[1])


def test_trials_name_recipes_and_settings():
    for row in rows():
        assert row["recipe"] in list_recipes(), row
        assert all(CHANGE.fullmatch(change) for change in row["changes"].split()), row
        assert re.fullmatch(r"(\d{4}-\d\d-\d\d)?", row["date"]), row


def test_no_trial_is_scored_on_test():
    assert {row["split"] for row in rows()} == {"validation", "train"}


def test_figures_of_trials_are_numbers():
    """`name=value`, or `name=value/value` with one value for each training; shares are from 0 to 1."""
    for row in rows():
        trainings = int(row["trainings"])
        assert trainings >= 1 and (row["figures"] or row["remark"]), row
        for name, equals, text in (figure.partition("=") for figure in row["figures"].split()):
            values = [float(value) for value in text.split("/")]
            assert name and equals and len(values) in (1, trainings), row
            if name in shared_columns() and shared_columns()[name].percent:
                assert all(0 <= value <= 1 for value in values), row


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_has_at_most_five_lines_of_comment(name):
    comment = [line for line in (RECIPES / f"{name}.yaml").read_text().splitlines() if "#" in line]
    assert 1 <= len(comment) <= 5
    if "results/trials.csv" in "\n".join(comment):
        assert name in {row["recipe"] for row in rows()}
