"""docs/own-data.md: its examples run as they stand, on tiny files of the names that they use."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sound_files import tone, write_wav

from unbraid.cli import main

PAGE = Path(__file__).parents[3] / "docs" / "own-data.md"
SMALL = "--training.max_epochs 1 --model.width 4 --data.size 16 --data.steps 4 --training.batch_size 4"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with the files that the page names; the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    (tmp_path / "my_videos").mkdir()
    for number in range(6):
        frames = [
            Image.fromarray(np.full((20, 24, 3), (40 * number, 20 * t, 99), np.uint8)) for t in range(8)
        ]
        frames[0].save(
            tmp_path / "my_videos" / f"{number}.gif", save_all=True, append_images=frames[1:], duration=40
        )
        name = f"{('one', 'two')[number % 2]}_{('ann', 'bob', 'cy')[number % 3]}_{number}.wav"
        write_wav(tmp_path / "my_sounds" / name, tone(120 + 10 * number))
    rows = [f"{p},{h},{'north' if p % 2 else 'south'},{70 + p},{h % 5}" for p in range(6) for h in range(24)]
    (tmp_path / "vitals.csv").write_text("\n".join(["patient,hour,ward,heart,pressure", *rows]) + "\n")
    return tmp_path


def test_examples_run(files, capsys):
    pytest.importorskip("pandas", reason="needs the extra `series`")
    pytest.importorskip("soundfile", reason="needs the extra `audio`")
    names = {}
    commands = 0
    for language, code in re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        if language == "python":
            exec(compile(code, str(PAGE), "exec"), names)
            continue
        for line in code.splitlines():
            if line.startswith("unbraid "):
                small = SMALL if line.startswith("unbraid train") else ""
                assert not main(shlex.split(f"{line} {small}")[1:])
                commands += 1
            else:
                assert line == "pip install '.[video,audio,series]'"
    assert commands == 2
    printed = capsys.readouterr().out
    assert "my_videos frames (6, 8, 3, 32, 32) [] 4" in printed
    assert "my_sounds sound" in printed and "vitals windows (6, 4, 6, 2) ['ward'] 4" in printed
    assert names["arrays"].mask.sum() == 30 * 12 * 4 - 2
    assert (names["codes"]["static"].shape[0], names["codes"]["dynamic"].shape[1]) == (12, 4)


def test_the_extras_of_the_install_command_exist():
    declared = (PAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    for extra in ("video", "audio", "series"):
        assert re.search(rf"^{extra} = \[", declared, re.MULTILINE)


def test_commands_of_the_table_name_options_that_exist(files):
    from unbraid.data.load import option_names

    text = PAGE.read_text(encoding="utf-8")
    for path, pattern in (("my_sounds", "FOLDER --data.pattern"), ("vitals.csv", "FILE.csv")):
        (line,) = [line for line in text.splitlines() if pattern in line]
        assert set(re.findall(r"--data\.(\w+)", line)) <= set(option_names(files / path))
