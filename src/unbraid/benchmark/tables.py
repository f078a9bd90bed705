"""Tables that are declared: rows of trainings, columns of scores, and the published scores beside them.

A table is a YAML file, one of `recipes/tables` or one's own:

    # What it shows, and where the published numbers come from.
    title: Generation on Sprites
    data: sprites                # optional: stands for {data} below; `--data` chooses another
    published: [sprites, "mug: DBSE"]    # data sets of published.csv, or methods there, shown below our rows
    codes: {static: s, both: s and d}    # optional: every row once for each, scored on these codes
    rows:
      - {title: DBSE, recipe: "{data}/dbse", published: "sprites: DBSE"}
      - {title: DBSE, no subtraction, recipe: "{data}/dbse", set: {model.subtract: false}}
    columns: [accuracy, {mine: {heading: mine ↑, score: generation/swap/motion, percent: true}}]

Columns are those of `recipes/tables/columns.yaml`, or declared in the same way. `{seed}` as a value in `set` is the seed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from unbraid.benchmark.identity import Config, same_training
from unbraid.benchmark.runs import Trained
from unbraid.benchmark.score_columns import SHARED, TABLES, ScoreColumn, read_score_columns
from unbraid.recipes import resolve_recipe
from unbraid.words import nearest

__all__ = [
    "Planned",
    "TableRow",
    "TableSpec",
    "find_trained",
    "list_tables",
    "planned_trainings",
    "read_table_spec",
    "row_settings",
    "with_rows",
]

PARTS = ("title", "data", "published", "codes", "rows", "columns")
PARTS_OF_A_ROW = ("title", "recipe", "set", "published")


@dataclass(frozen=True)
class TableRow:
    """A row of a table: a recipe, perhaps with changed settings.

    Attributes:
        title: stands before its scores.
        recipe: that it is trained by.
        set: settings that differ from the recipe's, by their names on the command line.
        published: `data: method` of the published scores that stand right below it.
    """

    title: str
    recipe: str
    set: dict[str, Any] = field(default_factory=dict)
    published: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableSpec:
    """A table as it is declared.

    Attributes:
        name: of its file.
        about: the comment at the top of the file.
        title: of the table.
        rows: the models.
        columns: the scores.
        published: data sets whose published scores stand below ours, or `data: method` for some of them.
        codes: each row is shown once for each of these: what stands for `{codes}` in the columns, and its name.
        data: what stands for `{data}`; None where the table does not let one choose.
    """

    name: str
    about: str
    title: str
    rows: tuple[TableRow, ...]
    columns: tuple[ScoreColumn, ...]
    published: tuple[str, ...] = ()
    codes: dict[str, str] = field(default_factory=lambda: {"": ""})
    data: str | None = None

    @property
    def protocols(self) -> set[str]:
        """The protocols that the columns are read from."""
        return {column.score.partition("/")[0] for column in self.columns}


@dataclass(frozen=True)
class Planned:
    """One training that a table needs: a row, a seed, and the settings that follow."""

    row: TableRow
    seed: int
    config: Config

    @property
    def key(self) -> tuple[str, int]:
        """The row's title and the seed, which name the training within its table."""
        return self.row.title, self.seed


def list_tables() -> list[str]:
    """Names of the tables that come with unbraid."""
    return sorted(path.stem for path in TABLES.glob("*.yaml") if path.name != SHARED)


