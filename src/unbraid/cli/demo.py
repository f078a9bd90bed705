"""`unbraid demo`: train, score and picture a small model on a built-in data set."""

from pathlib import Path
from typing import Literal

from unbraid.cli.parser import call

__all__ = ["demo", "main"]

RECIPES = {"puppets": "puppets/dbse-sharp", "voices": "voices/braid", "machines": "machines/braid"}
CHANGES = {"voices": {"training.steps": 1200}}  # of the recipes, so that a demo ends within five minutes
REPEATS = {"repeats": 3}  # of draws; `unbraid evaluate` takes five for videos


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(demo, "demo", arguments)


def demo(data: Literal["puppets", "voices", "machines"] = "puppets", run: Path | None = None) -> int:
    """Train a small model on a built-in data set, score it, and draw its pictures: about five minutes.

    Called again, it shows what the first call made; a demo that was stopped goes on.

    Args:
        data: puppets (short films of drawn figures), voices (speech-like sound) or machines (series of four sensors).
        run: folder of the run; by default runs/demo for puppets, else runs/demo-voices or runs/demo-machines.
    """
    from unbraid import workflow
    from unbraid.cli.show import score_and_show, show_run
    from unbraid.recipes import resolve_recipe
    from unbraid.training.run import load_run_data

    run = run or Path("runs") / ("demo" if data == "puppets" else f"demo-{data}")
    if (run / "report.html").is_file():
        print(f"The demo was made already; delete {run} to make it again.")
        return show_run(run)
    if (run / "config.yaml").is_file():
        print(f"Going on with the demo in {run}.")
        return score_and_show(*workflow.resume(run), options=REPEATS)
    config = resolve_recipe(RECIPES[data], CHANGES.get(data, {}))
    sequences = load_run_data(config)
    return score_and_show(workflow.train(config, run, sequences), sequences, options=REPEATS)
