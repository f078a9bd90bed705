import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, mutual_info_score

from unbraid.evaluation import metrics


def probabilities(seed: int, n: int = 40, classes: int = 7, sharpness: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(classes, sharpness), n)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 50), st.integers(2, 12), st.floats(0.01, 5))
def test_inception_score_is_exp_of_the_difference_of_entropies(seed, n, classes, sharpness):
    p = probabilities(seed, n, classes, sharpness)
    difference = metrics.entropy_marginal(p) - metrics.entropy_conditional(p)
    assert metrics.inception_score(p) == pytest.approx(np.exp(difference), rel=1e-9)
    assert 1 - 1e-9 <= metrics.inception_score(p) <= classes + 1e-9


def test_entropies_equal_scipy():
    p = probabilities(0)
    assert metrics.entropy_conditional(p) == pytest.approx(entropy(p, axis=1).mean())
    assert metrics.entropy_marginal(p) == pytest.approx(entropy(p.mean(0)))


def test_accuracy_equals_sklearn():
    p, labels = probabilities(1), np.random.default_rng(2).integers(0, 7, 40)
    assert metrics.accuracy(p, labels) == pytest.approx(accuracy_score(labels, p.argmax(1)))


def test_sure_and_even_predictions_reach_the_ceiling():
    p = np.tile(np.eye(9), (3, 1))
    assert metrics.entropy_conditional(p) == 0
    assert metrics.entropy_marginal(p) == pytest.approx(np.log(9))
    assert metrics.inception_score(p) == pytest.approx(9)


def test_guessing_and_collapse_reach_the_floor():
    guessing = np.full((5, 9), 1 / 9)
    assert metrics.entropy_conditional(guessing) == pytest.approx(np.log(9))
    assert metrics.inception_score(guessing) == pytest.approx(1)
    collapse = np.tile(np.eye(9)[3], (5, 1))
    assert metrics.entropy_marginal(collapse) == pytest.approx(0)
    assert metrics.inception_score(collapse) == pytest.approx(1)


def test_log_of_inception_score_is_the_mutual_information_of_clip_and_class():
    # Hard predictions: I(clip; class) with every clip its own symbol, as scikit-learn has it.
    hard = np.random.default_rng(3).integers(0, 5, 200)
    expected = mutual_info_score(np.arange(200), hard)
    assert np.log(metrics.inception_score(np.eye(5)[hard])) == pytest.approx(expected)


def test_balanced_rows_takes_the_first_of_each_class():
    labels = np.array([2, 0, 0, 2, 2, 0, 5, 5, 2])
    assert metrics.balanced_rows(labels).tolist() == [0, 1, 2, 3, 6, 7]


def test_part_probabilities_sum_over_the_classes_that_share_a_part():
    p = np.array([[0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_allclose(metrics.part_probabilities(p, np.array([0, 0, 1, 2]), 3), [[0.3, 0.3, 0.4]])


@pytest.mark.parametrize(
    "bad", [np.zeros((0, 3)), np.ones(3), np.array([[2.0, -1.0]]), np.array([[0.2, 0.2]])]
)
def test_what_is_no_probability_is_refused(bad):
    with pytest.raises(ValueError, match="probabilities: "):
        metrics.entropy_marginal(bad)


def test_a_wrong_number_of_labels_is_refused():
    with pytest.raises(ValueError, match="labels: 3 values for 40 clips"):
        metrics.accuracy(probabilities(0), np.zeros(3, int))
