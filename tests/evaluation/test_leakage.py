import dataclasses
import json

import numpy as np
import pytest
from oracle import Oracle
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC

from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import evaluate_generation, evaluate_leakage
from unbraid.evaluation.classifiers import CLASSIFIERS
from unbraid.evaluation.leakage import _indivisible, _table
from unbraid.generation import encode

OBSERVATION = (3, 16, 16)
STATIC, DYNAMIC = ("colour", "shade"), ("move", "axis")


@pytest.fixture(scope="module", autouse=True)
def small_forest():
    """Ten trees instead of a hundred: the tests are quick, and the codes simple."""
    usual = CLASSIFIERS["random_forest"]
    CLASSIFIERS["random_forest"] = lambda seed: RandomForestClassifier(10, random_state=seed)
    yield
    CLASSIFIERS["random_forest"] = usual


@pytest.fixture(scope="module")
def generation(data, judge):
    return evaluate_generation(Oracle(OBSERVATION), data, judge=judge, repeats=2)


@pytest.fixture(scope="module")
def scores(data, generation):
    return evaluate_leakage(Oracle(OBSERVATION), data, generation=generation, repeats=4)


def near_majority(figure, held=4 * 24):
    """No better than the most frequent class, as far as so few held-out clips can tell."""
    return figure["mean"] < figure["floor"] + 4 * np.sqrt(figure["floor"] * (1 - figure["floor"]) / held)


def test_codes_without_leaks_tell_their_own_labels_only(scores):
    latent = scores["latent"]
    assert set(latent) == {"static", "dynamic_mean", "dynamic", "pixels"}
    for code in ("dynamic_mean", "dynamic"):
        assert all(latent[code][name]["mean"]["mean"] == 1 for name in DYNAMIC)
        assert all(near_majority(latent[code][name]["mean"]) for name in STATIC)
    assert all(latent["static"][name]["mean"]["mean"] > 0.98 for name in STATIC)
    assert all(near_majority(latent["static"][name]["mean"]) for name in DYNAMIC)


def test_each_classifier_stands_beside_their_mean(scores):
    figures = scores["latent"]["static"]["move"]
    assert set(figures) == {*CLASSIFIERS, "mean"}
    assert figures["mean"]["mean"] == pytest.approx(np.mean([figures[name]["mean"] for name in CLASSIFIERS]))
    assert len({figures[name]["mean"] for name in CLASSIFIERS}) > 1
    assert all(figure["std"] > 0 for figure in figures.values())


def test_pixels_tell_everything(scores):
    """The floor of a code is what one gets from the clips as they are."""
    for name in (*STATIC, *DYNAMIC):
        figure = scores["latent"]["pixels"][name]["mean"]
        assert figure["mean"] > figure["floor"] + 0.25


def test_gaps_are_those_of_the_two_tests(scores, generation):
    for row in ("static_kept", "dynamic_kept"):
        for key in ("static", "dynamic", "gap"):
            assert scores["generation"][row][key] == generation["gap"][row][key]
    assert scores["generation"]["static_kept"]["labels"] == generation["keep_static"]
    for code, kept, other in (("static", STATIC, ("move",)), ("dynamic", ("move",), STATIC)):
        of = scores["latent"][code]
        gap = scores["latent_gap"][code]["gap"]["mean"]
        means = [np.mean([of[name]["mean"]["mean"] for name in names]) for names in (kept, other)]
        assert gap == pytest.approx(means[0] - means[1])
        assert gap > 0.5


def test_a_leak_is_read_from_the_code(data, generation):
    leaking = Oracle(OBSERVATION, leak_content=True, leak_motion=True)
    latent = evaluate_leakage(leaking, data, generation=generation, repeats=2)["latent"]
    for code in ("static", "dynamic"):
        for name in (*STATIC, *DYNAMIC):
            figure = latent[code][name]["mean"]
            assert figure["mean"] > figure["floor"] + 0.3


