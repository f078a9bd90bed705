"""Files of arrays: what is read of them, and what is refused."""

import io
import os
import random
import zipfile

import numpy as np
import pytest

import unbraid.data.load as data
from unbraid.data.own.arrays import axes_of_x, load_arrays


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


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "packed.npz"])
def test_damaged_headers_are_refused_by_name(tmp_path, name):
    x, draw, refused = np.random.default_rng(0).random((10, 3, 2)), random.Random(0), 0
    path = tmp_path / name
    save = {"x.npy": np.save, "x.npz": lambda p, x: np.savez(p, x=x)}.get(
        name, lambda p, x: np.savez_compressed(p, x=x)
    )
    save(path, x)
    content = path.read_bytes()
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(draw.choice([1, 2, 5])):
            damaged[draw.randrange(min(200, len(content)))] = draw.randrange(256)
        path.write_bytes(damaged[: draw.randrange(len(content))] if draw.random() < 0.2 else damaged)
        try:
            load_arrays(path)
        except ValueError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error)
    assert refused > 100


def test_declared_sizes_are_checked_before_memory_is_taken(tmp_path):
    """An array that declares a million gigabytes in a file of some bytes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6, 250)}
    )
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as packed:
        packed.writestr("x.npy", header.getvalue())
    with pytest.raises(ValueError, match=r"x.npy declares \(1000000, 1000000, 250\) values, but holds fewer"):
        load_arrays(tmp_path / "x.npz")


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_a_file_that_is_not_there_is_not_called_damaged(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=f"there is no file .*{name}"):
        axes_of_x(tmp_path / name)
