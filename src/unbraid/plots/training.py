"""Curves of a training, from its log."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from unbraid.plots.style import CLASSES, DPI, DYNAMIC, QUIET, STATIC, tidy

__all__ = ["logged", "plot_training"]


def plot_training(rows: Sequence[Mapping[str, str]]) -> Figure:
    """The total, every unweighted term and the weights over the steps.

    Args:
        rows: of a run's `metrics.csv`, as `csv.DictReader` gives them: step, split, total and the terms as
            text; terms start after the column `total`, weights are called `weight/<term>`, and what else is tracked has
            a name with a stroke as well.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("rows: metrics.csv holds no row yet")
    columns = list(rows[0])
    terms = [c for c in columns[columns.index("total") :] if "/" not in c]
    weights = [c for c in columns if c.startswith("weight/")]
    wide = 3
    high = -(-(len(terms) + bool(weights)) // wide)
    figure = Figure(figsize=(3.4 * wide, 2.25 * high), dpi=DPI, facecolor="white", layout="constrained")
    panels = list(figure.subplots(high, wide, squeeze=False).flat)
    for axes, term in zip(panels, terms, strict=False):
        _curves(axes, rows, term)
    if weights:
        _weight_curves(panels[len(terms)], rows, weights)
    for axes in panels[len(terms) + bool(weights) :]:
        axes.set_axis_off()
    panels[0].legend(fontsize=8, frameon=False, labelcolor=QUIET)
    return figure


def logged(rows: Sequence[Mapping[str, str]], column: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a column where it was logged for a split."""
    pairs = [(float(r["step"]), float(r[column])) for r in rows if r["split"] == split and r.get(column)]
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])


def _curves(axes: Axes, rows: Sequence[Mapping[str, str]], term: str) -> None:
    steps, values = logged(rows, term, "train")
    axes.plot(steps, values, color=DYNAMIC, linewidth=1.2, alpha=0.75, label="train")
    checked, found = logged(rows, term, "validation")
    axes.plot(checked, found, color=STATIC, linewidth=1.2, marker="o", markersize=3, label="validation")
    both = np.concatenate([values, found])
    if len(both) and both.min() > 0 and both.max() > 20 * both.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    tidy(axes, term.replace("_", " "))


def _weight_curves(axes: Axes, rows: Sequence[Mapping[str, str]], weights: Sequence[str]) -> None:
    for number, column in enumerate(weights):
        steps, values = logged(rows, column, "train")
        name = column.removeprefix("weight/").replace("_", " ")
        axes.plot(steps, values, color=CLASSES[number % len(CLASSES)], linewidth=1.2, label=name)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7, framealpha=0.9, edgecolor="white", labelcolor=QUIET)
    tidy(axes, "weights")
