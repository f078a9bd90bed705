"""Files of arrays: what is read of them, and what is refused."""

import os

import numpy as np
import pytest

import unbraid.data.load as data


def test_array_files(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (6, 4, 3, 16, 16), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    assert np.array_equal(data.load(tmp_path / "x.npy").x, x)
    groups = [0, 0, 1, 1, 2, 2]
    np.savez(tmp_path / "all.npz", x=x, lengths=[4, 4, 4, 4, 3, 4], groups=groups, who=list("abcabc"))
    arrays = data.load(str(tmp_path / "all.npz"), dynamic_labels=("who",))
    assert arrays.name == "all" and arrays.lengths.tolist() == [4, 4, 4, 4, 3, 4]
    assert arrays.labels["who"].classes == ("a", "b", "c") and arrays.labels["who"].kind == "dynamic"
    assert sorted(map(len, arrays.splits.values())) == [2, 2, 2]


def test_refused_array_files(tmp_path):
    path = tmp_path / "x.npy"
    x = np.zeros((6, 4, 3, 16, 16))
    x[4, 2] = np.nan
    np.save(path, x)
    with pytest.raises(ValueError, match=r"x\.npy: x: NaN or infinity in sequence 4, step 2"):
        data.load(path)
    np.save(path, np.zeros((6, 4, 3, 16, 16), np.int32))
    with pytest.raises(ValueError, match=r"x\.npy: x: has type int32"):
        data.load(path)
    with pytest.raises(ValueError, match=r"data\.size: .*x\.npy has no such option"):
        data.load(path, size=16)
    os.truncate(path, 2000)
    with pytest.raises(ValueError, match=r"x\.npy: is damaged or no array"):
        data.load(path)
    np.save(path, np.array([{"a": 1}] * 4, object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"x\.npy: is damaged or no array of numbers"):
        data.load(path)
    path.write_text("no array")
    with pytest.raises(ValueError, match=r"x\.npy: is damaged or no array"):
        data.load(path)
    np.savez(tmp_path / "y.npz", frames=x)
    with pytest.raises(ValueError, match=r"y\.npz: has no array called 'x'; found frames"):
        data.load(tmp_path / "y.npz")
    os.truncate(tmp_path / "y.npz", 300)
    with pytest.raises(ValueError, match=r"y\.npz: is damaged or no array"):
        data.load(tmp_path / "y.npz")
