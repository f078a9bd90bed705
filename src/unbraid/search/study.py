"""A study: trials of one recipe with settings drawn by Optuna, shared by any number of workers on one storage.

A trial is a run, `FOLDER/trial-0007`. A worker that is stopped or killed leaves its trial; the next worker on the same
machine finds that nobody holds the trial's lock and goes on with its run.
"""

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid.benchmark.identity import essential_settings
from unbraid.files import FileInUseError, locked
from unbraid.search.score import SearchScore
from unbraid.search.space import Space

if TYPE_CHECKING:
    import optuna

__all__ = ["Claim", "Study", "kept_folder", "open_study", "values_of"]

OPTIONAL = "search: needs Optuna; install it with: pip install '.[search]' in the folder of unbraid's source"
RECIPE_SCORE = "recipe_score"
FOLDER = "folder"
OTHER = {"settings": "other settings"}


@dataclass
class Claim:
    """A trial that this worker holds.

    Attributes:
        trial: of Optuna.
        begun: whether another worker began it.
    """

    trial: "optuna.Trial"
    begun: bool


class Study:
    """An Optuna study and the folder of its runs.

    Args:
        study: of Optuna.
        folder: of the runs.
        seed: of the draws.
    """

    def __init__(self, study: "optuna.Study", folder: Path, seed: int) -> None:
        self.optuna, self.folder, self.seed = study, folder, seed

    @contextmanager
    def claim(self, trials: int) -> Iterator[Claim | None]:
        """Hold the next trial: one that was left, or a new one while the study has fewer than `trials`; None at its end."""
        with ExitStack() as stack:
            with locked(self.folder / ".study.lock", wait=True):
                claim = self._left(stack) or self._new(stack, trials)
            yield claim

    def _left(self, stack: ExitStack) -> Claim | None:
        from optuna.trial import Trial, TrialState

        for frozen in self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if frozen.user_attrs.get("place") != self._place():
                continue
            try:
                self._hold(stack, frozen.number)
            except FileInUseError:
                continue
            return Claim(Trial(self.optuna, frozen._trial_id), True)
        return None

    def _new(self, stack: ExitStack, trials: int) -> Claim | None:
        if len(self.optuna.get_trials(deepcopy=False)) >= trials:
            return None
        trial = self.optuna.ask()
        self._hold(stack, trial.number)
        trial.set_user_attr("place", self._place())
        return Claim(trial, False)

    def _hold(self, stack: ExitStack, number: int) -> None:
        stack.enter_context(locked(self.folder / f".trial-{number:04d}.lock"))

    def _place(self) -> str:
        return f"{platform.node()}:{self.folder}"

    @contextmanager
    def claim_recipe(self) -> Iterator[bool]:
        """Hold the training of the recipe itself, where it has no score yet and no other worker has it."""
        try:
            with locked(self.folder / ".recipe.lock"):
                yield self.recipe_score is None
        except FileInUseError:
            yield False

    @property
    def recipe_score(self) -> float | None:
        """The score of the recipe as it stands; None before it is trained."""
        return self.optuna.user_attrs.get(RECIPE_SCORE)

    def set_recipe_score(self, score: float) -> None:
        """Keep the score of the recipe."""
        self.optuna.set_user_attr(RECIPE_SCORE, score)

    def draw(self, trial: "optuna.Trial", space: Space) -> dict[str, Any]:
        """The trial's settings; a trial that was begun keeps those that it has."""
        import optuna

        # As HyperOpt, which the papers used; Optuna's defaults changed in version 5. The seed depends on the trial's number,
        # so that workers do not draw the same trials.
        self.optuna.sampler = optuna.samplers.TPESampler(
            multivariate=False, constant_liar=False, seed=self.seed + trial.number
        )
        return values_of(trial, space)


def values_of(trial: Any, space: Space) -> dict[str, Any]:
    """The settings that a trial stands for, by dotted name; numbers have four digits.

    Args:
        trial: that suggests values, as Optuna's do.
        space: of the search.
    """
    values: dict[str, Any] = {}
    for names, part in space.items():
        value: Any
        if part.choices:
            value = trial.suggest_categorical(names, part.choices)
        elif isinstance(part.low, int) and isinstance(part.high, int):
            value = trial.suggest_int(names, part.low, part.high, step=int(part.step or 1), log=part.log)
        else:
            drawn = trial.suggest_float(names, part.low, part.high, step=part.step, log=part.log)
            value = min(max(float(f"{drawn:.4g}"), part.low), part.high)
        values |= dict.fromkeys(names.split(), value)
    return values


