"""About how long a training takes here, before it is started."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch

from unbraid.benchmark.ledger import Config, Trained, differences
from unbraid.benchmark.speed import training_step
from unbraid.data.sequences import Sequences
from unbraid.models.build import build_model
from unbraid.training import TrainingConfig
from unbraid.training.machine import choose_device, choose_precision

__all__ = ["known_seconds", "measured_seconds"]

SEED = "training.seed"


def known_seconds(config: Config, trained: Sequence[Trained]) -> tuple[float, str] | None:
    """Seconds that a training will take by one that was made, and the hardware that it was made on.

    The same settings with another seed count before the same recipe with other settings; None without either. Seconds
    go by the epochs, and end with `max_minutes`.
    """
    trained = [one for one in trained if one.seconds]
    same = [one for one in trained if set(differences(one.config, config)) <= {SEED}]
    alike = same or [one for one in trained if one.config["recipe"] == config["recipe"]]
    if not alike:
        return None
    seconds = statistics.fmean(one.seconds / one.epochs for one in alike) * config["training"]["max_epochs"]
    return _at_most(seconds, config), alike[-1].hardware


def measured_seconds(config: Config, data: Sequences, steps: int = 3) -> float:
    """Seconds of training by the median of a few steps on the first training sequences; validation comes on top."""
    training = TrainingConfig(**config["training"])
    rows = data.splits["train"]
    settings = {key: value for key, value in config["model"].items() if key != "name"}
    device = choose_device(training.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        model = build_model(config["model"]["name"], data.observation, **settings).to(device)
    batch = data.take(rows[: training.batch_size])
    weights = config["training"]["weights"]
    step = training_step(
        model, batch, training, weights, choose_precision(training.precision, device), device
    )
    step()  # the first one prepares
    seconds = statistics.median(_seconds(step, device) for _ in range(steps))
    return _at_most(seconds * (len(rows) / training.batch_size) * training.max_epochs, config)


def _seconds(step: Callable[[], None], device: str) -> float:
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _at_most(seconds: float, config: Config) -> float:
    minutes = config["training"]["max_minutes"]
    return seconds if minutes is None else min(seconds, 60 * minutes)
