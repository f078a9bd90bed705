"""The shared columns lead to figures that the protocols really give."""

import numpy as np
import pytest
import torch

from unbraid.benchmark.columns import columns, figure_at
from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation.downstream import evaluate_downstream
from unbraid.evaluation.leakage import evaluate_leakage
from unbraid.evaluation.verification import evaluate_verification
from unbraid.models.build import build_model
from unbraid.registry import PROTOCOLS

SMALL = {"static_size": 4, "dynamic_size": 4, "width": 4, "hidden": 8, "features": 8}


def label(values, kind):
    values = np.asarray(values)
    return Label(values, tuple(str(value) for value in range(values.max() + 1)), kind)


def made(*observation, targets=(), **labels):
    """60 sequences of 3 steps; every class of every label is in every split."""
    x = np.random.default_rng(0).normal(size=(60, 3, *observation)).astype(np.float32)
    splits = dict(zip(("train", "validation", "test"), np.split(np.arange(60), 3), strict=True))
    steps = {name: np.random.default_rng(1).random((60, 3)) for name in targets}
    return Sequences(x, labels=labels, splits=splits, targets=steps)


def model_for(data):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model("dbse", data.observation, **SMALL).eval()


def scores_of(protocol, cache):
    number = np.arange(60)
    if protocol == "verification":
        data = made(5, speaker=label(number % 2, "static"), digit=label(number // 2 % 2, "dynamic"))
        return evaluate_verification(model_for(data), data)
    if protocol == "leakage":
        data = made(5, who=label(number % 2, "static"), what=label(number // 2 % 2, "dynamic"))
        return evaluate_leakage(model_for(data), data, repeats=1, generation={"keep_static": {}})
    kinds = {"death": label(number % 2, "static"), "icu_type": label(number % 3, "static")}
    data = made(2, 3, targets=("oil_temperature",), **kinds)
    return evaluate_downstream(model_for(data), data, repeats=1, resamples=10, cache=cache)


@pytest.mark.parametrize("protocol", ["leakage", "downstream", "verification"])
def test_columns_lead_to_figures(protocol, tmp_path):
    scores = {protocol: scores_of(protocol, tmp_path)}
    mine = [column for column in columns().values() if column.score.startswith(f"{protocol}/")]
    assert mine
    for column in mine:
        assert figure_at(scores, _alike(column.score), "both") is not None, column.score
        named = column.floors if isinstance(column.floors, dict) else {}
        for path in named.values():
            floor = path.replace("pixels", "values")  # what vectors have instead
            assert figure_at(scores, floor) is not None, path
        if isinstance(column.floors, str):
            floor = _alike(column.floors).replace("{floor}", "constant")
            assert figure_at(scores, floor) is not None, column.floors


def _alike(path):
    """The path for a task of the same kind, which has the same figures."""
    return path.replace("/month/", "/icu_type/").replace("/rain/", "/oil_temperature/")


def test_columns_are_of_protocols_that_exist():
    assert {column.score.partition("/")[0] for column in columns().values()} <= set(PROTOCOLS)
