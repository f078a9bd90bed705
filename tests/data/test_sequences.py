import dataclasses

import numpy as np
import pytest
import torch

from unbraid.data.features import Sound
from unbraid.data.labels import Label, LabelsOfRows
from unbraid.data.sequences import Sequences
from unbraid.data.splits import split_by_group
from unbraid.kinds import KINDS


def frames(count=6, steps=3, channels=3, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, steps, channels, size, size), dtype=np.uint8)


def vectors(count=6, steps=4, features=2, seed=0):
    return np.random.default_rng(seed).normal(size=(count, steps, features))


def test_frames_become_floats_between_zero_and_one():
    x = frames()
    data = Sequences.from_arrays(x)
    batch = data.batch(np.array([4, 1]))
    assert batch.x.dtype == torch.float32
    assert torch.equal(batch.x, torch.from_numpy(x[[4, 1]]).float() / 255)
    assert batch.index.tolist() == [4, 1]
    assert batch.mask is None


def test_slices_give_writable_batches_and_leave_the_data_alone():
    x = vectors().astype(np.float32)
    data = Sequences.from_arrays(x.copy())
    batch = data.batch(slice(0, 3))
    batch.x.zero_()
    assert np.array_equal(data.x, x)


def test_labels_are_copied_to_the_device_when_they_are_read():
    data, reads = Sequences.from_arrays(vectors(), labels={"who": [2, 0, 1, 0, 2, 1]}), []

    class Values:
        def __init__(self, values):
            self.values = values

        def __getitem__(self, rows):
            reads.append(rows.tolist())
            return self.values[rows]

    object.__setattr__(data.labels["who"], "values", Values(data.labels["who"].values))
    labels = LabelsOfRows(data.labels, np.array([4, 1]), "meta")
    assert set(labels) == {"who"} and len(labels) == 1 and reads == []
    assert labels["who"].device.type == "meta" and reads == [[4, 1]]
    batch = data.batch(np.array([4, 1]))
    assert isinstance(batch.labels, LabelsOfRows) and batch.labels["who"].tolist() == [2, 0]
    assert batch.to("meta").labels["who"].device.type == "meta"


def test_memory_mapped_rows_raise_no_warning(tmp_path, recwarn):
    np.save(tmp_path / "x.npy", frames())
    data = Sequences.from_arrays(np.load(tmp_path / "x.npy", mmap_mode="r"))
    data.batch(slice(0, 3))
    assert not recwarn.list


def test_channels_last_is_moved_first():
    x = frames()
    moved = Sequences.from_arrays(np.moveaxis(x, 2, -1))
    assert np.array_equal(moved.x, x)


def test_padding_is_zero_and_masked_out():
    x = vectors()
    x[2, 3:] = np.nan
    data = Sequences.from_arrays(x, lengths=[4, 4, 3, 4, 2, 4])
    batch = data.batch(np.array([2, 4]))
    assert batch.mask.tolist() == [[True, True, True, False], [True, True, False, False]]
    assert torch.equal(batch.x[~batch.mask], torch.zeros(3, 2))
    assert torch.allclose(batch.x[0, :3], torch.from_numpy(x[2, :3]).float())


@pytest.mark.parametrize("by_value", [False, True])
def test_lengths_and_mask_are_joined(by_value):
    x = vectors()
    mask = np.ones(x.shape if by_value else x.shape[:2], dtype=bool)
    mask[0, 1] = False
    x[0, 1] = np.inf
    x[0, 3] = np.nan
    data = Sequences.from_arrays(x, mask=mask, lengths=np.array([3, 4, 4, 4, 4, 4]))
    batch = data.batch(np.array([0, 5]))
    expected = torch.tensor([[True, False, True, False], [True] * 4])
    assert torch.equal(batch.mask, expected[..., None].expand(2, 4, 2) if by_value else expected)
    assert torch.equal(batch.x[~expected], torch.zeros(2, 2))


