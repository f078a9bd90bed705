"""Codes in two dimensions, coloured by label or by code."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from unbraid.data.sequences import Label
from unbraid.plots.style import CLASSES, DPI, DYNAMIC, FAINT, INK, QUIET, STATIC, literal_text

__all__ = ["MAP_SIDE", "embed", "map_places", "nearest_place", "plot_codes", "plot_joint_codes", "plot_map"]

CODE_COLUMNS = 4
MAP_SIDE = 5.0  # inches
MAP_MARGIN = 0.05  # of the side of a map, round its points
MOST_CLASSES = 12  # in a legend


def embed(
    points: Float[np.ndarray, "N D"], seed: int = 0, perplexity: float = 30
) -> Float[np.ndarray, "N 2"]:
    """t-SNE (van der Maaten and Hinton, 2008) in two dimensions, from scikit-learn.

    The perplexity is lowered where there are fewer than three times as many points.
    """
    from sklearn.manifold import TSNE

    perplexity = min(perplexity, max(1.0, (len(points) - 1) / 3))
    return TSNE(perplexity=perplexity, random_state=seed, init="pca").fit_transform(
        np.asarray(points, np.float32)
    )


@literal_text
def plot_codes(
    static: Float[np.ndarray, "N 2"],
    dynamic: Float[np.ndarray, "N 2"],
    labels: Mapping[str, Label | Float[np.ndarray, "N"]],
) -> Figure:
    """Both codes in two dimensions (see `embed`), once for each label, coloured by its classes.

    Where a code holds a label its colours form clumps; where it does not they are mixed.

    Args:
        static: static codes in two dimensions.
        dynamic: dynamic codes in two dimensions.
        labels: labels, and numbers by their names. Numbers are coloured by their rank, from dark (low) to light; those
            that are NaN are left out.
    """
    names = list(labels) or [""]
    wide = -(-len(names) // -(-len(names) // CODE_COLUMNS))
    blocks = [names[i : i + wide] for i in range(0, len(names), wide)]
    figure = Figure(figsize=(2.6 * wide + 0.5, 6.4 * len(blocks)), dpi=DPI, facecolor="white")
    panels = figure.subfigures(len(blocks), 1, squeeze=False)[:, 0]
    for block, part in zip(panels, blocks, strict=True):
        grid = block.subplots(2, wide, squeeze=False)
        block.subplots_adjust(0.28 / (wide + 0.2), 0.17, 0.99, 0.95, 0.06, 0.06)
        for row, (points, title, colour) in enumerate(
            [(static, "static code", STATIC), (dynamic, "dynamic code, mean over steps", DYNAMIC)]
        ):
            for axes, name in zip(grid[row], part, strict=False):
                _scatter(axes, points, labels.get(name))
            grid[row, 0].set_ylabel(title, fontsize=10, color=colour)
            for axes in grid[row, len(part) :]:
                axes.set_axis_off()
        for axes, name in zip(grid.T, part, strict=False):
            axes[0].set_title(name, fontsize=11, color=INK)
            if name:
                _class_legend(axes[1], labels[name])
    return figure


def _scatter(
    axes: Axes, points: np.ndarray, label: Label | np.ndarray | None, size: float | None = None
) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    size = size or max(3, min(14, 6000 / len(points)))
    if isinstance(label, np.ndarray):
        rows = ~np.isnan(label)
        points, colours = points[rows], colormaps["viridis"](_ranks(label[rows]))
    elif label is None:
        colours = INK
    else:
        colours = [_class_colours(len(label.classes))[v] for v in label.values]
    axes.scatter(points[:, 0], points[:, 1], s=size, c=colours, linewidths=0, alpha=0.85)


def _ranks(values: np.ndarray) -> np.ndarray:
    """The place of each value among all, from 0 to 1; equal values share one."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = counts.cumsum() - (counts + 1) / 2
    return middle[place] / max(len(values) - 1, 1)


def _class_colours(count: int) -> list[Any]:
    if count <= len(CLASSES):
        return list(CLASSES[:count])
    return [
        tuple(hsv_to_rgb((i / count, 0.55 + 0.25 * (i % 2), 0.85 - 0.2 * (i % 3 == 0)))) for i in range(count)
    ]


