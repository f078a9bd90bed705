"""Planted factors: where each factor is, and which code decides it in swapped sequences."""

from pathlib import Path
from typing import Any

from unbraid.evaluation.scores import Figure, Scores
from unbraid.report.blocks import Block, Cells, Heading, Paragraph, figure_cell, left_out, number

__all__ = ["headline", "section"]

MEASURES = {"accuracy": "accuracy", "auc": "area under the ROC curve", "r2": "R²"}
IN_SWAPS = {"accuracy": "accuracy", "auc": "area under the ROC curve", "r2": "correlation"}
CODES = (
    "A linear reader of each code, trained on real labels, scored on test. A static factor should be in s and not in d, a dynamic "
    "one in d and not in s. Floors: a constant, which knows nothing, and the same reader on raw values, which separate nothing."
)
SWAPS = (
    "A sequence is decoded from the static code of one donor and the dynamic code of another. A network that was trained on real "
    "sequences reads the factor. A static factor should follow the donor of s as far as it is seen in rebuilt sequences, a "
    "dynamic one the donor of d; the other donor should be at the floor, the agreement of two sequences drawn at random."
)


def headline(scores: Scores) -> str:
    """How many factors follow the right donor in swaps; without swaps nothing."""
    if "swaps" not in scores:
        return ""
    right = [
        name for name, about in scores["labels"].items() if _follows(scores["swaps"][name], about["kind"])
    ]
    wrong = [name for name in scores["labels"] if name not in right]
    sentence = f"In swapped sequences {len(right)} of {len(scores['labels'])} planted factors follow the code that should hold them"
    return f"{sentence}; not so {', '.join(wrong).replace('_', ' ')}." if wrong else f"{sentence}."


def _follows(tests: dict[str, Any], kind: str) -> bool:
    """Whether a factor agrees with the right donor by at least 85% of what is seen in rebuilt sequences above the floor."""
    figure, rebuilt = Figure.from_json(tests[f"{kind}_donor"]), tests["rebuilt"]["mean"]
    floor = figure.floor or 0.0
    return figure.mean - floor >= 0.85 * (rebuilt - floor) > 0


def section(scores: Scores, folder: Path) -> list[Block]:
    """A table of what is read from the codes, and one of swaps."""
    how, about = scores["protocol"], scores["labels"]
    facts = (
        f"{how['clips']:,} sequences of the {how['split']} split · readers trained on {how['clips_trained_on']:,} · "
        f"swaps with {how['repeats']} sets of partners"
    )
    blocks: list[Block] = [Heading("Planted factors"), Paragraph(facts, "facts")]
    rows = [
        [
            name.replace("_", " "),
            about[name]["kind"],
            *(_cell(read.get(code)) for code in ("static", "dynamic")),
            *(_cell(scores["floors"][name].get(floor)) for floor in ("raw", "constant")),
            MEASURES[about[name]["measure"]],
        ]
        for name, read in scores["codes"].items()
    ]
    head = ["read from the codes", "kind", "from s", "from d", "floor: raw values", "floor: constant", ""]
    blocks += [Cells(head, rows), Paragraph(CODES, "caption")]
    if "swaps" in scores:
        tests = ("static_donor", "dynamic_donor", "rebuilt", "real")
        rows = [
            [
                name.replace("_", " "),
                about[name]["kind"],
                *(_cell(seen[test]) for test in tests),
                number(seen["real"]["floor"], False),
                IN_SWAPS[about[name]["measure"]],
            ]
            for name, seen in scores["swaps"].items()
        ]
        head = ["swaps", "kind", "agrees with the donor of s", "of d", "rebuilt", "real", "floor", ""]
        blocks += [Cells(head, rows), Paragraph(SWAPS, "caption")]
    return blocks + left_out(scores)


def _cell(values: dict[str, float] | None) -> str:
    return "" if values is None else figure_cell(_rounded(Figure.from_json(values)), False)


def _rounded(figure: Figure) -> Figure:
    """The figure to three digits behind the point: R² of a constant is no 1e-17."""
    return Figure(round(figure.mean, 3), None if figure.std is None else round(figure.std, 3))
