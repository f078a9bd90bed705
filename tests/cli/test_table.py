"""Your own table on the command line: trained on, its scaling kept with the model, a new table encoded."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from unbraid import io
from unbraid.cli import main
from unbraid.data.features import Features
from unbraid.data.own.tables import read_series
from unbraid.data.scaling import Scaling
from unbraid.generation import encode
from unbraid.recipes import resolve_recipe
from unbraid.recipes.resolving import own_recipe

TINY = [
    *("--model.width", "4", "--model.features", "8", "--model.hidden", "8"),
    *("--model.static_size", "3", "--model.dynamic_size", "2"),
    *("--training.max_epochs", "1", "--training.batch_size", "4", "--training.device", "cpu"),
]
TABLE = [
    *("--data.id", "patient", "--data.features", "[heart, pressure]", "--data.window", "1"),
    *("--data.step", "2h", "--data.static_labels", "[ward]", "--data.units", "{heart: 1/min}"),
]


def vitals(count, shift=0.0):
    random = np.random.default_rng(count)
    stamps = pd.date_range("2020-03-01", periods=10, freq="1h")
    parts = [
        pd.DataFrame(
            {
                "patient": f"p{n}",
                "time": stamps,
                "heart": random.normal(70 + shift, 5, 10),
                "pressure": random.normal(100, 10, 10),
                "ward": ("north", "south")[n % 2],
            }
        )
        for n in range(count)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run trained by the command on `vitals.csv`, and a table of new patients."""
    folder = tmp_path_factory.mktemp("table")
    vitals(8).to_csv(folder / "vitals.csv", index=False)
    vitals(3, shift=50).drop(columns="ward").to_csv(folder / "new.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNBRAID_CACHE", str(folder / "cache"))
        words = ["train", "--data", str(folder / "vitals.csv"), *TABLE, *TINY]
        assert main([*words, "--run", str(folder / "run"), "--no-evaluate"]) == 0
        yield folder


def test_the_run_keeps_what_the_features_are(folder):
    config = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    assert config["data"]["features"] == ["heart", "pressure"] and config["data"]["static_labels"] == ["ward"]
    kept = io.load_features(folder / "run")
    assert kept.names == ("heart", "pressure") and kept.units == ("1/min", "")
    assert kept.sampling_rate == pytest.approx(1 / 7200)
    options = {"id": "patient", "features": ["heart", "pressure"], "step": "2h", "window": 1}
    _, data = read_series(folder / "vitals.csv", **options)
    np.testing.assert_array_equal(kept.scaling.mean, data.scaling.mean)
    np.testing.assert_array_equal(kept.scaling.std, data.scaling.std)


def test_lists_are_written_with_commas(folder):
    chosen = [
        resolve_recipe(own_recipe(folder / "vitals.csv"), {"data.features": text})["data"]["features"]
        for text in ("heart,pressure", "[heart, pressure]", ["heart", "pressure"])
    ]
    assert chosen == [["heart", "pressure"]] * 3


def test_a_new_table_is_scaled_as_the_training_data(folder):
    output = folder / "codes.npz"
    assert main(["encode", str(folder / "run"), str(folder / "new.csv"), "--output", str(output)]) == 0
    with np.load(output) as codes:
        assert codes["names"].tolist() == ["p0", "p1", "p2"]
        assert codes["static"].shape == (3, 3) and codes["dynamic"].shape == (3, 5, 2)
        static = codes["static"]
    options = {"id": "patient", "features": ["heart", "pressure"], "step": "2h", "window": 1}
    _, new = read_series(folder / "new.csv", scaling=io.load_features(folder / "run").scaling, **options)
    assert new.x[..., 0].mean() > 5  # far above the training data, not centred anew
    np.testing.assert_allclose(static, encode(io.load_model(folder / "run"), new).static.numpy(), atol=1e-6)


def test_mistakes_are_reported(folder, tmp_path, capsys):
    vitals(3).drop(columns=["ward", "heart"]).to_csv(tmp_path / "other.csv", index=False)
    assert main(["encode", str(folder / "run"), str(tmp_path / "other.csv"), "--output", "none.npz"]) == 2
    assert "other.csv has no column 'heart'" in capsys.readouterr().err
    assert main(["train", "--data", str(folder / "vitals.csv"), "--data.widow", "2"]) == 2
    assert "did you mean '--data.window'" in capsys.readouterr().err
    assert main(["train", "--data", str(folder / "vitals.csv"), *TABLE[2:]]) == 2
    assert "id: vitals.csv has no column 'id'" in capsys.readouterr().err


def test_features_on_disk(tmp_path):
    features = Features(("a",), None, Scaling(np.array([1 / 3]), np.array([0.1])), 2.0)
    io.save_features(features, tmp_path / "model")
    for place in (tmp_path, tmp_path / "model"):
        features_read = io.load_features(place)
        assert (features_read.names, features_read.units, features_read.sampling_rate) == (("a",), None, 2.0)
        assert (features_read.scaling.mean[0], features_read.scaling.std[0]) == (1 / 3, 0.1)
    with pytest.raises(FileNotFoundError, match=r"holds no features\.json"):
        io.load_features(tmp_path / "elsewhere")
    (tmp_path / "model" / "features.json").write_text(json.dumps({"names": ["a"]}))
    with pytest.raises(ValueError, match=r"features\.json: is damaged"):
        io.load_features(tmp_path)
