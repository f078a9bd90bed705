import dataclasses
import json

import numpy as np
import pytest
import torch
from oracle import Oracle, clips

from unbraid.data.sequences import Label
from unbraid.evaluation import Judge, evaluate_generation, write_scores
from unbraid.evaluation.exchanges import true_swaps
from unbraid.evaluation.generation import scored_labels
from unbraid.evaluation.judging import parts_of
from unbraid.generation import decode, encode, partners
from unbraid.types import Codes

STATIC = {"colour": 5, "shade": 3}
OBSERVATION = (3, 16, 16)


def within_binomial_error(figure: dict[str, float], classes: int, draws: int) -> bool:
    chance = 1 / classes
    return abs(figure["mean"] - chance) < 4 * np.sqrt(chance * (1 - chance) / draws)


@pytest.fixture(scope="module")
def scores(data, judge):
    return evaluate_generation(Oracle(OBSERVATION), data, judge=judge, batch_size=50)


def test_an_oracle_keeps_its_dynamics(scores):
    most = scores["labels"]["move"]["majority"]
    assert scores["accuracy"] == {"mean": 1.0, "std": 0.0, "floor": most} and 0.25 <= most < 0.27
    assert scores["keep_dynamic"]["move"]["mean"] == scores["keep_dynamic"]["axis"]["mean"] == 1
    assert scores["inception_score"]["mean"] == pytest.approx(4, abs=0.1)
    assert scores["entropy_conditional"]["mean"] < 0.05
    assert scores["entropy_marginal"]["mean"] == pytest.approx(np.log(4), abs=0.01)
    for name, classes in STATIC.items():
        figure = scores["keep_dynamic"][name]
        assert figure["floor"] == pytest.approx(1 / classes)
        assert within_binomial_error(figure, classes, 5 * 119)
        assert figure["std"] > 0


def test_an_oracle_keeps_its_content(scores):
    assert all(scores["keep_static"][name]["mean"] == 1 for name in STATIC)
    assert within_binomial_error(scores["keep_static"]["move"], 4, 5 * 119)
    assert within_binomial_error(scores["keep_static"]["axis"], 2, 5 * 119)


def test_an_oracle_swaps(scores):
    assert all(figure["mean"] == 1 for figure in scores["swap"].values())
    for name, classes in {**STATIC, "move": 4, "axis": 2}.items():
        assert within_binomial_error(scores["swap_leak"][name], classes, 5 * 119)


def test_an_oracle_reconstructs(scores):
    assert all(figure["mean"] == 1 and figure["std"] == 0 for figure in scores["reconstruction"].values())
    assert scores["squared_error_per_clip"]["mean"] < scores["squared_error_per_clip"]["floor"] / 10


def test_the_floors_of_the_motion_scores(scores):
    floors = {name: scores[name]["floor"] for name in ("inception_score", "entropy_conditional")}
    assert floors == {"inception_score": 1, "entropy_conditional": pytest.approx(np.log(4))}
    assert scores["entropy_marginal"]["floor"] == 0


def test_content_that_leaks_into_the_dynamics_shows(data, judge):
    leaking = evaluate_generation(Oracle(OBSERVATION, leak_content=True), data, judge=judge, repeats=2)
    assert leaking["accuracy"]["mean"] == 1  # the headline alone does not tell
    for name, classes in STATIC.items():
        assert leaking["keep_dynamic"][name]["mean"] == 1
        assert leaking["swap_leak"][name]["mean"] == 1
        assert within_binomial_error(leaking["swap"][name], classes, 2 * 119)
        assert within_binomial_error(leaking["keep_static"][name], classes, 2 * 119)


def test_motion_that_leaks_into_the_static_code_shows(data, judge):
    leaking = evaluate_generation(Oracle(OBSERVATION, leak_motion=True), data, judge=judge, repeats=2)
    assert within_binomial_error(leaking["accuracy"], 4, 2 * 119)
    assert leaking["keep_static"]["move"]["mean"] == leaking["swap_leak"]["move"]["mean"] == 1
    assert within_binomial_error(leaking["swap"]["move"], 4, 2 * 119)


