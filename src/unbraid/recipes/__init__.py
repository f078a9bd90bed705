"""Recipes: YAML files with the settings of a run, read and completed without the command line."""

from unbraid.recipes.reading import RECIPES, Recipe, list_recipes, read_recipe
from unbraid.recipes.resolving import own_recipe, recipe_settings, resolve_recipe
from unbraid.recipes.starting import recipe_from_run

__all__ = [
    "RECIPES",
    "Recipe",
    "list_recipes",
    "own_recipe",
    "read_recipe",
    "recipe_from_run",
    "recipe_settings",
    "resolve_recipe",
]
