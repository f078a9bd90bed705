"""Columns of tables: which figure of a run's scores a column shows, and how it is written.

A path leads to a figure: `generation/keep_dynamic/{static}` begins with the protocol and follows its JSON file. A part
in braces is filled in for each row: `{static}` and `{dynamic}` stand for all labels of that kind that are no part of
another label (the mean of their figures is shown), `{lowest}` for the label with the lowest figure, `{codes}` for the
codes of the row.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from unbraid.evaluation.scores import Figure
from unbraid.recipes import RECIPES
from unbraid.words import nearest

__all__ = ["TABLES", "ScoreColumn", "figure_at", "read_score_columns", "shared_columns", "show"]

TABLES = RECIPES / "tables"
SHARED = "columns.yaml"


@dataclass(frozen=True)
class ScoreColumn:
    """One column of a table.

    Attributes:
        name: under which `published.csv` has its scores.
        heading: what stands above it, with an arrow up or down where more or less is better.
        score: path of its figure, see the module.
        percent: whether the figure is a share that is shown in percent.
        digits: behind the point.
        floors: further floors, a row of the table each: their paths by their names, or one path with `{floor}` where
            the names stand.
        readme: whether the README shows the column; the data set's page shows all.
    """

    name: str
    heading: str
    score: str
    percent: bool = False
    digits: int = 3
    floors: str | dict[str, str] = field(default_factory=dict)
    readme: bool = False


@cache
def shared_columns() -> dict[str, ScoreColumn]:
    """The columns that any table may name: `recipes/tables/columns.yaml`."""
    declared = yaml.safe_load((TABLES / SHARED).read_text(encoding="utf-8"))
    return {name: _column(name, parts, SHARED) for name, parts in declared.items()}


def read_score_columns(declared: list[Any], where: str) -> tuple[ScoreColumn, ...]:
    """The columns of a table: names of shared ones, or `{name: {heading: ..., score: ...}}`.

    Args:
        declared: what the table's file has under `columns`.
        where: what error messages begin with.

    Raises:
        ValueError: a column that does not exist, or that lacks its heading or its score.
    """
    columns: list[ScoreColumn] = []
    for item in declared:
        if isinstance(item, dict):
            columns += [_column(name, parts, where) for name, parts in item.items()]
        elif item in shared_columns():
            columns.append(shared_columns()[item])
        else:
            hint = nearest(str(item), shared_columns())
            raise ValueError(f"{where}: columns: there is no column {item!r}{hint}")
    return tuple(columns)


def _column(name: str, parts: dict[str, Any], where: str) -> ScoreColumn:
    allowed = tuple(ScoreColumn.__dataclass_fields__)[1:]
    for key in parts:
        if key not in allowed:
            raise ValueError(f"{where}: column {name!r} has no part {key!r}{nearest(key, allowed)}")
    for key in ("heading", "score"):
        if key not in parts:
            raise ValueError(f"{where}: column {name!r} needs a {key}")
    return ScoreColumn(name, **parts)


def figure_at(scores: Mapping[str, Any], path: str, codes: str = "") -> Figure | None:
    """The figure at a path of a run's scores; None where there is none.

    Where braces lead to several figures, their means and their floors are averaged; the result has no standard
    deviation, because that of a mean does not follow from those of its parts.

    Args:
        scores: of a run, by protocol.
        path: see the module.
        codes: what stands for `{codes}`.
    """
    protocol, *parts = path.replace("{codes}", codes).split("/")
    values: list[Any] = [scores.get(protocol)]
    for part in parts:
        levels = [value for value in values if isinstance(value, Mapping)]
        values = [below for level in levels for below in _follow(level, part, scores)]
    figures = [Figure.from_json(value) for value in values if isinstance(value, Mapping) and "mean" in value]
    if not figures:
        return None
    if parts[-1] == "{lowest}":
        return min(figures, key=lambda figure: figure.mean)
    if len(figures) == 1:
        return figures[0]
    floors = [figure.floor for figure in figures if figure.floor is not None]
    mean = statistics.fmean(figure.mean for figure in figures)
    return Figure(mean, floor=statistics.fmean(floors) if floors else None)


def _follow(level: Mapping[str, Any], part: str, scores: Mapping[str, Any]) -> list[Any]:
    """What a part of a path leads to."""
    if part == "{lowest}":
        return list(level.values())
    names = _labels(scores, part[1:-1]) if part in ("{static}", "{dynamic}") else [part]
    return [level[name] for name in names if name in level]


def _labels(scores: Mapping[str, Any], kind: str) -> list[str]:
    """The labels of a kind that are no part of another, as any of the protocols describes them."""
    for protocol in scores.values():
        described = {
            name: label for name, label in protocol.get("labels", {}).items() if isinstance(label, Mapping)
        }
        if described:
            return [
                name for name, label in described.items() if label["kind"] == kind and not label["part_of"]
            ]
    return []


def show(column: ScoreColumn, values: list[float], repeats: float | None = None) -> str:
    """Values of a column as text: `mean ± standard deviation [deviation over repeats]`; empty without values."""
    if not values:
        return ""
    scale = 100 if column.percent else 1
    digits = 1 if column.percent else column.digits
    text = f"{scale * statistics.fmean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {scale * statistics.stdev(values):.{digits}f}"
    return text + (f" [{scale * repeats:.{digits}f}]" if repeats else "")
