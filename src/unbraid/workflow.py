"""From the settings of a run to its scores and its report: train, score, report, as functions.

    config = unbraid.resolve_recipe("sprites/dbse", {"training.seed": 1})
    run, errors = train_score_report(config, "runs/sprites-1")

or, on data that are at hand, `fit(data)`.

Data are loaded once and the trained model is handed on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from unbraid.data.sequences import Sequences
from unbraid.evaluation import fitting_protocols, run_protocols
from unbraid.evaluation.advice import advice
from unbraid.machine import choose_device
from unbraid.models.base import SequenceModel
from unbraid.recipes.resolving import recipe_for
from unbraid.report.page import write_report
from unbraid.training import Run, TrainingConfig
from unbraid.training import fit as fit_model
from unbraid.training import resume as resume_training
from unbraid.training.environment import read_environment
from unbraid.training.run import check_same_data, load_run_data, new_folder, read_config
from unbraid.words import nearest

__all__ = [
    "advice_on",
    "fit",
    "protocols_of",
    "report",
    "resume",
    "run_folder",
    "score",
    "train",
    "train_score_report",
]

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def fit(
    data: Sequences,
    model: str | SequenceModel | None = None,
    *,
    folder: str | Path | None = None,
    settings: dict[str, Any] | None = None,
    training: TrainingConfig | Mapping[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    callbacks: Sequence[Any] = (),
    loggers: Sequence[Any] = (),
    quiet: bool = False,
) -> Run:
    """Train a model on a data set's train split.

    Under `torchrun` the processes train as one; see docs/training.md.

    Args:
        data: with splits `train` and `validation`.
        model: None for the default method of the data's kind, with the settings and the training of its recipe for your own
            data. (Recordings are best loaded with that recipe's `segment="utterance", steps=100`.) A registered name, for
            the method with its defaults; or a model that is built.
        folder: where the run goes; it must not exist, or be empty. By default `runs/<data>-<model>-<number>`.
        settings: of the model, where it is not built yet.
        training: what differs from the recipe's training where `model` is None, else from the defaults: `{"steps": 5000}`.
            With a method, also a whole `TrainingConfig`.
        config: what `config.yaml` says of the data (and the recipe), so that the run can be repeated and resumed by
            name; by default what `unbraid.load` was given.
        callbacks: of Lightning, called after those of the library; each sees the plan (`plan.model`, `plan.step`).
        loggers: of Lightning, or names of them ("tensorboard", "wandb", "mlflow", ...), that get each row of metrics.csv.
        quiet: print nothing.

    Raises:
        ValueError: settings, weights or data that do not fit, before training starts.
        FileExistsError: the folder exists.
        KeyboardInterrupt: training was stopped by a signal; the folder can be resumed.
    """
    if not isinstance(data, Sequences):
        raise ValueError(
            f"data: found {type(data).__name__}; give the data set of unbraid.load(PATH) or of Sequences.from_arrays(array)"
        )
    settings = settings or {}
    if model is None:
        if isinstance(training, TrainingConfig):
            raise ValueError(
                "training: a TrainingConfig would replace all of the recipe's training; give what differs from it, such as "
                "{'steps': 5000}, or name a model"
            )
        recipe = recipe_for("" if data.kind == "frames" else "sound" if data.kind == "sound" else "series")
        model = str(recipe.model["name"])
        settings = {name: value for name, value in recipe.model.items() if name != "name"} | settings
        training = _changed(recipe.training, training or {})
    elif training is not None and not isinstance(training, TrainingConfig):
        training = _changed({}, training)
    return fit_model(
        data,
        model,
        folder=folder,
        settings=settings,
        training=training,
        config=config,
        callbacks=callbacks,
        loggers=loggers,
        quiet=quiet,
    )


def _changed(training: Mapping[str, Any], changes: Mapping[str, Any]) -> TrainingConfig:
    """A training with some settings changed; of the weights those that are named."""
    allowed = {field.name for field in fields(TrainingConfig)}
    for name in changes:
        if name not in allowed:
            raise ValueError(f"training.{name}: there is no such setting{nearest(name, allowed)}")
    weights = {**training.get("weights", {}), **changes.get("weights", {})}
    return TrainingConfig(**{**training, **changes, "weights": weights})


def train(
    config: Mapping[str, Any],
    folder: str | Path | None = None,
    data: Sequences | None = None,
    loggers: Sequence[str] = (),
    callbacks: Sequence[Any] = (),
    quiet: bool = False,
) -> Run:
    """Train as a resolved configuration says.

    Args:
        config: every setting, from `unbraid.resolve_recipe`.
        folder: of the run; it must not exist. By default the next free one in `runs/`.
        data: the data set of the configuration, where it is loaded already.
        loggers: of Lightning, see `unbraid.fit`.
        callbacks: of Lightning.
        quiet: print nothing.

    Raises:
        ValueError: settings or data that do not fit, before training starts.
        FileNotFoundError: the data are not there.
        FileExistsError: the folder exists.
        KeyboardInterrupt: training was stopped; `resume` goes on with it.
    """
    settings = dict(config["model"])
    name = settings.pop("name")
    folder = run_folder(config, folder)
    data = load_run_data(dict(config)) if data is None else data
    training = TrainingConfig(**config["training"])
    return fit_model(
        data,
        name,
        folder=folder,
        settings=settings,
        training=training,
        config=dict(config),
        callbacks=callbacks,
        loggers=loggers,
        quiet=quiet,
    )


def advice_on(run: Run, data: Sequences) -> list[str]:
    """What is likely to be wrong with a run that was just trained, and what to do: a sentence each.

    Args:
        run: a trained run.
        data: its data set.
    """
    return advice(run.model, data, read_environment(run.folder)["steps"])


def resume(
    folder: str | Path, data: Sequences | None = None, loggers: Sequence[str] = ()
) -> tuple[Run, Sequences]:
    """Go on with a training that was stopped; the result equals that of an uninterrupted one.

    Args:
        folder: of the run.
        data: the run's data set, where it is loaded already.
        loggers: of Lightning, see `unbraid.fit`.

    Returns:
        The finished run and its data set.

    Raises:
        FileNotFoundError: there is no run in the folder, or its data are not there.
        ValueError: the data are not those that the run was started on.
    """
    data = load_run_data(read_config(Path(folder))) if data is None else data
    return resume_training(folder, data, loggers=loggers), data


def score(
    run: Run,
    data: Sequences,
    protocols: Sequence[str] | None = None,
    options: Mapping[str, Any] = NO_OPTIONS,
) -> dict[str, Exception]:
    """Score a run by its protocols; the scores go to `RUN/evaluation/`.

    Args:
        run: a trained run.
        data: its data set.
        protocols: names; None for those that fit the data and the model.
        options: of the protocols, as `split`, `seed` or `repeats`; each protocol gets those that it takes.

    Returns:
        The error of each protocol that failed, by its name. The others are scored all the same.

    Raises:
        ValueError: there is no such protocol, or no such option, or the data are not those that the run was started on;
            nothing is scored then.
    """
    check_same_data(run.folder, data)
    model = run.model.to(choose_device("auto"))
    try:
        return run_protocols(model, data, run.folder, protocols or protocols_of(run, data), options)
    finally:
        model.to("cpu")


def protocols_of(run: Run, data: Sequences) -> tuple[str, ...]:
    """Names of the protocols that fit a run's data and model."""
    return fitting_protocols(run.config["data"]["name"], data, run.model)


def report(run: Run, data: Sequences) -> Path:
    """Draw a run's pictures and write `RUN/report.html`, from the scores that there are.

    Args:
        run: a trained run.
        data: its data set.
    """
    return write_report(run.folder, data, run.model)


def train_score_report(
    config: Mapping[str, Any],
    folder: str | Path | None = None,
    protocols: Sequence[str] | None = None,
    options: Mapping[str, Any] = NO_OPTIONS,
) -> tuple[Run, dict[str, Exception]]:
    """Train, score and report; see `train`, `score` and `report`.

    Returns:
        The run, and the error of each protocol that failed.
    """
    folder = run_folder(config, folder)
    data = load_run_data(dict(config))
    run = train(config, folder, data)
    errors = score(run, data, protocols, options)
    report(run, data)
    return run, errors


def run_folder(config: Mapping[str, Any], folder: str | Path | None = None) -> Path:
    """The folder of a new run: the wanted one, or the first of `runs/<data>-<model>-1`, `-2`, ... that is free.

    Raises:
        FileExistsError: the wanted folder exists.
    """
    return new_folder(folder, Path(config["data"]["name"]).stem, config["model"]["name"])
