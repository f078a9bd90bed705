"""Figures of time series: reconstruction feature by feature, codes along time, swaps and draws.

Arrays in, a matplotlib Figure out; all are names of `unbraid.plots`. A series is `(L, F)`, NaN where
nothing is known; windows are joined before they come here.
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
from matplotlib.patches import Patch

from unbraid.plots.style import DPI, DYNAMIC, FAINT, INK, QUIET, STATIC

__all__ = [
    "MOST_FEATURES",
    "plot_dynamic_codes",
    "plot_series",
    "plot_series_between",
    "plot_series_rows",
    "plot_series_swaps",
]

HIDDEN = "#eef0f3"  # where nothing was observed
DIVERGING = LinearSegmentedColormap.from_list("codes", [DYNAMIC, "#f7f7f5", STATIC])
MOST_FEATURES = 16  # drawn one below the other
MANY_VALUES = 200  # of a series, above which values are drawn as a line without dots
DURATIONS = ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "hours"), (120, 60, "minutes"), (0, 1, "seconds"))


# ---- one series, feature by feature ---------------------------------------------------------------------


def plot_series(
    observed: Float[np.ndarray, "n L F"],
    mean: Float[np.ndarray, "n L F"],
    std: Float[np.ndarray, "n L F"] | None = None,
    *,
    names: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
    titles: Sequence[str] | None = None,
    sampling_rate: float | None = None,
    window: int | None = None,
) -> Figure:
    """What was observed of every feature, and what the model says of it, also where nothing was observed.

    One column for each series, one row for each feature (the first `MOST_FEATURES`). Grey ground: nothing was observed
    there. The band is two standard deviations to each side.

    Args:
        observed: raw values, NaN where none was observed.
        mean: the model's, in the same units; NaN after the series has ended.
        std: the model's standard deviation; None to draw no band.
        names: of the features.
        units: of the features.
        titles: of the series.
        sampling_rate: values per second, for the axis of time; None to count them.
        window: values in a window, to mark where windows begin.

    Raises:
        ValueError: shapes that differ.
    """
    if observed.shape != mean.shape or (std is not None and std.shape != mean.shape):
        raise ValueError(
            f"mean: has shape {mean.shape}, the observed values {observed.shape}; give one for each"
        )
    count, length, features = observed.shape
    features = min(features, MOST_FEATURES)
    width, height = 1.5 + 4.9 * count, 0.95 + 0.82 * features
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    grid = figure.subplots(features, count, squeeze=False, sharex=True, sharey="row")
    figure.subplots_adjust(1.25 / width, 0.45 / height, 1 - 0.15 / width, 1 - 0.6 / height, 0.04, 0.14)
    time, unit = _time(length, sampling_rate)
    for row in range(features):
        spread = 0 if std is None else 2 * std[..., row]
        low, high = _limits(observed[..., row], mean[..., row] - spread, mean[..., row] + spread)
        for column in range(count):
            axes = grid[row, column]
            _hidden(axes, time, np.isnan(observed[column, :, row]) & ~np.isnan(mean[column, :, row]))
            if std is not None:
                lower = mean[column, :, row] - 2 * std[column, :, row]
                upper = mean[column, :, row] + 2 * std[column, :, row]
                axes.fill_between(time, lower, upper, color=DYNAMIC, alpha=0.2, linewidth=0)
            _points(axes, time, observed[column, :, row])
            axes.plot(time, mean[column, :, row], color=DYNAMIC, linewidth=1.3)
            for start in range(window or length, length, window or length):
                axes.axvline((time[start - 1] + time[start]) / 2, color=FAINT, linewidth=0.4, zorder=0.5)
            axes.set_ylim(low, high)
            axes.set_xlim(time[0] - 0.5 * (time[1] - time[0]), time[-1] + 0.5 * (time[1] - time[0]))
            _plain(axes, left=column == 0, bottom=row == features - 1)
        label = (names[row] if names else f"feature {row + 1}") + (f"\n{units[row]}" if units else "")
        grid[row, 0].set_ylabel(
            label, rotation=0, ha="right", va="center", fontsize=8.5, color=INK, labelpad=6
        )
        grid[row, 0].locator_params(axis="y", nbins=3)
    for column in range(count):
        grid[-1, column].set_xlabel(unit, fontsize=8.5, color=QUIET)
        if titles:
            grid[0, column].set_title(titles[column], fontsize=10, color=INK, loc="left", pad=5)
    handles: list[Any] = [
        Line2D([], [], color=INK, marker=".", linewidth=0.5, markersize=6, label="observed"),
        Line2D([], [], color=DYNAMIC, linewidth=1.5, label="model"),
    ]
    if std is not None:
        handles.append(Patch(color=DYNAMIC, alpha=0.2, linewidth=0, label="± 2 standard deviations"))
    if np.isnan(observed[~np.isnan(mean)]).any():
        handles.append(Patch(color=HIDDEN, label="nothing observed"))
    figure.legend(
        handles=handles, loc="upper right", bbox_to_anchor=(1 - 0.12 / width, 1), ncols=4, frameon=False,
        fontsize=8.5, labelcolor=QUIET, handlelength=1.6, columnspacing=1.4,
    )  # fmt: skip
    return figure


def _time(length: int, sampling_rate: float | None) -> tuple[np.ndarray, str]:
    """When each value is, in the unit that fits the whole, from 0."""
    if sampling_rate is None:
        return np.arange(length, dtype=float), "values"
    seconds = np.arange(length) / sampling_rate
    size, name = next((size, name) for limit, size, name in DURATIONS if seconds[-1] > limit or not limit)
    return seconds / size, name


def _limits(*values: np.ndarray) -> tuple[float, float]:
    """A range that shows all but the most extreme values."""
    known = np.concatenate([some[~np.isnan(some)] for some in values])
    low, high = np.quantile(known, (0.0005, 0.9995)) if len(known) else (0.0, 1.0)
    margin = 0.08 * (high - low) + 1e-6 * abs(high) + 1e-9
    return float(low - margin), float(high + margin)


def _points(axes: Axes, time: np.ndarray, values: np.ndarray) -> None:
    """What was observed: dots on a thin line, only the line where there are many; lone values are always dots."""
    axes.plot(time, values, color=INK, linewidth=0.6, alpha=0.75 if len(values) > MANY_VALUES else 0.5)
    shown = _alone(values) if len(values) > MANY_VALUES else ~np.isnan(values)
    axes.plot(time[shown], values[shown], ".", color=INK, markersize=2.6)


def _alone(values: np.ndarray) -> np.ndarray:
    """Values with nothing known on either side, which no line shows."""
    missing = np.isnan(np.concatenate([[np.nan], values, [np.nan]]))
    return ~missing[1:-1] & missing[:-2] & missing[2:]


def _hidden(axes: Axes, time: np.ndarray, where: np.ndarray) -> None:
    """Grey ground under stretches of values that were not observed."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(int)))
    half = 0.5 * (time[1] - time[0])
    for start, end in edges.reshape(-1, 2):
        axes.axvspan(time[start] - half, time[end - 1] + half, color=HIDDEN, linewidth=0, zorder=0.2)


