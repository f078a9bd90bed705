"""Factors: how well labels belong to single coordinates, and what exchanging one label's coordinates changes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unbraid.evaluation.scores import Figure, Scores
from unbraid.report.blocks import (
    Block,
    Cells,
    Heading,
    Paragraph,
    figure_cell,
    left_out,
    number,
    stored_picture,
)

__all__ = ["headline", "section"]

MEASURES = {
    "disentanglement": "each coordinate tells about one label (DCI)",
    "completeness": "each label is told by one coordinate (DCI)",
    "informativeness": "labels predicted from all coordinates, mean accuracy (DCI)",
    "sap": "lead of the best coordinate of a label over the second best (SAP)",
    "modularity": "each coordinate has information about one label",
}
EXCHANGE = (
    "Every clip gets the coordinates of one label from a partner of another class. The judge should see the partner's class "
    "of that label (changed) and the clip's own of all others (kept); alone: both in the same clip. In brackets the floor, "
    "a random map with as many coordinates."
)
COMPONENTS = (
    "The same with {number} independent components of the static code, found on the train split without labels; each belongs to "
    "the label that it tells most about. `unbraid.find_components` gives them."
)
LINES = (
    "Each row moves the parts of the codes that carry one label from the first clip's to the last clip's: independent components "
    "where they were found, else coordinates. All other parts stay, so only that label should change."
)


def headline(scores: Scores) -> str:
    """How often a label changes alone, where there is a judge; otherwise nothing."""
    if "exchange" not in scores:
        return ""
    shares = {name: figures["alone"]["mean"] for name, figures in scores["exchange"].items()}
    best = max(shares, key=lambda name: shares[name])
    return (
        f"Exchanging the coordinates of one label changes it and nothing else in {shares[best]:.1%} of the clips for {best}, "
        f"the best of {len(shares)} labels."
    )


def section(scores: Scores, folder: Path) -> list[Block]:
    """The figures of the codes beside those of the raw values, the exchange of each label, and a picture of it."""
    raw = "pixels" if "pixels" in scores else "values"
    rows = [
        [
            name,
            *(figure_cell(Figure.from_json(scores[of][name]), False) for of in ("codes", raw)),
            number(scores["codes"][name]["floor"], False),
            meaning,
        ]
        for name, meaning in MEASURES.items()
    ]
    blocks: list[Block] = [
        Heading("Factors"),
        Cells(["", "codes", f"{raw} (floor)", "random codes (floor)", ""], rows),
        Cells(
            ["label", "static coordinates", "dynamic coordinates", "their share of the label", "accuracy"],
            [
                [
                    name,
                    str(len(found["static"])),
                    str(len(found["dynamic"])),
                    number(found["share"], True),
                    figure_cell(Figure.from_json(scores["codes"]["labels"][name]), True),
                ]
                for name, found in scores["map"].items()
            ],
        ),
    ]
    if "exchange" in scores:
        blocks += [
            Heading("One label exchanged", 3),
            _exchange(scores["exchange"]),
            Paragraph(EXCHANGE, "caption"),
        ]
    if components := scores.get("components"):
        blocks += [
            Heading("One label exchanged by independent components", 3),
            _exchange(components["exchange"]),
            Paragraph(COMPONENTS.format(number=components["number"]), "caption"),
        ]
    blocks += stored_picture(folder, "factors", "From one clip to another, label by label", LINES)
    return blocks + left_out(scores)


def _exchange(labels: Mapping[str, Any]) -> Cells:
    names = dict.fromkeys([*labels, *(other for figures in labels.values() for other in figures["kept"])])
    rows = []
    for name, figures in labels.items():
        kept = figures["kept"]
        cells = [_beside_floor(figures["changed"]), _beside_floor(figures["alone"])]
        rows.append([name, *cells, *(_beside_floor(kept[other]) if other in kept else "" for other in names)])
    return Cells(["exchanged", "changed", "alone", *(f"{name} kept" for name in names)], rows)


def _beside_floor(values: dict[str, float]) -> str:
    figure = Figure.from_json(values)
    return f"{figure_cell(figure, True)} ({number(figure.floor or 0.0, True)})"
