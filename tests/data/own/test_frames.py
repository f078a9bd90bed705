import builtins
import os

import numpy as np
import pytest
from PIL import Image

import unbraid.data.load as data
from unbraid.data.own.frames import load_frames


def picture(value, width=40, height=24):
    """A frame whose central square has one colour and whose sides have another."""
    frame = np.full((height, width, 3), 255, np.uint8)
    left = (width - height) // 2
    frame[:, left : left + height] = (value % 256, 2 * value % 256, 128)
    return frame


def write_images(folder, count, ending=".png", start=0, **size):
    folder.mkdir(parents=True, exist_ok=True)
    for step in range(count):
        Image.fromarray(picture(10 * step + start, **size)).save(folder / f"frame{step}{ending}")


def write_gif(path, count, start=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [Image.fromarray(picture(10 * step + start)) for step in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)


def write_video(path, count, codec="mpeg4", start=0):
    av = pytest.importorskip("av", reason="needs the extra video")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for step in range(count):
            frame = av.VideoFrame.from_ndarray(picture(10 * step + start, 64, 48), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture
def gifs(tmp_path):
    folder = tmp_path / "own"
    for place in range(5):
        write_gif(folder / f"clip{place}.gif", 6, start=place)
    return folder


def first_red(clips):
    """Red value of each frame at its centre."""
    return clips.x[:, :, 0, clips.x.shape[-1] // 2, clips.x.shape[-1] // 2]


def test_image_folders(tmp_path):
    for place in range(4):
        write_images(tmp_path / "own" / f"walk{place}", 12, start=place)
    clips = load_frames(tmp_path / "own", size=16, cache=tmp_path / "cache")
    assert clips.x.shape == (4, 12, 3, 16, 16) and clips.x.dtype == np.uint8
    assert clips.lengths is None and clips.name == "own" and not clips.labels
    expected = {tuple(10 * step + place for step in range(12)) for place in range(4)}
    assert {tuple(int(v) for v in row) for row in first_red(clips)} == expected  # frame10 comes after frame9
    assert (clips.x[:, :, 2] == 128).all()  # the white sides are cut off
    assert sorted(map(len, clips.splits.values())) == [1, 1, 2]


def test_gifs_are_read_and_prepared_once(gifs, tmp_path, monkeypatch):
    clips = load_frames(gifs, size=32, cache=tmp_path / "cache")
    assert clips.x.shape == (5, 6, 3, 32, 32)
    assert np.abs(np.sort(first_red(clips)[:, 0].astype(int)) - np.arange(5)).max() <= 3
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("the cache should have been used"))
    assert load_frames(gifs, size=32, cache=tmp_path / "cache").fingerprint == clips.fingerprint
    monkeypatch.undo()
    os.utime(gifs / "clip0.gif", (1, 1))
    monkeypatch.setattr(Image, "open", lambda *_: (_ for _ in ()).throw(OSError("read again")))
    with pytest.raises(ValueError, match="read again"):
        load_frames(gifs, size=32, cache=tmp_path / "cache")


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".mov", ".mkv"])
def test_videos(tmp_path, ending):
    for place in range(3):
        write_video(tmp_path / "own" / f"clip{place}{ending}", 10, start=40 * place)
    clips = load_frames(tmp_path / "own", size=16, cache=tmp_path / "cache")
    assert clips.x.shape == (3, 10, 3, 16, 16)
    order = np.argsort(first_red(clips)[:, 0])
    expected = 10 * np.arange(10) + 40 * np.arange(3)[:, None]
    assert np.abs(first_red(clips)[order].astype(int) - expected).max() <= 12  # lossy


def test_long_videos_are_cut_and_short_ones_padded(tmp_path):
    write_images(tmp_path / "own" / "long", 23, start=1)
    write_images(tmp_path / "own" / "short", 3, start=3)
    for place in range(6):
        write_images(tmp_path / "own" / f"other{place}", 5, start=7)
    clips = load_frames(tmp_path / "own", size=16, steps=5, cache=tmp_path / "cache")
    reds = first_red(clips)
    assert clips.x.shape[:2] == (4 + 1 + 6, 5)
    long, (short,) = np.flatnonzero(reds[:, 0] % 10 == 1), np.flatnonzero(reds[:, 0] % 10 == 3)
    assert np.array_equal(reds[long].ravel(), np.arange(1, 200, 10))  # the last three frames fill no clip
    assert clips.lengths[short] == 3 and (np.delete(clips.lengths, short) == 5).all()
    assert reds[short].tolist() == [3, 13, 23, 0, 0]
    assert clips.batch(np.array([short])).mask.tolist() == [[True, True, True, False, False]]
    assert sum(np.isin(long, rows).any() for rows in clips.splits.values()) == 1


