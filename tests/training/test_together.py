"""Two processes train as one: equal gradients, one stop, one folder, and a resume that is exact."""

import csv
import re
import shutil
from pathlib import Path

import joint_run
import joint_step
import pytest
import torch
from joint_run import tiny_data
from joint_step import CASES, first_step
from safetensors.torch import load_file
from together import start, together

from unbraid.processes import ALONE, Process, cores, from_first, gather, largest, mean_over_processes
from unbraid.training import TrainingConfig, fit, resume
from unbraid.training.batches import Batches
from unbraid.training.environment import read_environment
from unbraid.types import JointNoise, standard_normal, uniform

needs_two_cores = pytest.mark.skipif(cores() < 2, reason="two processes need two cores")
APART = "c_dsvae, each process its own"
# Gradients of eigenvalues amplify the rounding of what they are computed from.
LOOSE = {"skd": 1e-4, "ssm_skd": 1e-4}


@pytest.fixture(scope="module")
def joint_steps(tmp_path_factory):
    path = tmp_path_factory.mktemp("joint") / "steps.pt"
    together(Path(joint_step.__file__), path)
    return torch.load(path, weights_only=True)


def worst(first, second):
    """The largest difference, in units of the largest value."""
    scale = max(value.abs().max() for value in first.values())
    return max((first[name].double() - second[name].double()).abs().max() for name in first) / scale


@needs_two_cores
@pytest.mark.parametrize("case", [case for case in CASES if case != APART])
def test_a_step_of_two_processes_is_that_of_one(joint_steps, case):
    alone, both = first_step(case), joint_steps[case]
    for part in ("terms", "gradients", "buffers"):
        assert alone[part].keys() == both[part].keys()
        if alone[part]:
            assert worst(alone[part], both[part]) < LOOSE.get(case, 1e-6), part


@needs_two_cores
def test_comparing_within_each_process_is_another_objective(joint_steps):
    assert worst(first_step(APART)["gradients"], joint_steps[APART]["gradients"]) > 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A whole training of two processes, and one that was stopped, killed and taken up again."""
    folder, script = tmp_path_factory.mktemp("runs"), Path(joint_run.__file__)
    processes = start(script, "start", folder)
    assert [process.wait() for process in processes] == [joint_run.KILLED] * 2
    shutil.copytree(folder / "stopped", folder / "killed")
    (folder / "errors.txt").write_text("\n".join(together(script, "go_on", folder)))
    return folder


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def rows(folder):
    """The rows of metrics.csv without what a clock says."""
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        clock = ("seconds", "sequences_per_second")
        return [{k: v for k, v in row.items() if k not in clock} for row in csv.DictReader(file)]


@needs_two_cores
def test_a_stopped_and_killed_training_of_two_processes_goes_on_exactly(folder):
    whole, stopped = weights(folder / "whole"), weights(folder / "stopped")
    assert whole.keys() == stopped.keys() and all(torch.equal(whole[name], stopped[name]) for name in whole)
    assert rows(folder / "whole") == rows(folder / "stopped")
    assert read_environment(folder / "whole")["processes"] == 2


@needs_two_cores
def test_a_resume_with_another_number_of_processes_says_so(folder, capsys):
    resume(folder / "killed", tiny_data())
    assert "processes 1 instead of 2" in " ".join(capsys.readouterr().out.split())
    assert read_environment(folder / "killed")["changed_at_resume"]["processes"] == [2, 1]
    for row, expected in zip(rows(folder / "killed"), rows(folder / "whole"), strict=True):
        assert float(row["total"]) == pytest.approx(float(expected["total"]), rel=1e-3)


@needs_two_cores
def test_processes_with_different_data_or_uneven_batches_are_refused(folder):
    errors = (folder / "errors.txt").read_text()
    assert len(re.findall("refused: data: differs between the processes", errors)) == 2
    assert len(re.findall("refused: training.batch_size: 7 sequences", errors)) == 2
    assert not (folder / "refused").exists()


# ---- one process ----------------------------------------------------------------------------------------


def test_one_process_keeps_what_it_has():
    x = torch.rand(3, 2, requires_grad=True)
    assert gather(x) is x and mean_over_processes(x) is x
    assert largest(2.0) == 2.0 and from_first(lambda: "made") == "made"


def test_an_error_of_the_first_process_that_takes_more_than_a_text_is_passed_on(monkeypatch):
    def broadcast(message, src):
        message[1] = (UnicodeDecodeError, ["labels.csv is not UTF-8"])

    monkeypatch.setattr("unbraid.processes.this_process", lambda: Process(1, 2))
    monkeypatch.setattr("unbraid.processes.dist.broadcast_object_list", broadcast)
    with pytest.raises(RuntimeError, match=r"UnicodeDecodeError: labels\.csv is not UTF-8"):
        from_first(lambda: None)


def test_more_processes_than_started_or_cores_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"training.devices: 2 processes are wanted .* 1 is there"):
        fit(tiny_data(), "dbse", folder=tmp_path / "run", training=TrainingConfig(devices=2, device="cpu"))
    from unbraid.cli import main

    many = str(cores() + 1)
    run = ["--run", str(tmp_path / "run"), "--training.device", "cpu", "--training.devices", many]
    assert main(["train", "puppets/dbse", *run]) == 2
    assert not (tmp_path / "run").exists()


def test_shares_of_batches_are_the_batches():
    whole = Batches(torch.arange(53).numpy(), 10, seed=1)
    parts = [Batches(torch.arange(53).numpy(), 10, seed=1, process=Process(rank, 5)) for rank in range(5)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert [row for share in shares for row in share] == batch.tolist()
        assert all(len(share) == 2 for share in shares)
    in_order = [Batches(torch.arange(23).numpy(), 5, process=Process(rank, 2)) for rank in (0, 1)]
    assert [len(part) for part in in_order] == [3, 2]
    assert sorted(row for part in in_order for batch in part for row in batch) == list(range(23))
    with pytest.raises(ValueError, match="batch_size: 10 sequences"):
        Batches(torch.arange(53).numpy(), 10, seed=1, process=Process(0, 4))


@pytest.mark.parametrize("draw", [standard_normal, uniform])
def test_noise_of_two_processes_is_that_of_one(draw):
    def generator(process, sequences):
        noise = JointNoise("cpu", process, sequences)
        noise.manual_seed(0)
        return noise

    like = torch.zeros(())
    for shape, axis in (((8, 3), 0), ((3, 8, 2), 1), ((24, 2), 0), ((5,), None)):
        whole = draw(shape, like, generator(ALONE, 8), sequences=axis)
        parts = [generator(Process(rank, 2), 4) for rank in (0, 1)]
        own = [size // 2 if place == axis else size for place, size in enumerate(shape)]
        found = [draw(tuple(own), like, part, sequences=axis) for part in parts]
        if axis is None:
            assert all(torch.equal(one, whole) for one in found)
            continue
        times = shape[axis] // 8
        split = [part.unflatten(axis, (times, 4)) for part in found]
        assert torch.equal(torch.cat(split, axis + 1).flatten(axis, axis + 1), whole)
        assert torch.equal(parts[0].get_state(), parts[1].get_state())
