"""A training that is stopped anywhere and resumed ends with the very weights of one that ran through."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

import joint_run
import numpy as np
import pytest
import torch
import yaml
from joint_run import SETTINGS, TRAINING, tiny_data
from safetensors.torch import load_file

from unbraid.data.sequences import Sequences
from unbraid.files import FileInUseError, locked
from unbraid.models.build import build_model
from unbraid.training import TrainingConfig, fit, resume
from unbraid.training.callbacks.checkpoints import Checkpoints, read_checkpoint


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    fit(
        tiny_data(), "dbse", folder=folder, settings=SETTINGS, training=TrainingConfig(**TRAINING), quiet=True
    )
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
        fit(
            tiny_data(),
            "dbse",
            folder=folder,
            settings=SETTINGS,
            training=TrainingConfig(**TRAINING),
            quiet=True,
        )


@pytest.mark.parametrize("writes", range(1, 15))
def test_broken_off_after_any_checkpoint(whole, tmp_path, monkeypatch, writes):
    """5 steps an epoch, 3 epochs: a checkpoint after every step, the run broken off after each of them in turn."""
    folder = tmp_path / "run"
    break_off(folder, monkeypatch, writes)
    assert not (folder / "model").exists()
    resume(folder, tiny_data(), quiet=True)
    assert same(weights(whole), weights(folder))
    assert rows(folder) == rows(whole)


def rows(folder):
    """The rows of metrics.csv without what a clock says."""
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        return [
            {name: value for name, value in row.items() if name not in ("seconds", "sequences_per_second")}
            for row in csv.DictReader(file)
        ]


def test_other_seed_gives_other_weights(whole, tmp_path):
    folder = tmp_path / "run"
    fit(
        tiny_data(),
        "dbse",
        folder=folder,
        settings=SETTINGS,
        training=TrainingConfig(**TRAINING, seed=1),
        quiet=True,
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


def test_any_changed_byte_of_a_checkpoint_is_seen(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    break_off(folder, monkeypatch, 2)
    path = sorted((folder / "checkpoints").glob("*.ckpt"))[-1]
    assert read_checkpoint(path)["step"] == 2
    content, draw = path.read_bytes(), random.Random(0)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged"):
            read_checkpoint(path)
    for length in (0, 31, 32, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="is damaged"):
            read_checkpoint(path)


def test_checkpoints_do_not_pass_through_the_temporary_folder(tmp_path, monkeypatch):
    nowhere = tmp_path / "nowhere"
    monkeypatch.setattr(tempfile, "tempdir", str(nowhere))
    monkeypatch.setenv("TMPDIR", str(nowhere))
    break_off(tmp_path / "run", monkeypatch, 2)
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2 and not nowhere.exists()


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX file locks")
def test_one_process_trains_a_run(whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    break_off(folder, monkeypatch, 3)
    with (
        locked(folder / ".lock"),
        pytest.raises(FileInUseError, match=f"{folder} is trained by another process"),
    ):
        resume(folder, tiny_data(), quiet=True)
    resume(folder, tiny_data(), quiet=True)
    assert same(weights(whole), weights(folder)) and rows(folder) == rows(whole)


def test_a_run_is_locked_while_it_trains(tmp_path, monkeypatch):
    refused = []

    def look(self, trainer, plan):
        with pytest.raises(FileInUseError), locked(tmp_path / "run" / ".lock"):
            pass
        refused.append(plan.step)

    monkeypatch.setattr(Checkpoints, "write", look)
    short = TrainingConfig(**TRAINING | {"max_epochs": 1})
    fit(tiny_data(), "dbse", folder=tmp_path / "run", settings=SETTINGS, training=short, quiet=True)
    assert refused == [1, 2, 3, 4, 5]


def test_other_threads_are_said_and_recorded(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"
    break_off(folder, monkeypatch, 3)
    path = folder / "environment.json"
    started = json.loads(path.read_text())
    path.write_text(json.dumps(started | {"threads": 7}))
    resume(folder, tiny_data())
    now = torch.get_num_threads()
    assert f"threads {now} instead of 7: the weights may differ" in " ".join(capsys.readouterr().out.split())
    assert json.loads(path.read_text())["changed_at_resume"] == {"threads": [7, now]}


def test_usual_torch_whatever_the_caller_has_set(whole, tmp_path):
    """float64 by default and inference mode change nothing; a model that was built so is refused by name."""
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode():
            fit(
                tiny_data(),
                "dbse",
                folder=tmp_path / "run",
                settings=SETTINGS,
                training=TrainingConfig(**TRAINING),
                quiet=True,
            )
            assert torch.get_default_dtype() == torch.float64 and torch.is_inference_mode_enabled()
        built = build_model("dbse", (1, 16, 16), **SETTINGS)
    finally:
        torch.set_default_dtype(torch.float32)
    assert same(weights(whole), weights(tmp_path / "run")) and rows(tmp_path / "run") == rows(whole)
    with pytest.raises(ValueError, match=r"model: .* is torch.float64; build the model"):
        fit(tiny_data(), built.double(), folder=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def cut_environment(folder):
    (folder / "environment.json").write_text("{")


def forget_environment(folder):
    (folder / "environment.json").unlink()


def cut_config(folder):
    (folder / "config.yaml").write_text("model: {name: [")


def list_for_config(folder):
    (folder / "config.yaml").write_text("[1, 2]")


def other_width(folder):
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("width: 4", "width: 5"))


def unknown_setting(folder):
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("max_epochs", "max_epoques"))


def bytes_for_config(folder):
    (folder / "config.yaml").write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_environment, "environment.json: is damaged .*move .* away and train again"),
        (forget_environment, "holds no environment.json.*move the folder away and train again"),
        (cut_config, "config.yaml: is damaged"),
        (list_for_config, "config.yaml: is damaged .*settings of 'data'"),
        (other_width, r"step-\d+.ckpt: is of another model; config.yaml was changed"),
        (unknown_setting, "config.yaml: is damaged .*max_epoques"),
        (bytes_for_config, "config.yaml: is damaged"),
    ],
)
def test_damaged_files_of_a_run_are_named(tmp_path, monkeypatch, damage, message):
    folder = tmp_path / "run"
    break_off(folder, monkeypatch, 2)
    damage(folder)
    with pytest.raises(ValueError, match=message) as raised:
        resume(folder, tiny_data(), quiet=True)
    assert "\n" not in str(raised.value)


def test_a_damaged_model_is_made_again_from_the_last_checkpoint(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    path = folder / "model" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"model.safetensors: is damaged.*remove {folder / 'model'} and"):
        resume(folder, tiny_data(), quiet=True)
    shutil.rmtree(folder / "model")
    resume(folder, tiny_data(), quiet=True)
    assert same(weights(whole), weights(folder)) and rows(folder) == rows(whole)


def test_a_run_without_its_seconds_is_finished_by_resume(whole, tmp_path):
    """Left by a kill between model.json and environment.json, which were once written in this order."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    path = folder / "environment.json"
    environment = json.loads(path.read_text())
    del environment["seconds"], environment["steps"]
    path.write_text(json.dumps(environment))
    resume(folder, tiny_data(), quiet=True)
    assert json.loads(path.read_text())["steps"] == 15
    assert same(weights(whole), weights(folder)) and rows(folder) == rows(whole)


