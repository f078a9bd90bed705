import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from raw_files import write_fsdd
from sound_files import tone, write_wav

import unbraid.data.load as data
from unbraid.data.features import Sound
from unbraid.data.formats.sounds import read_audio
from unbraid.data.formats.spectra import to_features, to_waveform
from unbraid.data.sets import fsdd

REAL = os.environ.get("UNBRAID_DATA")
needs_data = [
    pytest.mark.real_data,
    pytest.mark.skipif(REAL is None, reason="UNBRAID_DATA is unset: needs the real recordings"),
]
FEW = {"test": 3, "validation": 7, "train": 10}  # one index of each split


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fsdd") / "recordings"
    write_fsdd(folder)
    (folder / "readme.txt").write_text("not a recording")
    return folder


@pytest.fixture(autouse=True)
def only_few(monkeypatch):
    monkeypatch.setattr(fsdd, "RECORDINGS", 36)


def load(recordings, tmp_path, **options):
    return fsdd.load(recordings, tmp_path / "cache", features="mel40", **options)


def files_of(recordings):
    return sorted(recordings.glob("*.wav"))


def frames_of(speaker, digit):
    """Whole frames of 200 samples every 80."""
    return 12 + 6 * fsdd.SPEAKERS.index(speaker) + digit


def test_segments(recordings, tmp_path):
    sounds = load(recordings, tmp_path)
    assert sounds.x.dtype == np.float32 and sounds.x.shape[1:] == (20, 40)
    assert sounds.sampling_rate == 100 and sounds.sound == Sound("mel40", 8000)
    assert len(sounds.feature_names) == len(sounds.units) == 40
    # speaker k has 12 + 6k (+1) frames: no whole segment, none, one, one, one, two
    assert {name: len(rows) for name, rows in sounds.splits.items()} == dict.fromkeys(sounds.splits, 14)
    speakers, digits = sounds.labels["speaker"], sounds.labels["digit"]
    assert speakers.kind == "static" and speakers.classes == fsdd.SPEAKERS
    assert digits.kind == "dynamic" and np.bincount(speakers.values).tolist() == [6, 6, 6, 6, 6, 12]
    for row in range(len(sounds)):
        frames = frames_of(speakers.classes[speakers.values[row]], int(digits.classes[digits.values[row]]))
        assert sounds.lengths[row] == min(frames, 20)
    assert len(np.unique(sounds.groups)) == 36
    mask = sounds.batch(slice(None)).mask
    assert np.array_equal(mask.sum(1).numpy(), sounds.lengths)


def test_values_are_the_features_of_the_files(recordings, tmp_path):
    sounds = load(recordings, tmp_path, segment="utterance")
    for name, index in FEW.items():
        row = sounds.splits[name][-1]
        speaker = sounds.labels["speaker"].classes[sounds.labels["speaker"].values[row]]
        digit = int(sounds.labels["digit"].classes[sounds.labels["digit"].values[row]])
        samples = read_audio(recordings / f"{digit}_{speaker}_{index}.wav").samples
        expected = to_features(torch.from_numpy(samples)[None], "mel40", 8000)[0].numpy()
        raw = sounds.scaling.invert(sounds.x[row, : sounds.lengths[row]])
        assert raw.shape == expected.shape and np.abs(raw - expected).max() < 1e-3
        assert not sounds.x[row, sounds.lengths[row] :].any()


def test_scaling_is_learned_on_train_alone(recordings, tmp_path):
    sounds = load(recordings, tmp_path, segment="utterance").split("train")
    inside = np.arange(sounds.steps) < sounds.lengths[:, None]
    assert np.abs(sounds.x[inside].mean(0)).max() < 1e-4 and np.abs(sounds.x[inside].std(0) - 1).max() < 1e-3


def test_what_is_tested_does_not_reach_the_scaling(recordings, tmp_path):
    before = load(recordings, tmp_path)
    louder = tmp_path / "louder"
    write_fsdd(louder)
    for speaker in fsdd.SPEAKERS:
        write_wav(louder / f"0_{speaker}_{FEW['test']}.wav", tone(333, 3000, level=0.9))
        write_wav(louder / f"0_{speaker}_{FEW['validation']}.wav", tone(333, 3000, level=0.9))
    after = load(louder, tmp_path)
    assert np.array_equal(before.scaling.mean, after.scaling.mean)
    assert before.fingerprint != after.fingerprint


