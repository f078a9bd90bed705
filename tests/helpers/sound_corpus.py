"""A run on sounds as a training leaves it, with weights that are not trained, and folders of short sounds."""

import json

import numpy as np
import torch
import yaml

from unbraid.data.features import Features, Sound
from unbraid.data.scaling import Scaling
from unbraid.io import save_features, save_model
from unbraid.models.build import build_model

RATE = 8000
SIZES = {"static_size": 4, "dynamic_size": 3, "width": 4, "features": 8, "hidden": 8}


def write_run(folder, seed=0):
    """A finished run whose model reads 40 mel bands of sounds at 8 kHz."""
    torch.manual_seed(seed)
    save_model(build_model("dbse", (40,), **SIZES), folder / "model")
    scaling = Scaling(np.full(40, -6.0), np.full(40, 3.0))
    names = tuple(f"{band} Hz" for band in range(40))
    save_features(Features(names, None, scaling, 100.0, Sound("mel40", RATE)), folder / "model")
    data = {"name": "sounds", "features": "mel40", "segment": "utterance"}
    (folder / "config.yaml").write_text(
        yaml.safe_dump({"data": data, "model": {"name": "dbse"}, "training": {}})
    )
    (folder / "environment.json").write_text(json.dumps({"data_fingerprint": "x", "seconds": 1.0}))
    return folder


def write_sounds(folder, count, seed=0):
    """Files of 0.1 to 0.4 seconds, ten in a folder."""
    import soundfile

    draw = np.random.default_rng(seed)
    for number in range(count):
        place = folder / f"{number // 10}"
        place.mkdir(parents=True, exist_ok=True)
        time = np.arange(int(RATE * draw.uniform(0.1, 0.4))) / RATE
        sound = 0.3 * np.sin(2 * np.pi * draw.uniform(100, 2000) * time) + draw.normal(0, 0.01, len(time))
        soundfile.write(place / f"{number}.wav", sound, RATE, "PCM_16")
    return folder