@pytest.mark.parametrize("by_value", [False, True])
def test_observed_joins_mask_and_lengths(by_value):
    mask = np.random.default_rng(1).random((6, 4, 2) if by_value else (6, 4)) < 0.7
    mask[:, 0] = True
    lengths = np.array([4, 3, 2, 4, 3, 2])
    data = Sequences.from_arrays(vectors(), mask=mask, lengths=lengths)
    expected = mask.copy()
    for row, length in enumerate(lengths):
        expected[row, length:] = False
    assert np.array_equal(data.observed(), expected)
    assert np.array_equal(data.observed(np.array([4, 1])), expected[[4, 1]])
    assert np.array_equal(data.observed(slice(2, 5)), expected[2:5])
    assert np.array_equal(data.take(np.array([4, 1])).observed(), expected[[4, 1]])
    assert np.array_equal(data.batch(slice(2, 5)).mask.numpy(), expected[2:5])


def test_everything_is_observed_without_mask_and_lengths():
    assert Sequences.from_arrays(vectors()).observed(slice(1, 4)).tolist() == [[True] * 4] * 3


KINDS_MADE: dict[str, Sequences] = {
    "frames": Sequences(frames()),
    "vectors": Sequences(vectors()),
    "windows": Sequences(np.zeros((6, 4, 3, 2))),
    "sound": Sequences(np.zeros((6, 4, 80)), sound=Sound("mel80", 8000)),
}


def test_every_kind_of_observation_is_named():
    assert sorted(KINDS_MADE) == sorted(KINDS)
    assert {name: data.kind for name, data in KINDS_MADE.items()} == {name: name for name in KINDS}


def test_labels_become_class_numbers():
    data = Sequences.from_arrays(
        frames(), labels={"who": list("babcab"), "how": [3, 3, 1, 1, 1, 3]}, dynamic_labels="how"
    )
    assert data.labels["who"].classes == ("a", "b", "c")
    assert data.labels["who"].values.tolist() == [1, 0, 1, 2, 0, 1]
    assert (data.labels["who"].kind, data.labels["how"].kind) == ("static", "dynamic")
    assert data.batch(np.array([3])).labels["who"].tolist() == [2]


def test_parts_of_a_label_are_no_heads():
    values = np.zeros(6, dtype=int)
    labels = {
        "motion": Label(values, ("walk left",), "dynamic"),
        "action": Label(values, ("walk",), "dynamic", part_of="motion"),
    }
    assert list(Sequences.from_arrays(frames(), labels=labels).heads) == ["motion"]


def test_splits_are_disjoint_and_repeatable():
    data = Sequences.from_arrays(frames(20))
    rows = np.concatenate(list(data.splits.values()))
    assert sorted(rows) == list(range(20))
    assert {name: len(rows) for name, rows in data.splits.items()} == {
        "train": 16,
        "validation": 2,
        "test": 2,
    }
    again = Sequences.from_arrays(frames(20))
    other = Sequences.from_arrays(frames(20), seed=1)
    assert np.array_equal(again.splits["test"], data.splits["test"])
    assert not np.array_equal(other.splits["test"], data.splits["test"])


def test_groups_stay_together():
    groups = np.repeat(np.arange(10), 3)
    splits = split_by_group(groups, (0.6, 0.2, 0.2), seed=3)
    owners = [set(groups[rows]) for rows in splits.values()]
    assert [len(rows) for rows in splits.values()] == [18, 6, 6]
    assert not owners[0] & owners[1] and not owners[0] & owners[2] and not owners[1] & owners[2]


def test_groups_are_kept_where_they_hold_several_sequences():
    x = np.zeros((12, 3, 2), np.float32) + np.arange(12)[:, None, None]
    people = np.array(["eve", "ann", "bob", "cat"] * 3)
    data = Sequences.from_arrays(x, groups=people)
    assert data.groups.tolist() == [3, 0, 1, 2] * 3
    owners = [set(data.groups[rows]) for rows in data.splits.values()]
    assert not owners[0] & owners[1] and not owners[0] & owners[2] and not owners[1] & owners[2]
    assert Sequences.from_arrays(x, groups=np.arange(12)).groups is None


