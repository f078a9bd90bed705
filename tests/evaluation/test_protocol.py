"""Protocols as objects: which suit, which options they take, and what running several leaves on disk."""

import json
import re
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from oracle import Oracle, clips

from unbraid.cards import CAPABILITIES
from unbraid.data.features import Sound
from unbraid.data.load import info
from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import (
    Protocol,
    Scores,
    fitting_protocols,
    leakage,
    read_scores,
    run_protocols,
    why_no_protocol,
    write_scores,
)
from unbraid.registry import DATASETS, PROTOCOLS, protocol

SCORE = {"mean": 0.5, "std": 0.1, "floor": 0.25}
MODEL = Oracle((3, 16, 16))


def sequences(*observation, labels=("static",), groups=None, targets=()):
    x = np.random.default_rng(0).random((4, 3, *observation)).astype(np.float32)
    return Sequences(
        x,
        labels={kind: Label(np.array([0, 1, 0, 1]), ("a", "b"), kind) for kind in labels},
        groups=groups,
        targets={name: np.arange(4.0) for name in targets},
    )


def limited(*capabilities):
    """An oracle with some capabilities only."""
    model = Oracle((3, 16, 16))
    model.card = replace(Oracle.card, capabilities=frozenset(capabilities))
    return model


def evaluate_good(model, data, *, split: str = "test", repeats: int = 2, seed: int = 0):
    """Returns its options as scores."""
    return Scores(what=SCORE, protocol={"split": split, "repeats": repeats, "seed": seed})


def evaluate_bad(model, data, *, split: str = "test"):
    raise ValueError("who: nobody was found")


def evaluate_later(model, data, *, factor: float | None = None, good: Scores | None = None):
    return Scores(taken=good, protocol={"factor": factor})


@pytest.fixture
def protocols(monkeypatch):
    """Registers three protocols of the tests beside the others."""
    module = types.ModuleType("tests_protocols")
    settings = {"title": "", "needs": frozenset({"encode"}), "unsuited": lambda data: "never"}
    module.good = Protocol("good", **settings, evaluate=evaluate_good)
    module.bad = Protocol("bad", **settings, evaluate=evaluate_bad)
    module.later = Protocol("later", **settings, evaluate=evaluate_later, uses=("good",))
    monkeypatch.setitem(sys.modules, "tests_protocols", module)
    for name in ("bad", "good", "later"):
        monkeypatch.setitem(PROTOCOLS, name, f"tests_protocols:{name}")


# ---- which protocols suit -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_registered_protocol_bears_its_name_and_uses_and_needs_what_there_is(name):
    each = protocol(name)
    assert each.name == name and each.title
    assert set(each.uses) <= set(PROTOCOLS) and each.needs <= set(CAPABILITIES)
    assert {"split", "seed", "batch_size"} <= set(each.options)


@pytest.mark.parametrize("name", DATASETS)
def test_cards_name_registered_protocols(name):
    chosen = info(name).protocols
    assert chosen and set(chosen) <= set(PROTOCOLS)
    assert fitting_protocols(name, sequences(8)) == chosen


def test_ones_own_data_are_scored_by_their_kind_and_labels():
    assert fitting_protocols("my/clips", sequences(3, 16, 16), MODEL) == ("generation",)
    assert fitting_protocols("my/clips", sequences(3, 16, 16, labels=()), MODEL) == ("generation",)
    assert fitting_protocols("my.csv", sequences(4, 5), MODEL) == ("downstream",)
    assert fitting_protocols("my.csv", sequences(4, 5, labels=(), targets=["rain"])) == ("downstream",)
    assert fitting_protocols("my.csv", sequences(4, 5, labels=()), MODEL) == ("generation",)
    assert fitting_protocols("my.npy", sequences(8), MODEL) == ("downstream",)
    wavs = replace(sequences(8, groups=np.array([0, 0, 1, 1])), sound=Sound("mel80", 8000))
    assert fitting_protocols("my/wavs", wavs, MODEL) == ("verification",)
    without_speakers = replace(sequences(8, labels=("dynamic",)), sound=Sound("mel80", 8000))
    assert fitting_protocols("my/wavs", without_speakers, MODEL) == ("generation",)


def test_why_a_protocol_is_left_out_is_said(monkeypatch):
    assert "downstream: the data have neither labels nor targets" in why_no_protocol(
        "my.csv", sequences(4, 5, labels=()), MODEL
    )
    monkeypatch.setattr(MODEL, "card", replace(MODEL.card, capabilities=frozenset({"encode"})))
    assert "generation: the method has no decode" in why_no_protocol("puppets", sequences(3, 16, 16), MODEL)


