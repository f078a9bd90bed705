"""The ledger of recorded trainings: one row of `results/ledger.csv` is one training, scored on its test split.

A row says what was trained, on which data, where and for how long. `settings` is the short hash of the run's settings
(`unbraid.benchmark.identity`); `scores` names the file beside the ledger that holds the settings themselves and every
figure of every protocol. A row is never rewritten when a recipe changes: how a training differs from its recipe is
computed when a page is drawn.
"""

import csv
import io
import json
import re
from pathlib import Path

from unbraid.benchmark.identity import NO_SETTING, Config, same_training, settings_hash
from unbraid.benchmark.runs import Trained, read_run, run_name
from unbraid.files import read_json, write_atomically

__all__ = ["COLUMNS", "read_ledger", "read_rows", "record"]

COLUMNS = (
    "recipe",
    "settings",
    "seed",
    "commit",
    "data",
    "fingerprint",
    "hardware",
    "seconds",
    "epochs",
    "scores",
)

Row = dict[str, str]


def record(run: str | Path, ledger: str | Path) -> Row:
    """Append a trained and scored run to the ledger, in place of an older one of the same settings and seed.

    Args:
        run: the run's folder.
        ledger: the CSV file; it is made when there is none.

    Returns:
        The row that was written.

    Raises:
        FileNotFoundError: the run has no configuration, environment, metrics or scores yet.
        ValueError: the run is in the ledger already, is not finished, was trained by code that is in no commit, or was
            scored on another split than test.
    """
    ledger = Path(ledger)
    trained = read_run(run)
    commit = _commit(trained)
    row = {
        "recipe": trained.config["recipe"],
        "settings": settings_hash(trained.config),
        "seed": str(trained.seed),
        "commit": commit,
        "data": trained.data,
        "fingerprint": trained.fingerprint,
        "hardware": trained.hardware,
        "seconds": str(round(trained.seconds or 0)),
        "epochs": str(trained.epochs),
        "scores": f"scores/{run_name(trained.config)}.json",
    }
    scores_file = ledger.parent / row["scores"]
    text = json.dumps({"config": _without_place(trained.config), **trained.scores}, indent=1) + "\n"
    rows = read_rows(ledger)
    if row in rows and scores_file.is_file() and scores_file.read_text(encoding="utf-8") == text:
        raise ValueError(f"{run}: is in {ledger} already")
    # A training that is repeated or scored again is no independent repeat: it replaces its older row.
    older = [other for other in rows if same_training(_trained(other, ledger).config, trained.config)]
    write_atomically(scores_file, text)
    _write_rows([other for other in rows if other not in older] + [row], ledger)
    for other in older:
        if other["scores"] != row["scores"]:
            (ledger.parent / other["scores"]).unlink()
    return row


def read_ledger(ledger: str | Path) -> list[Trained]:
    """The trainings of the ledger, oldest first."""
    return [_trained(row, Path(ledger)) for row in read_rows(ledger)]


def read_rows(ledger: str | Path) -> list[Row]:
    """The rows of the ledger as text by column; none where there is no file.

    Raises:
        ValueError: the file is damaged.
    """
    if not Path(ledger).is_file():
        return []
    try:
        with Path(ledger).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{ledger}: is damaged ({error})") from error
    for number, row in enumerate(rows, 1):
        whole = tuple(row) == COLUMNS and None not in row.values()
        if not whole or not re.fullmatch(r"scores/[\w.-]+\.json", row["scores"]):
            raise ValueError(f"{ledger}: row {number} is damaged; its columns must be {', '.join(COLUMNS)}")
    return rows


def _commit(trained: Trained) -> str:
    """The commit that the run was trained at, once the run is known to be one that can be recorded."""
    run, commit = trained.folder, trained.commit
    if trained.seconds is None:
        raise ValueError(f"{run}: is not finished; `unbraid resume {run}` goes on with it")
    if not trained.scores:
        raise FileNotFoundError(f"{run}: has no evaluation/*.json; `unbraid evaluate {run}` writes it")
    for protocol, scores in trained.scores.items():
        if (split := scores["protocol"]["split"]) != "test":
            raise ValueError(
                f"{run}: was scored by {protocol} on {split!r}; score it on the test split: unbraid evaluate {run} "
                f"--protocols {protocol}"
            )
    if commit is None or commit.endswith("+"):
        raise ValueError(
            f"{run}: was trained by code that is in no commit ({commit}), so nobody can repeat it; commit, and train "
            "again"
        )
    return commit


def _trained(row: Row, ledger: Path) -> Trained:
    path = ledger.parent / row["scores"]
    scores = read_json(path)
    try:
        return Trained(
            config={"recipe": row["recipe"], **scores.pop("config")},
            scores=scores,
            fingerprint=row["fingerprint"],
            seconds=float(row["seconds"]),
            epochs=int(row["epochs"]),
            hardware=row["hardware"],
            commit=row["commit"],
            source=f"the ledger, commit {row['commit']}",
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: it or its row in {ledger} is damaged ({error})") from error


def _without_place(config: Config) -> Config:
    """The settings without what says where the run was made; the seed stays."""
    place = NO_SETTING - {"training.seed"}
    return {
        part: {key: value for key, value in config[part].items() if f"{part}.{key}" not in place}
        for part in ("data", "model", "training")
    }


def _write_rows(rows: list[Row], ledger: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(ledger, text.getvalue())
