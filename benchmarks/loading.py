"""Whether reading holds training up: the time of a training step with its reading beside that on a batch in memory.

python benchmarks/loading.py sprites/dbse fsdd/braid      about a minute for each recipe; options of a data set as in training:
python benchmarks/loading.py sprites/dbse --root FOLDER

Batches are drawn at random from the prepared data set, which is mapped from the disk. Every batch is new, for a method may compute
something once for each sequence. Both kinds of step are taken in turn. Without a GPU the processor's time is measured, on one
core. The exit code is 1 where the median of the ratios of neighbouring steps is above 1.1.
"""

import argparse
import itertools
import statistics
import sys
import time
from functools import partial

import numpy as np
import torch

from unbraid.models.build import build_model
from unbraid.recipes import resolve_recipe
from unbraid.training import TrainingConfig
from unbraid.training.phases import TrainingStep
from unbraid.training.plan import Plan
from unbraid.training.run import load_run_data

LIMIT = 1.1


def seconds_of(step):
    """Seconds that a call takes; without a GPU of this process alone, whatever else runs on the machine."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    began = clock()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - began


def measure(recipe, steps, root):
    """Median seconds of a step on a batch in memory and with reading, and the median of their ratios."""
    config = resolve_recipe(recipe, {} if root is None else {"data.root": root})
    data = load_run_data(config)
    training = TrainingConfig(**config["training"])
    settings = {name: value for name, value in config["model"].items() if name != "name"}
    counted = {"sequences": len(data.splits["train"]), "recordings": len(data.splits["train"])}
    settings |= {name: value for name, value in counted.items() if name in settings}
    torch.manual_seed(0)
    plan = Plan(build_model(config["model"]["name"], data.observation, **settings), data, training)
    device = plan.device_name
    plan.model.to(device).train()
    taking = TrainingStep(plan.model, training, plan.total_steps, plan.dataset_size, plan.noise)
    in_memory: list[float] = []
    read: list[float] = []
    endless = (rows for _ in itertools.count() for rows in plan.batches)
    for number, (rows, others) in enumerate(itertools.islice(zip(endless, endless, strict=True), steps + 2)):
        batch = plan.read(others, device)
        pair = [partial(taking.take, batch, 0), lambda rows=rows: taking.take(plan.read(rows, device), 0)]
        order = (0, 1) if number % 2 else (1, 0)
        seconds = {which: seconds_of(pair[which]) for which in order}
        if number >= 2:  # the first steps prepare memory and kernels
            in_memory.append(seconds[0])
            read.append(seconds[1])
    ratios = np.array(read) / np.array(in_memory)
    return statistics.median(in_memory), statistics.median(read), float(np.median(ratios))


def main():
    """Measure each recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--root", help="folder of the raw files")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = True
    print(f"{'recipe':<28}{'in memory ms':>13}{'read ms':>9}{'ratio':>7}")
    for recipe in options.recipes:
        in_memory, read, ratio = measure(recipe, options.steps, options.root)
        print(f"{recipe:<28}{1000 * in_memory:>13.1f}{1000 * read:>9.1f}{ratio:>7.3f}", flush=True)
        kept &= ratio <= LIMIT
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
