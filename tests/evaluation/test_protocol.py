"""Protocols by name: which fit, that one failure does not lose the others, and what lands on disk."""

import importlib
import json
import sys
import types
from dataclasses import replace

import numpy as np
import pytest

from unbraid.data.features import Sound
from unbraid.data.load import info
from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import figures, fitting_protocols, read_scores, run_protocols
from unbraid.registry import DATASETS, PROTOCOLS

SCORE = {"mean": 0.5, "std": 0.1, "floor": 0.25}


def sequences(*observation, labelled=True, groups=None, targets=()):
    x = np.random.default_rng(0).random((4, 3, *observation)).astype(np.float32)
    labels = {"who": Label(np.array([0, 1, 0, 1]), ("a", "b"), "static")} if labelled else {}
    return Sequences(x, labels=labels, groups=groups, targets={name: np.arange(4.0) for name in targets})


@pytest.fixture
def protocols(monkeypatch):
    """Puts two protocols of our own beside the others."""
    module = types.ModuleType("tests_protocols")

    def evaluate_good(model, data, *, split="test", repeats=2, seed=0):
        """Says what it was given."""
        return {"what": SCORE, "protocol": {"split": split, "repeats": repeats, "seed": seed}}

    def evaluate_bad(model, data, *, split="test"):
        raise ValueError("who: nobody is known")

    module.evaluate_good, module.evaluate_bad = evaluate_good, evaluate_bad
    monkeypatch.setitem(sys.modules, "tests_protocols", module)
    for name in ("bad", "good"):
        monkeypatch.setitem(PROTOCOLS, name, f"tests_protocols:evaluate_{name}")


@pytest.mark.parametrize("name", DATASETS)
def test_cards_name_protocols_that_exist(name):
    protocols = info(name).protocols
    assert protocols and set(protocols) <= set(PROTOCOLS)
    for protocol in protocols:
        module, function = PROTOCOLS[protocol].split(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_ones_own_data_are_scored_by_their_kind():
    assert fitting_protocols("my/clips", sequences(3, 16, 16)) == ("generation",)
    assert fitting_protocols("my.csv", sequences(4, 5)) == ("downstream",)
    assert fitting_protocols("my.csv", sequences(4, 5, labelled=False, targets=["rain"])) == ("downstream",)
    assert fitting_protocols("my.csv", sequences(4, 5, labelled=False)) == ("generation",)
    wavs = replace(sequences(8, groups=np.array([0, 0, 1, 1])), sound=Sound("mel80", 8000))
    assert fitting_protocols("my/wavs", wavs) == ("verification",)
    assert fitting_protocols("my.npy", sequences(8)) == ("downstream",)


def test_a_registered_name_goes_by_its_card():
    assert fitting_protocols("puppets", sequences(8)) == info("puppets").protocols


def test_one_failure_does_not_lose_the_others(protocols, tmp_path):
    options = {"split": "validation", "seed": 3, "accept_weak_judge": True}
    failed = run_protocols(None, None, tmp_path, ("bad", "good"), options)
    assert list(failed) == ["bad"] and "nobody is known" in str(failed["bad"])
    assert [path.name for path in (tmp_path / "evaluation").iterdir()] == ["good.json"]
    expected = {"what": SCORE, "protocol": {"split": "validation", "repeats": 2, "seed": 3}}
    assert json.loads((tmp_path / "evaluation" / "good.json").read_text()) == expected
    assert read_scores(tmp_path) == {"good": expected}


def test_an_unknown_protocol_is_refused_before_anything_is_scored(protocols, tmp_path):
    with pytest.raises(ValueError, match="'leakge'; did you mean 'leakage'"):
        run_protocols(None, None, tmp_path, ("good", "leakge"), {})
    assert not (tmp_path / "evaluation").exists()


def test_no_scores_are_no_error(tmp_path):
    assert read_scores(tmp_path) == {}


def test_figures_are_found_at_any_depth():
    scores = {"a": SCORE, "b": {"c": {"d": SCORE}, "e": 3}, "protocol": {"split": "test"}, "n": 1}
    assert figures(scores) == {"a": SCORE, "b / c / d": SCORE}
