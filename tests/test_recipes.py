"""Recipes and the settings that come of them."""

from pathlib import Path

import pytest

from unbraid.registry import list_datasets, list_models
from unbraid.settings import list_recipes, read_recipe, recipe_parser, resolve
from unbraid.training import TrainingConfig

ROOT = Path(__file__).parent.parent


def settings(name, *arguments):
    recipe = read_recipe(name)
    config, _ = resolve(recipe, recipe_parser(recipe, "train"), list(arguments))
    return config


@pytest.fixture
def own(tmp_path):
    """Writes a recipe of one's own."""

    def write(text, name="own.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def test_the_recipes_are_those_of_the_repository():
    files = sorted(file for file in ROOT.glob("recipes/*/*.yaml") if file.parent.name != "tables")
    assert list_recipes() == sorted(f"{file.parent.name}/{file.stem}" for file in files)
    assert {"puppets/dbse", "sprites/dbse", "sprites/dbse-paper", "moving_digits/dbse"} <= set(list_recipes())


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_makes_a_configuration(name, tmp_path):
    recipe = read_recipe(name)
    assert recipe.about, "a recipe says what it is and where its numbers are from"
    if name.startswith("own/"):
        recipe.data["name"] = str(tmp_path)
    config, _ = resolve(recipe, recipe_parser(recipe, "train"), [])
    assert config["recipe"] == name
    assert config["model"]["name"] in list_models()
    assert config["data"]["name"] in [*list_datasets(), str(tmp_path)]
    training = TrainingConfig(**config["training"])
    for key, value in recipe.training.items():
        assert getattr(training, key) == value
    for key, value in recipe.model.items():
        assert config["model"][key] == value


@pytest.mark.parametrize("name", list_recipes())
def test_every_term_of_a_recipe_is_one_of_the_model(name):
    import torch

    from unbraid.models.build import build_model
    from unbraid.types import Batch, View

    recipe = read_recipe(name)
    settings = {key: value for key, value in recipe.model.items() if key != "name"}
    model = build_model(recipe.model["name"], (4,), **settings)
    x = torch.zeros(2, 3, 4)
    batch = Batch(x, views={view: View(x) for view in model.views}, dataset_size=2)
    assert set(recipe.training["weights"]) == set(model.terms(batch, torch.Generator().manual_seed(0)))


def test_what_is_said_on_the_command_line_wins():
    config = settings(
        "sprites/dbse",
        *("--data.root", "/some/where", "--training.max_epochs", "10", "--model.anchor", "last"),
        *("--training.weights.kl_static", "0.3", "--training.weights.kl_dynamic", "[[0, 0], [1, 0.5]]"),
    )
    assert config["data"]["root"] == "/some/where"
    assert config["training"]["max_epochs"] == 10
    assert config["model"]["anchor"] == "last"
    weights = read_recipe("sprites/dbse").training["weights"]
    assert config["training"]["weights"] == weights | {"kl_static": 0.3, "kl_dynamic": [[0, 0], [1, 0.5]]}
    assert settings("sprites/dbse", "--model.anchor", "3")["model"]["anchor"] == 3


def test_the_paper_s_recipe_differs_in_its_weights_alone():
    ours, papers = settings("sprites/dbse"), settings("sprites/dbse-paper")
    assert papers["training"]["weights"]["kl_static"] == papers["training"]["weights"]["kl_dynamic"] == 0.2
    assert ours["data"] == papers["data"] and ours["model"] == papers["model"]
    assert ours["training"] | {"weights": 0} == papers["training"] | {"weights": 0}


def test_a_recipe_of_one_s_own_extends_another(own):
    path = own("# mine\nextends: sprites/dbse\nmodel: {width: 64}\n")
    config = settings(path)
    assert config["model"] == settings("sprites/dbse")["model"] | {"width": 64}
    assert settings(own(f"# again\nextends: {path}\n", "again.yaml"))["model"]["width"] == 64


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--training.max_epoch", "3"], "did you mean '--training.max_epochs'"),
        (["--model.with", "3"], "did you mean '--model.width'"),
        (["--data.rot", "3"], "did you mean '--data.root'"),
        (["--zzz", "3"], "--help"),
        (["--training.max_epochs", "many"], "training.max_epochs: 'many' does not fit; it takes int"),
        (["--model.anchor", "lats"], "model.anchor: 'lats' does not fit"),
        (["--training.weights.kl_static", "heavy"], "heavy"),
        (["--data", "recipes"], "--data: there is no such option"),
    ],
)
def test_a_wrong_option_is_told_with_the_nearest(arguments, told):
    with pytest.raises(ValueError, match=r".") as error:
        settings("sprites/dbse", *arguments)
    assert told in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model: {name: dbse}\ndata: {name: sprits}\n", "sprits"),
        ("model: {name: dbs}\ndata: {name: sprites}\n", "did you mean 'dbse'"),
        ("model: {name: dbse, with: 3}\ndata: {name: sprites}\n", "did you mean 'model.width'"),
        ("model: {name: dbse}\ndata: {name: sprites}\ntrainig: {}\n", "did you mean 'training'"),
        ("model: {name: dbse}\ndata: {name: sprites}\ntraining: {max_epochs: x}\n", "max_epochs"),
        ("model: {}\ndata: {name: sprites}\n", "model needs a name"),
        ("model: {name: dbse}\n", "--data PATH"),
        ("- a\n- b\n", "must be a mapping"),
        ("model: dbse\n", "must be a mapping of settings"),
        ("a: [\n", "is not YAML"),
        ("extends: sprites/dbs\n", "did you mean 'sprites/dbse'"),
    ],
)
def test_a_wrong_recipe_is_told(own, text, told):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        settings(own(text))
    assert told in str(error.value) and "\n" not in str(error.value)


def test_a_recipe_that_extends_itself_is_refused(own):
    path = own("")
    Path(path).write_text(f"extends: {path}\n")
    with pytest.raises(ValueError, match="extends itself"):
        read_recipe(path)


def test_an_unknown_recipe_is_told_with_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'sprites/dbse'"):
        read_recipe("sprites/dsbe")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_recipe("mine.yaml")
    with pytest.raises(ValueError, match="pass --data"):
        read_recipe(str(tmp_path))
