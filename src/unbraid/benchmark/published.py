"""Published scores: `recipes/tables/published.csv`, one number a row, with its source and its place there."""

import csv
from dataclasses import dataclass

from unbraid.benchmark.score_columns import TABLES

__all__ = ["Published", "published_by_method", "read_published"]


@dataclass(frozen=True)
class Published:
    """One published number.

    Attributes:
        data: name of the data set; the paper's name for it where unbraid does not have it.
        method: as the tables call it.
        score: name of the column it belongs to.
        value: in the column's unit; shares from 0 to 1.
        spread: what the paper gives behind ±, mostly over repeats with one trained model; None where it gives none.
        source: address of the paper.
        place: table in the paper.
    """

    data: str
    method: str
    score: str
    value: float
    spread: float | None
    source: str
    place: str


def read_published(data: str) -> list[Published]:
    """The published scores on one data set."""
    with (TABLES / "published.csv").open(newline="", encoding="utf-8") as file:
        return [
            Published(
                row["data"],
                row["method"],
                row["score"],
                float(row["value"]),
                float(row["spread"]) if row["spread"] else None,
                row["source"],
                row["place"],
            )
            for row in csv.DictReader(file)
            if row["data"] == data
        ]


def published_by_method(data: str) -> dict[str, dict[str, Published]]:
    """The published scores on one data set: by method, then by name of the column."""
    methods: dict[str, dict[str, Published]] = {}
    for number in read_published(data):
        methods.setdefault(number.method, {})[number.score] = number
    return methods
