"""`unbraid resume RUN`: go on with a training that was stopped, then score it."""

from pathlib import Path

from unbraid.cli.common import call, load_data
from unbraid.cli.evaluate import finish

__all__ = ["main", "resume"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(resume, "resume", arguments)


def resume(run: Path, evaluate: bool = True) -> int:
    """Go on with a training that was stopped, from its last whole checkpoint.

    Args:
        run: folder of the run.
        evaluate: score the model after training.
    """
    from unbraid.training import resume as go_on

    if (run / "model" / "model.json").is_file():
        print(f"{run} is trained to its end already.")
    finished = go_on(run)
    return finish(run, load_data(finished.config)) if evaluate else 0
