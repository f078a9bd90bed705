import dataclasses
import json
import os

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import roc_curve
from torch import nn
from torch.distributions import Normal

from unbraid.cards import ModelCard
from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import equal_error_rate, evaluate_verification
from unbraid.evaluation.error_rates import Pairs, _crossing, _last_of_equals, cosines
from unbraid.evaluation.verification import in_parts
from unbraid.models.base import SequenceModel
from unbraid.types import Posterior

# ---- the equal error rate -------------------------------------------------------------------------------


@pytest.mark.parametrize(("distance", "spread"), [(0, 1), (1, 1), (2.5, 1), (2, 3), (1, 0.2)])
def test_the_rate_of_two_normals_is_the_known_one(distance, spread):
    quantiles = norm.ppf((np.arange(4000) + 0.5) / 4000)
    scores = np.concatenate([distance + spread * quantiles, quantiles])
    same = np.repeat([True, False], 4000)
    assert equal_error_rate(scores, same) == pytest.approx(norm.cdf(-distance / (1 + spread)), abs=3e-4)


def by_bisection(scores, same):
    """The error rates on either side of the threshold at which they cross, as published code finds it."""
    low, high = scores.min() - 1, scores.max() + 1
    for _ in range(100):
        middle = (low + high) / 2
        rejected, accepted = (scores[same] < middle).mean(), (scores[~same] >= middle).mean()
        low, high = (middle, high) if rejected < accepted else (low, middle)
    return [(scores[same] < t).mean() for t in (low, high)], [
        (scores[~same] >= t).mean() for t in (low, high)
    ]


def by_the_roc_curve(scores, same):
    accepted, found, _ = roc_curve(same, scores, drop_intermediate=False)
    return brentq(lambda rate: 1 - rate - np.interp(rate, accepted, found), 0, 1)


