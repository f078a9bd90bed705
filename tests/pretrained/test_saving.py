"""A trained model written to pass on, and its model card."""

import json
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file

import unbraid as ub
from unbraid.io import load_model
from unbraid.models.build import build_model
from unbraid.pretrained.places import PACKAGED, list_pretrained, locate
from unbraid.remarks import Remark


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def test_a_run_s_model_is_written_whole(made_run, tmp_path):
    model = ub.open_run(made_run).model
    folder = model.save_pretrained(tmp_path / "out", licence="mit", name="ann/mine")
    loaded = ub.from_pretrained(folder)
    x = torch.randn(2, 3, 5)
    assert torch.equal(loaded.encode(x).static, model.encode(x).static)
    assert weights(folder).keys() == weights(made_run).keys()
    opened = ub.open_run(folder)
    assert opened.config["data"] == {"name": "mine.npy", "cache": None}
    assert opened.config["training"] == {"max_epochs": 2, "seed": 3}
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        assert b"secret" not in path.read_bytes() and b"/somewhere" not in path.read_bytes()
    assert (folder / "evaluation" / "generation.json").read_text() == (
        made_run / "evaluation" / "generation.json"
    ).read_text()


@pytest.mark.parametrize(
    ("start", "recipe", "shown"),
    [
        ("{folder}/secret/first", "from {folder}/secret/first", ("first", "from first")),
        ("user/first", "from user/first", ("user/first", "from user/first")),
        (None, "{folder}/secret/mine.yaml", (None, "mine.yaml")),
    ],
)
def test_where_training_started_is_named_without_its_place(made_run, tmp_path, start, recipe, shown):
    run = shutil.copytree(made_run, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["training"]["start_from"] = start and start.format(folder=tmp_path)
    config["recipe"] = recipe.format(folder=tmp_path)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    folder = ub.open_run(run).model.save_pretrained(tmp_path / "out")
    saved = yaml.safe_load((folder / "config.yaml").read_text())
    assert (saved["training"]["start_from"], saved["recipe"]) == shown
    assert all(b"secret" not in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_the_card_says_what_the_model_is(made_run, tmp_path):
    folder = ub.open_run(made_run).model.save_pretrained(tmp_path / "out", licence="mit", name="ann/mine")
    card = (folder / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head == {
        "library_name": "unbraid",
        "license": "mit",
        "tags": ["sequential-disentanglement", "representation-learning", "vae"],
    }
    digest = json.loads((folder / "model" / "model.json").read_text())["weights_sha256"]
    for text in (
        "# vae on mine.npy",
        'ub.from_pretrained("ann/mine")',
        "| recipe | `own/vae-series`, seed 3 |",
        "| data | mine.npy: train 8, test 2 sequences |",
        "| Acc % ↑ | 75.0 ± 1.0 | 25.0 |",
        "| IS ↑ | 3.500 ± 0.500 | 1.000 |",
        "generation on the test split",
        f"SHA-256 `{digest}`",
        "The weights: mit.",
        "@inproceedings{kingma2014vae,",
        "321 parameters",
    ):
        assert text in card, text


def test_bfloat16_halves_the_file_and_scores_of_other_weights_are_left_out(made_run, tmp_path):
    """The run's data are not there, so the rounded weights cannot be scored."""
    model = ub.open_run(made_run).model
    with pytest.warns(Remark, match="generation do not hold for the stored weights"):
        folder = model.save_pretrained(tmp_path / "half", dtype="bfloat16")
    assert all(value.dtype == torch.bfloat16 for value in weights(folder).values())
    size = {place: (place / "model" / "model.safetensors").stat().st_size for place in (folder, made_run)}
    assert size[folder] < 0.75 * size[made_run]
    for name, value in ub.from_pretrained(folder).named_parameters():
        assert value.dtype == torch.float32
        assert torch.equal(value, model.get_parameter(name).bfloat16().float())
    assert not (folder / "evaluation").exists()
    card = (folder / "README.md").read_text()
    assert "There are no scores of these weights." in card
    assert "has not stated a licence" in card


def test_rounded_weights_keep_their_scores_when_written_again(made_run, tmp_path):
    once = tmp_path / "once"
    with pytest.warns(Remark):
        ub.open_run(made_run).model.save_pretrained(once, dtype="bfloat16")
    shutil.copytree(made_run / "evaluation", once / "evaluation")
    again = ub.from_pretrained(once).save_pretrained(tmp_path / "again", dtype="bfloat16")
    assert (again / "evaluation" / "generation.json").is_file()


def test_changed_weights_do_not_get_the_run_s_scores(made_run, tmp_path):
    model = load_model(made_run)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    with pytest.warns(Remark, match="do not hold"):
        folder = model.save_pretrained(tmp_path / "out")
    assert not (folder / "evaluation").exists()


def test_a_model_without_a_run_is_written_alone(tmp_path):
    folder = build_model("vae", (5,), width=4).save_pretrained(tmp_path / "out")
    assert ub.from_pretrained(folder).settings["width"] == 4
    assert "how it was trained is not recorded" in (folder / "README.md").read_text()
    with pytest.raises(FileNotFoundError, match=r"no config\.yaml"):
        ub.open_run(folder)


def test_nothing_is_overwritten(made_run, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="never overwritten"):
        ub.open_run(made_run).model.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_file_that_was_changed_is_refused(made_run, tmp_path):
    folder = ub.open_run(made_run).model.save_pretrained(tmp_path / "out")
    path = folder / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ValueError, match="is damaged or of another model"):
        ub.from_pretrained(folder)


def test_models_of_the_package_are_there():
    """Every packaged model loads, is small, and says what it scored."""
    assert "puppets/dbse" in list_pretrained()
    for name in list_pretrained():
        folder = PACKAGED / name
        assert sum(path.stat().st_size for path in folder.rglob("*")) < 4e6
        run = ub.open_run(name)
        assert run.folder == folder and run.model.folder == folder
        card = (folder / "README.md").read_text()
        assert f'from_pretrained("{name}")' in card and "apache-2.0" in card
        assert json.loads((folder / "model" / "model.json").read_text())["weights_sha256"] in card
    assert "| Acc % ↑ | 100.0 ± 0.0 | 11.1 |" in (PACKAGED / "puppets/dbse/README.md").read_text()


def test_the_packaged_model_is_that_of_its_recipe():
    recorded = ub.open_run("puppets/dbse").config
    recipe = ub.resolve_recipe(recorded["recipe"])
    assert recorded["model"] == recipe["model"]
    assert recorded["training"]["weights"] == recipe["training"]["weights"]


def test_a_folder_comes_before_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate("puppets/dbse") == PACKAGED / "puppets/dbse"
    (tmp_path / "puppets" / "dbse").mkdir(parents=True)
    assert locate("puppets/dbse").resolve() == tmp_path / "puppets" / "dbse"


def test_a_missing_run_is_not_looked_up_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("runs/mine", "puppets/dsbe/more", "mine"):
        with pytest.raises(
            FileNotFoundError, match=r"no such folder, and no model of that name comes with unbraid"
        ):
            locate(name)
    with pytest.raises(FileNotFoundError, match="did you mean 'puppets/dbse'"):
        locate("runs/dbse")
