"""The scikit-learn estimator: scikit-learn's own checks; codes, masks, names and units are right."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import unbraid as ub
from unbraid import SequenceDisentangler
from unbraid.remarks import Remark

# Checks of scikit-learn that fail, with the reason. None at present.
EXPECTED_FAILURES: dict[str, str] = {}
SKIPPED = {"check_array_api_input": "array API dispatch is not used"}


SIZES = {"static_size": 8, "dynamic_size": 8}


def small(**settings):
    return SequenceDisentangler(
        **{"steps": 8, "batch_size": 8, "random_state": 0, "window": 3, **SIZES, **settings}
    )


def made_up(n=12, rows=14, features=2, seed=0):
    random = np.random.default_rng(seed)
    level = random.normal(size=(n, 1, features))
    return 50 + 10 * (level + 0.3 * random.normal(size=(n, rows, features)))


@pytest.fixture(scope="module")
def fitted():
    return small().fit(made_up())


def test_scikit_learn_s_own_checks():
    torch.set_num_threads(1)
    model = SequenceDisentangler(steps=1, window=1, batch_size=16, random_state=0)
    results = check_estimator(model, expected_failed_checks=EXPECTED_FAILURES, on_skip=None, on_fail=None)
    other = {r["check_name"]: r["exception"] for r in results if r["status"] not in ("passed", "xfail")}
    assert len(results) > 40
    assert set(other) <= set(SKIPPED), other
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == set(EXPECTED_FAILURES)


def test_it_is_public_and_loaded_when_used():
    assert ub.SequenceDisentangler is SequenceDisentangler


def test_columns_are_the_model_s_codes(fitted):
    x = made_up(5, seed=1)
    codes = fitted.transform(x)
    names = fitted.get_feature_names_out()
    assert codes.shape == (5, 8 + 5 * 8) == (5, len(names))  # 14 rows are 5 windows of 3
    assert list(names[[0, 7, 8, 16, -1]]) == [
        "static_0",
        "static_7",
        "dynamic_0_0",
        "dynamic_1_0",
        "dynamic_4_7",
    ]
    scaled = np.pad((x - fitted.scaling_.mean) / fitted.scaling_.std, ((0, 0), (0, 1), (0, 0)))
    mask = np.ones(scaled.shape, bool)
    mask[:, -1] = False
    windows = [torch.from_numpy(a.reshape(5, 5, 3, 2)) for a in (scaled.astype(np.float32), mask)]
    with torch.inference_mode():
        expected = fitted.model_.encode(*windows)
    np.testing.assert_allclose(codes[:, :8], expected.static, atol=1e-5)
    np.testing.assert_allclose(codes[:, 8:].reshape(5, 5, 8), expected.dynamic, atol=1e-5)
    np.testing.assert_allclose(fitted.scaling_.mean, made_up().mean((0, 1)))


def test_parts_and_forms(fitted):
    x = made_up(4, seed=1)
    whole = fitted.transform(x)
    windows = whole[:, 8:].reshape(4, 5, 8)
    for output, dynamic, expected in (
        ("static", "windows", whole[:, :8]),
        ("dynamic", "windows", whole[:, 8:]),
        ("dynamic", "summary", np.concatenate([windows.mean(1), windows.std(1)], 1)),
    ):
        other = pickle.loads(pickle.dumps(fitted)).set_params(output=output, dynamic=dynamic)
        np.testing.assert_allclose(other.transform(x), expected, atol=1e-6)
        assert len(other.get_feature_names_out()) == expected.shape[1]


def test_named_columns_for_pandas(fitted):
    frame = pickle.loads(pickle.dumps(fitted)).set_output(transform="pandas").transform(made_up(3))
    assert list(frame.columns) == list(fitted.get_feature_names_out())


def test_missing_values_and_series_of_different_lengths(fitted):
    """A list of shorter series and an array padded with NaN are the same; NaN marks windows that are not there."""
    x = made_up(3, seed=2)
    x[0, 4, 1] = x[1, 9:] = x[2, 12:] = np.nan
    codes = fitted.transform(x)
    np.testing.assert_array_equal(codes, fitted.transform([x[0], x[1, :9], x[2, :12]]))
    dynamic = codes[:, 8:].reshape(3, 5, 8)
    assert (~np.isnan(dynamic).any(2)).sum(1).tolist() == [5, 3, 4]
    assert not np.isnan(fitted.set_params(dynamic="summary").transform(x)).any()
    fitted.set_params(dynamic="windows")
    again = fitted.inverse_transform(codes)
    assert np.isnan(again[1, 9:]).all() and not np.isnan(again[1, :9]).any() and not np.isnan(again[0]).any()


def test_series_come_back_in_their_units():
    x = made_up(30, 12)
    model = small(steps=60, batch_size=40, learning_rate=0.02).fit(x)
    again = model.inverse_transform(model.transform(x))
    assert again.shape == x.shape
    left = np.square(again - x).mean() / np.square(x - x.mean((0, 1))).mean()
    assert left < 0.5, left  # the mean of every feature would leave 1
    drawn = model.sample(30)
    assert drawn.shape == (30, 12, 2) and 30 < drawn.mean() < 70
    np.testing.assert_array_equal(drawn, model.sample(30))
    far = x + 200
    assert model.score(x) > model.score(far)
    assert model.score(x) == model.score(x)
    totals = [float(row["total"]) for row in model.history_ if row["split"] == "train"]
    assert totals[-1] < totals[0]


def test_two_dimensions_are_series_of_one_feature():
    x = made_up(10, 7, 1)[:, :, 0]
    model = small().fit(x)
    assert model.n_features_in_ == 7 and model.model_.observation == (3, 1)
    assert model.inverse_transform(model.transform(x)).shape == x.shape == model.sample(10).shape
    with pytest.raises(ValueError, match="2-D"):
        model.transform(x[:, :, None])


@pytest.mark.parametrize("model", ["dbse", "vae"])
def test_in_a_pipeline_and_in_cross_validation(model):
    x = [rows[: 14 - i % 4] for i, rows in enumerate(made_up(24))]
    y = np.arange(24) % 2
    steps = small(model=model, dynamic="summary"), StandardScaler(), LogisticRegression()
    scores = cross_val_score(make_pipeline(*steps), x, y, cv=2, error_score="raise")
    assert scores.shape == (2,)


def test_the_same_state_gives_the_same_codes_and_touches_no_other():
    x, before = made_up(), torch.random.get_rng_state()
    first = small().fit(x)
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(first.transform(x), clone(first).fit(x).transform(x))
    assert not np.array_equal(first.transform(x), small(random_state=1).fit(x).transform(x))


def test_it_is_quiet_and_leaves_no_folder(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    small().fit(made_up())
    out, err = capfd.readouterr()
    assert out == "" and err == "" and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "dbs"}, "did you mean 'dbse'"),
        ({"output": "all"}, "output: is 'all'"),
        ({"dynamic": "mean"}, "dynamic: is 'mean'"),
        ({"window": 0}, "window: 0"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"settings": {"widht": 3}}, "did you mean 'width'"),
        ({"weights": {"kl": 1.0}}, "training.weights.kl"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings).fit(made_up())


def test_series_that_cannot_be_used_are_refused(fitted):
    x = made_up()
    with pytest.raises(ValueError, match="minimum of 3"):
        small().fit(x[:2])
    with pytest.raises(ValueError, match="2 series are too few"):
        small().fit([x[0], x[1, :5]])
    x[3] = np.nan
    with pytest.raises(ValueError, match="series 3 has no observed value"):
        small().fit(x)
    with pytest.raises(ValueError, match="series 1 has 3 features, but SequenceDisentangler is expecting 2"):
        fitted.transform([np.ones((5, 2)), np.ones((4, 3))])
    with pytest.raises(ValueError, match="infinity"):
        fitted.transform(np.full((1, 5, 2), np.inf))
    with pytest.raises(ValueError, match="series 0 has 17 rows"):
        fitted.transform(made_up(1, 17))
    with pytest.raises(ValueError, match="leaves out codes"):
        small(output="static").fit(made_up()).inverse_transform(np.zeros((1, 8)))
    with pytest.raises(ValueError, match="has 3 columns"):
        fitted.inverse_transform(np.zeros((1, 3)))


def test_no_series_cannot_be_drawn(fitted):
    with pytest.raises(ValueError, match="n_samples: is 0; give a whole number from 1"):
        fitted.sample(0)


def test_usual_torch_whatever_the_caller_has_set():
    import torch

    x = np.random.default_rng(0).normal(size=(12, 8, 2))
    settings = {"window": 4, "steps": 5, "random_state": 0}
    expected = SequenceDisentangler(**settings).fit(x).transform(x)
    torch.set_default_dtype(torch.float64)
    try:
        as_double = SequenceDisentangler(**settings).fit(x).transform(x)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.inference_mode():
        inference = SequenceDisentangler(**settings).fit(x).transform(x)
    swapped = SequenceDisentangler(**settings).fit(x.astype(">f8")).transform(x.astype(">f4"))
    for codes in (as_double, inference):
        np.testing.assert_array_equal(codes, expected)
    np.testing.assert_allclose(swapped, expected, rtol=1e-4, atol=1e-5)


def test_data_frames_keep_the_order_of_their_columns():
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(0)
    frames = [pandas.DataFrame(random.random((8, 2)), columns=["heart", "pressure"]) for _ in range(12)]
    fitted = SequenceDisentangler(steps=2, random_state=0).fit(frames)
    turned = [frame[["pressure", "heart"]] for frame in frames]
    with pytest.raises(
        ValueError, match=r"X\[0\]: has the columns \['pressure', 'heart'\]; in fit they were"
    ):
        fitted.transform(turned)
    with pytest.raises(ValueError, match=r"X\[3\]: has the columns"):
        SequenceDisentangler().fit([*frames[:3], turned[3], *frames[4:]])
    frames[2]["pressure"] = "high"
    with pytest.raises(ValueError, match=r"X\[2\]: .*give columns of numbers"):
        SequenceDisentangler().fit(frames)


def test_a_column_of_series_is_a_list_of_them():
    pandas = pytest.importorskip("pandas")
    series = [rows[: 14 - place % 3] for place, rows in enumerate(made_up())]
    objects = np.empty(len(series), dtype=object)
    objects[:] = series
    expected = small().fit(series).transform(series)
    for several in (objects, pandas.Series(series, index=range(5, 17))):
        np.testing.assert_array_equal(small().fit(several).transform(several), expected)
    with pytest.raises(ValueError, match=r"different lengths; give each as an array \(T, 1\)"):
        small().fit(pandas.Series([rows[:, 0] for rows in series]))


def test_a_data_frame_with_few_columns_is_said_to_be_read_as_series_of_one_feature():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(np.random.default_rng(0).random((60, 2)), columns=["heart", "pressure"])
    with pytest.warns(
        Remark, match="read as 60 series of one feature, with the steps heart, pressure; if these"
    ):
        small().fit(table)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small().fit(table[:12].rename(columns=str))
        small().fit(table.to_numpy())
    assert not [warning for warning in caught if "is read as" in str(warning.message)]


def test_series_of_one_feature_and_different_lengths_are_explained():
    with pytest.raises(ValueError, match=r"X: series of one feature and of different lengths; give each as"):
        SequenceDisentangler().fit([np.ones(4 + k % 3) for k in range(12)])


def test_numbers_of_numpy_are_settings():
    """As searches of scikit-learn draw them."""
    x = np.random.default_rng(0).normal(size=(20, 24, 2)).astype(np.float32)
    settings = {"steps": np.int64(2), "batch_size": np.int64(8), "learning_rate": np.float64(1e-3)}
    settings |= {"static_size": np.int64(4), "dynamic_size": np.int64(3)}
    codes = SequenceDisentangler(window=6, random_state=0, **settings).fit_transform(x)
    plain = {name: value.item() for name, value in settings.items()}
    assert np.array_equal(codes, SequenceDisentangler(window=6, random_state=0, **plain).fit_transform(x))
