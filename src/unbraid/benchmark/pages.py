"""The pages made from the ledger: `results/<data>.md` and the README's block. No number in them is typed by hand.

A page shows mean ± standard deviation over trainings that differ in nothing but their seed, beside floors and the
published scores. It shows the trainings that today's recipes and tables declare; older ones stay in the ledger.

`python -m unbraid.benchmark.pages` writes the pages of the repository in the current folder.
"""

import statistics
from pathlib import Path

from unbraid.benchmark.current import Groups, current_trainings, main_recipes
from unbraid.benchmark.ledger import read_ledger
from unbraid.benchmark.method_pages import write_method_pages
from unbraid.benchmark.published import published_by_method
from unbraid.benchmark.result_rows import (
    data_sets,
    how_generated,
    name_floors,
    of_methods,
    result_rows,
    with_scores,
)
from unbraid.benchmark.runs import Trained, titles_by_data
from unbraid.benchmark.score_columns import shared_columns
from unbraid.benchmark.text_tables import markdown
from unbraid.evaluation.generation import LABEL_TESTS
from unbraid.evaluation.scores import figures

__all__ = ["data_page", "readme_block", "with_block", "write_pages"]

# Data sets that the README leaves to their own pages and to `unbraid table defaults`.
ELSEWHERE = ("machines", "ucr", "voices")
IN_README = ("dbse", "c_dsvae", "braid", "pooled")  # the methods of the two papers, and ours; pages show all
MARKERS = ("<!-- results: made by `make results` -->", "<!-- end of results -->")


def write_pages(root: str | Path) -> list[Path]:
    """Write all generated pages: `results/<data>.md`, `docs/methods/<name>.md` and the README's block of results.

    Args:
        root: the repository's folder.

    Returns:
        The files written.

    Raises:
        ValueError: the README has lost its markers.
    """
    root = Path(root)
    trained = read_ledger(root / "results" / "ledger.csv")
    written = []
    for data in data_sets(trained):
        page = root / "results" / f"{data}.md"
        page.write_text(data_page(data, current_trainings(trained, data)), encoding="utf-8")
        written.append(page)
    readme = root / "README.md"
    readme.write_text(with_block(readme.read_text(encoding="utf-8"), readme_block(trained)), encoding="utf-8")
    return [*written, *write_method_pages(root, trained), readme]


def data_page(data: str, groups: Groups) -> str:
    """A data set's page in Markdown.

    Args:
        data: name of the data set.
        groups: its trainings by title.
    """
    columns = with_scores(groups, shared_columns().values())
    parts = [
        f"# {data}",
        "Made from `ledger.csv` by `make results`; do not edit. Mean ± standard deviation over independently trained "
        "seeds, for the settings of today's recipes and tables; older trainings are in the ledger alone. What each score "
        "means: [protocols](../docs/protocols.md).",
        markdown(result_rows("", groups, columns, published_by_method(data), with_costs=True)),
        *how_generated(groups),
    ]
    if labels := label_tables(groups):
        parts += [
            "## Labels",
            "Generated clips in which the judge sees the right label. With the static code drawn, static labels should "
            "be at chance; with the dynamics drawn, dynamic ones.",
            labels,
        ]
    protocols = {name for runs in groups.values() for run in runs for name in run.scores}
    for protocol in sorted(protocols - {"generation"}):
        parts += [f"## Every figure of {protocol}", figure_tables(groups, protocol)]
    return "\n\n".join(parts) + "\n"


def readme_block(trained: list[Trained]) -> str:
    """The README's results: one table per data set, with main recipes of some methods and the columns marked `readme`."""
    if not trained:
        return "No run is recorded yet."
    tables = []
    for data in (name for name in data_sets(trained) if name not in ELSEWHERE):
        groups = {
            title: runs
            for title, runs in main_recipes(current_trainings(trained, data)).items()
            if runs[0].config["model"]["name"] in IN_README
        }
        if not groups:
            continue
        columns = with_scores(groups, (column for column in shared_columns().values() if column.readme))
        models = {run.config["model"]["name"] for runs in groups.values() for run in runs}
        published = of_methods(published_by_method(data), models)
        tables.append(markdown(result_rows(f"[{data}](results/{data}.md)", groups, columns, published)))
    return "\n\n".join(tables)


def with_block(text: str, block: str) -> str:
    """The text with what stands between the two markers replaced by `block`.

    Raises:
        ValueError: a marker is missing.
    """
    start, end = text.find(MARKERS[0]), text.find(MARKERS[1])
    if start < 0 or end < start:
        raise ValueError(f"README.md: must hold the lines {MARKERS[0]} and {MARKERS[1]}")
    return f"{text[: start + len(MARKERS[0])]}\n{block}\n{text[end:]}"


# ---- every figure ---------------------------------------------------------------------------------------


def label_tables(groups: Groups) -> str:
    """For each title, how often the judge sees the right label, in Markdown."""
    parts = []
    for title, runs in groups.items():
        scored = [run.scores["generation"] for run in runs if "generation" in run.scores]
        tests = [test for test in LABEL_TESTS if scored and test in scored[0]]
        if not tests:
            continue
        rows = [["label", "kind", *(f"{LABEL_TESTS[test].heading} %" for test in tests), "chance %"]]
        for label, about in scored[0]["labels"].items():
            shares = [_percent([scores[test][label]["mean"] for scores in scored]) for test in tests]
            rows.append([label, about["kind"], *shares, _percent([about["chance"]])])
        parts.append(f"{title}\n\n{markdown(rows)}")
    return "\n\n".join(parts)


def figure_tables(groups: Groups, protocol: str) -> str:
    """Every figure of a protocol, a column for each title and for floors, in Markdown."""
    by_title = {
        title: [figures(run.scores[protocol]) for run in runs if protocol in run.scores]
        for title, runs in groups.items()
    }
    by_title = {title: runs for title, runs in by_title.items() if runs}
    paths = list(dict.fromkeys(path for runs in by_title.values() for path in runs[0]))
    titles_by_floors: dict[tuple[str, ...], list[str]] = {}
    for titles in titles_by_data({title: groups[title] for title in by_title}).values():
        scored = [run for title in titles for run in by_title[title]]
        floors = [next((run[path].floor for run in scored if path in run), None) for path in paths]
        cells = tuple("" if floor is None else f"{floor:.4g}" for floor in floors)
        titles_by_floors.setdefault(cells, []).extend(titles)
    named_floors = name_floors(titles_by_floors)
    rows = [["", *by_title, *named_floors]]
    for place, path in enumerate(paths):
        values = [[run[path].mean for run in runs if path in run] for runs in by_title.values()]
        rows.append([path, *map(_four_digits, values), *(cells[place] for cells in named_floors.values())])
    return markdown(rows)


def _percent(shares: list[float]) -> str:
    mean = f"{100 * statistics.fmean(shares):.1f}"
    return mean if len(shares) == 1 else f"{mean} ± {100 * statistics.stdev(shares):.1f}"


def _four_digits(values: list[float]) -> str:
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.4g}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2g}"
