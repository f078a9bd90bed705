"""When two runs are the same training, and that their hash lasts."""

import csv
import hashlib
import json
from pathlib import Path

import pytest
from made_runs import settings

from unbraid.benchmark import identity
from unbraid.benchmark.identity import changed_settings, essential_settings, same_training, settings_hash
from unbraid.benchmark.runs import run_name

RESULTS = Path(__file__).parents[2] / "results"


def test_where_a_run_was_made_makes_no_other_training():
    plain = settings("sprites/dbse")
    elsewhere = settings(
        "sprites/dbse",
        data__root="/there",
        training__device="cpu",
        training__checkpoint_minutes=9,
        training__log_every_steps=3,
    )
    assert settings_hash(elsewhere) == settings_hash(plain) and same_training(elsewhere, plain)
    assert changed_settings(elsewhere, plain) == {}


def test_a_seed_makes_another_training_of_the_same_settings():
    plain, seeded = settings("sprites/dbse"), settings("sprites/dbse", training__seed=1)
    assert settings_hash(seeded) == settings_hash(plain) and not same_training(seeded, plain)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.width", 64),
        ("data.size", 32),
        ("training.max_epochs", 3),
        ("training.weights.kl_static", 0.5),
        ("model.anchor_seed", 1),
    ],
)
def test_every_other_setting_makes_another_hash(name, value):
    plain = settings("sprites/dbse")
    changed = settings("sprites/dbse", **{name.replace(".", "__"): value})
    assert settings_hash(changed) != settings_hash(plain)
    assert changed_settings(changed, plain) == {name: value}


def test_the_hash_is_of_the_settings_alone():
    """Not of the recipe's name, the order of the settings, or how numbers and lists are written."""
    config = settings("sprites/dbse")
    other = json.loads(json.dumps(config))
    other["recipe"] = "my/recipe.yaml"
    other["model"] = dict(reversed(other["model"].items()))
    other["model"]["width"] = float(other["model"]["width"])
    weights = other["training"]["weights"]
    weights["kl_static"] = tuple((float(share), float(weight)) for share, weight in weights["kl_static"])
    assert settings_hash(other) == settings_hash(config)


def test_a_boolean_is_no_number():
    off, zero = settings("sprites/dbse", model__subtract=False), settings("sprites/dbse")
    zero["model"]["subtract"] = 0
    assert settings_hash(off) != settings_hash(zero)


def test_weights_that_are_not_named_are_one():
    plain = settings("sprites/dbse")
    assert settings_hash(settings("sprites/dbse", training__weights__extra=1)) == settings_hash(plain)
    without = settings("sprites/dbse", training__weights__extra=0)
    assert changed_settings(without, plain) == {"training.weights.extra": 0}
    assert changed_settings(plain, without) == {"training.weights.extra": 1}


class Model:
    def __init__(self, observation, width=4):
        pass


class ModelOfALaterVersion:
    def __init__(self, observation, width=4, samples=1):
        pass


@pytest.fixture
def set_model(monkeypatch):
    """Makes a class the registered model `toy`."""

    def use(model):
        monkeypatch.setitem(identity.MODELS, "toy", "")
        monkeypatch.setattr(identity, "model_class", lambda name: model)
        identity._defaults.cache_clear()

    yield use
    identity._defaults.cache_clear()


def toy(**model):
    return {
        "recipe": "toy",
        "data": {"name": "mine.npy"},
        "model": {"name": "toy", **model},
        "training": {"seed": 0, "weights": {}},
    }


def test_a_hash_outlives_a_new_setting_with_a_default(set_model):
    set_model(Model)
    recorded = settings_hash(toy(width=4)), settings_hash(toy(width=8))
    set_model(ModelOfALaterVersion)
    assert (settings_hash(toy(width=4)), settings_hash(toy(width=8))) == recorded
    assert (
        settings_hash(toy(width=4, samples=1)),
        settings_hash(toy(width=8, samples=1)),
    ) == recorded
    assert settings_hash(toy(width=4, samples=2)) not in recorded
    assert changed_settings(toy(width=4), toy(width=4, samples=2)) == {"model.samples": 1}


def test_a_setting_that_the_code_no_longer_has_makes_another_training(set_model):
    set_model(Model)
    assert settings_hash(toy(width=4, gone=3)) != settings_hash(toy(width=4))


def test_a_hash_outlives_a_new_setting_of_the_training():
    older = settings("puppets/dbse")
    del older["training"]["kernel_heads"], older["training"]["track_information"]
    assert settings_hash(older) == settings_hash(settings("puppets/dbse"))
    older = settings("sprites/dbse")
    del older["training"]["kernel_heads"]
    assert changed_settings(older, settings("sprites/dbse")) == {"training.kernel_heads": False}


def test_data_and_models_that_are_not_registered_have_a_hash():
    config = toy(width=4) | {"data": {"name": "/gone.csv", "window": 24}}
    assert settings_hash(config) != settings_hash(toy(width=4))
    assert essential_settings(config)["data.window"] == 24


def test_a_run_is_named_by_recipe_settings_and_seed():
    plain = settings("sprites/dbse")
    assert run_name(plain) == f"sprites-dbse-{settings_hash(plain)}-seed0"
    assert run_name(settings("sprites/dbse", training__seed=4, data__root="/x")).endswith(
        f"{settings_hash(plain)}-seed4"
    )
    assert run_name(plain | {"recipe": "from /my runs/r"}) == f"from-my-runs-r-{settings_hash(plain)}-seed0"
    assert run_name(plain | {"recipe": "/there/mine.yaml"}) == f"mine-{settings_hash(plain)}-seed0"


def test_hashes_in_the_ledger_are_those_of_the_stored_settings():
    """Fails when a default has changed: then recorded settings no longer have the hash that they were named by."""
    with (RESULTS / "ledger.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 98
    for row in rows:
        config = {"recipe": row["recipe"], **json.loads((RESULTS / row["scores"]).read_text())["config"]}
        assert (row["settings"], row["seed"]) == (settings_hash(config), str(config["training"]["seed"]))
        assert row["scores"] == f"scores/{run_name(config)}.json"
    assert {path.name for path in (RESULTS / "scores").iterdir()} == {
        Path(row["scores"]).name for row in rows
    }


def test_the_form_that_is_hashed():
    config = {
        "data": {"name": "sprites", "size": 64},
        "model": {"name": "vae", "dynamic_size": 8},
        "training": {"max_epochs": 3, "weights": {"reconstruction": 1, "kl_dynamic": 0.1}, "seed": 0},
    }
    text = (
        '{"data.name":"sprites","model.dynamic_size":8.0,"model.name":"vae","training.max_epochs":3.0,'
        '"training.weights.kl_dynamic":0.1}'
    )
    assert settings_hash(config) == hashlib.sha256(text.encode()).hexdigest()[:8]


def test_counts_of_the_data_are_no_settings():
    """A run holds the number of recordings that its model was built for; its recipe does not."""
    plain = settings("fsdd/fhvae")
    trained = settings("fsdd/fhvae", model__recordings=2000)
    assert same_training(trained, plain) and settings_hash(trained) == settings_hash(plain)
