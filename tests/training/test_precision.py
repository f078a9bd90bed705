"""Training in bfloat16: every model and kind learns, close to what it learns in float32."""

import csv

import pytest
import torch
from planted import KINDS, planted

from unbraid.machine import has_bfloat16
from unbraid.registry import list_models, model_class
from unbraid.training import TrainingConfig, fit

SMALL = {"static_size": 5, "dynamic_size": 4, "features": 8, "hidden": 6, "width": 8}


def last_row(folder):
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    return next(row for row in reversed(rows) if row["split"] == "validation")


CASES = [(name, kind) for name in list_models() for kind in KINDS if kind in model_class(name).card.kinds]


@pytest.mark.skipif(not has_bfloat16("cpu"), reason="the processor has no bfloat16, and oneDNN no LSTM in it")
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_bfloat16_learns_what_float32_learns(name, kind, tmp_path):
    names = model_class(name).setting_names()
    settings = {key: value for key, value in SMALL.items() if key in names}
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
        run = fit(
            planted(kind, 64),
            name,
            folder=tmp_path / precision,
            settings=settings,
            training=config,
            quiet=True,
        )
        assert all(torch.isfinite(value).all() for value in run.model.state_dict().values())
        assert all(value.dtype != torch.bfloat16 for value in run.model.state_dict().values())
        totals[precision] = float(last_row(tmp_path / precision)["total"])
    assert totals["bfloat16"] == pytest.approx(totals["float32"], rel=0.1, abs=1.0)
