import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the made runs beside these tests

from made_runs import LEAKAGE, scores, settings, write_run


@pytest.fixture
def make_run(tmp_path):
    """Writes a run's folder, as a training and an evaluation leave it."""

    def make(seed=0, accuracy=0.9, arguments=(), fingerprint="abc", recipe="sprites/dbse", commit="1234"):
        words = [*arguments, "--training.seed", str(seed), "--data.root", "/elsewhere"]
        folder = tmp_path / f"run-{seed}-{accuracy}-{len(arguments)}-{fingerprint}"
        every = {"generation": scores(accuracy), "leakage": LEAKAGE}
        return write_run(folder, settings(recipe, *words), every, fingerprint, commit)

    return make
