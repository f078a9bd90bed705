"""A run: one training in one folder, from its settings to its weights."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import Logger

from unbraid.data.sequences import Sequences
from unbraid.io import load_model
from unbraid.machine import choose_device, computing_in
from unbraid.models.base import SequenceModel
from unbraid.models.build import build_model, float32_by_default
from unbraid.processes import (
    check_alike,
    from_first,
    is_launched,
    joined,
    processes_here,
)
from unbraid.registry import model_class
from unbraid.training.callbacks.checkpoints import newest_checkpoint
from unbraid.training.callbacks.information import information
from unbraid.training.callbacks.loggers import check_loggers
from unbraid.training.config import TrainingConfig
from unbraid.training.environment import add_to_environment, differences, environment, read_environment
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
from unbraid.training.start import (
    check_features,
    keep_start,
    kept_start,
    load_start,
    take_weights,
    with_start_hash,
)
from unbraid.training.train import Beside, console_of_first, train

__all__ = [
    "Run",
    "check_same_data",
    "check_weights",
    "fit",
    "load_run_data",
    "new_folder",
    "open_run",
    "read_config",
    "resume",
]


def fit(
    data: Sequences,
    model: str | SequenceModel,
    *,
    folder: str | Path | None = None,
    settings: dict[str, Any] | None = None,
    training: TrainingConfig | None = None,
    config: dict[str, Any] | None = None,
    callbacks: Sequence[lightning.Callback] = (),
    loggers: Sequence[str | Logger] = (),
    quiet: bool = False,
) -> Run:
    """Train a model: `unbraid.fit` once method and training are known; see there for the arguments.

    Raises:
        ValueError: settings, weights or data that do not fit, before training starts.
        FileExistsError: the folder exists.
        KeyboardInterrupt: training was stopped by a signal; the folder can be resumed.
    """
    training = training or TrainingConfig()
    check_started(training)
    check_loggers(loggers)
    with joined(choose_device(training.device)), float32_by_default():
        return _fit(
            data, model, folder, settings or {}, training, config or {}, Beside(callbacks, loggers), quiet
        )


def check_started(training: TrainingConfig) -> None:
    """Refuse a number of processes that were not started.

    Raises:
        ValueError: says how to start them.
    """
    wanted, here = training.devices or processes_here(), processes_here()
    if wanted != here:
        raise ValueError(
            f"training.devices: {wanted} processes are wanted on this machine and {here} "
            f"{'is' if here == 1 else 'are'} there; start them with: torchrun --nproc-per-node {wanted} ... "
            "(`unbraid train` and `unbraid resume` start them themselves)"
        )


def _fit(
    data: Sequences,
    model: str | SequenceModel,
    folder: str | Path | None,
    settings: dict[str, Any],
    training: TrainingConfig,
    config: dict[str, Any],
    beside: Beside,
    quiet: bool,
) -> Run:
    for name in ("train", "validation"):
        if name not in data.splits:
            raise ValueError(
                f"data: {data.name} has no split {name!r}; make it with `unbraid.load` or Sequences.from_arrays"
            )
    if len(data.splits["train"]) < 2:
        raise ValueError(
            f"data: {len(data.splits['train'])} training sequence is too few; 2 are needed at least"
        )
    start = load_start(training)
    training = with_start_hash(training, start)
    check_features(data, start)
    built = _build(data, model, settings, training.seed)
    take_weights(built, start)
    timed = fit_into_minutes(training, built, data)
    training = from_first(lambda: timed)
    folder = new_folder(folder, data.name, built.card.name)
    described = {
        "data": data.source or {"name": data.name},
        **config,
        "model": {"name": built.card.name, **built.settings},
        "training": asdict(training),
    }
    plan = Plan(built, data, training)
    terms = _try_one_batch(plan)
    _check_alike(plan)
    started = {"started": datetime.now(UTC).isoformat(timespec="seconds")}
    about = started | environment(plan)
    with ExitStack() as stack:
        from_first(lambda: stack.enter_context(new_run(folder, described, about)))
        if start is not None:
            from_first(lambda: keep_start(built, folder))
        return Run(folder, train(folder, plan, terms, None, beside, quiet), described)


def _check_alike(plan: Plan) -> None:
    """Refuse processes that would not train the same model on the same data."""
    settings = {"training": asdict(plan.config), "model": [plan.model.card.name, plan.model.settings]}
    check_alike({"data": plan.data.fingerprint, "settings": settings, "torch": torch.__version__})


def resume(
    folder: str | Path,
    data: Sequences | None = None,
    callbacks: Sequence[lightning.Callback] = (),
    loggers: Sequence[str | Logger] = (),
    quiet: bool = False,
) -> Run:
    """Continue a training at its newest intact checkpoint; the result equals an uninterrupted one.

    Args:
        folder: the run's folder.
        data: the data set, when the run was started from Python on one's own data; by default it is loaded as the
            run's `config.yaml` says.
        callbacks: of Lightning, as for `fit`.
        loggers: as for `fit`.
        quiet: print nothing.

    Raises:
        FileNotFoundError: there is no run in the folder.
        ValueError: the data differ from those that the run was started on, or a file of the run is damaged.
        FileInUseError: another process trains the run.
        KeyboardInterrupt: training was stopped by a signal; the folder can be resumed.
    """
    check_loggers(loggers)
    folder = Path(folder)
    config = read_config(folder)
    if is_finished(folder):
        return _open_finished(folder, config)
    training = read_training(folder, config)
    if is_launched():  # another number of processes than before is said, not refused
        training = replace(training, devices=None)
    check_started(training)
    with ExitStack() as stack:
        stack.enter_context(joined(choose_device(training.device)))
        stack.enter_context(float32_by_default())
        from_first(lambda: stack.enter_context(one_writer(folder)))
        if from_first(lambda: is_finished(folder)):  # by the process that held the lock
            return _open_finished(folder, config)
        return _go_on(folder, config, training, data, Beside(callbacks, loggers), quiet)


def _go_on(
    folder: Path,
    config: dict[str, Any],
    training: TrainingConfig,
    data: Sequences | None,
    beside: Beside,
    quiet: bool,
) -> Run:
    """Train to the end from the newest intact checkpoint."""
    before = read_environment(folder)
    data = data if data is not None else load_run_data(config)
    check_same_data(folder, data)
    settings = {key: value for key, value in config["model"].items() if key != "name"}
    try:
        model = _build(data, config["model"]["name"], settings, training.seed)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{folder / 'config.yaml'}: is damaged ({' '.join(str(error).split())})") from error
    take_weights(model, kept_start(folder) or load_start(training))
    plan = Plan(model, data, training)
    terms = _try_one_batch(plan)
    _check_alike(plan)
    console = console_of_first(quiet)
    if changes := differences(before, environment(plan)):
        what = ", ".join(f"{name} {now} instead of {then}" for name, (then, now) in changes.items())
        console.print(
            f"resumed with {what}: the weights may differ in their last digits from those of a training that ran through",
            style="yellow",
            markup=False,
        )
        from_first(lambda: add_to_environment(folder, {"changed_at_resume": changes}))
    newest = from_first(lambda: newest_checkpoint(folder / "checkpoints", plan, console))
    if newest is None:
        console.print(f"{folder} has no intact checkpoint; starting from its first step", markup=False)
    return Run(folder, train(folder, plan, terms, newest, beside, quiet), config)


def _open_finished(folder: Path, config: dict[str, Any]) -> Run:
    try:
        return Run(folder, load_model(folder), config)
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(
            f"{error}; remove {folder / 'model'} and `unbraid resume {folder}` makes it again from the last checkpoint"
        ) from error


def _build(data: Sequences, model: str | SequenceModel, settings: dict[str, Any], seed: int) -> SequenceModel:
    """A model with weights drawn from the seed, without touching the global random state.

    The settings `sequences` and `recordings` of methods that have them become the numbers of training sequences and of the
    recordings that these were cut from.
    """
    numbers = {
        "sequences": len(data.training_rows),
        "recordings": int(training_recordings(data)[0].max()) + 1,
    }
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
        for key, number in numbers.items():
            if (built_for := model.settings.get(key)) is not None and built_for < number:
                raise ValueError(
                    f"model.{key}: the model was built for {built_for}, the data have {number}; build it with "
                    f"{key}={number}, or give its name"
                )
        return model
    names = model_class(model).setting_names()
    counted = {name: number for name, number in numbers.items() if name in names}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(model, data.observation, **(settings | counted))


def check_weights(config: Mapping[str, Any], data: Sequences) -> list[str]:
    """Refuse weights of terms that a model lacks, by its terms of two sequences.

    Args:
        config: every setting of a run.
        data: its data set.

    Returns:
        The names of the terms.

    Raises:
        ValueError: names the weight.
    """
    settings, training = dict(config["model"]), TrainingConfig(**config["training"])
    with float32_by_default():
        return _try_one_batch(
            Plan(_build(data, settings.pop("name"), settings, training.seed), data, training)
        )


def _try_one_batch(plan: Plan) -> list[str]:
    """Check the model's terms and the weights' names on two sequences, before anything is written.

    Returns:
        The names of the terms.
    """
    batch = plan.read(plan.data.training_rows[:2])
    generator = torch.Generator().manual_seed(0)
    plan.model.eval()
    with computing_in(plan.precision if plan.device_name == "cpu" else torch.float32, "cpu"):
        terms = plan.terms(batch, generator)
    if plan.config.track_information:
        with torch.no_grad():
            information(plan.model, batch, plan.dataset_size, generator)
    plan.model.train()
    return list(terms)
