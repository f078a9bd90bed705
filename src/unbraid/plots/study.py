"""A search: the score of each trial, and the score over each setting."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unbraid.plots.style import DPI, DYNAMIC, FAINT, QUIET, STATIC, literal_text, tidy

__all__ = ["plot_study"]

WIDE = 3


@literal_text
def plot_study(trials: Sequence[Mapping[str, Any]], score: str, recipe: float | None = None) -> Figure:
    """The scores in the order of the trials with the best so far, then a panel for each setting.

    Args:
        trials: that have a score: `number`, `score`, and `values`: their settings by name.
        score: what it is called.
        recipe: the score of the recipe that the search started from, a dotted line.

    Raises:
        ValueError: no trials.
    """
    if not trials:
        raise ValueError("trials: none of them has a score; there is nothing to draw")
    trials = sorted(trials, key=lambda trial: trial["number"])
    settings = list(dict.fromkeys(name for trial in trials for name in trial["values"]))
    high = -(-(1 + len(settings)) // WIDE)
    figure = Figure(figsize=(3.6 * WIDE, 2.5 * high), dpi=DPI, facecolor="white", layout="constrained")
    panels = list(figure.subplots(high, WIDE, squeeze=False).flat)
    scores = np.array([trial["score"] for trial in trials])
    order = panels[0]
    order.plot([trial["number"] for trial in trials], scores, "o", color=DYNAMIC, markersize=4)
    order.step(
        [trial["number"] for trial in trials],
        np.maximum.accumulate(scores),
        where="post",
        color=STATIC,
        lw=1.2,
    )
    tidy(order, f"{score}, trial by trial")
    for axes, name in zip(panels[1:], settings, strict=False):
        _over(axes, [trial["values"].get(name) for trial in trials], scores)
        tidy(axes, name.replace("training.", "").replace(" ", ",\n"))
    for axes in panels[: 1 + len(settings)]:
        if recipe is not None:
            axes.axhline(recipe, color=QUIET, lw=1, ls=":")
    for axes in panels[1 + len(settings) :]:
        axes.set_axis_off()
    return figure


def _over(axes: Axes, values: Sequence[Any], scores: np.ndarray) -> None:
    """Scores over the values of a setting; the best is ringed. Words and few different numbers stand side by side."""
    different = sorted({str(value) for value in values})
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if numbers:
        places = np.array(values, float)
        if places.min() > 0 and places.max() / places.min() > 30:
            axes.set_xscale("log")
    else:
        places = np.array([different.index(str(value)) for value in values], float)
        axes.set_xticks(range(len(different)), different)
    axes.plot(places, scores, "o", color=DYNAMIC, markersize=4)
    best = int(scores.argmax())
    axes.plot(places[best], scores[best], "o", markersize=9, markerfacecolor="none", markeredgecolor=STATIC)
    axes.margins(0.08)
    axes.axhline(scores[best], color=FAINT, lw=0.8)
