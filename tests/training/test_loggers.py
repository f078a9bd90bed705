"""Callbacks and loggers of Lightning beside the library's own."""

import csv

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from unbraid.data.sequences import Sequences
from unbraid.training import TrainingConfig, fit
from unbraid.training.callbacks.loggers import check_loggers, picture

TRAINING = {"max_epochs": 2, "batch_size": 8, "log_every_steps": 1, "device": "cpu"}
SMALL = {"width": 4, "static_size": 3, "dynamic_size": 4, "features": 8, "hidden": 6}


def clips(n=30):
    return Sequences.from_arrays(
        np.random.default_rng(0).integers(0, 255, (n, 4, 3, 16, 16), dtype=np.uint8), name="noise"
    )


def train(folder, **beside):
    return fit(
        clips(),
        "dbse",
        folder=folder,
        settings=SMALL,
        training=TrainingConfig(**TRAINING),
        quiet=True,
        **beside,
    )


class Steps(lightning.Callback):
    def __init__(self):
        self.steps, self.totals = [], []

    def on_train_batch_end(self, trainer, plan, outputs, batch, batch_idx):
        self.steps.append(plan.step)
        self.totals.append(float(outputs["losses"].total))


def test_callbacks_and_loggers_see_what_metrics_csv_has(tmp_path):
    steps = Steps()
    run = train(tmp_path / "run", callbacks=[steps], loggers=["csv", CSVLogger(tmp_path / "mine")])
    assert steps.steps == [1, 2, 3, 4, 5, 6]
    with open(run.folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    train_rows = [row for row in rows if row["split"] == "train"]
    assert [float(row["total"]) for row in train_rows] == pytest.approx(steps.totals, rel=1e-5)
    for path in (run.folder / "csv" / "metrics.csv", next((tmp_path / "mine").rglob("metrics.csv"))):
        with open(path, newline="") as file:
            logged = list(csv.DictReader(file))
        for split in ("train", "validation"):
            found = {row["step"]: row[f"{split}/total"] for row in logged if row.get(f"{split}/total")}
            expected = {row["step"]: row["total"] for row in rows if row["split"] == split}
            assert {k: float(v) for k, v in found.items()} == {k: float(v) for k, v in expected.items()}


def test_tensorboard_has_curves_and_pictures(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra tb")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(tmp_path / "run", loggers=["tensorboard"])
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("validation/total")] == [3, 6]
    images = events.Images("validation/swaps")
    assert [image.step for image in images] == [3, 6]
    assert (images[0].width, images[0].height) == (
        4 * 16,
        3 * 3 * 16,
    )  # 3 sequences of validation, 3 rows each


@pytest.mark.parametrize(
    ("observation", "size"), [((1, 16, 16), (144, 96)), ((5,), (45, 6)), ((4, 2), (18, 24))]
)
def test_pictures_of_every_kind(observation, size):
    from unbraid.testing import build_small, tiny_batch

    model = build_small("vae" if len(observation) == 2 else "dbse", observation, SMALL).eval()
    with torch.no_grad():
        image = picture(model, tiny_batch(observation, 3, 6))
    assert tuple(image.shape) == (3, *size) and image.min() >= 0 and image.max() <= 1


def test_unknown_loggers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'tensorboard'"):
        check_loggers(["tensorbord"])
    with pytest.raises(ValueError, match="no logger"):
        train(tmp_path / "run", loggers=["nothing"])
    assert not (tmp_path / "run").exists()


def test_a_logger_without_its_package_is_refused_before_a_run_begins(tmp_path, monkeypatch):
    monkeypatch.setattr("unbraid.training.callbacks.loggers.find_spec", lambda module: None)
    with pytest.raises(ImportError, match=r"loggers: comet needs .* not installed: pip install comet-ml"):
        train(tmp_path / "run", loggers=["comet"])
    assert not (tmp_path / "run").exists()
