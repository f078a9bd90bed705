"""The pages made from the ledger: `results/<data>.md` and the README's block. No number in them is typed by hand.

A page shows mean ± standard deviation over trainings that differ in nothing but their seed, beside floors and the
published scores. It shows the trainings that today's recipes and tables declare; older ones stay in the ledger.

`python -m unbraid.benchmark.pages` writes the pages of the repository in the current folder.
"""

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path

from unbraid.benchmark.current import Groups, current_trainings, main_recipes
from unbraid.benchmark.ledger import read_ledger
from unbraid.benchmark.method_pages import write_method_pages
from unbraid.benchmark.published import Published, published_by_method
from unbraid.benchmark.runs import Trained, titles_by_data
from unbraid.benchmark.score_columns import ScoreColumn, figure_at, shared_columns, show
from unbraid.benchmark.text_tables import markdown
from unbraid.evaluation.generation import LABEL_TESTS
from unbraid.evaluation.scores import figures

__all__ = ["data_page", "readme_block", "with_block", "write_pages"]

MARKERS = ("<!-- results: made by `make results` -->", "<!-- end of results -->")

PublishedRows = Mapping[str, Mapping[str, Published]]


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
    for data in _data_sets(trained):
        page = root / "results" / f"{data}.md"
        page.write_text(data_page(data, current_trainings(trained, data)), encoding="utf-8")
        written.append(page)
    readme = root / "README.md"
    readme.write_text(with_block(readme.read_text(encoding="utf-8"), readme_block(trained)), encoding="utf-8")
    return [*written, *write_method_pages(root), readme]


def data_page(data: str, groups: Groups) -> str:
    """A data set's page in Markdown.

    Args:
        data: name of the data set.
        groups: its trainings by title.
    """
    columns = _with_scores(groups, shared_columns().values())
    parts = [
        f"# {data}",
        "Made from `ledger.csv` by `make results`; do not edit. Mean ± standard deviation over independently trained "
        "seeds, for the settings of today's recipes and tables; older trainings are in the ledger alone. What each score "
        "means: `docs/protocols.md`.",
        markdown(_rows("", groups, columns, published_by_method(data), with_costs=True)),
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
    """The README's results: one table per data set, with the main recipes and the few columns marked `readme`."""
    if not trained:
        return "No run is recorded yet."
    tables = []
    for data in _data_sets(trained):
        groups = main_recipes(current_trainings(trained, data))
        columns = _with_scores(groups, (column for column in shared_columns().values() if column.readme))
        models = {run.config["model"]["name"] for runs in groups.values() for run in runs}
        published = {
            method: scores
            for method, scores in published_by_method(data).items()
            if method.lower().replace("-", "_") in models
        }
        tables.append(markdown(_rows(f"[{data}](results/{data}.md)", groups, columns, published)))
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


def _data_sets(trained: list[Trained]) -> list[str]:
    return sorted({run.data for run in trained})


# ---- the table of a data set ----------------------------------------------------------------------------


def _with_scores(groups: Groups, columns: Iterable[ScoreColumn]) -> list[ScoreColumn]:
    """The columns that some training has a score for."""
    runs = [run for group in groups.values() for run in group]
    return [column for column in columns if any(figure_at(run.scores, column.score, "both") for run in runs)]


def _rows(
    corner: str,
    groups: Groups,
    columns: list[ScoreColumn],
    published: PublishedRows,
    with_costs: bool = False,
) -> list[list[str]]:
    """Our recipes, mean ± deviation over seeds, then floors, then published scores; the heading first.

    Args:
        corner: stands in the first cell.
        groups: trainings by title.
        columns: the scores.
        published: scores by method and column.
        with_costs: add the epochs and minutes of training.
    """
    costs = ["epochs", "minutes"] if with_costs else []
    rows = [[corner, "seeds", *costs, *(column.heading for column in columns)]]
    for title, runs in groups.items():
        cells = [title, str(len(runs))]
        if with_costs:
            cells += [_whole([run.epochs for run in runs]), _whole([(run.seconds or 0) / 60 for run in runs])]
        for column in columns:
            column_figures = [figure_at(run.scores, column.score, "both") for run in runs]
            cells.append(show(column, [figure.mean for figure in column_figures if figure]))
        rows.append(cells)
    empty = [""] * (1 + len(costs))
    rows += [[name, *empty, *floors] for name, floors in _floors(groups, columns).items()]
    for method, numbers in published.items():
        cells = [
            show(column, [numbers[column.name].value] if column.name in numbers else []) for column in columns
        ]
        if any(cells):
            source = next(iter(numbers.values())).source
            rows.append([f"{method}, published ([source]({source}))", *empty, *cells])
    return rows


def _floors(groups: Groups, columns: list[ScoreColumn]) -> dict[str, list[str]]:
    """The rows of floors by title: one, or one for each form of the data whose floors differ."""
    titles_by_floors: dict[tuple[str, ...], list[str]] = {}
    for titles in titles_by_data(groups).values():
        runs = [run for title in titles for run in groups[title]]
        cells = []
        for column in columns:
            column_figures = [figure_at(run.scores, column.score, "both") for run in runs]
            floors = [figure.floor for figure in column_figures if figure and figure.floor is not None]
            cells.append(show(column, floors[:1]))
        if any(cells):
            titles_by_floors.setdefault(tuple(cells), []).extend(titles)
    return {name: list(cells) for name, cells in _name_floors(titles_by_floors).items()}


def _name_floors(titles_by_floors: Mapping[tuple[str, ...], list[str]]) -> dict[str, tuple[str, ...]]:
    """Floors by their name, which says whose they are where there are several."""
    if len(titles_by_floors) == 1:
        return {"floor": next(iter(titles_by_floors))}
    return {f"floor of {', '.join(sorted(titles))}": cells for cells, titles in titles_by_floors.items()}


def _whole(values: list[float]) -> str:
    mean = f"{statistics.fmean(values):.0f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.0f}"


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
    named_floors = _name_floors(titles_by_floors)
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
