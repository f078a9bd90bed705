"""`unbraid resume RUN`: go on with a training that was stopped, then score it."""

from collections.abc import Sequence
from pathlib import Path

from unbraid.cli.parser import call

__all__ = ["main", "resume"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(resume, "resume", arguments)


def resume(run: Path, evaluate: bool = True, loggers: Sequence[str] = ()) -> int:
    """Go on with a training that was stopped, from its last whole checkpoint, then score it.

    As many processes go on as it was started with by `--training.devices`; under `torchrun`, as many as that starts.

    Args:
        run: folder of the run.
        evaluate: score the model after training.
        loggers: of Lightning that get the metrics as well: tensorboard, wandb, mlflow or another.
    """
    from unbraid import workflow
    from unbraid.cli.launch import launch, needs_launch
    from unbraid.cli.show import score_and_show
    from unbraid.machine import choose_device
    from unbraid.processes import after_first, joined
    from unbraid.training.run import load_run_data
    from unbraid.training.run_folder import is_finished, read_config, read_training

    config = read_config(run)
    if finished := is_finished(run):
        print(f"{run} is trained to its end already.")
        if not evaluate:
            return 0
    training = read_training(run, config)
    device = choose_device(training.device)
    if not finished and needs_launch(training.devices):
        options = [] if evaluate else ["--no-evaluate"]
        options += [f"--loggers={','.join(loggers)}"] if loggers else []
        return launch(["resume", str(run), *options], training.devices or 1, device)
    with joined(device) as process:
        data = after_first(lambda: load_run_data(config))
        trained, _ = workflow.resume(run, data, loggers)
    return score_and_show(trained, data) if evaluate and process.is_first else 0
