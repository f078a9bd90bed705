import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the oracle beside these tests

from oracle import clips

from unbraid.evaluation import train_judge


@pytest.fixture(scope="session")
def data():
    return clips()


@pytest.fixture(scope="session")
def judge(data, tmp_path_factory):
    return train_judge(data, cache=tmp_path_factory.mktemp("cache"), width=8, check_steps=20)
