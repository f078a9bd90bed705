import shutil
import warnings

import numpy as np
import pytest
from PIL import Image
from raw_files import SKINS, SUBJECTS, write_mug

pytest.importorskip("cv2", reason="needs the extra `faces`")

import unbraid.data.load as data
from unbraid.data.sets import mug

OPTIONS = {"subjects": 3, "size": 16, "fractions": (0.5, 0.25, 0.25)}


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    return write_mug(tmp_path_factory.mktemp("handed_out") / "subjects3")


@pytest.fixture
def mine(handed_out, tmp_path):
    shutil.copytree(handed_out, tmp_path / "mug")
    return tmp_path / "mug"


@pytest.fixture(scope="module")
def clips(handed_out, tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # every face is found
        return data.load("mug", handed_out, tmp_path_factory.mktemp("cache"), **OPTIONS)


def test_every_video_becomes_one_clip(clips):
    assert clips.x.shape == (6, 15, 3, 16, 16) and clips.x.dtype == np.uint8
    assert {name: len(rows) for name, rows in clips.splits.items()} == {
        "train": 2,
        "validation": 2,
        "test": 2,
    }
    subject, expression = clips.labels["subject"], clips.labels["expression"]
    assert (subject.kind, subject.classes) == ("static", SUBJECTS)
    assert (expression.kind, expression.classes) == ("dynamic", mug.EXPRESSIONS)
    seen = {
        (subject.classes[s], expression.classes[e])
        for s, e in zip(subject.values, expression.values, strict=True)
    }
    assert seen == {(s, e) for s in SUBJECTS for e in ("anger", "surprise")}


def test_the_face_fills_the_frame(clips):
    """The grey ground is cut away: the middle of the frame is skin of its subject, whoever stood where."""
    for row, number in enumerate(clips.labels["subject"].values):
        cheek = clips.x[row, :, :, 9, 6].astype(float).mean(0)
        assert np.abs(cheek - SKINS[SUBJECTS[number]]).max() < 25, (row, cheek)


def test_the_same_clips_every_time(handed_out, clips, tmp_path):
    again = data.load("mug", handed_out, tmp_path, **OPTIONS)
    assert again.fingerprint == clips.fingerprint
    other = data.load("mug", handed_out, tmp_path, **OPTIONS, seed=1)
    assert other.fingerprint != clips.fingerprint


@pytest.mark.parametrize(("frames", "every", "starts"), [(15, 1, 1), (30, 1, 16), (31, 2, 3), (160, 2, 132)])
def test_frames_are_drawn_by_the_rule(frames, every, starts):
    generator = np.random.default_rng(0)
    drawn = np.stack([mug.clip_rows(frames, 15, generator) for _ in range(4000)])
    assert (np.diff(drawn, axis=1) == every).all()
    assert drawn.min() == 0 and drawn.max() == frames - 1
    assert len(np.unique(drawn[:, 0])) == starts


def test_a_clip_without_a_face_is_kept_and_named(mine, tmp_path):
    take = mine / "010" / "anger" / "take000"
    for file in take.iterdir():
        Image.new("RGB", (160, 120), (0, 128, 0)).save(file)
    with pytest.warns(UserWarning, match=r"no face was found in 1 of 6 clips.*010.anger.take000"):
        clips = data.load("mug", mine, tmp_path / "cache", **OPTIONS)
    assert len(clips) == 6
    green = [row for row in range(6) if np.ptp(clips.x[row].reshape(-1, 3, 256).mean((0, 2))) > 100]
    assert len(green) == 1


def test_frames_without_a_face_are_cropped_like_the_others(mine, tmp_path):
    take = mine / "001" / "anger" / "take000"
    files = sorted(take.iterdir())
    for file in files[::2]:
        Image.new("RGB", (160, 120), (0, 0, 200)).save(file)
    images = [Image.open(file) for file in files[:6]]
    whole = mug._face(mug._cascade(), images)
    assert whole == mug._face(mug._cascade(), images[1::2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.load("mug", mine, tmp_path / "cache", **OPTIONS)


def test_without_the_files_it_says_where_to_ask(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"root: .*mug\.ee\.auth\.gr.*--data\.root"):
        data.load("mug", None, tmp_path)
    with pytest.raises(FileNotFoundError, match="root: there is no folder"):
        data.load("mug", tmp_path / "nowhere", tmp_path)
    assert "mug.ee.auth.gr" in data.info("mug").obtain


def test_a_missing_subject_is_refused(mine, tmp_path):
    with pytest.raises(ValueError, match=r"root: .* holds 3 subjects with frames \(001, 002, 010\) of 52"):
        data.load("mug", mine, tmp_path / "cache", size=16)
    for file in (mine / "010").rglob("*.jpg"):
        file.unlink()
    with pytest.raises(ValueError, match=r"holds 2 subjects .* of 3; there is no frame in 010"):
        data.load("mug", mine, tmp_path / "cache", **OPTIONS)
    assert not (tmp_path / "cache").exists()


def test_a_damaged_frame_is_named(mine, tmp_path):
    for file in (mine / "002").rglob("*.jpg"):
        if "neutral" not in str(file):
            file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"002.*img_00\d\d\.jpg: is damaged or no image"):
        data.load("mug", mine, tmp_path / "cache", **OPTIONS)
    assert not list((tmp_path / "cache").glob("mug-*"))


def test_a_video_without_an_expression_is_refused(mine, tmp_path):
    (mine / "001" / "surprise").rename(mine / "001" / "suprise")
    with pytest.raises(ValueError, match=r"001.suprise.take000: has no expression.*did you mean 'surprise'"):
        data.load("mug", mine, tmp_path / "cache", **OPTIONS)


def test_a_video_too_short_for_a_clip_is_refused(mine, tmp_path):
    for file in sorted((mine / "001" / "anger" / "take000").iterdir())[14:]:
        file.unlink()
    with pytest.raises(ValueError, match=r"001.anger.take000: has 14 frames; a clip needs 15"):
        data.load("mug", mine, tmp_path / "cache", **OPTIONS)


def test_frames_of_two_sizes_are_refused(mine, tmp_path):
    for file in sorted((mine / "001" / "anger" / "take000").iterdir())[:16]:
        Image.new("RGB", (100, 100)).save(file)
    with pytest.raises(ValueError, match="differs in size"):
        data.load("mug", mine, tmp_path / "cache", **OPTIONS)


@pytest.mark.parametrize(("option", "value"), [("size", 20), ("steps", 1)])
def test_options_out_of_range_are_refused(handed_out, tmp_path, option, value):
    with pytest.raises(ValueError, match=f"{option}: is {value}"):
        data.load("mug", handed_out, tmp_path, **(OPTIONS | {option: value}))
