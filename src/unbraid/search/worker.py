"""One worker of a search: it takes trials of a study, trains and scores them, until the study has all of them."""

import csv
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from unbraid import workflow
from unbraid.benchmark.trials import add_trial, changes_in_words
from unbraid.data.load import PATHS
from unbraid.data.sequences import Sequences
from unbraid.evaluation.scores import read_scores
from unbraid.files import write_atomically
from unbraid.plots.study import plot_study
from unbraid.recipes import Recipe, resolve_recipe
from unbraid.search.score import SearchScore
from unbraid.search.space import Space
from unbraid.search.study import Claim, Study, values_of
from unbraid.training import Run, open_run, resume
from unbraid.training.callbacks.watching import Ended, Watch
from unbraid.training.environment import read_environment
from unbraid.training.run_folder import is_finished

__all__ = ["Worker", "best_trial", "write_best"]


@dataclass
class Worker:
    """Trains and scores trials.

    Attributes:
        study: that it works on.
        recipe: the recipe, or its name.
        changes: settings that the user changed, by dotted name; they hold for every trial.
        data: the data set.
        space: of the search.
        score: that is maximised.
        prune: the term of validation by which trials are ended early; None for none.
        trials_csv: the file that gets a row for each trial.
        options: of the score's protocol.
        tell: receives one line of text about each trial.
    """

    study: Study
    recipe: Recipe | str
    changes: Mapping[str, Any]
    data: Sequences
    space: Space
    score: SearchScore
    prune: str | None
    trials_csv: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    tell: Callable[[str], None] = print

    def work(self, trials: int) -> None:
        """Take trials until the study has so many, those of other workers included.

        The recipe itself is trained and scored as well, by the first worker that comes to it.

        Raises:
            KeyboardInterrupt: the search was stopped; the same command goes on with it.
        """
        with self.study.claim_recipe() as mine:
            if mine:
                run = self._train(self.study.folder / "recipe", self.changes)
                if self.prune is not None:
                    last_validation(run.folder, self.prune)  # refuses a term that the model does not have
                score = self._score(run)
                self.study.set_recipe_score(score)
                self._record({}, score, "the recipe")
                self.tell(f"the recipe: {self.score.show(score)}")
        while True:
            with self.study.claim(trials) as claim:
                if claim is None:
                    return
                self._try(claim, trials)

    def _try(self, claim: Claim, trials: int) -> None:
        from optuna.trial import TrialState

        trial, study = claim.trial, self.study.optuna
        values, started = self.study.draw(trial, self.space), time.monotonic()
        folder, what = self.study.folder / f"trial-{trial.number:04d}", f"trial {trial.number}"
        if claim.begun:
            self.tell(f"{what}: was left by another worker; going on with {folder}")
        try:
            score = self._score(self._train(folder, {**self.changes, **values}, self._watch(trial)))
        except Ended:
            self._record(values, None, f"{what}, ended early by its {self.prune}")
            study.tell(trial, state=TrialState.PRUNED)
            self._say(what, "ended early", trials, started)
        except (ValueError, OSError) as error:
            self._record(values, None, f"{what}, failed: {' '.join(str(error).split())[:200]}")
            study.tell(trial, state=TrialState.FAIL)
            self._say(what, f"failed: {error}", trials, started)
        else:
            self._record(values, score, what)
            study.tell(trial, score)
            self._say(what, self.score.show(score), trials, started)

    def _train(self, folder: Path, changes: Mapping[str, Any], watch: Watch | None = None) -> Run:
        """Train in a folder, or go on with what is there."""
        callbacks = [watch] if watch else []
        if is_finished(folder):
            return open_run(folder)
        if folder.exists():
            return resume(folder, self.data, callbacks=callbacks, quiet=True)
        config = resolve_recipe(self.recipe, changes)
        return workflow.train(config, folder, self.data, callbacks=callbacks, quiet=True)

    def _watch(self, trial: Any) -> Watch | None:
        """Reports the term of each validation to the study, which may end the trial."""
        if self.prune is None:
            return None

        def look(step: int, means: Mapping[str, float]) -> bool:
            if step not in self.study.optuna.trials[trial.number].intermediate_values:
                trial.report(-means[self.prune or ""], step)
            return trial.should_prune()

        return Watch(look)

    def _score(self, run: Run) -> float:
        if self.score.term is not None:
            return self.score.sign * last_validation(run.folder, self.score.term)
        protocol = str(self.score.protocol)
        errors = workflow.score(run, self.data, [protocol], {"split": "validation", **self.options})
        if errors:
            raise errors[protocol]
        return self.score.of(read_scores(run.folder, "validation"))

    def _record(self, values: Mapping[str, Any], score: float | None, remark: str) -> None:
        """Add a row to trials.csv."""
        config = resolve_recipe(self.recipe, self.changes)
        row = {
            "date": datetime.now(UTC).date().isoformat(),
            "recipe": config["recipe"],
            "changes": changes_in_words({**self.changes, **values}),
            "split": "validation",
            "trainings": "1",
            "figures": "" if score is None else f"{self.score.name}={self.score.sign * score:.6g}",
            "remark": f"search in {self.study.folder.name}, {remark}",
        }
        add_trial(self.trials_csv, row)

    def _say(self, what: str, result: str, trials: int, started: float) -> None:
        every = self.study.optuna.get_trials(deepcopy=False)
        done = [trial for trial in every if trial.state.is_finished()]
        workers = 1 + sum(not trial.state.is_finished() for trial in every)
        seconds = [
            (trial.datetime_complete - trial.datetime_start).total_seconds()
            for trial in done
            if trial.datetime_complete and trial.datetime_start
        ]
        left = (trials - len(done)) * sum(seconds) / max(1, len(seconds)) / workers
        best = best_trial(self.study)
        standing = "" if best is None else f"; best {self.score.show(best.value)} by trial {best.number}"
        recipe = self.study.recipe_score
        standing += "" if recipe is None else f", the recipe {self.score.show(recipe)}"
        took = time.monotonic() - started
        self.tell(
            f"{what}: {result}, {took:.0f} s; {len(done)} of {trials} done{standing}; about {left / 60:.0f} min left"
        )


