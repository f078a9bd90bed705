"""Self-agreement of a perfect method without an encoder, of one that mixes its codes up, and of one that collapses."""

import dataclasses

import numpy as np
import pytest
import torch
from oracle import Oracle

from unbraid.evaluation import evaluate_generation
from unbraid.report.protocols.generation import headline, section
from unbraid.types import Codes

OBSERVATION = (3, 16, 16)
CARD = dataclasses.replace(
    Oracle.card, capabilities=frozenset({"decode", "static_prior", "dynamic_prior", "decoded_static"})
)


class Blind(Oracle):
    """The oracle without its encoder."""

    card = CARD


class Collapsed(Oracle):
    """Always the same clip."""

    card = CARD

    def decode(self, codes, mask=None, generator=None):
        return super().decode(Codes(torch.ones_like(codes.static), torch.ones_like(codes.dynamic)))


def scored(model, data, judge, **options):
    return evaluate_generation(model, data, judge=judge, repeats=3, **options)


def test_a_perfect_method_agrees_with_itself(data, judge):
    scores = scored(Blind(OBSERVATION), data, judge)
    assert scores["accuracy"]["mean"] == pytest.approx(1, abs=0.02)
    assert scores["entropy_marginal"]["mean"] > 0.95 * np.log(4)
    for test, kept in (("keep_dynamic", ("move", "axis")), ("keep_static", ("colour", "shade"))):
        for name, figure in scores[test].items():
            classes = {"move": 4, "axis": 2, "colour": 5, "shade": 3}[name]
            assert figure["floor"] == pytest.approx(1 / classes, abs=0.1)
            if name in kept:
                assert figure["mean"] == pytest.approx(1, abs=0.02)
            else:
                assert figure["mean"] == pytest.approx(figure["floor"], abs=0.12)
    assert scores["gap"]["dynamic_kept"]["gap"]["mean"] > 0.5
    assert "self-agreement" in scores["protocol"]["compared_with"]
    assert not {"swap", "reconstruction", "squared_error_per_clip"} & scores.keys()


def test_codes_that_carry_each_other_s_content_do_not_agree(data, judge):
    scores = scored(Blind(OBSERVATION, leak_motion=True), data, judge)
    assert scores["accuracy"]["mean"] < 0.5
    assert scores["keep_static"]["move"]["mean"] == pytest.approx(1, abs=0.02)


def test_collapse_shows_in_the_floors_and_in_the_entropy(data, judge):
    """A method of one clip agrees with itself; so does its floor, and H(y) is 0."""
    scores = scored(Collapsed(OBSERVATION), data, judge)
    assert scores["accuracy"]["mean"] == scores["accuracy"]["floor"] == 1
    assert scores["entropy_marginal"]["mean"] < 0.2
    assert scores["inception_score"]["mean"] == pytest.approx(1, abs=0.01)


def test_the_same_seed_gives_the_same_scores_and_leaves_the_global_state(data, judge):
    before = torch.random.get_rng_state()
    model = Blind(OBSERVATION)
    assert scored(model, data, judge) == scored(model, data, judge)
    assert scored(model, data, judge, seed=1) != scored(model, data, judge)
    with torch.random.fork_rng():
        torch.random.set_rng_state(before)
    assert (
        scored(model, data, judge, prior_mean=True)["entropy_marginal"]["mean"] < 0.2
    )  # the prior's mean is 0


def test_without_labels_nothing_can_be_scored(data, judge):
    with pytest.raises(ValueError, match="has no labels; oracle has no encoder"):
        evaluate_generation(Blind(OBSERVATION), dataclasses.replace(data, labels={}))


def test_the_report_says_so(data, judge, tmp_path):
    scores = scored(Blind(OBSERVATION), data, judge)
    assert "its own clips (self-agreement)" in headline(scores)
    assert len(section(scores, tmp_path)) >= 4
