"""`unbraid table`: its list, its mistakes, and what it prints."""

import pytest
from made_runs import scores, settings, write_run

from unbraid.benchmark.tables import list_tables
from unbraid.cli import main


def test_tables_are_listed(capsys):
    assert main(["table"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in list_tables())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["spritse"], "did you mean 'sprites'"),
        (["no.yaml"], "there is no file no.yaml"),
        (["sprites", "--seeds", "0"], "seeds: 0"),
        (["sprites", "--training.seeed", "3"], "training.seeed"),
        (["sprites", "--data.root"], "--data.root: needs a value"),
        (["sprites", "--rows", "DBES"], "did you mean 'DBSE'"),
    ],
)
def test_a_mistake_is_one_clear_line(words, text, capsys):
    assert main(["table", *words]) == 2
    message = capsys.readouterr().err
    assert text in message and message.count("\n") == 1


def test_missing_data_are_named_and_the_published_scores_are_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path))
    words = ["table", "sprites", "--runs", str(tmp_path / "runs"), "--results", str(tmp_path)]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "sprites is not here" in text and "unbraid data fetch sprites" in text
    assert "| SPYL, published (sprites) |" in text and "\\begin{tabular}" in text
    assert main([*words, "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "DBSE, seed 2: cannot be trained" in text and "Nothing to train." in text
    assert not (tmp_path / "runs").exists()


def test_columns_without_a_score_are_named(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        "title: A\nrows: [{title: DBSE, recipe: sprites/dbse}]\n"
        "columns: [accuracy, {e: {heading: error, score: generation/error/reconstruction}}]\n"
    )
    words = ["table", "mine.yaml", "--recorded", "--seeds", "1"]
    assert main(words) == 0
    assert "left out" not in capsys.readouterr().out  # nothing is trained yet
    write_run(tmp_path / "runs" / "a", settings("sprites/dbse"), {"generation": scores(0.9)})
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "no row has a score for them: error (generation/error/reconstruction)\n" in text and "90.0" in text


def test_with_recorded_nothing_is_trained(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["table", "factors-puppets", "--recorded", "--seeds", "1"]) == 0
    text = capsys.readouterr().out
    assert "With 0 of " in text and "\n| **DBSE** | 0 |" in text
    assert list(tmp_path.iterdir()) == []
