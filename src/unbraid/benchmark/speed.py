"""How fast a model trains, encodes and generates here, beside a large matrix product in the same process.

The operations of a step are counted forwards and backwards (a multiplication and an addition are two). Only matrix
products and convolutions count; the optimiser's work does not.
"""

import json
import math
import os
import resource
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from unbraid.data.load import info
from unbraid.data.sequences import Sequences
from unbraid.generation import Precision, decode, encode, evaluating
from unbraid.machine import (
    choose_device,
    choose_precision,
    compiled,
    has_bfloat16,
    keep_freed_memory,
    processor_name,
)
from unbraid.models.base import SequenceModel
from unbraid.models.build import build_model
from unbraid.recipes import list_recipes, resolve_recipe
from unbraid.registry import DATASETS
from unbraid.training import TrainingConfig
from unbraid.training.pace import seconds_of, training_step
from unbraid.words import nearest

__all__ = ["check_numbers", "count_operations", "matrix_product_rate", "measure", "steady_median"]

OBSERVED = 0.7
"""Share of a series' values that are observed; the others are masked."""

AGREEMENT, MOST_MEDIANS = 1.05, 6
"""Ratio of two medians that agree, and how many are measured at most."""


def measure(
    model: str = "dbse",
    data: str = "sprites",
    batch: int = 128,
    steps: int = 5,
    settings: Mapping[str, Any] | None = None,
    config: TrainingConfig | None = None,
    product_seconds: float = 0.3,
) -> dict[str, dict[str, Any]]:
    """Time training steps, encoding and generation on made-up data of a data set's shape.

    Sequences are generated from the prior; where a method has none, given codes are decoded. Medians are measured until
    two of them agree to 5%; where they never do, other work on the machine disturbed the measurement.

    Args:
        model: name of the model; settings, weights and optimiser are those of the recipe `data/model`, where there is
            one.
        data: name of a data set; nothing is read from disk.
        batch: number of sequences per step.
        steps: number of steps that are timed for a median, after two that are not.
        settings: of the model, by name, in place of the recipe's.
        config: precision, device and whether it is compiled; the rest is used only where there is no recipe.
        product_seconds: about how long the matrix product is timed, for each precision, before and after.

    Returns:
        `machine`, `train`, for a method with an encoder `encode`, and `generate`, each a dictionary of figures; rates in
        GFLOP/s, times in seconds, memory in MB (2^20 bytes); `steady` says whether two medians agreed.

    Raises:
        ValueError: a name, a setting or a number that cannot be used.
    """
    shape = _shape(data)
    check_numbers(batch, steps)
    config = config or TrainingConfig(batch_size=batch)
    chosen: dict[str, Any] = {}
    if f"{data}/{model}" in list_recipes():
        recipe = resolve_recipe(f"{data}/{model}")
        chosen = {name: value for name, value in recipe["model"].items() if name != "name"}
        training = TrainingConfig(**recipe["training"])
        config = replace(
            training,
            batch_size=batch,
            precision=config.precision,
            device=config.device,
            compile=config.compile,
        )
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    keep_freed_memory()
    sequences = _made_up(shape, batch)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        built = build_model(model, sequences.observation, **chosen | dict(settings or {})).to(device)
    kinds = (torch.bfloat16, torch.float32)
    rates = {kind: matrix_product_rate(kind, device, product_seconds) for kind in kinds}
    runs: dict[str, Callable[[], object]] = {"train": training_step(built, sequences, config)}
    if built.can("encode"):
        runs["encode"] = partial(encode, built, sequences, batch, config.precision)
    runs["generate"] = _generation(built, sequences, config.precision)
    # Operations are those of the parts as they are, since compiled code is not counted.
    operations = {part: count_operations(run) for part, run in runs.items()}
    with compiled(built, config.compile):
        timed = {part: _figures(run, operations[part], batch, steps, device) for part, run in runs.items()}
    length = math.prod(shape[:2]) if len(sequences.observation) == 2 else sequences.steps
    for figures in timed.values():
        figures["steps_per_second"] = round(length * figures["sequences_per_second"])
    # Measured again, and the faster result kept: another process may have slowed the first product.
    rates = {kind: max(rates[kind], matrix_product_rate(kind, device, product_seconds)) for kind in kinds}
    for part, figures in timed.items():
        kind = precision if part == "train" or sequences.kind == "frames" else torch.float32
        figures["precision"] = str(kind).removeprefix("torch.")
        figures["fraction_of_gemm"] = round(figures["gflops"] / rates[kind], 3)
    return {
        "machine": {
            "gemm_bf16_gflops": round(rates[torch.bfloat16], 1),
            "gemm_fp32_gflops": round(rates[torch.float32], 1),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "threads": torch.get_num_threads(),
            "processor": torch.cuda.get_device_name() if device == "cuda" else processor_name(),
            "device": device,
            "compiled": config.compile,
            "bf16_in_hardware": has_bfloat16(device),
            "torch": torch.__version__,
            "peak_memory_by": _memory_meter(device),
        },
        **timed,
    }


def check_numbers(batch: int, steps: int) -> None:
    """Refuse numbers that cannot be used.

    Raises:
        ValueError: names the number.
    """
    for name, value, least in (("batch", batch, 2), ("steps", steps, 1)):
        if value < least:
            raise ValueError(f"{name}: {value} must be at least {least}")


