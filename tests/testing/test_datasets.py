"""The contract of data sets: every registered one keeps it, the template keeps it, and broken ones are caught."""

import dataclasses
import types

import numpy as np
import pytest
import raw_files
import torch

from unbraid.cards import DataCard
from unbraid.data.features import Sound
from unbraid.data.formats.paths import files_below
from unbraid.data.labels import Label
from unbraid.data.sequences import Sequences
from unbraid.data.sets import _template
from unbraid.data.sets.air_quality import STATIONS
from unbraid.data.splits import consecutive_splits
from unbraid.data.store import prepared
from unbraid.registry import dataset_module, list_datasets
from unbraid.testing import check_dataset

# How each data set is made small: a function that writes tiny raw files (None where nothing is read), and options.
RAW = {
    "air_quality": (lambda folder: raw_files.write_air_quality(folder, STATIONS), {}),
    "etth1": (raw_files.write_etth1, {}),
    "fsdd": (raw_files.write_fsdd, {}),
    "jester": (lambda folder: raw_files.write_jester(folder, frames=12), {"size": 16}),
    "librispeech": (raw_files.write_librispeech, {}),
    "machines": (None, {"sequences": 20}),
    "moving_digits": (None, {"size": 16, "train": 20, "validation": 5, "test": 5}),
    "mug": (raw_files.write_mug, {"subjects": 3, "size": 16, "fractions": (0.5, 0.25, 0.25)}),
    "physionet2012": (raw_files.write_ten_stays, {"form": "official"}),
    "puppets": (None, {"size": 16, "characters": 5}),
    "sprites": (raw_files.write_sprites, {"size": 16}),
    "timit": (raw_files.write_timit, {}),
    "ucr": (raw_files.write_ucr, {"problem": "GunPoint"}),
    "voices": (None, {"speakers": 10, "seed": 3}),  # its longest word is as long as that of all speakers
}
tiny_files = pytest.mark.filterwarnings(
    "ignore:.*do not compare with published tables", "ignore:mug. no face was found"
)


def options_of(name, folder):
    write, options = RAW[name]
    if name == "mug":
        pytest.importorskip("cv2", reason="needs the extra `faces`")
    return options if write is None else options | {"root": write(folder)}


def test_every_registered_data_set_is_covered():
    assert sorted(RAW) == list_datasets()


@tiny_files
@pytest.mark.parametrize("name", RAW)
def test_contract(name, tmp_path):
    check_dataset(name, **options_of(name, tmp_path / "raw"))


@tiny_files
@pytest.mark.parametrize("name", RAW)
def test_cards_have_the_shape_that_is_loaded(name, tmp_path):
    """Of the published form; frames are smaller here by the option `size` alone."""
    options = options_of(name, tmp_path / "raw")
    card = dataset_module(name).card
    data = dataset_module(name).load(cache=tmp_path / "cache", **options)
    size = options.get("size")
    expected = card.shape if size is None else (*card.shape[:-2], size, size)
    assert (data.steps, *data.observation) == expected and data.kind == card.kind


# ---- the template ---------------------------------------------------------------------------------------


