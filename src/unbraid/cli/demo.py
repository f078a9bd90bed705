"""`unbraid demo`: train, score and picture a small model on the built-in puppets."""

from pathlib import Path

from unbraid.cli.common import call

__all__ = ["demo", "main"]

RECIPE = "puppets/dbse"


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(demo, "demo", arguments)


def demo(run: Path = Path("runs/demo")) -> int:
    """Train a small model on the built-in puppets, score it, and draw its pictures: about five minutes.

    Called again, it shows what the first call made; a demo that was stopped goes on.

    Args:
        run: folder of the run.
    """
    from unbraid.cli.evaluate import show_run
    from unbraid.cli.resume import resume
    from unbraid.cli.train import train
    from unbraid.settings import read_recipe, recipe_parser, resolve

    if (run / "report.html").is_file():
        print(f"The demo was made already; delete {run} to make it again.")
        return show_run(run)
    if (run / "config.yaml").is_file():
        print(f"Going on with the demo in {run}.")
        return resume(run)
    recipe = read_recipe(RECIPE)
    config, _ = resolve(recipe, recipe_parser(recipe, "demo"), [])
    return train(config, run)
