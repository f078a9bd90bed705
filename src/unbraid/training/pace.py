"""How long a training step takes here, and how many fit into a number of minutes."""

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from unbraid.data.sequences import Sequences
from unbraid.models.base import SequenceModel
from unbraid.training.config import TrainingConfig
from unbraid.training.phases import TrainingStep
from unbraid.training.plan import Plan

__all__ = ["fit_into_minutes", "seconds_of", "seconds_per_step", "steps_in", "training_step"]

TRAINING_SHARE = 0.85  # of a run's time; validation and checkpoints take the rest
STEPS = 5  # that are timed


def fit_into_minutes(training: TrainingConfig, model: SequenceModel, data: Sequences) -> TrainingConfig:
    """The settings with `fitted_steps`, where fewer steps fit into `max_minutes` than the training has otherwise.

    Learning rate and weights follow the fitted steps, so that they end with the budget. The steps are timed on a copy.

    Args:
        training: the settings.
        model: as training will begin.
        data: its data set.
    """
    if training.max_minutes is None or training.fitted_steps is not None:
        return training
    plan = Plan(copy.deepcopy(model), data, training)
    device = plan.device_name
    plan.model.to(device).train()
    taking = TrainingStep(plan.model, training, plan.total_steps, plan.dataset_size, plan.noise)
    rows = next(iter(plan.batches))
    seconds = seconds_per_step(lambda: taking.take(plan.read(rows, device), 0), device)
    steps = steps_in(training.max_minutes, seconds)
    return replace(training, fitted_steps=steps) if steps < plan.total_steps else training


def steps_in(minutes: float, seconds: float) -> int:
    """The number of steps of so many seconds in so many minutes of a run."""
    return max(1, int(60 * minutes * TRAINING_SHARE / seconds))


def seconds_per_step(step: Callable[[], object], device: str, steps: int = STEPS) -> float:
    """Seconds of a training step by the median of a few.

    Args:
        step: takes one.
        device: "cpu" or "cuda".
        steps: that are timed.
    """
    step()  # the first step is slower, because it prepares memory and kernels
    return statistics.median(seconds_of(step, device) for _ in range(steps))


def training_step(model: SequenceModel, data: Sequences, config: TrainingConfig) -> Callable[[], object]:
    """A function that takes one training step on all of the data, as the training plan does."""
    noise = torch.Generator(model.device).manual_seed(config.seed)
    step, rows = TrainingStep(model, config, 1, len(data), noise), np.arange(len(data))
    return lambda: step.take(data.batch(rows, model.device), 0)


def seconds_of(run: Callable[[], object], device: str) -> float:
    """Seconds that a call takes, work on the GPU included."""
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
