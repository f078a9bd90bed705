"""Declared tables: what they need, what is found, what is printed, and one that really trains."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from made_runs import figure, scores, settings, write_run
from unbraid.benchmark.columns import Column, figure_at, show

import unbraid.evaluation
from unbraid.benchmark.duration import known_seconds, measured_seconds
from unbraid.benchmark.ledger import Trained, read_runs
from unbraid.benchmark.tables import Row, Table, cells, find, list_tables, read_table, rows_of_text
from unbraid.cli import main
from unbraid.data.sequences import Sequences
from unbraid.recipes import list_recipes

SMALL = "width: 4, features: 8, hidden: 8, static_size: 8, dynamic_size: 8"


def trained(config, every, fingerprint="abc", seconds=60.0, epochs=6):
    return Trained(config, every, fingerprint, seconds, epochs, "P, 2 cores", "here")


# ---- declarations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list_tables())
def test_every_table_is_whole(name):
    table = read_table(name)
    assert table.about and table.rows and table.columns
    assert {row.recipe for row in table.rows} <= set(list_recipes())
    configs = [cell.config for cell in cells(table, 2, [])]
    assert len(configs) == 2 * len(table.rows)
    for row, again in zip(configs[::2], configs[1::2], strict=True):
        assert row["training"]["seed"] == 0 and again["training"]["seed"] == 1
    known = {line[0] for line in rows_of_text(table, {})[1:]}
    for name in (name for row in table.rows for name in row.published):
        data, _, method = name.partition(": ")
        assert f"{method}, published ({data})" in known, f"{name} is not in published.csv"


def test_the_table_of_the_documents_is_right(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
    (tmp_path / "mine.yaml").write_text(text.partition("```yaml\n")[2].partition("```")[0])
    table = read_table(str(tmp_path / "mine.yaml"))
    plain, wide = cells(table, 1, [])
    assert wide.config["model"]["width"] == 32 and plain.config["model"]["width"] != 32
    found = {("DBSE", 0): trained(plain.config, {"generation": {"swap": {"motion": figure(0.5)}}})}
    assert rows_of_text(table, found)[1] == ["**DBSE**", "1", "50.0"]


def test_data_are_chosen():
    assert {row.recipe for row in read_table("dbse-ablation").rows} == {"puppets/dbse"}
    table = read_table("dbse-ablation", "sprites")
    assert {row.recipe for row in table.rows} == {"sprites/dbse"} and "sprites" in table.title
    with pytest.raises(ValueError, match="on data of its own"):
        read_table("sprites", "puppets")


def test_rows_are_set_apart_by_their_settings():
    neither = next(cell for cell in cells(read_table("dbse-ablation"), 1, []) if cell.row.title == "neither")
    assert neither.config["model"]["subtract"] is False
    assert neither.config["training"]["weights"]["reconstruction_anchor"] == 0
    words = ["--training.max_epochs=1", "--data.root=/there"]
    assert all(cell.config["training"]["max_epochs"] == 1 for cell in cells(read_table("sprites"), 1, words))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"titel": "x"}, "has no part 'titel'; did you mean 'title'"),
        ({"rows": None}, "needs rows"),
        ({"rows": [{"title": "a"}]}, "a row: needs recipe"),
        ({"rows": [{"title": "a", "recipe": "x", "sett": {}}]}, "did you mean 'set'"),
        ({"rows": [{"title": "a", "recipe": "x"}] * 2}, "two rows are called 'a'"),
        ({"columns": ["acuracy"]}, "did you mean 'accuracy'"),
    ],
)
def test_wrong_declarations_are_told(tmp_path, change, message):
    right = {"title": "t", "rows": [{"title": "a", "recipe": "sprites/dbse"}], "columns": ["accuracy"]}
    said = {key: value for key, value in (right | change).items() if value is not None}
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(said))
    with pytest.raises(ValueError, match=message):
        read_table(str(tmp_path / "t.yaml"))


# ---- figures --------------------------------------------------------------------------------------------


def test_figures_are_found_by_their_paths():
    every = {"generation": scores(0.9), "downstream": {"a": {"static": figure(1), "both": figure(3)}}}
    one = figure_at(every, "generation/accuracy")
    assert (one.mean, one.std, one.floor) == (0.9, 0.002, 0.1)
    assert figure_at(every, "downstream/a/{codes}", "both").mean == 3
    several = figure_at(every, "generation/keep_dynamic/{static}")
    assert several.mean == pytest.approx(0.15) and several.std is None and several.floor == pytest.approx(0.1)
    assert figure_at(every, "generation/judge/accuracy/{lowest}").mean == 0.995
    for path in ("generation/none", "leakage/x", "generation/labels", "generation/accuracy/mean"):
        assert figure_at(every, path) is None


def test_spread_over_seeds_and_over_repeats_are_told_apart():
    share = Column("a", "a", "a", percent=True)
    assert show(share, [0.9, 0.94, 0.98], 0.002) == "94.0 ± 4.0 [0.2]"
    assert (
        show(share, [0.9], 0.002) == "90.0 [0.2]" and show(share, [0.9]) == "90.0" and show(share, []) == ""
    )
    assert show(Column("a", "a", "a", digits=1), [70.25, 71.25], 0.0) == "70.8 ± 0.7"


def test_rows_stand_beside_floors_and_published_scores():
    table = read_table("sprites")
    needed = [cell for cell in cells(table, 3, []) if cell.row.title == "DBSE"]
    found = {
        ("DBSE", cell.seed): trained(cell.config, {"generation": scores(accuracy)})
        for cell, accuracy in zip(needed, (0.90, 0.94, 0.98), strict=True)
    }
    rows = rows_of_text(table, found)
    assert rows[0][:4] == ["", "seeds", "Acc % ↑", "IS ↑"] and all(len(row) == len(rows[0]) for row in rows)
    assert rows[1][:4] == ["**DBSE**", "3", "94.0 ± 4.0 [0.2]", "8.500 ± 0.000"]
    assert rows[2][:4] == ["DBSE, published (sprites)", "", "100.0 ± 0.0", "8.942 ± 0.000"]
    assert rows[3][:3] == ["**DBSE paper weights**", "0", ""]
    titles = [row[0] for row in rows]
    assert titles.count("DBSE, published (sprites)") == 1
    assert titles.index("floor") < titles.index("SPYL, published (sprites)")
    assert rows[titles.index("floor")][2:4] == ["10.0", "0.100"]


def test_codes_and_named_floors_have_rows_of_their_own():
    part = {"floors": {"raw_linear": {"f": figure(0.4)}, "constant": {"f": figure(0.1)}}}
    part |= {"codes": {"static": {"f": figure(0.5)}, "both": {"f": figure(0.7)}}}
    column = Column("f", "f", "downstream/t/codes/{codes}/f", floors="downstream/t/floors/{floor}/f")
    other = Column(
        "g", "g", "downstream/t/codes/{codes}/f", floors={"pixels": "downstream/t/floors/constant/f"}
    )
    table = Table(
        "t", "", "t", (Row("A", "sprites/dbse"),), (column,), codes={"static": "s", "both": "s and d"}
    )
    found = {("A", 0): trained(settings("sprites/dbse"), {"downstream": {"t": part}})}
    assert rows_of_text(table, found) == [
        ["", "seeds", "f"],
        ["**A**, from s", "1", "0.500"],
        ["**A**, from s and d", "1", "0.700"],
        ["floor", "", "0.100"],
        ["floor: raw linear", "", "0.400"],
        ["floor: constant", "", "0.100"],
    ]
    assert rows_of_text(dataclasses.replace(table, columns=(other,)), found)[-1] == [
        "floor: pixels",
        "",
        "0.100",
    ]


def test_each_form_of_the_data_has_its_floor():
    columns = (Column("accuracy", "a", "generation/accuracy"),)
    table = Table("t", "", "t", (Row("A", "x"), Row("B", "x"), Row("C", "x"), Row("D", "x")), columns)

    def one(data, fingerprint, floor):
        found = {"generation": {"accuracy": figure(0.5) | {"floor": floor}}}
        return trained({"data": {"name": data}}, found, fingerprint)

    found = {
        ("A", 0): one("fsdd", "segments", 0.1),
        ("B", 0): one("fsdd", "words", 0.2),
        ("C", 0): one("fsdd", "words", 0.2),
        ("D", 0): one("puppets", "abc", 0.1),
    }
    floors = [row for row in rows_of_text(table, found) if row[0].startswith("floor")]
    assert floors == [
        ["floor of A", "", "0.100"],
        ["floor of B, C", "", "0.200"],
        ["floor, puppets", "", "0.100"],
    ]
    del found["A", 0], found["D", 0]
    assert rows_of_text(table, found)[-1] == ["floor", "", "0.200"]


def test_trainings_on_other_data_do_not_mix():
    table = read_table("sprites")
    one, two = cells(table, 2, [])[:2]
    every = {"generation": scores(0.9)}
    found = {("DBSE", 0): trained(one.config, every), ("DBSE", 1): trained(two.config, every, "other")}
    with pytest.raises(ValueError, match="saw different data"):
        rows_of_text(table, found)


def test_only_the_same_training_is_found():
    cell = cells(read_table("sprites"), 1, [])[0]
    every = {"generation": scores(0.9)}
    right = trained(settings("sprites/dbse", "--data.root", "/there", "--training.device", "cpu"), every)
    for words in (["--training.seed", "1"], ["--model.width", "64"], ["--training.weights.kl_static", "1"]):
        assert find(cell, [trained(settings("sprites/dbse", *words), every)], {"generation"}) is None
    assert find(cell, [right], {"generation"}) is right
    assert find(cell, [right], {"generation", "leakage"}) is None


# ---- time -----------------------------------------------------------------------------------------------


def test_time_is_known_from_a_training_of_the_recipe():
    other = trained(settings("sprites/dbse", "--model.width", "64"), {}, seconds=600.0, epochs=6)
    same = trained(settings("sprites/dbse", "--training.seed", "1"), {}, seconds=60.0, epochs=6)
    config = settings("sprites/dbse", "--training.max_epochs", "12")
    assert known_seconds(config, [other]) == (1200.0, "P, 2 cores")
    plain = settings("sprites/dbse")
    assert known_seconds(plain, [other, same])[0] == pytest.approx(10.0 * plain["training"]["max_epochs"])
    assert known_seconds(settings("puppets/dbse"), [other]) is None
    assert known_seconds(settings("sprites/dbse", "--training.max_minutes", "1"), [other])[0] == 60


def test_time_is_measured_by_a_few_steps():
    x = np.random.default_rng(0).random((40, 3, 5)).astype(np.float32)
    data = Sequences.from_arrays(x)
    config = {
        "model": {
            "name": "dbse",
            "width": 4,
            "features": 8,
            "hidden": 8,
            "static_size": 4,
            "dynamic_size": 4,
        },
        "training": {"max_epochs": 10, "batch_size": 4, "max_minutes": None, "device": "cpu", "weights": {}},
    }
    ten = measured_seconds(config, data)
    config["training"]["max_epochs"] = 1000
    assert 0 < ten < 60 and measured_seconds(config, data) > 10 * ten
    config["training"]["max_minutes"] = 0.001
    assert measured_seconds(config, data) == pytest.approx(0.06)


# ---- the command ----------------------------------------------------------------------------------------


def test_tables_are_listed(capsys):
    assert main(["table"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {name} " in said for name in list_tables())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["spritse"], "did you mean 'sprites'"),
        (["no.yaml"], "there is no file no.yaml"),
        (["sprites", "--seeds", "0"], "seeds: 0"),
        (["sprites", "--training.seeed", "3"], "--training.seeed"),
        (["sprites", "--data.root"], "--data.root: needs a value"),
    ],
)
def test_a_mistake_is_one_clear_line(words, text, capsys):
    assert main(["table", *words]) == 2
    said = capsys.readouterr().err
    assert text in said and said.count("\n") == 1


def test_what_is_not_here_is_named_and_the_published_scores_are_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path))
    words = ["table", "sprites", "--runs", str(tmp_path / "runs"), "--results", str(tmp_path)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "sprites is not here" in said and "unbraid data fetch sprites" in said
    assert "| SPYL, published (sprites) |" in said and "\\begin{tabular}" in said
    assert main([*words, "--dry-run"]) == 0
    assert "DBSE, seed 2: cannot be trained" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


def test_a_stopped_table_goes_on(tmp_path, capsys, monkeypatch):
    """Trainings are made up here; the last test trains."""
    monkeypatch.setattr("unbraid.cli.table._without_data", lambda missing: {})
    done = []

    def train_one(cell, protocols, runs, weak):
        if len(done) == 3:
            done.append("stopped")
            raise KeyboardInterrupt
        done.append((cell.row.title, cell.seed))
        write_run(runs / f"run{len(done)}", cell.config, {name: scores(0.9) for name in protocols})
        return 0

    monkeypatch.setattr("unbraid.cli.table._train_one", train_one)
    words = ["table", "sprites", "--seeds", "2", "--runs", str(tmp_path / "runs"), "--results", str(tmp_path)]
    assert main(words) == 130
    assert "goes on where it stopped" in capsys.readouterr().out
    assert main(words) == 0
    titles = [row.title for row in read_table("sprites").rows]
    assert [one for one in done if one != "stopped"] == [
        (title, seed) for title in titles for seed in range(2)
    ]
    said = capsys.readouterr().out
    assert "| **DBSE** | 2 | 90.0 ± 0.0 [0.2] |" in said
    assert main(words) == 0
    assert len(done) == 1 + 2 * len(titles)


def test_a_row_that_cannot_be_trained_does_not_stop_the_others(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("unbraid.cli.table._without_data", lambda missing: {})

    def train_one(cell, protocols, runs, weak):
        assert weak
        if cell.row.title == "DBSE":
            raise ValueError("weights: no such term")
        write_run(runs / cell.row.title, cell.config, {name: scores(0.9) for name in protocols})
        return 0

    monkeypatch.setattr("unbraid.cli.table._train_one", train_one)
    words = ["table", "sprites", "--seeds", "1", "--runs", str(tmp_path / "runs"), "--results", str(tmp_path)]
    assert main([*words, "--accept_weak_judge", "true"]) == 2
    said = capsys.readouterr()
    assert "DBSE, seed 0 went wrong: weights" in said.out and "weights" in said.err
    assert "| **DBSE paper weights** | 1 |" in said.out


@pytest.fixture
def mine(tmp_path):
    """A recipe and a table of one's own, on made-up vectors."""
    x = np.random.default_rng(0).random((40, 3, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "mine.yaml").write_text(
        f"# Of the tests.\ndata: {{name: {tmp_path}/x.npy}}\nmodel: {{name: dbse, {SMALL}}}\n"
        "training: {max_epochs: 1, batch_size: 8, device: cpu}\n"
    )
    said = {
        "title": "Mine",
        "rows": [
            {"title": "full", "recipe": f"{tmp_path}/mine.yaml"},
            {"title": "no sub", "recipe": f"{tmp_path}/mine.yaml", "set": {"model.subtract": False}},
        ],
        "columns": ["squared_error_per_clip"],
    }
    (tmp_path / "table.yaml").write_text("# A table of the tests.\n" + yaml.safe_dump(said))
    return tmp_path / "table.yaml"


def test_a_table_trains_what_it_lacks(mine, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("unbraid.report.page.write_report", lambda *_: None)  # takes longer than the training
    scored, accepted = unbraid.evaluation.run_protocols, []

    def run_protocols(model, data, folder, protocols, options):
        accepted.append(options["accept_weak_judge"])
        return scored(model, data, folder, protocols, options)

    monkeypatch.setattr("unbraid.evaluation.run_protocols", run_protocols)
    runs = tmp_path / "runs"
    words = ["table", str(mine), "--seeds", "1", "--runs", str(runs), "--results", str(tmp_path)]

    assert main([*words, "--dry-run"]) == 0
    assert "full, seed 0: to be trained, about 0.0 min (by a few steps" in capsys.readouterr().out
    assert main(words) == 0
    said = capsys.readouterr().out
    full, without = read_runs(runs)
    if not full.config["model"]["subtract"]:
        full, without = without, full
    assert without.config["model"]["subtract"] is False and full.config["model"]["subtract"] is True
    for title, run in (("full", full), ("no sub", without)):
        error = run.scores["generation"]["squared_error_per_clip"]
        assert f"| **{title}** | 1 | {error['mean']:.1f} |" in said
    assert f"| floor |  | {error['floor']:.1f} |" in said

    # Nothing is left to do; what is begun or not scored is taken up where it is.
    times = {path: path.stat().st_mtime_ns for path in runs.glob("*/model/*")}
    assert main([*words, "--dry-run"]) == 0
    assert "Nothing to train" in capsys.readouterr().out
    (full.folder / "evaluation" / "generation.json").unlink()
    shutil.rmtree(without.folder / "model")
    (without.folder / "evaluation" / "generation.json").unlink()
    assert main([*words, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"full, seed 0: is trained in {full.folder}, to be scored" in said
    assert "no sub, seed 0: to be resumed" in said
    assert main([*words, "--accept_weak_judge", "true"]) == 0
    assert accepted == [False, False, True, True]
    said = capsys.readouterr().out
    assert f"Going on with {without.folder}" in said
    again = {path: path.stat().st_mtime_ns for path in full.folder.glob("model/*")}
    assert all(times[path] == when for path, when in again.items()) and len(list(runs.iterdir())) == 2
    assert (
        json.loads((full.folder / "evaluation" / "generation.json").read_text()) == full.scores["generation"]
    )
