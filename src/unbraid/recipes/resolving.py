"""From a recipe to every setting of a run: defaults filled in, values checked.

Training and the readers of data are imported where they are needed, so that recipes are listed at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from unbraid.data.load import PATHS, absolute, own_kind, own_loader
from unbraid.parameters import Parameter, parameters
from unbraid.recipes.reading import PARTS, Recipe, list_recipes, read_recipe
from unbraid.registry import DATASETS, dataset_loader, model_class
from unbraid.values import read_value, value_type
from unbraid.words import nearest

__all__ = ["own_recipe", "recipe_for", "recipe_settings", "resolve_recipe", "side_by_side"]

NOTHING: Mapping[str, Any] = MappingProxyType({})
ALIKE = {"": ("puppets",), "sound": ("voices", "fsdd"), "series": ("machines", "air_quality")}
"""Kind of your own data to data sets of that kind, whose recipes methods start from that have none for your own data."""

OWN_STEPS = 2000  # of a training that starts from such a recipe

SCALING = Parameter(
    "data.scaling",
    dict[str, list[float]] | None,
    None,
    "mean and std of each feature, as those of a trained model; None to learn them from the training sequences",
)


def resolve_recipe(recipe: Recipe | str | Path, changes: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
    """Every setting of a run: the recipe's, changed as asked, with the defaults of all others.

    Examples:
        >>> resolve_recipe("sprites/dbse", {"training.seed": 1})["training"]["seed"]
        1

    Args:
        recipe: a recipe, its name, or the path of your own file.
        changes: values by dotted name: `{"model.width": 64, "training.weights.kl_static": 0.3}`; text is read as on
            the command line. `data.name` names the data (a data set, or the path of your own).

    Returns:
        The run's `recipe` (its name), and its `data`, `model` and `training`: mappings of settings that YAML and JSON
        can hold. `data` and `model` have a `name` as well.

    Raises:
        ValueError: a setting that does not exist (the nearest is named), or a value that does not fit it.
        FileNotFoundError: there is no data set, folder or file of the data's name.
    """
    from unbraid.training import TrainingConfig

    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    changes = dict(changes)
    if "data.name" in changes:
        recipe = replace(recipe, data=recipe.data | {"name": str(changes.pop("data.name"))})
    settings = recipe_settings(recipe)
    config: dict[str, Any] = {"recipe": recipe.name}
    for part in PARTS:
        config[part] = {"name": getattr(recipe, part)["name"]} if part != "training" else {}
    for dotted, parameter in settings.items():
        part, _, name = dotted.partition(".")
        config[part][name] = _plain(parameter.default)
    own = {f"{part}.{name}": value for part in PARTS for name, value in getattr(recipe, part).items()}
    own = {dotted: value for dotted, value in own.items() if dotted not in ("data.name", "model.name")}
    try:
        _change(config, own, settings)
    except ValueError as error:
        raise ValueError(f"recipe {recipe.name}: {error}") from None
    _change(config, changes, settings)
    if config["data"]["scaling"] is None:  # the usual case, which results of older versions do not name
        del config["data"]["scaling"]
    TrainingConfig(**config["training"])  # refuses numbers out of range
    for name in (*PATHS, *(() if config["data"]["name"] in DATASETS else ("name",))):
        if config["data"].get(name) is not None:
            config["data"][name] = absolute(config["data"][name])
    return config


def side_by_side(config: dict[str, Any], encoders: int) -> dict[str, Any]:
    """The settings of a run that trains several models of its method, for their codes; see `unbraid.models.side_by_side`."""
    method = config["model"]["name"]
    defaults = parameters(model_class(method))
    settings = {
        name: value
        for name, value in config["model"].items()
        if name in defaults and value != _plain(defaults[name].default)
    }
    model = {"name": "side_by_side", "method": method, "encoders": encoders, "settings": settings}
    return config | {"model": model}


def own_recipe(path: str | Path, model: str | None = None) -> Recipe:
    """What a method starts from on your own data at a path; see `recipe_for`.

    Args:
        path: of the data.
        model: name of the method; None for the default one.

    Raises:
        ValueError: there is no such method, or the file is none that can be read.
    """
    recipe = recipe_for(own_kind(path), model)
    return replace(recipe, data={"name": str(path)} | recipe.data)


def recipe_for(kind: Literal["", "series", "sound"], model: str | None = None) -> Recipe:
    """What a method starts from on your own data of a kind.

    That is the recipe `own/<model>`, or `own/<model>-series` for tables and windows and `own/<model>-sound` for sounds. Where
    there is none, the settings of the method's recipe for the built-in or published data of that kind, trained for 2,000
    steps; or the method's defaults.

    Args:
        kind: of the data; "" for videos and images.
        model: name of the method; None for `braid` on series and sounds, and `dbse` on videos and images.

    Raises:
        ValueError: there is no such method.
    """
    name = model or ("braid" if kind else "dbse")
    own = f"own/{name}-{kind}" if kind else f"own/{name}"
    if own in list_recipes():
        return read_recipe(own)
    model_class(name)  # refuses a method that does not exist
    found = next((f"{data}/{name}" for data in ALIKE[kind] if f"{data}/{name}" in list_recipes()), None)
    about = f"{name} on your own data: the settings of {found}." if found else f"{name} with its defaults."
    recipe = read_recipe(found) if found else Recipe(name, about, {}, {"name": name}, {})
    training = {name: value for name, value in recipe.training.items() if name != "max_epochs"}
    return replace(recipe, about=about, data={}, training=training | {"steps": OWN_STEPS})


def recipe_settings(recipe: Recipe) -> dict[str, Parameter]:
    """The settings that a recipe's run has, by dotted name: `data.size`, `model.width`, `training.seed`, ...

    They are the parameters of the data set's loader, of the model's constructor and of `TrainingConfig`.

    Raises:
        ValueError: the recipe names a data set or a model that does not exist, or no data.
        FileNotFoundError: there is nothing at the path of the recipe's data.
    """
    from unbraid.training import TrainingConfig

    loader, left_out = _loader(recipe)
    model = model_class(recipe.model["name"])
    settings: dict[str, Parameter] = {}
    for part, function, others in (
        ("data", loader, left_out),
        ("model", model, ("observation",)),
        ("training", TrainingConfig, ()),
    ):
        own = {name: parameter for name, parameter in parameters(function).items() if name not in others}
        settings |= {f"{part}.{name}": parameter for name, parameter in own.items()}
        if part == "data":
            settings["data.scaling"] = SCALING
    return settings


def _loader(recipe: Recipe) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """The function that loads the recipe's data, and its parameters that are no settings."""
    name = recipe.data.get("name")
    if name is None:
        raise ValueError(
            f"recipe {recipe.name}: is for your own data; pass --data PATH (in Python: data.name)"
        )
    if name in DATASETS:
        return dataset_loader(name), ()
    if not Path(name).expanduser().exists():
        raise FileNotFoundError(f"data: there is no folder or file {name}, and no data set of that name")
    loader = own_loader(name)
    path = next(iter(parameters(loader)))
    return loader, (path, "name", "scaling")


def _change(config: dict[str, Any], changes: Mapping[str, Any], settings: Mapping[str, Parameter]) -> None:
    """Put values into a configuration, by dotted name; `training.weights.kl_static` sets one value of a mapping.

    A budget in epochs replaces one in steps.
    """
    if "training.max_epochs" in changes and "training.steps" not in changes:
        config["training"]["steps"] = None
    for dotted, value in changes.items():
        part, _, name = dotted.partition(".")
        outer, _, key = name.partition(".")
        mapping = settings.get(f"{part}.{outer}")
        if dotted in settings:
            config[part][name] = _plain(read_value(value, settings[dotted].annotation, dotted))
        elif key and mapping is not None and (annotation := value_type(mapping.annotation)) is not None:
            config[part][outer] = (config[part][outer] or {}) | {key: read_value(value, annotation, dotted)}
        else:
            raise ValueError(f"there is no setting {dotted}{nearest(dotted, _beside(part, settings))}")


def _beside(part: str, settings: Mapping[str, Parameter]) -> list[str]:
    """The settings of one part, or of all when there is no such part."""
    return [dotted for dotted in settings if dotted.startswith(f"{part}.")] or list(settings)


def _plain(value: Any) -> Any:
    """The same value in what YAML and JSON can hold."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
