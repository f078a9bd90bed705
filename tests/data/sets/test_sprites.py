import functools
import hashlib
import http.server
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_files import write_sprites

import unbraid.data.load as data
from unbraid.data.sets import sprites

REAL = os.environ.get("UNBRAID_DATA")
needs_data = [
    pytest.mark.real_data,
    pytest.mark.skipif(REAL is None, reason="UNBRAID_DATA is unset: needs the real sheets"),
]


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheets")
    write_sprites(folder)
    return folder


@pytest.fixture(scope="module")
def drawn(sheets, tmp_path_factory):
    with pytest.warns(UserWarning, match="are not the published ones"):
        return sprites.load(sheets, tmp_path_factory.mktemp("cache"), size=16)


def test_characters_are_in_the_authors_order():
    order = sprites.characters()
    assert order[:5].tolist() == [1116, 1135, 17, 469, 1293]
    assert order[1000:1003].tolist() == [884, 1285, 252]


def test_counts_and_labels(drawn):
    assert drawn.x.shape == (11664, 8, 3, 16, 16) and drawn.x.dtype == np.uint8
    assert {name: len(rows) for name, rows in drawn.splits.items()} == {
        "train": 8100,
        "validation": 900,
        "test": 2664,
    }
    assert list(drawn.heads) == ["skin", "trousers", "top", "hair", "motion"]
    assert {len(drawn.labels[name].classes) for name in ("skin", "trousers", "top", "hair")} == {6}
    assert drawn.labels["motion"].classes[5] == "spellcast right"
    for name, kind in (("skin", "static"), ("motion", "dynamic"), ("action", "dynamic")):
        assert drawn.labels[name].kind == kind
    assert drawn.labels["direction"].part_of == drawn.labels["action"].part_of == "motion"


def test_labels_follow_the_character_number(drawn):
    values = [drawn.labels[name].values for name in ("skin", "trousers", "top", "hair")]
    number = 216 * values[0] + 36 * values[1] + 6 * values[2] + values[3]
    assert np.array_equal(number, np.repeat(sprites.characters(), 9))
    motion = drawn.labels["motion"].values
    assert np.array_equal(motion, 3 * drawn.labels["action"].values + drawn.labels["direction"].values)


