"""`unbraid evaluate RUN`: score a trained model, draw its pictures, write its report."""

from pathlib import Path

from unbraid.cli.parser import call

__all__ = ["evaluate", "main"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(evaluate, "evaluate", arguments)


def evaluate(
    run: Path,
    protocols: list[str] | None = None,
    repeats: int | None = None,
    split: str = "test",
    seed: int = 0,
    accept_weak_judge: bool = False,
    data: Path | None = None,
) -> int:
    """Score a trained model, draw its pictures, write its report.

    Args:
        run: folder of the run.
        protocols: generation, leakage, downstream, verification, factors, planted or several of them; by default those
            that fit the data and the model.
        repeats: independent repeats of everything that is drawn at random; by default as many as each protocol wants.
        split: the split that is scored: test, or validation to choose settings by, whose scores go to a folder of their own,
            RUN/evaluation/validation.
        seed: of the random draws.
        accept_weak_judge: score although the judge is right on less than 99% of real clips, for some label.
        data: where the run's data are now, if they were moved: the file or folder, or the raw files of a built-in data set.
    """
    from unbraid import workflow
    from unbraid.cli.show import say_protocols, show_errors, show_run
    from unbraid.registry import DATASETS
    from unbraid.training import open_run
    from unbraid.training.run import load_run_data

    opened = open_run(run)
    if opened.folder != run.expanduser():
        raise ValueError(
            f"run: {run} is a pretrained model, in whose folder nothing is written; save it into a folder of yours first, in "
            f'Python: unbraid.from_pretrained("{run.as_posix()}").save_pretrained(FOLDER)'
        )
    settings = dict(opened.config["data"])
    if data is not None:
        settings["root" if settings["name"] in DATASETS else "name"] = data
    try:
        sequences = load_run_data({"data": settings})
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}; if the data were moved, name their place with --data PATH"
        ) from error
    names = tuple(protocols or workflow.protocols_of(opened, sequences))
    options = {"split": split, "seed": seed, "accept_weak_judge": accept_weak_judge}
    say_protocols(opened, sequences, names, split)
    errors = workflow.score(
        opened, sequences, names, options if repeats is None else options | {"repeats": repeats}
    )
    if not names or len(errors) < len(names):
        workflow.report(opened, sequences)
        show_run(run, split)
    if errors:
        first = next(iter(errors))
        show_errors(run, {name: error for name, error in errors.items() if name != first})
        raise errors[first]
    return 0