def test_the_squared_error_is_summed_over_a_clip_and_its_floor_is_the_mean_training_clip(data, scores):
    x = data.x.astype(np.float64) / 255
    test, mean = x[data.splits["test"]], x[data.splits["train"]].mean(0)
    model = Oracle(OBSERVATION)
    rebuilt = decode(model, encode(model, data.split("test"))).numpy()
    figure = scores["squared_error_per_clip"]
    assert figure["mean"] == pytest.approx(((test - rebuilt) ** 2).sum((1, 2, 3, 4)).mean(), rel=1e-4)
    assert figure["floor"] == pytest.approx(((test - mean) ** 2).sum((1, 2, 3, 4)).mean(), rel=1e-4)
    assert "swap_error_per_clip" not in scores  # several clips have the same labels


def test_swaps_are_compared_with_the_clips_that_have_their_labels(judge):
    data = clips(each=1)  # each combination of labels is one clip
    data = dataclasses.replace(data, splits={"test": np.arange(len(data))})
    scores = evaluate_generation(Oracle(OBSERVATION), data, judge=judge, repeats=2)
    error, rebuilt = scores["swap_error_per_clip"], scores["squared_error_per_clip"]
    assert error["mean"] == pytest.approx(
        rebuilt["mean"], rel=0.01
    )  # the oracle rebuilds every combination alike
    assert error["floor"] == rebuilt["floor"] > 10 * error["mean"]
    leaking = evaluate_generation(Oracle(OBSERVATION, leak_content=True), data, judge=judge, repeats=1)
    assert leaking["swap_error_per_clip"]["mean"] > 5 * error["mean"]


def test_the_true_clip_of_a_swap():
    labels = {
        "colour": Label(np.array([0, 0, 1, 1, 2]), ("a", "b", "c"), "static"),
        "move": Label(np.array([0, 1, 0, 1, 0]), ("x", "y"), "dynamic"),
        "half": Label(np.array([0, 0, 1, 1, 1]), ("x", "y"), "static", part_of="colour"),
    }
    other = np.array([3, 4, 0, 0, 1])
    assert true_swaps(labels, other).tolist() == [2, -1, 0, 1, 0]
    assert true_swaps({"colour": labels["colour"]}, other) is None
    repeated = labels | {"move": Label(np.zeros(5, int), ("x",), "dynamic")}
    assert true_swaps(repeated, other) is None  # two clips have the same labels


def test_all_clips_are_scored_whatever_the_batch(data, judge):
    seen = []

    class Counting(Oracle):
        def posterior(self, x, mask=None, generator=None):
            seen.append(len(x))
            return super().posterior(x, mask, generator)

    first = evaluate_generation(Counting(OBSERVATION), data, judge=judge, repeats=1, batch_size=32)
    assert sum(seen) == len(data.splits["test"]) == first["protocol"]["clips"]
    second = evaluate_generation(Oracle(OBSERVATION), data, judge=judge, repeats=1, batch_size=119)
    for test in ("keep_dynamic", "keep_static", "swap", "swap_leak"):
        assert first[test] == second[test]


def test_same_seed_same_scores_whatever_the_global_generator(data, judge):
    model = Oracle(OBSERVATION)
    first = evaluate_generation(model, data, judge=judge, repeats=2, seed=3)
    torch.rand(7)
    state = torch.random.get_rng_state()
    assert evaluate_generation(model, data, judge=judge, repeats=2, seed=3) == first
    assert torch.equal(torch.random.get_rng_state(), state)
    assert evaluate_generation(model, data, judge=judge, repeats=2, seed=4) != first


def test_the_spread_is_that_of_the_repeats(data, judge):
    model = Oracle(OBSERVATION)
    two = evaluate_generation(model, data, judge=judge, repeats=2)["keep_dynamic"]["colour"]
    one = evaluate_generation(model, data, judge=judge, repeats=1)["keep_dynamic"]["colour"]
    other = 2 * two["mean"] - one["mean"]
    assert two["std"] == pytest.approx(np.std([one["mean"], other]))  # the first repeat is the same in both
    assert one["std"] == 0


def test_a_weak_judge_is_refused_unless_accepted(data):
    torch.manual_seed(0)
    untrained = Judge(OBSERVATION, {"colour": 5, "shade": 3, "move": 4}, width=4)
    with pytest.raises(ValueError, match=r"judge: right on only .*% on 'colour'.*accept_weak_judge=True"):
        evaluate_generation(Oracle(OBSERVATION), data, judge=untrained, repeats=1)
    scores = evaluate_generation(
        Oracle(OBSERVATION), data, judge=untrained, repeats=1, accept_weak_judge=True
    )
    assert not scores["judge"]["trusted"]
    assert scores["judge"]["accuracy"]["colour"]["mean"] < 0.99


