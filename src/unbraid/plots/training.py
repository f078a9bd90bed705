"""Curves of a training: terms, weights and mutual information, from its log."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from unbraid.plots.style import CLASSES, DPI, DYNAMIC, INK, QUIET, STATIC, literal_text, tidy

__all__ = ["plot_information", "plot_training"]

INFORMATION = {
    "static_dynamic": "I(s; d)",
    "static_dynamic_per_step": "I(s; d), step by step",
    "static_input": "I(s; x)",
    "dynamic_input": "I(d; x)",
    "dynamic_input_per_step": "I(d; x), step by step",
}


@literal_text
def plot_training(rows: Sequence[Mapping[str, str]]) -> Figure:
    """The total, every unweighted term and the weights over the steps.

    Args:
        rows: of a run's `metrics.csv`, as `csv.DictReader` gives them: step, split, total and the terms as
            text. Terms follow the column `total`; weights are called `weight/<term>`, other tracked values `<group>/<name>`.

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


@literal_text
def plot_information(rows: Sequence[Mapping[str, str]], dataset_size: int, batch_size: int) -> Figure:
    """Mutual information of the codes during training, on validation (C-DSVAE, Figures 14 and 15).

    The estimates are by minibatch weighted sampling. They are log N for codes without information and log(N M) for codes
    that separate all sequences (dotted lines); read whether a curve rises or falls.

    Args:
        rows: of `metrics.csv` with columns `information/<name>` in its validation rows.
        dataset_size: number N of training sequences.
        batch_size: number M of sequences in a batch.

    Raises:
        ValueError: no information was tracked.
    """
    names = [name for name in INFORMATION if rows and f"information/{name}" in rows[0]]
    if not names:
        raise ValueError("rows: no information was tracked; train with training.track_information=true")
    wide = 3
    high = -(-len(names) // wide)
    figure = Figure(figsize=(3.4 * wide, 2.3 * high), dpi=DPI, facecolor="white", layout="constrained")
    panels = list(figure.subplots(high, wide, squeeze=False).flat)
    nothing, everything = np.log(dataset_size), np.log(dataset_size) + np.log(batch_size)
    for axes, name in zip(panels, names, strict=False):
        steps, values = _logged(rows, f"information/{name}", "validation")
        colour = STATIC if name == "static_input" else DYNAMIC if "input" in name else INK
        axes.plot(steps, values, color=colour, linewidth=1.5, marker="o", markersize=3)
        for level in (nothing, everything):
            axes.axhline(level, color=QUIET, linewidth=0.8, linestyle=":")
        axes.set_ylim(nothing - 0.4, everything + 0.4)
        tidy(axes, f"{INFORMATION[name]}, nats")
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    figure.supxlabel("training steps", fontsize=9, color=QUIET)
    panels[0].text(0.98, nothing, "nothing ", **_beside(panels[0], "bottom"))
    panels[0].text(0.98, everything, "everything ", **_beside(panels[0], "top"))
    return figure


def _beside(axes: Axes, side: str) -> dict[str, Any]:
    return {
        "transform": axes.get_yaxis_transform(),
        "ha": "right",
        "va": side,
        "fontsize": 7,
        "color": QUIET,
    }


def _logged(rows: Sequence[Mapping[str, str]], column: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a column where it was logged for a split."""
    pairs = [(float(r["step"]), float(r[column])) for r in rows if r["split"] == split and r.get(column)]
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])


def _curves(axes: Axes, rows: Sequence[Mapping[str, str]], term: str) -> None:
    steps, values = _logged(rows, term, "train")
    axes.plot(steps, values, color=DYNAMIC, linewidth=1.2, alpha=0.75, label="train")
    validated, losses = _logged(rows, term, "validation")
    axes.plot(validated, losses, color=STATIC, linewidth=1.2, marker="o", markersize=3, label="validation")
    both = np.concatenate([values, losses])
    if len(both) and both.min() > 0 and both.max() > 20 * both.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    tidy(axes, term.replace("_", " "))


def _weight_curves(axes: Axes, rows: Sequence[Mapping[str, str]], weights: Sequence[str]) -> None:
    for number, column in enumerate(weights):
        steps, values = _logged(rows, column, "train")
        name = column.removeprefix("weight/").replace("_", " ")
        axes.plot(steps, values, color=CLASSES[number % len(CLASSES)], linewidth=1.2, label=name)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7, framealpha=0.9, edgecolor="white", labelcolor=QUIET)
    tidy(axes, "weights")
