"""Early stopping keeps the weights of the lowest loss on validation, and a stopped training goes on to the same ones."""

import csv
import json
from dataclasses import replace

import lightning
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from unbraid.data.sequences import Sequences
from unbraid.training import TrainingConfig, fit, resume
from unbraid.training.callbacks.checkpoints import Checkpoints

SETTINGS = {"width": 64, "static_size": 4, "dynamic_size": 2, "features": 32, "hidden": 64}
TRAINING = {
    "max_epochs": 80,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "schedule": "constant",
    "weights": {"kl_static": [[0, 1], [1, 0.01]], "kl_dynamic": 0.01},
    "device": "cpu",
}
STEPS = 160  # 2 an epoch


def data():
    """Noise: what is learned of 16 sequences does not hold for others, so validation soon gets worse."""
    x = np.random.default_rng(0).normal(size=(40, 6, 20)).astype(np.float32)
    splits = {"train": np.arange(16), "validation": np.arange(16, 40)}
    return replace(Sequences.from_arrays(x, name="noise"), splits=splits, fingerprint="")


class Kept(lightning.Callback):
    """The weights after each epoch, by step."""

    def __init__(self):
        self.weights = {}

    def on_train_epoch_end(self, trainer, plan):
        self.weights[plan.step] = {name: value.clone() for name, value in plan.model.state_dict().items()}


def losses(folder):
    """The loss of each validation by its step, with the weights of the end."""
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        validation = [row for row in csv.DictReader(file) if row["split"] == "validation"]
    last = {"reconstruction": 1, "kl_static": 0.01, "kl_dynamic": 0.01}
    return {int(row["step"]): sum(float(row[name]) * last[name] for name in last) for row in validation}


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def train(folder, patience, callbacks=(), **changes):
    training = TrainingConfig(**TRAINING | changes, patience=patience)
    fit(data(), "dsvae", folder=folder, settings=SETTINGS, training=training, callbacks=callbacks, quiet=True)


def test_the_weights_of_the_lowest_loss_are_kept_and_training_ends_after_the_patience(tmp_path):
    kept = Kept()
    train(tmp_path / "run", 5, [kept])
    by_step = losses(tmp_path / "run")
    counted = {step: loss for step, loss in by_step.items() if step >= STEPS / 2}
    best = min(counted, key=counted.get)
    assert max(by_step) == best + 2 * 5 < STEPS
    about = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert (about["steps"], about["kept_step"]) == (max(by_step), best)
    stored = weights(tmp_path / "run")
    assert all(torch.equal(stored[name], value) for name, value in kept.weights[best].items())
    assert not all(torch.equal(stored[name], value) for name, value in kept.weights[max(by_step)].items())


def test_epochs_of_the_first_half_do_not_count(tmp_path):
    train(tmp_path / "run", 1)
    by_step = losses(tmp_path / "run")
    assert min(by_step, key=by_step.get) < STEPS / 2 <= max(by_step)


def test_the_best_weights_are_kept_where_the_patience_lasts_to_the_end(tmp_path):
    kept = Kept()
    train(tmp_path / "run", 1000, [kept])
    counted = {step: loss for step, loss in losses(tmp_path / "run").items() if step >= STEPS / 2}
    best = min(counted, key=counted.get)
    assert max(counted) == STEPS != best
    stored = weights(tmp_path / "run")
    assert all(torch.equal(stored[name], value) for name, value in kept.weights[best].items())


class BrokenError(Exception):
    pass


@pytest.mark.parametrize("step", [30, 80, 84, "last"])
def test_a_training_that_was_broken_off_ends_with_the_same_weights(tmp_path, monkeypatch, step):
    """Before the middle, at it, after it, and at the early end itself, after which no further step is taken."""
    train(tmp_path / "whole", 5, checkpoint_minutes=1e-9)
    at = max(losses(tmp_path / "whole")) if step == "last" else step
    write = Checkpoints.write

    def write_then_break(self, trainer, plan):
        write(self, trainer, plan)
        if plan.step == at:
            raise BrokenError

    with monkeypatch.context() as patch, pytest.raises(BrokenError):
        patch.setattr(Checkpoints, "write", write_then_break)
        train(tmp_path / "broken", 5, checkpoint_minutes=1e-9)
    resume(tmp_path / "broken", data(), quiet=True)
    whole, broken = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(value, broken[name]) for name, value in whole.items())
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")


def test_patience_of_no_epoch_is_refused():
    with pytest.raises(ValueError, match=r"training\.patience: 0 must be at least 1, or None"):
        TrainingConfig(patience=0)
