"""`unbraid record`: rows of the ledger, and the pages of results."""

import pytest
from made_runs import LEAKAGE, scores, settings, write_run

from unbraid.benchmark.ledger import read_ledger
from unbraid.cli import main

README = "before\n<!-- results: made by `make results` -->\nold\n<!-- end of results -->\nafter\n"


@pytest.fixture
def runs(tmp_path):
    """Two scored runs of one recipe."""
    return [
        write_run(
            tmp_path / f"run{seed}",
            settings("sprites/dbse", training__seed=seed),
            {"generation": scores(0.9), "leakage": LEAKAGE},
        )
        for seed in (0, 1)
    ]


def test_runs_are_recorded_and_the_pages_written(runs, tmp_path, capsys):
    results, readme = tmp_path / "results", tmp_path / "README.md"
    readme.write_text(README)
    assert main(["record", *map(str, runs), "--results", str(results)]) == 0
    assert [trained.seed for trained in read_ledger(results / "ledger.csv")] == [0, 1]
    assert "**sprites/dbse**" in (results / "sprites.md").read_text()
    assert "old" not in readme.read_text()
    assert "recorded sprites/dbse, seed 1" in capsys.readouterr().out
    readme.write_text(README)
    assert main(["record", "--results", str(results)]) == 0  # only the pages
    assert "old" not in readme.read_text() and len(read_ledger(results / "ledger.csv")) == 2


def test_a_ledger_elsewhere_has_no_pages(runs, tmp_path):
    assert main(["record", str(runs[0]), "--results", str(tmp_path / "mine")]) == 0
    assert [path.name for path in sorted((tmp_path / "mine").iterdir())] == ["ledger.csv", "scores"]


def test_what_cannot_be_recorded_is_one_clear_line(tmp_path, capsys):
    assert main(["record", str(tmp_path), "--results", str(tmp_path / "mine")]) == 2
    error = capsys.readouterr().err
    assert str(tmp_path) in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