@pytest.mark.parametrize("levels", [3, 10, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_the_rate_agrees_with_bisection_and_with_the_roc_curve(levels, seed):
    generator = np.random.default_rng(seed)
    same = generator.random(200) < 0.2
    scores = generator.integers(0, levels, 200) / levels + 0.3 * same
    rate = equal_error_rate(scores, same)
    for errors in by_bisection(scores, same):
        assert min(errors) - 1e-9 <= rate <= max(errors) + 1e-9
    assert rate == pytest.approx(by_the_roc_curve(scores, same), abs=1e-9)
    assert equal_error_rate(np.exp(scores), same) == pytest.approx(rate)  # only the order of scores counts


def test_the_ends_of_the_scale():
    same = np.array([True, True, False, False])
    assert equal_error_rate(np.array([3.0, 2, 1, 0]), same) == 0
    assert equal_error_rate(np.array([0.0, 1, 2, 3]), same) == 1
    assert equal_error_rate(np.zeros(4), same) == 0.5  # nothing is told apart
    assert equal_error_rate(np.array([1.0, 0, 1, 0]), same) == 0.5


def test_pairs_may_come_in_any_order():
    generator = np.random.default_rng(0)
    scores, same = generator.integers(0, 20, 300) / 20, generator.random(300) < 0.3
    shuffled = generator.permutation(300)
    assert equal_error_rate(scores[shuffled], same[shuffled]) == equal_error_rate(scores, same)


@pytest.mark.parametrize(
    ("scores", "same", "said"),
    [
        ([0.1, np.nan], [True, False], "1 of 2 are not finite"),
        ([0.1, 0.2], [True, True], "2 of 2 pairs"),
        ([0.1, 0.2], [False, False], "both kinds"),
        ([0.1, 0.2], [True], "same: has shape"),
        ([0.1, 0.2], [1, 0], "type int64"),
    ],
)
def test_scores_without_a_rate_are_refused(scores, same, said):
    with pytest.raises(ValueError, match=said):
        equal_error_rate(np.array(scores), np.array(same))


def test_a_weight_counts_as_so_many_pairs():
    generator = np.random.default_rng(0)
    scores, same = np.sort(generator.integers(0, 30, 100) / 30), generator.random(100) < 0.4
    times = generator.integers(0, 4, 100)
    weighted = _crossing(same * times, ~same * times, _last_of_equals(scores))
    assert weighted == pytest.approx(equal_error_rate(scores.repeat(times), same.repeat(times)))


def test_cosines_of_all_pairs_and_of_nothing():
    vectors = np.array([[1.0, 0], [1, 1], [0, 0], [-2, 0]])
    expected = [np.sqrt(0.5), 0, -1, 0, -np.sqrt(0.5), 0]
    np.testing.assert_allclose(cosines(vectors), expected, atol=1e-12)


def test_the_bootstrap_draws_speakers_and_all_their_pairs():
    speakers = np.repeat([4, 2, 9], 4)
    vectors = np.random.default_rng(1).normal(size=(12, 3)) + speakers[:, None] % 3
    cosine = {"static": cosines(vectors), "dynamic": cosines(vectors[:, ::-1] ** 2)}
    found = Pairs(speakers).intervals(cosine, 200, np.random.default_rng(3))
    first, second = np.triu_indices(12, 1)
    names, generator, rates = np.unique(speakers), np.random.default_rng(3), []
    while len(rates) < 200:  # the same by writing every drawn pair down
        times = dict(zip(names, generator.multinomial(3, [1 / 3] * 3), strict=True))
        a, b = (np.array([times[speaker] for speaker in speakers[side]]) for side in (first, second))
        same = speakers[first] == speakers[second]
        counted = np.where(same, a, a * b)
        if counted[~same].any():
            rates.append([equal_error_rate(cosine[c].repeat(counted), same.repeat(counted)) for c in cosine])
    expected = np.percentile(np.array(rates), (2.5, 97.5), axis=0).T
    np.testing.assert_allclose([found["static_eer"], found["dynamic_eer"]], expected)
    np.testing.assert_allclose(found["gap"], np.percentile(np.diff(rates), (2.5, 97.5)))


def test_four_parts_of_a_path_in_order():
    path = np.arange(10.0)[:, None]
    np.testing.assert_allclose(in_parts([path, path[:2]]), [[0.5, 3, 5.5, 8], [0, 0, 1, 1]])


# ---- the protocol ---------------------------------------------------------------------------------------

SPEAKERS, WORDS, STEPS = 6, 4, 8


class Planted(SequenceModel):
    """Reads s off the first three features and d off the next four, or the other way round."""

    card = ModelCard("planted", "", "", 2024, "", "", "", frozenset({"encode"}))

    def __init__(self, observation, exchanged: bool = False) -> None:
        super().__init__(locals())
        self.exchanged, self.nothing = exchanged, nn.Parameter(torch.zeros(()))

    def posterior(self, x, mask=None, generator=None):
        seen = torch.ones(x.shape[:2]) if mask is None else mask.float()
        voice, word = (x[..., 3:7], x[..., :3]) if self.exchanged else (x[..., :3], x[..., 3:7])
        mean = (voice * seen[..., None]).sum(1) / seen.sum(1, keepdim=True)
        return Posterior(Normal(mean, 0.1), Normal(word + 100 * (1 - seen[..., None]), 0.1))

    def terms(self, batch, generator=None, phase="fit"):
        return {"nothing": self.nothing.expand(len(batch))}


def recordings(each=12, lengths=False, seed=0, speakers=SPEAKERS):
    """Each recording is two segments; a voice is a point in three features, a word an order of four tones."""
    generator = np.random.default_rng(seed)
    voices = generator.normal(size=(SPEAKERS, 3))
    order = np.array([generator.permutation(4) for _ in range(WORDS)])
    order[1] = order[0][::-1]  # these two differ in nothing but their order
    speaker, word = np.divmod(np.tile(np.arange(speakers * WORDS), each), WORDS)
    count = len(speaker)
    tones = np.eye(4)[order[word]].repeat(2 * STEPS // 4, 1) * 3
    voice = np.broadcast_to(voices[speaker][:, None], (count, 2 * STEPS, 3))
    whole = np.concatenate([voice, tones], 2) + generator.normal(0, 0.3, (count, 2 * STEPS, 7))
    steps = np.tile([STEPS + 2, STEPS - 2] if lengths else [STEPS, STEPS], count)
    x = np.full((2 * count, steps.max(), 7), 1000, np.float32)
    x[::2, : steps[0]], x[1::2, : steps[1]] = whole[:, : steps[0]], whole[:, steps[0] :]
    labels = {
        "microphone": Label(np.zeros(2 * count, int), ("one",), "static", part_of="speaker"),
        "speaker": Label(speaker.repeat(2), tuple("abcdef"[:speakers]), "static"),
        "half": Label(np.tile([0, 1], count), ("first", "second"), "dynamic"),
        "word": Label(word.repeat(2), ("one", "two", "three", "four"), "dynamic"),
    }
    group = np.arange(count).repeat(2) + 7
    kind = (group - 7) // (speakers * WORDS) % 3
    splits = {name: np.flatnonzero(kind == i) for i, name in enumerate(("train", "validation", "test"))}
    return Sequences(
        x, "voices", lengths=steps if lengths else None, labels=labels, splits=splits, groups=group
    )


@pytest.fixture(scope="module")
def scores():
    return evaluate_verification(Planted((7,)), recordings(lengths=True), resamples=50, batch_size=20)


def test_planted_speakers_are_verified_by_the_static_code_only(scores):
    assert scores["static_eer"]["mean"] < 0.05
    assert 0.4 < scores["dynamic_eer"]["mean"] < 0.6
    assert scores["gap"]["mean"] == scores["dynamic_eer"]["mean"] - scores["static_eer"]["mean"]
    for name in ("static_eer", "dynamic_eer", "gap"):
        low, high = scores[name]["interval"]
        assert low <= scores[name]["mean"] <= high
        assert scores[name]["std"] == 0
    assert scores["static_eer"]["chance"] == 0.5


def test_the_floor_is_the_mean_of_the_features_scaled_on_train(scores):
    data = recordings(lengths=True)
    steps = np.arange(data.x.shape[1]) < data.lengths[:, None]
    train = data.x[data.splits["train"]][steps[data.splits["train"]]]
    speakers, means = [], []
    for group in np.unique(data.groups[data.splits["test"]]):
        rows = data.groups == group
        means.append(((data.x[rows][steps[rows]] - train.mean(0)) / train.std(0)).mean(0))
        speakers.append(data.labels["speaker"].values[rows][0])
    unit = np.array(means) / np.linalg.norm(means, axis=1, keepdims=True)
    pairs = [(a, b) for a in range(len(unit)) for b in range(a)]
    cosine = np.array([unit[a] @ unit[b] for a, b in pairs])
    same = np.array([speakers[a] == speakers[b] for a, b in pairs])
    assert scores["static_eer"]["floor"] == pytest.approx(equal_error_rate(cosine, same), abs=1e-9)
    assert 0 < scores["dynamic_eer"]["floor"] == scores["static_eer"]["floor"] and scores["gap"]["floor"] == 0


def test_what_is_said_is_read_from_the_order_of_the_dynamic_code(scores):
    content, speaker = scores["probe"]["content"], scores["probe"]["speaker"]
    assert content["dynamic_parts"]["mean"] > 0.95 and content["dynamic_parts"]["chance"] == 0.25
    assert content["dynamic_mean"]["mean"] < 0.5  # the words hold the same tones
    assert content["static"]["mean"] < 0.5
    assert content["dynamic_parts"]["floor"] > 0.95 > content["dynamic_mean"]["floor"]
    assert speaker["static"]["mean"] > 0.95 and speaker["static"]["floor"] > 0.95
    assert speaker["dynamic_parts"]["mean"] < 0.4
    assert scores["left_out"] == {}


def test_exchanged_codes_are_found_out():
    scores = evaluate_verification(Planted((7,), exchanged=True), recordings(6), resamples=20)
    assert scores["static_eer"]["mean"] > 0.4 and scores["dynamic_eer"]["mean"] < 0.05
    assert scores["gap"]["mean"] < -0.3


def test_pairs_are_those_of_recordings_and_labels_are_named(scores):
    protocol = scores["protocol"]
    assert (protocol["clips"], protocol["recordings"], protocol["speakers"]) == (192, 96, 6)
    assert protocol["pairs"] == 96 * 95 / 2 and protocol["pairs_of_one_speaker"] == 6 * 16 * 15 / 2
    assert scores["labels"] == {"speaker": "speaker", "content": "word"}  # "half" changes within a recording
    same = 4 * (24 * 23 // 2)
    assert scores["same_content"]["pairs"] == same
    assert scores["different_content"]["pairs"] == protocol["pairs"] - same
    json.dumps(scores)


def test_a_static_code_that_knows_the_word_fails_where_words_differ():
    class Knowing(Planted):
        def posterior(self, x, mask=None, generator=None):
            found = super().posterior(x, mask)
            word = 10.0 * nn.functional.one_hot(x[:, 0, 3:7].argmax(1), 4)
            everything = torch.cat([found.static.mean, word], 1)
            return Posterior(Normal(everything, 0.1), found.dynamic)

    data = recordings()
    scores = evaluate_verification(Knowing((7,)), data, resamples=5)
    assert (
        scores["same_content"]["static_eer"]["mean"] < 0.2 < scores["different_content"]["static_eer"]["mean"]
    )


def test_padding_counts_nowhere():
    data = recordings(3, lengths=True)
    x = data.x.copy()
    x[np.arange(x.shape[1]) >= data.lengths[:, None]] = -50
    a, b = (
        evaluate_verification(Planted((7,)), one, resamples=5)
        for one in (data, dataclasses.replace(data, x=x))
    )
    assert {**a, "protocol": 0} == {**b, "protocol": 0}


def test_repeats_itself_and_leaves_the_global_generators_alone():
    data = recordings(3)
    torch.manual_seed(5)
    np.random.seed(5)
    state, numbers = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first = evaluate_verification(Planted((7,)), data, resamples=20, seed=3)
    assert torch.equal(state, torch.random.get_rng_state())
    np.testing.assert_array_equal(numbers, np.random.get_state()[1])
    assert first == evaluate_verification(Planted((7,)), data, resamples=20, seed=3)
    other = evaluate_verification(Planted((7,)), data, resamples=20, seed=4)
    assert other["dynamic_eer"]["mean"] == first["dynamic_eer"]["mean"]
    assert other["dynamic_eer"]["interval"] != first["dynamic_eer"]["interval"]


def test_speakers_never_seen_in_training_are_verified_but_not_probed():
    data = recordings()
    speaker = data.labels["speaker"].values
    splits = {
        "train": np.flatnonzero(speaker < 2),
        "validation": np.flatnonzero((speaker == 2) | (speaker == 3)),
        "test": np.flatnonzero(speaker >= 4),
    }
    scores = evaluate_verification(Planted((7,)), dataclasses.replace(data, splits=splits), resamples=5)
    assert scores["static_eer"]["mean"] < 0.05
    assert scores["static_eer"]["interval"] is None  # two speakers only
    assert "speaker" not in scores["probe"] and "content" in scores["probe"]
    assert scores["left_out"] == {
        "probe of the speaker": "2 of 2 classes of speaker do not occur in the training split"
    }


def test_without_content_or_training_splits_the_rest_is_scored():
    data = recordings()
    unlabelled = dataclasses.replace(data, labels={"speaker": data.labels["speaker"]})
    scores = evaluate_verification(Planted((7,)), unlabelled, resamples=5)
    assert "content" in scores["left_out"] and set(scores["probe"]) == {"speaker"}
    assert "same_content" not in scores
    only_test = dataclasses.replace(data, splits={"test": data.splits["test"]})
    scores = evaluate_verification(Planted((7,)), only_test, resamples=5)
    assert scores["probe"] == {} and "probe of the content" in scores["left_out"]
    assert scores["static_eer"]["mean"] < 0.05


def test_every_sequence_is_a_recording_where_nothing_else_is_said():
    data = dataclasses.replace(recordings(), groups=None, splits={"test": np.arange(192)})
    scores = evaluate_verification(Planted((7,)), data, resamples=5)
    assert scores["protocol"]["recordings"] == scores["protocol"]["clips"] == 192
    assert scores["labels"]["content"] == "half"


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({}, {"split": "tset"}, "did you mean 'test'"),
        ({}, {"speaker": "speakr"}, "speaker: voices has no label 'speakr'; did you mean 'speaker'"),
        ({}, {"content": "wrd"}, "did you mean 'word'"),
        ({}, {"content": "half"}, "are of one recording and differ"),
        ({}, {"resamples": 0}, "resamples: 0"),
        ({"labels": {}}, {}, "no static label"),
        ({"splits": {"test": np.arange(4)}}, {}, "has 1 speaker"),
        ({"splits": {"test": np.arange(0, 48, 8)}}, {}, "no two recordings"),
    ],
)
def test_what_cannot_be_verified_is_refused(change, options, said):
    data = dataclasses.replace(recordings(), **change)
    if "splits" in change and len(change["splits"]["test"]) == 4:
        data = dataclasses.replace(data, labels={**data.labels, "speaker": one_speaker(data)})
    with pytest.raises(ValueError, match=said):
        evaluate_verification(Planted((7,)), data, **options)


def one_speaker(data):
    return dataclasses.replace(data.labels["speaker"], values=np.zeros(len(data), int))


def test_a_model_without_codes_is_refused():
    class Silent(Planted):
        card = dataclasses.replace(Planted.card, capabilities=frozenset())

    with pytest.raises(ValueError, match="has no encoder"):
        evaluate_verification(Silent((7,)), recordings())


@pytest.mark.real_data
def test_the_floors_of_spoken_digits_are_the_known_ones(tmp_path):
    from unbraid.data.load import load

    data = load("fsdd", os.path.join(os.environ["UNBRAID_DATA"], "fsdd"), tmp_path, segment="utterance")
    scores = evaluate_verification(Planted((80,)), data, resamples=5)
    assert scores["protocol"]["pairs"] == 44850 and scores["protocol"]["pairs_of_one_speaker"] == 7350
    assert scores["same_content"]["pairs"] == 4350
    found = [scores, scores["same_content"], scores["different_content"]]
    # Counted apart from this library on the mean scaled log-mel vectors.
    for one, known in zip(found, (0.232, 0.110, 0.234), strict=True):
        assert one["static_eer"]["floor"] == pytest.approx(known, abs=0.006)
