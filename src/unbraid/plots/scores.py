"""Scores of generation beside their floors."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unbraid.plots.style import DPI, DYNAMIC, INK, QUIET, STATIC

__all__ = ["plot_scores", "score_bar"]

TESTS = {
    "reconstruction": "Reconstruction",
    "keep_dynamic": "Dynamics kept, static drawn",
    "keep_static": "Static kept, dynamics drawn",
    "swap": "Swap: agrees with the right giver",
    "swap_leak": "Swap: agrees with the wrong giver",
}


def plot_scores(scores: Mapping[str, Any]) -> Figure:
    """How often generated clips show each label, beside its floor, for every test of `evaluate_generation`.

    A bar in full colour should be long; a pale one should end at its floor, the black tick.
    """
    tests = [name for name in TESTS if name in scores]
    if not tests:
        raise ValueError("scores: hold no test of labels; there is nothing to draw")
    kinds = {name: described["kind"] for name, described in scores["labels"].items()}
    names = sorted(kinds, key=lambda name: kinds[name] == "dynamic")
    size = (2.45 * len(tests) + 1.2, 0.36 * len(names) + 1.1)
    figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout="constrained")
    for column, (axes, test) in enumerate(
        zip(figure.subplots(1, len(tests), squeeze=False)[0], tests, strict=True)
    ):
        for row, name in enumerate(names):
            score_bar(axes, row, scores[test][name], kinds[name], _should_be_kept(test, kinds[name]))
        axes.set_title(TESTS[test], fontsize=9, color=INK, loc="left")
        axes.set_xlim(0, 1.22)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xticks([0, 0.5, 1], ["0", "50%", "100%"], fontsize=8, color=QUIET)
        axes.set_yticks(range(len(names)), names if column == 0 else [""] * len(names), fontsize=9, color=INK)
        axes.tick_params(length=0)
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(False)
    return figure


def _should_be_kept(test: str, kind: str) -> bool:
    keeps = {"keep_dynamic": kind == "dynamic", "keep_static": kind == "static", "swap_leak": False}
    return keeps.get(test, True)


def score_bar(axes: Axes, row: int, figure: Mapping[str, float], kind: str, kept: bool) -> None:
    """One bar of a share with its floor, at place `row`; pale unless it should be long (`kept`)."""
    colour = DYNAMIC if kind == "dynamic" else STATIC
    axes.barh(row, 1, height=0.62, color="#f3f4f6")
    axes.barh(row, figure["mean"], height=0.62, color=colour, alpha=1 if kept else 0.45)
    axes.plot([figure["floor"]] * 2, [row - 0.38, row + 0.38], color=INK, linewidth=1.6)
    axes.text(1.03, row, f"{figure['mean']:.1%}", va="center", fontsize=8, color=INK)
