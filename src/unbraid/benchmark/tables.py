"""Tables made from the ledger. No number in them is typed by hand.

A table shows mean ± standard deviation over trainings that differ in nothing but their seed, beside the
published scores of `results/published.csv`.
"""

import json
import statistics
from pathlib import Path

from unbraid.benchmark.ledger import SCORES, rows, score_columns

__all__ = ["label_tables", "readme_block", "table", "with_block", "write_tables"]

IN_PERCENT = {"accuracy", "direction", "action", "static_in_dynamic", "dynamic_in_static", "judge"}
TESTS = {
    "keep_dynamic": "static drawn",
    "keep_static": "dynamics drawn",
    "swap": "swapped",
    "reconstruction": "rebuilt",
}
MARKERS = ("<!-- results: made by `make results` -->", "<!-- end of results -->")


def _groups(ledger: Path, data: str) -> dict[str, list[dict[str, str]]]:
    """The rows of one data set by experiment: recipe and changes. One row for each seed."""
    groups: dict[str, dict[str, dict[str, str]]] = {}
    for row in sorted(rows(ledger), key=lambda row: (row["recipe"], row["changes"])):
        if row["data"] == data:
            title = f"**{row['recipe']}**" + (f" `{row['changes']}`" if row["changes"] else "")
            # A seed that was trained again replaces its older row: it is no independent repeat.
            groups.setdefault(title, {})[row["seed"]] = row
    for title, seeds in groups.items():
        if len({row["fingerprint"] for row in seeds.values()}) > 1:
            raise ValueError(
                f"{ledger}: runs of {title} were trained on different data; their scores do not mix"
            )
    return {title: list(seeds.values()) for title, seeds in groups.items()}


def label_tables(ledger: str | Path, data: str) -> str:
    """For each experiment on a data set, how often the judge sees the right label, in Markdown."""
    ledger, parts = Path(ledger), []
    for title, trained in _groups(ledger, data).items():
        runs = [json.loads((ledger.parent / row["scores"]).read_text()) for row in trained]
        tests = [test for test in TESTS if test in runs[0]]
        if not tests:
            continue
        lines = [
            "| label | kind | " + " | ".join(f"{TESTS[test]} %" for test in tests) + " | chance % |",
            "|---" * (3 + len(tests)) + "|",
        ]
        for label, about in runs[0]["labels"].items():
            shares = [_cell([100 * run[test][label]["mean"] for run in runs], ".1f") for test in tests]
            lines.append(" | ".join([f"| {label}", about["kind"], *shares, f"{100 * about['chance']:.1f} |"]))
        parts.append(title + "\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def table(ledger: str | Path, published: str | Path, data: str) -> str:
    """One data set's table in Markdown: our recipes, mean ± deviation over seeds, floors, published scores.

    Args:
        ledger: CSV of trained runs.
        published: CSV of published scores: data, method, source, and the ledger's score columns.
        data: name of the data set.

    Raises:
        ValueError: runs of one recipe were trained on data that differ.
    """
    groups = _groups(Path(ledger), data)
    theirs = [row for row in rows(Path(published)) if row["data"] == data]
    shown = [name for name in SCORES if any(row[name] for runs in groups.values() for row in runs)]
    lines = [
        "| | seeds | epochs | minutes | " + " | ".join(SCORES[name] for name in shown) + " |",
        "|---" * (4 + len(shown)) + "|",
    ]
    for title, runs in groups.items():
        cells = [title, str(len(runs))]
        cells += [_cell([float(row["epochs"]) for row in runs], ".0f")]
        cells += [_cell([float(row["seconds"]) / 60 for row in runs], ".0f")]
        cells += [_score(name, [float(row[name]) for row in runs if row[name]]) for name in shown]
        lines.append("| " + " | ".join(cells) + " |")
    if groups:
        # Floors depend on the data alone, so any run has them.
        any_run = json.loads((Path(ledger).parent / next(iter(groups.values()))[0]["scores"]).read_text())
        floors = score_columns(any_run, "floor")
        cells = [_score(name, [floor] if (floor := floors.get(name)) is not None else []) for name in shown]
        lines.append("| " + " | ".join(["floor: chance, or the mean clip", "", "", "", *cells]) + " |")
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
    for data in sorted({row["data"] for row in rows(ledger)}):
        page = root / "results" / f"{data}.md"
        page.write_text(_page(data, table(ledger, published, data), label_tables(ledger, data)))
        written.append(page)
    readme = root / "README.md"
    readme.write_text(with_block(readme.read_text(), readme_block(root)))
    return [*written, readme]


def _page(data: str, scores: str, labels: str) -> str:
    return (
        f"# {data}\n\nMade from `ledger.csv` by `make results`; do not edit. Mean ± standard deviation over "
        f"independently trained seeds. What each score means: `docs/protocols.md`.\n\n{scores}\n\n"
        "## Labels\n\nGenerated clips in which the judge sees the right label. With the static code drawn, static "
        f"labels should be at chance; with the dynamics drawn, dynamic ones.\n\n{labels}\n"
    )


def readme_block(root: str | Path) -> str:
    """The README's results: one table per data set in the ledger."""
    ledger, published = Path(root) / "results" / "ledger.csv", Path(root) / "results" / "published.csv"
    names = sorted({row["data"] for row in rows(ledger)})
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