def test_support_vectors_are_scikit_learn_s():
    generator = np.random.default_rng(0)
    classes = generator.integers(0, 3, 120)
    table = generator.normal(size=(120, 40)) + classes[:, None]
    known, new = slice(0, 80), slice(80, None)
    ours = CLASSIFIERS["support_vectors"](0).fit(table[known], classes[known]).predict(table[new])
    theirs = SVC().fit(table[known], classes[known]).predict(table[new])
    assert np.array_equal(ours, theirs) and 0.4 < np.mean(ours == classes[new]) < 1


def test_parts_are_read_off_the_whole(scores):
    """Whoever tells the move tells the axis: an axis is never told worse than its move."""
    for features in scores["latent"].values():
        for name in CLASSIFIERS:
            assert features["axis"][name]["mean"] >= features["move"][name]["mean"]


def test_generation_is_scored_where_it_is_not_given(data, judge):
    own = evaluate_leakage(Oracle(OBSERVATION), data, judge=judge, repeats=1, clips=60)
    expected = evaluate_generation(Oracle(OBSERVATION), data, judge=judge)
    assert own["generation"]["dynamic_kept"]["labels"] == expected["keep_dynamic"]
    assert own["protocol"]["clips_classified"] == 60 and own["protocol"]["clips"] == 119


def test_same_seed_same_scores_and_json(data, generation, scores):
    again = evaluate_leakage(Oracle(OBSERVATION), data, generation=generation, repeats=4)
    assert json.loads(json.dumps(again)) == scores == again


def test_padding_is_no_part_of_the_mean(data, generation):
    """Steps after a clip's end count neither in the mean of the dynamic codes nor in the row of all of them."""
    from unbraid.evaluation.leakage import _features

    short = dataclasses.replace(data, lengths=np.full(len(data), 2), fingerprint="")
    some = short.take(np.arange(30))
    features = _features(Oracle(OBSERVATION), short, some, 16)
    d = encode(Oracle(OBSERVATION), some).dynamic.numpy()
    assert features["dynamic_mean"] == pytest.approx(d[:, :2].mean(1))
    assert (features["dynamic"].reshape(30, 4, 12)[:, 2:] == 0).all()


def test_the_floor_averages_frames_and_takes_series_as_they_are(data):
    table = _table(data.take(np.arange(3)))
    x = data.x[:3].astype(np.float64) / 255
    assert table.reshape(3, 4, 3, 8, 8)[1, 2, 0, 3, 5] == pytest.approx(
        x[1, 2, 0, 6:8, 10:12].mean(), abs=1e-6
    )
    series = Sequences(np.arange(24.0).reshape(2, 3, 4))
    assert np.array_equal(_table(series), np.arange(24.0).reshape(2, 12))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1] * 20, "one class"),
        ([0] * 19 + [1], "a class has 1 clip"),
        ([0, 1, 2, 3] * 4, "too few for 4"),
        ([0, 1] * 5, None),
    ],
)
def test_labels_that_cannot_be_divided(values, reason):
    found = _indivisible(Label(np.array(values), ("a", "b", "c", "d"), "static"))
    assert found is None if reason is None else reason in found


def test_a_label_that_cannot_be_divided_is_left_out_and_named(data, generation):
    number = Label(np.arange(len(data)), tuple(map(str, range(len(data)))), "static")
    more = dataclasses.replace(data, labels={**data.labels, "number": number}, fingerprint="")
    found = evaluate_leakage(Oracle(OBSERVATION), more, generation=generation, repeats=1)
    assert "number" not in found["latent"]["static"] and "1 clip" in found["left_out"]["number"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"repeats": 0}, "repeats: 0"),
        ({}, {"split": "tset"}, "'test'"),
        ({"labels": {}}, {}, "has no labels"),
    ],
)
def test_bad_arguments_are_refused(data, change, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_leakage(Oracle(OBSERVATION), dataclasses.replace(data, **change), **options)
