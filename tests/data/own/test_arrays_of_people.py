"""Arrays as people have them: another byte order, another order of the axes."""

import warnings

import numpy as np
import pytest

from unbraid.data.sequences import Sequences
from unbraid.estimator import SequenceDisentangler
from unbraid.remarks import Remark


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f4", np.longdouble])
def test_byte_order(dtype):
    x = np.random.default_rng(0).normal(size=(6, 5, 3)).astype(np.float32)
    data = Sequences.from_arrays(x.astype(dtype))
    assert data.x.dtype.isnative and data.x.dtype.itemsize <= 8
    np.testing.assert_array_equal(data.batch(slice(None)).x.numpy(), x)


def test_time_as_the_last_axis_is_said():
    x = np.random.default_rng(0).normal(size=(6, 3, 100))
    with pytest.warns(Remark, match=r"6 sequences of 3 steps with 100 features; .*x\.swapaxes\(1, 2\)"):
        Sequences.from_arrays(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Sequences.from_arrays(x.swapaxes(1, 2))
        Sequences.from_arrays(np.zeros((6, 20, 80)))


def test_time_as_the_last_axis_is_said_by_the_estimator():
    x = np.random.default_rng(0).normal(size=(6, 3, 100))
    with pytest.warns(Remark, match="3 steps with 100 features"):
        SequenceDisentangler(window=1, steps=5, random_state=0).fit(x)


def test_grey_frames_without_channels():
    grey = np.random.default_rng(0).random((6, 4, 16, 16))
    with pytest.warns(Remark, match=r"windows of 16 rows with 16 features; .*x\[:, :, None\]"):
        assert Sequences.from_arrays(grey).kind == "windows"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Sequences.from_arrays(grey[:, :, None]).kind == "frames"
    with (
        pytest.raises(ValueError, match=r"uint8 is for frames only.*x\[:, :, None\]"),
        pytest.warns(Remark, match="grey frames"),
    ):
        Sequences.from_arrays((255 * grey).astype(np.uint8))


@pytest.mark.parametrize("missing", [None, np.nan])
def test_groups_that_are_missing(missing):
    groups = np.array(["a", "b", missing, "c", "d", "e"], dtype=object)
    with pytest.raises(ValueError, match=r"groups: sequence 2 has none \(1 in all\)"):
        Sequences.from_arrays(np.zeros((6, 5, 3)), groups=groups)
