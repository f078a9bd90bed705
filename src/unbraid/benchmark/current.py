"""Which trainings of the ledger the pages show: those whose settings a recipe or a table declares today."""

import functools
import json
from collections.abc import Iterable

from unbraid.benchmark.identity import changed_settings, settings_hash
from unbraid.benchmark.runs import Trained
from unbraid.benchmark.tables import TableRow, list_tables, read_table_spec, row_settings
from unbraid.recipes import list_recipes, read_recipe

__all__ = ["Groups", "current_trainings", "main_recipes"]

Groups = dict[str, list[Trained]]


def current_trainings(trained: Iterable[Trained], data: str) -> Groups:
    """The trainings on one data set that have the settings of a recipe or of a table's row, by title.

    A title is the recipe in bold, followed by what the table's row changes in it. Trainings with other settings stay in
    the ledger alone. Of trainings with one seed the newest counts.

    Raises:
        ValueError: trainings of one title saw different data.
    """
    groups: dict[str, dict[int, Trained]] = {}
    for run in trained:
        if run.data == data:
            title = _titles(data, run.seed).get(settings_hash(run.config))
            if title is not None:
                groups.setdefault(title, {})[run.seed] = run
    for title, seeds in groups.items():
        if len({run.fingerprint for run in seeds.values()}) > 1:
            raise ValueError(
                f"ledger: runs of {title} were trained on different data; their scores do not mix"
            )
    return {title: list(groups[title].values()) for title in sorted(groups)}


def main_recipes(groups: Groups) -> Groups:
    """The groups of a data set's main recipes: those of `fsdd/pooled`, not of `fsdd/pooled-words` or changed settings."""
    return {title: runs for title, runs in groups.items() if "-" not in title and "`" not in title}


@functools.cache
def _titles(data: str, seed: int) -> dict[str, str]:
    """The title of every declared training on a data set, by the hash of its settings; recipes before tables."""
    titles: dict[str, str] = {}
    for row in _declared_rows(data):
        depends_on_seed = "{seed}" in row.set.values()
        settings, title = _declared(row.recipe, json.dumps(row.set), seed if depends_on_seed else 0)
        titles.setdefault(settings, title)
    return titles


@functools.cache
def _declared_rows(data: str) -> tuple[TableRow, ...]:
    """A row for each recipe on a data set, and the rows on it of all tables, those whose data can be chosen included."""
    recipes = [name for name in list_recipes() if read_recipe(name).data.get("name") == data]
    tables = [read_table_spec(name) for name in list_tables()]
    tables = [read_table_spec(table.name, data) if table.data else table for table in tables]
    rows = [row for table in tables for row in table.rows if row.recipe in recipes]
    return (*(TableRow(name, name) for name in recipes), *rows)


@functools.cache
def _declared(recipe: str, changes: str, seed: int) -> tuple[str, str]:
    """The hash and the title of a recipe with changed settings, which are given as JSON."""
    base = row_settings(TableRow(recipe, recipe), seed)
    config = row_settings(TableRow(recipe, recipe, json.loads(changes)), seed)
    changed = changed_settings(config, base)
    changed.pop("model.anchor_seed", None)  # differs between the seeds of one title
    text = " ".join(f"{name}={value}" for name, value in changed.items())
    return settings_hash(config), f"**{recipe}**" + (f" `{text}`" if text else "")
