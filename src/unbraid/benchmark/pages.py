"""The pages made from the ledger: `results/<data>.md` and the README's block. No number in them is typed by hand.

A table shows mean ± standard deviation over trainings that differ in nothing but their seed, beside the
published scores of `results/published.csv`.
"""

import statistics
from collections.abc import Iterable
from pathlib import Path

from unbraid.benchmark.columns import Column, columns, figure_at, show
from unbraid.benchmark.ledger import Trained, by_form, changes, read_ledger
from unbraid.benchmark.published import Published, read_published
from unbraid.benchmark.text_tables import markdown
from unbraid.evaluation import figures

__all__ = ["experiments", "readme_block", "with_block", "write_pages"]

TESTS = {
    "keep_dynamic": "static drawn %",
    "keep_static": "dynamics drawn %",
    "swap": "swapped %",
    "reconstruction": "rebuilt %",
}
MARKERS = ("<!-- results: made by `make results` -->", "<!-- end of results -->")

Experiments = dict[str, list[Trained]]


def experiments(trained: Iterable[Trained], data: str) -> Experiments:
    """The trainings on one data set by recipe and changes to it; the newest of each seed.

    Raises:
        ValueError: trainings that would be averaged saw data that differ.
    """
    groups: dict[str, dict[int, Trained]] = {}
    for one in trained:
        if one.config["data"]["name"] == data:
            changed = " ".join(changes(one.config))
            title = f"**{one.config['recipe']}**" + (f" `{changed}`" if changed else "")
            # A seed that was trained again replaces its older row: it is no independent repeat.
            groups.setdefault(title, {})[one.config["training"]["seed"]] = one
    for title, seeds in groups.items():
        if len({one.fingerprint for one in seeds.values()}) > 1:
            raise ValueError(
                f"ledger: runs of {title} were trained on different data; their scores do not mix"
            )
    return {title: list(groups[title].values()) for title in sorted(groups)}


def table(groups: Experiments, published: Iterable[Published]) -> str:
    """One data set's table in Markdown: our recipes, mean ± deviation over seeds, floors, published scores."""
    everyone = [one for trained in groups.values() for one in trained]
    shown = [
        column
        for column in columns().values()
        if any(figure_at(one.scores, column.score, "both") for one in everyone)
    ]
    rows = [["", "seeds", "epochs", "minutes", *(column.heading for column in shown)]]
    for title, trained in groups.items():
        cells = [title, str(len(trained)), _whole([one.epochs for one in trained])]
        cells.append(_whole([one.seconds / 60 for one in trained]))
        for column in shown:
            found = [figure_at(one.scores, column.score, "both") for one in trained]
            cells.append(show(column, [figure.mean for figure in found if figure]))
        rows.append(cells)
    for name, floors in _floors(groups, shown).items():
        rows.append([name, "", "", "", *floors])
    for method, theirs in _by_method(published).items():
        cells = [
            show(column, [theirs[column.name].value] if column.name in theirs else []) for column in shown
        ]
        if any(cells):
            source = next(iter(theirs.values())).source
            rows.append([f"{method}, published ([source]({source}))", "", "", "", *cells])
    return markdown(rows)


