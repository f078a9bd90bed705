from pathlib import Path

import numpy as np
import pytest

import unbraid.data.load
from unbraid.data.sets.puppets import puppets
from unbraid.registry import list_datasets

ATTRIBUTES = ("skin", "hat", "shirt", "trousers")


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return puppets.load(cache=tmp_path_factory.mktemp("full"), size=16)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return puppets.load(cache=tmp_path_factory.mktemp("small"), size=32, characters=24)


@pytest.fixture(scope="module")
def table(full):
    """All clips by their classes: (skin, hat, shirt, trousers, action, direction, T, C, H, W)."""
    found = np.zeros((6, 6, 6, 6, 3, 3, *full.x.shape[1:]), np.int16)
    names = (*ATTRIBUTES, "action", "direction")
    found[tuple(full.labels[name].values for name in names)] = full.x
    return found


def test_counts_shapes_and_types(full):
    assert full.x.shape == (11664, 8, 3, 16, 16)
    assert full.x.dtype == np.uint8
    assert {name: len(rows) for name, rows in full.splits.items()} == {
        "train": 8100,
        "validation": 900,
        "test": 2664,
    }


def test_labels(full):
    assert list(full.labels) == [*ATTRIBUTES, "motion", "action", "direction"]
    assert list(full.heads) == [*ATTRIBUTES, "motion"]
    assert [label.kind for label in full.labels.values()] == ["static"] * 4 + ["dynamic"] * 3
    assert [len(set(label.classes)) for label in full.labels.values()] == [6] * 4 + [9, 3, 3]
    motion, action, direction = (full.labels[name] for name in ("motion", "action", "direction"))
    assert action.part_of == direction.part_of == "motion"
    for clip in range(9):
        parts = action.classes[action.values[clip]], direction.classes[direction.values[clip]]
        assert motion.classes[motion.values[clip]] == " ".join(parts)


def test_every_character_shows_every_motion_once(full):
    numbers = np.stack([full.labels[name].values for name in (*ATTRIBUTES, "motion")], axis=1)
    assert len(np.unique(numbers, axis=0)) == 6**4 * 9


@pytest.mark.parametrize("which", ["full", "small"])
def test_splits_share_no_character_and_leave_no_clip_out(which, request):
    data = request.getfixturevalue(which)
    numbers = np.ravel_multi_index([data.labels[name].values for name in ATTRIBUTES], (6,) * 4)
    people = [set(numbers[rows].tolist()) for rows in data.splits.values()]
    assert sum(map(len, people)) == len(set.union(*people)) == len(data) // 9
    assert sorted(np.concatenate(list(data.splits.values())).tolist()) == list(range(len(data)))


def test_the_same_options_give_the_same_pixels(small, tmp_path):
    again = puppets.load(cache=tmp_path, size=32, characters=24)
    assert again.fingerprint == small.fingerprint
    np.testing.assert_array_equal(again.x, small.x)


def test_a_second_load_draws_nothing(tmp_path, monkeypatch):
    first = puppets.load(cache=tmp_path, size=16, characters=3)

    def refuse(*_):
        raise AssertionError("drawn again")

    monkeypatch.setattr(puppets, "draw_layer", refuse)
    assert puppets.load(cache=tmp_path, size=16, characters=3).fingerprint == first.fingerprint
    with pytest.raises(AssertionError, match="drawn again"):
        puppets.load(cache=tmp_path, size=16, characters=4)


def test_a_smaller_set_is_part_of_the_full_one(full, small):
    for name in full.labels:
        np.testing.assert_array_equal(small.labels[name].values, full.labels[name].values[: len(small)])


@pytest.mark.parametrize("which", ["full", "small"])
def test_labels_tell_the_pixels(which, request):
    data = request.getfixturevalue(which)
    for row in np.random.default_rng(0).choice(len(data), 12, replace=False):
        classes = {name: int(data.labels[name].values[row]) for name in (*ATTRIBUTES, "motion")}
        np.testing.assert_array_equal(puppets.render(**classes, size=data.x.shape[-1]), data.x[row])


