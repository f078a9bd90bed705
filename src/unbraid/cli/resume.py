"""`unbraid resume RUN`: go on with a training that was stopped, then score it."""

from pathlib import Path

from unbraid.cli.parser import call

__all__ = ["main", "resume"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(resume, "resume", arguments)


def resume(run: Path, evaluate: bool = True) -> int:
    """Go on with a training that was stopped, from its last whole checkpoint, then score it.

    Args:
        run: folder of the run.
        evaluate: score the model after training.
    """
    from unbraid import workflow
    from unbraid.cli.show import score_and_show
    from unbraid.training.run_folder import is_finished

    if is_finished(run):
        print(f"{run} is trained to its end already.")
        if not evaluate:
            return 0
    trained, data = workflow.resume(run)
    return score_and_show(trained, data) if evaluate else 0
