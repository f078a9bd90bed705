"""The ledger of trained runs, and the tables made from it. No number in a table is typed by hand.

`python -m unbraid.benchmark.ledger` writes the tables again; with run folders behind it, those are recorded
first. One row of `results/ledger.csv` is one training. A table shows mean ± standard deviation over trainings
that differ in nothing but their seed, beside the published scores of `results/published.csv`.
"""

import csv
import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

import yaml

from unbraid.settings import read_recipe, recipe_parser, resolve

__all__ = ["COLUMNS", "record", "table", "write_tables"]

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
}
IN_PERCENT = {"accuracy", "direction", "action", "static_in_dynamic", "dynamic_in_static"}
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
)
# Where a run was made and for how long it was let to run; these do not make it another experiment.
_NO_CHANGE = re.compile(r"data\.(root|cache)|training\.(seed|device|workers|checkpoint_minutes)$")
MARKERS = ("<!-- results: made by `make results` -->", "<!-- end of results -->")


def record(run: str | Path, ledger: str | Path) -> dict[str, str]:
    """Append a trained and evaluated run to the ledger.

    Args:
        run: the run's folder.
        ledger: the CSV file; it is made when there is none.

    Returns:
        The row that was written.

    Raises:
        FileNotFoundError: the run has no configuration, environment or scores yet.
        ValueError: the run is in the ledger already.
    """
    run, ledger = Path(run), Path(ledger)
    config = yaml.safe_load(_read(run / "config.yaml", run, "unbraid train"))
    environment = json.loads(_read(run / "environment.json", run, "unbraid train"))
    scores = json.loads(_read(run / "evaluation" / "generation.json", run, f"unbraid evaluate {run}"))
    if "seconds" not in environment:
        raise ValueError(f"{run}: is not finished; `unbraid resume {run}` goes on with it")
    row = {
        "recipe": config["recipe"],
        "changes": " ".join(_changes(config)),
        "commit": environment["commit"],
        "seed": config["training"]["seed"],
        "data": config["data"]["name"],
        "fingerprint": environment["data_fingerprint"],
        "hardware": _hardware(environment),
        "seconds": round(environment["seconds"]),
        "epochs": _epochs(run),
    } | _scores(scores)
    written = {column: "" if row.get(column) is None else str(row[column]) for column in COLUMNS}
    if written in _rows(ledger):
        raise ValueError(f"{run}: is in {ledger} already")
    new = not ledger.is_file()
    with ledger.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(written)
    return written


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
    rows = csv.DictReader(_read(run / "metrics.csv", run, "unbraid train").splitlines())
    return 1 + max(int(row["epoch"]) for row in rows)


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


def _scores(scores: dict[str, Any]) -> dict[str, float | None]:
    """The ledger's score columns of a `generation.json`."""
    kept_dynamic, kept_static = scores.get("keep_dynamic", {}), scores.get("keep_static", {})
    found: dict[str, float | None] = {}
    for name in SCORES:
        if name in ("direction", "action"):
            found[name] = kept_dynamic.get(name, {}).get("mean")
        elif name in scores:
            found[name] = scores[name]["mean"]
    about = scores.get("labels", {})
    static = [share["mean"] for name, share in kept_dynamic.items() if about[name]["kind"] == "static"]
    whole = [name for name in kept_static if about[name]["kind"] == "dynamic" and not about[name]["part_of"]]
    dynamic = [kept_static[name]["mean"] for name in whole]
    found["static_in_dynamic"] = statistics.fmean(static) if static else None
    found["dynamic_in_static"] = statistics.fmean(dynamic) if dynamic else None
    return {name: None if value is None else round(value, 6) for name, value in found.items()}


def _rows(ledger: Path) -> list[dict[str, str]]:
    if not ledger.is_file():
        return []
    with ledger.open(newline="") as file:
        return list(csv.DictReader(file))


