"""The report of a run: one HTML file with everything in it, which opens anywhere."""

import csv
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

import torch
import yaml

from unbraid import plots
from unbraid.data.sequences import Sequences
from unbraid.data.splits import UNLABELLED
from unbraid.evaluation.scores import Scores, scores_to_show
from unbraid.files import read_json, write_atomically
from unbraid.io import load_model
from unbraid.models.base import SequenceModel
from unbraid.registry import list_datasets
from unbraid.report import protocols
from unbraid.report.blocks import Block, Cells, Commands, Heading, Paragraph, as_text, drawn, stored_picture
from unbraid.report.pictures import make_pictures, stored_set
from unbraid.report.sounds import players
from unbraid.report.templates import template

__all__ = ["headline", "run_name", "write_report"]

INFORMATION = (
    "Estimated on validation by minibatch weighted sampling: the lower dotted line is that of codes without information, "
    "the upper one that of codes that separate all sequences. I(s; x) should rise; I(s; d) should fall after an early rise."
)


def write_report(
    run_folder: str | Path, data: Sequences | None = None, model: SequenceModel | None = None
) -> Path:
    """Write `RUN/report.html` from what the run's folder holds; parts that are missing are left out.

    The global random state is left alone.

    Args:
        run_folder: the run's folder.
        data: the run's data set, to draw the pictures again; None to use those in the folder.
        model: the run's model, for the pictures; None to read it from the folder.

    Returns:
        The report.

    Raises:
        FileNotFoundError: the folder holds no run.
        ValueError: the folder's list of sounds names a file outside it.
    """
    folder = Path(run_folder)
    if not (folder / "config.yaml").exists():
        raise FileNotFoundError(
            f"{folder}: holds no config.yaml; give the folder of a run of `unbraid train`"
        )
    if data is not None:
        with torch.random.fork_rng(devices=[]):  # building a model draws its first weights
            model = model or load_model(folder)
        make_pictures(model, data, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    title = f"{run_name(config, 'model')} on {run_name(config, 'data')}"
    page = template("page").render(title=title, blocks=_blocks(folder, config))
    write_atomically(folder / "report.html", page)
    return folder / "report.html"


def _blocks(folder: Path, config: Mapping[str, Any]) -> list[Block]:
    """The whole page below its title."""
    path = folder / "environment.json"
    environment = read_json(path) if path.exists() else {}
    scores, pictures, log = scores_to_show(folder), stored_set(folder), _log(folder)
    blocks: list[Block] = [Paragraph(headline(scores), "lead")]
    if facts := _facts(environment, scores):
        blocks.append(Paragraph(" · ".join(facts), "facts"))
    blocks += players(folder)
    for shown in pictures.above:
        blocks += stored_picture(folder, shown.name, shown.heading, shown.caption)
    for name in scores:
        blocks += protocols.section(name, scores[name], folder)
    for shown in pictures.below:
        blocks += stored_picture(folder, shown.name, shown.heading, shown.caption)
    blocks += _training(log) + _information(log, config, environment)
    return blocks + _settings(config, environment) + _how_to_repeat(folder, config)


def headline(scores: Mapping[str, Scores]) -> str:
    """The result in plain words, that of the first protocol that has one."""
    if not scores:
        return "This run has not been scored yet: run `unbraid evaluate` on it."
    sentences = (protocols.headline(name, scores[name]) for name in scores)
    return next(filter(None, sentences), f"Scored by {' and '.join(scores)}; the figures stand below.")


def _facts(environment: Mapping[str, Any], scores: Mapping[str, Scores]) -> list[str]:
    facts = []
    if "seconds" in environment:
        facts.append(
            f"trained in {environment['seconds'] / 60:.1f} min on {environment.get('device', 'cpu')}"
        )
    if "kept_step" in environment:
        facts.append(f"weights of step {environment['kept_step']:,} of {environment['steps']:,}")
    if "parameters" in environment:
        facts.append(f"{environment['parameters']:,} parameters")
    if "generation" in scores:
        how = scores["generation"]["protocol"]
        facts.append(f"scored on {how['clips']:,} clips of the {how['split']} split")
        facts.append(f"{how['repeats']} repeats, seed {how['seed']}")
    return facts


# ---- training -------------------------------------------------------------------------------------------


def _log(folder: Path) -> list[dict[str, str]]:
    """The rows of `metrics.csv`."""
    path = folder / "metrics.csv"
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []


def _training(log: list[dict[str, str]]) -> list[Block]:
    """Curves of the objective's terms."""
    if not log:
        return []
    caption = "Unweighted terms over the training steps, and their weights."
    return [
        Heading("Training"),
        drawn(plots.plot_training(log), "curves of the objective and its terms", caption),
    ]


def _information(
    log: list[dict[str, str]], config: Mapping[str, Any], environment: Mapping[str, Any]
) -> list[Block]:
    """Mutual information of the codes during training, where it was tracked."""
    tracked = config.get("training", {}).get("track_information")
    if not tracked or not any(row["split"] == "validation" for row in log):
        return []
    counts = environment["sequences"]
    trained = counts["train"] + counts.get(UNLABELLED, 0)
    sizes = trained, min(config["training"]["batch_size"], counts["validation"])
    picture = drawn(plots.plot_information(log, *sizes), "curves of mutual information", INFORMATION)
    return [Heading("Information in the codes"), picture]


# ---- settings -------------------------------------------------------------------------------------------


def _settings(config: Mapping[str, Any], environment: Mapping[str, Any]) -> list[Block]:
    rows = [
        row
        for part, values in config.items()
        for row in (
            [[f"{part}.{name}", as_text(value)] for name, value in values.items()]
            if isinstance(values, dict)
            else [[part, as_text(values)]]
        )
    ]
    blocks: list[Block] = [Heading("Settings"), Cells([], rows)]
    if environment:
        rows = [[name, as_text(value)] for name, value in environment.items()]
        blocks += [Heading("Environment"), Cells([], rows)]
    return blocks


def _how_to_repeat(folder: Path, config: Mapping[str, Any]) -> list[Block]:
    settings = yaml.safe_dump(
        {part: values for part, values in config.items() if part != "recipe"}, sort_keys=False
    )
    data = run_name(config, "data")
    commands = f"unbraid resume {quote(str(folder))}\nunbraid evaluate {quote(str(folder))}"
    again = "pass the same arrays and the settings below to unbraid.fit"
    if data in list_datasets() or Path(data).exists():
        commands = f"unbraid train run.yaml\n{commands}"
        again = "save the settings below as run.yaml and train on them"
    text = f"To train it again, {again}. It can be resumed where it was stopped, and scored again."
    return [
        Heading("How to repeat this run"),
        Paragraph(text),
        Commands(commands),
        Commands(settings, title="run.yaml"),
    ]


def run_name(config: Mapping[str, Any], part: str) -> str:
    """The name of a run's `data` or `model`."""
    values = config.get(part, {})
    return str(values.get("name", part)) if isinstance(values, Mapping) else str(values)
