"""Training in bfloat16: every model and kind learns, close to what it learns in float32, or is refused in plain words."""

import csv
import re

import pytest
import torch
from planted import KINDS, planted

from unbraid.machine import computing_in, has_bfloat16
from unbraid.registry import list_models, model_class
from unbraid.training import TrainingConfig, fit

NO_LSTM = r"training\.precision: bfloat16 .* LSTMs .* give float32, or auto"
SMALL = {"static_size": 5, "dynamic_size": 4, "features": 8, "hidden": 6, "width": 8}


def last_row(folder):
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    return next(row for row in reversed(rows) if row["split"] == "validation")


CASES = [(name, kind) for name in list_models() for kind in KINDS if kind in model_class(name).card.kinds]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_bfloat16_learns_what_float32_learns(name, kind, tmp_path):
    names = model_class(name).setting_names()
    settings = {key: value for key, value in SMALL.items() if key in names}
    data = planted(kind, 64)
    totals = {}
    for precision in ("float32", "bfloat16"):
        config = TrainingConfig(
            max_epochs=2,
            batch_size=16,
            learning_rate=3e-3,
            precision=precision,
            device="cpu",
            gradient_clip=100.0,
        )
        try:
            run = fit(data, name, folder=tmp_path / precision, settings=settings, training=config, quiet=True)
        except ValueError as error:
            if has_bfloat16("cpu") or not re.search(NO_LSTM, str(error)):
                raise
            pytest.skip("the processor has no LSTM in bfloat16")
        assert all(torch.isfinite(value).all() for value in run.model.state_dict().values())
        assert all(value.dtype != torch.bfloat16 for value in run.model.state_dict().values())
        totals[precision] = float(last_row(tmp_path / precision)["total"])
    assert totals["bfloat16"] == pytest.approx(totals["float32"], rel=0.1, abs=1.0)


def test_a_processor_without_lstms_in_bfloat16_is_said_before_training(monkeypatch, tmp_path):
    def refuse(*_):
        raise RuntimeError(
            "could not create a primitive descriptor for the LSTM forward propagation primitive. Run ..."
        )

    monkeypatch.setattr(torch, "lstm", refuse)
    monkeypatch.setattr(torch.nn.LSTM, "forward", refuse)
    training = TrainingConfig(max_epochs=1, batch_size=16, precision="bfloat16", device="cpu")
    with pytest.raises(ValueError, match=NO_LSTM):
        fit(planted("vectors", 64), "dbse", folder=tmp_path / "run", training=training, quiet=True)
    assert not (tmp_path / "run").exists()


def test_other_errors_of_torch_are_passed_on():
    with pytest.raises(RuntimeError, match="another"), computing_in(torch.bfloat16, "cpu"):
        raise RuntimeError("another")
