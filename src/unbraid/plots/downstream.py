"""Downstream scores of the codes beside their floors."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unbraid.plots.style import DPI, DYNAMIC, FAINT, INK, QUIET, STATIC

__all__ = ["DOWNSTREAM_FIGURES", "DOWNSTREAM_FLOORS", "DOWNSTREAM_PARTS", "plot_downstream"]

BOTH = "#8a5fa8"
DOWNSTREAM_PARTS = {
    "static": ("static code", STATIC),
    "dynamic": ("dynamic codes", DYNAMIC),
    "both": ("both codes", BOTH),
}
DOWNSTREAM_FLOORS = {
    "constant": "constant",
    "raw_linear": "raw series, linear",
    "raw_chosen": "raw series, linear on chosen summaries",
    "raw_neighbour": "raw series, nearest neighbour",
    "raw_centroid": "raw series, nearest centre",
    "raw_network": "raw series, network end to end",
}
DOWNSTREAM_FIGURES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "mae": "mean absolute error (low is good)",
    "skill": "skill: 1 − MAE / MAE of a constant",
}


def plot_downstream(task: Mapping[str, Any], name: str) -> Figure:
    """How well one label or target is told from the codes, above its floors.

    A filled dot is the network, a ring the linear reader, a grey dot a floor; lines are 95% intervals; the dashed line is
    the best of the plain floors.

    Args:
        task: of the scores of `evaluate_downstream`, `scores["tasks"][name]`.
        name: of the label or target.
    """
    figures = [figure for figure in DOWNSTREAM_FIGURES if figure in task["floors"]["constant"]]
    floors = [floor for floor in DOWNSTREAM_FLOORS if floor in task["floors"]]
    rows = len(DOWNSTREAM_PARTS) + len(floors)
    width, height = 2.35 + 3.9 * len(figures), 0.85 + 0.3 * rows
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    panels = figure.subplots(1, len(figures), squeeze=False, sharey=True)[0]
    figure.subplots_adjust(2.2 / width, 0.5 / height, 1 - 0.15 / width, 1 - 0.35 / height, 0.07)
    for axes, wanted in zip(panels, figures, strict=True):
        for row, (part, (_, colour)) in enumerate(DOWNSTREAM_PARTS.items()):
            readers = task["codes"][part]
            _interval(axes, row - 0.16, readers["network"][wanted], colour, filled=True)
            _interval(axes, row + 0.16, readers["linear"][wanted], colour, filled=False)
        for row, floor in enumerate(floors, len(DOWNSTREAM_PARTS)):
            _interval(axes, row, task["floors"][floor][wanted], QUIET, filled=True)
        axes.axvline(
            task["floors"]["constant"][wanted]["floor"], color=INK, linewidth=0.9, linestyle=(0, (4, 3))
        )
        axes.axhline(len(DOWNSTREAM_PARTS) - 0.5, color=FAINT, linewidth=0.8)
        axes.set_title(DOWNSTREAM_FIGURES[wanted], fontsize=10, color=INK, loc="left")
        axes.grid(axis="x", color="#eceef1", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8, colors=QUIET, length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    words = [
        *[text for text, _ in DOWNSTREAM_PARTS.values()],
        *[DOWNSTREAM_FLOORS[floor] for floor in floors],
    ]
    colours = [*[colour for _, colour in DOWNSTREAM_PARTS.values()], *[QUIET] * len(floors)]
    panels[0].set_yticks(range(rows), words, fontsize=9)
    for text, colour in zip(panels[0].get_yticklabels(), colours, strict=True):
        text.set_color(colour)
    panels[0].set_ylim(rows - 0.5, -0.5)
    figure.text(0.12 / width, 1 - 0.2 / height, name.replace("_", " "), fontsize=11, color=INK, va="center")
    return figure


def _interval(axes: Axes, row: float, figure: Mapping[str, float], colour: str, filled: bool) -> None:
    axes.plot([figure["low"], figure["high"]], [row, row], color=colour, linewidth=1.4, alpha=0.55)
    face = colour if filled else "white"
    axes.plot(figure["mean"], row, "o", color=colour, markerfacecolor=face, markersize=5, markeredgewidth=1.2)
