"""Some thousand damaged and random files on every reader; `make fuzz` tries 50,000."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from damage import DAMAGES, damaged

pytest.importorskip("av", reason="needs the extra video")
pytest.importorskip("soundfile", reason="needs the extra audio")
pytest.importorskip("pyarrow", reason="needs the extra series")

FUZZING = Path(__file__).parent / "helpers" / "fuzzing.py"


def test_only_two_errors_come_out_of_damaged_files(tmp_path):
    # In a process of its own: a reader that crashes fails this test alone, and the peak of its memory can be measured.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "UNBRAID_CACHE": str(tmp_path)}
    command = [sys.executable, FUZZING, "--inputs", "2400", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert " 0 faults, peak memory " in done.stdout.splitlines()[-1]


def test_damage_is_damage():
    content = b'{"a": [1, 2.5], "b": "text"}'
    for damage in DAMAGES:
        assert damage(random.Random(1), content) == damage(random.Random(1), content)
        assert any(damage(random.Random(seed), content) != content for seed in range(5)), damage
    several = {damaged(random.Random(seed), content)[0] for seed in range(100)}
    assert len(several) > 90