def _class_legend(axes: Axes, label: Label | np.ndarray) -> None:
    if isinstance(label, np.ndarray):
        low, middle, high = np.nanquantile(label, (0, 0.5, 1))
        legend = f"{low:.3g} (dark), median {middle:.3g}, {high:.3g} (light)"
        axes.set_xlabel(legend, fontsize=8, color=QUIET)
        return
    if len(label.classes) > MOST_CLASSES:
        axes.set_xlabel(f"{len(label.classes)} classes", fontsize=8, color=QUIET)
        return
    for name, colour in zip(label.classes, _class_colours(len(label.classes)), strict=True):
        axes.scatter([], [], s=22, color=colour, label=str(name))
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2, fontsize=7.5, frameon=False,
        handletextpad=0.2, columnspacing=0.8, labelcolor=QUIET,
    )  # fmt: skip


@literal_text
def plot_joint_codes(static: Float[np.ndarray, "N 2"], dynamic: Float[np.ndarray, "M 2"]) -> Figure:
    """Static codes and mean dynamic codes embedded together in two dimensions (DBSE, Figure 7, left).

    Two separate clouds show that the two codes take different regions of one space.
    """
    figure = Figure(figsize=(4.2, 4.4), dpi=DPI, facecolor="white", layout="constrained")
    axes = figure.subplots()
    size = max(3, min(14, 6000 / (len(static) + len(dynamic))))
    clouds = ((static, STATIC, "static"), (dynamic, DYNAMIC, "dynamic, mean over steps"))
    for points, colour, name in clouds:
        axes.scatter(points[:, 0], points[:, 1], s=size, c=colour, linewidths=0, alpha=0.8, label=name)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=2, fontsize=9, frameon=False, labelcolor=QUIET,
        handletextpad=0.2, markerscale=2,
    )  # fmt: skip
    return figure


# ---- maps to click on -----------------------------------------------------------------------------------


def map_places(points: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
    """Places of points in the square of a map: shares of its side, from the left and from the top."""
    low, high = points.min(0), points.max(0)
    shares = (points - low) / np.where(high > low, high - low, 1)
    return MAP_MARGIN + (1 - 2 * MAP_MARGIN) * np.stack([shares[:, 0], 1 - shares[:, 1]], 1)


def nearest_place(places: Float[np.ndarray, "N 2"], across: float, down: float) -> int:
    """The point that is nearest to a place in the square of a map."""
    return int(np.argmin(np.square(places - (across, down)).sum(1)))


@literal_text
def plot_map(
    places: Float[np.ndarray, "N 2"],
    label: Label | Float[np.ndarray, "N"] | None = None,
    marked: int | None = None,
) -> Figure:
    """Codes in two dimensions as a square that fills the width of the figure, with the legend below it.

    Args:
        places: see `map_places`.
        label: colours the points; see `plot_codes`.
        marked: the point in a ring.
    """
    classes = label.classes if isinstance(label, Label) else ()
    lines = -(-len(classes) // 3) if 0 < len(classes) <= MOST_CLASSES else int(label is not None)
    height = MAP_SIDE + 0.12 + 0.24 * lines
    figure = Figure(figsize=(MAP_SIDE, height), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0, 1 - MAP_SIDE / height, 1, MAP_SIDE / height))
    _scatter(axes, places, label, size=34)
    axes.set_xlim(0, 1)
    axes.set_ylim(1, 0)
    if marked is not None:
        axes.scatter(
            places[marked, 0], places[marked, 1], s=190, facecolors="none", edgecolors=INK, linewidths=2
        )
    below = figure.add_axes((0, 0, 1, 1 - MAP_SIDE / height))
    below.set_axis_off()
    if isinstance(label, np.ndarray):
        low, middle, high = np.nanquantile(label, (0, 0.5, 1))
        text = f"{low:.3g} (dark), median {middle:.3g}, {high:.3g} (light)"
        below.text(0.5, 0.5, text, ha="center", va="center", fontsize=10, color=QUIET)
    elif len(classes) > MOST_CLASSES:
        below.text(0.5, 0.5, f"{len(classes)} classes", ha="center", va="center", fontsize=10, color=QUIET)
    for name, colour in zip(classes, _class_colours(len(classes)), strict=True):
        below.scatter([], [], s=40, color=colour, label=str(name))
    if 0 < len(classes) <= MOST_CLASSES:
        below.legend(
            loc="center", ncols=3, fontsize=10, frameon=False, labelcolor=QUIET, handletextpad=0.2,
            columnspacing=1.0, borderpad=0,
        )  # fmt: skip
    return figure