def test_take_and_split():
    x = frames()
    data = Sequences.from_arrays(x, labels={"who": list("abcabc")}, lengths=[2, 3, 3, 3, 3, 2])
    some = data.take(np.array([5, 0]))
    assert np.array_equal(some.x, x[[5, 0]])
    assert some.labels["who"].values.tolist() == [2, 0]
    assert some.lengths.tolist() == [2, 2]
    assert not some.splits
    test = data.split("test")
    assert np.array_equal(test.x, x[data.splits["test"]])
    with pytest.raises(ValueError, match="did you mean 'train'"):
        data.split("trian")
    with pytest.raises(ValueError, match="rows: choose none of the 6"):
        data.take(np.array([], dtype=int))


def test_neighbouring_rows_are_not_copied():
    data = Sequences.from_arrays(frames())
    assert np.shares_memory(data.take(np.array([2, 3, 4])).x, data.x)
    assert not np.shares_memory(data.take(np.array([2, 4])).x, data.x)


def test_fingerprints_tell_data_apart():
    x = frames()
    data = Sequences.from_arrays(x, labels={"who": list("abcabc")})
    same = Sequences.from_arrays(x.copy(), labels={"who": list("abcabc")})
    changed = x.copy()
    changed[0, 0, 0, 0, 0] ^= 1
    others = [
        Sequences.from_arrays(changed, labels={"who": list("abcabc")}),
        Sequences.from_arrays(x, labels={"who": list("abcabb")}),
        Sequences.from_arrays(x, labels={"who": list("abdabd")}),
        Sequences.from_arrays(x, labels={"who": list("abcabc")}, seed=1),
        Sequences.from_arrays(x, labels={"who": list("abcabc")}, lengths=[2, 3, 3, 3, 3, 3]),
        data.take(np.arange(3)),
        data.take(np.arange(3, 6)),
    ]
    assert same.fingerprint == data.fingerprint
    assert len({data.fingerprint, *(other.fingerprint for other in others)}) == 8


def test_sources_of_vectors_are_described():
    data = Sequences.from_arrays(vectors(), feature_names=["a", "b"], units=["m", "s"], sampling_rate=2.0)
    assert (data.feature_names, data.units, data.observation, data.steps) == (("a", "b"), ("m", "s"), (2,), 4)


