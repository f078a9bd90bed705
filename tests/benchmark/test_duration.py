"""How long a training takes, from recorded ones or from a few steps."""

import numpy as np
import pytest
from made_runs import settings

from unbraid.benchmark.duration import measured_seconds, recorded_seconds, steps_within
from unbraid.benchmark.runs import Trained
from unbraid.data.sequences import Sequences


def trained(config, seconds, epochs):
    return Trained(config, {}, "abc", seconds, epochs, "P, 2 cores", "1234", "here")


def test_time_is_known_from_a_training_of_the_recipe():
    other = trained(settings("sprites/dbse", model__width=64), seconds=600.0, epochs=6)
    same = trained(settings("sprites/dbse", training__seed=1), seconds=60.0, epochs=6)
    config = settings("sprites/dbse", training__max_epochs=12)
    assert recorded_seconds(config, [other]) == (1200.0, "P, 2 cores")
    plain = settings("sprites/dbse")
    assert recorded_seconds(plain, [other, same])[0] == pytest.approx(10.0 * plain["training"]["max_epochs"])
    assert recorded_seconds(settings("puppets/dbse"), [other]) is None
    unknown = trained(settings("puppets/dbse"), seconds=None, epochs=6)
    assert recorded_seconds(settings("puppets/dbse"), [unknown]) is None
    assert recorded_seconds(settings("sprites/dbse", training__max_minutes=1), [other])[0] == 60


def test_time_is_measured_by_a_few_steps():
    x = np.random.default_rng(0).random((40, 3, 5)).astype(np.float32)
    data = Sequences.from_arrays(x)
    config = {
        "model": {
            "name": "dbse",
            "width": 4,
            "features": 8,
            "hidden": 8,
            "static_size": 4,
            "dynamic_size": 4,
        },
        "training": {"max_epochs": 10, "batch_size": 4, "max_minutes": None, "device": "cpu", "weights": {}},
    }
    ten = measured_seconds(config, data)
    config["training"]["max_epochs"] = 1000
    assert 0 < ten < 60 and measured_seconds(config, data) > 10 * ten
    config["training"]["max_minutes"] = 0.001
    assert measured_seconds(config, data) == pytest.approx(0.06)


def test_a_budget_in_minutes_becomes_steps(monkeypatch):
    monkeypatch.setattr("unbraid.benchmark.duration._seconds_per_step", lambda config, data, steps: 0.1)
    assert steps_within(2, {}, None) == 60 * 2 * 10 * 0.85
    assert steps_within(1e-6, {}, None) == 1
    with pytest.raises(ValueError, match="minutes: 0 must be above 0"):
        steps_within(0, {}, None)
