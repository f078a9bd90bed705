"""Recipes, and how they and the words of a command line become the settings of a run.

A recipe is a short YAML file, `recipes/<data>/<model>.yaml`, with what differs from the defaults:

    # What it is, and where its numbers come from.
    extends: sprites/dbse            # optional: another recipe to start from
    data: {name: sprites, size: 64}
    model: {name: dbse, static_size: 256}
    training: {max_epochs: 12, weights: {reconstruction: 1, kl_static: 0.6}}
"""

import argparse
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from unbraid.data.load import own_loader
from unbraid.registry import DATASETS, dataset_loader, model_class
from unbraid.words import nearest

__all__ = ["RECIPES", "Recipe", "list_recipes", "parse", "read_recipe", "recipe_parser", "resolve"]

RECIPES = Path(__file__).parent / "recipes"
PARTS = ("data", "model", "training")


@dataclass(frozen=True)
class Recipe:
    """What one recipe says, with what it extends merged in.

    Attributes:
        name: `data/model`, or the path of one's own file.
        about: the comment at the top of the file.
        data: `name` of the data set, or the path of one's own, and its options; a recipe in `own/` has no
            name, it is given on the command line.
        model: `name` of the model and its settings.
        training: fields of `TrainingConfig`.
    """

    name: str
    about: str
    data: dict[str, Any]
    model: dict[str, Any]
    training: dict[str, Any]


def list_recipes() -> list[str]:
    """Names of the recipes that come with unbraid."""
    files = (path.relative_to(RECIPES) for path in RECIPES.glob("*/*.yaml"))
    return sorted(path.with_suffix("").as_posix() for path in files if path.parts[0] != "tables")


def read_recipe(name: str | Path) -> Recipe:
    """Read a recipe by its name (`sprites/dbse`) or from one's own YAML file.

    Raises:
        ValueError: no recipe has that name, or it has a part that recipes do not have.
        FileNotFoundError: there is no such file.
    """
    return _read(str(name), ())


def _read(name: str, seen: tuple[str, ...]) -> Recipe:
    if name in seen:
        raise ValueError(f"recipe {name}: extends itself, by way of {' and '.join(seen)}")
    text = _find(name).read_text()
    try:
        said = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"recipe {name}: is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(said, dict):
        raise ValueError(f"recipe {name}: must be a mapping with the parts {', '.join(PARTS)}")
    for key, value in said.items():
        if key not in (*PARTS, "extends"):
            raise ValueError(f"recipe {name}: has no part {key!r}{nearest(str(key), (*PARTS, 'extends'))}")
        if key != "extends" and not isinstance(value, dict):
            raise ValueError(f"recipe {name}: {key} must be a mapping of settings, not {value!r}")
    about = "\n".join(line[1:].strip() for line in text.splitlines() if line.startswith("#"))
    if "extends" in said:
        base = _read(str(said["extends"]), (*seen, name))
        parts = {part: _merge(getattr(base, part), said.get(part, {})) for part in PARTS}
    else:
        parts = {part: said.get(part, {}) for part in PARTS}
    if "name" not in parts["model"]:
        raise ValueError(f"recipe {name}: model needs a name")
    return Recipe(name, about, **parts)


