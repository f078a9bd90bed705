"""The examples run."""

import runpy
from pathlib import Path

import numpy as np

FILE = Path(__file__).parent.parent / "examples" / "own_data.py"


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
