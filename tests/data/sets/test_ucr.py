"""Problems of the UCR and UEA archives: tiny files of the archives' form, compared value by value."""

import numpy as np
import pytest
from raw_files import write_ts, write_ucr

from unbraid.data.formats.ts import read_ts
from unbraid.data.sets import ucr

# Two features of different lengths, one value missing in each file.
VOWELS = ["1,2,3,4,5:10,20,30,40,50:a", "6,7:60,?:b", "1,1,1:2,3,4:a", "5,4,3,2:9,8,7,6:b"]
VOWELS_TEST = ["1,2:NaN,20:b", "7,7,7:0.5,-1e1,3:a"]


@pytest.fixture
def vowels(tmp_path):
    """A problem in a folder of its own name."""
    folder = tmp_path / "raw" / "Vowels"
    folder.mkdir(parents=True)
    write_ts(folder / "Vowels_TRAIN.ts", VOWELS, "b a")
    write_ts(folder / "Vowels_TEST.ts", VOWELS_TEST, "b a")
    return folder.parent


def load(folder, tmp_path, **options):
    return ucr.load(folder, tmp_path / "cache", **options)


def raw(data, row):
    """The values of one series in its own units, NaN where nothing was observed."""
    values = data.scaling.invert(data.x[row])
    observed = data.observed(np.array([row]))[0]
    return np.where(observed if observed.ndim == values.ndim else observed[:, None, None], values, np.nan)


def test_a_problem_of_one_feature(tmp_path):
    data = load(write_ucr(tmp_path / "raw"), tmp_path, problem="GunPoint")
    assert data.x.shape == (16, 13, 12, 1) and data.x.dtype == np.float32 and data.lengths is None
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 8, "validation": 2, "test": 6}
    seen = [raw(data, row).reshape(-1) for row in range(16)]
    for values in seen:  # 150 steps in 13 windows of 12: six steps of padding
        assert np.isfinite(values[:150]).all() and np.isnan(values[150:]).all()
    numbers = [round(values[0]) for values in seen]
    assert sorted(numbers[:10]) == list(range(10)) and numbers[10:] == list(range(6))
    wave = np.sin(np.arange(150) / 9)
    for number, values in zip(numbers, seen, strict=True):
        np.testing.assert_allclose(values[:150], number + wave, atol=1e-5)
    label = data.labels["class"]
    assert label.classes == ("1", "2") and label.kind == "static"
    assert label.values.tolist() == [number % 2 for number in numbers]
    assert sorted(label.values[data.splits["validation"]]) == [0, 1]
    train = np.concatenate([seen[row][:150] for row in data.splits["train"]])
    assert data.scaling.mean == pytest.approx(train.mean(), abs=1e-5)


def test_features_of_different_lengths_with_missing_values(vowels, tmp_path):
    data = load(vowels, tmp_path, problem="Vowels", window=2, validation=0.5)
    assert data.x.shape == (6, 3, 2, 2) and data.labels["class"].classes == ("b", "a")
    # One series of each class trains, one is for validation; the test part keeps its order.
    assert [sorted(data.labels["class"].values[rows]) for rows in data.splits.values()] == [[0, 1]] * 3
    assert data.labels["class"].values[4:].tolist() == [0, 1]
    first, second = (raw(data, row).reshape(-1, 2) for row in (4, 5))
    np.testing.assert_allclose(first, [[1, np.nan], [2, 20]] + [[np.nan] * 2] * 4, atol=1e-5)
    np.testing.assert_allclose(second, [[7, 0.5], [7, -10], [7, 3]] + [[np.nan] * 2] * 3, atol=1e-5)
    assert data.lengths[4:].tolist() == [2, 2]  # at least two steps, though the first test series fills one
    assert sorted(data.lengths[:4]) == [2, 2, 2, 3]


def test_windows_of_one_row_are_vectors(vowels, tmp_path):
    data = load(vowels, tmp_path, problem="Vowels", validation=0.5)  # a twelfth of five rows
    assert data.x.shape == (6, 5, 2) and data.kind == "vectors" and data.lengths[5] == 3
    np.testing.assert_allclose(data.scaling.invert(data.x[5])[:3], [[7, 0.5], [7, -10], [7, 3]], atol=1e-5)
    assert data.mask[4].tolist() == [[True, False], [True, True]] + [[False] * 2] * 3