def test_an_empty_folder_can_be_trained_into(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    short = TrainingConfig(**TRAINING | {"max_epochs": 1})
    fit(tiny_data(), "dbse", folder=folder, settings=SETTINGS, training=short, quiet=True)
    assert (folder / "model" / "model.json").is_file()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists and holds no run; it is never overwritten"):
        fit(tiny_data(), "dbse", folder=tmp_path / "other", settings=SETTINGS, training=short, quiet=True)


def test_kill_at_five_random_moments(whole, tmp_path):
    """SIGKILL from outside, five times, at moments nobody chose; each resume goes on from what is on the disk."""
    folder = tmp_path / "run"
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {os.path.dirname(joint_run.__file__)!r})
        import torch
        torch.set_num_threads(1)
        from pathlib import Path
        from joint_run import SETTINGS, TRAINING, tiny_data
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
            fit(tiny_data(), "dbse", folder=folder, settings=SETTINGS, training=TrainingConfig(**TRAINING))
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

    def press(self, trainer, plan, *rest):
        add(self, trainer, plan, *rest)
        if plan.step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Metrics, "on_train_batch_end", press)
    folder = tmp_path / "run"
    slow = TRAINING | {"checkpoint_minutes": 100.0}
    with pytest.raises(KeyboardInterrupt):
        fit(tiny_data(), "dbse", folder=folder, settings=SETTINGS, training=TrainingConfig(**slow))
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
        fit(tiny_data(), "dbse", folder=whole, settings=SETTINGS)
    assert (whole / "config.yaml").read_text() == before
    assert yaml.safe_load(before)["training"]["learning_rate"] == 3e-3
