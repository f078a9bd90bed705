"""`unbraid evaluate RUN`: score a trained model, draw its pictures, write its report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid.cli.common import call, load_data

if TYPE_CHECKING:
    from unbraid.data.sequences import Sequences

__all__ = ["evaluate", "finish", "main", "show_run"]

SCORES = {
    "accuracy": "kept when the other code is drawn",
    "inception_score": "inception score",
    "entropy_conditional": "H(y|x), nats",
    "entropy_marginal": "H(y), nats",
    "squared_error_per_clip": "squared error per clip",
}
LABELS = {
    "keep_dynamic": "static drawn",
    "keep_static": "dynamics drawn",
    "swap": "swapped",
    "reconstruction": "rebuilt",
}


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(evaluate, "evaluate", arguments)


def evaluate(
    run: Path,
    protocols: str | None = None,
    repeats: int | None = None,
    split: str = "test",
    seed: int = 0,
    accept_weak_judge: bool = False,
) -> int:
    """Score a trained model, draw its pictures, write its report.

    Args:
        run: folder of the run.
        protocols: names, joined by commas, of generation, leakage, downstream and verification; by default those that
            fit the data set.
        repeats: independent repeats of everything that is drawn; by default as many as each protocol wants.
        split: the split that is scored: test, or validation to choose settings by.
        seed: of the draws.
        accept_weak_judge: score although the judge is below 99% on some label of real clips.
    """
    from unbraid.evaluation import fitting_protocols
    from unbraid.training import open_run

    config = open_run(run).config
    data = load_data(config)
    names = tuple(protocols.split(",")) if protocols else fitting_protocols(config["data"]["name"], data)
    options = {"split": split, "seed": seed, "accept_weak_judge": accept_weak_judge}
    failed = score(run, data, names, options if repeats is None else options | {"repeats": repeats})
    if len(failed) < len(names):
        report(run, data)
    tell(run, dict(list(failed.items())[1:]))
    if failed:
        raise next(iter(failed.values()))
    return 0


def score(
    folder: Path, data: "Sequences", protocols: tuple[str, ...], options: dict[str, Any]
) -> dict[str, Exception]:
    """Score a finished run; returns what went wrong, by the protocol's name."""
    from unbraid.evaluation import run_protocols
    from unbraid.training import open_run
    from unbraid.training.machine import choose_device

    print(f"Scoring {', '.join(protocols)} on the {options['split']} split.", flush=True)
    model = open_run(folder, choose_device("auto")).model
    return run_protocols(model, data, folder, protocols, options)


def tell(folder: Path, failed: dict[str, Exception]) -> None:
    """Say why there are no scores."""
    for protocol, error in failed.items():
        print(f"Not scored by {protocol}: {error}")
        if str(error).startswith("judge:"):
            print(f"To score it all the same: unbraid evaluate {folder} --accept_weak_judge")


def finish(
    folder: Path,
    data: "Sequences",
    protocols: tuple[str, ...] | None = None,
    accept_weak_judge: bool = False,
) -> int:
    """Score a run that has just been trained; where it cannot be scored, say why, and do the rest.

    Args:
        folder: of the run.
        data: its data set.
        protocols: names; None for those that fit the data set.
        accept_weak_judge: score although the judge is below 99% on some label of real clips.

    Returns:
        The exit code.
    """
    from unbraid.evaluation import fitting_protocols
    from unbraid.training import open_run

    names = protocols or fitting_protocols(open_run(folder).config["data"]["name"], data)
    try:
        options = {"split": "test", "seed": 0, "accept_weak_judge": accept_weak_judge}
        failed = score(folder, data, names, options)
    except KeyboardInterrupt:
        print(f"\nStopped while scoring; the model is trained. To score it: unbraid evaluate {folder}")
        return 130
    tell(folder, failed)
    report(folder, data)
    for error in failed.values():
        if not isinstance(error, ValueError | OSError):
            raise error  # no user's mistake but ours; all that could be done is done
    return 0


def report(folder: Path, data: "Sequences") -> int:
    """Draw a run's pictures, write its report, and show what there is."""
    from unbraid.report.page import write_report

    write_report(folder, data)
    return show_run(folder)


def show_run(folder: Path) -> int:
    """Print a run's scores, where it has any, and where its report is."""
    from unbraid.evaluation import read_scores

    for protocol, scores in read_scores(folder).items():
        if protocol == "generation":
            show_generation(scores)
        else:
            show_figures(protocol, scores)
    print(f"Report: {folder / 'report.html'}")
    return 0


def show_generation(scores: dict[str, Any]) -> None:
    """Print the scores of generation beside their floors."""
    from rich import box
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
    tests = [test for test in LABELS if test in scores]
    if not tests:
        return
    labels = Table(
        title="clips in which the judge sees the right label, %", box=box.SIMPLE, padding=(0, 1, 0, 0)
    )
    labels.add_column("label", no_wrap=True)
    for heading in ("kind", *(LABELS[test] for test in tests), "chance", "judge on real clips"):
        labels.add_column(heading, justify="left" if heading == "kind" else "right")
    for label, about in scores["labels"].items():
        shares = [scores[test][label]["mean"] for test in tests]
        shares += [about["chance"], scores["judge"]["accuracy"][label]["mean"]]
        labels.add_row(label, about["kind"], *(f"{100 * share:.1f}" for share in shares))
    console.print(labels)


def show_figures(protocol: str, scores: dict[str, Any]) -> None:
    """Print every figure of a protocol: figures of one kind in one table, their floors beside them."""
    from rich.console import Console
    from rich.table import Table

    from unbraid.evaluation import figures

    rows: dict[str, dict[str, dict[str, float]]] = {}
    for path, figure in figures(scores).items():
        row, _, name = path.rpartition(" / ")
        rows.setdefault(row, {})[name] = figure
    tables: dict[tuple[str, ...], dict[str, dict[str, dict[str, float]]]] = {}
    for row, found in rows.items():
        about = tuple(row.split(" / ")[:2]) if row.count(" / ") > 1 else ()
        tables.setdefault((*about, "", *found), {})[row.removeprefix(" / ".join(about) + " / ")] = found
    for key, lines in tables.items():
        about, names = key[: key.index("")], key[key.index("") + 1 :]
        table = Table(" / ".join((protocol, *about)), title="mean ± deviation over repeats (floor)")
        for name in names:
            table.add_column(name.replace("_", " "), justify="right")
        for line, found in lines.items():
            table.add_row(line, *(_cell(found[name]) for name in names))
        Console().print(table)


def _cell(figure: dict[str, float]) -> str:
    known = f"{figure['mean']:.4g}" + (f" ± {figure['std']:.2g}" if figure.get("std") else "")
    return known + (f" ({figure['floor']:.4g})" if figure.get("floor") is not None else "")


def _number(value: float, name: str) -> str:
    return f"{100 * value:.1f}%" if name == "accuracy" else f"{value:.3f}"
