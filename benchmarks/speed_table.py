"""`unbraid speed` for every method, as it is and compiled, in one dated CSV file of this machine.

    python benchmarks/speed_table.py --device cuda --batch 128

Each measurement runs in a process of its own with a limit of seconds; a method that fails or takes longer has its reason in the
column `remark`.
"""

import argparse
import csv
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from unbraid.registry import list_models

HERE = Path(__file__).parent
SERIES = ("glr", "gp_vae", "braid", "vae")  # methods for series are measured on one, the others on video
MACHINE = ("processor", "device", "torch", "threads", "gemm_bf16_gflops", "gemm_fp32_gflops")
FIGURES = (
    "precision",
    "step_seconds",
    "sequences_per_second",
    "gflops",
    "fraction_of_gemm",
    "peak_memory_mb",
)


def measure(model: str, device: str, batch: int, compiled: bool, limit: float) -> list[dict[str, object]]:
    """The rows of one method: training, and encoding where it encodes."""
    data = "etth1" if model in SERIES else "sprites"
    row = {"method": model, "data": data, "batch": batch, "compiled": compiled}
    words = [sys.executable, "-m", "unbraid", "speed", "--model", model, "--data", data, "--json"]
    words += ["--batch", str(batch), "--device", device, *(["--compile"] if compiled else [])]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return [row | {"remark": f"took more than {limit:g} seconds"}]
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [row | {"remark": f"failed: {last[:200]}"}]
    figures = json.loads(done.stdout)
    machine = {name: figures["machine"][name] for name in MACHINE}
    parts = [part for part in ("train", "encode") if part in figures]
    return [
        row | {"part": part} | {name: figures[part][name] for name in FIGURES} | machine for part in parts
    ]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument(
        "--methods", default="", help="some methods, with commas between them; all by default"
    )
    parser.add_argument("--limit", type=float, default=90, help="seconds of one measurement")
    parser.add_argument("--folder", type=Path, default=HERE)
    options = parser.parse_args()
    methods = options.methods.split(",") if options.methods else list_models()
    rows = []
    for model in methods:
        for compiled in (False, True) if options.device == "cuda" else (False,):
            found = measure(model, options.device, options.batch, compiled, options.limit)
            rows += found
            for row in found:
                rate = row.get("sequences_per_second", row.get("remark"))
                print(model, row.get("part", ""), "compiled" if compiled else "", rate, flush=True)
    processor = next((str(row["processor"]) for row in rows if "processor" in row), options.device)
    name = re.sub(r"[^a-z0-9]+", "-", processor.lower()).strip("-")
    path = options.folder / f"speed-{datetime.now(UTC).date().isoformat()}-{name}.csv"
    columns = ("method", "data", "batch", "compiled", "part", *FIGURES, *MACHINE, "remark")
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
