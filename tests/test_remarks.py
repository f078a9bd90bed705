"""Remarks: one line of text on the command line, a warning in Python."""

import subprocess
import sys

import numpy as np
import pytest

from unbraid.remarks import Remark, plain_remarks, remark

CODE = """
import warnings
from unbraid.remarks import plain_remarks, remark
with plain_remarks():
    remark("a\\nb.wav: left out")
    warnings.warn_explicit("of another library", UserWarning, "there.py", 3)
remark("after")
"""


def test_the_text_alone_in_one_line():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == [
        "a b.wav: left out",
        "there.py:3: UserWarning: of another library",
        "unbraid:0: Remark: after",
    ]


def test_remarks_can_be_caught():
    with plain_remarks(), pytest.warns(Remark, match="left out 2"):
        remark("left out 2")


def test_on_the_command_line(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(6, 3, 100)).astype(np.float32))
    words = [
        "train",
        "--data",
        tmp_path / "x.npy",
        "--run",
        tmp_path / "run",
        "--no-evaluate",
        "--training.max_epochs",
        "1",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "unbraid", *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "6 sequences of 3 steps with 100 features" in line]
    assert len(said) == 1 and said[0].startswith("x: is read as ") and "Remark" not in done.stderr
