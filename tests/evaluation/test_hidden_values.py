"""Padding and masked values change no score, in any protocol."""

import dataclasses

import numpy as np
import pytest
import torch
from oracle import clips
from tones import recordings

from unbraid.evaluation import Judge, factor_reader, leakage, linear_reader, network_reader, planted
from unbraid.evaluation.classifiers import CLASSIFIERS
from unbraid.generation import encode
from unbraid.masks import widen
from unbraid.models.build import build_model
from unbraid.registry import PROTOCOLS, protocol

random = np.random.default_rng(0)
SMALL = {"static_size": 3, "dynamic_size": 3, "features": 8, "width": 4, "hidden": 8}


def frames():
    data = clips(each=2)
    x = data.x.astype(np.float32) / 255
    mask = random.random(x.shape) < 0.8
    mask[:, 0] = True
    mask[::3, 1] = False  # a gap
    lengths = random.integers(2, 5, len(x))
    return dataclasses.replace(data, x=x, mask=mask, lengths=lengths, fingerprint="")


def series():
    data = clips(each=2)
    x = random.normal(size=(len(data), 5, 4, 3)).astype(np.float32)
    mask = random.random(x.shape) < 0.8
    mask[:, 0] = True
    mask[::4, 2] = False
    return dataclasses.replace(
        data, x=x, mask=mask, lengths=random.integers(3, 6, len(x)), fingerprint="",
        targets={"rain": random.normal(size=(len(x), 5))},
    )  # fmt: skip


def sounds():
    data = recordings(3, pieces=2)
    steps = random.random(data.x.shape[:2]) < 0.8
    steps[:, :2] = True
    return dataclasses.replace(data, mask=steps, fingerprint="")


DATA = {
    "generation": frames,
    "leakage": frames,
    "factors": frames,
    "downstream": series,
    "verification": sounds,
    "planted": series,
}


def model_for(data):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model("dbse", data.observation, **SMALL).eval()


def options(name, folder):
    torch.manual_seed(0)
    judge = Judge((3, 16, 16), {"colour": 5, "shade": 3, "move": 4}, width=2)
    judged = {"judge": judge, "accept_weak_judge": True}
    each = {
        "generation": {"repeats": 1, **judged},
        "leakage": {"repeats": 1, **judged},
        "factors": {"repeats": 1, **judged},
        "downstream": {"repeats": 1, "resamples": 5, "cache": folder},
        "verification": {"resamples": 5},
        "planted": {"repeats": 1, "cache": folder},
    }
    return each[name]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(network_reader, "EPOCHS", 1)
    monkeypatch.setattr(linear_reader, "STRENGTHS", (0.1,))
    monkeypatch.setattr(planted, "STRENGTHS", (0.1,))
    monkeypatch.setattr(factor_reader, "MAX_STEPS", 2)
    nearest = {"nearest_neighbours": CLASSIFIERS["nearest_neighbours"]}
    monkeypatch.setattr(leakage, "CLASSIFIERS", nearest)


def spoilt(data, fill):
    """The same data with other values where nothing was observed."""
    observed = widen(data.observed(), data.x)
    return dataclasses.replace(data, x=np.where(observed, data.x, fill).astype(np.float32), fingerprint="")


@pytest.mark.parametrize("fill", [np.nan, 7.0])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_hidden_values_change_no_score(name, fill, tmp_path):
    data = DATA[name]()
    assert not np.broadcast_to(widen(data.observed(), data.x), data.x.shape).all()
    model, chosen = model_for(data), options(name, tmp_path)
    once, again = (protocol(name).run(model, part, chosen) for part in (data, spoilt(data, fill)))
    assert once["protocol"].pop("fingerprint") != again["protocol"].pop("fingerprint")
    assert once == again
    assert once.figures()


def test_steps_without_an_observed_value_are_no_part_of_the_mean():
    """Padding and gaps count neither in the mean of the dynamic codes nor in the row of all of them."""
    data = clips(each=1)
    mask = np.ones((len(data), 4), bool)
    mask[:, 1] = mask[:20, 3] = False
    some = dataclasses.replace(data, mask=mask, fingerprint="").take(np.arange(30))
    model = model_for(some)
    features = leakage._features(model, data, some, 16)
    d = encode(model, some).dynamic.double().numpy()
    assert features["dynamic_mean"][:20] == pytest.approx(d[:20][:, [0, 2]].mean(1))
    assert features["dynamic_mean"][20:] == pytest.approx(d[20:][:, [0, 2, 3]].mean(1))
    path = features["dynamic"].reshape(30, 4, -1)
    assert (path[:, 1] == 0).all() and (path[:20, 3] == 0).all()
    np.testing.assert_array_equal(path[:, 2], d[:, 2])
