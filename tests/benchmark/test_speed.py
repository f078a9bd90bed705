"""`unbraid speed`: the arithmetic is counted right, and the figures fit together."""

import csv
import json

import pytest
import torch
from torch import nn

from unbraid.benchmark.speed import count_operations, matrix_product_rate, measure, steady_median
from unbraid.benchmark.speed_table import COLUMNS, measure_all, new_table, write_rows
from unbraid.cli import main
from unbraid.data.load import info, load
from unbraid.registry import list_datasets

PARTS = ["step_seconds", "sequences_per_second", "gflop_per_step", "fraction_of_gemm", "peak_memory_mb"]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_lstms_are_counted(bidirectional, layers):
    inputs, hidden, batch, steps = 3, 5, 2, 7
    ways = 2 if bidirectional else 1
    lstm = nn.LSTM(inputs, hidden, layers, batch_first=True, bidirectional=bidirectional)
    x = torch.randn(batch, steps, inputs, requires_grad=True)
    sizes = [inputs] + [ways * hidden] * (layers - 1)
    forwards = sum(2 * batch * steps * 4 * hidden * (size + hidden) * ways for size in sizes)
    with torch.no_grad():
        assert count_operations(lambda: lstm(x)) == forwards
    assert count_operations(lambda: lstm(x)[0].sum().backward()) == 3 * forwards


def test_products_and_convolutions_are_counted():
    linear, convolution = nn.Linear(4, 6, bias=False), nn.Conv2d(3, 8, 4, 2, 1)
    with torch.no_grad():
        assert count_operations(lambda: linear(torch.ones(5, 4))) == 2 * 5 * 4 * 6
        image = torch.ones(2, 3, 16, 16)
        assert count_operations(lambda: convolution(image)) == 2 * 2 * 8 * 8 * 8 * 3 * 16


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_product_s_rate_is_found_for_every_precision(kind):
    assert matrix_product_rate(kind, "cpu", seconds=0.01) > 0


@pytest.mark.parametrize("name", list_datasets())
def test_every_data_set_has_a_shape(name):
    assert len(info(name).shape) in (2, 3, 4)


def test_shapes_are_those_of_the_data(tmp_path):
    few = {"puppets": {"characters": 12}, "moving_digits": {"train": 2, "validation": 1, "test": 1}}
    for name, options in few.items():
        data = load(name, cache=tmp_path, **options)
        assert (data.steps, *data.observation) == info(name).shape


def small(width):
    settings = {"width": width, "features": 8, "static_size": 8, "dynamic_size": 8, "hidden": 8}
    return measure("dbse", "sprites", batch=2, steps=1, settings=settings, product_seconds=0.01)


@pytest.fixture(scope="module")
def figures():
    return small(4)


def test_the_figures_fit_together(figures):
    machine = figures["machine"]
    assert machine["gemm_bf16_gflops"] > 0 and machine["gemm_fp32_gflops"] > 0 and machine["cores"] >= 1
    for part in ("train", "encode", "generate"):
        found = figures[part]
        assert set(PARTS) <= set(found)
        assert found["sequences_per_second"] == pytest.approx(2 / found["step_seconds"], rel=0.05)
        assert found["fraction_of_gemm"] > 0 and found["peak_memory_mb"] > 0
    # A training step encodes, decodes, and goes backwards through both.
    assert figures["train"]["gflop_per_step"] > 4 * figures["encode"]["gflop_per_step"]


def test_width_counts(figures):
    assert small(8)["train"]["gflop_per_step"] > 2 * figures["train"]["gflop_per_step"]


def test_json(capsys, monkeypatch, figures):
    monkeypatch.setattr("unbraid.benchmark.speed.measure", lambda *arguments: figures)
    assert main(["speed", "--batch", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == figures
    assert main(["speed"]) == 0
    assert "peak memory" in capsys.readouterr().out


def test_any_setting_of_the_model_may_be_changed(capsys, monkeypatch):
    passed = []
    monkeypatch.setattr("unbraid.benchmark.speed.measure", lambda *arguments: passed.append(arguments) or {})
    words = ["--model.width", "8", "--model.subtract=false", "--model.anchor", "last"]
    assert main(["speed", "--json", *words]) == 0
    assert passed[0][4] == {"width": 8, "subtract": False, "anchor": "last"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--data", "sprits"], "did you mean 'sprites'"),
        (["--model", "dbs"], "did you mean 'dbse'"),
        (["--model.with", "8"], "did you mean '--model.width'"),
        (["--batch", "1"], "batch: 1 must be at least 2"),
        (["--precision", "float23"], "did you mean 'float32'"),
    ],
)
def test_wrong_words_are_told(capsys, arguments, told):
    assert main(["speed", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_a_method_without_an_encoder_is_timed_in_training_and_generation():
    figures = measure("mocogan", "fsdd", batch=4, steps=1, settings={"width": 4}, product_seconds=0.01)
    assert figures.keys() == {"machine", "train", "generate"}
    assert figures["train"]["step_seconds"] > 0 and figures["generate"]["step_seconds"] > 0


def test_a_median_is_measured_until_two_agree():
    seconds = iter([3.0, 1.0, 2.0, 5.0, 4.0, 4.0, 2.05, 9.0, 1.0])
    assert steady_median(seconds.__next__, 3) == (2.0, True)  # medians 2, 4, 2.05
    assert list(seconds) == []


def test_medians_that_never_agree_are_told():
    doubling = iter([2.0**power for power in range(20)])
    assert steady_median(doubling.__next__, 1) == (1.0, False)
    assert next(doubling) == 2.0**6


def test_all_methods_are_written_into_a_new_file(tmp_path, capsys):
    table = tmp_path / "speed.csv"
    words = ["speed", "--all", "--methods", "mocogan,vae", "--batch", "2", "--steps", "1", "--device", "cpu"]
    rows = list(write_rows(table, measure_all(["mocogan", "vae"], 2, 1, "cpu", kinds=["windows"])))
    with open(table, newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [row["part"] for row in written] == ["train", "encode", "generate"]  # mocogan takes no windows
    assert list(written[0]) == list(COLUMNS)
    for row, text in zip(rows, written, strict=True):
        assert row["method"] == "vae" and row["step_seconds"] > 0 and row["peak_memory_mb"] > 0
        assert {name: str(value) for name, value in row.items()} == {name: text[name] for name in row}
    assert main([*words, "--csv", str(table)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_method_that_fails_or_takes_long_has_its_reason():
    (row,) = measure_all(["vae"], 2, 1, "cpu", limit=0.01, kinds=["windows"])
    assert row["remark"] == "took more than 0.01 seconds"
    with pytest.raises(ValueError, match="batch: 1"):
        measure_all(["vae"], batch=1)
    with pytest.raises(ValueError, match="did you mean 'dbse'"):
        measure_all(["dbs"])


def test_in_a_folder_the_table_is_named_after_day_and_processor(tmp_path):
    path = new_table(tmp_path)
    assert path.parent == tmp_path and path.name.startswith("speed-20") and path.suffix == ".csv"
    path.touch()
    with pytest.raises(FileExistsError, match="give another file"):
        new_table(tmp_path)
