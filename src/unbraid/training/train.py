"""The course of a training: the trainer runs to its end, or is stopped, and the model is written."""

import logging
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.loggers import Logger
from rich.console import Console

from unbraid.data.features import Features
from unbraid.io import save_features, save_model
from unbraid.machine import choose_device, compiled, keep_freed_memory, threads_wait
from unbraid.models.base import SequenceModel
from unbraid.processes import from_first, largest, this_process
from unbraid.streams import unbroken
from unbraid.training.callbacks.checkpoints import Checkpoints
from unbraid.training.callbacks.early_stopping import EarlyStopping
from unbraid.training.callbacks.information import Information
from unbraid.training.callbacks.loggers import Pictures, build_loggers
from unbraid.training.callbacks.metrics import Metrics
from unbraid.training.callbacks.progress import ProgressReport
from unbraid.training.callbacks.stopping import Interrupted, Stopped, Stopping
from unbraid.training.environment import add_to_environment
from unbraid.training.plan import Plan
from unbraid.training.trainer import build_trainer
from unbraid.types import Batch

__all__ = ["Beside", "console_of_first", "train"]


class Beside(NamedTuple):
    """What the caller of a training adds to it.

    Attributes:
        callbacks: of Lightning.
        loggers: of Lightning, or names of them.
    """

    callbacks: Sequence[lightning.Callback] = ()
    loggers: Sequence[str | Logger] = ()


def train(
    folder: Path,
    plan: Plan,
    terms: Sequence[str],
    checkpoint: Path | None,
    beside: Beside,
    quiet: bool,
) -> SequenceModel:
    """Train a plan to its end and write the model.

    Args:
        folder: of the run, which is there.
        plan: what is trained.
        terms: names of the model's terms.
        checkpoint: at which training goes on; None for a new training.
        beside: what the caller adds.
        quiet: print nothing.

    Returns:
        The trained model, on the CPU and in evaluation mode.

    Raises:
        ValueError: a term became infinite.
        ImportError: the package of a logger is not installed.
        Interrupted: a signal stopped the training, which is saved.
    """
    console = console_of_first(quiet)
    loggers = build_loggers(beside.loggers, folder) if plan.process.is_first else []
    checkpoints = Checkpoints(folder / "checkpoints", plan.config.checkpoint_minutes)
    tracked = Information() if plan.config.track_information else None
    metrics = Metrics(folder / "metrics.csv", plan.config.log_every_steps, terms, tracked)
    stopping = Stopping(checkpoints, metrics, plan.config.max_minutes)
    patience = plan.config.patience
    early = None if patience is None else EarlyStopping(metrics, patience, console)
    if checkpoint is None:
        metrics.drop_rows_after(None)
        if plan.config.start_from is None:  # a trained model has what is fitted before training
            plan.model.eval()
            with torch.no_grad():
                plan.model.start(_training_batches(plan))
            plan.model.train()
    keep_freed_memory()
    if not quiet and choose_device(plan.config.device) == "cpu" and threads_wait():
        console.print(
            f"Other work on this machine holds up the {torch.get_num_threads()} threads of the training, which can make it "
            "many times as slow. End it, or train with fewer threads: OMP_NUM_THREADS=1 unbraid ...",
            markup=False,
        )
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    own = [*([tracked] if tracked else []), metrics, ProgressReport(console)]
    pictures = [Pictures()] if loggers else []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning.*")
        trainer = build_trainer(
            plan,
            [*own, *pictures, *beside.callbacks, checkpoints, *([early] if early else []), stopping],
            loggers,
            # A new training whose information is followed has its first point before the first step.
            validate_first=tracked is not None and checkpoint is None,
        )
        try:
            with stopping.listening(), compiled(plan.model, plan.config.compile):
                trainer.fit(plan, ckpt_path=checkpoint)
        except Stopped as stop:
            if stop.signal_number is not None:
                again = f"unbraid resume {quote(str(folder))}"
                console.print(f"stopped at step {plan.step}; go on with: {again}", markup=False)
                raise Interrupted(stop.signal_number) from None
    trained: dict[str, Any] = {"steps": plan.step, "seconds": round(metrics.seconds, 1)}
    if early is not None and early.weights:
        plan.model.load_state_dict(early.weights)
        trained["kept_step"] = early.step
    model = _finish(plan)
    from_first(lambda: _save(folder, plan, model, trained))
    if asked := int(largest(stopping.asked or 0)):  # in the last step
        console.print(f"trained to its end; the run is in {folder}", markup=False)
        raise Interrupted(asked)
    console.print(f"trained in {metrics.seconds / 60:.1f} min; the run is in {folder}", highlight=False)
    return model


def _save(folder: Path, plan: Plan, model: SequenceModel, trained: Mapping[str, Any]) -> None:
    """Write what makes a run finished.

    Args:
        folder: of the run.
        plan: that was trained.
        model: the trained model.
        trained: what `environment.json` says of the training.
    """
    data = plan.data
    if data.feature_names is not None:
        features = Features(data.feature_names, data.units, data.scaling, data.sampling_rate, data.sound)
        save_features(features, folder / "model")
    add_to_environment(folder, trained)
    model.folder = folder
    save_model(model, folder / "model")  # last, for a run with a model.json is finished


def console_of_first(quiet: bool) -> Console:
    """The console of the first process; the others print nothing."""
    return Console(quiet=quiet or not this_process().is_first, file=unbroken(sys.stdout))


def _finish(plan: Plan) -> SequenceModel:
    """The trained model on the CPU, in evaluation mode, with what is fitted after training."""
    model = plan.model.eval()
    with torch.no_grad():
        model.finish(_training_batches(plan))
    return model.cpu()


def _training_batches(plan: Plan) -> Iterator[Batch]:
    """The training sequences in their order, none left out."""
    rows, size = plan.data.training_rows, plan.batches.batch_size
    for start in range(0, len(rows), size):
        block = plan.read(rows[start : start + size], plan.model.device)
        yield replace(block, dataset_size=len(rows))
