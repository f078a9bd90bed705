"""Sheets of time series, each feature in a lane of its own: swaps, draws, and series between two static codes.

A series is `(L, F)`, NaN where nothing is known; windows are joined before they come here.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unbraid.plots.style import DPI, DYNAMIC, FAINT, INK, QUIET, STATIC, literal_text

__all__ = ["MOST_FEATURES", "isolated", "plot_series_between", "plot_series_rows", "plot_series_swaps"]

MOST_FEATURES = 16  # drawn one below the other


def isolated(values: Float[np.ndarray, "L"]) -> Bool[np.ndarray, "L"]:
    """Values with NaN on either side, which no line shows."""
    missing = np.isnan(np.concatenate([[np.nan], values, [np.nan]]))
    return ~missing[1:-1] & missing[:-2] & missing[2:]


@literal_text
def plot_series_swaps(
    originals: Float[np.ndarray, "n L F"],
    crossed: Float[np.ndarray, "n n L F"],
    names: Sequence[str] | None = None,
) -> Figure:
    """Every static code with every dynamic code; each feature in a lane of its own.

    Args:
        originals: the series that give the codes; drawn as the header row and column.
        crossed: `[i, j]` has the static code of i and the dynamic codes of j.
        names: of the features.

    Raises:
        ValueError: not a square of as many series as there are originals.
    """
    n = len(originals)
    if crossed.shape[:2] != (n, n):
        raise ValueError(
            f"crossed: is {crossed.shape[0]} x {crossed.shape[1]} for {n} originals; give {n} x {n}"
        )
    cells: list[list[np.ndarray | None]] = [[None, *originals]]
    cells += [[originals[i], *crossed[i]] for i in range(n)]
    colours = [[INK, *[DYNAMIC] * n]] + [[STATIC, *[INK] * n] for _ in range(n)]
    figure = _lanes_sheet(cells, colours, names, apart=True)
    corner = figure.axes[0]  # stays empty
    style: dict[str, Any] = {"transform": corner.transAxes, "ha": "right", "va": "center", "fontsize": 10}
    corner.text(0.97, 0.66, "dynamics from →", color=DYNAMIC, **style)
    corner.text(0.97, 0.3, "static from ↓", color=STATIC, **style)
    return figure


@literal_text
def plot_series_rows(
    columns: Mapping[str, Float[np.ndarray, "n L F"]],
    names: Sequence[str] | None = None,
    original: str | None = None,
) -> Figure:
    """Series one below the other in named columns, each feature in a lane of its own.

    Args:
        columns: title to the series of the column; below those of a shorter column the place stays empty.
        names: of the features.
        original: title of the column that was observed; the others were generated.
    """
    cells = [list(row) for row in zip_longest(*columns.values())]
    colours = [[INK if title == original else DYNAMIC for title in columns] for _ in cells]
    figure = _lanes_sheet(cells, colours, names, apart=False)
    for axes, title in zip(figure.axes, columns, strict=False):
        axes.set_title(title, fontsize=10, color=INK if title == original else DYNAMIC, loc="left", pad=6)
    return figure


@literal_text
def plot_series_between(
    between: Float[np.ndarray, "k L F"],
    names: Sequence[str] | None = None,
    ends: tuple[str, str] = ("own static code", "the other's"),
) -> Figure:
    """Series between two static codes, over one another; each feature in a lane of its own.

    Args:
        between: the series from the first to the last.
        names: of the features.
        ends: names of the first and the last.
    """
    features = min(between.shape[2], MOST_FEATURES)
    low, high = _ranges(list(between), features)
    width, height = 9.0, 0.55 + 0.42 * features
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    axes = figure.add_axes((1 / width, 0.12 / height, 1 - 1.12 / width, 1 - 0.5 / height))
    colours = LinearSegmentedColormap.from_list("ends", [DYNAMIC, "#b9bfc4", STATIC])(
        np.linspace(0, 1, len(between))
    )
    for number, (clip, colour) in enumerate(zip(between, colours, strict=True)):
        _lanes(axes, clip, low, high, colour, ground=number == 0)
    labels = [names[f] if names else str(f + 1) for f in range(features)]
    axes.set_yticks(np.arange(features)[::-1] + 0.5, labels, fontsize=8, color=QUIET)
    handles = [
        Line2D([], [], color=colours[0], linewidth=1.5, label=ends[0]),
        Line2D([], [], color=colours[-1], linewidth=1.5, label=ends[1]),
    ]
    figure.legend(
        handles=handles, loc="upper right", bbox_to_anchor=(1 - 0.05 / width, 1), ncols=2, frameon=False,
        fontsize=8.5, labelcolor=QUIET, handlelength=1.6,
    )  # fmt: skip
    return figure


def _lanes_sheet(
    cells: Sequence[Sequence[np.ndarray | None]],
    colours: Sequence[Sequence[str]],
    names: Sequence[str] | None,
    apart: bool,
) -> Figure:
    """Lay series out in rows and columns; a feature has the same range everywhere, so levels compare.

    Args:
        cells: rows of series; None leaves a place empty.
        colours: of the lines in each place.
        names: of the features, written beside the first column (and the second where the first has a gap).
        apart: set the first row and the first column apart.
    """
    shown = [clip for row in cells for clip in row if clip is not None]
    features = min(shown[0].shape[1], MOST_FEATURES)
    low, high = _ranges(shown, features)
    rows, wide = len(cells), len(cells[0])
    left, top, right, bottom = 1.0, 0.35, 0.12, 0.12
    cell_width, cell_height = 2.5 if wide > 2 else 4.2, 0.35 + 0.14 * features
    gaps_x, gaps_y = _gaps(wide, apart), _gaps(rows, apart)
    width = left + right + cell_width * wide + sum(gaps_x)
    height = top + bottom + cell_height * rows + sum(gaps_y)
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    y = height - top
    for i, row in enumerate(cells):
        y -= cell_height
        x = left
        for j, clip in enumerate(row):
            axes = figure.add_axes((x / width, y / height, cell_width / width, cell_height / height))
            if clip is None:
                axes.set_axis_off()
            else:
                _lanes(axes, clip, low, high, colours[i][j])
                if j == 0 or (not apart and row[j - 1] is None):
                    labels = [names[f] if names else str(f + 1) for f in range(features)]
                    axes.set_yticks(np.arange(features)[::-1] + 0.5, labels, fontsize=6.5, color=QUIET)
            x += cell_width + (gaps_x[j] if j < wide - 1 else 0)
        y -= gaps_y[i] if i < rows - 1 else 0
    return figure


def _gaps(count: int, apart: bool) -> list[float]:
    return [0.28 if apart and i == 0 else 0.1 for i in range(count - 1)]


def _ranges(series: Sequence[np.ndarray], features: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest value of each feature over all series."""
    joined = np.concatenate(series)[:, :features]
    empty = np.isnan(joined).all(0)
    joined = np.where(empty, 0.0, joined)
    low, high = np.nanquantile(joined, 0.002, axis=0), np.nanquantile(joined, 0.998, axis=0)
    return low, np.where(high > low, high, low + 1)


def _lanes(
    axes: Axes, clip: np.ndarray, low: np.ndarray, high: np.ndarray, colour: Any, ground: bool = True
) -> None:
    features = len(low)
    time = np.arange(len(clip))
    for feature in range(features):
        floor = features - 1 - feature
        share = np.clip((clip[:, feature] - low[feature]) / (high[feature] - low[feature]), 0, 1)
        if ground and feature % 2 == 0:
            axes.axhspan(floor, floor + 1, color="#f6f7f8", linewidth=0, zorder=0)
        axes.plot(time, floor + 0.08 + 0.84 * share, color=colour, linewidth=0.9)
        alone = isolated(share)
        axes.plot(time[alone], (floor + 0.08 + 0.84 * share)[alone], ".", color=colour, markersize=1.8)
    axes.set_xlim(0, len(clip) - 1)
    axes.set_ylim(0, features)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
