"""The ledger of trained runs: one row of `results/ledger.csv` is one training, scored on its test split.

`python -m unbraid.benchmark.ledger RUN ...` records finished runs and writes the tables again; without a run
it only writes the tables.
"""

import csv
import hashlib
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any, Literal

import yaml

from unbraid.settings import read_recipe, recipe_parser, resolve

__all__ = ["COLUMNS", "SCORES", "record", "rows", "score_columns"]

SCORES = {
    "accuracy": "Acc % ↑",
    "inception_score": "IS ↑",
    "entropy_conditional": "H(y\\|x) ↓",
    "entropy_marginal": "H(y) ↑",
    "direction": "direction %",
    "action": "action %",
    "static_in_dynamic": "static, drawn s %",
    "dynamic_in_static": "dynamic, drawn d %",
    "squared_error_per_clip": "squared error ↓",
    "judge": "judge %",
}
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
    *SCORES,
    "scores",
)
# Where a run was made and for how long it was let to run; these do not make it another experiment.
_NO_CHANGE = re.compile(r"data\.(root|cache)|training\.(seed|device|workers|checkpoint_minutes)$")


def record(run: str | Path, ledger: str | Path) -> dict[str, str]:
    """Append a trained and evaluated run to the ledger.

    Args:
        run: the run's folder.
        ledger: the CSV file; it is made when there is none.

    Returns:
        The row that was written.

    Raises:
        FileNotFoundError: the run has no configuration, environment or scores yet.
        ValueError: the run is in the ledger already, is not finished, or was scored on another split than test.
    """
    run, ledger = Path(run), Path(ledger)
    config = yaml.safe_load(_read(run / "config.yaml", run, "unbraid train"))
    environment = json.loads(_read(run / "environment.json", run, "unbraid train"))
    scores = json.loads(_read(run / "evaluation" / "generation.json", run, f"unbraid evaluate {run}"))
    if "seconds" not in environment:
        raise ValueError(f"{run}: is not finished; `unbraid resume {run}` goes on with it")
    split = scores["protocol"]["split"]
    if split != "test":
        raise ValueError(
            f"{run}: was scored on {split!r}; score it on the test split: unbraid evaluate {run}"
        )
    changes = " ".join(_changes(config))
    row = {
        "recipe": config["recipe"],
        "changes": changes,
        "commit": environment["commit"],
        "seed": config["training"]["seed"],
        "data": config["data"]["name"],
        "fingerprint": environment["data_fingerprint"],
        "hardware": _hardware(environment),
        "seconds": round(environment["seconds"]),
        "epochs": _epochs(run),
        "scores": _file_name(config["recipe"], changes, config["training"]["seed"]),
    } | score_columns(scores)
    written = {column: "" if row.get(column) is None else str(row[column]) for column in COLUMNS}
    if written in rows(ledger):
        raise ValueError(f"{run}: is in {ledger} already")
    new = not ledger.is_file()
    with ledger.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(written)
    copy = ledger.parent / written["scores"]
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(json.dumps(scores, indent=1) + "\n")
    return written


def _file_name(recipe: str, changes: str, seed: int) -> str:
    """Where all scores of a run are kept, beside the ledger."""
    mark = f"-{hashlib.sha256(changes.encode()).hexdigest()[:6]}" if changes else ""
    return f"scores/{recipe.replace('/', '-')}{mark}-seed{seed}.json"


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


def _changes(config: dict[str, Any]) -> list[str]:
    """The settings in which a run differs from its recipe, as `model.width=64`."""
    recipe = read_recipe(config["recipe"])
    plain, _ = resolve(recipe, recipe_parser(recipe, "train"), [])
    mine, theirs = _flat(config), _flat(plain)
    different = [
        key for key in theirs if key in mine and mine[key] != theirs[key] and not _NO_CHANGE.match(key)
    ]
    return sorted(f"{key}={mine[key]}" for key in different)


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def score_columns(
    scores: dict[str, Any], which: Literal["mean", "floor"] = "mean"
) -> dict[str, float | None]:
    """The ledger's score columns of a `generation.json`, or their floors."""
    kept_dynamic, kept_static = scores.get("keep_dynamic", {}), scores.get("keep_static", {})
    found: dict[str, float | None] = {}
    for name in SCORES:
        if name in ("direction", "action"):
            found[name] = kept_dynamic.get(name, {}).get(which)
        elif name in scores and name != "judge":
            found[name] = scores[name][which]
    about = scores.get("labels", {})
    static = [share[which] for name, share in kept_dynamic.items() if about[name]["kind"] == "static"]
    whole = [name for name in kept_static if about[name]["kind"] == "dynamic" and not about[name]["part_of"]]
    dynamic = [kept_static[name][which] for name in whole]
    found["static_in_dynamic"] = statistics.fmean(static) if static else None
    found["dynamic_in_static"] = statistics.fmean(dynamic) if dynamic else None
    heads = [share[which] for label, share in scores.get("judge", {}).get("accuracy", {}).items()]
    found["judge"] = min(heads) if heads else None  # the label it knows least
    return {name: None if value is None else round(value, 6) for name, value in found.items()}


def rows(ledger: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV file, none where there is no file."""
    if not Path(ledger).is_file():
        return []
    with Path(ledger).open(newline="") as file:
        return list(csv.DictReader(file))


def main(runs: list[str], root: Path) -> None:
    """Record the given runs, then write the tables."""
    from unbraid.benchmark.tables import write_tables

    for run in runs:
        row = record(run, root / "results" / "ledger.csv")
        print(f"recorded {row['recipe']}, seed {row['seed']}")
    for path in write_tables(root):
        print(f"wrote {path.relative_to(root)}")


if __name__ == "__main__":
    main(sys.argv[1:], Path.cwd())
