import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from unbraid.cards import ModelCard
from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import evaluate_downstream, linear_reader, network_reader
from unbraid.evaluation.downstream import _code_inputs
from unbraid.evaluation.linear_reader import read_linear
from unbraid.evaluation.network_reader import read_network
from unbraid.evaluation.tasks import downstream_tasks
from unbraid.generation import encode
from unbraid.masks import zero_unobserved
from unbraid.models.base import SequenceModel
from unbraid.models.build import build_model
from unbraid.types import Posterior

N, STEPS, WINDOW, FEATURES = 240, 6, 4, 3


class Mirror(SequenceModel):
    """s is the mean of feature 0 over what is observed, d_t the mean of each window's other features."""

    card = ModelCard("mirror", "", "", 2024, "", "", "", frozenset({"encode", "decode"}))

    def __init__(self, observation):
        super().__init__(locals())
        self.static_size, self.dynamic_size = 1, observation[-1] - 1
        self.nothing = nn.Parameter(torch.zeros(()))
        self.masks = []

    def posterior(self, x, mask=None, generator=None):
        self.masks.append(mask)
        x = zero_unobserved(x, mask)
        s = x[..., 0].flatten(1).mean(1, keepdim=True)
        return Posterior(Normal(s, 0.1), Normal(x[..., 1:].mean(2), 0.1))

    def prior(self, dynamic):
        return Normal(torch.zeros_like(dynamic), 1.0)

    def roll(self, n, length, generator=None):
        return torch.zeros(n, length, self.dynamic_size)

    def decode(self, codes, mask=None, generator=None):
        return Independent(Normal(codes.dynamic, 0.1), 0)

    def terms(self, batch, generator=None, phase="fit"):
        return {"nothing": self.nothing.expand(len(batch))}


