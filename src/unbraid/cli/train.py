"""`unbraid train RECIPE`, or `unbraid train --data PATH`: train, score, picture, report."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid.cli.common import load_data, next_folder
from unbraid.cli.evaluate import finish

if TYPE_CHECKING:
    from unbraid.settings import Recipe

__all__ = ["main", "train"]

USAGE = """usage: unbraid train RECIPE [--run FOLDER] [--data.* ...] [--model.* ...] [--training.* ...]
       unbraid train --data PATH [--model NAME] [--run FOLDER] [...]

Train a model, score it, draw its pictures and write a report.

RECIPE is one of these, or a YAML file of your own:
{recipes}
PATH is a folder of videos, of folders of images or of sounds, a NumPy file, or a table of series (CSV, Parquet).

`unbraid train RECIPE --help` and `unbraid train --data PATH --help` list every setting.
"""


def main(arguments: list[str]) -> int:
    """Run the command."""
    from unbraid.settings import list_recipes, recipe_parser, resolve

    if arguments in ([], ["-h"], ["--help"]):
        names = [name for name in list_recipes() if not name.startswith("own/")]
        print(USAGE.format(recipes="".join(f"  {name}\n" for name in names)))
        return 0
    recipe, words, rest = _recipe(arguments)
    parser = recipe_parser(recipe, f"train {words}")
    parser.add_argument(
        "--run", type=str | None, help="folder of the run; by default the next free one in runs/"
    )
    parser.add_argument("--evaluate", type=bool, default=True, help="score the model after training")
    config, options = resolve(recipe, parser, rest)
    return train(config, None if options.run is None else Path(options.run), options.evaluate)


def _recipe(arguments: list[str]) -> "tuple[Recipe, str, list[str]]":
    """The recipe that the command names, the words that named it, and the other arguments."""
    from unbraid.data.load import TABLE_ENDINGS
    from unbraid.settings import list_recipes, read_recipe

    if not arguments[0].startswith("-"):
        return read_recipe(arguments[0]), arguments[0], arguments[1:]
    path, rest = _take("--data", arguments)
    if path is None:
        raise ValueError(f"train: name a recipe ({', '.join(list_recipes())}) first, or pass --data PATH")
    model, rest = _take("--model", rest)
    kind = "-series" if Path(path).suffix.lower() in TABLE_ENDINGS else ""
    recipe = read_recipe(f"own/{model or 'dbse'}{kind}")
    return replace(recipe, data={"name": path} | recipe.data), f"--data {path}", rest


def _take(option: str, arguments: list[str]) -> tuple[str | None, list[str]]:
    """The value of an option, and the arguments without it."""
    for place, word in enumerate(arguments):
        if word.startswith(f"{option}="):
            return word.partition("=")[2], arguments[:place] + arguments[place + 1 :]
        if word == option:
            if place + 1 == len(arguments):
                raise ValueError(f"{option}: needs a value")
            return arguments[place + 1], arguments[:place] + arguments[place + 2 :]
    return None, arguments


def train(config: dict[str, Any], run: Path | None = None, evaluate: bool = True) -> int:
    """Train as configured and, unless told otherwise, score the result; returns the exit code."""
    from unbraid.training import TrainingConfig, fit

    model = dict(config["model"])
    name = model.pop("name")
    folder = run or next_folder(f"{Path(config['data']['name']).stem}-{name}")
    if folder.exists():
        raise FileExistsError(
            f"run: {folder} exists and is not overwritten; choose another with --run, "
            f"or go on with it: unbraid resume {folder}"
        )
    data = load_data(config)
    fit(
        data,
        name,
        folder=folder,
        settings=model,
        training=TrainingConfig(**config["training"]),
        config=config,
    )
    return finish(folder, data) if evaluate else 0
