"""A table filled in: its trainings, their floors and the published scores as rows of text."""

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from unbraid.benchmark.published import Published, published_by_method
from unbraid.benchmark.runs import Trained, titles_by_data
from unbraid.benchmark.score_columns import ScoreColumn, figure_at, show
from unbraid.benchmark.tables import TableSpec

__all__ = ["columns_without_scores", "fill_table"]

TextRows = list[list[str]]
Floors = tuple[tuple[str, ...], ...]


def fill_table(table: TableSpec, trained: Mapping[tuple[str, int], Trained]) -> TextRows:
    """The rows of a table, the heading first: our rows with the published row below, floors, other published rows.

    Ours are `mean ± standard deviation` over the trainings of a row, which differ in nothing but their seed, and in
    brackets the mean deviation over repeats of the scoring of one trained model.

    Args:
        table: as it is declared.
        trained: the trainings by the title of their row and their seed.

    Raises:
        ValueError: the trainings of one row saw different data.
    """
    by_title = {
        row.title: [run for (title, _), run in trained.items() if title == row.title] for row in table.rows
    }
    for title, runs in by_title.items():
        if len({run.fingerprint for run in runs}) > 1:
            places = " and ".join(sorted({f"{run.fingerprint} ({run.source})" for run in runs}))
            raise ValueError(f"table: the trainings of {title!r} saw different data: {places}; train it anew")
    published = _published(table)
    rows: TextRows = []
    for row in table.rows:
        for codes, name in table.codes.items():
            title = f"**{row.title}**" + (f", from {name}" if name else "")
            rows.append(_trained_row(title, table, by_title[row.title], codes))
        rows += [
            _published_row(name, published.pop(name), table) for name in row.published if name in published
        ]
    rows += _floor_rows(table, by_title)
    for name, scores in published.items():
        if name in table.published or name.partition(": ")[0] in table.published:
            rows.append(_published_row(name, scores, table))
    rows = [row for row in rows if any(row[2:]) or row[1]]
    return _without_empty_columns([["", "seeds", *(column.heading for column in table.columns)], *rows])


def columns_without_scores(table: TableSpec, rows: TextRows) -> list[ScoreColumn]:
    """The columns of a table that `fill_table` left out of its rows, because no row has a score for them."""
    return [column for column in table.columns if column.heading not in rows[0]]


def _trained_row(title: str, table: TableSpec, runs: list[Trained], codes: str) -> list[str]:
    cells = [title, str(len(runs))]
    for column in table.columns:
        column_figures = [figure for run in runs if (figure := figure_at(run.scores, column.score, codes))]
        spreads = [figure.std for figure in column_figures if figure.std is not None]
        repeats = statistics.fmean(spreads) if spreads else None
        cells.append(show(column, [figure.mean for figure in column_figures], repeats))
    return cells


def _floor_rows(table: TableSpec, by_title: Mapping[str, list[Trained]]) -> TextRows:
    """The floor of each column and the further floors by name, once for each form of the data."""
    titles_by_floors: dict[tuple[str, Floors], list[str]] = {}  # by data set and its floors
    for (data, _), titles in titles_by_data(by_title).items():
        floors = _floors(table, [run for title in titles for run in by_title[title]])
        titles_by_floors.setdefault((data, floors), []).extend(titles)
    data_sets = [data for data, _ in titles_by_floors]
    rows = []
    for (data, floors), titles in titles_by_floors.items():
        whose = ""
        if data_sets.count(data) > 1:
            whose = f" of {_together(titles, by_title)}"
        elif len(data_sets) > 1:
            whose = f", {data}"
        rows += [[f"floor{whose}{name}", "", *cells] for name, *cells in floors]
    return rows


def _together(titles: list[str], every: Iterable[str]) -> str:
    """The titles of rows in few words: what stands before the colon in all of them, and in no other row's title."""
    begins = {title.partition(": ")[0] for title in titles}
    start = f"{begins.pop()}: "
    if not begins and all(title.startswith(start) == (title in titles) for title in every):
        return start[:-2]
    return ", ".join(titles)


def _floors(table: TableSpec, runs: list[Trained]) -> Floors:
    """The floor of each column, then the further floors; the first cell of each row is its name."""
    further: dict[str, dict[str, str]] = {}
    plain = []
    for column in table.columns:
        column_figures = [figure_at(run.scores, column.score, next(iter(table.codes))) for run in runs]
        floors = [figure.floor for figure in column_figures if figure and figure.floor is not None]
        plain.append(show(column, floors[:1]))
        for name, value in _further_floors(column, runs).items():
            further.setdefault(name, {})[column.name] = show(column, [value])
    named = (
        (f": {name.replace('_', ' ')}", *(cells.get(column.name, "") for column in table.columns))
        for name, cells in further.items()
    )
    return (("", *plain), *named)


def _further_floors(column: ScoreColumn, runs: list[Trained]) -> dict[str, float]:
    """The further floors of a column by name, of the first training that has any."""
    for run in runs:
        paths = column.floors
        if isinstance(paths, str):
            level: Any = run.scores
            for part in paths.partition("/{floor}")[0].split("/"):
                level = level.get(part, {})
            paths = {name: paths.replace("{floor}", name) for name in level}
        column_figures = {name: figure_at(run.scores, path) for name, path in paths.items()}
        floors = {name: figure.mean for name, figure in column_figures.items() if figure}
        if floors:
            return floors
    return {}


def _published(table: TableSpec) -> dict[str, dict[str, Published]]:
    """`data: method` to its published scores by column, for all data sets that the table names."""
    names = [*table.published, *(name for row in table.rows for name in row.published)]
    data_sets = dict.fromkeys(name.partition(": ")[0] for name in names)
    return {
        f"{data}: {method}": scores
        for data in data_sets
        for method, scores in published_by_method(data).items()
    }


def _published_row(name: str, scores: Mapping[str, Published], table: TableSpec) -> list[str]:
    data, _, method = name.partition(": ")
    cells = []
    for column in table.columns:
        number = scores.get(column.name)
        text = show(column, [number.value] if number else [])
        if number and number.spread is not None:
            text += f" ± {show(column, [number.spread])}"
        cells.append(text)
    return [f"{method}, published ({data})", "", *cells]


def _without_empty_columns(rows: TextRows) -> TextRows:
    shown = [place for place in range(len(rows[0])) if place < 2 or any(row[place] for row in rows[1:])]
    return [[row[place] for place in shown] for row in rows]
