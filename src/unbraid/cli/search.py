"""`unbraid search RECIPE`: try settings of a recipe and keep those with the best validation score."""

from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from unbraid.cli.parser import call, take_settings

__all__ = ["main", "search"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    settings, rest = take_settings(arguments)
    return call(search, "search", rest, {"changes": settings})


def search(
    recipe: str,
    changes: Mapping[str, str],
    space: str = "dbse",
    score: str | None = None,
    trials: int = 20,
    storage: str = "study.db",
    prune: str | None = None,
    seed: int = 0,
    runs: Path | None = None,
    results: Path = Path("results"),
    accept_weak_judge: bool = False,
    clips: int | None = None,
) -> int:
    """Try settings of a recipe, drawn by Optuna from a space, and keep those with the best validation score.

    Give the same command in several terminals, or on several machines with one database, and the workers share the trials. A
    search that was stopped goes on when the command is given again. Every trial is a run in RUNS and a row of
    RESULTS/trials.csv; RUNS/best.yaml is the best trial as a recipe, RUNS/study.png the picture.

    `--data.size 16`, `--training.steps 500` and the like hold for every trial.

    Args:
        recipe: name of the recipe, or a YAML file of your own.
        changes: settings that hold for every trial, as text.
        space: name of a space (dbse, dbse-series), or a YAML file of your own.
        score: what is maximised, on the validation split: a column of the tables (accuracy), a path
            (leakage/latent_gap/static/static) or a term (terms/reconstruction); a minus before it where less is better. By
            default accuracy for published and built-in frames, and eer_gap for speech; else it has to be given.
        trials: that the study is to have, those of all workers together.
        storage: a file, or the address of a database, that holds the study.
        prune: a term of the objective: a trial whose validation is worse in it than the median of the others ends early.
        seed: of the draws.
        runs: folder of the runs; by default that of the study, or of a new one runs/search-STORAGE.
        results: folder of trials.csv.
        accept_weak_judge: score although a judge is below 99% on some label of real clips.
        clips: the most clips of validation that are scored.
    """
    from unbraid.data.checks import check_whole
    from unbraid.recipes import read_recipe, resolve_recipe
    from unbraid.registry import protocol
    from unbraid.search.score import check_terms, default_score, read_score
    from unbraid.search.space import check_space, first_values, read_space
    from unbraid.search.study import kept_folder, open_study
    from unbraid.search.worker import Worker, best_trial, write_best
    from unbraid.training.run import check_weights, load_run_data

    check_whole("trials", trials, 1)
    read = read_recipe(recipe)
    config = resolve_recipe(read, changes)
    wanted = read_score(score or default_score(config["data"]["name"]))
    ranges = read_space(space)
    check_space(ranges, lambda values: resolve_recipe(read, {**changes, **values}))
    given = {"accept_weak_judge": accept_weak_judge or None, "clips": clips}
    taken = protocol(wanted.protocol).options if wanted.protocol else {}
    options = {name: value for name, value in given.items() if value is not None and name in taken}
    data = load_run_data(config)
    terms = check_weights(resolve_recipe(read, {**changes, **first_values(ranges)}), data)
    if not config["training"]["track_information"]:  # which adds further columns to the validation
        check_terms({"score": wanted.term, "prune": prune}, terms)
    folder = runs or kept_folder(storage) or Path("runs") / f"search-{Path(storage.rpartition('/')[2]).stem}"
    study = open_study(storage, folder, config, ranges, wanted, prune, seed)
    worker = Worker(study, read, changes, data, ranges, wanted, prune, results / "trials.csv", options, _tell)
    try:
        worker.work(trials)
    finally:
        written = write_best(worker)
    best = best_trial(study)
    if written is None or best is None:
        print("No trial has a score.")
        return 1
    of_recipe = study.recipe_score
    beside = "" if of_recipe is None else f"; the recipe: {wanted.show(of_recipe)}"
    print(
        f"Best: {wanted.show(best.value)} by trial {best.number}, {study.folder / f'trial-{best.number:04d}'}{beside}"
    )
    if of_recipe is not None and of_recipe >= best.value:
        print(f"No trial is better than the recipe; the picture: {written[1]}")
    else:
        print(f"Train it again: unbraid train {quote(str(written[0]))}; the picture: {written[1]}")
    return 0


def _tell(line: str) -> None:
    print(line, flush=True)