def test_a_method_is_not_scored_by_what_it_cannot_do():
    clips = sequences(3, 16, 16)
    assert fitting_protocols("my/clips", clips, limited("encode")) == ()
    assert protocol("generation").why_not(clips, limited("encode")) == "the method has no decode"
    assert fitting_protocols("sprites", clips, limited("encode")) == ("leakage",)
    assert fitting_protocols("sprites", clips, limited("decode")) == ()
    draws = limited("decode", "static_prior", "dynamic_prior", "decoded_static")
    assert fitting_protocols("sprites", clips, draws) == ("generation",)
    assert fitting_protocols("sprites", clips, MODEL) == ("generation", "leakage")
    with pytest.raises(ValueError, match="oracle"):
        protocol("leakage").run(limited("decode"), clips, {})


# ---- options --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeat": 3}, "repeat: is no option of good; did you mean 'repeats'"),
        ({"repeats": "3"}, "repeats: '3' does not fit good; give int"),
        ({"repeats": True}, "repeats: True does not fit good"),
        ({"split": None}, "split: None does not fit good; give str"),
    ],
)
def test_options_are_checked_by_name_and_type(protocols, options, message):
    with pytest.raises(ValueError, match=message):
        protocol("good").run(MODEL, None, options)


def test_alternatives_of_an_annotation_all_fit(protocols):
    later = protocol("later")
    assert set(later.options) == {"factor"}  # scores of other protocols are no option
    for value in (0.5, None):
        later.check({"factor": value})
    with pytest.raises(ValueError, match="give float or NoneType"):
        later.check({"factor": "0.5"})


# ---- running several ------------------------------------------------------------------------------------


def test_one_failure_does_not_lose_the_others(protocols, tmp_path):
    options = {"split": "validation", "seed": 3, "accept_weak_judge": True}
    errors = run_protocols(MODEL, None, tmp_path, ("bad", "good"), options)
    assert list(errors) == ["bad"] and "nobody was found" in str(errors["bad"])
    assert [path.name for path in (tmp_path / "evaluation").iterdir()] == ["validation"]
    expected = {"what": SCORE, "protocol": {"split": "validation", "repeats": 2, "seed": 3}}
    assert json.loads((tmp_path / "evaluation" / "validation" / "good.json").read_text()) == expected
    assert read_scores(tmp_path, "validation") == {"good": expected} and read_scores(tmp_path) == {}


def test_a_protocol_gets_the_scores_that_it_uses(protocols, tmp_path):
    run_protocols(MODEL, None, tmp_path, ("good", "later"), {"repeats": 7, "factor": 0.5})
    scores = read_scores(tmp_path)
    assert scores["later"] == {"taken": scores["good"], "protocol": {"factor": 0.5}}
    assert scores["good"]["protocol"]["repeats"] == 7
    run_protocols(MODEL, None, tmp_path, ("later",), {})
    assert read_scores(tmp_path)["later"]["taken"] is None


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (("good", "leakge"), {}, "'leakge'; did you mean 'leakage'"),
        (("good",), {"splt": "test"}, "splt: no protocol has this option"),
        (("good", "bad"), {"split": 3}, "split: 3 does not fit"),
    ],
)
def test_what_is_unknown_is_refused_before_anything_is_scored(protocols, tmp_path, names, options, message):
    with pytest.raises(ValueError, match=message):
        run_protocols(MODEL, None, tmp_path, names, options)
    assert not (tmp_path / "evaluation").exists()


def test_no_scores_are_no_error(tmp_path):
    assert read_scores(tmp_path) == {}


def test_the_example_of_the_docs_runs(tmp_path, monkeypatch, capsys):
    text = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.S)
    monkeypatch.chdir(tmp_path)
    write_scores("runs/sprites", "generation", Scores(accuracy=SCORE))
    monkeypatch.setattr(leakage, "evaluate_generation", lambda *arguments, **options: Scores())
    exec(example, {"model": MODEL, "data": clips(each=2)})
    assert "latent / static / colour / mean" in capsys.readouterr().out


def test_the_docs_describe_every_protocol():
    text = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text()
    for name in PROTOCOLS:
        needs = ", ".join(f"`{need}`" for need in sorted(protocol(name).needs, reverse=True))
        assert re.search(rf"\| {name} \|.*\| {needs} \|", text), name
        assert f"\n## {name.capitalize()}" in text