def test_a_judge_of_other_labels_is_refused(data):
    judge = Judge(OBSERVATION, {"colour": 5}, width=4)
    with pytest.raises(ValueError, match="judge: reads"):
        evaluate_generation(Oracle(OBSERVATION), data, judge=judge, accept_weak_judge=True)


def test_data_without_labels_get_their_squared_error_only():
    scores = evaluate_generation(Oracle(OBSERVATION), clips(each=2, labelled=False))
    assert set(scores) == {"squared_error_per_clip", "labels", "protocol"}
    assert scores["squared_error_per_clip"]["mean"] > 0


def test_without_a_dynamic_label_the_static_ones_are_scored_under_drawn_dynamics(data):
    """As with two moving digits: what counts is that clips stay what they are when their motion is drawn."""
    static = {name: data.labels[name] for name in STATIC}
    still = dataclasses.replace(data, labels=static)
    torch.manual_seed(0)
    untrained = Judge(OBSERVATION, STATIC, width=4)
    options = {"judge": untrained, "repeats": 2, "accept_weak_judge": True}
    scores = evaluate_generation(Oracle(OBSERVATION), still, **options)
    assert scores["scored"] == {"kept": "static", "labels": ["colour", "shade"]}
    kept = [scores["keep_static"][name]["mean"] for name in STATIC]
    assert scores["accuracy"]["mean"] == pytest.approx(np.mean(kept))
    test = data.split("test")
    most = [np.bincount(test.labels[name].values).max() / len(test) for name in STATIC]
    assert scores["accuracy"]["floor"] == pytest.approx(np.mean(most)) and np.mean(most) > (1 / 5 + 1 / 3) / 2
    assert scores["entropy_conditional"]["floor"] == pytest.approx((np.log(5) + np.log(3)) / 2)
    assert set(scores["confusion"]) == set(STATIC) and "gap" not in scores


# ---- methods that cannot do everything ------------------------------------------------------------------


def limited(*lacking, **settings):
    """An oracle without some capabilities."""
    model = Oracle(OBSERVATION, **settings)
    model.card = dataclasses.replace(Oracle.card, capabilities=Oracle.card.capabilities - set(lacking))
    return model


def test_without_a_prior_static_codes_of_other_clips_are_dealt_out(data, judge):
    scores = evaluate_generation(limited("static_prior"), data, judge=judge, repeats=2)
    assert scores["protocol"]["static_drawn"] == "codes of other clips"
    assert scores["keep_dynamic"]["move"]["mean"] == 1
    for name, classes in STATIC.items():
        assert within_binomial_error(scores["keep_dynamic"][name], classes, 2 * 119)
    usual = evaluate_generation(Oracle(OBSERVATION), data, judge=judge, repeats=2)
    assert "static_drawn" not in usual["protocol"] and set(usual) == set(scores)


def test_without_a_prior_of_the_dynamics_they_are_not_drawn(data, judge):
    scores = evaluate_generation(limited("dynamic_prior"), data, judge=judge, repeats=1)
    assert "keep_static" not in scores and set(scores["gap"]) == {"dynamic_kept"}
    assert scores["keep_dynamic"]["move"]["mean"] == scores["swap"]["colour"]["mean"] == 1


def test_a_static_code_that_is_not_decoded_is_not_exchanged(data, judge):
    scores = evaluate_generation(limited("decoded_static"), data, judge=judge, repeats=1)
    assert set(scores) == {"judge", "reconstruction", "squared_error_per_clip", "labels", "protocol"}
    assert scores["protocol"]["exchanges"].startswith("none")
    assert scores["reconstruction"]["colour"]["mean"] == 1


@pytest.mark.parametrize(
    ("lacking", "message"),
    [(("decode",), "oracle has no decoder"), (("encode", "static_prior"), "oracle has no")],
)
def test_a_method_without_codes_or_clips_is_refused(data, judge, lacking, message):
    with pytest.raises(ValueError, match=message):
        evaluate_generation(limited(*lacking), data, judge=judge)