def last_validation(folder: Path, term: str) -> float:
    """The mean of a term over the validation split after a run's last epoch, or after the one whose weights are kept.

    Raises:
        ValueError: the model has no such term.
    """
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "validation"]
    kept = read_environment(folder).get("kept_step")
    if kept is not None:
        rows = [row for row in rows if int(row["step"]) == kept]
    if not rows or not rows[-1].get(term):
        raise ValueError(f"score: the validation of {folder} has no term {term!r}")
    return float(rows[-1][term])


def best_trial(study: Study) -> Any:
    """The finished trial with the highest score; None before there is one."""
    with suppress(ValueError):
        return study.optuna.best_trial
    return None


def write_best(worker: Worker) -> tuple[Path, Path] | None:
    """Write the best trial as a recipe that extends the study's, `best.yaml`, and the picture of the study.

    Returns:
        The recipe and the picture; None where no trial has a score.
    """
    study, best = worker.study, best_trial(worker.study)
    if best is None:
        return None
    from optuna.trial import FixedTrial

    values = values_of(FixedTrial(best.params, best.number), worker.space)
    config = resolve_recipe(worker.recipe, worker.changes)
    name = config["recipe"]
    changes = {dotted: _setting(config, dotted) for dotted in worker.changes}
    content: dict[str, Any] = {
        "extends": str(Path(name).resolve()) if name.endswith((".yaml", ".yml")) else name
    }
    # A place that the recipe names relative to the present folder has to be found from any other.
    written = {} if isinstance(worker.recipe, str) else worker.recipe.data
    places = {
        f"data.{part}": config["data"][part]
        for part in ("name", *PATHS)
        if written.get(part) is not None and written[part] != config["data"][part]
    }
    for dotted, value in {**places, **changes, **values}.items():
        place, (*outer, last) = content, dotted.split(".")
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = value
    recipe = "" if study.recipe_score is None else f"; the recipe: {worker.score.show(study.recipe_score)}"
    about = f"# Trial {best.number} of a search: {worker.score.show(best.value)} on validation{recipe}.\n"
    path = study.folder / "best.yaml"
    write_atomically(path, about + yaml.safe_dump(content, sort_keys=False))
    trials = [
        {"number": trial.number, "score": trial.value, "values": dict(trial.params)}
        for trial in study.optuna.get_trials(deepcopy=False)
        if trial.state.name == "COMPLETE"
    ]
    picture = study.folder / "study.png"
    plot_study(trials, worker.score.text, study.recipe_score).savefig(picture)
    return path, picture


def _setting(config: Mapping[str, Any], dotted: str) -> Any:
    """The value of a setting, or of one value in a mapping of settings."""
    value: Any = config
    for part in dotted.split("."):
        value = value[part]
    return value
