"""The settings of a recipe, until `unbraid.recipes.resolve_recipe` takes this file's place."""

import json
from collections.abc import Mapping
from typing import Any

from unbraid.settings import read_recipe, recipe_parser, resolve


def resolve_recipe(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a recipe, with some of them changed, by their names: `{"model.width": 64}`."""
    recipe = read_recipe(name)
    words = [
        f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in changes.items()
    ]
    return resolve(recipe, recipe_parser(recipe, "table"), words)[0]
