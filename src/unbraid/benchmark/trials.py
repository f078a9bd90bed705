"""`results/trials.csv`: what was tried, one row a trial with its validation figures."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unbraid.files import locked, write_atomically

__all__ = ["COLUMNS", "add_trial", "changes_in_words"]

COLUMNS = ("date", "recipe", "changes", "split", "trainings", "figures", "remark")


def add_trial(path: Path, row: Mapping[str, str]) -> None:
    """Add a row, after those of its recipe; a row with the same recipe, changes and remark is replaced.

    Several processes may add rows at the same time.

    Args:
        path: of the file, which is made where it is missing.
        row: by column.

    Raises:
        ValueError: the file has other columns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock"), wait=True):
        rows = _read(path) if path.exists() else []
        same = ("recipe", "changes", "remark")
        rows = [old for old in rows if any(old[name] != row[name] for name in same)]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted([*rows, row], key=lambda each: each["recipe"]))
        write_atomically(path, text.getvalue())


def _read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path}: has the columns {reader.fieldnames}, trials have {list(COLUMNS)}")
        return list(reader)


def changes_in_words(changes: Mapping[str, Any]) -> str:
    """Settings by dotted name as the column `changes` has them, without blanks within a value."""
    return " ".join(f"{name}={str(value).replace(' ', '')}" for name, value in changes.items())
