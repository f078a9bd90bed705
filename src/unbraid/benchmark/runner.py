"""Fill a declared table: find the trainings it needs, train and score those that are missing.

    table = read_table_spec("sprites")
    planned = planned_trainings(table, seeds=3)
    trained, errors = run_table(table, planned, "runs", "results")
    print(markdown(fill_table(table, trained)))

What the ledger or the folder of runs holds is not trained again, so a table that was stopped goes on where it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from unbraid import workflow
from unbraid.benchmark.duration import measured_seconds, recorded_seconds
from unbraid.benchmark.identity import same_training
from unbraid.benchmark.ledger import read_ledger
from unbraid.benchmark.runs import Trained, folder_for, read_runs
from unbraid.benchmark.tables import Planned, TableSpec, find_trained
from unbraid.data.load import info
from unbraid.registry import DATASETS, PROTOCOLS
from unbraid.training import open_run
from unbraid.training.run import load_run_data

__all__ = ["Forecast", "find_all", "forecast", "missing_data", "run_table"]

Key = tuple[str, int]
State = Literal["recorded", "data missing", "to be scored", "to be resumed", "to be trained"]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Forecast:
    """What would be done for one training of a table.

    Attributes:
        planned: the training.
        state: what would be done.
        place: the source of what is recorded, or the run's folder.
        seconds: about how long training would take; 0 where nothing is to be trained.
        basis: where `seconds` comes from.
    """

    planned: Planned
    state: State
    place: str
    seconds: float = 0.0
    basis: str = ""


def run_table(
    table: TableSpec,
    planned: Sequence[Planned],
    runs: str | Path = "runs",
    results: str | Path = "results",
    accept_weak_judge: bool = False,
    tell: Tell = print,
) -> tuple[dict[Key, Trained], list[Exception]]:
    """Train and score what a table lacks.

    Args:
        table: as it is declared.
        planned: the trainings that it needs.
        runs: folder of runs: finished ones are used, new ones go there. One table at a time works in it.
        results: folder of the ledger.
        accept_weak_judge: score although a judge is below 99% on some label of real clips.
        tell: receives one line of text about each step.

    Returns:
        The trainings by title of their row and seed, and the errors of those that failed.

    Raises:
        KeyboardInterrupt: the table was stopped; the same call goes on with it.
    """
    missing = _missing(planned, find_all(table, planned, runs, results))
    absent = missing_data(missing)
    for text in absent.values():
        tell(text)
    to_train = [item for item in missing if item.config["data"]["name"] not in absent]
    errors: list[Exception] = []
    for number, item in enumerate(to_train, 1):
        title, seed = item.key
        tell(f"\n[{number} of {len(to_train)}] {title}, seed {seed}")
        try:
            _train_and_score(item, protocols_for(table, item), Path(runs), accept_weak_judge, tell)
        except (ValueError, OSError) as error:
            tell(f"{title}, seed {seed} failed: {error}")
            errors.append(error)
        except KeyboardInterrupt:
            tell("The table goes on where it stopped when the same command is given again.")
            raise
    return find_all(table, planned, runs, results), errors


def find_all(
    table: TableSpec, planned: Sequence[Planned], runs: str | Path, results: str | Path
) -> dict[Key, Trained]:
    """The trainings that exist, with all scores that the table shows; the ledger counts before the runs."""
    trained = [*read_runs(runs), *read_ledger(Path(results) / "ledger.csv")]
    matches = {item.key: find_trained(item, trained, set(protocols_for(table, item))) for item in planned}
    return {key: run for key, run in matches.items() if run is not None}


def protocols_for(table: TableSpec, planned: Planned) -> tuple[str, ...]:
    """The table's protocols that are for the data set of a training; all of them when none is."""
    asked = tuple(name for name in PROTOCOLS if name in table.protocols)
    data = planned.config["data"]["name"]
    return tuple(name for name in asked if data in DATASETS and name in info(data).protocols) or asked


def missing_data(planned: Sequence[Planned]) -> dict[str, str]:
    """The data sets that are not on this machine: their names, and how to get each."""
    absent: dict[str, str] = {}
    loaded: list[dict[str, Any]] = []
    for item in planned:
        options = item.config["data"]
        if options in loaded:
            continue
        loaded.append(options)
        name = options["name"]
        try:
            load_run_data(item.config)
        except FileNotFoundError as error:
            how = f" To get it: {info(name).obtain}" if name in DATASETS else ""
            absent[name] = f"{name} is not here: {error}.{how}"
    return absent


def forecast(
    table: TableSpec, planned: Sequence[Planned], runs: str | Path, results: str | Path
) -> list[Forecast]:
    """What `run_table` would do, in the same order, and about how long each training would take."""
    trained = [*read_runs(runs), *read_ledger(Path(results) / "ledger.csv")]
    found = find_all(table, planned, runs, results)
    absent = missing_data(_missing(planned, found))
    times: dict[str, tuple[float, str]] = {}  # by title: all trainings of a row take about as long
    forecasts = []
    for item in planned:
        unscored = [run for run in trained if run.folder and same_training(run.config, item.config)]
        if item.key in found:
            forecasts.append(Forecast(item, "recorded", found[item.key].source))
        elif item.config["data"]["name"] in absent:
            forecasts.append(Forecast(item, "data missing", item.config["data"]["name"]))
        elif unscored:
            forecasts.append(Forecast(item, "to be scored", unscored[0].source))
        else:
            title, _ = item.key
            if title not in times:
                times[title] = _training_time(item, trained)
            folder = folder_for(item.config, runs)
            state: State = "to be resumed" if folder.exists() else "to be trained"
            forecasts.append(Forecast(item, state, str(folder), *times[title]))
    return forecasts


def _missing(planned: Sequence[Planned], found: dict[Key, Trained]) -> list[Planned]:
    return [item for item in planned if item.key not in found]


def _training_time(planned: Planned, trained: Sequence[Trained]) -> tuple[float, str]:
    """Seconds that a training takes, and what that is based on."""
    if recorded := recorded_seconds(planned.config, trained):
        seconds, hardware = recorded
        return seconds, f"as on {hardware}"
    seconds = measured_seconds(planned.config, load_run_data(planned.config))
    return seconds, "by a few steps, measured here"


def _train_and_score(
    planned: Planned, protocols: tuple[str, ...], runs: Path, accept_weak_judge: bool, tell: Tell
) -> None:
    """Train, or go on with a training, or only score one that is finished; then write its report."""
    data = load_run_data(planned.config)
    finished = [run for run in read_runs(runs) if same_training(run.config, planned.config)]
    folder = finished[0].folder if finished else folder_for(planned.config, runs)
    assert folder is not None
    if finished:
        protocols = tuple(name for name in protocols if name not in finished[0].scores)
        run = open_run(folder)
    elif folder.exists():
        tell(f"Going on with {folder}.")
        run, _ = workflow.resume(folder, data)
    else:
        run = workflow.train(planned.config, folder, data)
    tell(f"Scoring {', '.join(protocols)}.")
    errors = workflow.score(run, data, protocols, {"accept_weak_judge": accept_weak_judge})
    workflow.report(run, data)
    for protocol, error in errors.items():
        if not isinstance(error, ValueError | OSError):
            raise error
        tell(f"Not scored by {protocol}: {error}")
