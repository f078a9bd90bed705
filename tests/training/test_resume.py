"""A training that is stopped anywhere and resumed ends with the very weights of one that ran through."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from unbraid.data.sequences import Sequences
from unbraid.training import TrainingConfig, fit, resume
from unbraid.training.callbacks.checkpoints import Checkpoints

SETTINGS = {
    "width": 4,
    "static_size": 3,
    "dynamic_size": 4,
    "features": 8,
    "hidden": 6,
    "anchor": "random_batch",
}
TRAINING = {
    "max_epochs": 3,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "kernel_learning_rate": 3e-3,
    "weights": {"kl_static": [[0, 1], [1, 0.5]], "reconstruction_anchor": 0.2},
    "log_every_steps": 2,
    "checkpoint_minutes": 1e-9,
}


def tiny_data() -> Sequences:
    random = np.random.default_rng(0)
    return Sequences.from_arrays(random.integers(0, 255, (50, 4, 1, 16, 16), dtype=np.uint8), name="noise")


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    fit(tiny_data(), folder=folder, settings=SETTINGS, training=TrainingConfig(**TRAINING), quiet=True)
    return folder


class BrokenError(Exception):
    pass


def break_off(folder, monkeypatch, writes):
    """Train until the given number of checkpoints is written, then fail."""
    write, count = Checkpoints.write, 0

    def write_then_break(self, trainer, plan):
        nonlocal count
        write(self, trainer, plan)
        count += 1
        if count == writes:
            raise BrokenError

    with monkeypatch.context() as patch, pytest.raises(BrokenError):
        patch.setattr(Checkpoints, "write", write_then_break)
        fit(tiny_data(), folder=folder, settings=SETTINGS, training=TrainingConfig(**TRAINING), quiet=True)


@pytest.mark.parametrize("writes", range(1, 15))
def test_broken_off_after_any_checkpoint(whole, tmp_path, monkeypatch, writes):
    """5 steps an epoch, 3 epochs: a checkpoint after every step, the run broken off after each of them in turn."""
    folder = tmp_path / "run"
    break_off(folder, monkeypatch, writes)
    assert not (folder / "model").exists()
    resume(folder, tiny_data(), quiet=True)
    assert same(weights(whole), weights(folder))
    steps = [row.split(",")[0:3:2] for row in (folder / "metrics.csv").read_text().splitlines()[1:]]
    assert len({tuple(step) for step in steps}) == len(steps), "rows stand twice in metrics.csv"


def test_other_seed_gives_other_weights(whole, tmp_path):
    folder = tmp_path / "run"
    fit(
        tiny_data(), folder=folder, settings=SETTINGS, training=TrainingConfig(**TRAINING, seed=1), quiet=True
    )
    assert not same(weights(whole), weights(folder))


def test_truncated_checkpoint_falls_back(whole, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"
    break_off(folder, monkeypatch, 7)
    newest = sorted((folder / "checkpoints").glob("*.ckpt"))[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    resume(folder, tiny_data())
    said = " ".join(capsys.readouterr().out.split())
    assert "is damaged" in said and "falling back" in said
    assert same(weights(whole), weights(folder))


def test_kill_at_five_random_moments(whole, tmp_path):
    """SIGKILL from outside, five times, at moments nobody chose; each resume goes on from what is on the disk."""
    folder = tmp_path / "run"
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        import torch
        torch.set_num_threads(1)
        from pathlib import Path
        from test_resume import SETTINGS, TRAINING, tiny_data
        from unbraid.training import TrainingConfig, fit, resume
        from unbraid.training.callbacks.metrics import Metrics
        add = Metrics.on_train_batch_end
        import time
        def slowly(self, *args):
            time.sleep(0.05)
            add(self, *args)
        Metrics.on_train_batch_end = slowly
        folder = Path({str(folder)!r})
        if (folder / "environment.json").exists():
            resume(folder, tiny_data())
        else:
            fit(tiny_data(), folder=folder, settings=SETTINGS, training=TrainingConfig(**TRAINING))
        """)
    )
    moments = random.Random(0)
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not (folder / "environment.json").exists():
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 1.0) if (folder / "metrics.csv").exists() else 0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, script], check=True, stdout=subprocess.DEVNULL)
    assert same(weights(whole), weights(folder))


def test_interrupt_leaves_a_resumable_run(whole, tmp_path, monkeypatch, capsys):
    """Ctrl-C ends after the step at hand, says how to go on, and loses nothing."""
    from unbraid.training.callbacks.metrics import Metrics

    add = Metrics.on_train_batch_end

    def press(self, trainer, *rest):
        add(self, trainer, *rest)
        if trainer.global_step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Metrics, "on_train_batch_end", press)
    folder = tmp_path / "run"
    slow = TRAINING | {"checkpoint_minutes": 100.0}
    with pytest.raises(KeyboardInterrupt):
        fit(tiny_data(), folder=folder, settings=SETTINGS, training=TrainingConfig(**slow))
    assert "unbraid resume" in capsys.readouterr().out
    monkeypatch.setattr(Metrics, "on_train_batch_end", add)
    resume(folder, tiny_data(), quiet=True)
    assert same(weights(whole), weights(folder))


def test_resume_refuses_other_data(whole):
    folder = whole
    other = Sequences.from_arrays(np.zeros((50, 4, 1, 16, 16), np.uint8))
    (folder / "model" / "model.json").rename(folder / "model" / "hidden.json")
    try:
        with pytest.raises(ValueError, match="fingerprint"):
            resume(folder, other)
    finally:
        (folder / "model" / "hidden.json").rename(folder / "model" / "model.json")


def test_run_folder_is_never_overwritten(whole):
    before = (whole / "config.yaml").read_text()
    with pytest.raises(FileExistsError, match="never overwritten"):
        fit(tiny_data(), folder=whole, settings=SETTINGS)
    assert (whole / "config.yaml").read_text() == before
    assert yaml.safe_load(before)["training"]["learning_rate"] == 3e-3
