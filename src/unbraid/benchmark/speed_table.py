"""`unbraid speed` of every method on every kind of data that it takes, in one dated CSV file of this machine."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unbraid.benchmark.speed import check_numbers
from unbraid.kinds import Kind
from unbraid.machine import choose_device, processor_name
from unbraid.registry import list_models, model_class

__all__ = ["COLUMNS", "DATA", "measure_all", "new_table", "write_rows"]

DATA: dict[Kind, str] = {"frames": "sprites", "vectors": "fsdd", "windows": "etth1"}
"""The data set whose shape stands for a kind of observation; sound has the codecs of vectors."""

PARTS = ("train", "encode", "generate")
MACHINE = ("processor", "device", "torch", "threads", "gemm_bf16_gflops", "gemm_fp32_gflops")
FIGURES = (
    "precision",
    "step_seconds",
    "steady",
    "sequences_per_second",
    "gflops",
    "fraction_of_gemm",
    "peak_memory_mb",
)
COLUMNS = ("date", "method", "kind", "data", "batch", "compiled", "part", *FIGURES, *MACHINE, "remark")


def new_table(place: str | Path) -> Path:
    """The file of a new table: `place` itself, or in a folder `speed-DATE-MACHINE.csv`.

    Raises:
        FileExistsError: the file is there already.
    """
    path = Path(place)
    if path.is_dir():
        machine = re.sub(r"[^a-z0-9]+", "-", processor_name().lower()).strip("-")
        path = path / f"speed-{datetime.now(UTC).date().isoformat()}-{machine}.csv"
    if path.exists():
        raise FileExistsError(f"csv: {path} is there already; give another file, or move it away")
    return path


def measure_all(
    methods: Sequence[str] = (),
    batch: int = 128,
    steps: int = 5,
    device: str = "auto",
    compile: bool = False,
    limit: float = 600,
    kinds: Sequence[Kind] = tuple(DATA),
) -> Iterator[dict[str, Any]]:
    """Measure training, encoding and generation of methods on each kind of data that they take.

    Each measurement runs in a process of its own. A method that fails or takes too long has one row, whose `remark` says why.

    Args:
        methods: names; () for all.
        batch: sequences per step.
        steps: that are timed for a median.
        device: "cpu", "cuda" or "auto".
        compile: whether each method is measured again, compiled.
        limit: seconds of one measurement.
        kinds: of data.

    Returns:
        A row for each method, kind and part, with some of the columns `COLUMNS`; measured as they are asked for.

    Raises:
        ValueError: there is no method of a name, or a number cannot be used.
    """
    check_numbers(batch, steps)
    cards = {name: model_class(name).card for name in methods or list_models()}
    on, today = choose_device(device), datetime.now(UTC).date().isoformat()
    ways = (False, True) if compile else (False,)
    wanted = [
        {"date": today, "method": name, "kind": kind, "data": DATA[kind], "batch": batch, "compiled": way}
        for name, card in cards.items()
        for kind in kinds
        if kind in card.kinds
        for way in ways
    ]
    return (row for each in wanted for row in _measure(each, steps, on, limit))


def _measure(row: dict[str, Any], steps: int, device: str, limit: float) -> list[dict[str, Any]]:
    """The rows of one process: one for each part that the method has."""
    command = [sys.executable, "-m", "unbraid", "speed", "--json", *(["--compile"] * row["compiled"])]
    command += [f"--model={row['method']}", f"--data={row['data']}", f"--batch={row['batch']}"]
    command += [f"--steps={steps}", f"--device={device}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return [row | {"remark": f"took more than {limit:g} seconds"}]
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [row | {"remark": f"failed: {last[:200]}"}]
    figures = json.loads(done.stdout)
    machine = {name: figures["machine"][name] for name in MACHINE}
    parts = [part for part in PARTS if part in figures]
    return [
        row | {"part": part} | {name: figures[part][name] for name in FIGURES} | machine for part in parts
    ]


def write_rows(path: Path, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Write rows to a new CSV file, each as soon as it is there, and hand them on."""
    with open(path, "x", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            file.flush()
            yield row
