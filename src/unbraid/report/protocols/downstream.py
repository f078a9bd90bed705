"""Downstream tasks: labels and targets predicted from the codes, beside their floors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unbraid import plots
from unbraid.evaluation.downstream import CODES, FLOORS, MEASURE_TITLES
from unbraid.evaluation.scores import Figure, Scores
from unbraid.report.blocks import Block, Cells, Heading, Paragraph, drawn, figure_cell, left_out, number

__all__ = ["headline", "section"]

READERS = ("linear", "network")
CAPTION = (
    "Readers are trained on the train split with the codes as input, chosen on validation, trained again on both, and "
    "scored once. From both codes a reader takes s, d or s with d, as validation chooses. Filled dots: "
    "the network; rings: logistic or ridge regression; grey: floors, which see no codes. The dashed line is the best of "
    "the plain floors; the network end to end on the raw series is not one of them."
)


def headline(scores: Scores) -> str:
    """Each task's first measure, of the linear reader of both codes, beside its floor."""
    tasks = []
    for name, task in scores["tasks"].items():
        measure = "skill" if task["kind"] == "target" else next(iter(task["floors"]["constant"]))
        figure = task["codes"]["both"]["linear"][measure]
        mean, floor = number(figure["mean"], False), number(figure["floor"], False)
        tasks.append(f"{name.replace('_', ' ')} {mean} (floor {floor}), {MEASURE_TITLES[measure]}")
    return f"Predicted from both codes by a linear reader: {'; '.join(tasks)}." if tasks else ""


def section(scores: Scores, folder: Path) -> list[Block]:
    """A picture and a table for each task."""
    how = scores["protocol"]
    units = "sequences" if how["groups"] == how["clips"] else "groups"
    facts = (
        f"{how['clips']:,} sequences of the {how['split']} split · networks trained {how['repeats']} times · brackets and "
        f"lines: 95% of {how['resamples']} resamples of the {how['groups']:,} {units}"
    )
    blocks: list[Block] = [Heading("What the codes predict"), Paragraph(facts, "facts")]
    for name, task in scores["tasks"].items():
        picture = drawn(plots.plot_downstream(task, name), f"figures of {name} beside floors")
        blocks += [Heading(name.replace("_", " "), 3), picture, _table(task)]
    if scores["tasks"]:
        blocks.append(Paragraph(CAPTION, "caption"))
    return blocks + left_out(scores)


def _table(task: Mapping[str, Any]) -> Cells:
    measures = list(task["floors"]["constant"])

    def cells(figures: Mapping[str, Any]) -> list[str]:
        return [figure_cell(Figure.from_json(figures[measure]), False) for measure in measures]

    rows = [
        [f"{title}, {reader}", *cells(task["codes"][code][reader])]
        for code, title in CODES.items()
        for reader in READERS
    ]
    rows += [
        [f"{title}, linear, cross-validated", *(number(crossed[measure], False) for measure in measures)]
        for code, title in CODES.items()
        if (crossed := task["codes"][code]["linear"].get("cross_validated"))
    ]
    rows += [
        [f"floor: {title}", *cells(task["floors"][floor])]
        for floor, title in FLOORS.items()
        if floor in task["floors"]
    ]
    return Cells(["", *(MEASURE_TITLES[measure] for measure in measures)], rows)
