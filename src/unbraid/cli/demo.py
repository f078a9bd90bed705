"""`unbraid demo`: train, score and picture a small model on the built-in puppets."""

from pathlib import Path

from unbraid.cli.parser import call

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
    from unbraid import workflow
    from unbraid.cli.show import score_and_show, show_run
    from unbraid.recipes import resolve_recipe
    from unbraid.training.run import load_run_data

    if (run / "report.html").is_file():
        print(f"The demo was made already; delete {run} to make it again.")
        return show_run(run)
    if (run / "config.yaml").is_file():
        print(f"Going on with the demo in {run}.")
        return score_and_show(*workflow.resume(run))
    config = resolve_recipe(RECIPE)
    data = load_run_data(config)
    return score_and_show(workflow.train(config, run, data), data)
