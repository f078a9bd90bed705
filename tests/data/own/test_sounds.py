import numpy as np
import pytest
from sound_files import tone, write_sphere, write_wav

import unbraid.data.load as data
from unbraid.cli import main
from unbraid.data.own.sounds import holds_sound, load_sounds
from unbraid.training import open_run


@pytest.fixture
def wavs(tmp_path):
    """Two speakers say two words three times; 30 whole frames each."""
    folder = tmp_path / "own"
    for pitch, speaker in ((120, "ann"), (200, "bob")):
        for word in ("one", "two"):
            for index in range(3):
                write_wav(folder / f"{word}_{speaker}_{index}.wav", tone(pitch + index, 80 * 29 + 200))
    return folder


def load(folder, tmp_path, **options):
    return load_sounds(folder, cache=tmp_path / "cache", features="mel40", **options)


PATTERN = "{word}_{speaker}_{index}"


def test_labels_from_names(wavs, tmp_path):
    sounds = load(wavs, tmp_path, pattern=PATTERN, dynamic_labels="word")
    assert sounds.x.shape == (12, 20, 40) and sounds.lengths is None and sounds.name == "own"
    assert list(sounds.labels) == ["word", "speaker"]  # the index only tells files apart
    assert sounds.labels["word"].kind == "dynamic" and sounds.labels["speaker"].kind == "static"
    assert sounds.labels["speaker"].classes == ("ann", "bob")
    assert sorted(map(len, sounds.splits.values())) == [1, 1, 10]
    assert sounds.sampling_rate == 100 and sounds.sound.sampling_rate == 8000
    strongest = sounds.scaling.invert(sounds.x).mean(1).argmax(1)
    ann = sounds.labels["speaker"].values == 0
    assert strongest[ann].max() < strongest[~ann].min()  # labels lie beside their sounds


def test_segments_and_utterances(wavs, tmp_path):
    segments = load(wavs, tmp_path, steps=10)
    assert segments.x.shape == (36, 10, 40) and np.bincount(segments.groups).tolist() == [3] * 12
    for rows in segments.splits.values():  # a recording's segments stay together
        assert len(rows) == 3 * len(np.unique(segments.groups[rows]))
    whole = load(wavs, tmp_path, segment="utterance")
    assert whole.x.shape == (12, 30, 40)


def test_other_voices_are_cut_as_the_recordings(wavs, tmp_path):
    sounds = load(wavs, tmp_path, steps=10, other_voices=3)
    plain = load(wavs, tmp_path, steps=10)
    assert sounds.other_voices.shape == (36, 3, 10, 40) and sounds.fingerprint == plain.fingerprint
    np.testing.assert_array_equal(sounds.x, plain.x)
    strongest = sounds.scaling.invert(sounds.other_voices.astype(np.float32)).mean(2).argmax(2)
    assert len(np.unique(strongest)) > 6  # tones of other pitches
    with pytest.raises(ValueError, match="other_voices: are computed of mel bands"):
        load_sounds(wavs, cache=tmp_path / "cache", features="linear201", other_voices=3)


def test_pattern_over_the_path_and_groups(tmp_path):
    for speaker in ("ann", "bob", "cy"):
        for take in range(3):
            write_sphere(tmp_path / "own" / speaker / f"take-{take}.sph", tone(150), 8000)
    sounds = load(tmp_path / "own", tmp_path, pattern="{group}/take-{take}")
    assert list(sounds.labels) == ["take"]
    assert all(len(rows) == 6 for rows in sounds.splits.values())  # 2 segments of 3 takes: a speaker each
    by_folder = load(tmp_path / "own", tmp_path)
    assert by_folder.labels["class"].classes == ("ann", "bob", "cy")


def test_labels_from_a_csv(wavs, tmp_path):
    lines = [f"{path.name},{path.stem.split('_')[1]},{path.stem[-1]}" for path in sorted(wavs.iterdir())]
    table = tmp_path / "labels.csv"
    table.write_text("file,speaker,group\n" + "\n".join(lines))
    sounds = load(wavs, tmp_path, labels=table)
    assert list(sounds.labels) == ["speaker"]
    assert all(len(rows) == 4 for rows in sounds.splits.values())
    table.write_text("file,speaker,group\n" + "\n".join(lines[1:]))
    with pytest.raises(ValueError, match=r"has no line for 'one_ann_0\.wav'"):
        load(wavs, tmp_path, labels=table)


def test_rates_are_brought_to_that_of_most_files_and_said(wavs, tmp_path):
    write_wav(wavs / "one_bob_1.wav", tone(200, 8000, 16000), 16000)
    write_wav(wavs / "two_bob_1.wav", np.stack([tone(200), tone(300)], 1))
    with pytest.warns(UserWarning) as said:
        sounds = load(wavs, tmp_path)
    told = sorted(str(warning.message) for warning in said)
    assert len(told) == 2 and sounds.sound.sampling_rate == 8000
    assert told[0].endswith("one_bob_1.wav: resampled from 16000 to 8000 Hz")
    assert told[1].endswith("two_bob_1.wav: mixed down from 2 channels")
    with (
        pytest.warns(UserWarning, match="mixed down from 2 channels"),
        pytest.warns(UserWarning, match="and 10 more: resampled from 8000 to 16000 Hz"),
    ):
        assert load(wavs, tmp_path, sampling_rate=16000).sound.sampling_rate == 16000


