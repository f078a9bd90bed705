"""The pages made from the ledger."""

import json

import pytest

from unbraid.benchmark.columns import columns, read_columns
from unbraid.benchmark.ledger import main, read_ledger, record
from unbraid.benchmark.pages import experiments, figure_tables, table, with_block
from unbraid.benchmark.published import read_published
from unbraid.benchmark.text_tables import latex, markdown


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "results" / "ledger.csv"


def text_of(ledger):
    return table(experiments(read_ledger(ledger), "sprites"), read_published("sprites"))


def cells(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_the_table_is_over_seeds(make_run, ledger):
    for seed, accuracy in ((0, 0.90), (1, 0.94), (2, 0.98)):
        record(make_run(seed, accuracy), ledger)
    record(make_run(0, 0.5, ["--model.width", "64"]), ledger)
    lines = text_of(ledger).splitlines()
    assert cells(lines[0])[:6] == ["", "seeds", "epochs", "minutes", "Acc % ↑", "IS ↑"]
    assert cells(lines[2])[:6] == [
        "**sprites/dbse**", "3", "12 ± 0", "10 ± 0", "94.0 ± 4.0", "8.500 ± 0.000",
    ]  # fmt: skip
    assert cells(lines[3])[:5] == ["**sprites/dbse** `model.width=64`", "1", "12", "10", "50.0"]
    assert cells(lines[4])[:6] == ["floor", "", "", "", "10.0", "0.100"]
    published = next(cells(line) for line in lines if line.startswith("| DBSE, published"))
    assert published[4:6] == ["100.0", "8.942"]


def test_each_form_of_the_data_has_floors_of_its_own(make_run, ledger):
    record(make_run(0), ledger)
    record(make_run(0, 0.5, ["--model.width", "64"]), ledger)
    other = make_run(0, 0.5, ["--data.size", "32"], fingerprint="other")
    found = json.loads((other / "evaluation" / "generation.json").read_text())
    found["accuracy"]["floor"] = 0.25
    (other / "evaluation" / "generation.json").write_text(json.dumps(found))
    record(other, ledger)
    floors = {cells(line)[0]: cells(line)[4] for line in text_of(ledger).splitlines() if "floor" in line}
    assert floors == {
        "floor of **sprites/dbse**, **sprites/dbse** `model.width=64`": "10.0",
        "floor of **sprites/dbse** `data.size=32`": "25.0",
    }
    groups = experiments(read_ledger(ledger), "sprites")
    lines = figure_tables(groups, "generation").splitlines()
    assert set(cells(lines[0])[4:]) == set(floors)
    accuracy = dict(zip(cells(lines[0]), cells(lines[2]), strict=True))
    assert [accuracy[title] for title in floors] == ["0.1", "0.25"]


def test_shares_of_several_labels_are_averaged(make_run, ledger):
    record(make_run(), ledger)
    lines = text_of(ledger).splitlines()
    row = dict(zip(cells(lines[0]), cells(lines[2]), strict=True))
    assert row["d kept: static % ↓"] == "15.0"  # skin and hair, not the action that is part of the motion
    assert row["s kept: dynamic % ↓"] == "12.0"
    assert row["judge %"] == "99.5"  # the label it knows least


def test_a_seed_trained_again_is_no_second_repeat(make_run, ledger):
    record(make_run(0, 0.5), ledger)
    record(make_run(0, 0.75), ledger)
    text = text_of(ledger)
    assert "| 1 |" in text and "75.0" in text and "50.0" not in text


def test_runs_on_different_data_do_not_mix(make_run, ledger):
    record(make_run(0), ledger)
    record(make_run(1, fingerprint="other"), ledger)
    with pytest.raises(ValueError, match="different data"):
        text_of(ledger)


def test_pages_and_readme_are_written(make_run, tmp_path, ledger):
    root = tmp_path
    ledger.parent.mkdir()
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
    assert "## Every figure of leakage" in page and "| latent / static / skin | 0.75 | 0.1 |" in page
    main([], root)
    assert readme.read_text() == text


def test_lost_markers_are_told():
    with pytest.raises(ValueError, match="README"):
        with_block("no markers", "x")


def test_bars_and_signs_are_written_for_each_language():
    rows = [["", "H(y|x) ↓"], ["**a_b**", "1 ± 2 %"]]
    assert markdown(rows).splitlines() == ["|  | H(y\\|x) ↓ |", "|---|---|", "| **a_b** | 1 ± 2 % |"]
    assert r" & H(y$|$x) $\downarrow$ \\" in latex(rows)
    assert r"\textbf{a\_b} & 1 $\pm$ 2 \% \\" in latex(rows)


def test_published_scores_are_of_columns_that_exist():
    for data in (
        "sprites",
        "mug",
        "moving_digits",
        "physionet2012",
        "air_quality",
        "etth1",
        "timit",
        "jester",
    ):
        published = read_published(data)
        assert published
        assert {one.score for one in published} <= columns().keys()
        assert len({(one.method, one.score) for one in published}) == len(published)
        assert all(one.source.startswith("https://") and one.place for one in published)
        for one in published:
            assert not columns()[one.score].percent or 0 <= one.value <= 1


def test_the_published_table_is_that_of_the_paper():
    found = {(one.method, one.score): one for one in read_published("mug")}
    assert found["DBSE", "accuracy"].value == 0.869 and found["DBSE", "accuracy"].spread == 0.009
    assert found["DBSE, no subtraction", "generated_static_from_d"].value == 0.3982
    assert found["DSVAE, all MWS", "inception_score"].value == 4.796
    found = {(one.method, one.score): one.value for one in read_published("physionet2012")}
    assert found["DBSE", "mortality_auprc"] == 0.473 and found["DBSE, anchor last", "icu_accuracy"] == 0.5519


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (["acuracy"], "did you mean 'accuracy'"),
        ([{"mine": {"heading": "x"}}], "needs a score"),
        ([{"mine": {"heading": "x", "score": "a/b", "percnt": True}}], "did you mean 'percent'"),
    ],
)
def test_wrong_columns_are_told(said, message):
    with pytest.raises(ValueError, match=message):
        read_columns(said, "table t")
