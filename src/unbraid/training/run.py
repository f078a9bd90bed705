"""A run: one training in one folder, from its settings to its weights."""

import json
import logging
import os
import platform
import subprocess
import warnings
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from rich.console import Console

from unbraid.data.features import Features
from unbraid.data.sequences import Sequences
from unbraid.files import write_atomically
from unbraid.io import load_model, save_features, save_model
from unbraid.models.base import SequenceModel
from unbraid.models.build import build_model
from unbraid.training.callbacks import (
    Checkpoints,
    Information,
    Metrics,
    Progressing,
    Stopped,
    Stopping,
    information,
    load_newest_checkpoint,
)
from unbraid.training.config import TrainingConfig
from unbraid.training.machine import choose_precision, keep_freed_memory, processor_name
from unbraid.training.plan import Plan

__all__ = ["Run", "fit", "load_run_data", "open_run", "read_config", "resume"]


@dataclass(frozen=True)
class Run:
    """A training and what it left.

    Attributes:
        folder: the run's folder.
        model: the trained model, in evaluation mode.
        config: every resolved setting, as in the folder's `config.yaml`.
    """

    folder: Path
    model: SequenceModel
    config: dict[str, Any]


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
        folder: where the run goes; it must not exist. By default `runs/<data>-<model>-<number>`.
        settings: of the model, when it is given by name.
        training: how to train.
        config: what `config.yaml` says of the data (and the recipe), so that the run can be repeated and resumed by
            name.
        quiet: print nothing.

    Raises:
        ValueError: settings, weights or data that do not fit, before training starts.
        FileExistsError: the folder exists.
        KeyboardInterrupt: training was stopped; the folder can be resumed.
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
    folder = _new_folder(folder, data.name, built.card.name)
    described = {
        "data": {"name": data.name},
        **(config or {}),
        "model": {"name": built.card.name, **built.settings},
        "training": asdict(training),
    }
    plan = Plan(built, data, training)
    _try_one_batch(plan)
    folder.mkdir(parents=True)
    write_atomically(folder / "config.yaml", yaml.safe_dump(_plain(described), sort_keys=False))
    _write_environment(folder, plan, {"started": datetime.now(UTC).isoformat(timespec="seconds")})
    return _train(folder, plan, described, None, quiet)


def resume(folder: str | Path, data: Sequences | None = None, quiet: bool = False) -> Run:
    """Take up a training where its newest whole checkpoint stands; the result equals an uninterrupted one.

    Args:
        folder: the run's folder.
        data: the data set, when the run was started from Python on data of one's own; by default it is loaded as the
            run's `config.yaml` says.
        quiet: print nothing.

    Raises:
        FileNotFoundError: there is no run in the folder.
        ValueError: the data are not those the run was started on.
    """
    folder = Path(folder)
    config = read_config(folder)
    if (folder / "model" / "model.json").exists():
        return Run(folder, load_model(folder), config)
    data = data if data is not None else load_run_data(config)
    known = json.loads((folder / "environment.json").read_text(encoding="utf-8"))["data_fingerprint"]
    if known != data.fingerprint:
        raise ValueError(
            f"data: fingerprint {data.fingerprint} differs from {known}, which {folder} was started on"
        )
    training = TrainingConfig(**config["training"])
    settings = {key: value for key, value in config["model"].items() if key != "name"}
    plan = Plan(_build(data, config["model"]["name"], settings, training.seed), data, training)
    say = Console(quiet=quiet)
    found = load_newest_checkpoint(folder / "checkpoints", say)
    if found is None:
        say.print(f"{folder} has no whole checkpoint yet; starting from its first step")
    return _train(folder, plan, config, found[0] if found else None, quiet)


def open_run(folder: str | Path, device: str = "cpu") -> Run:
    """Open a finished run.

    Raises:
        FileNotFoundError: there is no run in the folder, or it is not finished.
    """
    folder = Path(folder)
    return Run(folder, load_model(folder, device), read_config(folder))


