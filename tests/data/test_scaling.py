"""Scaling against scikit-learn's, and what passes beside x through take, batch and the store."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences
from unbraid.data.store import prepared


def test_scaling_equals_sklearn() -> None:
    x = np.random.default_rng(0).normal(3, 2, (20, 5, 4))
    seen = np.random.default_rng(1).random(x.shape) < 0.7
    ours = Scaling.fit(np.where(seen, x, np.nan), seen)
    theirs = StandardScaler().fit(np.where(seen, x, np.nan).reshape(-1, 4))
    np.testing.assert_allclose(ours.mean, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours.std, theirs.scale_, rtol=1e-12)
    np.testing.assert_allclose(ours.invert(ours.apply(x)), x, rtol=1e-5, atol=1e-5)


def test_rows_in_blocks_give_the_same_digits() -> None:
    x = np.random.default_rng(0).normal(3, 2, (40_000, 4)).astype(np.float32)
    in_blocks, at_once = Scaling.fit_parts([x[:30_000], x[30_000:30_001], x[30_001:]]), Scaling.fit(x)
    np.testing.assert_array_equal(in_blocks.mean, at_once.mean)
    np.testing.assert_array_equal(in_blocks.std, at_once.std)


def test_constant_feature_and_feature_never_seen() -> None:
    x = np.ones((3, 4, 2))
    assert Scaling.fit(x).std.tolist() == [1, 1]
    with pytest.raises(ValueError, match="feature 1 has no observed"):
        Scaling.fit(x, np.stack([np.ones((3, 4), bool), np.zeros((3, 4), bool)], 2))


def test_equal_values_are_constant_whatever_their_mean() -> None:
    x = np.full((7, 11, 3), 0.1)
    assert x.mean(axis=(0, 1))[0] != 0.1  # rounding: a variance above 0, of nothing
    assert Scaling.fit(x).std.tolist() == [1, 1, 1]


def windows() -> Sequences:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 4, 3, 2)).astype(np.float32)
    return Sequences(
        x=x,
        targets={"risk": rng.normal(size=6), "rain": rng.normal(size=(6, 4))},
        groups=np.arange(6) // 2,
        times=np.datetime64("2016-01-01", "s") + np.arange(24).reshape(6, 4) * np.timedelta64(3, "h"),
        scaling=Scaling.fit(x),
        splits={"train": np.arange(4), "validation": np.array([4]), "test": np.array([5])},
        feature_names=("a", "b"),
    )


def test_companions_follow_their_rows(tmp_path) -> None:
    data = prepared("windows", {}, lambda space: windows(), tmp_path)
    assert data.fingerprint == windows().fingerprint
    part = data.take(np.array([5, 1]))
    whole = windows()
    np.testing.assert_array_equal(part.targets["rain"], whole.targets["rain"][[5, 1]])
    np.testing.assert_array_equal(part.groups, [2, 0])
    np.testing.assert_array_equal(part.times, whole.times[[5, 1]])
    np.testing.assert_array_equal(part.scaling.mean, whole.scaling.mean)


def test_companions_that_do_not_fit() -> None:
    x = windows().x
    with pytest.raises(ValueError, match=r"targets\['risk'\]: has shape \(5,\)"):
        Sequences(x=x, targets={"risk": np.zeros(5)})
    with pytest.raises(ValueError, match="groups: has shape"):
        Sequences(x=x, groups=np.arange(5))
    with pytest.raises(ValueError, match="times: has shape"):
        Sequences(x=x, times=np.zeros((6, 3), "datetime64[s]"))
    with pytest.raises(ValueError, match="scaling: describes 3 features"):
        Sequences(x=x, scaling=Scaling(np.zeros(3), np.ones(3)))