def _plain(axes: Axes, left: bool, bottom: bool) -> None:
    axes.tick_params(labelsize=7.5, colors=QUIET, length=2, labelleft=left, left=left, bottom=bottom)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "left" or (side == "bottom" and bottom))
        spine.set_color(FAINT)


# ---- sheets of series -----------------------------------------------------------------------------------


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


def plot_series_between(
    between: Float[np.ndarray, "k L F"],
    names: Sequence[str] | None = None,
    ends: tuple[str, str] = ("own static code", "the other's"),
) -> Figure:
    """Series on the way between two, over one another; each feature in a lane of its own.

    Args:
        between: the series from the one to the other.
        names: of the features.
        ends: what the first and the last are.
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
        alone = _alone(share)
        axes.plot(time[alone], (floor + 0.08 + 0.84 * share)[alone], ".", color=colour, markersize=1.8)
    axes.set_xlim(0, len(clip) - 1)
    axes.set_ylim(0, features)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_color(FAINT)


# ---- codes along time -----------------------------------------------------------------------------------


def plot_dynamic_codes(
    dynamic: Float[np.ndarray, "n T D"],
    steps: Bool[np.ndarray, "n T"] | None = None,
    *,
    titles: Sequence[str] | None = None,
    targets: Mapping[str, Float[np.ndarray, "n T"]] | None = None,
    seconds_per_step: float | None = None,
) -> Figure:
    """The dynamic codes along time, a row for each dimension, above the targets that they should tell.

    Dimensions are in the order of how much they change, from the top; all share one colour scale.

    Args:
        dynamic: codes of n sequences.
        steps: `(n, T)`, True where a step is inside its sequence; None when all are.
        titles: of the sequences.
        targets: name to values of each step, NaN where unknown, drawn below.
        seconds_per_step: for the axis of time; None to count steps.
    """
    count, length, size = dynamic.shape
    shown = dynamic if steps is None else np.where(steps[:, :, None], dynamic, np.nan)
    order = np.argsort(-np.nanstd(shown, axis=(0, 1)), kind="stable")
    shown = shown[:, :, order]
    limit = float(np.nanquantile(np.abs(shown), 0.995)) + 1e-9
    targets = targets or {}
    code_height = min(3.2, max(1.1, 0.13 * size))
    heights = [code_height] + [0.75] * len(targets)
    width, height = 1.35 + 3.6 * count + 0.75, sum(heights) + 0.12 * len(targets) + 0.85
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    grid = figure.subplots(
        len(heights), count, squeeze=False, sharex=True, sharey="row", gridspec_kw={"height_ratios": heights}
    )
    figure.subplots_adjust(
        1.25 / width,
        0.5 / height,
        1 - 0.85 / width,
        1 - 0.35 / height,
        0.06,
        0.12 * len(heights) / sum(heights),
    )
    time, unit = _time(length, None if seconds_per_step is None else 1 / seconds_per_step)
    unit = "steps" if seconds_per_step is None else unit
    step = time[1] - time[0]
    for column in range(count):
        axes = grid[0, column]
        image = axes.imshow(
            shown[column].T, aspect="auto", cmap=DIVERGING, vmin=-limit, vmax=limit, interpolation="nearest",
            extent=(time[0] - step / 2, time[-1] + step / 2, size - 0.5, -0.5),
        )  # fmt: skip
        _plain(axes, left=False, bottom=not targets)
        axes.spines["left"].set_visible(False)
        if titles:
            axes.set_title(titles[column], fontsize=10, color=INK, loc="left", pad=5)
        for row, values in enumerate(targets.values(), 1):
            below = grid[row, column]
            below.plot(time, values[column], color=INK, linewidth=1, marker=".", markersize=3)
            _plain(below, left=column == 0, bottom=row == len(targets))
            below.locator_params(axis="y", nbins=3)
        grid[-1, column].set_xlabel(unit, fontsize=8.5, color=QUIET)
    label: dict[str, Any] = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 8.5}
    grid[0, 0].set_ylabel(f"{size} dynamic\ncodes", color=DYNAMIC, labelpad=6, **label)
    for row, name in enumerate(targets, 1):
        grid[row, 0].set_ylabel(name.replace("_", "\n"), color=INK, labelpad=6, **label)
    place = grid[0, -1].get_position()
    bar = figure.add_axes((1 - 0.7 / width, place.y0, 0.1 / width, place.height))
    figure.colorbar(image, cax=bar)
    bar.tick_params(labelsize=7.5, colors=QUIET, length=2)
    bar.locator_params(axis="y", nbins=5)
    for spine in bar.spines.values():
        spine.set_visible(False)
    return figure
