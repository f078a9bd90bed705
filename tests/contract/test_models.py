import pytest

from unbraid.kinds import kind_of
from unbraid.registry import list_models, model_class
from unbraid.testing import CHECKS, build_small, variants

SMALL = {"static_size": 5, "dynamic_size": 4, "features": 8, "hidden": 6, "latent_size": 9, "static_units": 2}
OBSERVATIONS = {
    "rgb16": (3, 16, 16),
    "grey32": (1, 32, 32),
    "rgb64": (3, 64, 64),
    "rgb128": (3, 128, 128),
    "vector": (7,),
    "window": (4, 3),
}


def cases():
    for name in list_models():
        for number, settings in enumerate(variants(name)):
            for kind in ("rgb16", "vector", "window") if settings else OBSERVATIONS:
                if kind_of(OBSERVATIONS[kind]) in model_class(name).card.kinds:
                    yield pytest.param(name, OBSERVATIONS[kind], settings, id=f"{name}-{kind}-{number}")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "observation", "settings"), list(cases()))
def test_contract(name, observation, settings, check):
    # In layers of 4 rectified units all may be off at once, without batch norm to prevent it.
    width = 4 if len(observation) == 3 else 8
    check(build_small(name, observation, SMALL | {"width": width} | settings))