def _floors(groups: Experiments, shown: list[Column]) -> dict[str, list[str]]:
    """The rows of floors by their titles: one row, or one for the experiments of each form of the data that differs."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for alike in by_form(groups).values():
        figures = [
            [figure_at(one.scores, column.score, "both") for title in alike for one in groups[title]]
            for column in shown
        ]
        known = [[one.floor for one in found if one and one.floor is not None][:1] for found in figures]
        if any(known):
            rows.setdefault(tuple(map(show, shown, known)), []).extend(alike)
    if len(rows) == 1:
        return {"floor": list(next(iter(rows)))}
    return {f"floor of {', '.join(sorted(titles))}": list(cells) for cells, titles in rows.items()}


def _whole(values: list[float]) -> str:
    mean = f"{statistics.fmean(values):.0f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.0f}"


def _by_method(published: Iterable[Published]) -> dict[str, dict[str, Published]]:
    found: dict[str, dict[str, Published]] = {}
    for one in published:
        found.setdefault(one.method, {})[one.score] = one
    return found


def label_tables(groups: Experiments) -> str:
    """For each experiment, how often the judge sees the right label, in Markdown."""
    parts = []
    for title, trained in groups.items():
        runs = [one.scores["generation"] for one in trained if "generation" in one.scores]
        tests = [test for test in TESTS if runs and test in runs[0]]
        if not tests:
            continue
        rows = [["label", "kind", *(TESTS[test] for test in tests), "chance %"]]
        for label, about in runs[0]["labels"].items():
            shares = [_percent([run[test][label]["mean"] for run in runs]) for test in tests]
            rows.append([label, about["kind"], *shares, _percent([about["chance"]])])
        parts.append(f"{title}\n\n{markdown(rows)}")
    return "\n\n".join(parts)


def _percent(shares: list[float]) -> str:
    mean = f"{100 * statistics.fmean(shares):.1f}"
    return mean if len(shares) == 1 else f"{mean} ± {100 * statistics.stdev(shares):.1f}"


def figure_tables(groups: Experiments, protocol: str) -> str:
    """Every figure of a protocol, a column for each experiment and for floors, in Markdown."""
    scored = {
        title: [figures(one.scores[protocol]) for one in trained if protocol in one.scores]
        for title, trained in groups.items()
    }
    scored = {title: found for title, found in scored.items() if found}
    paths = list(dict.fromkeys(path for found in scored.values() for path in found[0]))
    floors: dict[tuple[str, ...], list[str]] = {}
    for alike in by_form({title: groups[title] for title in scored}).values():
        of_form = [one for title in alike for one in scored[title]]
        cells = [[one[path].get("floor") for one in of_form if path in one] for path in paths]
        shown = ("" if not known or known[0] is None else f"{known[0]:.4g}" for known in cells)
        floors.setdefault(tuple(shown), []).extend(alike)
    names = [f"floor of {', '.join(sorted(titles))}" for titles in floors.values()]
    rows = [["", *scored, *(names if len(names) > 1 else ["floor"])]]
    for place, path in enumerate(paths):
        known = [[one[path]["mean"] for one in found if path in one] for found in scored.values()]
        rows.append([path, *map(_plain, known), *(column[place] for column in floors)])
    return markdown(rows)


def _plain(values: list[float]) -> str:
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.4g}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2g}"


def write_pages(root: str | Path) -> list[Path]:
    """Write `results/<data>.md` for every data set of the ledger, and the README's block between markers.

    Args:
        root: the repository's folder.

    Returns:
        The files written.

    Raises:
        ValueError: the README has lost its markers.
    """
    root = Path(root)
    trained = read_ledger(root / "results" / "ledger.csv")
    written = []
    for data in _data_sets(trained):
        page = root / "results" / f"{data}.md"
        page.write_text(_page(data, experiments(trained, data)))
        written.append(page)
    readme = root / "README.md"
    readme.write_text(with_block(readme.read_text(), readme_block(root)))
    return [*written, readme]


def _data_sets(trained: list[Trained]) -> list[str]:
    return sorted({one.config["data"]["name"] for one in trained})


def _page(data: str, groups: Experiments) -> str:
    parts = [
        f"# {data}",
        "Made from `ledger.csv` by `make results`; do not edit. Mean ± standard deviation over independently trained "
        "seeds. What each score means: `docs/protocols.md`.",
        table(groups, read_published(data)),
    ]
    if labels := label_tables(groups):
        parts += [
            "## Labels",
            "Generated clips in which the judge sees the right label. With the static code drawn, static labels should "
            "be at chance; with the dynamics drawn, dynamic ones.",
            labels,
        ]
    protocols = {name for trained in groups.values() for one in trained for name in one.scores}
    for protocol in sorted(protocols - {"generation"}):
        parts += [f"## Every figure of {protocol}", figure_tables(groups, protocol)]
    return "\n\n".join(parts) + "\n"


def readme_block(root: str | Path) -> str:
    """The README's results: a table per data set, of the recipes as they stand and the methods that they train."""
    trained = read_ledger(Path(root) / "results" / "ledger.csv")
    if not trained:
        return "No run is recorded yet."
    parts = []
    for data in _data_sets(trained):
        every = experiments(trained, data)
        groups = {title: runs for title, runs in every.items() if not changes(runs[0].config)}
        ours = {one.config["model"]["name"] for runs in groups.values() for one in runs}
        theirs = [one for one in read_published(data) if one.method.lower().replace("-", "_") in ours]
        others = ", trainings with changed settings too" if len(groups) < len(every) else ""
        parts.append(f"**{data}** ([every figure{others}](results/{data}.md))\n\n{table(groups, theirs)}")
    return "\n\n".join(parts)


def with_block(text: str, block: str) -> str:
    """The text with what stands between the two markers replaced by `block`.

    Raises:
        ValueError: a marker is missing.
    """
    start, end = text.find(MARKERS[0]), text.find(MARKERS[1])
    if start < 0 or end < start:
        raise ValueError(f"README.md: must hold the lines {MARKERS[0]} and {MARKERS[1]}")
    return f"{text[: start + len(MARKERS[0])]}\n{block}\n{text[end:]}"
