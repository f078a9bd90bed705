import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))  # the made runs

from made_runs import LEAKAGE, scores, settings, write_run


@pytest.fixture
def make_run(tmp_path):
    """Writes a run's folder, as a training and an evaluation leave it."""

    def make(seed=0, accuracy=0.9, recipe="sprites/dbse", fingerprint="abc", commit="1234", **changes):
        config = settings(recipe, training__seed=seed, data__root="/elsewhere", **changes)
        folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        return write_run(
            folder, config, {"generation": scores(accuracy), "leakage": LEAKAGE}, fingerprint, commit
        )

    return make


@pytest.fixture
def ledger(tmp_path):
    """The path of a ledger that does not exist yet."""
    return tmp_path / "results" / "ledger.csv"
