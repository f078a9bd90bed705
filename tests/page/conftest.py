"""Runs for the page, with models whose answers are known in closed form."""

import numpy as np
import pytest
from page_runs import HOSTILE, run_of
from tones import Additive, recordings

from unbraid.data.sequences import Sequences
from unbraid.page.session import session_of


@pytest.fixture(scope="session")
def series():
    """Thirty series of three features, every fourth with hidden steps."""
    random = np.random.default_rng(0)
    x = random.normal(size=(30, 12, 3)).astype(np.float32) + random.normal(size=(30, 1, 3)).astype(np.float32)
    mask = np.ones(x.shape[:2], bool)
    mask[::4, 3:6] = False
    return Sequences.from_arrays(
        x,
        name="made",
        mask=mask,
        labels={"who": [HOSTILE if row % 2 else "other" for row in range(30)]},
        feature_names=["speed", "heat", HOSTILE],
        units=["m/s", "K", ""],
        sampling_rate=2.0,
        fractions=(0.2, 0.2, 0.6),
    )


@pytest.fixture(scope="session")
def of_series(series, tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    return session_of(run_of(folder, Additive((3,)), series), series, folder)


@pytest.fixture(scope="session")
def of_sound(tmp_path_factory):
    data, folder = recordings(6, pieces=2), tmp_path_factory.mktemp("sound")
    return session_of(run_of(folder, Additive(data.observation), data), data, folder)