def series(seed=0, masked=True):
    """Windows whose feature 0 gives the labels, and whose feature 1 gives the target of each step."""
    random = np.random.default_rng(seed)
    level = random.normal(0, 1, N)
    x = random.normal(0, 0.3, (N, STEPS, WINDOW, FEATURES))
    x[..., 0] += level[:, None, None]
    path = random.normal(0, 1, (N, STEPS))
    x[..., 1] += path[..., None]
    mask = random.random(x.shape) < 0.9
    mask[:, 0] = True
    mask[::5, STEPS - 2 :] = False
    temperature = 20 + 3 * path
    temperature[:, 1][random.random(N) < 0.3] = np.nan
    return Sequences(
        np.where(mask | (not masked), x, 0).astype(np.float32),
        "levels",
        mask=mask if masked else None,
        labels={
            "death": Label((level > 0.8).astype(int), ("no", "yes"), "static"),
            "third": Label(np.digitize(level, [-0.4, 0.4]), ("low", "middle", "high"), "static"),
        },
        targets={"temperature": temperature, "level": 5 * level + 2},
        splits=dict(
            zip(("train", "validation", "test"), np.split(random.permutation(N), [120, 170]), strict=True)
        ),
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(network_reader, "EPOCHS", 2)
    monkeypatch.setattr(linear_reader, "STRENGTHS", (1e-3, 1e-1))
    monkeypatch.setattr(network_reader, "LEARNING_RATE", 0.01)


@pytest.fixture(scope="module")
def data():
    return series()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def evaluate(model, data, folder, **settings):
    return evaluate_downstream(model, data, cache=folder, **{"repeats": 1, "resamples": 50, **settings})


@pytest.fixture(scope="module")
def scores(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_reader, "EPOCHS", 30)
        patch.setattr(network_reader, "LEARNING_RATE", 0.02)
        return evaluate(Mirror(data.observation), data, tmp_path_factory.mktemp("apart"))


def test_every_task_has_its_figures(scores):
    tasks = scores["tasks"]
    assert {name: (t["kind"], t["level"]) for name, t in tasks.items()} == {
        "death": ("binary", "sequence"),
        "third": ("classes", "sequence"),
        "temperature": ("target", "step"),
        "level": ("target", "sequence"),
    }
    assert scores["left_out"] == {}
    json.dumps(scores)
    names = {"binary": ("auroc", "auprc", "accuracy"), "classes": ("accuracy", "balanced_accuracy")}
    for task in tasks.values():
        assert set(task["codes"]) == {"static", "dynamic", "both"}
        for read in task["codes"].values():
            for reader in ("linear", "network"):
                figures = {
                    name: v for name, v in read[reader].items() if name not in ("chosen", "cross_validated")
                }
                assert set(figures) == set(names.get(task["kind"], ("mae", "skill")))
                for name, figure in figures.items():
                    assert figure["low"] <= figure["high"]
                    plain = [f[name]["mean"] for floor, f in task["floors"].items() if floor != "raw_network"]
                    assert figure["floor"] == (min if name == "mae" else max)(plain)
    assert scores["protocol"]["clips"] == scores["protocol"]["groups"] == 70


def test_what_a_code_holds_is_found_and_what_it_lacks_is_not(scores):
    tasks = scores["tasks"]
    for reader in ("linear", "network"):
        death, third = tasks["death"]["codes"], tasks["third"]["codes"]
        assert death["static"][reader]["auroc"]["mean"] > 0.95
        assert death["both"][reader]["auroc"]["mean"] > 0.95
        assert abs(death["dynamic"][reader]["auroc"]["mean"] - 0.5) < 0.25
        assert third["static"][reader]["accuracy"]["mean"] > 0.8
        assert third["dynamic"][reader]["accuracy"]["mean"] < 0.55
        steps = tasks["temperature"]["codes"]
        assert steps["dynamic"][reader]["skill"]["mean"] > 0.7
        assert abs(steps["static"][reader]["skill"]["mean"]) < 0.15
        assert tasks["level"]["codes"]["static"][reader]["skill"]["mean"] > 0.7


def test_floors_stand_beside_the_scores(data, scores):
    tasks = scores["tasks"]
    test = data.split("test")
    share = test.labels["death"].values.mean()
    constant = tasks["death"]["floors"]["constant"]
    assert constant["auroc"]["mean"] == 0.5 and constant["auprc"]["mean"] == pytest.approx(share)
    assert constant["accuracy"]["mean"] == pytest.approx(max(share, 1 - share))
    trained_on = np.concatenate([data.split(name).labels["third"].values for name in ("train", "validation")])
    majority = np.bincount(trained_on).argmax()
    third = tasks["third"]["floors"]
    assert third["constant"]["accuracy"]["mean"] == np.mean(test.labels["third"].values == majority)
    assert third["constant"]["balanced_accuracy"]["mean"] == pytest.approx(1 / 3)
    assert set(third) == {
        "constant",
        "raw_linear",
        "raw_chosen",
        "raw_rich",
        "raw_boosting",
        "raw_neighbour",
        "raw_centroid",
        "raw_network",
    }
    assert third["raw_centroid"]["accuracy"]["mean"] > 0.8
    steps = tasks["temperature"]["floors"]
    assert steps["constant"]["skill"]["mean"] == 0
    assert steps["raw_linear"]["skill"]["mean"] > 0.7 and steps["raw_network"]["skill"]["mean"] > 0.5


def test_one_repeat_is_the_first_of_several_and_all_differ(data, folder):
    model = Mirror(data.observation)

    def network(repeats):
        found = evaluate(model, data, folder, repeats=repeats, tasks=["death"])
        return found["tasks"]["death"]["codes"]["dynamic"]["network"]

    one, two = network(1), network(2)
    assert two["auroc"]["std"] > 0
    assert abs(one["auroc"]["mean"] - two["auroc"]["mean"]) == pytest.approx(two["auroc"]["std"])
    assert one["chosen"][0] == two["chosen"][0] != two["chosen"][1]


def test_labels_belong_to_their_inputs(data, folder):
    """The rows in another order, labels and splits with them: nothing changes."""
    order = np.random.default_rng(5).permutation(N)
    place = np.argsort(order)
    moved = dataclasses.replace(
        data.take(order), splits={name: place[rows] for name, rows in data.splits.items()}, fingerprint=""
    )
    model, names = Mirror(data.observation), ["third", "temperature"]
    one, other = (evaluate(model, d, folder, tasks=names) for d in (data, moved))
    assert one["tasks"] == other["tasks"]


def test_labels_that_belong_to_others_are_not_told(data, folder):
    """The defect of the authors' code for ETTh1, made on purpose: the score falls to nothing."""
    turned = np.roll(np.arange(N), 7)
    wrong = dataclasses.replace(
        data, targets={"temperature": data.targets["temperature"][turned]}, fingerprint=""
    )
    found = evaluate(Mirror(data.observation), wrong, folder, tasks=["temperature"])
    assert found["tasks"]["temperature"]["codes"]["both"]["linear"]["skill"]["mean"] < 0.1


def test_the_mask_reaches_the_encoder(data, folder):
    model = Mirror(data.observation)
    evaluate(model, data, folder, tasks=["death"], batch_size=32)
    rows = np.concatenate([data.splits[name] for name in ("train", "validation", "test")])
    np.testing.assert_array_equal(torch.cat(model.masks).numpy(), data.mask[rows])


def test_unobserved_values_change_no_score_and_the_mask_does(data, folder):
    random = np.random.default_rng(1)
    x = np.where(data.mask, data.x, random.normal(0, 9, data.x.shape)).astype(np.float32)
    spoilt = dataclasses.replace(data, x=x, fingerprint="")
    blind = dataclasses.replace(spoilt, mask=None, fingerprint="")
    dbse = tiny(data)
    one, other, unmasked = (
        evaluate(dbse, as_vectors(d), folder, tasks=["death"]) for d in (data, spoilt, blind)
    )
    assert one["tasks"] == other["tasks"] != unmasked["tasks"]


def as_vectors(data):
    """The same series with a step for each row of a window."""
    flat = (N, STEPS * WINDOW, FEATURES)
    return dataclasses.replace(
        data,
        x=data.x.reshape(flat),
        mask=None if data.mask is None else data.mask.reshape(flat),
        targets={"temperature": data.targets["temperature"].repeat(WINDOW, 1)},
        fingerprint="",
    )


def tiny(data, **settings):
    observation = data.observation if len(data.observation) == 3 else data.observation[-1:]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(
            "dbse", observation, static_size=3, dynamic_size=3, features=8, width=4, hidden=8, **settings
        )


def test_the_subtraction_changes_the_codes_and_so_the_scores(data, folder):
    with_it, without = tiny(data), tiny(data, subtract=False)
    without.load_state_dict(with_it.state_dict())
    data = as_vectors(data)
    one, other = encode(with_it, data), encode(without, data)
    assert torch.equal(one.static, other.static)
    assert not torch.allclose(one.dynamic, other.dynamic, atol=1e-3)
    scores = [
        evaluate(model, data, folder, tasks=["temperature"])["tasks"]["temperature"]["codes"]
        for model in (with_it, without)
    ]
    assert scores[0]["static"] == scores[1]["static"]
    assert scores[0]["dynamic"]["linear"] != scores[1]["dynamic"]["linear"]


def test_no_test_value_chooses_anything(data, folder):
    """With other test labels, targets and values, all that was trained and chosen is the same."""
    random = np.random.default_rng(3)
    rows = data.splits["test"]
    x, labels, targets = data.x.copy(), {}, {}
    x[rows] = random.normal(0, 2, x[rows].shape)
    for name, label in data.labels.items():
        values = label.values.copy()
        values[rows] = random.permutation(values[rows])
        labels[name] = dataclasses.replace(label, values=values)
    for name, values in data.targets.items():
        targets[name] = values.copy()
        targets[name][rows] = random.normal(0, 50, values[rows].shape)
    other = dataclasses.replace(data, x=x, labels=labels, targets=targets, fingerprint="")
    model = Mirror(data.observation)
    names = ["death", "temperature"]
    one, two = (evaluate(model, d, folder, tasks=names) for d in (data, other))
    for name, task in one["tasks"].items():
        changed = two["tasks"][name]
        for part, read in task["codes"].items():
            for reader, figures in read.items():
                assert figures["chosen"] == changed["codes"][part][reader]["chosen"]
                assert figures != changed["codes"][part][reader]


def test_trained_readers_are_the_same_whatever_test_holds(data):
    """The trained readers themselves, not only what was chosen for them: test in another order is predicted in it."""
    model = Mirror(data.observation)
    parts = {name: data.split(name) for name in ("train", "validation", "test")}
    turned = dict(parts, test=parts["test"].take(np.arange(len(parts["test"]))[::-1]))
    task = downstream_tasks(data, names=["death"])[0][0]
    for read in (read_linear, lambda task, inputs: read_network(task, inputs, 0)):
        guesses = [read(task, _code_inputs(model, p, 64)["both"]).guesses for p in (parts, turned)]
        assert set(guesses[0]) == {"test"}
        np.testing.assert_allclose(guesses[0]["test"], guesses[1]["test"][::-1], atol=1e-6)


def test_from_both_codes_the_part_with_the_lowest_validation_loss_is_read(scores):
    for task in scores["tasks"].values():
        for reader in ("linear", "network"):
            losses = {
                code: [chosen["validation_loss"] for chosen in readers[reader]["chosen"]]
                for code, readers in task["codes"].items()
            }
            for repeat, chosen in enumerate(task["codes"]["both"][reader]["chosen"]):
                assert chosen["validation_loss"] <= min(losses[code][repeat] for code in losses)
    death = scores["tasks"]["death"]["codes"]
    assert death["both"]["network"]["chosen"][0]["codes"] in ("static", "both")
    assert scores["tasks"]["temperature"]["codes"]["both"]["linear"]["chosen"][0]["codes"] != "static"


def test_cross_validation_over_train_and_validation_stands_beside_the_scores(scores):
    death = scores["tasks"]["death"]["codes"]
    assert death["static"]["linear"]["cross_validated"]["auroc"] > 0.95
    assert abs(death["dynamic"]["linear"]["cross_validated"]["auroc"] - 0.5) < 0.25
    assert scores["tasks"]["temperature"]["codes"]["dynamic"]["linear"]["cross_validated"]["skill"] > 0.7
    assert "cross_validated" not in death["static"]["network"]


def test_groups_widen_the_interval(data, folder):
    groups = np.empty(N, dtype=int)
    for number, rows in enumerate(data.splits.values()):
        groups[rows] = 10 * number + np.arange(len(rows)) % 7
    grouped = dataclasses.replace(data, groups=groups, fingerprint="")
    found = evaluate(Mirror(data.observation), grouped, folder, tasks=["third"])
    assert found["protocol"]["groups"] == 7
    assert found["protocol"]["clips"] == 70


def test_floors_are_computed_once_for_the_same_data(data, tmp_path, monkeypatch):
    model = Mirror(data.observation)
    first = evaluate(model, data, tmp_path, tasks=["death"])
    (kept,) = (tmp_path / "floors").iterdir()
    monkeypatch.setattr("unbraid.evaluation.downstream.plain_floors", None)  # would fail when called
    assert evaluate(model, data, tmp_path, tasks=["death"]) == first
    kept.write_text("{")
    with pytest.raises(TypeError):
        evaluate(model, data, tmp_path, tasks=["death"])


def test_floors_belong_to_their_labels_even_under_the_same_fingerprint(data, tmp_path):
    model = Mirror(data.observation)
    first = evaluate(model, data, tmp_path, tasks=["third"])
    values = (data.labels["third"].values + 1) % 3
    other = dataclasses.replace(
        data, labels={"third": dataclasses.replace(data.labels["third"], values=values)}
    )
    assert other.fingerprint == data.fingerprint
    second = evaluate(model, other, tmp_path, tasks=["third"])
    assert first["tasks"]["third"]["floors"] != second["tasks"]["third"]["floors"]
    assert len(list((tmp_path / "floors").iterdir())) == 2


def test_validation_may_be_scored_to_choose_settings(data, folder):
    found = evaluate(Mirror(data.observation), data, folder, split="validation", tasks=["death"])
    assert found["protocol"]["split"] == "validation" and found["protocol"]["clips"] == 50


def test_what_cannot_be_scored_is_left_out_and_said(data, folder):
    nobody = dataclasses.replace(data.labels["death"], values=np.zeros(N, dtype=int))
    years = np.zeros(N, dtype=int)
    years[data.splits["train"][:60]] = 1
    years[data.splits["test"]] = 2
    unknown = np.full((N, STEPS), np.nan)
    unknown[data.splits["train"]] = 1
    other = dataclasses.replace(
        data,
        labels={"death": nobody, "year": Label(years, ("2013", "2014", "2016"), "static")},
        targets={"rain": unknown},
        fingerprint="",
    )
    assert evaluate(Mirror(data.observation), other, folder)["left_out"] == {
        "death": "all of train is no",
        "year": "no class of test is in train",
        "rain": "no value is known in validation",
    }


def test_frames_have_the_constant_as_floor(folder):
    random = np.random.default_rng(0)
    data = Sequences(
        random.integers(0, 255, (30, 3, 1, 16, 16), dtype=np.uint8),
        labels={"who": Label(np.arange(30) % 3, tuple("abc"), "static")},
        splits={"train": np.arange(12), "validation": np.arange(12, 18), "test": np.arange(18, 30)},
    )
    found = evaluate(tiny(data), data, folder)
    assert set(found["tasks"]["who"]["floors"]) == {"constant"}


def test_the_global_generator_is_left_alone(data, folder):
    state, numbers = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    evaluate(Mirror(data.observation), data, folder, tasks=["death"])
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], numbers)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"split": "tset"}, "no split 'tset'; did you mean 'test'"),
        ({"split": "train"}, "trained on 'train'"),
        ({"repeats": 0}, "repeats: 0"),
        ({"resamples": 0}, "resamples: 0"),
        ({"tasks": ["deth"]}, "no label or target 'deth'; did you mean 'death'"),
    ],
)
def test_wrong_arguments_are_refused(data, folder, settings, words):
    with pytest.raises(ValueError, match=words):
        evaluate(Mirror(data.observation), data, folder, **settings)


def test_data_without_labels_or_a_model_without_codes_are_refused(data, folder):
    bare = dataclasses.replace(data, labels={}, targets={}, fingerprint="")
    with pytest.raises(ValueError, match="neither labels nor targets"):
        evaluate(Mirror(data.observation), bare, folder)
    model = Mirror(data.observation)
    model.card = dataclasses.replace(model.card, capabilities=frozenset())
    with pytest.raises(ValueError, match="has no encoder"):
        evaluate(model, data, folder)
