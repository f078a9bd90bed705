"""The floors on the real series, against figures that were counted from the raw files by other code."""

import os
from pathlib import Path

import numpy as np
import pytest

from unbraid.data.load import load
from unbraid.evaluation import intervals
from unbraid.evaluation.downstream import _figures
from unbraid.evaluation.floors import plain_floors, raw_inputs
from unbraid.evaluation.tasks import downstream_tasks

REAL = os.environ.get("UNBRAID_DATA")
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(REAL is None, reason="UNBRAID_DATA is unset: needs the real series"),
]


def floors(name, folder, cache, tasks):
    data = load(name, root=Path(str(REAL)) / folder, cache=cache, form="official")
    views = raw_inputs({split: data.split(split) for split in data.splits})
    draws = intervals.draw_weights(np.arange(len(data.splits["test"])), 300, seed=0)
    return {
        task.name: {
            floor: _figures(task, [reading], "test", draws)
            for floor, reading in plain_floors(task, views).items()
        }
        for task in downstream_tasks(data, names=tasks)[0]
    }


def test_stays(tmp_path):
    found = floors("physionet2012", "physionet2012", tmp_path, ["death", "icu_type"])
    death, icu = found["death"], found["icu_type"]
    assert death["constant"]["auprc"]["mean"] == pytest.approx(38 / 353)
    assert icu["constant"]["accuracy"]["mean"] == pytest.approx(113 / 353)
    # Counted: AUROC 0.829 (sd 0.034), AUPRC 0.402 (0.078), ICU type 71.4%, on another split of the same pool.
    assert death["raw_linear"]["auroc"]["mean"] == pytest.approx(0.829, abs=0.015)
    assert death["raw_linear"]["auprc"]["mean"] == pytest.approx(0.402, abs=0.03)
    assert icu["raw_linear"]["accuracy"]["mean"] == pytest.approx(0.714, abs=0.02)
    for figure, deviation in (("auroc", 0.034), ("auprc", 0.078)):
        found_figure = death["raw_linear"][figure]
        assert (found_figure["high"] - found_figure["low"]) / 4 == pytest.approx(deviation, rel=0.25)


def test_months_of_air(tmp_path):
    month = floors("air_quality", "beijing_air_quality", tmp_path, ["month"])["month"]
    assert month["constant"]["accuracy"]["mean"] == pytest.approx(1 / 12)
    # Counted 71.5% and 59.7% with each mean scaled to deviation 1; ours keep the scale of the values, which does better.
    assert 0.715 <= month["raw_neighbour"]["accuracy"]["mean"] < 0.82
    assert 0.597 <= month["raw_centroid"]["accuracy"]["mean"] < 0.8


def test_oil(tmp_path):
    oil = floors("etth1", "etth1", tmp_path, ["oil_temperature"])["oil_temperature"]
    # Counted: the median of the published script's own training months, 10.04, scores 12.38.
    assert oil["constant"]["mae"]["mean"] == pytest.approx(12.38, abs=0.4)
    assert oil["constant"]["skill"]["mean"] == 0
    assert oil["raw_linear"]["skill"]["mean"] < 0.1  # the loads of other months say next to nothing