def test_decoders_that_draw_get_the_seed(data, judge):
    class Noisy(Oracle):
        """Turns some clips of every batch into others, by the generator that it is given."""

        def decode(self, codes, mask=None, generator=None):
            turned = torch.rand(len(codes), generator=generator) < 0.3
            dynamic = codes.dynamic.clone()
            dynamic[turned] = dynamic[turned].flip(2)
            return super().decode(Codes(codes.static, dynamic))

    model = Noisy(OBSERVATION)
    state = torch.random.get_rng_state()
    first, again, other = (
        evaluate_generation(model, data, judge=judge, repeats=1, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first == again != other
    assert 0.5 < first["reconstruction"]["move"]["mean"] < 0.95


def test_a_limit_of_clips_scores_so_many_and_names_their_places(data, judge):
    class Wrong(Oracle):
        """Moves every clip the other way, so that every swap is a failure."""

        def decode(self, codes, mask=None, generator=None):
            return super().decode(Codes(codes.static, codes.dynamic[..., [*range(8), 9, 8, 11, 10]]))

    scores = evaluate_generation(Wrong(OBSERVATION), data, judge=judge, repeats=1, clips=30)
    assert scores["protocol"]["clips"] == 30 and scores["protocol"]["clips_of_the_split"] == 119
    assert np.sum(scores["confusion"]["move"]["counts"]) == 30
    label = data.split("test").labels["move"]
    places = [failure["dynamic_from"] for failure in scores["failures"]]
    assert [failure["true"] for failure in scores["failures"]] == [
        label.classes[label.values[place]] for place in places
    ]
    assert max(places) > 30  # places in the split, not among the chosen clips
    whole = evaluate_generation(Wrong(OBSERVATION), data, judge=judge, repeats=1, clips=1000)
    assert whole == evaluate_generation(Wrong(OBSERVATION), data, judge=judge, repeats=1)
    with pytest.raises(ValueError, match="swaps need two"):
        evaluate_generation(Wrong(OBSERVATION), data, judge=judge, clips=1)


def test_the_words_of_the_accuracy_name_what_it_is_of():
    assert scored_labels({"scored": {"kept": "dynamic", "labels": ["move"]}}) == {
        "labels": "their motion", "drawn": "static code is"
    }  # fmt: skip
    still = scored_labels({"scored": {"kept": "static", "labels": ["first_digit", "shade"]}})
    assert still == {"labels": "their first digit and shade", "drawn": "dynamics are"}


# ---- gaps, confusion, interpolation ---------------------------------------------------------------------


def test_the_gap_sums_up_what_is_kept_and_what_is_drawn(scores):
    """Without leaks the kept labels are always seen and the drawn ones as often as by chance."""
    chance = (1 / 5 + 1 / 3) / 2
    for kept, drawn, floor in (("static", "dynamic", chance - 1 / 4), ("dynamic", "static", 1 / 4 - chance)):
        gap = scores["gap"][f"{kept}_kept"]
        assert gap[kept]["mean"] == 1
        names = ["move"] if drawn == "dynamic" else list(STATIC)
        means = [scores[f"keep_{kept}"][name]["mean"] for name in names]
        assert gap[drawn]["mean"] == pytest.approx(np.mean(means))
        assert gap["gap"]["mean"] == pytest.approx(1 - np.mean(means))
        assert gap["gap"]["std"] == pytest.approx(gap[drawn]["std"])
        assert gap["gap"]["floor"] == pytest.approx(floor)


def test_confusion_and_failures_of_swapped_clips(data, judge, scores):
    """Rows are the class of the clip that supplies the motion; every swapped clip of every repeat is counted."""
    truth = data.split("test").labels["move"].values
    counts = np.array(scores["confusion"]["move"]["counts"])
    assert np.array_equal(counts, np.diag(5 * np.bincount(truth))) and scores["failures"] == []

    class Turned(Oracle):
        """Moves every clip the other way."""

        def decode(self, codes, mask=None, generator=None):
            dynamic = codes.dynamic.clone()
            dynamic[..., 8:] = dynamic[..., [9, 8, 11, 10]]
            return super().decode(Codes(codes.static, dynamic))

    turned = evaluate_generation(Turned(OBSERVATION), data, judge=judge, repeats=1)
    expected = np.diag(np.bincount(truth))[:, [1, 0, 3, 2]]
    assert np.array_equal(turned["confusion"]["move"]["counts"], expected)
    assert len(turned["failures"]) == 12
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}
    for failure in turned["failures"]:
        assert failure["true"] == data.labels["move"].classes[truth[failure["dynamic_from"]]]
        assert failure["seen"] == opposite[failure["true"]] and failure["probability"] > 0.5
        assert failure["static_from"] != failure["dynamic_from"]


def test_interpolation_keeps_the_motion_and_changes_the_content(scores):
    own, other = (scores["interpolation"][whose] for whose in ("own", "other"))
    assert list(own) == ["0%", "25%", "50%", "75%", "100%"]
    assert all(own[share]["move"]["mean"] == 1 for share in own)
    for name in STATIC:
        assert own["0%"][name]["mean"] == other["100%"][name]["mean"] == 1
        assert own["100%"][name]["mean"] == other["0%"][name]["mean"] < 0.5
        # One-hot codes: up to the middle the clip's own class is the larger one, then its partner's.
        assert own["25%"][name]["mean"] == other["75%"][name]["mean"] == 1


def test_many_repeats_show_the_spread_of_the_draws(data, judge):
    """The papers repeat 300 times: the mean settles, and the spread is that of the draws alone."""
    few = dataclasses.replace(data, splits={"test": data.splits["test"][:20]})
    scores = evaluate_generation(Oracle(OBSERVATION), few, judge=judge, repeats=100)
    colour = scores["keep_dynamic"]["colour"]
    assert within_binomial_error(colour, 5, 100 * 20)
    assert colour["std"] == pytest.approx(np.sqrt(0.2 * 0.8 / 20), rel=0.3)
    assert scores["protocol"]["repeats"] == 100 and "repeats" in scores["protocol"]["std"]


def test_padding_adds_no_error(data):
    lengths = np.full(len(data), 2)
    short = dataclasses.replace(data, lengths=lengths, labels={}, fingerprint="")
    cut = dataclasses.replace(data, x=data.x[:, :2], labels={}, fingerprint="")

    class Grey(Oracle):
        def posterior(self, x, mask=None, generator=None):
            return super().posterior(torch.zeros(len(x), 4, *OBSERVATION), None, generator)

        def decode(self, codes, mask=None, generator=None):
            steps = codes.dynamic.shape[1]
            return torch.distributions.Normal(torch.full((len(codes), steps, *OBSERVATION), 0.5), 1.0)

    padded = evaluate_generation(Grey(OBSERVATION), short)["squared_error_per_clip"]

    class ShortGrey(Grey):
        def posterior(self, x, mask=None, generator=None):
            found = super().posterior(x, mask, generator)
            dynamic = torch.distributions.Normal(found.dynamic.mean[:, :2], 1.0)
            return dataclasses.replace(found, dynamic=dynamic)

    assert padded == evaluate_generation(ShortGrey(OBSERVATION), cut)["squared_error_per_clip"]


def test_nobody_is_their_own_partner():
    partner = partners(50, torch.Generator().manual_seed(0))
    assert sorted(partner) == list(range(50))
    assert (partner != np.arange(50)).all()


def test_parts_are_read_off_the_data(data):
    assert parts_of(data)["axis"].tolist() == [0, 0, 1, 1]
    mixed = dataclasses.replace(data.labels["axis"], values=np.arange(len(data)) // 4 % 2)
    with pytest.raises(ValueError, match=r"labels\['axis'\]: sequences of one 'move' differ"):
        parts_of(dataclasses.replace(data, labels={**data.labels, "axis": mixed}))
    lost = dataclasses.replace(data.labels["axis"], part_of="mov")
    with pytest.raises(ValueError, match="did you mean 'move'"):
        parts_of(dataclasses.replace(data, labels={**data.labels, "axis": lost}))


def test_scores_are_written_as_json(scores, tmp_path):
    path = write_scores(tmp_path, "generation", scores)
    assert path == tmp_path / "evaluation" / "generation.json"
    assert json.loads(path.read_text()) == scores


@pytest.mark.parametrize(
    ("options", "message"), [({"repeats": 0}, "repeats: 0"), ({"split": "tset"}, "'test'")]
)
def test_bad_arguments_are_refused(data, judge, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_generation(Oracle(OBSERVATION), data, judge=judge, **options)
