"""Rows of tables of results: our recipes beside floors and published scores."""

import statistics
from collections.abc import Iterable, Mapping

from unbraid.benchmark.current import Groups
from unbraid.benchmark.published import Published
from unbraid.benchmark.runs import Trained, titles_by_data
from unbraid.benchmark.score_columns import ScoreColumn, figure_at, show

__all__ = [
    "PublishedRows",
    "data_sets",
    "how_generated",
    "name_floors",
    "of_methods",
    "result_rows",
    "with_scores",
]

PublishedRows = Mapping[str, Mapping[str, Published]]

# What the generation protocol notes of a method, and the sentence that a page says of it.
GENERATED_OTHERWISE = {
    "static_drawn": "has no prior of the static code; instead of drawn codes it decodes {}.",
    "compared_with": "has no encoder; its clips are compared with {}.",
}


def data_sets(trained: Iterable[Trained]) -> list[str]:
    """Names of the data sets that have recorded trainings."""
    return sorted({run.data for run in trained})


def of_methods(published: PublishedRows, models: Iterable[str]) -> PublishedRows:
    """The published rows of registered methods: GP-VAE is `gp_vae`."""
    names = set(models)
    return {
        method: scores for method, scores in published.items() if method.lower().replace("-", "_") in names
    }


def with_scores(groups: Groups, columns: Iterable[ScoreColumn]) -> list[ScoreColumn]:
    """The columns that some training has a score for."""
    runs = [run for group in groups.values() for run in group]
    return [column for column in columns if any(figure_at(run.scores, column.score, "both") for run in runs)]


def how_generated(groups: Groups) -> list[str]:
    """A sentence for each title whose clips were not generated from drawn codes or not compared with real clips."""
    sentences: dict[str, None] = {}
    for title, runs in groups.items():
        for run in runs:
            protocol = run.scores.get("generation", {}).get("protocol", {})
            for key, sentence in GENERATED_OTHERWISE.items():
                if key in protocol:
                    sentences[f"{title} {sentence.format(protocol[key])}"] = None
    return list(sentences)


def result_rows(
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
    return {name: list(cells) for name, cells in name_floors(titles_by_floors).items()}


def name_floors(titles_by_floors: Mapping[tuple[str, ...], list[str]]) -> dict[str, tuple[str, ...]]:
    """Floors by their name, which says whose they are where there are several."""
    if len(titles_by_floors) == 1:
        return {"floor": next(iter(titles_by_floors))}
    return {f"floor of {', '.join(sorted(titles))}": cells for cells, titles in titles_by_floors.items()}


def _whole(values: list[float]) -> str:
    mean = f"{statistics.fmean(values):.0f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.0f}"