def test_the_split_follows_from_the_seed(tmp_path):
    folder = write_ucr(tmp_path / "raw")
    prints = [load(folder, tmp_path, problem="GunPoint", seed=seed).fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_every_class_keeps_a_series_to_train_on(vowels, tmp_path):
    data = load(vowels, tmp_path, problem="Vowels", validation=0.99)
    assert sorted(data.labels["class"].values[data.splits["train"]]) == [0, 1]
    with pytest.raises(
        ValueError, match=r"validation: 0\.2 of each class is less than one series; give a larger"
    ):
        load(vowels, tmp_path, problem="Vowels")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, r"problem: none was named; .*raw holds Vowels$"),
        (
            {"problem": "Vowel"},
            FileNotFoundError,
            r"no 'Vowel'; did you mean 'Vowels'\? in .* it holds Vowels",
        ),
        ({"problem": "Vowels", "window": 0}, ValueError, "window: is 0; give a whole number from 1"),
        ({"problem": "Vowels", "window": 5, "validation": 0.5}, ValueError, "window: 5 rows are as long as"),
        ({"problem": "Vowels", "validation": 1.0}, ValueError, r"validation: is 1\.0; give a share between"),
        ({"problem": "Vowels", "seed": -1}, ValueError, "seed: is -1"),
    ],
)
def test_wrong_options_are_refused(vowels, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        load(vowels, tmp_path, **options)


def test_missing_files_are_named(vowels, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"root: no folder was given; get the \.ts files"):
        load(None, tmp_path, problem="Vowels")
    with pytest.raises(FileNotFoundError, match=r"root: there is no file \*_TRAIN.ts in .*empty; get"):
        load(tmp_path / "empty", tmp_path, problem="Vowels")
    (vowels / "Vowels" / "Vowels_TEST.ts").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no file Vowels_TEST.ts beside Vowels_TRAIN.ts; add it"):
        load(vowels, tmp_path, problem="Vowels")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1,2:1", "1,x:2"], r"line 7: 'x' is no number; correct it, or write \?"),
        (["1,inf:1"], "line 6: 'inf' is no number"),
        (["1,2:3"], r"line 6: ends with '3', which is no class of the line @classLabel \(1, 2\)"),
        (["1,2"], "line 6: ends with '1,2', which is no class"),
        (["1"], "line 6: has features of no value"),
        (["1,2:1,2,3:1"], "line 6: has features of 2 to 3 values"),
        (["1,2:3,4:1", "1,2:1"], "line 7: has 1 features; the first has 2"),
        (["?,?:1"], "line 6: has no observed value; leave the series out"),
        ([], "has no series"),
    ],
)
def test_broken_files_are_refused_by_line(tmp_path, lines, message):
    write_ts(tmp_path / "A_TRAIN.ts", lines)
    with pytest.raises(ValueError, match=f"A_TRAIN.ts.*{message}"):
        read_ts(tmp_path / "A_TRAIN.ts")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@classLabel true 1\n1,2:1\n", "line 2: stands before the line @data"),
        ("@timestamps true\n@data\n", "line 1: the values have time stamps"),
        ("@classLabel false\n@data\n1,2:1\n", r"line 3: ends with '1', which is no class .*\(none\)"),
    ],
)
def test_other_forms_of_the_file_are_refused(tmp_path, text, message):
    (tmp_path / "A_TEST.ts").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_ts(tmp_path / "A_TEST.ts")


@pytest.mark.parametrize(
    ("lines", "classes", "message"),
    [
        (["1,2:a"], "a b", "Vowels_TEST.ts: has 1 features; the train part has 2"),
        (["1,2:1,2:c"], "c", "Vowels_TEST.ts: class 'c' is not among those of the train part"),
    ],
)
def test_a_test_part_that_does_not_fit_is_refused(vowels, tmp_path, lines, classes, message):
    write_ts(vowels / "Vowels" / "Vowels_TEST.ts", lines, classes)
    with pytest.raises(ValueError, match=message):
        load(vowels, tmp_path, problem="Vowels", validation=0.5)
