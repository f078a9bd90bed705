"""`unbraid train RECIPE`, or `unbraid train --data PATH`: train, score, report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid.cli.parser import asks_for_help, help_text, read_words, take_option

if TYPE_CHECKING:
    from unbraid.parameters import Parameter
    from unbraid.recipes import Recipe

__all__ = ["main", "train"]

USAGE = """usage: unbraid train RECIPE [--run FOLDER] [--data.* ...] [--model.* ...] [--training.* ...]
       unbraid train --data PATH [--model NAME] [--run FOLDER] [...]
       unbraid train --from RUN [--data PATH] [--scaling keep|learn] [--run FOLDER] [...]

Train a model, score it, draw its pictures and write a report.

RECIPE is one of these, or a YAML file of your own:
{recipes}
PATH is a folder of videos, of folders of images or of sounds, a NumPy file, or a table of series (CSV, Parquet).
--from starts from the weights and settings of a trained model: a run's folder, or a name as puppets/dbse. Its scaling
of features is kept, or learned anew.

`unbraid train RECIPE --help` and `unbraid train --data PATH --help` list every setting.
"""


def main(arguments: list[str]) -> int:
    """Run the command."""
    from unbraid.cli.launch import launch, needs_launch
    from unbraid.parameters import parameters
    from unbraid.recipes import list_recipes, recipe_settings, resolve_recipe

    if arguments in ([], ["-h"], ["--help"]):
        names = [name for name in list_recipes() if not name.startswith("own/")]
        print(USAGE.format(recipes="".join(f"  {name}\n" for name in names)))
        return 0
    recipe, written, rest = _recipe(arguments)
    own = {name: option for name, option in parameters(train).items() if name != "config"}
    options = own | recipe_settings(recipe)
    command = f"train {written}"
    if asks_for_help(rest):
        print(help_text(command, recipe.about, _with_values(options, resolve_recipe(recipe))))
        return 0
    values = read_words(command, rest, options)
    own_values = {name: values.pop(name) for name in own if name in values}
    config = resolve_recipe(recipe, values)
    if needs_launch(devices := config["training"]["devices"]):
        from unbraid.machine import choose_device

        return launch(["train", *arguments], devices, choose_device(config["training"]["device"]))
    return train(config, **own_values)


def _with_values(options: "dict[str, Parameter]", config: dict[str, Any]) -> "dict[str, Parameter]":
    """The options with the recipe's values as their defaults."""
    from unbraid.recipes.reading import PARTS

    values = {f"{part}.{name}": value for part in PARTS for name, value in config[part].items()}
    return {
        name: replace(option, default=values.get(name, option.default)) for name, option in options.items()
    }


def _recipe(arguments: list[str]) -> "tuple[Recipe, str, list[str]]":
    """The recipe that the command names, the words that name it, and the other words."""
    from unbraid.recipes import list_recipes, own_recipe, read_recipe, recipe_from_run

    start, rest = take_option("--from", arguments)
    if start is not None:
        path, rest = take_option("--data", rest)
        scaling, rest = take_option("--scaling", rest)
        written = f"--from {start}" + (f" --data {path}" if path else "")
        return recipe_from_run(start, path, scaling or "keep"), written, rest  # type: ignore[arg-type]
    if not arguments[0].startswith("-"):
        return read_recipe(arguments[0]), arguments[0], arguments[1:]
    path, rest = take_option("--data", arguments)
    if path is None:
        raise ValueError(f"train: name a recipe first ({', '.join(list_recipes())}), or pass --data PATH")
    model, rest = take_option("--model", rest)
    return own_recipe(path, model), f"--data {path}", rest


def train(
    config: dict[str, Any],
    run: Path | None = None,
    evaluate: bool = True,
    minutes: float | None = None,
    seeds: int = 1,
    loggers: Sequence[str] = (),
) -> int:
    """Train a model, score it, draw its pictures and write a report.

    Several processes (`--training.devices 2`, or the command under `torchrun`) train as one; the first writes and scores.

    Args:
        config: every setting of the run.
        run: folder of the run; by default the next free one in runs/.
        evaluate: score the model after training.
        minutes: of training, about: a few steps are timed first, which fixes the number of steps.
        seeds: number of models, trained from different weights, whose codes stand side by side; such a run encodes only.
        loggers: of Lightning that get the metrics as well: tensorboard, wandb, mlflow or another.

    Returns:
        The exit code.

    Raises:
        ValueError: minutes for several processes, whose steps cannot be timed before they train.
    """
    from unbraid import workflow
    from unbraid.cli.show import score_and_show
    from unbraid.machine import choose_device
    from unbraid.processes import after_first, joined
    from unbraid.recipes.resolving import side_by_side
    from unbraid.training.run import load_run_data

    if seeds != 1:
        config = side_by_side(config, seeds)
    with joined(choose_device(config["training"]["device"])) as process:
        folder = workflow.run_folder(config, run)
        data = after_first(lambda: load_run_data(config))
        if minutes is not None:
            from unbraid.benchmark.duration import steps_within

            if process.count > 1:
                raise ValueError(
                    "minutes: several processes train; give --training.steps or --training.max_minutes"
                )
            steps = steps_within(minutes, config, data)
            print(f"About {minutes:g} minutes are {steps:,} steps here.", flush=True)
            config["training"]["steps"] = steps
        trained = workflow.train(config, folder, data, loggers)
    if not process.is_first:
        return 0
    for sentence in workflow.advice_on(trained, data):
        print(f"Note: {sentence}")
    return score_and_show(trained, data) if evaluate else 0
