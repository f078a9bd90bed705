"""Factor metrics against closed forms; maps and exchanges of a method whose coordinates are known."""

import dataclasses

import numpy as np
import pytest
import torch
from oracle import Oracle
from torch.distributions import Normal

from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation.factor_exchanges import choose_maps
from unbraid.evaluation.factor_maps import assign_units, exchange_factors, factor_map, units_of
from unbraid.evaluation.factor_metrics import (
    completeness,
    disentanglement,
    modularity,
    mutual_information,
    sap,
)
from unbraid.evaluation.factors import PROTOCOL, evaluate_factors
from unbraid.evaluation.judging import JudgedModel, parts_of
from unbraid.generation import encode
from unbraid.models.build import build_model
from unbraid.report.protocols.factors import headline, section
from unbraid.types import Codes, Factor, Posterior

OBSERVATION = (3, 16, 16)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Components go to a cache of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNBRAID_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


# ---- metrics --------------------------------------------------------------------------------------------


def test_one_coordinate_for_each_label_is_perfect():
    importance = np.eye(3)
    assert disentanglement(importance) == completeness(importance) == pytest.approx(1)
    assert sap(0.25 + 0.75 * np.eye(3)) == pytest.approx(0.75)
    assert modularity(2 * np.eye(3)) == pytest.approx(1)


def test_coordinates_that_tell_everything_are_worst():
    importance = np.full((4, 3), 0.25)
    assert disentanglement(importance) == pytest.approx(0)
    assert completeness(importance) == pytest.approx(0)
    assert sap(np.full((4, 3), 0.9)) == 0
    assert modularity(np.full((4, 3), 0.7)) == pytest.approx(0)


def test_two_coordinates_share_a_label():
    importance = np.array([[0.5, 0], [0.5, 0], [0, 1], [0, 0]])
    assert disentanglement(importance) == pytest.approx(1)
    assert completeness(importance) == pytest.approx((1 - np.log(2) / np.log(4) + 1) / 2)


def test_disentanglement_weights_coordinates_by_importance():
    importance = np.array([[0.9, 0], [0, 0.8], [0.1, 0.2]])
    shares = np.array([0.1, 0.2]) / 0.3
    mixed = 1 + (shares * np.log2(shares)).sum()
    assert disentanglement(importance) == pytest.approx((0.9 + 0.8 + 0.3 * mixed) / 2)


def test_modularity_by_hand():
    information = np.array([[1.0, 0.5, 0.1], [0.2, 0.2, 0.0], [0, 0, 0]])
    expected = ((1 - (0.25 + 0.01) / 2) + (1 - 0.04 / (2 * 0.04)) + 0) / 3
    assert modularity(information) == pytest.approx(expected)


def test_mutual_information():
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 4000)
    shares = np.bincount(labels) / len(labels)
    assert mutual_information(labels.astype(float), labels) == pytest.approx(-(shares * np.log(shares)).sum())
    assert mutual_information(random.normal(size=4000), labels) < 0.02
    assert mutual_information(np.ones(4000), labels) == 0


class Turned(Oracle):
    """Writes the content into s through a random turn."""

    def __init__(self, observation):
        super().__init__(observation)
        turn = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))[0]
        self.register_buffer("turn", torch.tensor(turn, dtype=torch.float32))

    def posterior(self, x, mask=None, generator=None):
        posterior = super().posterior(x, mask, generator)
        return Posterior(Normal(posterior.static.mean @ self.turn, 0.01), posterior.dynamic)

    def decode(self, codes, mask=None, generator=None):
        return super().decode(Codes(codes.static @ self.turn.T, codes.dynamic), mask, generator)


# ---- maps -----------------------------------------------------------------------------------------------


def columns(factors, code):
    return {column for factor in factors if factor.code == code for column in factor.columns}


def test_the_map_finds_the_coordinates_of_each_label(data):
    found = factor_map(Oracle(OBSERVATION), data)
    assert set(found) == {"colour", "shade", "move"}
    assert columns(found["colour"], "static") >= {0, 1, 2, 3, 4}
    assert columns(found["shade"], "static") >= {5, 6, 7}
    assert columns(found["move"], "dynamic") >= {8, 9, 10, 11}
    every = [factor for factors in found.values() for factor in factors]
    assert len(every) == len(set(every)) == 24