def test_every_other_frame_in_grey(tmp_path):
    for place in range(3):
        write_images(tmp_path / "own" / str(place), 9, ending=".jpg")
    clips = load_frames(tmp_path / "own", size=16, every=2, channels=1, cache=tmp_path / "cache")
    assert clips.x.shape == (3, 5, 1, 16, 16)
    expected = [0.299 * v + 0.587 * 2 * v + 0.114 * 128 for v in range(0, 90, 20)]
    assert np.abs(clips.x[0, :, 0, 8, 8] - np.array(expected)).max() < 4


def test_transparent_pixels_are_black(tmp_path):
    for place in range(3):
        folder = tmp_path / "own" / str(place)
        folder.mkdir(parents=True)
        for step in range(2):
            Image.new("RGBA", (16, 16), (200, 100, 50, 0)).save(folder / f"{step}.png")
    assert not load_frames(tmp_path / "own", size=16, cache=tmp_path / "cache").x.any()


def test_sub_folders_are_labels(tmp_path):
    for who in ("ann", "bob"):
        for place in range(3):
            write_gif(tmp_path / "own" / who / f"{place}.gif", 4, start=100 if who == "bob" else 0)
    clips = load_frames(tmp_path / "own", size=16, cache=tmp_path / "cache", dynamic_labels="class")
    label = clips.labels["class"]
    assert label.classes == ("ann", "bob") and label.kind == "dynamic"
    assert np.array_equal(label.values == 1, first_red(clips)[:, 0] > 60)


def test_csv_labels_and_groups(gifs, tmp_path):
    table = tmp_path / "labels.csv"
    lines = [f"clip{place}.gif,{'left' if place % 2 else 'right'},cam{place // 2}" for place in range(5)]
    table.write_text("file,side,group\n" + "\n".join(lines) + "\n\n")
    clips = load_frames(gifs, size=16, labels=table, cache=tmp_path / "cache")
    assert list(clips.labels) == ["side"] and clips.labels["side"].kind == "static"
    number = np.round(first_red(clips)[:, 0].astype(int)).argsort().argsort()
    assert np.array_equal(clips.labels["side"].values, 1 - number % 2)
    for rows in clips.splits.values():
        for other in clips.splits.values():
            if rows is not other:
                assert not set(number[rows] // 2) & set(number[other] // 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no header"),
        ("name,side\n", "first line of .* is 'name,side'; it must be file,label"),
        ("file\nclip0.gif\n", "first line"),
        ("file,side\nclip0.gif,left\n", r"no line for 'clip1\.gif' \(4 in all\)"),
        ("file,side\nclip9.gif,left\n", r"line 2 of .* names 'clip9\.gif'; did you mean 'clip"),
        ("file,side\nclip0.gif,left\nclip0.gif,left\n", r"line 3 .* a second time"),
        ("file,side\nclip0.gif\n", r"line 2.*(fill 2 columns|has 1 fields; the header has 2)"),
        ("file,side\nclip0.gif,\n", r"line 2.*(fill 2 columns|has 1 fields; the header has 2)"),
    ],
)
def test_refused_label_files(gifs, tmp_path, content, message):
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        load_frames(gifs, labels=tmp_path / "labels.csv", cache=tmp_path / "cache")


def test_refused_folders(tmp_path, gifs):
    cache = tmp_path / "cache"
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        load_frames(tmp_path / "nowhere", cache=cache)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="holds no video and no folder of images, found nothing"):
        load_frames(empty, cache=cache)
    (empty / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"found \.txt; videos are \.mp4"):
        load_frames(empty, cache=cache)
    with pytest.raises(ValueError, match=r"notes\.txt is one file; give a folder"):
        load_frames(empty / "notes.txt", cache=cache)
    write_images(tmp_path / "flat", 4)
    with pytest.raises(ValueError, match=r"images lie directly in .*sub-folder of its own"):
        load_frames(tmp_path / "flat", cache=cache)
    for place in range(2):
        write_gif(tmp_path / "few" / f"{place}.gif", 4)
    with pytest.raises(ValueError, match=r"holds 2 sequences; .* at least 3"):
        load_frames(tmp_path / "few", cache=cache)
    with pytest.raises(FileNotFoundError, match="labels: there is no file"):
        load_frames(gifs, labels=tmp_path / "none.csv", cache=cache)
    with pytest.raises(ValueError, match="dynamic_labels: no label is called 'way'"):
        load_frames(gifs, dynamic_labels=("way",), cache=cache)
    for option in ({"size": 48}, {"size": 0}, {"channels": 2}, {"steps": 1}, {"every": 0}):
        with pytest.raises(ValueError, match=next(iter(option))):
            load_frames(gifs, cache=cache, **option)
    assert not cache.exists()


