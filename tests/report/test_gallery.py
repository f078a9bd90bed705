"""The gallery of several runs: every picture, sound and score in its column, nothing from outside, nothing overwritten."""

import json

import numpy as np
import pytest
import torch
import yaml
from html_page import Page
from made_runs import scores
from PIL import Image

from unbraid.cli import main
from unbraid.io import save_model
from unbraid.models.build import build_model
from unbraid.report.gallery import write_gallery

HOSTILE = "<img src=x onerror=alert(1)>"
SMALL = {"static_size": 4, "dynamic_size": 4, "width": 4, "hidden": 8, "features": 8}


def write_run(folder, accuracy, data="clips", names=("swap", "reconstruction")):
    """A run with pictures of one pixel, whose colour tells the run."""
    torch.manual_seed(0)
    save_model(build_model("dbse", (3, 16, 16), **SMALL), folder / "model")
    settings = {"data": {"name": data}, "model": {"name": "dbse"}, "training": {}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "pictures").mkdir()
    for name in names:
        colour = np.full((1, 1, 3), round(255 * accuracy), np.uint8)
        Image.fromarray(colour).save(folder / "pictures" / f"{name}.png")
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "generation.json").write_text(json.dumps(scores(accuracy)))
    return folder


def test_runs_stand_side_by_side(tmp_path, capsys):
    runs = [write_run(tmp_path / "a", 0.2), write_run(tmp_path / "b", 0.8, HOSTILE, ("swap",))]
    assert main(["report", *map(str, runs), "--output", str(tmp_path / "gallery")]) == 0
    assert str(tmp_path / "gallery" / "index.html") in capsys.readouterr().out
    page = Page((tmp_path / "gallery" / "index.html").read_text())
    assert page.sources == [
        "1-a/pictures/swap.png",
        "2-b/pictures/swap.png",
        "1-a/pictures/reconstruction.png",
    ]
    for source, shade in zip(page.sources, (51, 204, 51), strict=True):
        with Image.open(tmp_path / "gallery" / source) as image:
            assert image.getpixel((0, 0)) == (shade, shade, shade)
    words = " ".join(" ".join(page.words).split())
    assert "dbse on clips" in words and f"dbse on {HOSTILE}" in words and "script" not in page.tags
    assert "not drawn for this run" in words  # b has no reconstruction
    assert "0.2 ± 0.002 (floor 0.1)" in words and "0.8 ± 0.002 (floor 0.1)" in words


def test_nothing_is_overwritten_and_nothing_is_left_after_an_error(tmp_path):
    run, output = write_run(tmp_path / "a", 0.2), tmp_path / "gallery"
    output.mkdir()
    (output / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        write_gallery([run], output)
    assert [path.name for path in output.iterdir()] == ["mine.txt"]
    (run / "sounds").mkdir()
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    (run / "pictures" / "linked.png").symlink_to(secret)
    pair = {"picture": "../../secret.png", "sounds": []}
    (run / "sounds" / "sounds.json").write_text(json.dumps([pair]))
    with pytest.raises(ValueError, match=r"names '\.\./\.\./secret\.png', which is not in pictures/"):
        write_gallery([run], tmp_path / "other")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "gallery", "secret.png"}
    (run / "sounds" / "sounds.json").unlink()
    write_gallery([run], tmp_path / "other")
    assert not list((tmp_path / "other").rglob("linked.png"))


def test_sounds_have_players(tmp_path):
    run = write_run(tmp_path / "a", 0.2, names=("exchange1",))
    (run / "sounds").mkdir()
    (run / "sounds" / "one.wav").write_bytes(b"RIFF")
    pair = {"picture": "exchange1.png", "sounds": [{"file": "one.wav", "caption": HOSTILE}]}
    (run / "sounds" / "sounds.json").write_text(json.dumps([pair]))
    page = Page(write_gallery([run], tmp_path / "gallery").read_text())
    assert page.sources == ["1-a/pictures/exchange1.png", "1-a/sounds/one.wav"]
    assert HOSTILE in page.words