NAN, INFINITY = vectors(), vectors()
NAN[4, 2, 1], INFINITY[5, 0, 0] = np.nan, np.inf
MASK = np.ones((6, 4), dtype=bool)
HIDDEN, PADDING_ONLY = MASK.copy(), MASK.copy()
HIDDEN[3] = False
PADDING_ONLY[1, :3] = False
BRIGHT = frames().astype(np.float32)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (np.zeros((6, 4)), {}, r"x: has shape \(6, 4\); give \(N, T, C, H, W\)"),
        (np.float64(3), {}, "x: 0 sequences are too few"),
        (frames(2), {}, "x: 2 sequences are too few"),
        (np.zeros((6, 4, 0)), {}, "no features"),
        (frames(steps=1), {}, "sequences have 1 step; at least 2"),
        (frames(channels=5), {}, "frames have 5 channels"),
        (frames(size=20), {}, "frames are 20x20; resize"),
        (np.zeros((6, 4, 3, 16, 32), np.uint8), {}, "frames are 16x32; resize"),
        (frames().astype(np.int64), {}, "x: has type int64; give uint8 frames or floats"),
        (np.full((6, 4, 2), "a"), {}, "x: has type <U1"),
        (np.zeros((6, 4, 2), np.uint8), {}, "uint8 is for frames only"),
        (BRIGHT, {}, r"float frames must lie in \[0, 1\], found"),
        (BRIGHT / 255 - 0.5, {}, r"float frames must lie in \[0, 1\], found"),
        (NAN, {}, "NaN or infinity in sequence 4, step 2"),
        (INFINITY, {}, "NaN or infinity in sequence 5, step 0"),
        (NAN, {"mask": MASK}, "NaN or infinity in sequence 4, step 2"),
        (vectors(), {"mask": MASK.astype(int)}, "mask: has type int64; give bool"),
        (vectors(), {"mask": MASK[:, :3]}, r"mask: has shape \(6, 3\)"),
        (vectors(), {"mask": HIDDEN}, "mask: sequence 3 has no observed value"),
        (
            vectors(),
            {"mask": PADDING_ONLY, "lengths": [4, 3, 4, 4, 4, 4]},
            "mask: sequence 1 has no observed",
        ),
        (vectors(), {"lengths": [4, 4, 1, 4, 4, 4]}, "lengths: sequence 2 has 1 steps; 2 to 4"),
        (vectors(), {"lengths": [4, 4, 4, 4, 5, 4]}, "lengths: sequence 4 has 5 steps"),
        (vectors(), {"lengths": [4, 4]}, r"lengths: has shape \(2,\) for 6"),
        (vectors(), {"lengths": [4.0] * 6}, "lengths: has type float64"),
        (vectors(), {"labels": {"who": [0, 1]}}, r"labels\['who'\]: has shape \(2,\) for 6 sequences"),
        (vectors(), {"labels": {"who": np.zeros((6, 2))}}, r"labels\['who'\]: has shape \(6, 2\)"),
        (vectors(), {"labels": {"who": [0, 1, np.nan, 0, 1, 0]}}, r"labels\['who'\]: sequence 2 has none"),
        (vectors(), {"labels": {"who": np.array([0, 1, None, 0, 1, 0])}}, "sequence 2 has none"),
        (vectors(), {"labels": {"who": np.array([0, "a", 1, 0, 1, 0], object)}}, "mixes types"),
        (
            vectors(),
            {"labels": {"who": Label(np.arange(6), ("a", "b"), "static")}},
            "go from 0 to 5; 2 class",
        ),
        (vectors(), {"labels": {"who": Label(np.zeros(6), ("a",), "static")}}, "has type float64"),
        (vectors(), {"labels": {"who": Label(np.zeros(6, int), ("a",), "fixed")}}, "kind is 'fixed'"),
        (
            vectors(),
            {"labels": {"a": Label(np.zeros(6, int), ("a",), "static", "b")}},
            "part of 'b', which is no",
        ),
        (vectors(), {"labels": {"who": list("aabbcc")}, "dynamic_labels": ("whom",)}, "did you mean 'who'"),
        (vectors(), {"groups": [1, 2]}, r"groups: has shape \(2,\)"),
        (vectors(), {"groups": [1, 1, 1, 2, 2, 2]}, "groups: 2 are too few"),
        (vectors(), {"fractions": (0.5, 0.5, 0.5)}, "fractions:"),
        (vectors(), {"fractions": (0.5, 0.5)}, "fractions:"),
        (vectors(3), {"fractions": (0.01, 0.01, 0.98)}, "leave none to train on"),
        (
            vectors(),
            {"feature_names": ["a"]},
            "feature_names: describes 1 features; the observations are vectors",
        ),
        (vectors(), {"sampling_rate": 0.0}, "sampling_rate: is 0.0"),
    ],
)
def test_refused(x, options, message):
    with pytest.raises(ValueError, match=message):
        Sequences.from_arrays(x, **options)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": np.array([], dtype=int)}, r"splits\['train'\]: is empty"),
        ({"train": np.array([0, 6])}, "names rows 0 to 6; there are 0 to 5"),
        ({"train": np.array([True] * 6)}, "give row numbers"),
        ({"train": np.arange(4), "test": np.arange(3, 6)}, "sequence 3 is in 'train' and in 'test'"),
    ],
)
def test_refused_splits(splits, message):
    with pytest.raises(ValueError, match=message):
        Sequences(frames(), splits=splits)


def test_masked_and_padded_frames_may_hold_anything():
    x = BRIGHT / 255
    x[0, 2] = 7
    x[1, 0] = -np.inf
    mask = np.ones((6, 3), dtype=bool)
    mask[1, 0] = False
    data = Sequences.from_arrays(x, lengths=[2, 3, 3, 3, 3, 3], mask=mask)
    assert data.batch(slice(0, 2)).x.max() <= 1


def test_data_with_a_fingerprint_are_not_read_again():
    data = Sequences(NAN, fingerprint="known")
    assert data.fingerprint == "known"
    with pytest.raises(ValueError, match="NaN"):
        dataclasses.replace(data, fingerprint="")
