"""Scores of every protocol, beside their floors.

The functions take what the `evaluate_...` functions return, or what the score files of a run hold.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unbraid.evaluation.downstream import CODES, FLOORS, MEASURE_TITLES
from unbraid.evaluation.generation import LABEL_TESTS
from unbraid.evaluation.leakage import FEATURES
from unbraid.plots.style import BOTH, DPI, DYNAMIC, FAINT, INK, QUIET, STATIC, literal_text, tidy

__all__ = [
    "plot_confusion",
    "plot_downstream",
    "plot_interpolation_scores",
    "plot_leakage",
    "plot_scores",
]

SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#cfe0e7", DYNAMIC, "#123b4a"])
MANY_CLASSES = 12  # above, a matrix has no numbers in its cells
COLOURS = {"static": STATIC, "dynamic": DYNAMIC, "both": BOTH}

# ---- bars -----------------------------------------------------------------------------------------------


@literal_text
def plot_scores(scores: Mapping[str, Any]) -> Figure:
    """How often generated clips show each label, beside its floor, for every test of `evaluate_generation`.

    A bar in full colour should be long; a pale one should end at its floor, the black tick.

    Raises:
        ValueError: the scores hold no test of labels.
    """
    tests = {name: test for name, test in LABEL_TESTS.items() if name in scores}
    if not tests:
        raise ValueError("scores: hold no test of labels; there is nothing to draw")
    kinds = {name: about["kind"] for name, about in scores["labels"].items()}
    names = sorted(kinds, key=lambda name: kinds[name] == "dynamic")
    figure, grid = _bars(len(tests), names)
    for axes, (key, test) in zip(grid, tests.items(), strict=True):
        for row, name in enumerate(names):
            _bar(axes, row, scores[key][name], kinds[name], kinds[name] in test.recognised)
        axes.set_title(test.title, fontsize=9, color=INK, loc="left")
    return figure


@literal_text
def plot_leakage(scores: Mapping[str, Any]) -> Figure:
    """How well classifiers predict each label from each code, beside the share of the most frequent class.

    A bar in full colour should be long; a pale one should end at the black tick: anything beyond is leakage.

    Args:
        scores: of `evaluate_leakage`.

    Raises:
        ValueError: no label could be divided.
    """
    latent, labels = scores["latent"], scores["labels"]
    names = sorted(
        (name for name in labels if name in latent["static"]),
        key=lambda name: labels[name]["kind"] == "dynamic",
    )
    if not names:
        raise ValueError("scores: hold no label that could be divided; there is nothing to draw")
    figure, grid = _bars(len(latent), names)
    for axes, (features, accuracies) in zip(grid, latent.items(), strict=True):
        for row, name in enumerate(names):
            kind = labels[name]["kind"]
            belongs = features.startswith(kind) or features in ("pixels", "values")
            _bar(axes, row, accuracies[name]["mean"], kind, belongs)
        axes.set_title(FEATURES[features], fontsize=9, color=INK, loc="left")
    return figure


def _bars(columns: int, names: Sequence[str]) -> tuple[Figure, np.ndarray]:
    """Empty axes side by side with a row for each label."""
    size = (2.45 * columns + 1.2, 0.36 * len(names) + 1.1)
    figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout="constrained")
    grid = figure.subplots(1, columns, squeeze=False)[0]
    for column, axes in enumerate(grid):
        axes.set_xlim(0, 1.22)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xticks([0, 0.5, 1], ["0", "50%", "100%"], fontsize=8, color=QUIET)
        axes.set_yticks(range(len(names)), names if column == 0 else [""] * len(names), fontsize=9, color=INK)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure, grid


def _bar(axes: Axes, row: int, figure: Mapping[str, float], kind: str, strong: bool) -> None:
    """A share with its floor in one row; pale unless it is `strong`, which should be long."""
    axes.barh(row, 1, height=0.62, color="#f3f4f6")
    axes.barh(row, figure["mean"], height=0.62, color=COLOURS[kind], alpha=1 if strong else 0.45)
    axes.plot([figure["floor"]] * 2, [row - 0.38, row + 0.38], color=INK, linewidth=1.6)
    axes.text(1.03, row, f"{figure['mean']:.1%}", va="center", fontsize=8, color=INK)


# ---- what the judge sees --------------------------------------------------------------------------------


@literal_text
def plot_confusion(counts: Int[np.ndarray, "K K"], classes: Sequence[str], title: str = "") -> Figure:
    """The classes that the judge sees in generated clips, as shares of each true class (DBSE, Figure 6, right).

    Args:
        counts: clips of each true class (rows) seen as each class (columns).
        classes: names.
        title: above the matrix.
    """
    counts = np.asarray(counts)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"counts: has shape {counts.shape} for {len(classes)} classes")
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = max(2.6, 0.42 * len(classes)) if len(classes) <= MANY_CLASSES else 6.0
    longest = max(len(name) for name in classes)
    size = (side + 0.075 * longest + 0.9, side + 0.075 * longest + (0.75 if title else 0.45))
    figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=1)
    places = range(len(classes))
    if len(classes) <= 3 * MANY_CLASSES:
        axes.set_xticks(places, classes, rotation=90 if longest > 2 else 0, fontsize=8.5, color=INK)
        axes.set_yticks(places, classes, fontsize=8.5, color=INK)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    if len(classes) <= MANY_CLASSES:
        for row, column in np.argwhere(shares >= 0.005):
            share = shares[row, column]
            colour = "white" if share > 0.45 else INK
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(np.arange(len(classes) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(classes) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#eceef1", linewidth=1)
    axes.tick_params(length=0, which="both")
    axes.set_xlabel("what the judge sees", fontsize=9, color=QUIET)
    axes.set_ylabel("what it should see", fontsize=9, color=QUIET)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    if title:
        axes.set_title(title, fontsize=10, color=INK)
    return figure


@literal_text
def plot_interpolation_scores(scores: Mapping[str, Any]) -> Figure:
    """How often each label is seen as in the one clip and as in the other while the static code goes between them.

    Args:
        scores: of `evaluate_generation`.

    Raises:
        ValueError: they hold no interpolation.
    """
    if "interpolation" not in scores:
        raise ValueError("scores: hold no interpolation; score with labels and a judge")
    labels = {name: label for name, label in scores["labels"].items() if not label["part_of"]}
    figure = Figure(figsize=(2.2 * len(labels) + 0.6, 2.6), dpi=DPI, facecolor="white", layout="constrained")
    grid = figure.subplots(1, len(labels), sharey=True, squeeze=False)[0]
    for axes, (name, label) in zip(grid, labels.items(), strict=True):
        shares = [float(share.rstrip("%")) / 100 for share in scores["interpolation"]["own"]]
        for whose, line in (("own", "-"), ("other", "--")):
            values = [figures[name]["mean"] for figures in scores["interpolation"][whose].values()]
            axes.plot(
                shares, values, line, color=COLOURS[label["kind"]], linewidth=1.6, marker="o", markersize=3
            )
        axes.axhline(label["chance"], color=INK, linewidth=0.8, linestyle=":")
        axes.set_ylim(-0.03, 1.05)
        axes.set_xticks([0, 0.5, 1], ["own", "half", "partner"])
        axes.set_yticks([0, 0.5, 1], ["0", "50%", "100%"])
        tidy(axes, f"{name} ({label['kind']})")
    lines = [Line2D([], [], color=QUIET, linewidth=1.6, linestyle=line) for line in ("-", "--")]
    figure.legend(
        lines, ["seen as in the clip itself", "seen as in its partner"], loc="outside lower center", ncols=2,
        fontsize=8.5, frameon=False, labelcolor=QUIET, handlelength=2.6,
    )  # fmt: skip
    return figure


# ---- downstream tasks ------------------------------------------------------------------------------------


@literal_text
def plot_downstream(task: Mapping[str, Any], name: str) -> Figure:
    """How well one label or target is predicted from the codes, above its floors.

    A filled dot is the network, a ring the linear reader, a grey dot a floor; lines are 95% intervals; the dashed line is
    the best of the plain floors.

    Args:
        task: of the scores of `evaluate_downstream`, `scores["tasks"][name]`.
        name: of the label or target.
    """
    measures = [name for name in MEASURE_TITLES if name in task["floors"]["constant"]]
    floors = [floor for floor in FLOORS if floor in task["floors"]]
    rows = len(CODES) + len(floors)
    width, height = 2.35 + 3.9 * len(measures), 0.85 + 0.3 * rows
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    panels = figure.subplots(1, len(measures), squeeze=False, sharey=True)[0]
    figure.subplots_adjust(2.2 / width, 0.5 / height, 1 - 0.15 / width, 1 - 0.35 / height, 0.07)
    for axes, measure in zip(panels, measures, strict=True):
        for row, code in enumerate(CODES):
            readers, colour = task["codes"][code], COLOURS[code]
            _interval(axes, row - 0.16, readers["network"][measure], colour, filled=True)
            _interval(axes, row + 0.16, readers["linear"][measure], colour, filled=False)
        for row, floor in enumerate(floors, len(CODES)):
            _interval(axes, row, task["floors"][floor][measure], QUIET, filled=True)
        axes.axvline(
            task["floors"]["constant"][measure]["floor"], color=INK, linewidth=0.9, linestyle=(0, (4, 3))
        )
        axes.axhline(len(CODES) - 0.5, color=FAINT, linewidth=0.8)
        axes.set_title(MEASURE_TITLES[measure], fontsize=10, color=INK, loc="left")
        axes.grid(axis="x", color="#eceef1", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8, colors=QUIET, length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    titles = [*CODES.values(), *(FLOORS[floor] for floor in floors)]
    colours = [*(COLOURS[code] for code in CODES), *[QUIET] * len(floors)]
    panels[0].set_yticks(range(rows), titles, fontsize=9)
    for text, colour in zip(panels[0].get_yticklabels(), colours, strict=True):
        text.set_color(colour)
    panels[0].set_ylim(rows - 0.5, -0.5)
    figure.text(0.12 / width, 1 - 0.2 / height, name.replace("_", " "), fontsize=11, color=INK, va="center")
    return figure


def _interval(axes: Axes, row: float, figure: Mapping[str, float], colour: str, filled: bool) -> None:
    axes.plot([figure["low"], figure["high"]], [row, row], color=colour, linewidth=1.4, alpha=0.55)
    face = colour if filled else "white"
    axes.plot(figure["mean"], row, "o", color=colour, markerfacecolor=face, markersize=5, markeredgewidth=1.2)
