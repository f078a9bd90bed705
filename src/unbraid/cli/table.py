"""`unbraid table NAME`: train what a table lacks, then print it beside the published scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid.cli.parser import call, take_settings

if TYPE_CHECKING:
    from unbraid.benchmark.ledger import Trained
    from unbraid.benchmark.tables import Cell, Table
    from unbraid.data.sequences import Sequences
    from unbraid.training import Run

__all__ = ["main", "table"]

USAGE = """usage: unbraid table NAME [--seeds 3] [--rows TITLE,TITLE] [--dry-run] [--data NAME] [--device auto]
                     [--accept_weak_judge true] [--runs FOLDER] [--results FOLDER]
                     [--data.* ...] [--model.* ...] [--training.* ...]

Train what a table lacks, then print it in Markdown and LaTeX: ours over independently trained seeds, floors, and the
published scores. What the ledger (FOLDER/ledger.csv) or FOLDER of runs holds is not trained again, so a table that was
stopped goes on where it was.

NAME is one of these, or a YAML file of your own:
{tables}
--dry-run says what would be trained and about how long. --rows leaves the other rows out. --data chooses another data set, where a table allows it.
--accept_weak_judge true scores although a judge is below 99% on real clips; the table shows by how much.
--data.*, --model.* and --training.* are settings of `unbraid train` for every row: --data.root FOLDER, for one.
"""


def main(arguments: list[str]) -> int:
    """Run the command."""
    from unbraid.benchmark.tables import list_tables, read_table

    if not arguments or arguments[0] in ("-h", "--help"):
        named = "".join(f"  {name:<22}{read_table(name).title}\n" for name in list_tables())
        print(USAGE.format(tables=named))
        return 0
    settings, rest = take_settings(arguments)
    return call(table, "table", rest, {"settings": settings})


def table(
    name: str,
    settings: Mapping[str, str],
    seeds: int = 3,
    data: str | None = None,
    runs: Path = Path("runs"),
    results: Path = Path("results"),
    device: str = "auto",
    rows: str | None = None,
    accept_weak_judge: bool = False,
    dry_run: bool = False,
) -> int:
    """Train what a table lacks, then print it in Markdown and LaTeX.

    Args:
        name: of the table, or a YAML file of your own.
        settings: of every row.
        seeds: independent trainings of each row.
        data: the data set, where the table allows another than its own.
        runs: folder of the runs: finished ones are taken from it, new ones go there.
        results: folder of the ledger.
        device: that is trained on: "cpu", "cuda" or "auto".
        rows: titles of the rows that are wanted, joined by commas; by default all.
        accept_weak_judge: score although a judge is below 99% on some label of real clips.
        dry_run: only say what would be trained, and about how long.
    """
    from unbraid.benchmark.tables import cells, read_table, with_rows

    declared = read_table(name, data)
    if rows is not None:
        declared = with_rows(declared, [title.strip() for title in rows.split(",")])
    needed = cells(
        declared,
        seeds,
        [f"--training.device={device}", *[f"--{name}={text}" for name, text in settings.items()]],
    )
    print(f"{declared.title}\n{declared.about}\n")
    found = _found(declared, needed, runs, results)
    missing = [cell for cell in needed if _key(cell) not in found]
    if dry_run:
        _plan(needed, found, _without_data(missing), runs, results)
        return 0
    failed = _train(missing, _without_data(missing), declared, runs, accept_weak_judge)
    _show(declared, _found(declared, needed, runs, results))
    for error in failed:
        raise error
    return 0


def _key(cell: "Cell") -> tuple[str, int]:
    return cell.row.title, cell.seed


def _protocols(declared: "Table", cell: "Cell") -> tuple[str, ...]:
    """Those protocols of the table's that are for the cell's data set; all, when none is."""
    from unbraid.data.load import info
    from unbraid.registry import DATASETS, PROTOCOLS

    asked = tuple(name for name in PROTOCOLS if name in declared.protocols)
    data = cell.config["data"]["name"]
    return tuple(name for name in asked if data in DATASETS and name in info(data).protocols) or asked


def _found(
    declared: "Table", needed: "list[Cell]", runs: Path, results: Path
) -> "dict[tuple[str, int], Trained]":
    """The trainings that there are, with all scores that the table shows; the ledger counts before the runs."""
    from unbraid.benchmark.ledger import read_ledger, read_runs
    from unbraid.benchmark.tables import find

    known = [*read_runs(runs), *read_ledger(results / "ledger.csv")]
    found = {_key(cell): find(cell, known, set(_protocols(declared, cell))) for cell in needed}
    return {key: trained for key, trained in found.items() if trained is not None}


def _without_data(missing: "list[Cell]") -> dict[str, str]:
    """The data sets that are not here, and what to do about it."""
    from unbraid.data.load import info
    from unbraid.registry import DATASETS
    from unbraid.training.run import load_run_data

    absent: dict[str, str] = {}
    seen: list[dict[str, Any]] = []
    for cell in missing:
        if cell.config["data"] in seen:
            continue
        seen.append(cell.config["data"])
        name = cell.config["data"]["name"]
        try:
            load_run_data(cell.config)
        except FileNotFoundError as error:
            how = f" To get it: {info(name).obtain}" if name in DATASETS else ""
            absent[name] = f"{name} is not here: {error}.{how}"
    for text in absent.values():
        print(text)
    return absent


# ---- training -------------------------------------------------------------------------------------------


def _train(
    missing: "list[Cell]", absent: dict[str, str], declared: "Table", runs: Path, weak: bool
) -> list[Exception]:
    """Train and score what is missing; returns the mistakes of the rows that could not be trained."""
    failed: list[Exception] = []
    todo = [cell for cell in missing if cell.config["data"]["name"] not in absent]
    for number, cell in enumerate(todo, 1):
        print(f"\n[{number} of {len(todo)}] {cell.row.title}, seed {cell.seed}", flush=True)
        try:
            _train_one(cell, _protocols(declared, cell), runs, weak)
        except (ValueError, OSError) as error:
            print(f"{cell.row.title}, seed {cell.seed} went wrong: {error}")
            failed.append(error)
        except KeyboardInterrupt:
            print("The table goes on where it stopped when the same command is given again.")
            raise
    return failed


def _train_one(cell: "Cell", protocols: tuple[str, ...], runs: Path, weak: bool) -> None:
    from unbraid import workflow
    from unbraid.benchmark.ledger import differences, read_runs
    from unbraid.training import open_run
    from unbraid.training.run import load_run_data

    data = load_run_data(cell.config)
    for run in read_runs(runs):
        if run.folder and not differences(run.config, cell.config):
            lacking = tuple(name for name in protocols if name not in run.scores)
            return _finish(open_run(run.folder), data, lacking, weak)
    folder = _folder(cell, runs)
    if folder.exists():
        print(f"Going on with {folder}.")
        run, _ = workflow.resume(folder, data)
    else:
        run = workflow.train(cell.config, folder, data)
    _finish(run, data, protocols, weak)


def _finish(run: "Run", data: "Sequences", protocols: tuple[str, ...], weak: bool) -> None:
    from unbraid.cli.show import score_and_show

    if score_and_show(run, data, protocols, {"accept_weak_judge": weak}):
        raise KeyboardInterrupt


def _folder(cell: "Cell", runs: Path) -> Path:
    """The cell's own folder: one that holds this training, begun, or the first that is free."""
    import yaml

    from unbraid.benchmark.ledger import differences, run_name

    stem = runs / run_name(cell.config)
    folder, number = stem, 1
    while folder.exists():
        config = folder / "config.yaml"
        if config.is_file() and not differences(yaml.safe_load(config.read_text()), cell.config):
            break
        number += 1
        folder = stem.with_name(f"{stem.name}-{number}")
    return folder