def test_utterances_cut_at_a_length(recordings, tmp_path):
    sounds = load(recordings, tmp_path, segment="utterance", steps=25)
    assert sounds.steps <= 25
    assert sum(sounds.lengths) == sum(load(recordings, tmp_path, segment="utterance").lengths)
    assert load(recordings, tmp_path, steps=10).steps == 10


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_folds_hold_two_speakers_out(recordings, tmp_path, fold):
    sounds = load(recordings, tmp_path, fold=fold, segment="utterance")
    names = np.array(sounds.labels["speaker"].classes)
    said = {split: set(names[sounds.split(split).labels["speaker"].values]) for split in sounds.splits}
    assert said["test"] == set(fsdd.SPEAKERS[2 * fold : 2 * fold + 2])
    assert said["train"] == said["validation"] == set(fsdd.SPEAKERS) - said["test"]
    # all of the held-out speakers' recordings; of the others 5 to 9 validate, the rest trains
    assert {name: len(rows) for name, rows in sounds.splits.items()} == {
        "train": 4 * 2 * 2,
        "validation": 4 * 2,
        "test": 2 * 2 * 3,
    }


def test_splits_follow_the_index(recordings):
    splits = fsdd._splits(files_of(recordings), None)
    assert {name: {fsdd._parts(path)[2] for path in files} for name, files in splits.items()} == {
        "train": {10},
        "validation": {7},
        "test": {3},
    }


def test_a_second_start_reads_no_sound(recordings, tmp_path, monkeypatch):
    first = load(recordings, tmp_path)
    monkeypatch.setattr("unbraid.data.formats.sounds.read_audio", lambda *_: pytest.fail("read again"))
    again = load(recordings.parent, tmp_path)
    assert again.fingerprint == first.fingerprint and again.sound == first.sound
    assert np.array_equal(again.groups, first.groups)


