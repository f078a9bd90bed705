"""What the commands share: typed functions as command lines, run folders, tables of scores."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbraid.data.sequences import Sequences

__all__ = ["call", "load_data", "new_file", "next_folder"]


def call(
    function: Callable[..., Any], command: str, arguments: list[str], given: Mapping[str, Any] | None = None
) -> Any:
    """Call a typed function with the words of a command line: required parameters by place.

    Args:
        function: what to call.
        command: its name.
        arguments: the words.
        given: parameters that are no options.

    Raises:
        ValueError: an unknown option, or a value that does not fit.
    """
    from jsonargparse import ArgumentParser

    from unbraid.settings import parse

    parser = ArgumentParser(prog=f"unbraid {command}", description=_first_line(function), exit_on_error=False)
    given = given or {}
    parser.add_function_arguments(function, as_group=False, as_positional=True, skip=set(given))
    return function(**parse(parser, arguments).as_dict(), **given)


def _first_line(function: Callable[..., Any]) -> str:
    return (function.__doc__ or "").strip().partition("\n")[0]


def load_data(config: dict[str, Any]) -> "Sequences":
    """The data set of a run's configuration."""
    from unbraid.data.load import load

    options = dict(config["data"])
    return load(options.pop("name"), **options)


def next_folder(stem: str) -> Path:
    """The first of `runs/<stem>-1`, `runs/<stem>-2`, ... that does not exist."""
    number = 1
    while Path("runs", f"{stem}-{number}").exists():
        number += 1
    return Path("runs", f"{stem}-{number}")


def new_file(path: Path, force: bool) -> Path:
    """Refuse a path that is taken, unless it may be overwritten; make its folder.

    Raises:
        FileExistsError: there is such a file, and `force` is False.
    """
    if path.exists() and not force:
        raise FileExistsError(f"output: {path} exists; give another name, or --force to overwrite it")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