def open_study(
    storage: str,
    folder: Path,
    config: Mapping[str, Any],
    space: Space,
    score: SearchScore,
    prune: str | None,
    seed: int,
) -> Study:
    """Make a study, or join one that was made with the same recipe, space and score.

    A study in which nothing has a score yet takes another score, for nothing is compared with it.

    Args:
        storage: a file of SQLite, or the address of a database (`postgresql://...`).
        folder: of the runs, which is made.
        config: every setting of the recipe, with what the user changed.
        space: of the search.
        score: that is maximised.
        prune: the term of validation by which trials are ended early; None for none.
        seed: of the draws.

    Raises:
        ImportError: Optuna is not installed.
        ValueError: the study in the storage is another one, or the file is no storage.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ImportError(OPTIONAL) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    about = {
        "recipe": config["recipe"],
        "settings": json.dumps(essential_settings(dict(config)), sort_keys=True, default=str),
        "space": json.dumps({name: vars(part) for name, part in space.items()}, sort_keys=True),
        "score": score.text,
        "prune": prune or "",
        "seed": seed,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".study.lock", wait=True):
        try:
            study = optuna.create_study(
                storage=_storage(storage),
                study_name="unbraid",
                direction="maximize",
                load_if_exists=True,
                pruner=optuna.pruners.MedianPruner() if prune else optuna.pruners.NopPruner(),
            )
        except Exception as error:
            if not type(error).__module__.startswith("sqlalchemy"):
                raise
            raise ValueError(f"storage: {storage} cannot be used ({str(error).splitlines()[0]})") from None
        made = study.user_attrs
        if not made:
            about |= {"sampler": "TPE, multivariate=False, constant_liar=False", "optuna": optuna.__version__}
            about[FOLDER] = str(folder.resolve())
            for name, value in about.items():
                study.set_user_attr(name, value)
    opened = Study(study, folder.resolve(), seed)
    if made:
        with opened.claim_recipe() as mine:
            if mine and not study.trials and made.get("score") != about["score"]:
                _check_same(storage, {**made, "score": about["score"]}, about)
                study.set_user_attr("score", about["score"])
                return opened
        _check_same(storage, made, about)
    return opened


def kept_folder(storage: str) -> Path | None:
    """The folder of the runs of a study; None where there is no study, or no such folder on this machine."""
    if "://" not in storage and not Path(storage).is_file():
        return None
    try:
        import optuna

        study = optuna.load_study(study_name="unbraid", storage=_storage(storage))
        kept = study.user_attrs.get(FOLDER)
    except Exception:  # `open_study` says what is wrong with the storage
        return None
    return Path(kept) if kept and Path(kept).is_dir() else None


def _storage(storage: str) -> Any:
    import optuna

    if "://" in storage:
        return optuna.storages.RDBStorage(storage)
    Path(storage).parent.mkdir(parents=True, exist_ok=True)
    patience = {"connect_args": {"timeout": 100}}  # seconds for which a worker waits while another one writes
    return optuna.storages.RDBStorage(f"sqlite:///{Path(storage).resolve()}", engine_kwargs=patience)


def _check_same(storage: str, made: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        if made.get(name) != value:
            raise ValueError(
                f"storage: {storage} holds a study with {OTHER.get(name, f'another {name}')}: {_difference(made.get(name), value)}; "
                "nothing was changed. Give another --storage, or the command that it was made with"
            )


def _difference(made: Any, wanted: Any) -> str:
    """What differs, in words; of settings only those that do."""
    try:
        before, now = json.loads(made), json.loads(wanted)
        names = [name for name in before.keys() | now.keys() if before.get(name) != now.get(name)]
        return ", ".join(
            f"{name} is {_plain(before.get(name))}, not {_plain(now.get(name))}" for name in sorted(names)
        )
    except (TypeError, ValueError, AttributeError):
        return f"{made!r}, not {wanted!r}"


def _plain(value: Any) -> Any:
    """A value of a setting; whole numbers without a point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
