"""Declared tables: what they declare, the trainings they need, and how they are filled in."""

import dataclasses
from pathlib import Path

import pytest
import yaml
from made_runs import figure, scores, settings

from unbraid.benchmark.filled_table import fill_table
from unbraid.benchmark.runs import Trained
from unbraid.benchmark.score_columns import ScoreColumn
from unbraid.benchmark.tables import (
    TableRow,
    TableSpec,
    find_trained,
    list_tables,
    planned_trainings,
    read_table_spec,
)
from unbraid.recipes import list_recipes


def trained(config, scores_by_protocol, fingerprint="abc"):
    return Trained(config, scores_by_protocol, fingerprint, 60.0, 6, "P, 2 cores", "1234", "here")


# ---- declarations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list_tables())
def test_every_table_is_whole(name):
    table = read_table_spec(name)
    assert table.about and table.rows and table.columns
    assert {row.recipe for row in table.rows} <= set(list_recipes())
    configs = [planned.config for planned in planned_trainings(table, 2)]
    assert len(configs) == 2 * len(table.rows)
    for row, again in zip(configs[::2], configs[1::2], strict=True):
        assert row["training"]["seed"] == 0 and again["training"]["seed"] == 1
    titles = {line[0] for line in fill_table(table, {})[1:]}
    for published in (published for row in table.rows for published in row.published):
        data, _, method = published.partition(": ")
        assert f"{method}, published ({data})" in titles, f"{published} is not in published.csv"


def test_the_table_of_the_documents_is_right(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
    (tmp_path / "mine.yaml").write_text(text.partition("```yaml\n")[2].partition("```")[0])
    table = read_table_spec(str(tmp_path / "mine.yaml"))
    plain, wide = planned_trainings(table, 1)
    assert wide.config["model"]["width"] == 32 and plain.config["model"]["width"] != 32
    found = {("DBSE", 0): trained(plain.config, {"generation": {"swap": {"motion": figure(0.5)}}})}
    assert fill_table(table, found)[1] == ["**DBSE**", "1", "50.0"]


def test_data_are_chosen():
    assert {row.recipe for row in read_table_spec("dbse-ablation").rows} == {"puppets/dbse"}
    table = read_table_spec("dbse-ablation", "sprites")
    assert {row.recipe for row in table.rows} == {"sprites/dbse"} and "sprites" in table.title
    with pytest.raises(ValueError, match="on data of its own"):
        read_table_spec("sprites", "puppets")


def test_rows_are_set_apart_by_their_settings():
    ablation = planned_trainings(read_table_spec("dbse-ablation"), 1)
    (neither,) = (planned for planned in ablation if planned.row.title == "neither")
    assert neither.config["model"]["subtract"] is False
    assert neither.config["training"]["weights"]["reconstruction_anchor"] == 0
    changes = {"training.max_epochs": "1", "data.root": "/there"}
    for planned in planned_trainings(read_table_spec("sprites"), 1, changes):
        assert planned.config["training"]["max_epochs"] == 1 and planned.config["data"]["root"] == "/there"


def test_a_setting_may_be_the_seed():
    row = TableRow("a", "puppets/dbse", {"model.anchor": "random_run", "model.anchor_seed": "{seed}"})
    table = TableSpec("t", "", "t", (row,), ())
    assert [planned.config["model"]["anchor_seed"] for planned in planned_trainings(table, 3)] == [0, 1, 2]


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
def test_wrong_declarations_are_refused(tmp_path, change, message):
    right = {"title": "t", "rows": [{"title": "a", "recipe": "sprites/dbse"}], "columns": ["accuracy"]}
    declared = {key: value for key, value in (right | change).items() if value is not None}
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(declared))
    with pytest.raises(ValueError, match=message):
        read_table_spec(str(tmp_path / "t.yaml"))


# ---- filled in ----------------------------------------------------------------------------------------


