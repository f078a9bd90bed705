import gzip
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

import unbraid.data.load as data
from unbraid.data.sets import moving_digits

REAL = os.environ.get("UNBRAID_DATA")
SMALL = {"size": 16, "train": 40, "validation": 10, "test": 20}


def write_idx(path, array, pack=False):
    content = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if pack else content)


@pytest.fixture
def digits(tmp_path):
    """Tiny files of MNIST's form: image number n has the value n + 1 all over and shows the digit n % 10."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, count, pack in (("train", 60, False), ("t10k", 30, True)):
        ending = ".gz" if pack else ""
        start = 0 if name == "train" else 100
        pictures = np.broadcast_to(np.arange(count)[:, None, None] + start + 1, (count, 28, 28))
        write_idx(folder / f"{name}-images-idx3-ubyte{ending}", pictures.astype(np.uint8), pack)
        write_idx(
            folder / f"{name}-labels-idx1-ubyte{ending}", (np.arange(count) % 10).astype(np.uint8), pack
        )
    return folder


def test_clips_and_labels(tmp_path):
    clips = data.load("moving_digits", cache=tmp_path, **SMALL)
    assert clips.x.shape == (70, 15, 1, 16, 16) and clips.x.dtype == np.uint8
    assert {name: len(rows) for name, rows in clips.splits.items()} == {
        "train": 40,
        "validation": 10,
        "test": 20,
    }
    assert list(clips.heads) == ["smaller_digit", "larger_digit"]
    assert all(label.kind == "static" and len(label.classes) == 10 for label in clips.labels.values())
    smaller, larger = (clips.labels[name].values for name in ("smaller_digit", "larger_digit"))
    assert (smaller <= larger).all() and (smaller < larger).any()
    assert clips.x.reshape(70, -1).any(1).all()


def test_one_digit(digits, tmp_path):
    """Image number n has the value n + 1 all over and shows the digit n % 10."""
    clips = moving_digits.load(digits, tmp_path, digits=1, **SMALL)
    assert list(clips.heads) == ["digit"] and clips.labels["digit"].kind == "static"
    lit = clips.x > 0
    assert (lit.sum((2, 3, 4)) == 64).all()  # 8 x 8 in every frame
    value = clips.x.reshape(70, -1).max(1).astype(int)
    assert np.array_equal((value - np.where(value > 100, 101, 1)) % 10, clips.labels["digit"].values)
    assert (np.diff(lit.any((2, 4)).argmax(2), axis=1) != 0).any()  # it moves


def test_the_same_arrays_every_time(tmp_path):
    one = data.load("moving_digits", cache=tmp_path / "a", **SMALL)
    two = data.load("moving_digits", cache=tmp_path / "b", **SMALL)
    more = data.load("moving_digits", cache=tmp_path / "a", **(SMALL | {"test": 5}))
    assert one.fingerprint == two.fingerprint
    assert np.array_equal(more.x[:50], one.x[:50])
    assert not np.array_equal(one.x[0], one.x[40])


@pytest.mark.parametrize(("limit", "speed"), [(32, 4), (8, 1), (64, 8)])
def test_paths_follow_the_rule(limit, speed):
    path = moving_digits.paths(np.random.default_rng(0), 3000, 15, limit, speed)
    assert path.min() == 0 and path.max() == limit - 1
    assert set(np.unique(path[:, 0])) == set(range(limit))
    moves = np.diff(path, axis=1)
    assert np.abs(moves).max() == speed
    inside = ((path > speed) & (path < limit - 1 - speed)).all(2)
    away = inside[:, :-2] & inside[:, 1:-1] & inside[:, 2:]
    assert (moves[:, 1:] == moves[:, :-1]).all(2)[away].all()  # no wall near: the velocity stays


def test_a_digit_leaves_a_wall_with_a_new_inward_velocity():
    class Script:
        """Hands out the numbers that the rule asks for."""

        def __init__(self):
            self.asked = []

        def integers(self, low, high, shape):
            self.asked.append((low, high))
            first = len(self.asked)
            if first == 1:
                return np.array([[2, 30]])  # starts near the top and the right wall
            if first == 2:
                return np.array([[-4, 3]])
            return np.full(shape, 3 if low == 1 else -2)

    script = Script()
    path = moving_digits.paths(script, 1, 4, 32, 4)[0]
    # Step 1 would be (-2, 33): y becomes 0 with velocities (3, -2), then x becomes 31 with (-2, -3).
    assert path.tolist() == [[2, 30], [0, 31], [0, 28], [3, 26]]
    assert script.asked[:4] == [(0, 32), (-4, 5), (1, 5), (-4, 5)]


def test_digits_are_drawn_by_addition():
    canvas = np.zeros((2, 1, 8, 8), np.uint16)
    pictures = np.stack([np.full((4, 4), 200), np.arange(16).reshape(4, 4)]).astype(np.uint8)
    path = np.array([[[1, 3]], [[4, 0]]])
    moving_digits._draw(canvas, pictures, path)
    moving_digits._draw(canvas, pictures, path)
    expected = np.zeros((2, 1, 8, 8))
    expected[0, 0, 1:5, 3:7] = 400
    expected[1, 0, 4:8, 0:4] = 2 * pictures[1]
    assert np.array_equal(canvas, expected)


def test_overlaps_are_clipped(digits, tmp_path):
    clips = moving_digits.load(digits, tmp_path, **SMALL)
    values = {name: set(np.unique(clips.x[rows])) - {0} for name, rows in clips.splits.items()}
    assert max(values["test"]) <= 255 and max(values["test"]) > 200  # two of 101 to 130
    single = {value for value in values["test"] if value <= 130}
    assert min(values["test"]) >= 101 and single  # the t10k images are the test images only
    assert max(values["train"] | values["validation"]) <= 120


def test_no_picture_is_in_two_splits(digits):
    for found in (None, digits):
        parts = moving_digits._built_in() if found is None else moving_digits._mnist(digits)
        seen = [{picture.tobytes() for picture in pictures} for pictures, _ in parts]
        assert all(len(digit) == len(pictures) for pictures, digit in parts)
        if found is not None:
            assert [len(part) for part in seen] == [54, 6, 30]
            for pictures, shown in parts:
                assert np.array_equal((pictures[:, 0, 0] - 1) % 10, shown)
        assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_one_set_alone_is_split(digits):
    for path in digits.glob("train-*"):
        path.unlink()
    assert [len(pictures) for pictures, _ in moving_digits._mnist(digits)] == [22, 2, 6]


def test_torchvision_folders_are_found(digits, tmp_path):
    inner = tmp_path / "torchvision" / "MNIST" / "raw"
    shutil.copytree(digits, inner)
    assert len(moving_digits._mnist(tmp_path / "torchvision")[2][0]) == 30


@pytest.mark.parametrize(
    "options", [{"digits": 3}, {"size": 24}, {"steps": 1}, {"train": 0}, {"validation": 0}, {"test": -1}]
)
def test_refused_options(tmp_path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        moving_digits.load(cache=tmp_path, **options)


def test_refused_files(digits, tmp_path):
    images, labels = digits / "train-images-idx3-ubyte", digits / "train-labels-idx1-ubyte"
    packed = digits / "t10k-images-idx3-ubyte.gz"
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        moving_digits.load(tmp_path / "nowhere", tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no pair of MNIST's files"):
        moving_digits.load(tmp_path, tmp_path)
    whole = packed.read_bytes()
    packed.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte\.gz is damaged"):
        moving_digits.load(digits, tmp_path)
    packed.write_bytes(whole)
    content = images.read_bytes()
    images.write_bytes(content[:-100])
    with pytest.raises(ValueError, match="train-images-idx3-ubyte is truncated: 46940 of 47040 bytes"):
        moving_digits.load(digits, tmp_path)
    images.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is no idx file of bytes with 3 dimensions"):
        moving_digits.load(digits, tmp_path)
    images.write_bytes(content)
    write_idx(labels, np.zeros(59, np.uint8))
    with pytest.raises(ValueError, match="differ in number"):
        moving_digits.load(digits, tmp_path)
    write_idx(labels, np.full(60, 11, np.uint8))
    with pytest.raises(ValueError, match="is not MNIST's"):
        moving_digits.load(digits, tmp_path)


@pytest.mark.real_data
@pytest.mark.skipif(REAL is None, reason="UNBRAID_DATA is unset: needs MNIST's test digits")
def test_real_mnist(tmp_path):
    folder = Path(REAL) / "mnist"
    parts = moving_digits._mnist(folder)
    assert [len(pictures) for pictures, _ in parts] == [7200, 800, 2000]
    clips = data.load("moving_digits", folder, tmp_path, train=30, validation=5, test=5)
    assert clips.x.shape == (40, 15, 1, 64, 64)
    assert 0.05 < (clips.x > 127).mean() < 0.2
