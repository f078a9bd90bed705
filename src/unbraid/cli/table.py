"""`unbraid table NAME`: train what a table lacks, then print it beside the published scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unbraid.cli.parser import call, take_settings

if TYPE_CHECKING:
    from unbraid.benchmark.runner import Forecast

__all__ = ["main", "table"]

USAGE = """usage: unbraid table NAME [--OPTION VALUE ...]

Train what a table lacks, then print it in Markdown and LaTeX: our rows over independently trained seeds, floors, and the
published scores. What the ledger or the folder of runs holds is not trained again, so a table that was stopped goes on
where it was.

NAME is one of these, or a YAML file of your own:
{tables}
`unbraid table NAME --help` lists the options. Settings of `unbraid train` hold for every row: --data.root FOLDER.
"""


def main(arguments: list[str]) -> int:
    """Run the command."""
    from unbraid.benchmark.tables import list_tables, read_table_spec

    if not arguments or arguments[0] in ("-h", "--help"):
        tables = "".join(f"  {name:<22}{read_table_spec(name).title}\n" for name in list_tables())
        print(USAGE.format(tables=tables))
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
    device: Literal["auto", "cpu", "cuda"] = "auto",
    rows: list[str] | None = None,
    accept_weak_judge: bool = False,
    dry_run: bool = False,
    recorded: bool = False,
) -> int:
    """Train what a table lacks, then print it in Markdown and LaTeX.

    Settings of `unbraid train` hold for every row: `--data.root FOLDER`.

    Args:
        name: of the table, or a YAML file of your own.
        settings: of every row, by their names.
        seeds: number of independent trainings of each row.
        data: the data set, where the table allows another than its own.
        runs: folder of the runs: finished ones are taken from it, new ones go there.
        results: folder of the ledger.
        device: that trains; auto is cuda where there is one.
        rows: titles of the rows that are wanted; by default all.
        accept_weak_judge: score although a judge is right on less than 99% of real clips, for some label; the table
            shows how weak it is.
        dry_run: only print what would be trained, and about how long it takes.
        recorded: train nothing; print the table with the scores that the ledger and the runs hold.
    """
    from unbraid.benchmark.filled_table import columns_without_scores, fill_table
    from unbraid.benchmark.runner import find_all, forecast, run_table
    from unbraid.benchmark.tables import planned_trainings, read_table_spec, with_rows
    from unbraid.benchmark.text_tables import latex, markdown

    declared = read_table_spec(name, data)
    if rows is not None:
        declared = with_rows(declared, rows)
    planned = planned_trainings(declared, seeds, {"training.device": device, **settings})
    print(f"{declared.title}\n{declared.about}\n")
    if dry_run:
        print(_forecast_text(forecast(declared, planned, runs, results)))
        return 0
    errors: list[Exception] = []
    if recorded:
        trained = find_all(declared, planned, runs, results)
        print(f"With {len(trained)} of {len(planned)} trainings that the table asks for.")
    else:
        trained, errors = run_table(declared, planned, runs, results, accept_weak_judge, _print_at_once)
    filled = fill_table(declared, trained)
    print(
        f"\n{declared.title}. Ours: mean ± standard deviation over independently trained seeds (column seeds: how many), "
        "in brackets the mean deviation over repeats of the scoring of one trained model. Published: as the paper gives "
        f"it.\n\n{markdown(filled)}\n\n{latex(filled)}"
    )
    absent = columns_without_scores(declared, filled)
    if trained and absent:
        named = ", ".join(f"{column.heading} ({column.score})" for column in absent)
        print(f"\nColumns that are left out, because no row has a score for them: {named}")
    for error in errors:
        raise error
    return 0


def _print_at_once(text: str) -> None:
    print(text, flush=True)


def _forecast_text(forecasts: "list[Forecast]") -> str:
    lines = []
    for item in forecasts:
        title, seed = item.planned.key
        minutes = f"about {item.seconds / 60:.1f} min ({item.basis})"
        text = {
            "recorded": f"in {item.place}",
            "data missing": f"cannot be trained, {item.place} is not here",
            "to be scored": f"is trained in {item.place}, to be scored",
            "to be resumed": f"to be resumed in {item.place}, {minutes}",
            "to be trained": f"to be trained, {minutes}",
        }[item.state]
        lines.append(f"{title}, seed {seed}: {text}")
    times = [item.seconds for item in forecasts if item.state in ("to be resumed", "to be trained")]
    total = f"{len(times)} to train, about {sum(times) / 3600:.1f} h; scoring comes on top."
    return "\n".join([*lines, "", total if times else "Nothing to train."])