def _train(folder: Path, plan: Plan, config: dict[str, Any], checkpoint: Path | None, quiet: bool) -> Run:
    say = Console(quiet=quiet)
    checkpoints = Checkpoints(folder / "checkpoints", plan.config.checkpoint_minutes)
    tracked = Information() if plan.config.track_information else None
    metrics = Metrics(folder / "metrics.csv", plan.config.log_every_steps, tracked)
    stopping = Stopping(checkpoints, metrics, plan.config.max_minutes)
    keep_freed_memory()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning.*")
        trainer = lightning.Trainer(
            accelerator="cpu" if plan.device_name == "cpu" else "gpu",
            devices=1,
            max_epochs=plan.config.max_epochs,
            gradient_clip_val=plan.config.gradient_clip,
            callbacks=[*([tracked] if tracked else []), metrics, Progressing(say), checkpoints, stopping],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            # A new training whose information is followed has its first point before the first step.
            num_sanity_val_steps=-1 if tracked and checkpoint is None else 0,
            use_distributed_sampler=False,
        )
        try:
            trainer.fit(plan, ckpt_path=checkpoint)
        except Stopped as stop:
            if not stop.finished:
                say.print(f"stopped at step {trainer.global_step}; go on with: unbraid resume {folder}")
                raise KeyboardInterrupt from None
    model = plan.model.cpu().eval()
    save_model(model, folder / "model")
    data = plan.data
    if data.feature_names is not None:
        features = Features(data.feature_names, data.units, data.scaling, data.sampling_rate)
        save_features(features, folder / "model")
    _write_environment(folder, plan, {"steps": trainer.global_step, "seconds": round(metrics.seconds, 1)})
    say.print(f"trained in {metrics.seconds / 60:.1f} min; the run is in {folder}", highlight=False)
    return Run(folder, model, config)


def _build(data: Sequences, model: str | SequenceModel, settings: dict[str, Any], seed: int) -> SequenceModel:
    """A model with weights drawn from the seed, without touching the global random state."""
    if isinstance(model, SequenceModel):
        if settings:
            raise ValueError("settings: they are for a model given by name; this one is built already")
        if model.observation != data.observation:
            raise ValueError(
                f"model: made for observations {model.observation}; the data have {data.observation}"
            )
        return model
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(model, data.observation, **settings)


def _try_one_batch(plan: Plan) -> None:
    """Fail now, not after an hour: the names of the weights and the shapes are checked on two sequences."""
    batch = plan.data.batch(plan.data.splits["train"][:2])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        plan.model.eval()
        terms = plan.model.terms(plan.complete(batch, generator), generator)
        if plan.config.track_information:
            information(plan.model, batch, len(plan.data.splits["train"]), generator)
        plan.model.train()
    plan.weights_now(terms)


def _new_folder(folder: str | Path | None, data: str, model: str) -> Path:
    if folder is None:
        number = 1
        while (Path("runs") / f"{data}-{model}-{number}").exists():
            number += 1
        return Path("runs") / f"{data}-{model}-{number}"
    if Path(folder).exists():
        raise FileExistsError(
            f"{folder}: exists and is never overwritten; choose another folder, or resume it"
        )
    return Path(folder)


def read_config(folder: Path) -> dict[str, Any]:
    """The settings of a run, finished or not, from its `config.yaml`."""
    if not (folder / "config.yaml").exists():
        raise FileNotFoundError(
            f"{folder}: holds no run (no config.yaml); give the folder that `unbraid train` made"
        )
    return yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))


def load_run_data(config: dict[str, Any]) -> Sequences:
    """The data set of a run, loaded as its configuration says."""
    from unbraid.data.load import load

    options = dict(config["data"])
    return load(options.pop("name"), **options)


def _plain(value: Any) -> Any:
    """The value in types that YAML knows."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, os.PathLike) else value


def _write_environment(folder: Path, plan: Plan, more: dict[str, Any]) -> None:
    """What ran where; a second call adds to the first."""
    path = folder / "environment.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    packages = ("unbraid", "torch", "numpy", "lightning")
    device = plan.device_name
    described = {
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
        "commit": _commit(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "precision": str(choose_precision(plan.config.precision, device)).removeprefix("torch."),
        "data_fingerprint": plan.data.fingerprint,
        "sequences": {name: len(rows) for name, rows in plan.data.splits.items()},
        "parameters": sum(p.numel() for p in plan.model.parameters()),
    }
    write_atomically(path, json.dumps({**known, **described, **more}, indent=2) + "\n")


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        import unbraid

        return unbraid.__version__


def _commit() -> str | None:
    """The commit of the source tree, with + when it has changes; None outside a checkout."""
    try:
        here = Path(__file__).parent
        ask = ["git", "-C", str(here), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
