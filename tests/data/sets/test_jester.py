import shutil

import numpy as np
import pytest
from raw_files import GESTURES, write_jester

import unbraid.data.load as data

OPTIONS = {"size": 16, "steps": 5}


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    return write_jester(tmp_path_factory.mktemp("jester"))


@pytest.fixture
def mine(handed_out, tmp_path):
    return shutil.copytree(handed_out, tmp_path / "jester")


def test_clips_gestures_and_splits(handed_out, tmp_path):
    clips = data.load("jester", handed_out, tmp_path, **OPTIONS)
    assert clips.x.shape == (14, 5, 3, 16, 16)
    assert {name: len(rows) for name, rows in clips.splits.items()} == {
        "train": 9,
        "validation": 1,
        "test": 4,
    }
    gesture = clips.labels["gesture"]
    assert (gesture.kind, gesture.classes) == ("dynamic", GESTURES)
    for row in range(14):
        number = round(clips.x[row, 0, 0, 8, 0] / 15)  # the left edge is still seen
        assert gesture.classes[gesture.values[row]] == GESTURES[number % 3]
        assert (number > 10) == (row in clips.splits["test"])
        seen = clips.x[row, :, 0, 8, 8].astype(int)
        assert np.abs(seen - [0, 20, 40, 60, 80]).max() < 4  # first to last of nine frames, evenly spaced


def test_some_gestures_only(handed_out, tmp_path):
    clips = data.load("jester", handed_out, tmp_path, gestures=["Thumb Up", "Swiping Left"], **OPTIONS)
    assert clips.labels["gesture"].classes == ("Thumb Up", "Swiping Left")
    assert len(clips) == sum(number % 3 != 2 for number in range(1, 15))
    with pytest.raises(ValueError, match=r"no gesture 'Thumbs Up'; did you mean 'Thumb Up'"):
        data.load("jester", handed_out, tmp_path, gestures=["Thumbs Up"], **OPTIONS)


def test_the_same_clips_every_time(handed_out, tmp_path):
    one = data.load("jester", handed_out, tmp_path / "a", **OPTIONS)
    two = data.load("jester", handed_out, tmp_path / "b", **OPTIONS)
    assert one.fingerprint == two.fingerprint


def test_without_the_files_it_says_where_to_ask(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"root: .*qualcomm.*--data\.root"):
        data.load("jester", None, tmp_path)
    with pytest.raises(FileNotFoundError, match="root: there is no folder"):
        data.load("jester", tmp_path / "nowhere", tmp_path)
    assert "qualcomm" in data.info("jester").obtain


def test_a_missing_list_is_named(mine, tmp_path):
    (mine / "jester-v1-validation.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file .*jester-v1-validation\.csv"):
        data.load("jester", mine, tmp_path / "cache", **OPTIONS)


def test_a_missing_clip_is_named(mine, tmp_path):
    shutil.rmtree(mine / "20bn-jester-v1" / "3")
    with pytest.raises(FileNotFoundError, match=r"has no folder 3 \(1 of the 14 clips"):
        data.load("jester", mine, tmp_path / "cache", **OPTIONS)


def test_an_unlabelled_clip_is_refused(mine, tmp_path):
    (mine / "jester-v1-test.csv").write_text("16\n")
    with pytest.raises(ValueError, match=r"20bn-jester-v1.15: has no line in jester-v1-train\.csv"):
        data.load("jester", mine, tmp_path / "cache", **OPTIONS)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("17;", r"line 11 is '17;'; it must be NUMBER;GESTURE"),
        ("17;Thumb Upp", "line 11 names the gesture 'Thumb Upp'; did you mean 'Thumb Up'"),
    ],
)
def test_a_wrong_line_is_named(mine, tmp_path, line, message):
    with open(mine / "jester-v1-train.csv", "a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=message):
        data.load("jester", mine, tmp_path / "cache", **OPTIONS)


def test_a_damaged_frame_is_named(mine, tmp_path):
    file = mine / "20bn-jester-v1" / "7" / "00009.jpg"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"7.00009\.jpg: is damaged or no image"):
        data.load("jester", mine, tmp_path / "cache", **OPTIONS)


def test_a_clip_too_short_is_refused(mine, tmp_path):
    for file in sorted((mine / "20bn-jester-v1" / "12").iterdir())[4:]:
        file.unlink()
    with pytest.raises(ValueError, match="12: has 4 frames; a clip needs 5"):
        data.load("jester", mine, tmp_path / "cache", **OPTIONS)
