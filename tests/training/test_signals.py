"""Signals and a closed pipe: a training is saved and ends with a stated code, or is not disturbed."""

import os
import signal
import subprocess
import sys
import textwrap

import joint_run
import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

# Steps announce themselves, and wait where the test wants to send a signal.
SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from pathlib import Path
from joint_run import SETTINGS, TRAINING, tiny_data
from unbraid.cli import main
import unbraid.cli.resume
import unbraid.training.run
from unbraid.training import TrainingConfig, fit
from unbraid.training.callbacks.metrics import Metrics

add = Metrics.on_train_batch_end
def announce(self, trainer, plan, *rest):
    add(self, trainer, plan, *rest)
    print("step", plan.step, file=sys.stderr, flush=True)
    if plan.step == {wait_at}:
        time.sleep({seconds})
Metrics.on_train_batch_end = announce

def train(words):
    training = TrainingConfig(**TRAINING | {{"checkpoint_minutes": 100.0}})
    fit(tiny_data(), "dbse", folder=Path(words[0]), settings=SETTINGS, training=training)
unbraid.cli.resume.main = train  # the command line round a training of these tests' data
sys.exit(main(["resume", sys.argv[1]]))
"""


def start(tmp_path, wait_at=3, seconds=2.0, before="", **options):
    script = tmp_path / "train.py"
    text = textwrap.dedent(SCRIPT).format(
        tests=os.path.dirname(joint_run.__file__), wait_at=wait_at, seconds=seconds
    )
    script.write_text(before + text, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, script, tmp_path / "run"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=restore_hangups,
        **options,
    )


def restore_hangups():
    """Let the training hear SIGHUP, which it would ignore in a suite started by `nohup`."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def read_until(process, text):
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"the training ended with {process.wait()} before {text!r}")


@pytest.mark.parametrize(
    ("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129), ("SIGUSR1", 138)]
)
def test_signals_save_and_exit_with_stated_codes(tmp_path, name, code):
    with start(tmp_path, stdout=subprocess.PIPE) as process:
        read_until(process, "step 3")
        process.send_signal(getattr(signal, name))
        out, err = process.communicate()
    assert process.returncode == code, err
    assert "unbraid resume" in out and "unbraid: stopped" in err and "Traceback" not in err
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000003.ckpt"]


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_second_signal_ends_at_once_and_says_so(tmp_path, name, code):
    with start(tmp_path, seconds=600, stdout=subprocess.DEVNULL) as process:
        read_until(process, "step 3")
        process.send_signal(signal.SIGTERM)
        read_until(process, "once more to stop at once")
        process.send_signal(getattr(signal, name))
        _, err = process.communicate()
    assert process.returncode == code and "stopped at once" in err
    assert not (tmp_path / "run" / "checkpoints").exists() and (tmp_path / "run" / "config.yaml").exists()


def test_nohup_is_respected(tmp_path):
    ignore = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    with start(tmp_path, seconds=0.5, before=ignore, stdout=subprocess.DEVNULL) as process:
        read_until(process, "step 3")
        process.send_signal(signal.SIGHUP)
        _, err = process.communicate()
    assert process.returncode == 0, err
    assert (tmp_path / "run" / "model" / "model.json").exists()


def test_a_closed_pipe_does_not_end_a_training(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    with start(tmp_path, seconds=0, stdout=writer) as process:
        os.close(writer)
        _, err = process.communicate()
    assert process.returncode == 0 and "Traceback" not in err, err
    assert (tmp_path / "run" / "model" / "model.json").exists()
