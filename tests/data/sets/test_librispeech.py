"""LibriSpeech's tree of FLAC files: splits, labels, features, and the errors for wrong trees."""

import shutil

import numpy as np
import pytest
import raw_files
import soundfile
import torch

import unbraid.data.load as data
from unbraid.data.formats.spectra import to_features
from unbraid.data.sets import librispeech
from unbraid.data.sets.librispeech import splits_of
from unbraid.evaluation.verification import evaluate_verification
from unbraid.models.build import build_model

DEV, TEST = raw_files.READERS["dev-clean"], raw_files.READERS["test-clean"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return raw_files.write_librispeech(tmp_path_factory.mktemp("tree") / "LibriSpeech")


def load(root, tmp_path, **options):
    with pytest.warns(UserWarning, match="do not compare with published tables"):
        return data.load("librispeech", root, tmp_path / "cache", **options)


def names_of(sounds, split, label="speaker"):
    found = sounds.split(split).labels[label]
    return {found.classes[value] for value in found.values}


def test_tree(tree, tmp_path):
    sounds = load(tree, tmp_path)
    assert sounds.x.shape[1:] == (20, 80) and sounds.sampling_rate == 100
    assert names_of(sounds, "test") == {str(speaker) for speaker in TEST}
    assert names_of(sounds, "validation") == {"652", "1919"}
    assert names_of(sounds, "train") == {str(speaker) for speaker in DEV} - {"652", "1919"}
    assert len(np.unique(sounds.groups)) == 4 * (len(DEV) + len(TEST))
    # 45 and 55 frames and a rest: two segments each
    assert len(sounds) == 8 * (len(DEV) + len(TEST))
    assert list(sounds.heads) == ["speaker"]
    assert sounds.labels["sex"].classes == ("female", "male")
    sex = dict(zip(sounds.labels["speaker"].values, sounds.labels["sex"].values, strict=True))
    speakers = sounds.labels["speaker"].classes
    assert {speakers[key]: "FM"[value] for key, value in sex.items()} == {
        str(speaker): "FM"[place % 2] for group in (DEV, TEST) for place, speaker in enumerate(group)
    }


def test_values_are_the_features_of_the_files(tree, tmp_path):
    sounds = load(tree.parent, tmp_path, segment="utterance")
    row = sounds.splits["test"][0]
    samples, rate = soundfile.read(
        tree / "test-clean" / "121" / "1121" / "121-1121-0000.flac", dtype="float32"
    )
    expected = to_features(torch.from_numpy(samples)[None], "mel80", rate)[0].numpy()
    raw = sounds.scaling.invert(sounds.x[row, : sounds.lengths[row]])
    assert raw.shape == expected.shape and np.abs(raw - expected).max() < 1e-3


def test_without_the_table_of_speakers_there_is_no_sex(tree, tmp_path):
    other = raw_files.write_librispeech(tmp_path / "LibriSpeech", table=False)
    sounds = load(other, tmp_path)
    assert list(sounds.labels) == ["speaker"]
    assert np.array_equal(sounds.x, load(tree, tmp_path).x)


def test_splits_of_the_real_size():
    """40 speakers in each set: 32 train, 8 validate, 40 test; no speaker is in two splits."""
    names = [
        f"LibriSpeech/{source}/{speaker}/{chapter}/{speaker}-{chapter}-{utterance:04d}.flac"
        for source, first in (("dev-clean", 100), ("test-clean", 1000))
        for speaker in range(first, first + 40 * 7, 7)
        for chapter in (5, 6)
        for utterance in range(3)
    ]
    others = ["LibriSpeech/dev-clean/84/1/84-1.trans.txt", "LibriSpeech/train-clean-100/3/1/3-1-0000.flac"]
    splits = splits_of([*names, *others])
    assert sorted(name for files in splits.values() for name in files) == sorted(names)
    speakers = {split: {name.split("/")[2] for name in files} for split, files in splits.items()}
    assert {split: len(found) for split, found in speakers.items()} == {
        "train": 32,
        "validation": 8,
        "test": 40,
    }
    assert not speakers["train"] & speakers["validation"]


def test_the_verification_protocol_runs_on_it(tree, tmp_path):
    sounds = load(tree, tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("fhvae", sounds.observation, static_size=4, dynamic_size=4, width=8, hidden=8)
    scores = evaluate_verification(model, sounds, resamples=10)
    assert scores["protocol"]["recordings"] == 12 and scores["protocol"]["pairs"] == 66
    assert scores["protocol"]["pairs_of_one_speaker"] == 18
    assert 0 <= scores["static_eer"]["mean"] <= 1 and "content" in scores["left_out"]


def test_the_card_says_where_to_get_it(capsys):
    from unbraid.cli.data import main

    assert main(["info", "librispeech"]) == 0
    told = capsys.readouterr().out
    assert "https://www.openslr.org/12" in told and "dev-clean.tar.gz" in told and "CC BY 4.0" in told


def test_refused(tree, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"root: LibriSpeech is not downloaded; download dev-clean"):
        data.load("librispeech")
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        data.load("librispeech", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"does not hold LibriSpeech's tree; files such as dev-clean/84"
    ):
        data.load("librispeech", tmp_path / "empty")
    shutil.copytree(tree / "dev-clean", tmp_path / "part" / "dev-clean")
    with pytest.raises(ValueError, match=r"holds 0 speakers for the test split .* unpack all of test-clean"):
        data.load("librispeech", tmp_path / "part")
    shutil.copytree(tree / "test-clean", tmp_path / "part" / "test-clean")
    (tmp_path / "part" / "SPEAKERS.TXT").write_text("84 | F | dev-clean | 8.0 | A Reader\n")
    with (
        pytest.warns(UserWarning, match="do not compare"),
        pytest.raises(ValueError, match=r"SPEAKERS\.TXT: does not say whether speaker \d+ is F or M"),
    ):
        data.load("librispeech", tmp_path / "part", tmp_path / "cache")
    (tmp_path / "part" / "SPEAKERS.TXT").unlink()
    broken = tmp_path / "part" / "test-clean" / "61" / "1061" / "61-1061-0000.flac"
    broken.write_bytes(broken.read_bytes()[:200])
    with (
        pytest.warns(UserWarning, match="do not compare"),
        pytest.raises(ValueError, match=r"61-1061-0000\.flac"),
    ):
        data.load("librispeech", tmp_path / "part", tmp_path / "cache")
    with pytest.raises(ValueError, match="librispeech has nothing to download"):
        data.fetch("librispeech")


def test_the_published_counts():
    assert librispeech.COUNTS == {"dev-clean": 2703, "test-clean": 2620}