@pytest.mark.parametrize("place", range(4), ids=ATTRIBUTES)
def test_every_class_of_an_attribute_shows_in_every_frame(table, place):
    others = (2,) * 3
    for one in range(6):
        for other in range(one):
            here, there = (table[(*others[:place], k, *others[place:])] for k in (one, other))
            change = np.abs(here - there).max(axis=3)  # (action, direction, T, H, W)
            assert ((change > 20).sum(axis=(-1, -2)) >= 4).all(), (one, other)


def test_every_motion_moves_in_every_step(table):
    for clips in table[range(6), range(6), range(6), range(6)]:  # six characters that share no class
        moved = np.abs(np.diff(clips, axis=2)).max(axis=3) > 20
        assert moved.sum(axis=(-1, -2)).min() >= 2


def test_motions_differ_even_with_the_first_frame_taken_away(table):
    moves = table[2, 1, 0, 3] - table[2, 1, 0, 3][:, :, :1]
    moves = moves.reshape(9, -1).astype(float) / 255
    apart = ((moves[:, None] - moves) ** 2).sum(axis=2)
    assert apart[~np.eye(9, dtype=bool)].min() > 20


def test_directions_differ_in_every_frame_and_left_mirrors_right(table):
    for clips in table[range(6), range(6), range(6), range(6)]:
        front, left, right = clips.swapaxes(0, 1)
        for one, other in ((front, left), (front, right), (left, right)):
            assert (np.abs(one - other).max(axis=2) > 40).sum(axis=(-1, -2)).min() >= 8
        mirrored = np.abs(left[..., ::-1] - right).mean()
        assert mirrored < 0.25 * np.abs(left - right).mean()  # not zero: the light does not turn


def test_figures_stay_inside_the_picture(full):
    x = np.asarray(full.x)
    for edge in (x[..., 0, :], x[..., 0], x[..., -1]):
        spread = edge.max(axis=(0, 1)).astype(int) - edge.min(axis=(0, 1))
        assert spread.max() == 0


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_sizes_show_the_same_picture(size):
    clip = puppets.render(1, 0, 2, 0, motion=7, size=size)
    assert clip.shape == (8, 3, size, size)
    assert clip.dtype == np.uint8
    coarse = clip.reshape(8, 3, 16, size // 16, 16, size // 16).mean(axis=(3, 5))
    fine = puppets.render(1, 0, 2, 0, motion=7, size=128)
    fine = fine.reshape(8, 3, 16, 8, 16, 8).mean(axis=(3, 5))
    assert np.abs(coarse - fine).mean() < 4


def test_loads_by_name(tmp_path):
    assert "puppets" in list_datasets()
    assert unbraid.data.load.info("puppets").name == "puppets"
    assert unbraid.data.load.option_names("puppets") == ["size", "characters"]
    data = unbraid.data.load.load("puppets", cache=tmp_path, size=16, characters=3)
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [9, 9, 9]
    assert data.batch(slice(0, 2)).x.max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 48}, "size: is 48; choose 16, 32, 64 or 128"),
        ({"size": "64"}, "size: is '64'"),
        ({"characters": 2}, "characters: 2 cannot be drawn; choose a whole number from 3"),
        ({"characters": 1297}, "to 1296"),
        ({"characters": 10.0}, "characters: 10.0"),
        ({"root": Path("somewhere")}, "root: puppets are drawn, not read, found somewhere"),
    ],
)
def test_refused_options(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        puppets.load(cache=tmp_path, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hat": 6}, "hat: there is no class 6; choose 0 to 5"),
        ({"skin": -1}, "skin: there is no class -1"),
        ({"motion": 9}, "motion: there is no class 9; choose 0 to 8"),
        ({"size": 100}, "size: is 100"),
    ],
)
def test_refused_renderings(changed, message):
    with pytest.raises(ValueError, match=message):
        puppets.render(**{"skin": 0, "hat": 0, "shirt": 0, "trousers": 0, "motion": 0, **changed})
