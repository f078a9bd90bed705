"""A run: one training in one folder, from its settings to its weights."""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning
import torch
from rich.console import Console

from unbraid.data.features import Features
from unbraid.data.sequences import Sequences
from unbraid.io import load_model, save_features, save_model
from unbraid.models.base import SequenceModel
from unbraid.models.build import build_model, float32_by_default
from unbraid.registry import model_class
from unbraid.streams import unbroken
from unbraid.training.callbacks.checkpoints import CheckpointFiles, Checkpoints, newest_checkpoint
from unbraid.training.callbacks.information import Information, information
from unbraid.training.callbacks.metrics import Metrics
from unbraid.training.callbacks.progress import ProgressReport
from unbraid.training.callbacks.stopping import Interrupted, Stopped, Stopping
from unbraid.training.config import TrainingConfig
from unbraid.training.environment import add_to_environment, differences, environment, read_environment
from unbraid.training.machine import keep_freed_memory
from unbraid.training.opened import Run, open_run
from unbraid.training.pace import fit_into_minutes
from unbraid.training.plan import Plan, training_recordings
from unbraid.training.run_folder import (
    check_same_data,
    is_finished,
    load_run_data,
    new_folder,
    new_run,
    one_writer,
    read_config,
    read_training,
)
from unbraid.types import Batch

__all__ = [
    "Run",
    "check_same_data",
    "fit",
    "load_run_data",
    "new_folder",
    "open_run",
    "read_config",
    "resume",
]


def fit(
    data: Sequences,
    model: str | SequenceModel = "dbse",
    *,
    folder: str | Path | None = None,
    settings: dict[str, Any] | None = None,
    training: TrainingConfig | None = None,
    config: dict[str, Any] | None = None,
    quiet: bool = False,
) -> Run:
    """Train a model on a data set's train split.

    Args:
        data: with splits `train` and `validation`.
        model: a registered name, or a model that is built.
        folder: where the run goes; it must not exist, or be empty. By default `runs/<data>-<model>-<number>`.
        settings: of the model, when it is given by name.
        training: how to train.
        config: what `config.yaml` says of the data (and the recipe), so that the run can be repeated and resumed by
            name.
        quiet: print nothing.

    Raises:
        ValueError: settings, weights or data that do not fit, before training starts.
        FileExistsError: the folder exists.
        KeyboardInterrupt: training was stopped by a signal; the folder can be resumed.
    """
    training = training or TrainingConfig()
    for name in ("train", "validation"):
        if name not in data.splits:
            raise ValueError(
                f"data: {data.name} has no split {name!r}; make it with `unbraid.load` or Sequences.from_arrays"
            )
    if len(data.splits["train"]) < 2:
        raise ValueError(
            f"data: {len(data.splits['train'])} training sequence is too few; 2 are needed at least"
        )
    built = _build(data, model, settings or {}, training.seed)
    with float32_by_default():
        training = fit_into_minutes(training, built, data)
    folder = new_folder(folder, data.name, built.card.name)
    described = {
        "data": {"name": data.name},
        **(config or {}),
        "model": {"name": built.card.name, **built.settings},
        "training": asdict(training),
    }
    with float32_by_default():
        plan = Plan(built, data, training)
        terms = _try_one_batch(plan)
        started = {"started": datetime.now(UTC).isoformat(timespec="seconds")}
        with new_run(folder, described, started | environment(plan)):
            return _train(folder, plan, described, terms, None, quiet)


def resume(
    folder: str | Path,
    data: Sequences | None = None,
    quiet: bool = False,
) -> Run:
    """Continue a training at its newest intact checkpoint; the result equals an uninterrupted one.

    Args:
        folder: the run's folder.
        data: the data set, when the run was started from Python on one's own data; by default it is loaded as the
            run's `config.yaml` says.
        quiet: print nothing.

    Raises:
        FileNotFoundError: there is no run in the folder.
        ValueError: the data differ from those that the run was started on, or a file of the run is damaged.
        FileInUseError: another process trains the run.
        KeyboardInterrupt: training was stopped by a signal; the folder can be resumed.
    """
    folder = Path(folder)
    config = read_config(folder)
    if is_finished(folder):
        return _open_finished(folder, config)
    with one_writer(folder), float32_by_default():
        if is_finished(folder):  # by the process that held the lock
            return _open_finished(folder, config)
        return _go_on(folder, config, data, quiet)