@pytest.fixture
def motions(tmp_path):
    """Twelve recordings of the template's form, two of them shorter than a sequence."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "raw"
    folder.mkdir()
    for number in range(12):
        steps = 14 if number in (4, 9) else 25
        path = folder / f"{('walk', 'jump')[number % 2]}_{('ann', 'bob', 'cy')[number % 3]}_{number}.csv"
        np.savetxt(path, generator.normal(number, 1, (steps, 3)), delimiter=",", fmt="%.6f")
    return folder


def test_the_template_keeps_the_contract(motions):
    check_dataset(_template, root=motions)


def test_the_template_reads_its_files(motions, tmp_path):
    data = _template.load(motions, tmp_path / "cache")
    files = files_below(motions)
    assert data.x.shape == (12, 20, 3) and sorted(data.lengths) == [14] * 2 + [20] * 10
    for row, file in enumerate(files[number] for number in data.groups):
        lines = np.loadtxt(file, delimiter=",")[:20]
        assert data.lengths[row] == len(lines) and not data.x[row, len(lines) :].any()
        np.testing.assert_allclose(data.scaling.invert(data.x[row, : len(lines)]), lines, atol=1e-4)
        labels = [label.classes[label.values[row]] for label in data.labels.values()]
        assert labels == [file.stem.split("_")[1], file.stem.split("_")[0]]


def test_the_template_is_not_registered():
    assert _template.card.name not in list_datasets()


# ---- broken data sets -----------------------------------------------------------------------------------

CARD = DataCard(
    name="toy",
    summary="two random walks",
    source="this test",
    licence="Apache-2.0",
    obtain="nothing to get",
    shape=(6, 2),
    kind="vectors",
)


def sequences(seed=0, kind=Sequences, **changes):
    """Twelve sequences, of which two are shorter, in pairs of one group."""
    whole, part = np.arange(12) % 4, np.arange(12) % 4 // 2
    fields = {
        "x": np.random.default_rng(seed).normal(size=(12, 6, 2)).astype(np.float32),
        "name": "toy",
        "lengths": np.array([6, 4, 6, 6, 3, 6, 6, 6, 6, 6, 6, 6]),
        "labels": {
            "who": Label(whole, ("a", "b", "c", "d"), "static"),
            "sex": Label(part, ("female", "male"), "static", part_of="who"),
        },
        "splits": consecutive_splits({"train": 6, "validation": 2, "test": 4}),
        "groups": np.arange(12) // 2,
    }
    return kind(**fields | changes)


def keep(cache, seed=0, **changes):
    return prepared("toy", {"seed": seed}, lambda space: sequences(seed, **changes), cache)


def refuse(root):
    if root is not None:
        raise ValueError(f"root: {root} is not read; leave root out")


def toy(make=keep, refuse=refuse, card=CARD, **changes):
    """A module of a data set that keeps the contract, unless something is changed."""

    def load(root=None, cache=None, *, seed=0):
        """Load the walks.

        Args:
            root: leave it out.
            cache: where they are kept.
            seed: of the steps.
        """
        refuse(root)
        return make(cache, seed, **changes)

    return types.SimpleNamespace(card=card, load=load)


def with_load(load):
    return types.SimpleNamespace(card=CARD, load=load)


def positional(root=None, cache=None, seed=0):
    """Load.

    Args:
        root: leave it out.
        cache: where they are kept.
        seed: of the steps.
    """


def undescribed(root=None, cache=None, *, seed=0):
    """Load.

    Args:
        root: leave it out.
        cache: where they are kept.
    """


def without_default(root=None, cache=None, *, seed):
    """Load.

    Args:
        root: leave it out.
        cache: where they are kept.
        seed: of the steps.
    """


class Leaky(Sequences):
    """Padding reaches the batches."""

    def batch(self, rows, device="cpu"):
        batch = super().batch(rows, device)
        return dataclasses.replace(batch, x=torch.from_numpy(self.x[np.arange(len(self))[rows]]))


class Shuffled(Sequences):
    """`take` gives the rows in another order."""

    def take(self, rows):
        return super().take(np.sort(np.arange(len(self))[rows]))


def as_kind(kind):
    """A loader that opens the prepared data set as a subclass of Sequences."""

    def make(cache, seed, **changes):
        data = keep(cache, seed)
        return kind(**{field.name: getattr(data, field.name) for field in dataclasses.fields(data)})

    return make


def unseeded(cache, seed):
    return keep(cache, x=np.random.default_rng().normal(size=(12, 6, 2)))


def new_every_time(cache, seed):
    return prepared("toy", {"number": np.random.default_rng().random()}, lambda space: sequences(), cache)


def on_card(**changes):
    return dataclasses.replace(CARD, **changes)


def no_fix(root):
    if root is not None:
        raise FileNotFoundError(f"root: {root} is missing")


def without_name(root):
    if root is not None:
        raise FileNotFoundError("root: the folder is missing; make it")


SAME_NAMES = {"who": Label(np.arange(12) % 2, ("a", "a"), "static")}
OWN_PART = {
    "who": Label(np.arange(12) % 2, ("a", "b"), "static"),
    "sex": Label(np.arange(12) % 3 // 2, ("female", "male"), "static", part_of="who"),
}

BROKEN = {
    "no licence": (toy(card=on_card(licence=" ")), r"card\.licence: is empty"),
    "no protocol": (toy(card=on_card(protocols=())), r"card\.protocols: is empty"),
    "unknown protocol": (toy(card=on_card(protocols=("leakages",))), "did you mean 'leakage'"),
    "no shape": (toy(card=on_card(shape=())), r"card\.shape: give steps and observation"),
    "kind and shape": (toy(card=on_card(kind="frames")), r"card\.kind: is 'frames'"),
    "another shape": (toy(card=on_card(shape=(6, 3))), r"shape: observations are \(2,\), on the card \(3,\)"),
    "another name": (toy(card=on_card(name="tune")), "calls itself 'toy', its card 'tune'"),
    "another kind": (toy(sound=Sound("mel40", 8000)), "kind: is 'sound', on the card 'vectors'"),
    "positional option": (with_load(positional), "option seed must be keyword-only"),
    "undescribed option": (with_load(undescribed), "does not describe seed"),
    "option without default": (with_load(without_default), "option seed needs a default"),
    "no root": (with_load(lambda cache=None: None), "first parameters are root and cache"),
    "not kept": (toy(lambda cache, seed: sequences(seed)), "cache: nothing was kept"),
    "built every time": (toy(new_every_time), "built the data set again"),
    "no seed": (toy(unseeded), "draw random numbers from a seed"),
    "no test split": (
        toy(splits=consecutive_splits({"train": 8, "validation": 4})),
        "splits: are train, validation",
    ),
    "a group in two splits": (toy(groups=np.arange(12) // 4), "groups: 1 is in 'train' and in 'validation'"),
    "one class name twice": (toy(labels=SAME_NAMES), r"labels\['who'\]: two classes have one name"),
    "a part of its own": (toy(labels=OWN_PART), r"labels\['sex'\]: is a part of 'who', but"),
    "padding in batches": (toy(as_kind(Leaky)), "values that are not observed reach it"),
    "take in another order": (toy(as_kind(Shuffled)), "take: gives other sequences"),
    "missing files not missed": (toy(refuse=lambda root: None), "is loaded all the same"),
    "an error without the fix": (toy(refuse=no_fix), "after a semicolon, the fix"),
    "an error without the folder": (toy(refuse=without_name), "does not name the folder"),
}


def test_the_toy_keeps_the_contract():
    check_dataset(toy())


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_data_sets_are_caught(fault):
    dataset, message = BROKEN[fault]
    with pytest.raises(AssertionError, match=message):
        check_dataset(dataset)


def test_raw_files_must_be_missed(tmp_path):
    """A data set that reads files raises FileNotFoundError, nothing else."""

    def load(root=None, cache=None):
        """Load.

        Args:
            root: the folder.
            cache: where they are kept.
        """
        if root is None or not root.exists():
            raise ValueError(f"root: there is no folder {root}; give one")
        return keep(cache)

    dataset = with_load(load)
    with pytest.raises(AssertionError, match="root: raises ValueError"):
        check_dataset(dataset, root=tmp_path)


def test_registered_under_another_name(monkeypatch):
    monkeypatch.setattr(dataset_module("puppets"), "card", on_card())
    with pytest.raises(AssertionError, match=r"card\.name: is 'toy', registered as 'puppets'"):
        check_dataset("puppets")
    with pytest.raises(ValueError, match="did you mean 'puppets'"):
        check_dataset("pupets")
