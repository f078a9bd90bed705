"""Uploads: read as the run's data were, in a process of their own, within bounds; every mistake is one plain sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from sound_files import tone, write_wav

import unbraid as ub
from unbraid.data.features import Features
from unbraid.io import save_features, save_model
from unbraid.models.build import build_model
from unbraid.page import uploads
from unbraid.page.uploads import endings, read_upload

SMALL = {"static_size": 4, "dynamic_size": 4, "width": 4, "features": 8, "hidden": 8}


def write_run(folder, data, config):
    """A finished run that was not trained."""
    torch.manual_seed(0)
    observation = (3, 16, 16) if data is None else data.observation
    save_model(build_model("dbse", observation, **SMALL), folder / "model")
    if data is not None:
        features = (data.feature_names, data.units, data.scaling, data.sampling_rate, data.sound)
        save_features(Features(*features), folder / "model")
    settings = {"data": config, "model": {"name": "dbse"}, "training": {}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "environment.json").write_text(json.dumps({"data_fingerprint": data and data.fingerprint}))
    return folder


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("frames"), None, {"name": "clips"})


def pictures(folder, count, ending=".png", size=(16, 16)):
    random = np.random.default_rng(0)
    images = [Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)) for _ in range(count)]
    paths = [folder / f"{number}{ending}" for number in range(count)]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    return paths, np.stack([np.asarray(image) for image in images]).transpose(0, 3, 1, 2)


def test_images_are_one_sequence_in_their_natural_order_and_videos_one_each(frames, tmp_path):
    paths, pixels = pictures(tmp_path, 11)  # 10.png comes after 9.png
    (clip,), remarks = read_upload(frames, "frames", paths[::-1])
    np.testing.assert_array_equal(clip.sequence.x[0], pixels)
    assert clip.title == "images" and remarks == []
    for name in ("a.gif", "b.gif"):
        parts = [Image.open(path) for path in paths[:3]]
        parts[0].save(tmp_path / name, save_all=True, append_images=parts[1:], duration=100)
    clips, _ = read_upload(frames, "frames", [tmp_path / "a.gif", tmp_path / "b.gif"])
    assert [clip.title for clip in clips] == ["a.gif", "b.gif"]
    assert clips[0].sequence.x.shape == (1, 3, 3, 16, 16)


def test_broken_and_foreign_files_are_refused_without_naming_our_folders(frames, tmp_path):
    broken, text = tmp_path / "<b>broken.mp4", tmp_path / "notes.txt"
    broken.write_bytes(b"this is no video" * 100)
    text.write_text("hello")
    with pytest.raises(ValueError, match=r"upload: <b>broken\.mp4: is damaged or not a video") as caught:
        read_upload(frames, "frames", [broken])
    assert str(tmp_path) not in str(caught.value) and "unbraid-upload" not in str(caught.value)
    with pytest.raises(ValueError, match=r"upload: notes\.txt is of no kind that this model reads"):
        read_upload(frames, "frames", [text])
    with pytest.raises(ValueError, match=r"holds no file"):
        read_upload(frames, "frames", [])


def test_uploads_are_bounded_in_number_size_time_and_length(frames, tmp_path, monkeypatch):
    paths, _ = pictures(tmp_path, 2)
    with pytest.raises(ValueError, match="201 files are too many; give at most 200"):
        read_upload(frames, "frames", paths[:1] * 201)
    monkeypatch.setattr(uploads, "BYTES", 100)
    with pytest.raises(ValueError, match=r"MB are too many; give at most"):
        read_upload(frames, "frames", paths)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"took longer than 0 seconds and was stopped; give a shorter"):
        read_upload(frames, "frames", paths, seconds=0)
    long = ub.Sequences(np.zeros((1, 5, 2), np.float32) + np.arange(5)[:, None])
    monkeypatch.setattr(uploads, "STEPS", 3)
    short = uploads._first_steps(long)
    np.testing.assert_array_equal(short.x, long.x[:, :3])
    assert uploads._first_steps(short) is short


def test_sounds_are_read_with_the_features_of_the_run(tmp_path):
    folder = tmp_path / "sounds"
    for number in range(6):
        write_wav(folder / f"{number}.wav", tone(150 + 40 * number))
    data = ub.load(folder, cache=tmp_path / "cache", sampling_rate=8000)
    run = write_run(tmp_path / "run", data, {"name": str(folder), "sampling_rate": 8000})
    (clip,), _ = read_upload(run, "sound", [folder / "3.wav"])
    assert clip.sequence.sound == data.sound and clip.sequence.kind == "sound"
    rows = [row for row, name in enumerate(data.names) if name.startswith("3")]
    assert len(rows) == len(clip.sequence) == 2  # two pieces of 20 frames
    np.testing.assert_allclose(clip.sequence.x, data.x[rows], atol=1e-4)


def test_tables_are_read_with_the_columns_and_the_scaling_of_the_run(tmp_path):
    rows = ["who,time,heat"]
    values = np.random.default_rng(0).normal(20, 5, (6, 8))
    for who in range(6):
        rows += [f"p{who},{hour},{values[who, hour]:.6f}" for hour in range(8)]
    table = tmp_path / "series.csv"
    table.write_text("\n".join(rows) + "\n")
    options = {"id": "who", "time": "time", "time_format": "h", "step": "1h", "window": 1}
    data = ub.load(table, cache=tmp_path / "cache", **options)
    run = write_run(tmp_path / "run", data, {"name": str(table), **options})
    clips, _ = read_upload(run, "series", [table])
    assert [clip.title for clip in clips] == [f"series.csv · p{who}" for who in range(6)]
    raw = data.scaling.invert(clips[2].sequence.x[0])
    np.testing.assert_allclose(raw.ravel()[:8], values[2], rtol=1e-4)


def test_endings_are_those_of_the_readers():
    assert {".mp4", ".gif", ".png"} <= set(endings("frames"))
    assert {".wav", ".flac"} <= set(endings("sound")) and {".csv", ".npy"} <= set(endings("series"))
    assert not set(endings("frames")) & set(endings("series"))


def test_copies_of_an_upload_are_removed(frames, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    Path(tmp_path / "temporary").mkdir()
    paths, _ = pictures(tmp_path, 2)
    read_upload(frames, "frames", paths)
    assert list((tmp_path / "temporary").iterdir()) == []
