"""The ledger of trained runs: one row of `results/ledger.csv` is one training, scored on its test split.

A row says what was trained, where and for how long; `scores` names the file beside the ledger that holds every figure
of every protocol, and the settings of the run.

`python -m unbraid.benchmark.ledger RUN ...` records finished runs and writes the pages again; without a run it only
writes the pages. Trainings of a recipe that has changed since are then named by what they differ in.
"""

import csv
import functools
import hashlib
import io
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from unbraid.evaluation import read_scores
from unbraid.files import write_atomically
from unbraid.registry import DATASETS
from unbraid.settings import Recipe, read_recipe, recipe_parser, resolve

__all__ = [
    "COLUMNS",
    "Trained",
    "by_form",
    "changes",
    "differences",
    "read_ledger",
    "read_runs",
    "record",
    "rename",
    "rows",
    "run_name",
]

COLUMNS = (
    "recipe",
    "changes",
    "commit",
    "seed",
    "data",
    "fingerprint",
    "hardware",
    "seconds",
    "epochs",
    "scores",
)
# Where a run was made and how often it was saved; these do not make it another training.
_PLACE = re.compile(
    r"recipe$|data\.(root|cache)$|training\.(device|workers|checkpoint_minutes|log_every_steps)$"
)
_UNKNOWN = object()
_SEEDS = re.compile(r"training\.seed$|model\.anchor_seed$")

Config = dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """One finished training, from the ledger or from a run's folder.

    Attributes:
        config: its settings.
        scores: by protocol, on the test split.
        fingerprint: of the data.
        seconds: of training; 0 when it is not known.
        epochs: that were trained.
        hardware: that it was trained on.
        source: where it was found.
        folder: of the run; None when only the ledger knows it.
    """

    config: Config
    scores: dict[str, Any]
    fingerprint: str
    seconds: float
    epochs: int
    hardware: str
    source: str
    folder: Path | None = None


def record(run: str | Path, ledger: str | Path) -> dict[str, str]:
    """Append a trained and evaluated run to the ledger, in place of an older one of the same settings and seed.

    Args:
        run: the run's folder.
        ledger: the CSV file; it is made when there is none.

    Returns:
        The row that was written.

    Raises:
        FileNotFoundError: the run has no configuration, environment or scores yet.
        ValueError: the run is in the ledger already, is not finished, was trained by code that is in no commit, or was
            scored on another split than test.
    """
    run, ledger = Path(run), Path(ledger)
    config = yaml.safe_load(_read(run / "config.yaml", run, "unbraid train"))
    environment = json.loads(_read(run / "environment.json", run, "unbraid train"))
    scores = read_scores(run)
    if "seconds" not in environment:
        raise ValueError(f"{run}: is not finished; `unbraid resume {run}` goes on with it")
    if not scores:
        raise FileNotFoundError(f"{run}: has no evaluation/*.json; `unbraid evaluate {run}` writes it")
    for protocol, found in scores.items():
        if (split := found["protocol"]["split"]) != "test":
            raise ValueError(
                f"{run}: was scored by {protocol} on {split!r}; score it on the test split: unbraid evaluate {run} "
                f"--protocols {protocol}"
            )
    commit = environment["commit"]
    if commit is None or commit.endswith("+"):
        raise ValueError(
            f"{run}: was trained by code that is in no commit ({commit}), so nobody can repeat it; commit, and train "
            "again"
        )
    row = {
        "recipe": config["recipe"],
        "changes": " ".join(changes(config)),
        "commit": commit,
        "seed": str(config["training"]["seed"]),
        "data": config["data"]["name"],
        "fingerprint": environment["data_fingerprint"],
        "hardware": _hardware(environment),
        "seconds": str(round(environment["seconds"])),
        "epochs": str(_epochs(run)),
        "scores": f"scores/{run_name(config)}.json",
    }
    kept = {part: value for part, value in _without_place(config).items() if part != "recipe"}
    copy, text_of_scores = (
        ledger.parent / row["scores"],
        json.dumps({"config": kept, **scores}, indent=1) + "\n",
    )
    known = rows(ledger)
    if row in known and copy.is_file() and copy.read_text() == text_of_scores:
        raise ValueError(f"{run}: is in {ledger} already")
    # A training that is made or scored again replaces its older row: it is no independent repeat.
    known = [other for other in known if other["scores"] != row["scores"]]
    write_atomically(copy, text_of_scores)
    _write([*known, row], ledger)
    return row


def rename(ledger: str | Path) -> list[str]:
    """Name every training after what it differs in from its recipe as it is now, the file of its scores as well.

    Returns:
        The recipes whose trainings have other names than before.
    """
    ledger = Path(ledger)
    before = rows(ledger)
    after: dict[str, tuple[dict[str, str], str]] = {}
    for row in before:
        config = _trained(row, ledger).config
        scores = f"scores/{run_name(config)}.json"
        after.pop(scores, None)  # the same training, made again
        after[scores] = row | {"changes": " ".join(changes(config)), "scores": scores}, _text(row, ledger)
    now = [row for row, _ in after.values()]
    if now == before:
        return []
    for row, text in after.values():
        write_atomically(ledger.parent / row["scores"], text)
    _write(now, ledger)
    for row in before:
        if row["scores"] not in after:
            (ledger.parent / row["scores"]).unlink()
    return sorted({row["recipe"] for row in before if row not in now})


def _text(row: dict[str, str], ledger: Path) -> str:
    return (ledger.parent / row["scores"]).read_text()


