"""Planted factors of a method whose codes are known: each factor is where it was put, and swaps follow the code that holds it."""

import dataclasses

import numpy as np
import pytest
import torch
from oracle import Oracle, clips
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.distributions import Independent, Normal

from unbraid.cards import ModelCard
from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import factor_reader
from unbraid.evaluation.factor_reader import FactorReader, train_factor_reader
from unbraid.evaluation.planted import PROTOCOL, evaluate_planted
from unbraid.evaluation.planted_factors import PlantedFactor, is_binary, planted_factors
from unbraid.evaluation.readers import Task
from unbraid.models.base import SequenceModel
from unbraid.report.protocols.planted import headline, section
from unbraid.types import Posterior

CAPABILITIES = frozenset({"encode", "decode", "decoded_static"})


def series(n=240, steps=8, seed=0):
    """Feature 0 is a level, feature 1 one of three kinds, feature 2 moves up and down, feature 3 jumps at events."""
    random = np.random.default_rng(seed)
    level, kind = random.normal(size=n), random.integers(0, 3, n)
    path, event = random.normal(size=(n, steps)), random.random((n, steps)) < 0.3
    x = np.stack(np.broadcast_arrays(level[:, None], kind[:, None] - 1.0, path, 2.0 * event), 2)
    lengths = random.integers(4, steps + 1, n)
    inside = np.arange(steps) < lengths[:, None]
    order = random.permutation(n)
    return Sequences(
        (x + 0.05 * random.normal(size=x.shape)).astype(np.float32),
        "four features",
        lengths=lengths,
        labels={
            "kind": Label(kind, ("low", "middle", "high"), "static"),
            "often": Label(
                ((event & inside).sum(1) // 2).clip(max=2), ("seldom", "often", "always"), "dynamic"
            ),
        },
        targets={
            "level": level,
            "path": np.where(inside, path, np.nan),
            "event": np.where(inside, event, np.nan).astype(float),
        },
        splits={"train": order[: n // 2], "validation": order[n // 2 : -n // 4], "test": order[-n // 4 :]},
    )


class Halves(SequenceModel):
    """S is the mean of some features, d_t the other features of each step; `swapped` puts each into the other code."""

    card = ModelCard("halves", "", "", 2024, "", "", "", CAPABILITIES)

    def __init__(self, observation, swapped: bool = False) -> None:
        super().__init__(locals())
        self.static_size = self.dynamic_size = 2
        self.swapped = swapped
        self.nothing = nn.Parameter(torch.zeros(()))

    def posterior(self, x, mask=None, generator=None):
        first, second = (x[..., 2:], x[..., :2]) if self.swapped else (x[..., :2], x[..., 2:])
        steps = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
        mean = (first * steps[..., None]).sum(1) / steps.sum(1, keepdim=True)
        return Posterior(Normal(mean, 0.01), Normal(second, 0.01))

    def decode(self, codes, mask=None, generator=None):
        still = codes.static[:, None].expand(-1, codes.dynamic.shape[1], -1)
        parts = [codes.dynamic, still] if self.swapped else [still, codes.dynamic]
        return Independent(Normal(torch.cat(parts, 2), 0.1), 0)

    def terms(self, batch, generator=None, phase="fit"):
        return {"nothing": self.nothing.expand(len(batch))}


@pytest.fixture(scope="module")
def data():
    return series()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def right(data, cache):
    return evaluate_planted(Halves((4,)), data, cache=cache)


# ---- factors and measures -------------------------------------------------------------------------------


def test_labels_and_targets_are_factors_of_their_kind(data):
    factors, left_out = planted_factors(data)
    assert left_out == {}
    assert {f.task.name: (f.kind, f.task.level, f.measure) for f in factors} == {
        "kind": ("static", "sequence", "accuracy"),
        "often": ("dynamic", "sequence", "accuracy"),
        "level": ("static", "sequence", "r2"),
        "path": ("dynamic", "step", "r2"),
        "event": ("dynamic", "step", "auc"),
    }


def test_a_target_that_never_changes_is_left_out_with_its_reason(data):
    targets = data.targets | {"still": np.full(len(data), 3.0)}
    factors, left_out = planted_factors(dataclasses.replace(data, targets=targets, fingerprint=""))
    assert "still" not in [factor.task.name for factor in factors]
    assert left_out == {"still": "it is 3 throughout a split"}


def factor(measure, classes=()):
    kind = "classes" if classes else "target"
    return PlantedFactor(Task("f", kind, "sequence", classes, {"train": np.zeros(1)}), "static", measure)


def test_measures_by_hand():
    truth = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    guess = np.array([2.0, 2.0, 3.0, 3.0, 9.0])
    assert factor("r2").score(guess, truth) == pytest.approx(1 - 2 / 5)
    assert factor("r2").score(10 * guess, truth, "swaps") == pytest.approx(2 / np.sqrt(5))
    assert factor("r2").score(np.ones(5), truth, "swaps") == 0
    event = np.array([[0, 1, np.nan], [0, 1, 1]])
    seen = np.array([[0.1, 0.9, 5.0], [0.8, 0.4, 0.7]])
    assert factor("auc").score(seen, event) == pytest.approx(
        roc_auc_score([0, 1, 0, 1, 1], [0.1, 0.9, 0.8, 0.4, 0.7])
    )
    shares = np.array([[0.6, 0.4], [0.2, 0.8], [0.9, 0.1], [0.5, 0.4]])
    label = factor("accuracy", ("a", "b"))
    assert label.score(shares, np.array([0, 1, 1, 0])) == 0.75
    assert label.chance(np.array([0, 1, 1, 1])) == pytest.approx(1 / 16 + 9 / 16)
    assert factor("auc").chance(event) == 0.5 and factor("r2").chance(truth) == 0


# ---- codes ----------------------------------------------------------------------------------------------


def test_each_factor_is_read_from_the_code_that_holds_it(right):
    codes = {name: {code: fig["mean"] for code, fig in of.items()} for name, of in right["codes"].items()}
    assert codes["level"]["static"] > 0.99 and codes["level"]["dynamic"] < 0.15
    assert codes["kind"]["static"] > 0.99 and codes["kind"]["dynamic"] < 0.6
    assert codes["path"]["dynamic"] > 0.99 and codes["path"]["static"] < 0.1
    assert codes["event"]["dynamic"] > 0.99 and abs(codes["event"]["static"] - 0.5) < 0.15
    assert codes["often"]["dynamic"] > codes["often"]["static"] + 0.2


def test_floors_are_a_constant_and_raw_values(right, data):
    floors = right["floors"]
    assert -0.2 < floors["level"]["constant"]["mean"] <= 0 and floors["event"]["constant"]["mean"] == 0.5
    kinds = data.labels["kind"].values
    most = np.bincount(kinds[data.splits["train"]]).argmax()
    assert floors["kind"]["constant"]["mean"] == np.mean(kinds[data.splits["test"]] == most)
    assert all(floors[name]["raw"]["mean"] > 0.97 for name in ("level", "path", "event", "kind"))
    for name, of in right["codes"].items():
        best = max(figure["mean"] for figure in floors[name].values())
        assert all(figure["floor"] == best for figure in of.values())


# ---- swaps ----------------------------------------------------------------------------------------------


def test_the_network_reads_real_and_rebuilt_sequences(right):
    for name in ("level", "kind", "path", "event"):
        assert right["swaps"][name]["real"]["mean"] > 0.95
        assert right["swaps"][name]["rebuilt"]["mean"] > 0.95


def test_swaps_follow_the_code_that_holds_the_factor(right):
    swaps = {name: {test: fig["mean"] for test, fig in of.items()} for name, of in right["swaps"].items()}
    for name, at_chance in (("level", 0.25), ("kind", 0.55)):
        assert swaps[name]["static_donor"] > 0.95 and swaps[name]["dynamic_donor"] < at_chance
    for name, at_chance in (("path", 0.2), ("event", 0.65)):
        assert swaps[name]["dynamic_donor"] > 0.95 and swaps[name]["static_donor"] < at_chance
    assert right["swaps"]["level"]["static_donor"]["floor"] == 0
    assert right["swaps"]["event"]["static_donor"]["floor"] == 0.5


def test_codes_that_hold_the_wrong_factors_are_told(data, cache):
    wrong = evaluate_planted(Halves((4,), swapped=True), data, cache=cache, repeats=1)
    assert wrong["codes"]["level"]["dynamic"]["mean"] > 0.99 > 0.2 > wrong["codes"]["level"]["static"]["mean"]
    assert wrong["swaps"]["level"]["dynamic_donor"]["mean"] > 0.95
    assert wrong["swaps"]["level"]["static_donor"]["mean"] < 0.3
    assert "not so kind" in headline(wrong)


def test_labels_of_clips_are_planted_factors_too(cache, monkeypatch):
    monkeypatch.setattr(factor_reader, "MAX_STEPS", 300)
    scores = evaluate_planted(Oracle((3, 16, 16)), clips(), cache=cache, repeats=1)
    assert {name: about["kind"] for name, about in scores["labels"].items()} == {
        "colour": "static",
        "shade": "static",
        "move": "dynamic",
        "axis": "dynamic",
    }
    for name, donor in (("colour", "static"), ("shade", "static"), ("move", "dynamic"), ("axis", "dynamic")):
        other = "dynamic" if donor == "static" else "static"
        assert scores["codes"][name][donor]["mean"] == 1 > scores["codes"][name][other]["mean"]
        assert scores["swaps"][name][f"{donor}_donor"]["mean"] > 0.95
        assert scores["swaps"][name][f"{other}_donor"]["mean"] < 0.75
    leaky = evaluate_planted(Oracle((3, 16, 16), leak_content=True), clips(), cache=cache, repeats=1)
    assert leaky["codes"]["colour"]["dynamic"]["mean"] == 1
    assert leaky["swaps"]["colour"]["dynamic_donor"]["mean"] > 0.95


def test_a_method_without_decoder_is_read_from_its_codes_only(data, cache):
    model = Halves((4,))
    model.card = dataclasses.replace(Halves.card, capabilities=frozenset({"encode"}))
    scores = evaluate_planted(model, data, cache=cache)
    assert "swaps" not in scores and "no decoder" in scores["left_out"]["swaps"]
    assert headline(scores) == "" and section(scores, cache)


# ---- the network ----------------------------------------------------------------------------------------


def test_the_network_is_trained_once_for_the_same_data(data, cache, monkeypatch):
    tasks = [each.task for each in planted_factors(data)[0]]
    first = train_factor_reader(data, tasks, cache=cache)

    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(factor_reader, "_fit", refuse)
    again = train_factor_reader(data, tasks, cache=cache)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    with pytest.raises(AssertionError, match="trained again"):
        train_factor_reader(data, tasks, seed=1, cache=cache)


def test_the_loss_of_the_network_by_hand():
    tasks = [
        Task("kind", "classes", "sequence", ("a", "b", "c"), {"train": np.array([0, 1, 2])}),
        Task("size", "target", "sequence", (), {"train": np.array([1.0, 3.0, np.nan])}),
        Task("event", "target", "step", (), {"train": np.array([[0.0, 1.0], [np.nan, 1.0]])}),
    ]
    assert [is_binary(task) for task in tasks] == [False, False, True]
    reader = FactorReader((2,), tasks)
    logits, size, event = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([0.5]), torch.tensor([[0.3, -2.0]])
    truth = [torch.tensor([2.0]), torch.tensor([4.0]), torch.tensor([[1.0, np.nan]])]
    expected = (
        -np.log(np.exp(2) / np.exp([0, 1, 2]).sum()) + (0.5 - (4 - 2) / 1) ** 2 + np.log(1 + np.exp(-0.3))
    )
    assert float(reader.loss([logits, size, event], truth)) == pytest.approx(expected, rel=1e-5)


# ---- the protocol ---------------------------------------------------------------------------------------


def test_the_protocol_suits_data_with_factors_of_both_kinds(data):
    assert PROTOCOL.why_not(data, Halves((4,))) == ""
    only = dataclasses.replace(data, labels={}, targets={"level": data.targets["level"]})
    assert PROTOCOL.why_not(only) == "the data have no dynamic factor, label or target"
    none = dataclasses.replace(data, labels={}, targets={})
    assert "no dynamic factor" in PROTOCOL.why_not(none)


def test_repeats_spread_and_clips_limit(data, cache, right):
    assert right["swaps"]["level"]["static_donor"]["std"] > 0
    few = evaluate_planted(Halves((4,)), data, cache=cache, clips=40, repeats=1)
    assert few["protocol"]["clips"] == few["protocol"]["clips_trained_on"] == 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "train"}, "split: readers are trained on 'train'"),
        ({"split": "tset"}, "did you mean 'test'"),
        ({"repeats": 0}, "repeats: 0; give at least 1"),
    ],
)
def test_what_cannot_be_scored_is_refused(data, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_planted(Halves((4,)), data, **options)


def test_the_section_shows_every_factor_beside_its_floors(right, tmp_path):
    tables = [block for block in section(right, tmp_path) if block.block == "cells"]
    assert [len(table.rows) for table in tables] == [5, 5]
    assert all(len(row) == len(table.head) for table in tables for row in table.rows)
    level = next(row for row in tables[0].rows if row[0] == "level")
    assert level[1] == "static" and float(level[2]) > 0.99 and float(level[3]) < 0.15
    sentence = headline(right)
    assert "of 5 planted factors" in sentence
    assert not any(name in sentence for name in ("level", "kind", "path", "event"))
