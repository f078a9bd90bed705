"""`unbraid data list | info NAME | fetch NAME | prepare NAME`."""

from collections.abc import Callable
from pathlib import Path

from unbraid.cli.parser import call

__all__ = ["fetch", "info", "main"]

USAGE = """usage: unbraid data list
       unbraid data info NAME
       unbraid data fetch NAME [--folder FOLDER]
       unbraid data prepare NAME [--root FOLDER] [--cache FOLDER] [options of the data set]

list      the data sets, one line each
info      what a data set is, its source, its licence and how to get it
fetch     download its files and check their hashes
prepare   write the arrays that training reads to the cache; training does this by itself when needed
          (`unbraid data prepare NAME --help` lists the options)
"""


def main(arguments: list[str]) -> int:
    """Run the command."""
    from unbraid.words import nearest

    actions: dict[str, Callable[..., int]] = {"list": show_list, "info": info, "fetch": fetch}
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    action, rest = arguments[0], arguments[1:]
    if action == "prepare":
        return prepare(rest)
    if action not in actions:
        raise ValueError(f"data: there is no action {action!r}{nearest(action, [*actions, 'prepare'])}")
    return call(actions[action], f"data {action}", rest)


def show_list() -> int:
    """List the data sets."""
    from rich.console import Console
    from rich.table import Table

    from unbraid.data.load import info
    from unbraid.registry import list_datasets

    table = Table("name", "what it is", "licence")
    for name in list_datasets():
        card = info(name)
        table.add_row(name, card.summary, card.licence)
    Console().print(table)
    return 0


def info(name: str) -> int:
    """Print what a data set is, its source, its licence, how to get it, and how we decided what its source leaves open.

    Args:
        name: of the data set.
    """
    from unbraid.data.load import info

    card = info(name)
    for key in ("name", "summary", "source", "licence", "obtain"):
        print(f"{key:<9}{getattr(card, key)}")
    for choice in card.choices:
        print(f"{'choice':<9}{choice}")
    return 0


def fetch(name: str, folder: Path | None = None) -> int:
    """Download the files of a data set and check their hashes.

    Args:
        name: of the data set.
        folder: where to put them; by default the cache, where training looks.
    """
    from unbraid.data.load import fetch

    print(f"{name} is in {fetch(name, folder)}")
    return 0


def prepare(arguments: list[str]) -> int:
    """Write a data set's arrays to the cache; the options are those of its loader."""
    from unbraid.cli.parser import asks_for_help
    from unbraid.registry import dataset_loader

    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if arguments[0].startswith("-"):
        raise ValueError(f"data prepare: name the data set first, before {arguments[0]}")
    name, rest = arguments[0], arguments[1:]
    data = call(dataset_loader(name), f"data prepare {name}", rest)
    if asks_for_help(rest):
        return 0
    splits = ", ".join(f"{split} {len(rows)}" for split, rows in data.splits.items())
    print(f"{name} is ready: {tuple(data.x.shape)} {data.x.dtype}, {splits}; fingerprint {data.fingerprint}")
    return 0