def test_rows_stand_beside_floors_and_published_scores():
    table = read_table_spec("sprites")
    only = tuple(row for row in table.rows if row.recipe.startswith("sprites/dbse"))
    table = dataclasses.replace(table, rows=only)
    dbse = [planned for planned in planned_trainings(table, 3) if planned.row.title == "DBSE"]
    found = {
        planned.key: trained(planned.config, {"generation": scores(accuracy)})
        for planned, accuracy in zip(dbse, (0.90, 0.94, 0.98), strict=True)
    }
    rows = fill_table(table, found)
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
    column = ScoreColumn("f", "f", "downstream/t/codes/{codes}/f", floors="downstream/t/floors/{floor}/f")
    other = ScoreColumn(
        "g", "g", "downstream/t/codes/{codes}/f", floors={"pixels": "downstream/t/floors/constant/f"}
    )
    table = TableSpec(
        "t", "", "t", (TableRow("A", "sprites/dbse"),), (column,), codes={"static": "s", "both": "s and d"}
    )
    found = {("A", 0): trained(settings("sprites/dbse"), {"downstream": {"t": part}})}
    assert fill_table(table, found) == [
        ["", "seeds", "f"],
        ["**A**, from s", "1", "0.500"],
        ["**A**, from s and d", "1", "0.700"],
        ["floor", "", "0.100"],
        ["floor: raw linear", "", "0.400"],
        ["floor: constant", "", "0.100"],
    ]
    assert fill_table(dataclasses.replace(table, columns=(other,)), found)[-1] == [
        "floor: pixels",
        "",
        "0.100",
    ]


def test_each_form_of_the_data_has_its_floor():
    columns = (ScoreColumn("accuracy", "a", "generation/accuracy"),)
    table = TableSpec(
        "t",
        "",
        "t",
        (TableRow("A", "x"), TableRow("B", "x"), TableRow("C", "x"), TableRow("D", "x")),
        columns,
    )

    def run(data, fingerprint, floor):
        accuracy = {"generation": {"accuracy": figure(0.5) | {"floor": floor}}}
        return trained({"data": {"name": data}}, accuracy, fingerprint)

    found = {
        ("A", 0): run("fsdd", "segments", 0.1),
        ("B", 0): run("fsdd", "words", 0.2),
        ("C", 0): run("fsdd", "words", 0.2),
        ("D", 0): run("puppets", "abc", 0.1),
    }
    floors = [row for row in fill_table(table, found) if row[0].startswith("floor")]
    assert floors == [
        ["floor of A", "", "0.100"],
        ["floor of B, C", "", "0.200"],
        ["floor, puppets", "", "0.100"],
    ]
    del found["A", 0], found["D", 0]
    assert fill_table(table, found)[-1] == ["floor", "", "0.200"]


def test_floors_are_named_by_what_the_titles_of_their_rows_begin_with():
    columns = (ScoreColumn("accuracy", "a", "generation/accuracy"),)
    titles = ("Gun: A", "Gun: B", "Arrow: A", "Vowel: A", "Vowel: B")
    table = TableSpec("t", "", "t", tuple(TableRow(title, "x") for title in titles), columns)
    prints = ("gun", "gun", "head", "vowel", "vowel in segments")

    def run(fingerprint):
        accuracy = {"generation": {"accuracy": figure(0.5) | {"floor": len(fingerprint) / 100}}}
        return trained({"data": {"name": "ucr"}}, accuracy, fingerprint)

    found = {(title, 0): run(each) for title, each in zip(titles, prints, strict=True)}
    floors = [row for row in fill_table(table, found) if row[0].startswith("floor")]
    assert floors == [
        ["floor of Gun", "", "0.030"],
        ["floor of Arrow", "", "0.040"],
        ["floor of Vowel: A", "", "0.050"],
        ["floor of Vowel: B", "", "0.170"],
    ]


def test_trainings_on_other_data_do_not_mix():
    table = read_table_spec("sprites")
    first, second = planned_trainings(table, 2)[:2]
    every = {"generation": scores(0.9)}
    found = {("DBSE", 0): trained(first.config, every), ("DBSE", 1): trained(second.config, every, "other")}
    with pytest.raises(ValueError, match="saw different data"):
        fill_table(table, found)


def test_only_the_same_training_is_found():
    planned = planned_trainings(read_table_spec("sprites"), 1)[0]
    every = {"generation": scores(0.9)}
    right = trained(settings("sprites/dbse", data__root="/there", training__device="cpu"), every)
    for changes in ({"training__seed": 1}, {"model__width": 64}, {"training__weights__kl_static": 1}):
        other = trained(settings("sprites/dbse", **changes), every)
        assert find_trained(planned, [other], {"generation"}) is None
        assert find_trained(planned, [right, other], {"generation"}) is right
    assert find_trained(planned, [right], {"generation", "leakage"}) is None