def _go_on(folder: Path, config: dict[str, Any], data: Sequences | None, quiet: bool) -> Run:
    """Train to the end from the newest intact checkpoint."""
    before = read_environment(folder)
    data = data if data is not None else load_run_data(config)
    check_same_data(folder, data)
    settings = {key: value for key, value in config["model"].items() if key != "name"}
    training = read_training(folder, config)
    try:
        model = _build(data, config["model"]["name"], settings, training.seed)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{folder / 'config.yaml'}: is damaged ({' '.join(str(error).split())})") from error
    plan = Plan(model, data, training)
    terms = _try_one_batch(plan)
    console = _console(quiet)
    if changes := differences(before, environment(plan)):
        what = ", ".join(f"{name} {now} instead of {then}" for name, (then, now) in changes.items())
        console.print(
            f"resumed with {what}: the weights may differ in their last digits from those of a training that ran through",
            style="yellow",
            markup=False,
        )
        add_to_environment(folder, {"changed_at_resume": changes})
    newest = newest_checkpoint(folder / "checkpoints", plan, console)
    if newest is None:
        console.print(f"{folder} has no intact checkpoint; starting from its first step", markup=False)
    return _train(folder, plan, config, terms, newest, quiet)


def _open_finished(folder: Path, config: dict[str, Any]) -> Run:
    try:
        return Run(folder, load_model(folder), config)
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(
            f"{error}; remove {folder / 'model'} and `unbraid resume {folder}` makes it again from the last checkpoint"
        ) from error


def _train(
    folder: Path,
    plan: Plan,
    config: dict[str, Any],
    terms: Sequence[str],
    checkpoint: Path | None,
    quiet: bool,
) -> Run:
    console = _console(quiet)
    checkpoints = Checkpoints(folder / "checkpoints", plan.config.checkpoint_minutes)
    tracked = Information() if plan.config.track_information else None
    metrics = Metrics(folder / "metrics.csv", plan.config.log_every_steps, terms, tracked)
    stopping = Stopping(checkpoints, metrics, plan.config.max_minutes)
    if checkpoint is None:
        metrics.drop_rows_after(None)
        plan.model.eval()
        with torch.no_grad():
            plan.model.start(_training_batches(plan))
        plan.model.train()
    keep_freed_memory()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning.*")
        trainer = lightning.Trainer(
            accelerator="cpu" if plan.device_name == "cpu" else "gpu",
            devices=1,
            max_epochs=plan.epochs,
            callbacks=[
                *([tracked] if tracked else []),
                metrics,
                ProgressReport(console),
                checkpoints,
                stopping,
            ],
            plugins=[CheckpointFiles()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            # A new training whose information is followed has its first point before the first step.
            num_sanity_val_steps=-1 if tracked and checkpoint is None else 0,
            use_distributed_sampler=False,
        )
        try:
            with stopping.listening():
                trainer.fit(plan, ckpt_path=checkpoint)
        except Stopped as stop:
            if stop.signal_number is not None:
                console.print(
                    f"stopped at step {plan.step}; go on with: unbraid resume {folder}", markup=False
                )
                raise Interrupted(stop.signal_number) from None
    model, data = _finish(plan), plan.data
    if data.feature_names is not None:
        features = Features(data.feature_names, data.units, data.scaling, data.sampling_rate, data.sound)
        save_features(features, folder / "model")
    add_to_environment(folder, {"steps": plan.step, "seconds": round(metrics.seconds, 1)})
    save_model(model, folder / "model")  # last, for a run with a model.json is finished
    if stopping.asked is not None:  # in the last step
        console.print(f"trained to its end; the run is in {folder}", markup=False)
        raise Interrupted(stopping.asked)
    console.print(f"trained in {metrics.seconds / 60:.1f} min; the run is in {folder}", highlight=False)
    return Run(folder, model, config)


def _console(quiet: bool) -> Console:
    return Console(quiet=quiet, file=unbroken(sys.stdout))


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


def _build(data: Sequences, model: str | SequenceModel, settings: dict[str, Any], seed: int) -> SequenceModel:
    """A model with weights drawn from the seed, without touching the global random state.

    The settings `sequences` and `recordings` of methods that have them become the numbers of training sequences and of the
    recordings that these were cut from.
    """
    if isinstance(model, SequenceModel):
        if settings:
            raise ValueError("settings: they are for a model given by name; this one is built already")
        if model.observation != data.observation:
            raise ValueError(
                f"model: made for observations {model.observation}; the data have {data.observation}"
            )
        for key, value in model.named_parameters():
            if value.is_inference() or value.dtype != torch.float32:
                raise ValueError(
                    f"model: {key} is {value.dtype}{' of torch.inference_mode' * value.is_inference()}; build the model "
                    "with torch's usual default dtype, outside of inference mode"
                )
        return model
    numbers = {
        "sequences": len(data.training_rows),
        "recordings": int(training_recordings(data)[0].max()) + 1,
    }
    names = model_class(model).setting_names()
    counted = {name: number for name, number in numbers.items() if name in names}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(model, data.observation, **(settings | counted))


def _try_one_batch(plan: Plan) -> list[str]:
    """Check the model's terms and the weights' names on two sequences, before anything is written.

    Returns:
        The names of the terms.
    """
    batch = plan.read(plan.data.training_rows[:2])
    generator = torch.Generator().manual_seed(0)
    plan.model.eval()
    terms = plan.terms(batch, generator)
    if plan.config.track_information:
        with torch.no_grad():
            information(plan.model, batch, plan.dataset_size, generator)
    plan.model.train()
    return list(terms)