def test_the_map_finds_content_that_leaks_into_the_dynamic_code(data):
    found = factor_map(Oracle(OBSERVATION, leak_content=True), data)
    assert columns(found["colour"], "dynamic") >= {0, 1, 2, 3, 4}


def test_labels_get_parts_of_their_own_code_where_asked():
    labels = {
        "who": Label(np.zeros(2, int), ("a",), "static"),
        "how": Label(np.zeros(2, int), ("a",), "dynamic"),
    }
    units = [Factor("static", (0,)), Factor("static", (1,)), Factor("dynamic", (0,)), Factor("dynamic", (1,))]
    importance = np.array([[0.6, 0.1], [0.1, 0.2], [0.2, 0.1], [0.1, 0.6]])
    assert assign_units(labels, importance, units) == {
        "who": (units[0], units[2]),
        "how": (units[1], units[3]),
    }
    own = assign_units(labels, importance, units, own_code=True)
    assert own == {"who": (units[0], units[1]), "how": (units[2], units[3])}
    alone = assign_units({"who": labels["who"]}, importance[:, :1], units, own_code=True)
    assert alone == {"who": (units[0], units[1])}


def test_factors_of_the_method_stay_whole():
    model = Oracle(OBSERVATION)
    model.factors = {
        "static": Factor("static"),
        "pair": Factor("static", (3, 9)),
        "fast": Factor("dynamic", (0,)),
    }
    units = units_of(model)
    assert Factor("static", (3, 9)) in units and Factor("static", (3,)) not in units
    assert sorted(c for unit in units if unit.code == "static" for c in unit.columns) == list(range(12))
    assert sorted(c for unit in units if unit.code == "dynamic" for c in unit.columns) == list(range(12))


def test_exchange_takes_the_coordinates_and_nothing_else():
    mine, other = (Codes(torch.full((2, 4), v), torch.full((2, 3, 4), v)) for v in (0.0, 1.0))
    made = exchange_factors(mine, other, (Factor("static", (1,)), Factor("dynamic", (0, 2))))
    assert made.static.tolist() == [[0, 1, 0, 0]] * 2
    assert made.dynamic.tolist() == [[[1, 0, 1, 0]] * 3] * 2


# ---- the protocol ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scores(data, judge):
    return evaluate_factors(Oracle(OBSERVATION), data, judge=judge, repeats=2)


def test_every_label_changes_alone(scores):
    for name in ("colour", "shade", "move"):
        figures = scores["exchange"][name]
        assert figures["changed"]["mean"] > 0.97
        assert figures["alone"]["mean"] > 0.95
        assert all(figure["mean"] > 0.97 for figure in figures["kept"].values())
        assert figures["alone"]["floor"] < 0.5


@pytest.mark.parametrize(("leak", "best"), [(False, 1), (True, 0)])
def test_each_label_keeps_the_map_that_changes_it_alone(data, judge, leak, best):
    """A map of both codes takes the motion along, one of s alone misses what the decoder reads from d."""
    model, clips = Oracle(OBSERVATION, leak_content=leak), data.split("validation")
    judged = JudgedModel(model, judge, clips, parts_of(data), 64, lambda _: None)
    static, dynamic = (tuple(Factor(code, (n,)) for n in range(5)) for code in ("static", "dynamic"))
    motion = () if leak else tuple(Factor("dynamic", (n,)) for n in range(8, 12))
    maps = [{"colour": static + dynamic + motion}, {"colour": static}]
    names = dict.fromkeys(("shade", "move"), ())
    chosen = choose_maps(judged, encode(model, clips), [by | names for by in maps], seed=0)
    assert chosen["colour"] == best


