"""Training by two processes of one thread beside one process of two threads, in turn, on the same work.

python benchmarks/processes.py                              DBSE on puppets, 32 sequences a step
python benchmarks/processes.py machines/braid --rounds 5

Prints how much faster matrix products are with two threads than with one (about 1 where the two processors are threads of one
core, so that nothing can be gained), steps per second of each round and the ratio of the medians; the exit code is 1 where two
processes are slower.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from unbraid.benchmark.speed import matrix_product_rate
from unbraid.machine import choose_precision


def steps_per_second(recipe, processes, steps, batch, folder):
    """Of the second half of a training, without validation and checkpoints."""
    words = ["train", recipe, "--run", str(folder), "--no-evaluate", "--training.devices", str(processes)]
    words += ["--training.steps", str(steps), "--training.batch_size", str(batch)]
    words += ["--training.device", "cpu", "--training.log_every_steps", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": str(2 // processes)}
    subprocess.run(
        [sys.executable, "-m", "unbraid", *words], env=environment, check=True, capture_output=True
    )
    with (folder / "metrics.csv").open() as file:
        rates = [
            float(row["sequences_per_second"]) for row in csv.DictReader(file) if row["split"] == "train"
        ]
    return statistics.median(rates[len(rates) // 2 :]) / batch


def gain_of_a_second_thread():
    """Ratio of the rates of a large matrix product with two threads and with one."""
    kind = choose_precision("auto", "cpu")
    rates = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        rates.append(matrix_product_rate(kind, "cpu"))
    return rates[1] / rates[0]


def main():
    """Measure in turn and compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", nargs="?", default="puppets/dbse")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    gain = gain_of_a_second_thread()
    print(f"matrix products are {gain:.2f} times as fast with two threads as with one", flush=True)
    rates = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        for number in range(options.rounds):
            for processes in rates:
                folder = Path(name) / f"{number}-{processes}"
                rates[processes].append(
                    steps_per_second(options.recipe, processes, options.steps, options.batch, folder)
                )
                print(f"{processes} process(es): {rates[processes][-1]:.2f} steps a second", flush=True)
    ratio = statistics.median(rates[2]) / statistics.median(rates[1])
    print(f"two processes are {ratio:.2f} times as fast as one process with two threads")
    return int(ratio < 1)


if __name__ == "__main__":
    sys.exit(main())