def test_refused(recordings, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no folder .*nowhere.*unbraid data fetch fsdd.*--data\.root"
    ):
        load(tmp_path / "nowhere", tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no recordings of FSDD"):
        load(tmp_path, tmp_path)
    for option in ({"segment": "word"}, {"steps": 1}, {"fold": 3}):
        with pytest.raises(ValueError, match=next(iter(option))):
            load(recordings, tmp_path, **option)
    with pytest.raises(ValueError, match="features: no kind is called 'mel8'"):
        fsdd.load(recordings, tmp_path, features="mel8")
    one = tmp_path / "one"
    write_fsdd(one, speakers=("theo",))
    with pytest.raises(ValueError, match="are of theo; at least two speakers are needed"):
        load(one, tmp_path)
    part = tmp_path / "part"
    write_fsdd(part, indices=(0, 12))
    with (
        pytest.warns(UserWarning, match="holds 24 recordings of 6 speakers"),
        pytest.raises(ValueError, match="no recording for the validation split"),
    ):
        load(part, tmp_path)


def test_a_bad_file_is_named_and_nothing_is_left(tmp_path):
    write_fsdd(tmp_path / "own")
    write_wav(tmp_path / "own" / "1_lucas_10.wav", tone(200, 250))
    with pytest.raises(ValueError, match=r"1_lucas_10\.wav: lasts 31 ms, too short for two frames"):
        load(tmp_path / "own", tmp_path)
    (tmp_path / "own" / "1_lucas_10.wav").write_text("no sound")
    with pytest.raises(ValueError, match=r"1_lucas_10\.wav: is damaged or not audio"):
        load(tmp_path / "own", tmp_path)
    assert not [p for p in (tmp_path / "cache").iterdir() if not p.name.endswith(".lock")]


def test_what_was_done_to_files_is_said_once(tmp_path):
    write_fsdd(tmp_path / "own")
    for index in FEW.values():
        write_wav(tmp_path / "own" / f"0_theo_{index}.wav", tone(200, 8000, 16000), 16000)
    with pytest.warns(UserWarning, match=r"0_theo_10\.wav, and 2 more: resampled from 16000 to 8000") as said:
        load(tmp_path / "own", tmp_path)
    assert len(said) == 1


def pack(recordings, target):
    with tarfile.open(target, "w:gz") as archive:
        archive.add(recordings, "free-spoken-digit-dataset-1.0.10/recordings")


def test_fetch(tmp_path, recordings, serve, monkeypatch):
    monkeypatch.setattr(fsdd, "CONTENT", fsdd._content(files_of(recordings)))
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    (tmp_path / "served").mkdir()
    pack(recordings, tmp_path / "served" / "archive.tar.gz")
    with serve(tmp_path / "served") as (address, asked):
        monkeypatch.setattr(fsdd, "ARCHIVE", f"{address}/archive.tar.gz")
        target = data.fetch("fsdd")
        assert target == tmp_path / "cache" / "downloads" / "fsdd" and len(asked) == 1
        assert [path.name for path in target.iterdir()] == ["recordings"]
        for path in files_of(recordings):
            assert (target / "recordings" / path.name).read_bytes() == path.read_bytes()
        assert len(list((target / "recordings").iterdir())) == 36  # and nothing else of the archive
        data.fetch("fsdd")
        assert len(asked) == 1  # what is there and whole is kept
        assert len(data.load("fsdd", segment="utterance")) == 36

        (target / "recordings" / "0_theo_3.wav").write_bytes(b"half")
        data.fetch("fsdd")
        assert len(asked) == 2 and fsdd._content(files_of(target / "recordings")) == fsdd.CONTENT


def test_fetch_refuses_other_recordings(tmp_path, recordings, serve):
    (tmp_path / "served").mkdir()
    archive = tmp_path / "served" / "archive.tar.gz"
    pack(recordings, archive)
    with serve(tmp_path / "served") as (address, _):
        with pytest.raises(ValueError, match="does not hold the published recordings"):
            fsdd.fetch(tmp_path / "a", url=f"{address}/archive.tar.gz")
        archive.write_bytes(b"no archive")
        with pytest.raises(ValueError, match="is damaged or no archive"):
            fsdd.fetch(tmp_path / "b", url=f"{address}/archive.tar.gz")
        with pytest.raises(ConnectionError, match=r"cannot download .*missing.*--data\.root"):
            fsdd.fetch(tmp_path / "c", url=f"{address}/missing.tar.gz")


def test_names():
    assert data.info("fsdd").licence == "CC BY-SA 4.0"
    assert data.option_names("fsdd") == ["features", "segment", "steps", "fold", "other_voices"]


def floor_error_rate(sounds, kind):
    """Equal error rate of utterance means of the scaled features, over all pairs of test utterances."""
    test = sounds.split("test")
    batch = test.batch(slice(None))
    total = batch.x.sum(1).numpy(), batch.mask.sum(1).numpy()
    groups = np.unique(test.groups)
    means = np.stack([total[0][test.groups == g].sum(0) / total[1][test.groups == g].sum() for g in groups])
    speaker, digit = (
        np.array([test.labels[name].values[test.groups == g][0] for g in groups])
        for name in ("speaker", "digit")
    )
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    one, other = np.triu_indices(len(means), 1)
    chosen = {"all": one >= 0, "same digit": digit[one] == digit[other]}[kind]
    score, same = (
        (means @ means.T)[one, other][chosen],
        (speaker[one] == speaker[other])[chosen],
    )
    same = same[np.argsort(score)]
    missed, accepted = np.cumsum(same) / same.sum(), 1 - np.cumsum(~same) / (~same).sum()
    return 50 * (missed + accepted)[np.argmin(np.abs(missed - accepted))]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


class TestRealRecordings:
    pytestmark = needs_data

    @pytest.fixture(autouse=True)
    def all_of_them(self, monkeypatch, only_few):
        monkeypatch.setattr(fsdd, "RECORDINGS", 3000)

    def test_the_recordings_are_the_published_ones(self):
        assert fsdd._content(fsdd._recordings(Path(REAL) / "fsdd", None)) == fsdd.CONTENT

    def test_counts(self, cache, recwarn):
        """Counted apart from this code: 4367 whole segments for training, 487 for testing, 59 and 5 too short."""
        sounds = data.load("fsdd", Path(REAL) / "fsdd", cache)
        assert not recwarn.list
        training = len(sounds.splits["train"]) + len(sounds.splits["validation"])
        assert training == 4367 + 59 and len(sounds.splits["test"]) == 487 + 5
        short = sounds.lengths < 20
        assert short.sum() == 64 and short[sounds.splits["test"]].sum() == 5
        assert len(np.unique(sounds.groups)) == 3000

    def test_utterances_and_their_floor(self, cache):
        sounds = data.load("fsdd", Path(REAL) / "fsdd", cache, segment="utterance")
        assert {name: len(rows) for name, rows in sounds.splits.items()} == {
            "train": 2400,
            "validation": 300,
            "test": 300,
        }
        assert sounds.lengths.max() == sounds.steps == 226
        assert floor_error_rate(sounds, "all") == pytest.approx(23.2, abs=0.3)
        assert floor_error_rate(sounds, "same digit") == pytest.approx(11.0, abs=0.3)

    def test_a_recording_is_heard_again(self, cache):
        sounds = data.load("fsdd", Path(REAL) / "fsdd", cache, segment="utterance")
        raw = torch.from_numpy(sounds.scaling.invert(sounds.x[7, : sounds.lengths[7]]))
        heard = to_waveform(raw, sounds.sound.kind, sounds.sound.sampling_rate)
        again = to_features(heard[None], "mel80", 8000)[0]
        assert (again - raw).abs().mean() < 0.1 * raw.std()