def read_table_spec(name: str, data: str | None = None) -> TableSpec:
    """Read a table by its name, or from one's own YAML file.

    Args:
        name: of `list_tables()`, or the path of a file.
        data: stands for `{data}` in the recipes; None for the table's own choice.

    Raises:
        ValueError: there is no such table, it has a part that tables do not have, or its data cannot be chosen.
        FileNotFoundError: there is no such file.
    """
    text = _find(name).read_text(encoding="utf-8")
    try:
        declared = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"table {name}: is not YAML: {' '.join(str(error).split())}") from None
    where = f"table {name}"
    _check_parts(declared, PARTS, ("title", "rows", "columns"), where)
    if data is not None and "data" not in declared:
        raise ValueError(
            f"data: {where} is on data of its own; only tables that say `data:` can be on others"
        )
    chosen = data or declared.get("data", "")
    rows = []
    for parts in declared["rows"]:
        _check_parts(parts, PARTS_OF_A_ROW, ("title", "recipe"), f"{where}: a row")
        published = _fill_in(parts.get("published", ()), chosen)
        recipe = _fill_in(parts["recipe"], chosen)[0]
        rows.append(TableRow(parts["title"], recipe, parts.get("set", {}), published))
    titles = [row.title for row in rows]
    for title in titles:
        if titles.count(title) > 1:
            raise ValueError(f"{where}: two rows are called {title!r}; give each a title of its own")
    return TableSpec(
        Path(name).stem,
        "\n".join(line[1:].strip() for line in text.splitlines() if line.startswith("#")),
        _fill_in(declared["title"], chosen)[0],
        tuple(rows),
        read_score_columns(declared["columns"], where),
        _fill_in(declared.get("published", ()), chosen),
        declared.get("codes", {"": ""}),
        chosen or None,
    )


def _fill_in(texts: str | Sequence[str], data: str) -> tuple[str, ...]:
    """The texts with the name of the data set in place of `{data}`."""
    texts = [texts] if isinstance(texts, str) else texts
    return tuple(dict.fromkeys(text.replace("{data}", data) for text in texts))


def with_rows(table: TableSpec, titles: list[str]) -> TableSpec:
    """The table with only some of its rows.

    Raises:
        ValueError: it has no row of that title.
    """
    all_titles = [row.title for row in table.rows]
    for title in titles:
        if title not in all_titles:
            raise ValueError(f"rows: {table.name} has no row {title!r}{nearest(title, all_titles)}")
    return replace(table, rows=tuple(row for row in table.rows if row.title in titles))


def _find(name: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise FileNotFoundError(f"table: there is no file {name}")
        return Path(name)
    if name not in list_tables():
        raise ValueError(f"table: no table is called {name!r}{nearest(name, list_tables())}")
    return TABLES / f"{name}.yaml"


def _check_parts(declared: Any, allowed: Sequence[str], needed: Sequence[str], where: str) -> None:
    if not isinstance(declared, dict):
        raise ValueError(f"{where}: must be a mapping with the parts {', '.join(allowed)}, not {declared!r}")
    for key in declared:
        if key not in allowed:
            raise ValueError(f"{where}: has no part {key!r}{nearest(str(key), allowed)}")
    for key in needed:
        if key not in declared:
            raise ValueError(f"{where}: needs {key}")


def planned_trainings(
    table: TableSpec, seeds: int, changes: Mapping[str, Any] | None = None
) -> list[Planned]:
    """The trainings that a table needs, for the seeds 0, 1, ...

    Args:
        table: as it is declared.
        seeds: number of trainings of each row.
        changes: settings of every row, by their names: `{"training.device": "cuda"}`.

    Raises:
        ValueError: a recipe or a setting that does not exist.
    """
    if seeds < 1:
        raise ValueError(f"seeds: {seeds}; give at least 1")
    return [
        Planned(row, seed, row_settings(row, seed, changes)) for row in table.rows for seed in range(seeds)
    ]


def row_settings(row: TableRow, seed: int, changes: Mapping[str, Any] | None = None) -> Config:
    """All settings of one training of a row.

    Raises:
        ValueError: a recipe or a setting that does not exist.
    """
    own = {key: seed if value == "{seed}" else value for key, value in row.set.items()}
    return resolve_recipe(row.recipe, own | {"training.seed": seed} | dict(changes or {}))


def find_trained(planned: Planned, trained: Iterable[Trained], protocols: set[str]) -> Trained | None:
    """The training that is planned, scored by all of `protocols`; the last where there are several."""
    matches = [
        run for run in trained if protocols <= run.scores.keys() and same_training(run.config, planned.config)
    ]
    return matches[-1] if matches else None
