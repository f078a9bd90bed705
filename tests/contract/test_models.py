import pytest
import torch

from unbraid.models.build import build_model
from unbraid.registry import list_models, model_class
from unbraid.testing import CHECKS

SMALL = {"static_size": 5, "dynamic_size": 4, "features": 8, "hidden": 6}
OBSERVATIONS = {
    "rgb16": (3, 16, 16),
    "grey32": (1, 32, 32),
    "rgb64": (3, 64, 64),
    "vector": (7,),
    "window": (4, 3),
}
VARIANTS = {
    "dbse": [
        {},
        {"anchor": "middle"},
        {"anchor": "last"},
        {"anchor": -2},
        {"anchor": "random_run"},
        {"anchor": "random_batch"},
        {"anchor": "mean"},
        {"subtract": False},
        {"bidirectional": True},
        {"memory": False},
        {"samples": 3, "dynamic_hidden": 7},
    ],
    "dsvae": [{}, {"dynamic_posterior": "factorised"}],
    "c_dsvae": [
        {},
        {"pair_estimate": "trajectory"},
        {"static_estimate": "mws", "dynamic_estimate": "mws"},
        {"static_estimate": "mws", "dynamic_estimate": "mws", "pair_estimate": "trajectory"},
        {"static_estimate": "none", "dynamic_estimate": "none", "pair_estimate": "none"},
        {"static_view": "halves", "static_temperature": 2.0},
        {"static_view": "halves", "static_from": "mean", "subtract": True},
    ],
    "vae": [{}, {"samples": 3}],
}


def cases():
    for name in list_models():
        for kind, observation in OBSERVATIONS.items():
            yield pytest.param(name, observation, {}, id=f"{name}-{kind}")
        for settings in VARIANTS.get(name, [])[1:]:
            for kind in ("rgb16", "vector", "window"):
                text = ",".join(f"{key}={value}" for key, value in settings.items())
                yield pytest.param(name, OBSERVATIONS[kind], settings, id=f"{name}-{kind}-{text}")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "observation", "settings"), list(cases()))
def test_contract(name, observation, settings, check):
    names = model_class(name).setting_names()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        # In layers of 4 rectified units all may be off at once, without batch norm to prevent it.
        small = {**SMALL, "width": 4 if len(observation) == 3 else 8}
        model = build_model(name, observation, **{k: v for k, v in small.items() if k in names}, **settings)
    check(model)
