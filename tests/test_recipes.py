"""Recipes, and the settings of a run that follow from them."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from unbraid.recipes import RECIPES, list_recipes, own_recipe, read_recipe, recipe_settings, resolve_recipe
from unbraid.registry import list_datasets, list_models
from unbraid.training import TrainingConfig


@pytest.fixture
def own(tmp_path):
    """Writes a recipe of your own."""

    def write(text, name="own.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def test_recipes_are_the_yaml_files_of_the_package():
    files = [path.relative_to(RECIPES) for path in RECIPES.rglob("*.yaml") if path.parent.name != "tables"]
    assert list_recipes() == sorted(path.with_suffix("").as_posix() for path in files)
    assert {"puppets/dbse", "sprites/dbse", "sprites/dbse-paper", "moving_digits/dbse"} <= set(list_recipes())
    assert not RECIPES.is_symlink()


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_is_short_and_makes_a_configuration(name, tmp_path):
    recipe = read_recipe(name)
    assert recipe.about and len(recipe.about.splitlines()) <= 5
    if name.endswith("-sound"):
        (tmp_path / "sound.wav").touch()
    changes = {"data.name": tmp_path} if name.startswith("own/") else {}
    config = resolve_recipe(name, changes)
    assert config["recipe"] == name
    assert config["model"]["name"] in list_models()
    assert config["data"]["name"] in [*list_datasets(), str(tmp_path)]
    training = TrainingConfig(**config["training"])
    for key, value in recipe.training.items():
        assert getattr(training, key) == value
    for key, value in recipe.model.items():
        assert config["model"][key] == value
    assert yaml.safe_load(yaml.safe_dump(config)) == config


@pytest.mark.parametrize("name", list_recipes())
def test_every_weight_of_a_recipe_is_of_a_term_of_the_model(name):
    import torch

    from unbraid.models.build import build_model
    from unbraid.types import Batch, View

    recipe = read_recipe(name)
    settings = {key: value for key, value in recipe.model.items() if key != "name"}
    observation = (3, 16, 16) if {"code_units", "edges"} & set(settings) else (4,)  # settings of frames
    model = build_model(recipe.model["name"], observation, **settings)
    x = torch.zeros(2, 3, *observation)
    batch = Batch(x, views={view: View(x) for view in model.views}, dataset_size=2)
    noise = torch.Generator().manual_seed(0)
    terms = {name for phase in model.phases for name in model.terms(batch, noise, phase.name)}
    assert set(recipe.training["weights"]) == terms


@pytest.mark.parametrize("name", list_recipes())
def test_every_setting_has_a_help_text(name, tmp_path):
    recipe = own_recipe(tmp_path, "dbse") if name.startswith("own/") else read_recipe(name)
    assert [dotted for dotted, setting in recipe_settings(recipe).items() if not setting.about] == []


def test_changes_replace_the_recipe_s_values():
    changes = {
        "data.root": "/some/where",
        "training.max_epochs": "10",
        "model.anchor": "last",
        "training.weights.kl_static": "0.3",
        "training.weights.kl_dynamic": "[[0, 0], [1, 0.5]]",
    }
    config = resolve_recipe("sprites/dbse", changes)
    assert config["data"]["root"] == "/some/where"
    assert config["training"]["max_epochs"] == 10
    assert config["model"]["anchor"] == "last"
    weights = read_recipe("sprites/dbse").training["weights"]
    assert config["training"]["weights"] == weights | {"kl_static": 0.3, "kl_dynamic": [[0, 0], [1, 0.5]]}
    typed = changes | {"training.max_epochs": 10, "training.weights.kl_dynamic": ((0, 0), (1, 0.5))}
    assert resolve_recipe("sprites/dbse", typed) == config
    assert resolve_recipe("sprites/dbse", {"model.anchor": "3"})["model"]["anchor"] == 3
    assert resolve_recipe("sprites/dbse", {"training.weights": {"kl_static": 1}})["training"]["weights"] == {
        "kl_static": 1.0
    }


def test_resolving_changes_no_recipe_and_no_default():
    before = resolve_recipe("sprites/dbse")
    resolve_recipe("sprites/dbse", {"training.weights.kl_static": 7, "model.width": 8})
    assert resolve_recipe("sprites/dbse") == before
    assert TrainingConfig().weights == {}


def test_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    config = resolve_recipe(own_recipe("mine"), {"data.cache": "cache"})
    assert config["data"]["name"] == str(tmp_path / "mine")
    assert config["data"]["cache"] == str(tmp_path / "cache")
    assert resolve_recipe("sprites/dbse", {"data.root": "raw"})["data"]["root"] == str(tmp_path / "raw")


def test_a_budget_in_epochs_replaces_one_in_steps():
    recipe = "air_quality/braid"
    assert resolve_recipe(recipe)["training"]["steps"] == 1600
    assert resolve_recipe(recipe, {"training.max_epochs": 3})["training"]["steps"] is None
    both = resolve_recipe(recipe, {"training.max_epochs": 3, "training.steps": 5})["training"]
    assert both["steps"] == 5


def test_own_data_start_from_the_recipe_of_their_kind(tmp_path):
    assert own_recipe(tmp_path).name == "own/dbse"
    assert own_recipe("series.CSV").name == "own/braid-series"
    assert own_recipe("series.CSV", "vae").name == "own/vae-series"
    np.save(tmp_path / "windows.npy", np.zeros((4, 5, 6, 2)))
    np.save(tmp_path / "frames.npy", np.zeros((4, 5, 3, 16, 16)))
    assert own_recipe(tmp_path / "windows.npy").name == "own/braid-series"
    assert own_recipe(tmp_path / "frames.npy").name == "own/dbse"
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "a.wav").touch()
    assert own_recipe(tmp_path / "sounds").name == "own/braid-sound"
    assert own_recipe(tmp_path / "sounds", "vae").name == "voices/vae"
    assert own_recipe("series.csv").data["name"] == "series.csv"
    with pytest.raises(ValueError, match="nothing"):
        own_recipe(tmp_path, "nothing")


@pytest.mark.parametrize("kind", ["video", "sound", "series"])
@pytest.mark.parametrize("model", list_models())
def test_every_method_starts_on_your_own_data(model, kind, tmp_path):
    path = tmp_path / {"video": "clips", "sound": "sounds", "series": "series.csv"}[kind]
    if kind == "series":
        path.write_text("a,b\n1,2\n")
    else:
        path.mkdir()
        (path / {"video": "a.mp4", "sound": "a.wav"}[kind]).touch()
    config = resolve_recipe(own_recipe(path, model))
    assert config["data"]["name"] == str(path) and config["model"]["name"] == model
    assert config["training"]["steps"] or config["training"]["max_epochs"] >= 50


def test_a_method_without_a_recipe_of_its_own_starts_from_data_of_that_kind(tmp_path):
    recipe, puppets = own_recipe(tmp_path, "s3vae"), read_recipe("puppets/s3vae")
    assert recipe.model == puppets.model and recipe.training["weights"] == puppets.training["weights"]
    assert recipe.training["steps"] == 2000 and "max_epochs" not in recipe.training
    assert recipe.data == {"name": str(tmp_path)}


def test_the_paper_s_recipe_differs_in_its_weights_alone():
    ours, papers = resolve_recipe("sprites/dbse"), resolve_recipe("sprites/dbse-paper")
    assert papers["training"]["weights"]["kl_static"] == papers["training"]["weights"]["kl_dynamic"] == 0.2
    assert ours["data"] == papers["data"] and ours["model"] == papers["model"]
    assert ours["training"] | {"weights": 0} == papers["training"] | {"weights": 0}


def test_your_own_recipe_extends_another(own):
    path = own("# mine\nextends: sprites/dbse\nmodel: {width: 64}\n")
    config = resolve_recipe(path)
    assert config["model"] == resolve_recipe("sprites/dbse")["model"] | {"width": 64}
    assert resolve_recipe(own(f"# again\nextends: {path}\n", "again.yaml"))["model"]["width"] == 64


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"training.max_epoch": 3}, "did you mean 'training.max_epochs'"),
        ({"model.with": 3}, "did you mean 'model.width'"),
        ({"data.rot": 3}, "did you mean 'data.root'"),
        ({"modl.width": 3}, "did you mean 'model.width'"),
        ({"model.width.more": 3}, "there is no setting model.width.more"),
        (
            {"training.max_epochs": "many"},
            "training.max_epochs: 'many' does not fit; it takes a whole number",
        ),
        ({"training.max_epochs": 2.0}, "training.max_epochs: 2.0 does not fit; it takes a whole number"),
        ({"training.max_epochs": True}, "training.max_epochs: True does not fit; it takes a whole number"),
        ({"training.max_epochs": 0}, "training.max_epochs: 0 must be at least 1"),
        ({"model.anchor": "lats"}, "or a whole number; did you mean 'last'?"),
        ({"training.weights.kl_static": "much"}, "training.weights.kl_static: 'much' does not fit"),
        ({"training.weights": 3}, "training.weights: 3 does not fit; it takes a mapping"),
        ({"data.name": "no/such"}, "there is no folder or file no/such"),
    ],
)
def test_a_wrong_change_is_refused_in_plain_words(changes, text):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        resolve_recipe("sprites/dbse", changes)
    assert text in str(error.value)
    assert not any(code in str(error.value) for code in ("\n", "typing", "Literal", "Union", "Optional", "|"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {name: dbse}\ndata: {name: sprits}\n", "sprits"),
        ("model: {name: dbs}\ndata: {name: sprites}\n", "did you mean 'dbse'"),
        ("model: {name: dbse, with: 3}\ndata: {name: sprites}\n", "did you mean 'model.width'"),
        ("model: {name: dbse}\ndata: {name: sprites}\ntrainig: {}\n", "did you mean 'training'"),
        (
            "model: {name: dbse}\ndata: {name: sprites}\ntraining: {max_epochs: x}\n",
            "own.yaml: training.max_epochs",
        ),
        ("model: {}\ndata: {name: sprites}\n", "model needs a name"),
        ("model: {name: dbse}\n", "--data PATH"),
        ("- a\n- b\n", "must be a mapping"),
        ("model: dbse\n", "must be a mapping of settings"),
        ("a: [\n", "is not YAML"),
        ("extends: sprites/dbs\n", "did you mean 'sprites/dbse'"),
    ],
)
def test_a_wrong_recipe_is_refused_in_plain_words(own, text, message):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        resolve_recipe(own(text))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_recipe_that_extends_itself_is_refused(own):
    path = own("")
    Path(path).write_text(f"extends: {path}\n")
    with pytest.raises(ValueError, match="extends itself"):
        read_recipe(path)


def test_an_unknown_recipe_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'sprites/dbse'"):
        read_recipe("sprites/dsbe")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_recipe("mine.yaml")
    with pytest.raises(ValueError, match="pass --data"):
        read_recipe(str(tmp_path))