def leave_text(path):
    path.write_text("this is no picture")


def cut(path):
    os.truncate(path, path.stat().st_size // 3)


@pytest.mark.parametrize("damage", [leave_text, cut])
def test_damaged_gif(gifs, tmp_path, damage):
    damage(gifs / "clip3.gif")
    with pytest.raises(ValueError, match=r"clip3\.gif: (is damaged or no GIF|is truncated)"):
        load_frames(gifs, cache=tmp_path / "cache")
    assert not [p for p in (tmp_path / "cache").iterdir() if not p.name.endswith(".lock")]


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".mkv"])
@pytest.mark.parametrize("damage", [leave_text, cut])
def test_damaged_video(tmp_path, ending, damage):
    for place in range(3):
        write_video(tmp_path / "own" / f"{place}{ending}", 60)
    damage(tmp_path / "own" / f"1{ending}")
    with pytest.raises(ValueError, match=rf"1\{ending}: is (damaged or not a video|truncated)"):
        load_frames(tmp_path / "own", size=16, cache=tmp_path / "cache")


@pytest.mark.parametrize("damage", [leave_text, cut])
def test_damaged_image(tmp_path, damage):
    for place in range(3):
        write_images(tmp_path / "own" / f"{place}", 3)
    damage(tmp_path / "own" / "2" / "frame1.png")
    with pytest.raises(ValueError, match=r"frame1\.png: is damaged or no image"):
        load_frames(tmp_path / "own", cache=tmp_path / "cache")


def test_refused_images(tmp_path):
    for place in range(3):
        write_images(tmp_path / "own" / f"{place}", 3)
    Image.fromarray(picture(0, 30, 20)).save(tmp_path / "own" / "2" / "frame1.png")
    with pytest.raises(ValueError, match=r"frame1\.png: is 30x20 pixels, frame0\.png beside it is 40x24"):
        load_frames(tmp_path / "own", cache=tmp_path / "cache")
    Image.fromarray(np.full((24, 40), 60000, np.uint16)).save(tmp_path / "own" / "2" / "frame1.png")
    with pytest.raises(ValueError, match=r"frame1\.png: has more than 8 bits"):
        load_frames(tmp_path / "own", cache=tmp_path / "cache")
    write_images(tmp_path / "own" / "2", 3)
    write_images(tmp_path / "own" / "3", 1)
    with pytest.raises(ValueError, match="3: holds one image; a sequence needs at least 2"):
        load_frames(tmp_path / "own", cache=tmp_path / "cache")


def test_a_movie_of_one_frame_is_refused(gifs, tmp_path):
    write_gif(gifs / "clip2.gif", 1)
    with pytest.raises(ValueError, match=r"clip2\.gif: has 1 frame at every=1; a sequence needs 2"):
        load_frames(gifs, cache=tmp_path / "cache")
    write_gif(gifs / "clip2.gif", 6)
    with pytest.raises(ValueError, match=r"has 1 frame at every=9"):
        load_frames(gifs, every=9, cache=tmp_path / "cache")


def test_videos_without_the_extra(tmp_path, monkeypatch):
    for place in range(3):
        (tmp_path / f"{place}.mp4").write_bytes(b"video")
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "av":
            raise ImportError("No module named 'av'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install '\.\[video\]'"):
        load_frames(tmp_path, cache=tmp_path / "cache")


def test_one_way_in(gifs, tmp_path):
    options = {"size": 16, "cache": tmp_path / "cache"}
    by_path = data.load(gifs, **options)
    assert by_path.fingerprint == load_frames(gifs, **options).fingerprint
    assert "steps" in data.option_names(gifs) and "cache" not in data.option_names(gifs)
    with pytest.raises(ValueError, match=r"data\.step: .* did you mean 'steps'"):
        data.load(gifs, step=3)
    with pytest.raises(ValueError, match=r"data\.root: is for registered data sets"):
        data.load(gifs, root=tmp_path)
