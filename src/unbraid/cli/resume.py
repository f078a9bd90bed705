"""`unbraid resume RUN`: go on with a training that was stopped, then score it."""

from pathlib import Path

from unbraid.cli.common import call, load_data
from unbraid.cli.evaluate import score
from unbraid.cli.train import stopped

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
    from unbraid.training import open_run
    from unbraid.training import resume as go_on

    data = load_data(open_run(run).config)
    try:
        go_on(run, data)
    except KeyboardInterrupt:
        return stopped(run)
    return score(run, data) if evaluate else 0
