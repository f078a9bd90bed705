"""`unbraid table NAME`: train what a table lacks, then print it beside the published scores."""

from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.cli.common import call

if TYPE_CHECKING:
    from unbraid.benchmark.runner import Forecast

__all__ = ["main", "table"]

USAGE = """usage: unbraid table NAME [--seeds 3] [--rows TITLE,TITLE] [--dry-run] [--data NAME] [--device auto]
                     [--accept_weak_judge true] [--runs FOLDER] [--results FOLDER]
                     [--data.* ...] [--model.* ...] [--training.* ...]

Train what a table lacks, then print it in Markdown and LaTeX: our rows over independently trained seeds, floors, and the
published scores. What the ledger (FOLDER/ledger.csv) or FOLDER of runs holds is not trained again, so a table that was
stopped goes on where it was.

NAME is one of these, or a YAML file of your own:
{tables}
--dry-run says what would be trained and about how long it takes. --rows leaves the other rows out. --data chooses another
data set, where a table allows it. --accept_weak_judge true scores although a judge is below 99% on real clips; the table
shows by how much. --data.*, --model.* and --training.* are settings of `unbraid train` for every row: --data.root FOLDER,
for example.
"""


def main(arguments: list[str]) -> int:
    """Run the command."""
    from unbraid.benchmark.tables import list_tables, read_table_spec

    if not arguments or arguments[0] in ("-h", "--help"):
        tables = "".join(f"  {name:<22}{read_table_spec(name).title}\n" for name in list_tables())
        print(USAGE.format(tables=tables))
        return 0
    settings, rest = _settings(arguments)
    return call(table, "table", rest, {"settings": settings})


def _settings(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The settings of every row, `{"data.root": "FOLDER"}`, and the other words."""
    settings: dict[str, str] = {}
    rest: list[str] = []
    queue = iter(words)
    for word in queue:
        name, equals, value = word.partition("=")
        if not name.startswith(("--data.", "--model.", "--training.")):
            rest.append(word)
        elif equals:
            settings[name[2:]] = value
        else:
            following = next(queue, None)
            if following is None:
                raise ValueError(f"{word}: needs a value")
            settings[name[2:]] = following
    return settings, rest


def table(
    name: str,
    settings: dict[str, str],
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
        settings: of every row, by their names.
        seeds: independent trainings of each row.
        data: the data set, where the table allows another than its own.
        runs: folder of the runs: finished ones are taken from it, new ones go there.
        results: folder of the ledger.
        device: used for training: "cpu", "cuda" or "auto".
        rows: titles of the rows that are wanted, joined by commas; by default all.
        accept_weak_judge: score although a judge is below 99% on some label of real clips.
        dry_run: only say what would be trained, and about how long it takes.
    """
    from unbraid.benchmark.filled_table import fill_table
    from unbraid.benchmark.runner import forecast, run_table
    from unbraid.benchmark.tables import planned_trainings, read_table_spec, with_rows
    from unbraid.benchmark.text_tables import latex, markdown

    declared = read_table_spec(name, data)
    if rows is not None:
        declared = with_rows(declared, [title.strip() for title in rows.split(",")])
    planned = planned_trainings(declared, seeds, {"training.device": device, **settings})
    print(f"{declared.title}\n{declared.about}\n")
    if dry_run:
        print(_forecast_text(forecast(declared, planned, runs, results)))
        return 0
    trained, errors = run_table(declared, planned, runs, results, accept_weak_judge, _print_at_once)
    filled = fill_table(declared, trained)
    print(
        f"\n{declared.title}. Ours: mean ± standard deviation over independently trained seeds (column seeds: how many), "
        "in brackets the mean deviation over repeats of the scoring of one trained model. Published: as the paper gives "
        f"it.\n\n{markdown(filled)}\n\n{latex(filled)}"
    )
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
