"""Tables that are declared: rows of trainings, columns of scores, and what is published beside them.

A table is a YAML file, one of `recipes/tables` or one's own:

    # What it shows, and where the published numbers come from.
    title: Generation on Sprites
    data: sprites                # optional: what stands for {data} below, another with `--data`
    published: [sprites, "mug: DBSE"]    # data sets of published.csv, or methods there, that stand below ours
    codes: {static: s, both: s and d}    # optional: every row once for each, read from these codes
    rows:
      - {title: DBSE, recipe: "{data}/dbse", published: "sprites: DBSE"}
      - {title: DBSE, no subtraction, recipe: "{data}/dbse", set: {model.subtract: false}}
    columns: [accuracy, {mine: {heading: mine ↑, score: generation/swap/motion, percent: true}}]

Columns are those of `recipes/tables/columns.yaml`, or declared as in it. `{seed}` in a value of `set` is the seed.
"""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from unbraid.benchmark.columns import SHARED, TABLES, Column, figure_at, read_columns, show
from unbraid.benchmark.ledger import Config, Trained, by_form, differences
from unbraid.benchmark.published import Published, read_published
from unbraid.settings import read_recipe, recipe_parser, resolve
from unbraid.words import nearest

__all__ = ["Cell", "Row", "Table", "cells", "find", "list_tables", "read_table", "rows_of_text", "with_rows"]

PARTS = ("title", "data", "published", "codes", "rows", "columns")
OF_A_ROW = ("title", "recipe", "set", "published")

