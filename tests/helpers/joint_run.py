"""Two processes train, are stopped, are killed and go on; run as a script, with what to do and a folder.

python tests/helpers/joint_run.py start FOLDER     FOLDER/whole, and FOLDER/stopped, killed after step 6 (exit code 77)
python tests/helpers/joint_run.py go_on FOLDER     FOLDER/stopped to its end, and data that differ are refused
"""

import os
import signal
import sys
from pathlib import Path

import lightning
import numpy as np
import torch

from unbraid.data.sequences import Sequences
from unbraid.processes import joined
from unbraid.training import TrainingConfig, fit, resume
from unbraid.training.callbacks.stopping import Interrupted

KILLED = 77
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
    "device": "cpu",
}


def tiny_data() -> Sequences:
    random = np.random.default_rng(0)
    return Sequences.from_arrays(random.integers(0, 255, (50, 4, 1, 16, 16), dtype=np.uint8), name="noise")


class At(lightning.Callback):
    """Acts after a step, before its checkpoint is written."""

    def __init__(self, step, act):
        self.step, self.act = step, act

    def on_train_batch_end(self, trainer, plan, outputs, batch, batch_idx):
        if plan.step == self.step:
            self.act(plan)


def ask_second_process_to_stop(plan):
    if plan.process.rank == 1:
        os.kill(os.getpid(), signal.SIGTERM)


def start(folder: Path) -> None:
    training = TrainingConfig(**TRAINING, track_information=True)
    fit(tiny_data(), "dbse", folder=folder / "whole", settings=SETTINGS, training=training, quiet=True)
    try:
        stop = At(3, ask_second_process_to_stop)
        fit(
            tiny_data(),
            "dbse",
            folder=folder / "stopped",
            settings=SETTINGS,
            training=training,
            callbacks=[stop],
            quiet=True,
        )
    except Interrupted as interrupted:
        assert interrupted.signal_number == signal.SIGTERM
    else:
        raise AssertionError("the training was not stopped")
    assert (folder / "stopped" / "checkpoints" / "step-00000003.ckpt").is_file()
    resume(folder / "stopped", tiny_data(), callbacks=[At(6, lambda plan: os._exit(KILLED))], quiet=True)


def go_on(folder: Path) -> None:
    with joined("cpu") as process:
        resume(folder / "stopped", tiny_data(), quiet=True)
        other = Sequences.from_arrays(tiny_data().x[process.rank :], name="noise")
        try:
            fit(
                other,
                "dbse",
                folder=folder / "refused",
                settings=SETTINGS,
                training=TrainingConfig(**TRAINING),
            )
        except ValueError as error:
            print(f"refused: {error}", file=sys.stderr)
        try:
            fit(
                tiny_data(),
                "dbse",
                folder=folder / "refused",
                settings=SETTINGS,
                training=TrainingConfig(**TRAINING | {"batch_size": 7}),
            )
        except ValueError as error:
            print(f"refused: {error}", file=sys.stderr)


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"start": start, "go_on": go_on}[sys.argv[1]](Path(sys.argv[2]))