def test_independent_components_of_a_turned_code_are_its_labels(data, judge):
    """The content is written into s through a random turn, so that no coordinate is a label's own."""
    scores = evaluate_factors(Turned(OBSERVATION), data, judge=judge, repeats=3)
    found = scores["components"]
    assert found["number"] == 6 and set(found["map"]) == set(found["exchange"]) == {"colour", "shade"}
    for name in ("colour", "shade"):
        figures = found["exchange"][name]
        assert figures["alone"]["mean"] > 0.9 > 0.5 > figures["alone"]["floor"]
        assert figures["alone"]["mean"] > scores["exchange"][name]["alone"]["mean"] + 0.2
        assert set(figures["kept"]) == {"colour", "shade", "move"} - {name}


def test_a_leak_is_exchanged_too(data, judge):
    scores = evaluate_factors(Oracle(OBSERVATION, leak_content=True), data, judge=judge, repeats=1)
    assert scores["exchange"]["colour"]["alone"]["mean"] > 0.9


def test_figures_stand_between_their_floors_and_one(scores):
    codes, pixels = scores["codes"], scores["pixels"]
    assert codes["informativeness"]["mean"] > 0.95
    assert codes["disentanglement"]["mean"] > 0.7  # the forests of 240 clips see some chance in other labels
    assert codes["disentanglement"]["mean"] > pixels["disentanglement"]["mean"] + 0.3
    for name in ("disentanglement", "informativeness"):
        assert codes[name]["mean"] > codes[name]["floor"] + 0.3
    for name, chance in (("colour", 1 / 5), ("shade", 1 / 3), ("move", 1 / 4)):
        assert codes["labels"][name]["mean"] > 0.95
        assert codes["labels"][name]["floor"] == pytest.approx(chance, abs=0.1)
    assert scores["map"]["colour"]["share"] > 0.8
    assert scores["protocol"]["map_split"] == "validation" and scores["protocol"]["split"] == "test"


def test_the_same_seed_gives_the_same_scores(data, judge, scores):
    again = evaluate_factors(Oracle(OBSERVATION), data, judge=judge, repeats=2)
    assert again == scores


def test_the_report_shows_them(scores, tmp_path):
    assert "exchanging the coordinates of one label" in headline(scores).lower()
    assert len(section(scores, tmp_path)) == 9
    without_components = {key: value for key, value in scores.items() if key != "components"}
    assert len(section(without_components, tmp_path)) == 6
    without_judge = {key: value for key, value in without_components.items() if key != "exchange"}
    assert headline(without_judge) == ""
    assert len(section(without_judge, tmp_path)) == 3


def test_a_method_that_does_not_decode_has_a_map_only(data):
    model = Oracle(OBSERVATION)
    model.card = dataclasses.replace(model.card, capabilities=frozenset({"encode"}))
    scores = evaluate_factors(model, data, repeats=1)
    assert "exchange" not in scores and set(scores["map"]) == {"colour", "shade", "move"}


def test_series_have_their_values_as_floor():
    random = np.random.default_rng(0)
    who = random.integers(0, 3, 600)
    x = (who[:, None, None] + 0.1 * random.normal(size=(600, 5, 4))).astype(np.float32)
    data = Sequences.from_arrays(x, name="series", labels={"who": who}, seed=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("skd", (4,), latent_size=6, static_units=2, width=8).eval()
    scores = evaluate_factors(model, data, repeats=1)
    assert "values" in scores and "exchange" not in scores
    assert scores["values"]["labels"]["who"]["mean"] > 0.9


def test_data_that_cannot_be_mapped_are_refused(data):
    model, unlabelled = Oracle(OBSERVATION), dataclasses.replace(data, labels={})
    for ask in (evaluate_factors, factor_map):
        with pytest.raises(ValueError, match="data: squares has no labels; a factor map says"):
            ask(model, unlabelled)
    assert PROTOCOL.why_not(unlabelled) == "the data have no labels"
    same = dataclasses.replace(data, labels={"same": Label(np.zeros(len(data), int), ("a", "b"), "static")})
    with pytest.raises(
        ValueError, match=r"no label of squares can be mapped .* same: all clips are of one class"
    ):
        factor_map(model, same)
    with pytest.raises(ValueError, match="map_split: 'test' is scored"):
        evaluate_factors(model, data, map_split="test")
    with pytest.raises(ValueError, match="repeats"):
        evaluate_factors(model, data, repeats=0)