Cells = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Row:
    """A model of a table.

    Attributes:
        title: what stands before its scores.
        recipe: what it is trained by.
        set: settings that differ from the recipe's, by their names on the command line.
        published: `data: method` of the published scores that stand right below it.
    """

    title: str
    recipe: str
    set: dict[str, Any] = field(default_factory=dict)
    published: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table that is declared.

    Attributes:
        name: of its file.
        about: the comment at the top of it.
        title: of the table.
        rows: the models.
        columns: the scores.
        published: data sets whose published scores stand below ours, or `data: method` for some of them.
        codes: each row is shown once for each of these: what stands for `{codes}` in the columns, and its name.
    """

    name: str
    about: str
    title: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    published: tuple[str, ...] = ()
    codes: dict[str, str] = field(default_factory=lambda: {"": ""})

    @property
    def protocols(self) -> set[str]:
        """The protocols that the columns are read from."""
        return {column.score.partition("/")[0] for column in self.columns}


@dataclass(frozen=True)
class Cell:
    """One training that a table needs: a row and a seed, and all settings that follow."""

    row: Row
    seed: int
    config: Config


def list_tables() -> list[str]:
    """Names of the tables that come with unbraid."""
    return sorted(path.stem for path in TABLES.glob("*.yaml") if path.name != SHARED)


def read_table(name: str, data: str | None = None) -> Table:
    """Read a table by its name, or from one's own YAML file.

    Args:
        name: of `list_tables()`, or the path of a file.
        data: what stands for `{data}` in its recipes; None for what the table says.

    Raises:
        ValueError: there is no such table, it has a part that tables do not have, or its data cannot be chosen.
        FileNotFoundError: there is no such file.
    """
    text = _find(name).read_text()
    try:
        said = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"table {name}: is not YAML: {' '.join(str(error).split())}") from None
    where = f"table {name}"
    _check_parts(said, PARTS, ("title", "rows", "columns"), where)
    if data is not None and "data" not in said:
        raise ValueError(
            f"data: {where} is on data of its own; only tables that say `data:` can be on others"
        )
    chosen = data or said.get("data", "")
    rows = []
    for about in said["rows"]:
        _check_parts(about, OF_A_ROW, ("title", "recipe"), f"{where}: a row")
        beside = _on(about.get("published", ()), chosen)
        rows.append(Row(about["title"], _on([about["recipe"]], chosen)[0], about.get("set", {}), beside))
    titles = [row.title for row in rows]
    for title in titles:
        if titles.count(title) > 1:
            raise ValueError(f"{where}: two rows are called {title!r}; give each a title of its own")
    return Table(
        Path(name).stem,
        "\n".join(line[1:].strip() for line in text.splitlines() if line.startswith("#")),
        _on([said["title"]], chosen)[0],
        tuple(rows),
        read_columns(said["columns"], where),
        _on(said.get("published", ()), chosen),
        said.get("codes", {"": ""}),
    )


def _on(texts: str | Sequence[str], data: str) -> tuple[str, ...]:
    """The texts with the name of the data set filled in."""
    texts = [texts] if isinstance(texts, str) else texts
    return tuple(dict.fromkeys(text.replace("{data}", data) for text in texts))


def with_rows(table: Table, titles: list[str]) -> Table:
    """The table with only some of its rows.

    Raises:
        ValueError: it has no row of that title.
    """
    known = [row.title for row in table.rows]
    for title in titles:
        if title not in known:
            raise ValueError(f"rows: {table.name} has no row {title!r}{nearest(title, known)}")
    return replace(table, rows=tuple(row for row in table.rows if row.title in titles))


def _find(name: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise FileNotFoundError(f"table: there is no file {name}")
        return Path(name)
    if name not in list_tables():
        raise ValueError(f"table: no table is called {name!r}{nearest(name, list_tables())}")
    return TABLES / f"{name}.yaml"


def _check_parts(said: Any, known: Sequence[str], needed: Sequence[str], where: str) -> None:
    if not isinstance(said, dict):
        raise ValueError(f"{where}: must be a mapping with the parts {', '.join(known)}, not {said!r}")
    for key in said:
        if key not in known:
            raise ValueError(f"{where}: has no part {key!r}{nearest(str(key), known)}")
    for key in needed:
        if key not in said:
            raise ValueError(f"{where}: needs {key}")


def cells(table: Table, seeds: int, words: list[str]) -> list[Cell]:
    """The trainings that a table needs, for the seeds 0, 1, ...

    Args:
        table: what is declared.
        seeds: trainings of each row.
        words: of a command line, `--training.device cuda`: settings of every row.

    Raises:
        ValueError: a recipe or a setting that does not exist.
    """
    if seeds < 1:
        raise ValueError(f"seeds: {seeds}; give at least 1")
    found = []
    for row in table.rows:
        recipe = read_recipe(row.recipe)
        parser = recipe_parser(recipe, "table")
        for seed in range(seeds):
            chosen = {key: seed if value == "{seed}" else value for key, value in row.set.items()}
            chosen["training.seed"] = seed
            told = [f"--{key}={_word(value)}" for key, value in chosen.items()]
            found.append(Cell(row, seed, resolve(recipe, parser, [*told, *words])[0]))
    return found


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def find(cell: Cell, trained: Iterable[Trained], protocols: set[str]) -> Trained | None:
    """The training that a cell asks for, scored by all of `protocols`; the last where there are several."""
    fitting = [
        one for one in trained if protocols <= one.scores.keys() and not differences(one.config, cell.config)
    ]
    return fitting[-1] if fitting else None


# ---- text -----------------------------------------------------------------------------------------------


def rows_of_text(table: Table, found: dict[tuple[str, int], Trained]) -> list[list[str]]:
    """A table as rows of text, the heading first: ours with the published row below, floors, other published rows.

    Ours are `mean ± standard deviation` over the trainings of a row, which differ in nothing but their seed, and in
    brackets the mean deviation over repeats of the scoring of one trained model.

    Args:
        table: what is declared.
        found: the trainings by the title of their row and their seed.

    Raises:
        ValueError: trainings on data that differ would stand in one row.
    """
    ours = {row.title: [one for (title, _), one in found.items() if title == row.title] for row in table.rows}
    for title, trained in ours.items():
        if len({one.fingerprint for one in trained}) > 1:
            places = " and ".join(sorted({f"{one.fingerprint} ({one.source})" for one in trained}))
            raise ValueError(
                f"table: the trainings of {title!r} saw different data: {places}; train it anew on one"
            )
    published = _published(table)
    rows: list[list[str]] = []
    for row in table.rows:
        for codes, called in table.codes.items():
            title = f"**{row.title}**" + (f", from {called}" if called else "")
            rows.append(_our_row(title, table, ours[row.title], codes))
        for name in row.published:
            if name in published:
                rows.append(_published_row(name, published.pop(name), table))
    rows += _floor_rows(table, ours)
    for name, scores in published.items():
        if name in table.published or name.partition(": ")[0] in table.published:
            rows.append(_published_row(name, scores, table))
    rows = [row for row in rows if any(row[2:]) or row[1]]
    return _without_empty_columns([["", "seeds", *(column.heading for column in table.columns)], *rows])


def _our_row(title: str, table: Table, trained: list[Trained], codes: str) -> list[str]:
    cells = [title, str(len(trained))]
    for column in table.columns:
        figures = [figure_at(one.scores, column.score, codes) for one in trained]
        known = [figure for figure in figures if figure]
        spreads = [figure.std for figure in known if figure.std is not None]
        cells.append(
            show(column, [figure.mean for figure in known], statistics.fmean(spreads) if spreads else None)
        )
    return cells


def _floor_rows(table: Table, ours: dict[str, list[Trained]]) -> list[list[str]]:
    """The floor of each column, and rows of named floors; once for each form of the data, as they depend on it alone."""
    forms = by_form(ours)
    blocks: dict[tuple[str, Cells], list[str]] = {}  # a data set and its floors to the rows they belong to
    for (data, _), titles in forms.items():
        floors = _floors(table, [one for title in titles for one in ours[title]])
        blocks.setdefault((data, floors), []).extend(titles)
    alike = [data for data, _ in blocks]
    rows = []
    for (data, floors), titles in blocks.items():
        of = f" of {', '.join(titles)}" if alike.count(data) > 1 else f", {data}" if len(blocks) > 1 else ""
        rows += [[f"floor{of}{name}", "", *cells] for name, *cells in floors]
    return rows


def _floors(table: Table, trained: list[Trained]) -> Cells:
    """The plain floor of each column, then those with a name, which comes first in each row."""
    named: dict[str, dict[str, str]] = {}
    plain = []
    for column in table.columns:
        figures = [figure_at(one.scores, column.score, next(iter(table.codes))) for one in trained]
        known = [figure.floor for figure in figures if figure and figure.floor is not None]
        plain.append(show(column, known[:1]))
        for name, value in _named_floors(column, trained).items():
            named.setdefault(name, {})[column.name] = show(column, [value])
    of_name = (
        (f": {name.replace('_', ' ')}", *(cells.get(column.name, "") for column in table.columns))
        for name, cells in named.items()
    )
    return (("", *plain), *of_name)


def _named_floors(column: Column, trained: list[Trained]) -> dict[str, float]:
    """The named floors of a column, of the first training that has any."""
    for one in trained:
        paths = column.floors
        if isinstance(paths, str):
            names: Any = one.scores
            for part in paths.partition("/{floor}")[0].split("/"):
                names = names.get(part, {})
            paths = {name: paths.replace("{floor}", name) for name in names}
        figures = {name: figure_at(one.scores, path) for name, path in paths.items()}
        known = {name: figure.mean for name, figure in figures.items() if figure}
        if known:
            return known
    return {}


def _published(table: Table) -> dict[str, dict[str, Published]]:
    """`data: method` to its scores by their names, for all data sets that the table names."""
    named = [*table.published, *(name for row in table.rows for name in row.published)]
    found: dict[str, dict[str, Published]] = {}
    for data in dict.fromkeys(name.partition(": ")[0] for name in named):
        for one in read_published(data):
            found.setdefault(f"{data}: {one.method}", {})[one.score] = one
    return found


def _published_row(name: str, scores: dict[str, Published], table: Table) -> list[str]:
    data, _, method = name.partition(": ")
    cells = []
    for column in table.columns:
        one = scores.get(column.name)
        text = show(column, [one.value] if one else [])
        if one and one.spread is not None:
            text += f" ± {show(column, [one.spread])}"
        cells.append(text)
    return [f"{method}, published ({data})", "", *cells]


def _without_empty_columns(rows: list[list[str]]) -> list[list[str]]:
    kept = [place for place in range(len(rows[0])) if place < 2 or any(row[place] for row in rows[1:])]
    return [[row[place] for place in kept] for row in rows]
