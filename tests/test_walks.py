"""The pages for newcomers: every command and every example on them runs as it stands, on tiny files of the names they use.

Only the sizes are made smaller: `SMALL` is added to each training.
"""

import re
import shlex
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sound_files import tone, write_wav

from unbraid.cli import main
from unbraid.cli.demo import RECIPES
from unbraid.evaluation import generation

DOCS = Path(__file__).parent.parent / "docs"
SMALL = "--training.max_epochs 1 --model.width 4 --training.batch_size 4"
INSTALLS = re.compile(r"pip install '\.\[([\w,]+)\]'")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    return tmp_path


def write_films(folder):
    av = pytest.importorskip("av", reason="needs the extra `video`")
    folder.mkdir()
    for number, name in enumerate("abcdef"):
        with av.open(str(folder / f"{name}.mp4"), "w") as film:
            stream = film.add_stream("mpeg4", rate=10)
            stream.width = stream.height = 32
            for t in range(10):
                picture = np.zeros((32, 32, 3), np.uint8)
                picture[8:16, 2 * t : 2 * t + 8] = (250 - 40 * number, 40 * number, 90)
                film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            film.mux(stream.encode(None))


def write_sounds(folder):
    pytest.importorskip("soundfile", reason="needs the extra `audio`")
    for number in range(6):
        name = f"{('one', 'two')[number % 2]}_{('ann', 'bob', 'cy')[number % 3]}_{number}.wav"
        write_wav(folder / name, tone(120 + 10 * number))


def write_vitals(path):
    random, hours = np.random.default_rng(0), np.arange(36)
    parts = [
        pd.DataFrame({"patient": p, "hour": hours, "ward": "north" if p % 2 else "south"}).assign(
            heart=70 + 10 * (p % 2) + random.normal(size=36), pressure=hours % 5 + random.normal(size=36)
        )
        for p in range(12)
    ]
    pd.concat(parts).to_csv(path, index=False)


def walk(page, small):
    """Run a page from top to bottom; what stands in it: the extras, the commands, the names that its Python defines."""
    extras, commands, names = set(), [], {}
    for language, code in re.findall(r"```(\w+)\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL):
        if language == "python":
            exec(compile(code, page, "exec"), names)
            continue
        for line in code.replace("\\\n", " ").splitlines():
            if install := INSTALLS.fullmatch(line):
                extras |= set(install[1].split(","))
                continue
            words = shlex.split(line)
            assert words[0] == "unbraid", line
            assert main(words[1:] + (small.split() if words[1] == "train" else [])) == 0, line
            commands.append(line)
    return extras, commands, names


def declared_extras():
    import tomllib

    text = (DOCS.parent / "pyproject.toml").read_text("utf-8")
    return set(tomllib.loads(text)["project"]["optional-dependencies"])


def test_own_video_reaches_a_swap_in_five_commands(folder):
    write_films(folder / "my_videos")
    extras, commands, names = walk("own-video.md", f"{SMALL} --data.size 16 --data.steps 4")
    assert extras == {"video"} and extras <= declared_extras()
    swap = next(place for place, line in enumerate(commands) if line.startswith("unbraid swap"))
    assert swap + 2 <= 5  # the installation and the swap itself included
    assert (folder / "swap.gif").stat().st_size and (folder / "between.gif").stat().st_size
    assert (folder / "runs" / "mine" / "report.html").is_file()
    assert len(names["static"]) == 12 and names["nearest"][0] == 0  # ten frames: two clips of four each


def test_own_sound(folder):
    write_sounds(folder / "my_sounds")
    extras, _, names = walk("own-sound.md", SMALL)
    assert extras == {"audio"} and extras <= declared_extras()
    assert (folder / "swap.wav").stat().st_size > 1000
    assert set(names["sounds"].labels) == {"word", "speaker"}


def test_own_series(folder, capsys):
    write_vitals(folder / "vitals.csv")
    extras, _, names = walk("own-series.md", SMALL)
    assert extras == {"series"} and extras <= declared_extras()
    with np.load(folder / "codes.npz") as codes:
        assert len(codes["static"]) == 12
    assert len(names["series"]) == 12 and set(names["pipeline"].predict(names["series"])) <= {
        "north",
        "south",
    }


def test_first_five_minutes(folder, monkeypatch, capsys):
    recipe = {
        "data": {"name": "puppets", "size": 16, "characters": 24},
        "model": {"name": "dbse", "static_size": 8, "dynamic_size": 8, "width": 4},
        "training": {"max_epochs": 1, "batch_size": 16},
    }
    (folder / "tiny.yaml").write_text("# A tiny demo.\n" + yaml.safe_dump(recipe))
    monkeypatch.setitem(RECIPES, "puppets", str(folder / "tiny.yaml"))
    monkeypatch.setattr(generation, "train_judge", partial(generation.train_judge, max_steps=20))
    extras, commands, names = walk("first-five-minutes.md", "")
    assert extras <= declared_extras() and "unbraid demo" in commands
    assert all((folder / name).stat().st_size for name in ("swap.gif", "between.gif", "drawn.gif"))
    assert len(names["codes"]["static"]) == 24 * 9
    assert (folder / "runs" / "demo" / "report.html").is_file()