def test_short_files_are_padded_and_said(wavs, tmp_path):
    write_wav(wavs / "one_ann_1.wav", tone(120, 80 * 9 + 200))
    with pytest.warns(UserWarning, match=r"one_ann_1\.wav: shorter than a segment of 20 frames; padded"):
        sounds = load(wavs, tmp_path, pattern=PATTERN)
    (short,) = np.flatnonzero(sounds.lengths < 20)
    assert sounds.lengths[short] == 10 and not sounds.batch(np.array([short])).mask[0, 10:].any()


def test_clipping_is_said(wavs, tmp_path):
    write_wav(wavs / "one_ann_1.wav", np.clip(9 * tone(120), -1, 1))
    with pytest.warns(UserWarning, match=r"one_ann_1\.wav: clipped"):
        load(wavs, tmp_path)


def test_refused(wavs, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        load(tmp_path / "nowhere", tmp_path)
    with pytest.raises(
        ValueError, match=r"one_ann_0\.wav is one file; give a folder of at least 3 sound files"
    ):
        load(wavs / "one_ann_0.wav", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"holds 0 sound files; .* at least 3 of \.wav"):
        load(tmp_path / "empty", tmp_path)
    for pattern in ("word", "{a}_{a}_{index}"):
        with pytest.raises(ValueError, match=r"pattern: .* needs placeholders, each once"):
            load(wavs, tmp_path, pattern=pattern)
    with pytest.raises(ValueError, match="dynamic_labels: no label is called 'wort'; did you mean 'word'"):
        load(wavs, tmp_path, pattern=PATTERN, dynamic_labels=("wort",))
    with pytest.raises(ValueError, match="from the file names or from a CSV file; give one"):
        load(wavs, tmp_path, pattern=PATTERN, labels=tmp_path / "labels.csv")
    for option in ({"segment": "word"}, {"steps": 1}):
        with pytest.raises(ValueError, match=next(iter(option))):
            load(wavs, tmp_path, **option)
    write_wav(wavs / "hello.wav", tone(100))
    with pytest.raises(ValueError, match=r"pattern: hello\.wav does not match '\{word\}_"):
        load(wavs, tmp_path, pattern=PATTERN)
    assert not (tmp_path / "cache").exists()


def test_one_speaker_alone_is_refused(wavs, tmp_path):
    for path in wavs.glob("*_bob_*"):
        path.unlink()
    with pytest.raises(ValueError, match=r"all files in .*own are of one speaker, ann; at least two"):
        load(wavs, tmp_path, pattern=PATTERN)
    assert len(load(wavs, tmp_path)) == 6  # without that label there is nothing to tell apart


@pytest.mark.parametrize("content", [b"", b"no sound"])
def test_a_bad_file_is_named(wavs, tmp_path, content):
    (wavs / "two_ann_2.wav").write_bytes(content)
    with pytest.raises(ValueError, match=r"two_ann_2\.wav: is (an empty file|damaged or not audio)"):
        load(wavs, tmp_path)


def test_folders_of_sound_and_of_videos_are_told_apart(wavs, tmp_path):
    assert holds_sound(wavs) and holds_sound(wavs / "one_ann_0.wav")
    (wavs / "cover.png").write_bytes(b"a picture beside the sounds")
    assert holds_sound(wavs)
    videos = tmp_path / "videos"
    videos.mkdir()
    for place in range(3):
        (videos / f"{place}.mp4").write_bytes(b"")
        write_wav(videos / f"{place}.wav", tone(100))  # its sound beside each video
    assert not holds_sound(videos)
    assert "pattern" in data.option_names(wavs) and "size" in data.option_names(videos)


def test_one_way_in(wavs, tmp_path):
    options = {"pattern": PATTERN, "features": "mel40", "cache": tmp_path / "cache"}
    assert data.load(wavs, **options).fingerprint == load_sounds(wavs, **options).fingerprint
    with pytest.raises(ValueError, match=r"data\.size: .* has no such option"):
        data.load(wavs, size=64)


def test_train_on_a_folder_of_sounds(wavs, tmp_path, monkeypatch):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    arguments = ["--data", str(wavs), "--run", str(run), "--evaluate", "false", "--data.pattern", PATTERN]
    arguments += ["--data.dynamic_labels", "[word]", "--training.max_epochs", "1", "--training.device", "cpu"]
    for name in ("width", "features", "hidden", "static_size", "dynamic_size"):
        arguments += [f"--model.{name}", "4"]
    assert main(["train", *arguments]) == 0
    assert open_run(run).config["data"]["pattern"] == PATTERN
