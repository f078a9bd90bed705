"""`unbraid evaluate RUN`: score a trained model, draw its pictures, write its report."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid.cli.common import call, load_data

if TYPE_CHECKING:
    from unbraid.data.base import Sequences

__all__ = ["evaluate", "finish", "main", "show_run"]

SCORES = {
    "accuracy": "motion kept under a drawn static code",
    "inception_score": "inception score",
    "entropy_conditional": "H(y|x), nats",
    "entropy_marginal": "H(y), nats",
    "squared_error_per_clip": "squared error per clip",
}
LABELS = {
    "keep_dynamic": "static drawn",
    "keep_static": "dynamics drawn",
    "swap": "swapped",
    "reconstruction": "reconstructed",
}


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(evaluate, "evaluate", arguments)


def evaluate(
    run: Path, repeats: int = 5, split: str = "test", seed: int = 0, accept_weak_judge: bool = False
) -> int:
    """Score a trained model, draw its pictures, write its report.

    Args:
        run: folder of the run.
        repeats: independent repeats of everything that is drawn.
        split: the split that is scored: test, or validation to choose settings by.
        seed: of the draws.
        accept_weak_judge: score although the judge is below 99% on some label of real clips.
    """
    from unbraid.training import open_run

    return score(run, load_data(open_run(run).config), repeats, split, seed, accept_weak_judge)


def score(
    folder: Path,
    data: "Sequences",
    repeats: int = 5,
    split: str = "test",
    seed: int = 0,
    accept_weak_judge: bool = False,
) -> int:
    """Score, picture and report a finished run, and print its scores; returns the exit code."""
    from unbraid.evaluation import evaluate_generation, write_generation
    from unbraid.training import open_run

    print(f"Scoring on the {split} split; the first time on these data a judge is trained.", flush=True)
    scores = evaluate_generation(
        open_run(folder).model,
        data,
        split=split,
        repeats=repeats,
        seed=seed,
        accept_weak_judge=accept_weak_judge,
    )
    write_generation(folder, scores)
    return report(folder, data)


def finish(folder: Path, data: "Sequences") -> int:
    """Score a run that has just been trained; a judge that is too weak is told and does not stop the rest."""
    try:
        return score(folder, data)
    except KeyboardInterrupt:
        print(f"\nStopped while scoring; the model is trained. To score it: unbraid evaluate {folder}")
        return 130
    except ValueError as error:
        if not str(error).startswith("judge:"):
            raise
        print(f"Not scored. {error}\nTo score it all the same: unbraid evaluate {folder} --accept_weak_judge")
        return report(folder, data)


def report(folder: Path, data: "Sequences") -> int:
    """Draw a run's pictures, write its report, and show what there is."""
    from unbraid.report import write_report

    write_report(folder, data)
    return show_run(folder)


def show_run(folder: Path) -> int:
    """Print a run's scores, where it has any, and where its report is."""
    scores = folder / "evaluation" / "generation.json"
    if scores.is_file():
        show(json.loads(scores.read_text()))
    print(f"Report: {folder / 'report.html'}")
    return 0


def show(scores: dict[str, Any]) -> None:
    """Print the scores beside their floors."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("score", title="mean ± deviation over repeats, beside the floor")
    for heading in ("mean", "±", "floor"):
        table.add_column(heading, justify="right")
    for name, text in SCORES.items():
        if name in scores:
            table.add_row(text, *(_number(scores[name][key], name) for key in ("mean", "std", "floor")))
    console.print(table)
    tests = {test: text for test, text in LABELS.items() if test in scores}
    if tests:
        labels = Table(
            "label",
            "",
            *(f"{text} %" for text in tests.values()),
            "chance %",
            title="labels that the judge sees",
        )
        for label, about in scores["labels"].items():
            shares = [f"{100 * scores[test][label]['mean']:.1f}" for test in tests]
            labels.add_row(label, about["kind"], *shares, f"{100 * about['chance']:.1f}")
        console.print(labels)


def _number(value: float, name: str) -> str:
    return f"{100 * value:.1f}%" if name == "accuracy" else f"{value:.3f}"
