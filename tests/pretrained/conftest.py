import json

import pytest
import torch
import yaml

from unbraid.io import save_model
from unbraid.models.build import build_model

SCORES = {
    "accuracy": {"mean": 0.75, "std": 0.01, "floor": 0.25},
    "inception_score": {"mean": 3.5, "std": 0.5, "floor": 1.0},
    "protocol": {"split": "test"},
}
"""Of generation; made up."""


@pytest.fixture(scope="session")
def made_run(tmp_path_factory):
    """The folder of a finished run on a file of this machine: a model with random weights, and made-up scores."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    torch.manual_seed(0)
    model = build_model("vae", (5,), dynamic_size=4, features=8, width=4, hidden=6)
    save_model(model, folder / "model")
    config = {
        "recipe": "own/vae-series",
        "data": {
            "name": str(tmp_path_factory.mktemp("private") / "secret" / "mine.npy"),
            "cache": "/somewhere/else",
        },
        "model": {"name": "vae", **model.settings},
        "training": {"max_epochs": 2, "seed": 3},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    environment = {
        "unbraid": "0.1.0",
        "torch": "2.13.0",
        "commit": "1234",
        "device": "cpu",
        "precision": "float32",
        "data_fingerprint": "abc",
        "sequences": {"train": 8, "test": 2},
        "parameters": 321,
        "steps": 10,
        "seconds": 90.0,
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "generation.json").write_text(json.dumps(SCORES))
    return folder
