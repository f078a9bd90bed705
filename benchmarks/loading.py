"""Whether reading holds training up: the time of a training step on real data beside that on made-up data in memory.

python benchmarks/loading.py sprites/dbse fsdd/braid      about a minute for each recipe; options of a data set as in training:
python benchmarks/loading.py sprites/dbse --root FOLDER

Real batches are drawn at random from the prepared data set, which is mapped from the disk; made-up ones are of the same shape and
already in memory, with the same masks. Both kinds of step are taken in turn, so that other work on the machine slows both. The
exit code is 1 where the median of the ratios of neighbouring steps is above 1.1.
"""

import argparse
import statistics
import sys
import time

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
    """Seconds that a call takes."""
    began = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def measure(recipe, steps, root):
    """Median seconds of a step on made-up data and on real data, and the median of their ratios."""
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
    in_memory = plan.read(next(iter(plan.batches)), device)
    made_up, real = [], []
    batches = iter(plan.batches)
    for number in range(steps + 2):
        rows = next(batches, None)
        if rows is None:
            batches = iter(plan.batches)
            rows = next(batches)
        pair = [
            lambda: taking.take(in_memory, 0),
            lambda rows=rows: taking.take(plan.read(rows, device), 0),
        ]
        order = (0, 1) if number % 2 else (1, 0)
        seconds = {which: seconds_of(pair[which]) for which in order}
        if number >= 2:  # the first steps prepare memory and kernels
            made_up.append(seconds[0])
            real.append(seconds[1])
    ratios = np.array(real) / np.array(made_up)
    return statistics.median(made_up), statistics.median(real), float(np.median(ratios))


def main():
    """Measure each recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--root", help="folder of the raw files")
    options = parser.parse_args()
    kept = True
    print(f"{'recipe':<28}{'made-up ms':>11}{'real ms':>9}{'ratio':>7}")
    for recipe in options.recipes:
        made_up, real, ratio = measure(recipe, options.steps, options.root)
        print(f"{recipe:<28}{1000 * made_up:>11.1f}{1000 * real:>9.1f}{ratio:>7.3f}", flush=True)
        kept &= ratio <= LIMIT
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