def test_no_character_is_in_two_splits(drawn):
    order = np.repeat(sprites.characters(), 9)
    owners = [set(order[rows]) for rows in drawn.splits.values()]
    assert [len(owner) for owner in owners] == [900, 100, 296]
    assert len(set.union(*owners)) == 1296
    for rows in drawn.splits.values():
        assert set(np.bincount(drawn.labels["motion"].values[rows])) == {len(rows) // 9}


EXPECTED_CELLS = {  # rows for front, left, right; then columns
    "walk": ((10, 9, 11), (8, 1, 2, 3, 4, 5, 6, 7)),
    "spellcast": ((2, 1, 3), (0, 1, 2, 3, 4, 5, 4, 6)),
    "slash": ((14, 13, 15), (0, 1, 2, 3, 4, 5, 4, 0)),
}


@pytest.mark.parametrize("clip", [0, 4, 8, 8100, 11663])
def test_cells_and_layers(drawn, clip):
    classes = {name: int(label.values[clip]) for name, label in drawn.labels.items()}
    rows, columns = EXPECTED_CELLS[drawn.labels["action"].classes[classes["action"]]]
    row = rows[classes["direction"]]
    for step, column in enumerate(columns):
        frame = drawn.x[clip, step, :, :, 3]
        for height, variant in ((2, "skin"), (5, "trousers"), (9, "top"), (13, "hair")):
            assert frame[:, height].tolist() == [10 * row, 10 * column, 40 * classes[variant]]
        assert frame[:, 15].tolist() == [10 * row, 10 * column, 40]  # shoes hide the hair


def test_half_transparent_pixels_are_blended_over_the_layer_below(sheets):
    number, strip = next(sprites._compose(sheets))
    assert number == 0
    below = np.array([100, 80, 0])  # body 0 in row 10, column 8
    blended = np.array([200, 100, 50]) * (128 / 255) + below * (127 / 255)
    assert np.abs(np.asarray(strip)[0, 0, :3] - blended).max() <= 1
    assert (np.asarray(strip)[..., 3] == 255).all()


def test_the_cache_is_found_without_the_sheets(tmp_path, sheets, monkeypatch):
    hashes = {name: hashlib.sha256((sheets / name).read_bytes()).hexdigest() for name in sprites.SHEETS}
    monkeypatch.setattr(sprites, "SHEETS", hashes)
    made = sprites.load(sheets, tmp_path, size=16)
    assert sprites.load(cache=tmp_path, size=16).fingerprint == made.fingerprint
    with pytest.raises(FileNotFoundError, match="unbraid data fetch sprites"):
        sprites.load(cache=tmp_path, size=32)


def test_refused(tmp_path, sheets):
    with pytest.raises(FileNotFoundError, match=r"no folder .*unbraid data fetch sprites.*--data\.root"):
        sprites.load(cache=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere.*--data\.root that holds"):
        sprites.load(tmp_path / "nowhere", tmp_path)
    with pytest.raises(ValueError, match="size: is 48; choose 16, 32 or 64"):
        sprites.load(sheets, tmp_path, size=48)
    copy = tmp_path / "copy"
    shutil.copytree(sheets, copy)
    (copy / "hair" / "3.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file .*hair.3\.png \(1 of the 25 files are missing\)"):
        sprites.load(copy, tmp_path)
    shutil.copy(sheets / "hair" / "2.png", copy / "hair" / "3.png")
    os.truncate(copy / "topwear" / "4.png", 500)
    with pytest.raises(ValueError, match=r"topwear.4\.png is damaged"):
        sprites.load(copy, tmp_path)
    Image.new("RGBA", (64, 64)).save(copy / "topwear" / "4.png")
    with pytest.raises(ValueError, match=r"topwear.4\.png is 64x64 pixels; a sheet is 832x1344"):
        sprites.load(copy, tmp_path)
    assert not (tmp_path / "cache").exists() and len(list(tmp_path.iterdir())) == 1


@pytest.fixture
def server(sheets):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        asked: list[str] = []  # noqa: RUF012

        def do_GET(self):
            self.asked.append(self.path)
            super().do_GET()

        def log_message(self, *_):
            pass

    Quiet.asked.clear()
    handler = functools.partial(Quiet, directory=str(sheets))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}", Quiet.asked
        served.shutdown()
        thread.join()


def test_fetch(tmp_path, sheets, server, monkeypatch):
    address, asked = server
    hashes = {name: hashlib.sha256((sheets / name).read_bytes()).hexdigest() for name in sprites.SHEETS}
    monkeypatch.setattr(sprites, "SHEETS", hashes)
    monkeypatch.setattr(sprites, "BASE_URL", address)
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path))
    folder = data.fetch("sprites")
    assert folder == tmp_path / "downloads" / "sprites"
    assert len(asked) == 25
    assert all((folder / name).read_bytes() == (sheets / name).read_bytes() for name in hashes)
    sprites._check_sheets(folder)

    (folder / "body" / "2.png").write_bytes(b"half")
    data.fetch("sprites")
    assert asked[25:] == ["/body/2.png"]  # what is there and whole is kept


def test_fetch_refuses_other_files(tmp_path, server):
    address, _ = server
    with pytest.raises(ValueError, match=r"body/0\.png: .* is not the published file"):
        sprites.fetch(tmp_path / "sheets", base_url=address)
    assert not list(Path(tmp_path).rglob("*.png"))


def test_fetch_says_what_cannot_be_downloaded(tmp_path, server):
    address, _ = server
    with pytest.raises(ConnectionError, match=r"body/0\.png: cannot download .*missing.*--data\.root"):
        sprites.fetch(tmp_path / "sheets", base_url=address + "/missing")


def test_names(tmp_path):
    assert data.info("sprites").licence == "CC BY-SA 3.0 and GPL 3.0"
    assert data.option_names("sprites") == ["size"]
    with pytest.raises(ValueError, match="did you mean 'sprites'"):
        data.load("spritse")
    with pytest.raises(ValueError, match="did you mean 'sprites'"):
        data.info("spritse")
    with pytest.raises(ValueError, match=r"data\.sise: sprites has no such option; did you mean 'size'"):
        data.load("sprites", sise=64)
    with pytest.raises(FileNotFoundError, match="no folder or file"):
        data.load(tmp_path / "nothing")
    with pytest.raises(ValueError, match="moving_digits has nothing to download"):
        data.fetch("moving_digits")


def real_sheets():
    return Path(REAL) / "sprites_lpc"


class TestRealSheets:
    pytestmark = needs_data

    def test_the_sheets_are_the_published_ones(self):
        assert sprites._check_sheets(real_sheets()) == sprites.SHEETS

    def test_clips(self, tmp_path, recwarn):
        clips = data.load("sprites", real_sheets(), tmp_path, size=32)
        assert not recwarn.list
        assert len(clips.split("test")) == 2664
        assert len(clips.splits["train"]) + len(clips.splits["validation"]) == 9000
        assert clips.x.min() == 0 and clips.x.max() > 250
        flat = clips.x.reshape(len(clips), -1)
        assert len({row.tobytes() for row in flat}) == 11664  # every clip differs from every other
        still = (clips.x[:, 1:] == clips.x[:, :1]).all(axis=(1, 2, 3, 4))
        assert not still.any()