def _find(name: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise FileNotFoundError(f"recipe: there is no file {name}")
        return path
    if name not in list_recipes():
        if Path(name).exists():
            raise ValueError(f"recipe: {name} is no recipe; to train on data of your own pass --data {name}")
        raise ValueError(f"recipe: no recipe is called {name!r}{nearest(name, list_recipes())}")
    return RECIPES / f"{name}.yaml"


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def recipe_parser(recipe: Recipe, command: str) -> ArgumentParser:
    """A parser of `--data.*`, `--model.*` and `--training.*`, with the recipe's values as defaults.

    The options are the parameters of the data set's loader, of the model's constructor and of
    `TrainingConfig`; the help texts are from their docstrings.

    Raises:
        ValueError: the recipe names a data set, model or setting that does not exist.
    """
    from unbraid.training import TrainingConfig

    parser = ArgumentParser(prog=f"unbraid {command}", description=recipe.about, exit_on_error=False)
    loader, given = _loader(recipe)
    parser.add_function_arguments(loader, "data", as_group=True, skip=given)
    parser.add_class_arguments(model_class(recipe.model["name"]), "model", skip={"observation"})
    parser.add_class_arguments(TrainingConfig, "training")
    options = _options(parser)
    defaults = {
        f"{part}.{key}": value
        for part in PARTS
        for key, value in getattr(recipe, part).items()
        if (part, key) not in (("data", "name"), ("model", "name"))
    }
    for key in defaults:
        if f"--{key}" not in options:
            own = [option[2:] for option in options if option.startswith(f"--{key.split('.')[0]}.")]
            raise ValueError(f"recipe {recipe.name}: there is no setting {key}{nearest(key, own)}")
    try:
        parser.parse_object(_nested(defaults))
    except argparse.ArgumentError as error:
        raise ValueError(f"recipe {recipe.name}: {_in_one_line(str(error), parser)}") from None
    parser.set_defaults(defaults)
    return parser


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`{"model.width": 64}` as `{"model": {"width": 64}}`."""
    nested: dict[str, Any] = {}
    for key, value in settings.items():
        part, _, name = key.partition(".")
        nested.setdefault(part, {})[name] = value
    return nested


def _loader(recipe: Recipe) -> tuple[Any, set[str | int]]:
    """The function that loads the recipe's data, and which of its parameters are no options."""
    name = recipe.data.get("name")
    if name is None:
        raise ValueError(
            f"recipe {recipe.name}: is for data of your own; pass --data PATH instead of its name"
        )
    if name in DATASETS:
        return dataset_loader(name), set()
    if not Path(name).expanduser().exists():
        raise FileNotFoundError(f"data: there is no folder or file {name}, and no data set of that name")
    return own_loader(name), {1, "name", "scaling"}


def resolve(recipe: Recipe, parser: ArgumentParser, arguments: list[str]) -> tuple[dict[str, Any], Namespace]:
    """The configuration of a run (recipe, data, model, training), and the parser's other options.

    Raises:
        ValueError: an option that does not exist (the nearest is named) or a value that does not fit.
    """
    said = parse(parser, arguments, open_options=("--training.weights.",))
    config: dict[str, Any] = {"recipe": recipe.name}
    for part in PARTS:
        name = {"name": getattr(recipe, part)["name"]} if part != "training" else {}
        config[part] = name | _plain(said.pop(part).as_dict())
    own = () if config["data"]["name"] in DATASETS else ("name",)
    for key in ("root", "cache", "labels", "outcomes", *own):  # so that the run can be resumed from anywhere
        if config["data"].get(key) is not None:
            config["data"][key] = str(Path(config["data"][key]).expanduser().resolve())
    return config, said


def _options(parser: ArgumentParser) -> set[str]:
    """The options of a parser; those for whole configuration files are put away, as a recipe is that file."""
    for action in parser._actions:
        if type(action).__name__ == "_ActionConfigLoad" or "--print_shtab" in action.option_strings:
            action.help = argparse.SUPPRESS
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    return {option for action in shown for option in action.option_strings}


def parse(parser: ArgumentParser, arguments: list[str], open_options: Iterable[str] = ()) -> Namespace:
    """Parse arguments; a yes-or-no option may stand alone (`--force`, `--no-force`), `-` may be said for `_`.

    Args:
        parser: what is allowed.
        arguments: the words of a command line.
        open_options: prefixes under which any name is allowed.

    Raises:
        ValueError: an unknown option, with the nearest one, or a value that does not fit, with what would.
    """
    options = _options(parser)
    underscored = {option.replace("_", "-"): option for option in options if option.startswith("--")}
    arguments = [
        underscored.get(name, name) + is_ + value
        for name, is_, value in (word.partition("=") for word in arguments)
    ]
    arguments = _spell_out(
        arguments, {f"--{action.dest}" for action in parser._actions if _takes(action, bool)}
    )
    for word in arguments:
        option = word.partition("=")[0]
        if word.startswith("--") and option not in options and not option.startswith(tuple(open_options)):
            raise ValueError(f"{option}: there is no such option{_nearest_option(option, options)}")
    try:
        return parser.parse_args(arguments)
    except argparse.ArgumentError as error:
        raise ValueError(_in_one_line(str(error), parser)) from None


def _takes(action: argparse.Action, kind: type) -> bool:
    return getattr(action, "_typehint", None) is kind


def _spell_out(arguments: list[str], switches: set[str]) -> list[str]:
    """`--force` becomes `--force=true` and `--no-force` `--force=false`, where no value follows."""
    words = []
    for place, word in enumerate(arguments):
        following = arguments[place + 1] if place + 1 < len(arguments) else ""
        if word in switches and following.lower() not in ("true", "false"):
            word = f"{word}=true"
        elif word.startswith("--no-") and f"--{word[5:]}" in switches:
            word = f"--{word[5:]}=false"
        words.append(word)
    return words


def _nearest_option(option: str, options: set[str]) -> str:
    close = nearest(option, options)
    return close if "did you mean" in close else "; --help lists them"


def _in_one_line(message: str, parser: ArgumentParser) -> str:
    key = re.search(r'Parser key "([^"]+)"', message)
    value = re.search(r"(?:Got value|Given value): (.*)", message)
    if key is None or value is None:
        return " ".join(message.split())
    action = next((action for action in parser._actions if action.dest == key[1]), None)
    kind = getattr(action, "_typehint", None)
    shown = kind.__name__ if isinstance(kind, type) else re.sub(r"\b(typing|pathlib)\.", "", str(kind))
    return f"{key[1]}: {value[1]!r} does not fit; it takes {shown}"


def _plain(value: Any) -> Any:
    """The same settings in what YAML and JSON can hold."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
