"""Published scores: `recipes/tables/published.csv`, one number a row, with its source and its place there."""

import csv
from dataclasses import dataclass

from unbraid.benchmark.columns import TABLES

__all__ = ["Published", "read_published"]


@dataclass(frozen=True)
class Published:
    """One published number.

    Attributes:
        data: the data set; where a paper's is none of ours, its own name.
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
    with (TABLES / "published.csv").open(newline="") as file:
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