def _write(known: list[dict[str, str]], ledger: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(known)
    write_atomically(ledger, text.getvalue())


def run_name(config: Config) -> str:
    """The name of a training after its recipe, its changes to it, and its seed."""
    changed = " ".join(changes(config))
    mark = f"-{hashlib.sha256(changed.encode()).hexdigest()[:6]}" if changed else ""
    recipe = str(config["recipe"])
    stem = Path(recipe).stem if recipe.endswith((".yaml", ".yml")) else recipe.replace("/", "-")
    return f"{stem}{mark}-seed{config['training']['seed']}"


def _read(path: Path, run: Path, command: str) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{run}: has no {path.relative_to(run)}; `{command}` writes it")
    return path.read_text()


def _hardware(environment: dict[str, Any]) -> str:
    if environment["device"] != "cpu":
        return environment["device"]
    return f"{environment['processor']}, {environment['cores']} cores"


def _epochs(run: Path) -> int:
    """Epochs that were trained, the last of them perhaps not to its end."""
    metrics = csv.DictReader(_read(run / "metrics.csv", run, "unbraid train").splitlines())
    return 1 + max(int(row["epoch"]) for row in metrics)


def by_form(groups: Mapping[str, list[Trained]]) -> dict[tuple[str, str], list[str]]:
    """The titles of trainings by the name and the fingerprint of their data: floors depend on the data alone."""
    forms: dict[tuple[str, str], list[str]] = {}
    for title, trained in groups.items():
        if trained:
            form = trained[0].config["data"]["name"], trained[0].fingerprint
            forms.setdefault(form, []).append(title)
    return forms


def changes(config: Config) -> list[str]:
    """The settings in which a run differs from its recipe as it is now, as `model.width=64`."""
    plain = _plain(str(config["recipe"]))
    return [f"{key}={value}" for key, value in differences(config, plain).items() if not _SEEDS.match(key)]


@functools.cache
def _plain(recipe: str) -> Config:
    """The settings of a recipe without any changes."""
    read = read_recipe(recipe)
    return resolve(read, recipe_parser(read, "train"), [])[0]


def differences(config: Config, other: Config) -> dict[str, Any]:
    """The settings of `config` that make it another training than `other`, by their names.

    A setting that only one of them knows came with a newer version, whose default is what was done before; one that
    no version knows any more is passed over. A weight that is not named is 1.
    """
    mine, theirs = _flat(config), _flat(other)
    defaults = _defaults(config["data"]["name"], config["model"]["name"])
    different = {}
    for key in sorted(mine.keys() | theirs.keys()):
        default = 1 if key.startswith("training.weights.") else defaults.get(key, _UNKNOWN)
        here, there = mine.get(key, default), theirs.get(key, default)
        if here != there and _UNKNOWN not in (here, there) and not _PLACE.match(key):
            different[key] = here
    return different


@functools.cache
def _defaults(data: str, model: str) -> dict[str, Any]:
    """What every setting is when nobody says anything; nothing for data of one's own, whose place may be gone."""
    if data not in DATASETS:
        return {}
    bare = Recipe("bare", "", {"name": data}, {"name": model}, {})
    return _flat(resolve(bare, recipe_parser(bare, "train"), [])[0])


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _without_place(settings: Config, prefix: str = "") -> Config:
    return {
        key: _without_place(value, f"{prefix}{key}.") if isinstance(value, dict) else value
        for key, value in settings.items()
        if not _PLACE.match(prefix + key)
    }


def rows(ledger: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV file, none where there is no file."""
    if not Path(ledger).is_file():
        return []
    with Path(ledger).open(newline="") as file:
        return list(csv.DictReader(file))


def read_ledger(ledger: str | Path) -> list[Trained]:
    """The trainings of the ledger, oldest first."""
    return [_trained(row, Path(ledger)) for row in rows(ledger)]


def _trained(row: dict[str, str], ledger: Path) -> Trained:
    scores = json.loads(_text(row, ledger))
    config = {"recipe": row["recipe"], **scores.pop("config")}
    return Trained(
        config,
        scores,
        row["fingerprint"],
        float(row["seconds"]),
        int(row["epochs"]),
        row["hardware"],
        f"the ledger, commit {row['commit']}",
    )


def read_runs(folder: str | Path) -> list[Trained]:
    """The finished runs in a folder, by name, with what they scored on the test split."""
    return [_run(path.parent.parent) for path in sorted(Path(folder).glob("*/model/model.json"))]


def _run(folder: Path) -> Trained:
    environment = json.loads((folder / "environment.json").read_text())
    scores = read_scores(folder)
    return Trained(
        yaml.safe_load((folder / "config.yaml").read_text()),
        {name: found for name, found in scores.items() if found["protocol"]["split"] == "test"},
        environment["data_fingerprint"],
        environment.get("seconds", 0.0),  # not there when it was killed between its last two files
        _epochs(folder),
        _hardware(environment),
        str(folder),
        folder,
    )


def main(runs: list[str], root: Path) -> None:
    """Name the older trainings anew, record the given runs, then write the pages."""
    from unbraid.benchmark.pages import write_pages

    ledger = root / "results" / "ledger.csv"
    for recipe in rename(ledger):
        print(f"a training of {recipe} differs from it by now, and is named so")
    for run in runs:
        row = record(run, ledger)
        print(f"recorded {row['recipe']}, seed {row['seed']}")
    for path in write_pages(root):
        print(f"wrote {path.relative_to(root)}")


if __name__ == "__main__":
    main(sys.argv[1:], Path.cwd())
