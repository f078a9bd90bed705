"""Generation: scores of generated clips, what the judge sees in swaps, and between two static codes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unbraid import plots
from unbraid.evaluation.generation import LABEL_TESTS, MEASURES, scored_labels
from unbraid.evaluation.scores import Figure, Scores
from unbraid.report.blocks import (
    Block,
    Cells,
    Heading,
    Paragraph,
    drawn,
    figure_cell,
    number,
    stored_picture,
)

__all__ = ["headline", "section"]

BARS = (
    "How often a judge recognises each label of the original. A bar in full colour should be long; a pale one should end "
    "at its floor, the black tick: there the code that was exchanged carries no trace of it."
)
CONFUSION = (
    "Shares of the swapped clips of each class, in percent, in which the judge sees each class. Everything should lie on "
    "the diagonal."
)
FAILURES = (
    "Swapped clips in which the judge is surest of another class than that of the clip that should give it. Each is drawn "
    "beside the two clips that it is made of."
)
BETWEEN = (
    "The static code goes from a clip's own to its partner's, the dynamics stay. A dynamic label should be seen as in the "
    "clip itself all the way; a static one should pass from the clip's to the partner's. Dots: chance."
)


def headline(scores: Scores) -> str:
    """How well the labels follow the code that they belong to."""
    if "compared_with" in scores.get("protocol", {}):
        labels = " and ".join(scores["scored"]["labels"]).replace("_", " ")
        figure = Figure.from_json(scores["accuracy"])
        return (
            "The method has no encoder, so it is compared with its own clips (self-agreement): "
            f"{figure.mean:.1%} of pairs of drawn clips that share the code of {labels} agree in it; of pairs that share "
            f"nothing {figure.floor:.1%}."
        )
    if "swap" not in scores:
        error = scores["squared_error_per_clip"]
        share = f"its squared error is {error['mean'] / error['floor']:.1%} of the mean clip's"
        if "reconstruction" in scores:
            return f"The decoder does not read the static code, so only reconstruction is scored: {share}."
        return f"Without labels only reconstruction is scored: {share}."
    kinds = {name: label["kind"] for name, label in scores["labels"].items() if not label["part_of"]}
    static = [name for name, kind in kinds.items() if kind == "static"]
    if len(static) == len(kinds):
        return _static_only(scores, static)
    sentence = (
        f"{scores['accuracy']['mean']:.1%} of the clips keep {scored_labels(scores)['labels']} when their content is "
        "drawn anew"
    )
    if not static:
        return f"{sentence}."
    left = _mean(scores["keep_dynamic"], static)
    sentence += f"; the old content is still recognised in {left.mean:.1%} (chance {left.floor:.1%})."
    swapped = _mean(scores["swap"], list(kinds))
    return f"{sentence} In swaps, {swapped.mean:.1%} of all labels come from the clip that should give them."


def _static_only(scores: Scores, static: Sequence[str]) -> str:
    """How well static labels follow the static code, where no label describes the dynamics."""
    names = " and ".join(static).replace("_", " ")
    right, wrong = _mean(scores["swap"], static), _mean(scores["swap_leak"], static)
    sentence = (
        f"In swaps, {right.mean:.1%} of the clips show the {names} of the clip that gives the static code and "
        f"{wrong.mean:.1%} that of the clip that gives the dynamics (chance {right.floor:.1%})."
    )
    if "accuracy" in scores:
        sentence += f" When the dynamics are drawn anew, {scores['accuracy']['mean']:.1%} keep their {names}."
    return sentence


def _mean(figures: Mapping[str, Any], names: Sequence[str]) -> Figure:
    """The mean of several labels."""
    means, floors = ([figures[name][part] for name in names] for part in ("mean", "floor"))
    return Figure(float(np.mean(means)), floor=float(np.mean(floors)))


def section(scores: Scores, folder: Path) -> list[Block]:
    """Figures of the split, the tests of labels, and what the judge sees in swaps and between two static codes."""
    words = scored_labels(scores)
    rows = [
        [
            measure.heading,
            figure_cell(Figure.from_json(scores[key]), measure.share),
            number(scores[key]["floor"], measure.share),
            measure.meaning.format(**words),
        ]
        for key, measure in MEASURES.items()
        if key in scores
    ]
    blocks: list[Block] = [Heading("Scores"), Cells(["", "mean ± std", "floor", ""], rows)]
    if "static_drawn" in scores.get("protocol", {}):
        blocks.append(
            Paragraph(f"Static codes are not drawn from a prior: {scores['protocol']['static_drawn']}.")
        )
    if "judge" in scores:
        blocks += _label_tests(scores)
    blocks += _confusion(scores)
    blocks += stored_picture(folder, "failures", "Where the judge sees a wrong class", FAILURES)
    if "interpolation" in scores:
        picture = drawn(plots.plot_interpolation_scores(scores), "labels between two static codes", BETWEEN)
        blocks += [Heading("Between two static codes"), picture]
    return blocks


def _label_tests(scores: Scores) -> list[Block]:
    """How often the judge sees each label, as bars and as a table."""
    tests = [name for name in LABEL_TESTS if name in scores]
    shares = [scores[test] for test in tests] + [scores["judge"]["accuracy"]]
    rows = [
        [
            name,
            *(figure_cell(Figure.from_json(by_label[name]), True) for by_label in shares),
            number(label["chance"], True),
        ]
        for name, label in scores["labels"].items()
    ]
    head = ["label", *(LABEL_TESTS[test].title for test in tests), "judge on real clips", "floor"]
    blocks: list[Block] = [
        drawn(plots.plot_scores(scores), "bars of the scores beside their floors", BARS),
        Cells(head, rows),
    ]
    if not scores["judge"]["trusted"]:
        weak = "The judge is below 99% on real clips: read these scores with care."
        blocks.append(Paragraph(weak, "warning"))
    return blocks


def _confusion(scores: Scores) -> list[Block]:
    """The classes that the judge sees in swapped clips."""
    matrices = scores.get("confusion", {})
    if not matrices:
        return []
    return [
        Heading("Which classes the judge sees in swapped clips"),
        *(
            drawn(
                plots.plot_confusion(matrix["counts"], matrix["classes"], name),
                f"confusion of {name}",
                CONFUSION,
            )
            for name, matrix in matrices.items()
        ),
    ]
