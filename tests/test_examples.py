"""The examples run."""

import runpy
from pathlib import Path

import numpy as np
from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "examples"
FILE = EXAMPLES / "own_data.py"
SERIES = EXAMPLES / "own_series.py"


def test_own_data(tmp_path, capsys):
    assert len(FILE.read_text().splitlines()) <= 40
    example = runpy.run_path(str(FILE))
    example["main"](folder=str(tmp_path / "run"), epochs=1)
    out = capsys.readouterr().out
    assert "static codes (60, 16) dynamic codes (60, 8, 16)" in out
    assert "(1, 8, 3, 16, 16)" in out
    assert (tmp_path / "run" / "model" / "model.json").is_file()


def test_own_file(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(30, 6, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    runpy.run_path(str(FILE))["main"](str(tmp_path / "x.npy"), str(tmp_path / "run"), 1)
    assert "dynamic codes (30, 6, 16)" in capsys.readouterr().out


def test_own_series(tmp_path, capsys):
    assert len(SERIES.read_text().splitlines()) <= 40
    example = runpy.run_path(str(SERIES))
    example["machines"](24).to_csv(tmp_path / "machines.csv", index=False)
    pipeline = example["main"](str(tmp_path / "machines.csv"), steps=4)
    assert "accuracy [" in capsys.readouterr().out
    series = [np.zeros((90, 2)), np.full((40, 2), 30.0)]
    assert pipeline.predict_proba(series).shape == (2, 2)
    assert list(pipeline[0].get_feature_names_out()[[0, 32, 36]]) == [
        "static_0",
        "dynamic_mean_0",
        "dynamic_std_0",
    ]


def test_gallery(tmp_path):
    """The page shows exactly the pictures that the script draws, which are at most as wide as it says."""
    example = runpy.run_path(str(EXAMPLES / "gallery.py"))
    page = (EXAMPLES.parent / "docs" / "gallery.md").read_text("utf-8")
    for data, kind in (("puppets", "frames"), ("voices", "sound"), ("machines", "windows")):
        for name in example["CHOSEN"][kind]:
            assert f"(pictures/gallery-{data}-{name}.png)" in page
            with Image.open(example["PICTURES"] / f"gallery-{data}-{name}.png") as picture:
                assert picture.width <= example["WIDEST"]
    assert page.count("(pictures/gallery-") == sum(map(len, example["CHOSEN"].values()))
    Image.new("RGB", (2800, 100), (200, 30, 30)).save(tmp_path / "wide.png")
    example["shrink"](tmp_path / "wide.png", tmp_path / "small.png")
    with Image.open(tmp_path / "small.png") as picture:
        assert picture.size == (1400, 50) and picture.convert("RGB").getpixel((9, 9)) == (200, 30, 30)