# ---- what is said ---------------------------------------------------------------------------------------


def _plan(
    needed: "list[Cell]",
    found: "dict[tuple[str, int], Trained]",
    absent: dict[str, str],
    runs: Path,
    results: Path,
) -> None:
    """Print what would be trained, and about how long."""
    from unbraid.benchmark.duration import known_seconds, measured_seconds
    from unbraid.benchmark.ledger import differences, read_ledger, read_runs
    from unbraid.training.run import load_run_data

    known = [*read_runs(runs), *read_ledger(results / "ledger.csv")]
    total, count = 0.0, 0
    for title in dict.fromkeys(cell.row.title for cell in needed):
        row = [cell for cell in needed if cell.row.title == title]
        missing = [cell for cell in row if _key(cell) not in found]
        for cell in row:
            if _key(cell) in found:
                print(f"{title}, seed {cell.seed}: in {found[_key(cell)].source}")
        per_run: tuple[float, str] | None = None
        for cell in missing:
            begun = f"{title}, seed {cell.seed}: "
            scored = [run for run in known if run.folder and not differences(run.config, cell.config)]
            if cell.config["data"]["name"] in absent:
                print(f"{begun}cannot be trained, {cell.config['data']['name']} is not here")
            elif scored:
                print(f"{begun}is trained in {scored[0].folder}, to be scored")
            else:
                per_run = per_run or known_seconds(cell.config, known)
                per_run = per_run or (measured_seconds(cell.config, load_run_data(cell.config)), "")
                seconds, hardware = per_run
                how = f"as on {hardware}" if hardware else "by a few steps, measured here"
                state = "to be resumed" if _folder(cell, runs).exists() else "to be trained"
                print(f"{begun}{state}, about {seconds / 60:.1f} min ({how})")
                total, count = total + seconds, count + 1
    print(
        f"\n{count} to train, about {total / 3600:.1f} h; scoring comes on top."
        if count
        else "\nNothing to train."
    )


def _show(declared: "Table", found: "dict[tuple[str, int], Trained]") -> None:
    """Print the table in Markdown and in LaTeX."""
    from unbraid.benchmark.tables import rows_of_text
    from unbraid.benchmark.text_tables import latex, markdown

    rows = rows_of_text(declared, found)
    print(
        f"\n{declared.title}. Ours: mean ± standard deviation over independently trained seeds (their number stands "
        "beside), in brackets the mean deviation over repeats of the scoring of one trained model. Published: as the "
        f"paper gives it.\n\n{markdown(rows)}\n\n{latex(rows)}"
    )