def table(ledger: str | Path, published: str | Path, data: str) -> str:
    """One data set's table in Markdown: our recipes, mean ± deviation over seeds, then the published scores.

    Args:
        ledger: CSV of trained runs.
        published: CSV of published scores: data, method, source, and the ledger's score columns.
        data: name of the data set.

    Raises:
        ValueError: runs of one recipe were trained on data that differ.
    """
    groups: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for row in _rows(Path(ledger)):
        if row["data"] == data:
            # A seed that was trained again replaces its older row: it is no independent repeat.
            groups.setdefault((row["recipe"], row["changes"]), {})[row["seed"]] = row
    theirs = [row for row in _rows(Path(published)) if row["data"] == data]
    shown = [name for name in SCORES if any(row[name] for seeds in groups.values() for row in seeds.values())]
    lines = [
        "| | seeds | epochs | minutes | " + " | ".join(SCORES[name] for name in shown) + " |",
        "|---" * (4 + len(shown)) + "|",
    ]
    for (recipe, changes), seeds in sorted(groups.items()):
        rows = list(seeds.values())
        if len({row["fingerprint"] for row in rows}) > 1:
            raise ValueError(
                f"{ledger}: runs of {recipe} were trained on different data; their scores do not mix"
            )
        cells = [f"**{recipe}**" + (f" `{changes}`" if changes else ""), str(len(rows))]
        cells += [_cell([float(row["epochs"]) for row in rows], ".0f")]
        cells += [_cell([float(row["seconds"]) / 60 for row in rows], ".0f")]
        cells += [_score(name, [float(row[name]) for row in rows if row[name]]) for name in shown]
        lines.append("| " + " | ".join(cells) + " |")
    for row in theirs:
        cells = [f"{row['method']}, published ([source]({row['source']}))", "", "", ""]
        cells += [_score(name, [float(row[name])] if row.get(name) else []) for name in shown]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) if groups else ""


def _score(name: str, values: list[float]) -> str:
    if name in IN_PERCENT:
        return _cell([100 * value for value in values], ".1f")
    return _cell(values, ".1f" if name == "squared_error_per_clip" else ".3f")


def _cell(values: list[float], digits: str) -> str:
    if not values:
        return ""
    mean = f"{statistics.fmean(values):{digits}}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):{digits}}"


def write_tables(root: str | Path) -> list[Path]:
    """Write `results/<data>.md` for every data set of the ledger, and the README's block between markers.

    Args:
        root: the repository's folder.

    Returns:
        The files written.

    Raises:
        ValueError: the README has lost its markers.
    """
    root = Path(root)
    ledger, published = root / "results" / "ledger.csv", root / "results" / "published.csv"
    written = []
    for data in sorted({row["data"] for row in _rows(ledger)}):
        page = root / "results" / f"{data}.md"
        page.write_text(_page(data, table(ledger, published, data)))
        written.append(page)
    readme = root / "README.md"
    readme.write_text(with_block(readme.read_text(), readme_block(root)))
    return [*written, readme]


def _page(data: str, rows: str) -> str:
    return (
        f"# {data}\n\nMade from `ledger.csv` by `make results`; do not edit. Mean ± standard deviation over "
        f"independently trained seeds. What each score means: `docs/protocols.md`.\n\n{rows}\n"
    )


def readme_block(root: str | Path) -> str:
    """The README's results: one table per data set in the ledger."""
    ledger, published = Path(root) / "results" / "ledger.csv", Path(root) / "results" / "published.csv"
    names = sorted({row["data"] for row in _rows(ledger)})
    if not names:
        return "No run is recorded yet."
    return "\n\n".join(f"**{name}**\n\n{table(ledger, published, name)}" for name in names)


def with_block(text: str, block: str) -> str:
    """The text with what stands between the two markers replaced by `block`.

    Raises:
        ValueError: a marker is missing.
    """
    start, end = text.find(MARKERS[0]), text.find(MARKERS[1])
    if start < 0 or end < start:
        raise ValueError(f"README.md: must hold the lines {MARKERS[0]} and {MARKERS[1]}")
    return f"{text[: start + len(MARKERS[0])]}\n{block}\n{text[end:]}"


def main(runs: list[str], root: Path) -> None:
    """Record the given runs, then write the tables."""
    for run in runs:
        row = record(run, root / "results" / "ledger.csv")
        print(f"recorded {row['recipe']}, seed {row['seed']}")
    for path in write_tables(root):
        print(f"wrote {path.relative_to(root)}")


if __name__ == "__main__":
    main(sys.argv[1:], Path.cwd())
