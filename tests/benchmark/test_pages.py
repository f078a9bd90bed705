"""The pages made from the ledger, and what they show."""

import json
import re
from pathlib import Path

import pytest

from unbraid.benchmark.current import current_trainings, main_recipes
from unbraid.benchmark.ledger import read_ledger, record
from unbraid.benchmark.method_pages import method_page, method_text
from unbraid.benchmark.pages import data_page, figure_tables, readme_block, with_block, write_pages
from unbraid.benchmark.text_tables import latex, markdown
from unbraid.registry import list_models, model_class
from unbraid.testing import build_small, tiny_batch, variants

ROOT = Path(__file__).parents[2]
README = "before\n<!-- results: made by `make results` -->\nold\n<!-- end of results -->\nafter\n"


def lines_of(ledger):
    """The lines of the table on top of the page of Sprites."""
    page = data_page("sprites", current_trainings(read_ledger(ledger), "sprites"))
    return page.split("\n\n")[2].splitlines()


def cells(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_the_table_is_over_seeds(make_run, ledger):
    for seed, accuracy in ((0, 0.90), (1, 0.94), (2, 0.98)):
        record(make_run(seed, accuracy), ledger)
    record(make_run(0, 0.5, model__subtract=False), ledger)
    lines = lines_of(ledger)
    assert cells(lines[0])[:6] == ["", "seeds", "epochs", "minutes", "Acc % ↑", "IS ↑"]
    assert cells(lines[2])[:6] == [
        "**sprites/dbse**", "3", "12 ± 0", "10 ± 0", "94.0 ± 4.0", "8.500 ± 0.000",
    ]  # fmt: skip
    assert cells(lines[3])[:5] == ["**sprites/dbse** `model.subtract=False`", "1", "12", "10", "50.0"]
    assert cells(lines[4])[:6] == ["floor", "", "", "", "10.0", "0.100"]
    published = next(cells(line) for line in lines if line.startswith("| DBSE, published"))
    assert published[4:6] == ["100.0", "8.942"]


def test_only_declared_settings_are_shown(make_run, ledger):
    """Those of recipes, and of rows of tables; `dbse-ablation --data sprites` declares the one without subtraction."""
    record(make_run(0, 0.5, model__width=17), ledger)
    assert current_trainings(read_ledger(ledger), "sprites") == {}
    record(make_run(0), ledger)
    record(make_run(0, model__subtract=False), ledger)
    groups = current_trainings(read_ledger(ledger), "sprites")
    assert list(groups) == ["**sprites/dbse**", "**sprites/dbse** `model.subtract=False`"]
    assert list(main_recipes(groups)) == ["**sprites/dbse**"]
    assert current_trainings(read_ledger(ledger), "puppets") == {}


def test_a_training_is_shown_under_the_recipe_whose_settings_it_has(make_run, ledger, tmp_path):
    (tmp_path / "older.yaml").write_text("# older\nextends: sprites/dbse\n")
    record(make_run(recipe=str(tmp_path / "older.yaml")), ledger)
    assert list(current_trainings(read_ledger(ledger), "sprites")) == ["**sprites/dbse**"]


def test_seeds_that_a_table_sets_stand_in_one_row(make_run, ledger):
    for seed in (0, 1):
        changes = {"model__anchor": "random_run", "model__anchor_seed": seed}
        record(make_run(seed, recipe="puppets/dbse", **changes), ledger)
    (title,) = groups = current_trainings(read_ledger(ledger), "puppets")
    assert title == "**puppets/dbse** `model.anchor=random_run`" and len(groups[title]) == 2


def test_each_form_of_the_data_has_floors_of_its_own(make_run, ledger):
    record(make_run(0), ledger)
    record(make_run(0, 0.5, model__subtract=False), ledger)
    other = make_run(0, 0.5, recipe="sprites/dsvae", fingerprint="other")
    found = json.loads((other / "evaluation" / "generation.json").read_text())
    found["accuracy"]["floor"] = 0.25
    (other / "evaluation" / "generation.json").write_text(json.dumps(found))
    record(other, ledger)
    floors = {cells(line)[0]: cells(line)[4] for line in lines_of(ledger) if "floor" in line}
    assert floors == {
        "floor of **sprites/dbse**, **sprites/dbse** `model.subtract=False`": "10.0",
        "floor of **sprites/dsvae**": "25.0",
    }
    shown = figure_tables(current_trainings(read_ledger(ledger), "sprites"), "generation").splitlines()
    assert cells(shown[0])[-2:] == list(floors)
    assert cells(shown[2])[0] == "accuracy" and cells(shown[2])[-2:] == ["0.1", "0.25"]


def test_shares_of_several_labels_are_averaged(make_run, ledger):
    record(make_run(), ledger)
    lines = lines_of(ledger)
    row = dict(zip(cells(lines[0]), cells(lines[2]), strict=True))
    assert row["d kept: static % ↓"] == "15.0"  # skin and hair, not the action that is part of the motion
    assert row["s kept: dynamic % ↓"] == "12.0"
    assert row["judge %"] == "99.5"  # the label it knows least


def test_a_seed_trained_again_is_no_second_repeat(make_run, ledger):
    record(make_run(0, 0.5), ledger)
    record(make_run(0, 0.75), ledger)
    text = "\n".join(lines_of(ledger))
    assert "| 1 |" in text and "75.0" in text and "50.0" not in text


@pytest.mark.parametrize(
    ("note", "sentence"),
    [
        (
            {"static_drawn": "codes of other clips"},
            "has no prior of the static code; instead of drawn codes it decodes codes of other clips.",
        ),
        (
            {"compared_with": "clips of its own"},
            "has no encoder; its clips are compared with clips of its own.",
        ),
    ],
)
def test_pages_say_where_nothing_could_be_drawn_or_encoded(make_run, ledger, note, sentence):
    for seed in (0, 1):
        run = make_run(seed)
        file = run / "evaluation" / "generation.json"
        found = json.loads(file.read_text())
        file.write_text(json.dumps(found | {"protocol": found.get("protocol", {}) | note}))
        record(run, ledger)
    page = data_page("sprites", current_trainings(read_ledger(ledger), "sprites"))
    assert page.count(f"**sprites/dbse** {sentence}") == 1


def test_runs_on_different_data_do_not_mix(make_run, ledger):
    record(make_run(0), ledger)
    record(make_run(1, fingerprint="other"), ledger)
    with pytest.raises(ValueError, match="different data"):
        lines_of(ledger)


def test_pages_and_readme_are_written(make_run, tmp_path, ledger):
    readme = tmp_path / "README.md"
    readme.write_text(README)
    methods = [tmp_path / "docs" / "methods" / f"{name}.md" for name in (*list_models(), "index")]
    assert write_pages(tmp_path) == [*methods, readme]
    assert "No run is recorded yet." in readme.read_text()
    record(make_run(), ledger)
    record(make_run(model__width=17), ledger)
    assert write_pages(tmp_path) == [ledger.parent / "sprites.md", *methods, readme]
    text, page = readme.read_text(), (ledger.parent / "sprites.md").read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "**sprites/dbse**" in text and "**sprites/dbse**" in page
    assert "| motion | dynamic | 90.0 | 12.0 | 33.3 |" in page
    assert "## Every figure of leakage" in page and "| latent / static / skin | 0.75 | 0.1 |" in page
    assert "width" not in page and len(read_ledger(ledger)) == 2
    write_pages(tmp_path)
    assert readme.read_text() == text


def test_the_readme_shows_few_columns_of_main_recipes(make_run, ledger):
    record(make_run(), ledger)
    record(make_run(model__subtract=False), ledger)
    record(make_run(recipe="sprites/dbse-long"), ledger)
    lines = readme_block(read_ledger(ledger)).splitlines()
    assert cells(lines[0]) == [
        "[sprites](results/sprites.md)",
        "seeds",
        "Acc % ↑",
        "s kept: static % ↑",
        "d kept: static % ↓",
        "squared error ↓",
    ]
    assert [cells(line)[0] for line in lines[2:]] == [
        "**sprites/dbse**",
        "floor",
        "DBSE, published ([source](https://arxiv.org/abs/2406.18131))",
    ]


def test_lost_markers_are_told():
    with pytest.raises(ValueError, match="README"):
        with_block("no markers", "x")


def test_bars_and_signs_are_written_for_each_language():
    rows = [["", "H(y|x) ↓"], ["**a_b**", "1 ± 2 %"]]
    assert markdown(rows).splitlines() == ["|  | H(y\\|x) ↓ |", "|---|---|", "| **a_b** | 1 ± 2 % |"]
    assert r" & H(y$|$x) $\downarrow$ \\" in latex(rows)
    assert r"\textbf{a\_b} & 1 $\pm$ 2 \% \\" in latex(rows)


def test_pages_of_methods_are_those_of_their_files():
    trained = read_ledger(ROOT / "results" / "ledger.csv")
    for name in list_models():
        page = ROOT / "docs" / "methods" / f"{name}.md"
        made = method_page(name, trained, method_text(ROOT, name))
        assert page.read_text(encoding="utf-8") == made, "run `make results`"
        card = model_class(name).card
        text = page.read_text(encoding="utf-8").replace("\\|", "|")
        assert card.title in text and all(f"`{symbol}`" in text for symbol, _, _ in card.symbols)
        settings = [line for line in text.splitlines() if line.startswith("| `") and line.count("|") == 4]
        described = {line.split("`")[1] for line in settings if not line.endswith("|  |")}
        assert set(model_class(name).setting_names()) <= described, "a setting has no description"


@pytest.mark.parametrize("name", list_models())
def test_texts_of_methods_name_what_training_logs(name):
    """The last part of the text explains the terms that some setting of the method has, and no others."""
    logged = {term for changes in variants(name) for term in logged_terms(name, changes)}
    *equations, table = method_text(ROOT, name)
    assert equations and all("```math" in part for part in equations)
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == logged


def logged_terms(name, changes):
    observation = (3, 16, 16)
    model = build_small(name, observation, {"width": 4, "hidden": 8, **changes})
    batch = tiny_batch(observation, views=model.views)
    return {term for phase in model.phases for term in model.terms(batch, None, phase.name)}