def matrix_product_rate(kind: torch.dtype, device: str, seconds: float = 0.3) -> float:
    """GFLOP/s of a large square matrix product.

    The size is doubled from 128, up to 4096, while one product is quick: a processor that only emulates bfloat16
    would need minutes for the largest.

    Args:
        kind: precision of the matrices.
        device: "cpu" or "cuda".
        seconds: about how long the best size is timed.
    """
    size, best = 128, 0.0
    while True:
        a, b = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
        a @ b
        took: list[float] = []
        while sum(took) < seconds or len(took) < 3:
            took.append(seconds_of(partial(torch.matmul, a, b), device))
        best = max(best, 2 * size**3 / min(took) / 1e9)
        if size == 4096 or 8 * min(took) > 2 * seconds:
            return best
        size *= 2


def count_operations(run: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products, convolutions and LSTMs that `run` does."""
    aten = torch.ops.aten
    lstm = {
        aten.mkldnn_rnn_layer: _lstm_layer,
        aten.mkldnn_rnn_layer_backward: _lstm_layer_backward,
        aten._cudnn_rnn: _cudnn_lstm,
        aten._cudnn_rnn_backward: _cudnn_lstm_backward,
    }
    with FlopCounterMode(display=False, custom_mapping=lstm) as counter:
        run()
    return counter.get_total_flops()


# torch's counter has no entry for fused LSTMs. Forwards, every weight matrix is multiplied once by every step of every
# sequence; backwards twice, for the gradients of the inputs and of the weights.
def _lstm_layer(inputs: Any, of_inputs: Any, of_state: Any, *_: Any, **__: Any) -> int:
    steps = inputs[0] * inputs[1]
    return 2 * steps * (of_inputs[0] * of_inputs[1] + of_state[0] * of_state[1])


def _lstm_layer_backward(inputs: Any, of_inputs: Any, of_state: Any, *_: Any, **__: Any) -> int:
    return 2 * _lstm_layer(inputs, of_inputs, of_state)


def _cudnn_lstm(inputs: Any, weights: Any, *_: Any, **__: Any) -> int:
    steps = inputs[0] * inputs[1] if len(inputs) == 3 else inputs[0]
    return 2 * steps * sum(shape[0] * shape[1] for shape in weights if len(shape) == 2)


def _cudnn_lstm_backward(inputs: Any, weights: Any, *_: Any, **__: Any) -> int:
    return 2 * _cudnn_lstm(inputs, weights)


def _shape(data: str) -> tuple[int, ...]:
    """Steps and observation `(T, *X)` of one sequence of a data set, from its card."""
    if data not in DATASETS:
        raise ValueError(f"data: the shape of {data!r} is not known{nearest(data, DATASETS)}")
    return info(data).shape


def _made_up(shape: tuple[int, ...], n: int) -> Sequences:
    """Random sequences of a shape: of a series, part of the values is observed; vectors have another voice."""
    random = np.random.default_rng(0)
    if len(shape) == 4:
        return Sequences(random.integers(0, 256, (n, *shape), dtype=np.uint8), "made up")
    x, mask = random.normal(size=(n, *shape)).astype(np.float32), random.random((n, *shape)) < OBSERVED
    if len(shape) == 3:
        return Sequences(x, "made up", mask=mask)
    return Sequences(x, "made up", other_voices=x[:, None])


def _generation(model: SequenceModel, sequences: Sequences, precision: Precision) -> Callable[[], object]:
    """A function that generates as many sequences as there are; without a prior it decodes their codes."""
    if not (model.can("static_prior") and model.can("dynamic_prior")):
        codes = encode(model, sequences, len(sequences))
        return partial(decode, model, codes, len(sequences), precision=precision)
    generator = torch.Generator(model.device)

    def generate() -> torch.Tensor:
        with evaluating(model):
            drawn = model.draw(len(sequences), sequences.steps, generator)
        return decode(model, drawn, len(sequences), generator=generator, precision=precision)

    return generate


def steady_median(measure_once: Callable[[], float], count: int) -> tuple[float, bool]:
    """The median of `count` measurements, repeated until two medians agree.

    Args:
        measure_once: gives seconds.
        count: of the measurements of a median.

    Returns:
        The smaller of the first two medians that agree to 5%, and True; or after six medians the smallest, and False.
    """
    medians: list[float] = []
    while len(medians) < MOST_MEDIANS:
        latest = statistics.median(measure_once() for _ in range(count))
        for earlier in medians:
            if max(latest, earlier) <= AGREEMENT * min(latest, earlier):
                return min(latest, earlier), True
        medians.append(latest)
    return min(medians), False


def _figures(
    run: Callable[[], object], operations: int, batch: int, steps: int, device: str
) -> dict[str, Any]:
    run()
    _forget_peak(device)
    seconds, steady = steady_median(partial(seconds_of, run, device), steps)
    return {
        "step_seconds": round(seconds, 5),
        "steady": steady,
        "sequences_per_second": round(batch / seconds, 1),
        "gflop_per_step": round(operations / 1e9, 2),
        "gflops": round(operations / seconds / 1e9, 2),
        "peak_memory_mb": round(_peak_memory(device)),
    }


def _memory_meter(device: str) -> str:
    if device == "cuda":
        return "torch.cuda.max_memory_allocated, per part"
    if _HIGH_WATER.exists():
        return "VmHWM of the process, per part"
    return "getrusage maxrss of the process, from its start"


_HIGH_WATER = Path("/proc/self/clear_refs")


def _forget_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif _HIGH_WATER.exists():
        _HIGH_WATER.write_text("5", encoding="utf-8")


def _peak_memory(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    if _HIGH_WATER.exists():
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def as_json(figures: dict[str, dict[str, Any]]) -> str:
    """The figures as one JSON object."""
    return json.dumps(figures, indent=2)
