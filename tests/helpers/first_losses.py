"""The first ten losses (three of SKD) of every recipe's model on made-up data; run as a script it stores them anew.

    PYTHONPATH=src python tests/helpers/first_losses.py

Store them anew only when a change of behaviour is meant, and say so where it is described.
"""

import json
from pathlib import Path

import numpy as np
import torch

from unbraid.data.load import info
from unbraid.data.sequences import Sequences
from unbraid.models.build import build_model
from unbraid.recipes import list_recipes, read_recipe
from unbraid.registry import DATASETS, model_class
from unbraid.training import TrainingConfig
from unbraid.training.phases import TrainingStep

STORED = Path(__file__).parent.parent / "models" / "first_losses.json"
BATCH, STEPS, OBSERVED = 4, 10, 0.7
LONGEST, LARGEST = (
    5,
    32,
)  # made-up sequences are shorter and frames smaller than the data, for the sake of time
OWN = {"series": (5, 24, 4), "sound": (5, 80)}
OWN_FRAMES = (5, 3, 32, 32)


def shape_of(recipe: str) -> tuple[int, ...]:
    """Steps and observation `(T, *X)` of a recipe's data."""
    options = read_recipe(recipe).data
    if options.get("name") not in DATASETS:
        return OWN.get(recipe.rpartition("-")[2], OWN_FRAMES)
    shape = info(options["name"]).shape
    length, size = min(shape[0], LONGEST), min(options.get("size", LARGEST), LARGEST)
    return (length, shape[1], size, size) if len(shape) == 4 else (length, *shape[1:])


def made_up(size: int, shape: tuple[int, ...]) -> Sequences:
    """A batch of noise: windows have hidden values, vectors another voice."""
    random = np.random.default_rng(0)
    if len(shape) == 4:
        return Sequences(random.integers(0, 256, (size, *shape), dtype=np.uint8), "made up")
    x = random.normal(size=(size, *shape)).astype(np.float32)
    mask = random.random((size, *shape)) < OBSERVED
    if len(shape) == 3:
        return Sequences(x, "made up", mask=mask)
    return Sequences(x, "made up", other_voices=x[::-1, None].copy())


def first_losses(recipe: str) -> list[float]:
    """The objective of the first steps, in float32 and at a constant learning rate."""
    read, shape = read_recipe(recipe), shape_of(recipe)
    # SKD fits an operator to the pairs of steps of a batch: with too few, rounding decides its eigenvalues, and as which of them
    # are static is a choice, differences between processors grow fast from step to step.
    size, steps = (24, 3) if read.model["name"] == "skd" else (BATCH, STEPS)
    data = made_up(size, shape)
    settings = {key: value for key, value in read.model.items() if key != "name"}
    names = model_class(read.model["name"]).setting_names()
    settings |= {name: size for name in ("sequences", "recordings") if name in names}
    plain = {
        "precision": "float32",
        "device": "cpu",
        "batch_size": size,
        "schedule": "constant",
        "warmup_steps": 0,
    }
    config = TrainingConfig(**(read.training | plain))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(read.model["name"], data.observation, **settings)
    model.eval()
    rows = np.arange(size)
    model.check_batches(size, shape[0])
    with torch.no_grad():
        model.start([data.batch(rows)])
    step = TrainingStep(model.train(), config, steps, size, torch.Generator().manual_seed(0))
    return [float(step.take(data.batch(rows), number).total) for number in range(steps)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    losses = {recipe: [float(f"{value:.7g}") for value in first_losses(recipe)] for recipe in list_recipes()}
    STORED.write_text(json.dumps(losses, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {STORED}: {len(losses)} recipes")
