import itertools

import numpy as np
import pytest
from raw_files import TESTED, TRAINED, VALIDATED, timit_paths, write_timit
from sound_files import tone, write_sphere, write_wav

import unbraid.data.load as data
from unbraid.data.sets import timit
from unbraid.data.sets.timit import standard_splits


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree") / "TIMIT"
    write_timit(folder)
    return folder


def load(root, tmp_path, **options):
    with pytest.warns(UserWarning, match="do not compare with published tables"):
        return data.load("timit", root, tmp_path / "cache", **options)


def names_of(sounds, split, label="speaker"):
    found = sounds.split(split).labels[label]
    return {found.classes[value] for value in found.values}


def test_tree(tree, tmp_path):
    sounds = load(tree, tmp_path)
    assert sounds.x.shape[1:] == (20, 80) and sounds.sampling_rate == 100
    assert sounds.sound.sampling_rate == 16000
    assert names_of(sounds, "train") == set(TRAINED)
    assert names_of(sounds, "validation") == set(VALIDATED) and names_of(sounds, "test") == set(TESTED)
    assert len(np.unique(sounds.groups)) == 7 * 4  # without the SA sentences
    assert names_of(sounds, "train", "sex") == {"female", "male"}
    assert names_of(sounds, "train", "region") == {"1", "2", "3"}
    assert list(sounds.heads) == ["speaker"] and sounds.labels["speaker"].kind == "static"


@pytest.mark.parametrize("form", [{"capitals": False}, {"riff": True}, {"capitals": False, "riff": True}])
def test_either_case_and_either_form_give_the_same(tree, tmp_path, form):
    write_timit(tmp_path / "other", **form)
    ours, other = load(tree.parent, tmp_path), load(tmp_path / "other", tmp_path)
    assert np.array_equal(ours.x, other.x) and ours.fingerprint == other.fingerprint


def test_a_sound_that_is_there_twice_is_taken_once(tree, tmp_path):
    write_timit(tmp_path / "both", both=True)
    found = standard_splits(
        path.relative_to(tmp_path).as_posix() for path in (tmp_path / "both").rglob("*") if path.is_file()
    )
    assert {name: len(files) for name, files in found.items()} == {"train": 12, "validation": 8, "test": 8}
    assert all(name.endswith(".WAV.wav") for files in found.values() for name in files)
    ours, both = load(tree, tmp_path), load(tmp_path / "both", tmp_path)
    loud = ours.scaling.mean > -8  # the others hold little more than what 16 bits cannot tell
    fall = (ours.scaling.mean - both.scaling.mean)[loud]
    assert loud.sum() > 10 and np.abs(fall - 2 * np.log(2)).max() < 0.05  # the RIFF file is half as loud


def test_utterances(tree, tmp_path):
    sounds = load(tree, tmp_path, segment="utterance", features="spec200")
    # k * 480 + 240 samples hold 3k frames of 400 samples every 160
    assert sorted(set(sounds.lengths)) == [3 * k for k in range(8, 15)]
    assert sounds.x.shape == (28, 42, 200)


def code(number):
    """A name of three letters."""
    return "".join(chr(97 + number // 26**place % 26) for place in range(3))


def test_counts_on_the_lists_of_the_real_size():
    """630 speakers, ten sentences each: 462 in TRAIN; in TEST the core 24, the development 50 and 94 others."""
    core, development = timit.CORE_TEST.split(), timit.DEVELOPMENT.split()
    speakers = [("TRAIN", f"{'FM'[n % 3 > 0]}{code(n).upper()}0") for n in range(462)]
    speakers += [("TEST", name.upper()) for name in core + development]
    speakers += [("TEST", f"M{code(5000 + n).upper()}9") for n in range(94)]
    sentences = ["SA1", "SA2", *(f"SI{n}" for n in range(3)), *(f"SX{n}" for n in range(5))]
    names = [
        f"timit/{usage}/DR{1 + n % 8}/{speaker}/{sentence}.{ending}"
        for n, (usage, speaker) in enumerate(speakers)
        for sentence, ending in itertools.product(sentences, ("WAV", "PHN", "TXT", "WRD"))
    ]
    assert len(names) == 4 * 6300
    splits = standard_splits(names)
    assert {name: len(files) for name, files in splits.items()} == timit.COUNTS
    assert timit.COUNTS == {"train": 3696, "validation": 400, "test": 192}
    owners = {name: {file.split("/")[3] for file in files} for name, files in splits.items()}
    assert {name: len(owner) for name, owner in owners.items()} == {
        "train": 462,
        "validation": 50,
        "test": 24,
    }
    assert not owners["train"] & owners["test"] and not owners["validation"] & owners["test"]
    assert not any("/SA" in file for files in splits.values() for file in files)
    small = standard_splits(name.lower() for name in names)
    assert {name: len(files) for name, files in small.items()} == timit.COUNTS
    pairs = 192 * 191 // 2, 24 * 8 * 7 // 2  # of the protocol: all, and those of one speaker
    assert pairs == (18336, 672)


def test_the_lists_of_speakers():
    core, development = timit.CORE_TEST.split(), timit.DEVELOPMENT.split()
    assert len(set(core)) == len(core) == 24 and len(set(development)) == len(development) == 50
    assert not set(core) & set(development)
    assert sum(name.startswith("f") for name in core) == 8  # two men and a woman of each region


def test_a_folder_called_train_above_the_tree_changes_nothing(tree, tmp_path):
    """The authors' code looks for "train" anywhere in the path."""
    names = [path.relative_to(tree).as_posix() for path in tree.rglob("*.WAV")]
    above = standard_splits(f"train/{name}" for name in names)
    assert {
        split: [f"train/{name}" for name in files] for split, files in standard_splits(names).items()
    } == above


def test_refused(tree, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"TIMIT is not free.*LDC93S1.*--data\.root"):
        data.load("timit")
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        data.load("timit", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"does not hold TIMIT's tree; files such as TRAIN/DR1"):
        data.load("timit", tmp_path / "empty")
    with (
        pytest.warns(UserWarning, match="13 train recordings of 3 speakers"),
        pytest.raises(ValueError, match="no recordings for the validation split"),
    ):
        write_wav(tmp_path / "part" / "train" / "dr1" / "fcjf0" / "sx1.wav", tone(100))
        for name in timit_paths():
            if name.startswith("train"):
                write_wav(tmp_path / "part" / name, tone(100))
        data.load("timit", tmp_path / "part")
    write_wav(tmp_path / "one" / "train" / "dr1" / "fcjf0" / "sx1.wav", tone(100))
    with pytest.raises(ValueError, match=r"all train recordings .* are of fcjf0; at least two speakers"):
        data.load("timit", tmp_path / "one")
    with pytest.raises(ValueError, match="timit has nothing to download; order LDC93S1"):
        data.fetch("timit")


def test_compressed_files_are_refused(tmp_path):
    write_timit(tmp_path / "disc")
    bad = tmp_path / "disc" / "TEST" / "DR1" / "MDAB0" / "SX127.WAV"
    write_sphere(bad, tone(100), coding="pcm,embedded-shorten-v2.00")
    with (
        pytest.warns(UserWarning, match="do not compare with published tables"),
        pytest.raises(ValueError, match=r"SX127\.WAV: is compressed with shorten"),
    ):
        data.load("timit", tmp_path / "disc", tmp_path / "cache")
