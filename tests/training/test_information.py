"""Mutual information tracked during training: the right numbers in the right rows of metrics.csv."""

import csv
import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal

from unbraid.cards import ModelCard
from unbraid.data.sequences import Sequences
from unbraid.models.base import SequenceModel
from unbraid.training import TrainingConfig, fit
from unbraid.training.callbacks.information import Information, information
from unbraid.types import Batch, Posterior

SETTINGS = {"width": 4, "static_size": 3, "dynamic_size": 4, "features": 8, "hidden": 6}
COLUMNS = [f"information/{name}" for name in Information.names]


class Placed(SequenceModel):
    """A posterior of a given width round what it sees, in one dimension of each code."""

    card = ModelCard("placed", "", "", 2024, "", "", "", frozenset({"encode"}))

    def __init__(self, observation, width: float = 1.0) -> None:
        super().__init__()
        self.static_size = self.dynamic_size = 1
        self.width = torch.nn.Parameter(torch.tensor(width))

    def posterior(self, x, mask=None, generator=None) -> Posterior:
        return Posterior(Normal(x[:, 0, :1], self.width), Normal(x[:, :, 1:2], self.width))

    def prior(self, dynamic):
        return Normal(torch.zeros_like(dynamic), 1.0)

    def roll(self, n, length, generator=None):
        return torch.zeros(n, length, 1)

    def decode(self, codes, mask=None):
        return Independent(Normal(codes.dynamic, 1.0), 0)

    def terms(self, batch, generator=None):
        return {"nothing": self.width.expand(len(batch))}


def tiny_data(n=30) -> Sequences:
    random = np.random.default_rng(0)
    return Sequences.from_arrays(random.random((n, 4, 5), dtype=np.float32), name="noise")


def estimated(x, width, dataset_size=1000):
    found = information(Placed((2,), width), Batch(x), dataset_size, torch.Generator().manual_seed(0))
    return {name: float(value.detach().mean()) for name, value in found.items()}


def test_codes_that_tell_nothing_stand_at_the_floor():
    """All sequences in one place: every estimate is log N, whatever the batch."""
    found = estimated(torch.zeros(64, 3, 2), 1.0)
    assert all(value == pytest.approx(math.log(1000), abs=1e-4) for value in found.values())


def test_codes_that_tell_all_sequences_apart_stand_at_the_ceiling():
    x = 100 * torch.arange(64.0).view(64, 1, 1).expand(64, 3, 2)
    found = estimated(x, 1.0)
    ceiling = math.log(1000 * 64)
    assert all(value == pytest.approx(ceiling, abs=1e-3) for value in found.values())


def test_independent_codes_tell_of_the_sequence_but_not_of_each_other():
    """Each of 8 x 8 pairs of places once: I(s; x) and I(d; x) are log 8 over the floor, I(s; d) is at it."""
    place = 100 * torch.arange(8.0)
    x = torch.stack([place.repeat_interleave(8), place.repeat(8)], 1).view(64, 1, 2).expand(64, 3, 2)
    found = estimated(x, 1.0)
    floor = math.log(1000)
    for name in ("static_input", "dynamic_input", "dynamic_input_per_step"):
        assert found[name] == pytest.approx(floor + math.log(8), abs=1e-3)
    for name in ("static_dynamic", "static_dynamic_per_step"):
        assert found[name] == pytest.approx(floor, abs=1e-3)


def rows_of(run):
    with open(run.folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("model", ["dbse", "c_dsvae"])
def test_validation_rows_hold_the_estimates(tmp_path, model):
    training = TrainingConfig(max_epochs=2, batch_size=6, track_information=True, seed=1)
    settings = SETTINGS if model == "dbse" else {"width": 4, "static_size": 3, "dynamic_size": 4}
    run = fit(tiny_data(), model, folder=tmp_path / "run", settings=settings, training=training, quiet=True)
    rows = rows_of(run)
    assert [column for column in rows[0] if column.startswith("information/")] == COLUMNS
    validation = [row for row in rows if row["split"] == "validation"]
    assert [row["step"] for row in validation] == ["0", "4", "8"]  # before training, and after each epoch
    for row in validation:  # 24 training sequences; a validation batch holds 3
        values = [float(row[column]) for column in COLUMNS]
        assert all(-1 < value < math.log(24 * 3) + 1e-3 for value in values)
        assert float(row["information/static_input"]) > math.log(24) - 0.5
    assert all(row[column] == "" for row in rows if row["split"] == "train" for column in COLUMNS)


def test_tracking_changes_no_weight(tmp_path):
    models = []
    for tracked in (False, True):
        training = TrainingConfig(max_epochs=1, batch_size=6, track_information=tracked)
        folder = tmp_path / str(tracked)
        run = fit(tiny_data(), "dbse", folder=folder, settings=SETTINGS, training=training, quiet=True)
        models.append(run.model.state_dict())
        assert ("information/static_input" in rows_of(run)[0]) == tracked
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_posteriors_that_are_not_normal_are_refused_before_training(tmp_path):
    class Odd(Placed):
        def posterior(self, x, mask=None, generator=None):
            found = super().posterior(x)
            return Posterior(found.static, torch.distributions.Laplace(found.dynamic.mean, 1.0))

    training = TrainingConfig(track_information=True)
    with pytest.raises(ValueError, match=r"track_information: the dynamic posterior .* is Laplace"):
        fit(tiny_data(), Odd((5,)), folder=tmp_path / "run", training=training, quiet=True)
    assert not (tmp_path / "run").exists()
