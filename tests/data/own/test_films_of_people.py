"""Films and pictures as people have them: read as players show them. Tests are named after the cases of issue 19."""

import struct
import warnings
import zlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from unbraid.data.formats.images import read_images
from unbraid.data.formats.video import read_movie
from unbraid.data.own.frames import load_frames
from unbraid.inputs import open_corpus, read_parts
from unbraid.models.build import build_model
from unbraid.remarks import Remark
from unbraid.training import Run

av = pytest.importorskip("av", reason="needs the extra video")

QUARTERS = np.array([[[250, 10, 10], [10, 250, 10]], [[10, 10, 250], [250, 250, 250]]], np.uint8)
"""Four colours: red, green above blue, white."""


def quarters(width=64, height=64):
    return np.kron(QUARTERS, np.ones((height // 2, width // 2, 1), np.uint8))


def write_video(path, pictures, rate=10, codec="mpeg4", pix_fmt="yuv420p", aspect=None, times=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        height, width, channels = pictures[0].shape
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if codec == "mpeg4":
            stream.codec_context.bit_rate = 10**7
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba" if channels == 4 else "rgb24")
            frame.pts = number if times is None else times[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def corners(frames):
    """The colours of the four quarters of the first frame, rounded: `(2, 2, 3)`."""
    first = next(iter(frames)).astype(int)
    size = first.shape[-1]
    at = [size // 4, 3 * size // 4]
    return np.array([[first[:, y, x] > 128 for x in at] for y in at])


MATRICES = {  # (a, b, c, d) of the display matrix, and what a player shows of a picture
    (1, 0, 0, 1): lambda p: p,
    (0, 1, -1, 0): lambda p: np.rot90(p, -1),
    (-1, 0, 0, -1): lambda p: np.rot90(p, 2),
    (0, -1, 1, 0): lambda p: np.rot90(p, 1),
    (-1, 0, 0, 1): lambda p: p[:, ::-1],
    (1, 0, 0, -1): lambda p: p[::-1],
    (0, 1, 1, 0): lambda p: p.swapaxes(0, 1),
    (0, -1, -1, 0): lambda p: np.rot90(p, 2).swapaxes(0, 1),
}


def turn(path, a, b, c, d):
    """Write a display matrix into the header of a track of an MP4 file."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    values = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    content[place : place + 36] = struct.pack(">9i", *values)
    path.write_bytes(content)


@pytest.mark.parametrize("matrix", MATRICES)
def test_case_01_rotated_video(tmp_path, matrix):
    path = write_video(tmp_path / "phone.mp4", [quarters()] * 3)
    turn(path, *matrix)
    np.testing.assert_array_equal(corners(read_movie(path, 16, 3)), MATRICES[matrix](QUARTERS > 128))


def test_case_01_the_rotated_film_has_its_own_crop(tmp_path):
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = 255
    path = write_video(tmp_path / "phone.mp4", [wide] * 3)
    turn(path, 0, 1, -1, 0)
    assert next(iter(read_movie(path, 16, 3)))[:, 2:-2].min() > 200


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif", ".webp"])
def test_case_01_orientation_of_pictures(tmp_path, orientation, ending):
    shown = {
        1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: np.rot90(p, 2), 4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1), 6: lambda p: np.rot90(p, -1), 7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
        8: lambda p: np.rot90(p, 1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{ending}"
    Image.fromarray(quarters()).save(path, exif=exif)
    np.testing.assert_array_equal(corners(read_images([path], 16, 3)), shown(QUARTERS > 128))


@pytest.mark.parametrize("aspect", [Fraction(2), Fraction(1, 2)])
def test_case_10_anamorphic(tmp_path, aspect):
    """A disc that was squeezed when it was recorded is round again."""
    y, x = np.mgrid[:96, : int(96 / aspect)]
    disc = ((y - 48) ** 2 + ((x - 48 / float(aspect)) * float(aspect)) ** 2 < 30**2)[..., None] * np.uint8(
        [255, 255, 255]
    )
    path = write_video(tmp_path / "dv.mkv", [disc] * 3, aspect=aspect)
    frame = next(iter(read_movie(path, 64, 1)))[0] > 128
    assert abs(frame.any(0).sum() - frame.any(1).sum()) <= 2 and abs(frame.any(0).sum() - 40) <= 3


@pytest.mark.parametrize(
    ("ending", "codec", "pix_fmt"), [(".mov", "qtrle", "argb"), (".webm", "libvpx-vp9", "yuva420p")]
)
def test_case_11_alpha(tmp_path, ending, codec, pix_fmt):
    """What is transparent is black, as in a GIF and a PNG."""
    picture = np.dstack(
        [quarters(), np.where(np.arange(64) < 32, 255, 0)[None].repeat(64, 0).astype(np.uint8)]
    )
    path = write_video(tmp_path / f"a{ending}", [picture] * 3, codec=codec, pix_fmt=pix_fmt)
    frames = [next(iter(read_movie(path, 16, 3)))]
    Image.fromarray(picture).save(tmp_path / "a.png")
    frames.append(next(iter(read_images([tmp_path / "a.png"], 16, 3))))
    for frame in frames:
        assert frame[:, :, 10:].max() < 20 and frame[0, 2, 2] > 200 and frame[2, 12, 2] > 200


def ramp(count, step):
    """Frames whose brightness rises by `step`."""
    return [np.full((32, 32, 3), number * step, np.uint8) for number in range(count)]


def test_case_04_frame_rates(tmp_path):
    for place, (rate, step) in enumerate(((30, 2), (30, 2), (10, 6), (5, 12))):
        write_video(tmp_path / "own" / f"{place}.mp4", ramp(2 * rate, step), rate=rate)
    options = {"size": 16, "steps": 8, "cache": tmp_path / "cache"}
    with pytest.warns(Remark, match="differ in their frames per second: 1 of 10, 2 of 30, 1 of 5; pass fps"):
        load_frames(tmp_path / "own", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clips = load_frames(tmp_path / "own", fps=5, **options)
    assert clips.x.shape == (4, 8, 3, 16, 16)
    assert np.abs(clips.x.mean((2, 3, 4)) - 12 * np.arange(8)).max() < 4  # all rise alike


def test_case_04_a_rate_that_varies(tmp_path):
    times = np.cumsum([0] + [1, 3] * 20)
    path = write_video(
        tmp_path / "a.mp4", [np.full((32, 32, 3), 2 * t, np.uint8) for t in times], rate=30, times=times
    )
    even = np.stack(list(read_movie(path, 16, 3, fps=15))).mean((1, 2, 3))
    shown = [2 * max(t for t in times if t <= 2 * k) for k in range(len(even))]
    assert len(even) == 41 and np.abs(even - shown).max() < 4
    gif = tmp_path / "a.gif"
    frames = [Image.fromarray(picture) for picture in ramp(4, 60)]
    frames[0].save(gif, save_all=True, append_images=frames[1:], duration=[100, 300, 100, 100])
    assert [round(f.mean() / 60) for f in read_movie(gif, 16, 3, fps=10)] == [0, 1, 1, 1, 2, 3]


ENDINGS = {
    ".avi": "mpeg4",
    ".flv": "flv1",
    ".wmv": "wmv2",
    ".mpg": "mpeg1video",
    ".MTS": "mpeg2video",
    ".3gp": "mpeg4",
}


def test_case_05_other_endings(tmp_path):
    for ending, codec in ENDINGS.items():
        rate = 25 if "mpeg" in codec else 10
        write_video(tmp_path / "own" / f"v{ending}", [quarters(128, 96)] * 8, codec=codec, rate=rate)
    for name in (
        "notes.txt",
        "more.txt",
        "Thumbs.db",
        "._v.avi",
        "__MACOSX/v.avi",
        "desktop.ini",
        ".DS_Store",
    ):
        (tmp_path / "own" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "own" / name).write_text("x")
    with pytest.warns(Remark) as said:
        clips = load_frames(tmp_path / "own", size=16, steps=4, every=2, cache=tmp_path / "cache")
    assert len(clips) == len(ENDINGS)
    texts = [str(warning.message) for warning in said]
    assert sum("left out 2 files that are not read here: 2 .txt" in text for text in texts) == 1
    assert not any("Thumbs" in text or ".avi" in text for text in texts)


def made_run(folder, **options):
    return Run(folder, build_model("vae", (3, 16, 16)), {"data": {"name": str(folder), **options}})


def test_case_08_resource_forks_and_50_mixed_endings(tmp_path):
    """Training and encoding list a folder alike."""
    for clip in range(3):
        folder = tmp_path / "own" / f"s{clip}"
        folder.mkdir(parents=True)
        for step, ending in enumerate((".tif", ".png", ".tiff", ".webp")):
            Image.fromarray(np.full((16, 16, 3), 50 * step + clip, np.uint8)).save(
                folder / f"{step}{ending}", lossless=True
            )
        (folder / "._0.png").write_bytes(b"fork")
        (folder / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "own" / "__MACOSX").mkdir()
    (tmp_path / "own" / "__MACOSX" / "._0.png").write_bytes(b"fork")
    (tmp_path / "own" / "__MACOSX" / "1.png").write_bytes(b"fork")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clips = load_frames(tmp_path / "own", size=16, cache=tmp_path / "cache")
        ((names, encoded),) = read_parts(open_corpus(str(tmp_path / "own"), made_run(tmp_path / "own")))
    assert names == ["s0", "s1", "s2"] and clips.x.shape == encoded.x.shape == (3, 4, 3, 16, 16)
    assert encoded.x[:, :, 0, 0, 0].tolist() == [[50 * step + clip for step in range(4)] for clip in range(3)]
    Image.new("RGB", (16, 16)).save(
        tmp_path / "own" / "s0" / "0.tif", save_all=True, append_images=[Image.new("RGB", (16, 16))]
    )
    with pytest.raises(ValueError, match=r"0\.tif: holds 2 pictures"):
        load_frames(tmp_path / "own", size=16, cache=tmp_path / "cache")


def test_case_06_one_damaged(tmp_path):
    own = tmp_path / "own"
    for place in range(6):
        write_video(own / f"v{place}.mp4", ramp(12, 10 + place))
    for place in (2, 4):
        path = own / f"v{place}.mp4"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    options = {"size": 16, "steps": 4, "cache": tmp_path / "cache"}
    both = r"2 of 6 cannot be read: .*v2\.mp4: .*; .*v4\.mp4: .*unusable='leave_out'"
    with pytest.raises(ValueError, match=both):
        load_frames(own, **options)
    with pytest.raises(ValueError, match=both):
        list(read_parts(open_corpus(str(own), made_run(own))))
    (own / "v4.mp4").write_text("no film")  # one that declares no rate
    with pytest.warns(Remark) as said:
        clips = load_frames(own, unusable="leave_out", **options)
    assert len(said) == 1 and "left out 2 of 6 cannot be read" in str(said[0].message)
    with pytest.warns(Remark, match="left out 2 of 6 cannot be read"):
        ((names, encoded),) = read_parts(open_corpus(str(own), made_run(own, unusable="leave_out", steps=4)))
        ((same, _),) = read_parts(open_corpus(str(own), made_run(own, steps=4), unusable="leave_out"))
    assert names == same == [f"v{place}.mp4#{clip}" for place in (0, 1, 3, 5) for clip in range(3)]
    rows = {clip.tobytes() for clip in clips.x}
    assert clips.x.shape == encoded.x.shape and rows == {clip.tobytes() for clip in encoded.x}
    assert sorted(np.concatenate(list(clips.splits.values()))) == list(range(12))


@pytest.mark.parametrize("ending", [".png", ".gif"])
def test_a_small_file_that_declares_a_huge_picture_takes_no_memory(tmp_path, ending):
    path = tmp_path / f"huge{ending}"
    Image.new("L", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    if ending == ".png":
        content[16:24] = struct.pack(">II", 13_000, 13_000)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    else:
        content[6:10] = struct.pack("<HH", 13_000, 13_000)
    path.write_bytes(content)
    read = read_movie(path, 16, 3) if ending == ".gif" else read_images([path], 16, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, above 89 million pixels
        with pytest.raises(ValueError, match=r"huge.*it declares 13000x13000 pixels in \d+ bytes"):
            next(iter(read))


def test_a_large_plain_picture_is_read(tmp_path):
    path = tmp_path / "plain.png"
    Image.new("RGB", (4000, 4000), (9, 8, 7)).save(path)  # 1 byte for 300 pixels
    assert next(read_images([path], 16, 3))[:, 0, 0].tolist() == [9, 8, 7]
