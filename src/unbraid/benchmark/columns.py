"""Columns of tables: where a figure stands in the scores of a run, and how it is shown."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import yaml

from unbraid.settings import RECIPES
from unbraid.words import nearest

__all__ = ["TABLES", "Column", "Figure", "columns", "figure_at", "read_columns", "show"]

TABLES = RECIPES / "tables"
SHARED = "columns.yaml"


@dataclass(frozen=True)
class Figure:
    """A figure of one trained model: its mean and deviation over repeats, and its floor."""

    mean: float
    std: float | None
    floor: float | None


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: under which `published.csv` has its scores.
        heading: what stands above it, with an arrow up or down where more or less is better.
        score: the path of its figure in the scores of a run, beginning with the protocol:
            `generation/keep_dynamic/{static}`. What stands in braces is chosen for each row: `{static}` and
            `{dynamic}` are all labels of that kind that are no part of another (the mean of their figures is shown),
            `{lowest}` whichever is lowest, `{codes}` the codes of the row.
        percent: whether the score is a share that is shown in percent.
        digits: behind the point.
        floors: named floors, a row of the table each: their paths by their names, or one path with `{floor}` where the
            names stand.
    """

    name: str
    heading: str
    score: str
    percent: bool = False
    digits: int = 3
    floors: str | dict[str, str] = field(default_factory=dict)


@cache
def columns() -> dict[str, Column]:
    """The columns that any table may name: `recipes/tables/columns.yaml`."""
    said = yaml.safe_load((TABLES / SHARED).read_text())
    return {name: _column(name, about, SHARED) for name, about in said.items()}


def read_columns(said: list[Any], where: str) -> tuple[Column, ...]:
    """The columns of a table: names of shared ones, or `{name: {heading: ..., score: ...}}`.

    Raises:
        ValueError: a column that is not known, or lacks its heading or its score.
    """
    found = []
    for item in said:
        if isinstance(item, dict):
            found += [_column(name, about, where) for name, about in item.items()]
        elif item in columns():
            found.append(columns()[item])
        else:
            raise ValueError(f"{where}: columns: there is no column {item!r}{nearest(str(item), columns())}")
    return tuple(found)


def _column(name: str, about: dict[str, Any], where: str) -> Column:
    known = tuple(Column.__dataclass_fields__)[1:]
    for key in about:
        if key not in known:
            raise ValueError(f"{where}: column {name!r} has no part {key!r}{nearest(key, known)}")
    for key in ("heading", "score"):
        if key not in about:
            raise ValueError(f"{where}: column {name!r} needs a {key}")
    return Column(name, **about)


def figure_at(scores: Mapping[str, Any], path: str, codes: str = "") -> Figure | None:
    """The figure at a path of a run's scores; None where there is none.

    Of several (a part of the path in braces) it has the mean of the means and of the floors, and no spread, as that
    of a mean does not follow from those of its parts.
    """
    protocol, *parts = path.replace("{codes}", codes).split("/")
    found: list[Any] = [scores.get(protocol)]
    for part in parts:
        found = [
            below for above in found if isinstance(above, Mapping) for below in _below(above, part, scores)
        ]
    chosen = [figure for figure in found if isinstance(figure, Mapping) and "mean" in figure]
    if not chosen:
        return None
    if parts[-1] == "{lowest}":
        chosen = [min(chosen, key=lambda figure: figure["mean"])]
    if len(chosen) == 1:
        return Figure(chosen[0]["mean"], chosen[0].get("std"), chosen[0].get("floor"))
    floors = [figure["floor"] for figure in chosen if figure.get("floor") is not None]
    mean = statistics.fmean(figure["mean"] for figure in chosen)
    return Figure(mean, None, statistics.fmean(floors) if floors else None)


def _below(above: Mapping[str, Any], part: str, scores: Mapping[str, Any]) -> list[Any]:
    if part == "{lowest}":
        return list(above.values())
    if part in ("{static}", "{dynamic}"):
        return [above[name] for name in _labels(scores, part[1:-1]) if name in above]
    return [above[part]] if part in above else []


def _labels(scores: Mapping[str, Any], kind: Literal["static", "dynamic"] | str) -> list[str]:
    """The labels of a kind that are no part of another, as any of the protocols describes them."""
    for found in scores.values():
        if described := found.get("labels"):
            return [
                name
                for name, about in described.items()
                if isinstance(about, Mapping) and about["kind"] == kind and not about["part_of"]
            ]
    return []


def show(column: Column, values: list[float], repeats: float | None = None) -> str:
    """Values of a column as `mean ± deviation`, and in brackets the deviation over repeats, where there is any."""
    if not values:
        return ""
    scale = 100 if column.percent else 1
    digits = 1 if column.percent else column.digits
    text = f"{scale * statistics.fmean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {scale * statistics.stdev(values):.{digits}f}"
    return text + (f" [{scale * repeats:.{digits}f}]" if repeats else "")
