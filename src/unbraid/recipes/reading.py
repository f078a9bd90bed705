"""Read recipes from YAML.

A recipe is a short file, `recipes/<data>/<model>.yaml`, with the settings that differ from the defaults:

    # What it trains, where its numbers come from, what is smaller than in the paper.
    extends: sprites/dbse            # optional: another recipe to start from
    data: {name: sprites, size: 64}
    model: {name: dbse, static_size: 256}
    training: {max_epochs: 12, weights: {reconstruction: 1, kl_static: 0.6}}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from unbraid.words import nearest

__all__ = ["PARTS", "RECIPES", "Recipe", "list_recipes", "read_recipe"]

RECIPES = Path(__file__).parent
PARTS = ("data", "model", "training")


@dataclass(frozen=True)
class Recipe:
    """What one recipe says, merged with the recipe that it extends.

    Attributes:
        name: `data/model`, or the path of your own file.
        about: the comment in the file.
        data: `name` of the data set, or the path of your own data, and its options. A recipe in `own/` has no name: it
            is for data that you name when you train.
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
    paths = (path.relative_to(RECIPES) for path in RECIPES.glob("*/*.yaml"))
    return sorted(path.with_suffix("").as_posix() for path in paths if path.parts[0] != "tables")


def read_recipe(name: str | Path) -> Recipe:
    """Read a recipe by its name (`sprites/dbse`) or from your own YAML file.

    Raises:
        ValueError: no recipe has that name, or it has a part that recipes do not have.
        FileNotFoundError: there is no such file.
    """
    return _read(str(name), ())


def _read(name: str, extended_by: tuple[str, ...]) -> Recipe:
    if name in extended_by:
        raise ValueError(f"recipe {name}: extends itself, by way of {' and '.join(extended_by)}")
    try:
        text = _path(name).read_text(encoding="utf-8")
    except UnicodeError as error:
        raise ValueError(f"recipe {name}: is not written in UTF-8 ({error})") from None
    parts = _parts(name, text)
    about = "\n".join(line[1:].strip() for line in text.splitlines() if line.startswith("#"))
    base = _read(str(parts["extends"]), (*extended_by, name)) if "extends" in parts else None
    merged = {part: _merge(getattr(base, part, {}), parts.get(part, {})) for part in PARTS}
    if "name" not in merged["model"]:
        raise ValueError(f"recipe {name}: model needs a name")
    return Recipe(name, about, **merged)


def _path(name: str) -> Path:
    """The file of a recipe."""
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise FileNotFoundError(f"recipe: there is no file {name}")
        return path
    if name not in list_recipes():
        if Path(name).exists():
            raise ValueError(f"recipe: {name} is no recipe; to train on your own data pass --data {name}")
        raise ValueError(f"recipe: no recipe is called {name!r}{nearest(name, list_recipes())}")
    return RECIPES / f"{name}.yaml"


def _parts(name: str, text: str) -> dict[str, Any]:
    """The parts of a recipe's file: mappings, and perhaps the recipe that it extends."""
    try:
        parts = yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"recipe {name}: is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(parts, dict):
        raise ValueError(f"recipe {name}: must be a mapping with the parts {', '.join(PARTS)}")
    for part, settings in parts.items():
        if part not in (*PARTS, "extends"):
            raise ValueError(f"recipe {name}: has no part {part!r}{nearest(str(part), (*PARTS, 'extends'))}")
        if part != "extends" and not isinstance(settings, dict):
            raise ValueError(f"recipe {name}: {part} must be a mapping of settings, not {settings!r}")
    return parts


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `base` with those of `changes` put over them, also in mappings within."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
