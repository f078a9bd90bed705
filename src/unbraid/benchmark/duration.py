"""About how long a training takes here, before it is started."""

import statistics
from collections.abc import Sequence

import torch

from unbraid.benchmark.identity import Config, settings_hash
from unbraid.benchmark.runs import Trained
from unbraid.data.sequences import Sequences
from unbraid.machine import choose_device
from unbraid.models.build import build_model
from unbraid.training import TrainingConfig
from unbraid.training.pace import seconds_per_step, steps_in, training_step
from unbraid.training.plan import budget

__all__ = ["measured_seconds", "recorded_seconds", "steps_within"]


def recorded_seconds(config: Config, trained: Sequence[Trained]) -> tuple[float, str] | None:
    """Seconds that a training will take according to recorded trainings, and the hardware of the last of them.

    Trainings with the same settings and any seed are used; without one, trainings of the same recipe with other
    settings. Seconds are proportional to epochs where the budget is in epochs, and end with `max_minutes`. None where there
    is no such training.
    """
    timed = [run for run in trained if run.seconds]
    same = [run for run in timed if settings_hash(run.config) == settings_hash(config)]
    similar = same or [run for run in timed if run.config.get("recipe") == config["recipe"]]
    if not similar:
        return None
    in_steps = config["training"].get("steps") is not None
    factors = [1.0 if in_steps else config["training"]["max_epochs"] / run.epochs for run in similar]
    seconds = statistics.fmean(
        (run.seconds or 0.0) * factor for run, factor in zip(similar, factors, strict=True)
    )
    return _at_most(seconds, config), similar[-1].hardware


def measured_seconds(config: Config, data: Sequences, steps: int = 3) -> float:
    """Seconds of training by the median of a few steps on the first training sequences; validation comes on top."""
    batches, epochs = budget(data.training_rows, TrainingConfig(**config["training"]))
    return _at_most(_seconds_per_step(config, data, steps) * len(batches) * epochs, config)


def steps_within(minutes: float, config: Config, data: Sequences, steps: int = 5) -> int:
    """The number of training steps that take about so many minutes here, by the median of a few.

    Args:
        minutes: of training, validation and checkpoints included.
        config: every setting of the run.
        data: its data set.
        steps: that are timed.

    Raises:
        ValueError: minutes that are not above 0.
    """
    if minutes <= 0:
        raise ValueError(f"minutes: {minutes} must be above 0")
    return steps_in(minutes, _seconds_per_step(config, data, steps))


def _seconds_per_step(config: Config, data: Sequences, steps: int) -> float:
    training = TrainingConfig(**config["training"])
    settings = {name: value for name, value in config["model"].items() if name != "name"}
    device = choose_device(training.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        model = build_model(config["model"]["name"], data.observation, **settings).to(device)
    first = data.take(data.training_rows[: training.batch_size])
    return seconds_per_step(training_step(model, first, training), device, steps)


def _at_most(seconds: float, config: Config) -> float:
    """The seconds, or those of `max_minutes` where that ends a training earlier."""
    minutes = config["training"]["max_minutes"]
    return seconds if minutes is None else min(seconds, 60 * minutes)
