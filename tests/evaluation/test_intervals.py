import numpy as np
import pytest
from sklearn import metrics as oracle

from unbraid.evaluation import intervals

generator = np.random.default_rng(0)


def example(seed, n=40):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 8, n) / 8.0  # with ties
    positive = random.random(n) < 0.3
    positive[:2] = True, False
    weights = random.integers(0, 4, (3, n)).astype(float)
    weights[:, :2] = 1
    return scores, positive, weights


@pytest.mark.parametrize("seed", range(12))
def test_areas_are_those_of_scikit_learn_under_weights_and_ties(seed):
    scores, positive, weights = example(seed)
    for ours, theirs in (
        (intervals.auroc, oracle.roc_auc_score),
        (intervals.auprc, oracle.average_precision_score),
    ):
        expected = [theirs(positive, scores, sample_weight=w) for w in weights]
        np.testing.assert_allclose(ours(scores, positive, weights), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_accuracies_are_those_of_scikit_learn_under_weights(seed):
    random = np.random.default_rng(seed)
    labels, scores = random.integers(0, 3, 40), random.random((40, 4))  # class 3 never occurs
    weights = random.integers(1, 4, (3, 40)).astype(float)
    guess = scores.argmax(1)
    expected = [oracle.accuracy_score(labels, guess, sample_weight=w) for w in weights]
    np.testing.assert_allclose(intervals.accuracy(scores, labels, weights), expected)
    expected = [
        np.mean([np.average(guess[labels == k] == k, weights=w[labels == k]) for k in np.unique(labels)])
        for w in weights
    ]
    np.testing.assert_allclose(intervals.balanced_accuracy(scores, labels, weights), expected)


def test_the_error_leaves_out_what_is_unknown():
    truth = np.array([[1.0, np.nan], [3.0, 5.0]])
    guess = np.array([[2.0, 99.0], [3.0, 2.0]])
    weights = np.array([[1.0, 1.0], [2.0, 0.0], [1.0, 3.0]])
    np.testing.assert_allclose(
        intervals.mean_absolute_error(guess, truth, weights), [4 / 3, 1.0, (1 + 9) / (1 + 6)]
    )


def test_areas_of_one_class_are_unknown():
    scores, everyone = generator.random(5), np.ones(5, dtype=bool)
    assert np.isnan(intervals.auroc(scores, everyone, np.ones((1, 5)))).all()
    assert np.isnan(intervals.auprc(scores, ~everyone, np.ones((1, 5)))).all()


def test_groups_are_drawn_whole_and_the_first_row_is_the_split_itself():
    units = np.array([7, 7, 3, 3, 3, 9])
    weights = intervals.draw_weights(units, 500, seed=0)
    assert (weights[0] == 1).all()
    for unit in (7, 3, 9):
        assert (np.ptp(weights[:, units == unit], axis=1) == 0).all()
    first = [np.flatnonzero(units == unit)[0] for unit in (7, 3, 9)]
    assert (weights[1:, first].sum(1) == 3).all()
    np.testing.assert_array_equal(weights, intervals.draw_weights(units, 500, seed=0))
    assert (weights != intervals.draw_weights(units, 500, seed=1)).any()


def test_the_interval_of_a_share_is_the_binomial_one():
    n, share = 400, 0.6
    labels = np.zeros(n, dtype=int)
    scores = np.eye(2)[(np.arange(n) >= share * n).astype(int)]
    drawn = intervals.accuracy(scores, labels, intervals.draw_weights(np.arange(n), 4000, 0))
    assert drawn[0] == share
    assert drawn[1:].std() == pytest.approx(np.sqrt(share * (1 - share) / n), rel=0.05)
