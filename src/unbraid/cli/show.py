"""What the commands print about scores: every score beside its floor, and why a score is missing."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbraid.data.sequences import Sequences
    from unbraid.evaluation.scores import Figure
    from unbraid.training import Run

__all__ = ["say_protocols", "score_and_show", "show_errors", "show_run"]


def score_and_show(
    run: "Run",
    data: "Sequences",
    protocols: "Sequence[str] | None" = None,
    options: "Mapping[str, Any] | None" = None,
) -> int:
    """Score a run that was just trained, write its report and print the scores.

    A protocol that fails is named with its reason; the others count all the same.

    Args:
        run: a trained run.
        data: its data set.
        protocols: names; None for those that fit the data and the model.
        options: of the protocols.

    Returns:
        The exit code.
    """
    from unbraid import workflow

    try:
        names = tuple(protocols or workflow.protocols_of(run, data))
        say_protocols(run, data, names, "test")
        errors = workflow.score(run, data, names, {"split": "test", "seed": 0, **(options or {})})
    except KeyboardInterrupt:
        print(
            f"\nStopped while scoring; the model is trained. To score it: unbraid evaluate {quote(str(run.folder))}"
        )
        return 130
    show_errors(run.folder, errors)
    workflow.report(run, data)
    show_run(run.folder)
    for error in errors.values():
        if not isinstance(error, ValueError | OSError):
            raise error  # a defect of ours, not a user's mistake
    return 0


def say_protocols(run: "Run", data: "Sequences", names: "Sequence[str]", split: str) -> None:
    """Print by which protocols a run is scored, or why there is none."""
    from unbraid.evaluation import why_no_protocol

    if names:
        print(f"Scoring {', '.join(names)} on the {split} split.", flush=True)
    else:
        reasons = why_no_protocol(run.config["data"]["name"], data, run.model)
        print(f"No protocol scores this run ({reasons}).", flush=True)


def show_errors(folder: Path, errors: "Mapping[str, Exception]") -> None:
    """Print why there are no scores of some protocols."""
    for protocol, error in errors.items():
        print(f"Not scored by {protocol}: {error}")
        if str(error).startswith("judge:"):
            print(f"To score it all the same: unbraid evaluate {quote(str(folder))} --accept-weak-judge")


def show_run(folder: Path, split: str = "test") -> int:
    """Print a run's scores on a split, where it has any, what each protocol left out, and where the report is."""
    from unbraid.evaluation import read_scores

    for protocol, scores in read_scores(folder, split).items():
        if protocol == "generation":
            show_generation(scores)
        else:
            show_figures(protocol, scores)
        for name, reason in scores.get("left_out", {}).items():
            print(f"{protocol}: {name} is not scored: {reason}.")
    print(f"Report: {folder / 'report.html'}")
    return 0


def show_generation(scores: dict[str, Any]) -> None:
    """Print the scores of generation beside their floors."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from unbraid.evaluation.generation import LABEL_TESTS, MEASURES, scored_labels

    console = Console()
    table = Table("score", title="mean ± deviation over repeats, beside the floor")
    for heading in ("mean", "±", "floor"):
        table.add_column(heading, justify="right")
    words = scored_labels(scores)
    for name, measure in MEASURES.items():
        if name in scores:
            figures = (_number(scores[name][key], measure.share) for key in ("mean", "std", "floor"))
            table.add_row(f"{measure.heading}: {measure.meaning.format(**words)}", *figures)
    console.print(table)
    tests = [name for name, test in LABEL_TESTS.items() if name in scores and test.recognised]
    if not tests:
        return
    labels = Table(
        title="share of clips whose label the judge finds, %", box=box.SIMPLE, padding=(0, 1, 0, 0)
    )
    labels.add_column("label", no_wrap=True)
    for heading in ("kind", *(LABEL_TESTS[test].heading for test in tests), "chance", "judge on real clips"):
        labels.add_column(heading, justify="left" if heading == "kind" else "right")
    for label, about in scores["labels"].items():
        shares = [scores[test][label]["mean"] for test in tests]
        shares += [about["chance"], scores["judge"]["accuracy"][label]["mean"]]
        labels.add_row(label, about["kind"], *(f"{100 * share:.1f}" for share in shares))
    console.print(labels)


def show_figures(protocol: str, scores: dict[str, Any]) -> None:
    """Print every figure of a protocol beside its floor: a table for each kind of figure."""
    from rich.console import Console
    from rich.table import Table

    from unbraid.evaluation.scores import figures

    rows: "dict[str, dict[str, Figure]]" = {}
    for path, figure in figures(scores).items():
        row, _, column = path.rpartition(" / ")
        rows.setdefault(row, {})[column] = figure
    tables: "dict[tuple[str, tuple[str, ...]], dict[str, dict[str, Figure]]]" = {}
    for row, row_figures in rows.items():
        parts = row.split(" / ")
        heading, title = (" / ".join(parts[:2]), " / ".join(parts[2:])) if len(parts) > 2 else ("", row)
        tables.setdefault((heading, tuple(row_figures)), {})[title] = row_figures
    for (heading, columns), lines in tables.items():
        first = f"{protocol} / {heading}" if heading else protocol
        table = Table(first, title="mean ± deviation over repeats (floor)")
        for column in columns:
            table.add_column(column.replace("_", " "), justify="right")
        for title, row_figures in lines.items():
            table.add_row(title, *(_cell(row_figures[column]) for column in columns))
        Console().print(table)


def _cell(figure: "Figure") -> str:
    mean = f"{figure.mean:.4g}" + (f" ± {figure.std:.2g}" if figure.std else "")
    return mean + (f" ({figure.floor:.4g})" if figure.floor is not None else "")


def _number(value: float, share: bool) -> str:
    return f"{100 * value:.1f}%" if share else f"{value:.3f}"
