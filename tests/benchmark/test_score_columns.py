"""Columns: the shared ones lead to scores that the protocols really give; scores are found and shown."""

import numpy as np
import pytest
import torch
from made_runs import figure, scores

from unbraid import components
from unbraid.benchmark.score_columns import ScoreColumn, figure_at, read_score_columns, shared_columns, show
from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import factor_reader
from unbraid.evaluation.downstream import evaluate_downstream
from unbraid.evaluation.factors import evaluate_factors
from unbraid.evaluation.judge import Judge
from unbraid.evaluation.leakage import evaluate_leakage
from unbraid.evaluation.planted import evaluate_planted
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
    if protocol == "factors":
        return factor_scores()
    if protocol == "planted":
        data = made(2, 3, targets=("event",), who=label(number % 2, "static"))
        return evaluate_planted(model_for(data), data, repeats=1, cache=cache)
    kinds = {"death": label(number % 2, "static"), "icu_type": label(number % 3, "static")}
    data = made(2, 3, targets=("oil_temperature",), **kinds)
    return evaluate_downstream(model_for(data), data, repeats=1, resamples=10, cache=cache)


def factor_scores():
    """Of untrained codes of tiny clips, exchanged and judged."""
    number = np.arange(60)
    labels = {"who": label(number % 2, "static"), "what": label(number // 2 % 2, "dynamic")}
    x = np.random.default_rng(0).integers(0, 255, (60, 4, 3, 16, 16), dtype=np.uint8)
    thirds = dict(zip(("train", "validation", "test"), np.split(number, 3), strict=True))
    data = Sequences(x, "clips", labels=labels, splits=thirds)
    judge = Judge(data.observation, {"who": 2, "what": 2}, width=2)
    scores = evaluate_factors(model_for(data), data, judge=judge, repeats=1, accept_weak_judge=True)
    return scores | {"values": scores["pixels"]}


@pytest.mark.parametrize("protocol", ["leakage", "downstream", "verification", "factors", "planted"])
def test_columns_lead_to_figures(protocol, tmp_path, monkeypatch):
    monkeypatch.setattr(factor_reader, "MAX_STEPS", 20)
    monkeypatch.setattr(components, "FEWEST_SEQUENCES", 20)
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    scores = {protocol: scores_of(protocol, tmp_path)}
    mine = [column for column in shared_columns().values() if column.score.startswith(f"{protocol}/")]
    assert mine
    for column in mine:
        assert figure_at(scores, same_kind_of_task(column.score), "both") is not None, column.score
        named = column.floors if isinstance(column.floors, dict) else {}
        for path in named.values():
            floor = path.replace("pixels", "values")  # what vectors have instead
            assert figure_at(scores, floor) is not None, path
        if isinstance(column.floors, str):
            floor = same_kind_of_task(column.floors).replace("{floor}", "constant")
            assert figure_at(scores, floor) is not None, column.floors


def same_kind_of_task(path):
    """The path for a task of the same kind, which has the same figures."""
    path = path.replace("/month/", "/icu_type/").replace("/class/", "/icu_type/")
    return path.replace("/rain/", "/oil_temperature/")


def test_columns_are_of_protocols_that_exist():
    assert {column.score.partition("/")[0] for column in shared_columns().values()} <= set(PROTOCOLS)


def test_scores_are_found_by_their_paths():
    every = {"generation": scores(0.9), "downstream": {"a": {"static": figure(1), "both": figure(3)}}}
    accuracy = figure_at(every, "generation/accuracy")
    assert (accuracy.mean, accuracy.std, accuracy.floor) == (0.9, 0.002, 0.1)
    assert figure_at(every, "downstream/a/{codes}", "both").mean == 3
    several = figure_at(every, "generation/keep_dynamic/{static}")
    assert several.mean == pytest.approx(0.15) and several.std is None and several.floor == pytest.approx(0.1)
    assert figure_at(every, "generation/judge/accuracy/{lowest}").mean == 0.995
    for path in ("generation/none", "leakage/x", "generation/labels", "generation/accuracy/mean"):
        assert figure_at(every, path) is None


def test_factors_of_a_kind_are_those_of_the_protocol_that_describes_them():
    kinds = {"pitch": "static", "tract": "static", "word": "dynamic"}
    planted = {
        "swaps": {name: {"static_donor": figure(0.2 * place)} for place, name in enumerate(kinds)},
        "labels": {name: {"kind": kind, "part_of": None} for name, kind in kinds.items()},
    }
    every = {"verification": {"labels": {"speaker": "speaker", "content": None}}, "planted": planted}
    assert figure_at(every, "planted/swaps/{static}/static_donor").mean == pytest.approx(0.1)
    assert figure_at(every, "planted/swaps/{dynamic}/static_donor").mean == pytest.approx(0.4)


def test_spreads_over_seeds_and_over_repeats_are_separate():
    share = ScoreColumn("a", "a", "a", percent=True)
    assert show(share, [0.9, 0.94, 0.98], 0.002) == "94.0 ± 4.0 [0.2]"
    assert show(share, [0.9], 0.002) == "90.0 [0.2]"
    assert show(share, [0.9]) == "90.0" and show(share, []) == ""
    assert show(ScoreColumn("a", "a", "a", digits=1), [70.25, 71.25], 0.0) == "70.8 ± 0.7"


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (["acuracy"], "did you mean 'accuracy'"),
        ([{"mine": {"heading": "x"}}], "needs a score"),
        ([{"mine": {"heading": "x", "score": "a/b", "percnt": True}}], "did you mean 'percent'"),
    ],
)
def test_wrong_columns_are_refused(declared, message):
    with pytest.raises(ValueError, match=message):
        read_score_columns(declared, "table t")
