"""Time series feature by feature: observed values and the model's values.

A series is `(L, F)`, NaN where nothing is known; windows are joined before they come here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from unbraid.plots.lanes import MOST_FEATURES, isolated
from unbraid.plots.style import DPI, DYNAMIC, FAINT, HIDDEN, INK, QUIET, literal_text, plain_axes, time_axis

__all__ = ["plot_curves", "plot_series"]

MANY_VALUES = 200  # of a series, above which values are drawn as a line without dots


@literal_text
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
    """The observed values of every feature, and the model's values, also where nothing was observed.

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
    time, unit = time_axis(length, sampling_rate)
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
            plain_axes(axes, left=column == 0, bottom=row == features - 1)
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


@literal_text
def plot_curves(
    mean: Float[np.ndarray, "L F"] | None = None,
    std: Float[np.ndarray, "L F"] | None = None,
    observed: Float[np.ndarray, "L F"] | None = None,
    *,
    ranges: Float[np.ndarray, "F 2"] | None = None,
    names: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
    sampling_rate: float | None = None,
) -> Figure:
    """One series in a narrow column, a lane for each feature (the first `MOST_FEATURES`).

    Args:
        mean: the model's values, drawn as a line; None to draw only the observed ones.
        std: the model's standard deviation, drawn as a band of two to each side; None for none.
        observed: observed values, NaN where there are none, drawn as dots.
        ranges: lowest and highest value of each lane, so that several pictures compare; None to fit the values.
        names: of the features.
        units: of the features.
        sampling_rate: values per second, for the axis of time; None to count them.

    Raises:
        ValueError: neither `mean` nor `observed` is there.
    """
    shown = observed if mean is None else mean
    if shown is None:
        raise ValueError("mean: is None, and so is observed; give one of them")
    length, features = len(shown), min(shown.shape[1], MOST_FEATURES)
    width, height = 4.4, 0.5 + 0.8 * features
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    grid = figure.subplots(features, 1, squeeze=False, sharex=True)[:, 0]
    figure.subplots_adjust(0.5 / width, 0.42 / height, 1 - 0.12 / width, 1 - 0.24 / height, 0, 0.55)
    time, unit = time_axis(length, sampling_rate)
    for lane, axes in enumerate(grid):
        parts = [part[:, lane] for part in (mean, observed) if part is not None]
        if mean is not None:
            spread = 0 if std is None else 2 * std[:, lane]
            axes.fill_between(
                time, mean[:, lane] - spread, mean[:, lane] + spread, color=DYNAMIC, alpha=0.2, linewidth=0
            )
            axes.plot(time, mean[:, lane], color=DYNAMIC, linewidth=1.4)
        if observed is not None:
            _hidden(axes, time, np.isnan(observed[:, lane]))
            _points(axes, time, observed[:, lane])
        axes.set_ylim(*(_limits(*parts) if ranges is None else ranges[lane]))
        axes.set_xlim(time[0], time[-1] if length > 1 else time[0] + 1)
        plain_axes(axes, left=True, bottom=lane == features - 1)
        axes.locator_params(axis="y", nbins=3)
        label = (names[lane] if names else f"feature {lane + 1}") + (
            f" ({units[lane]})" if units and units[lane] else ""
        )
        axes.set_title(label, fontsize=8.5, color=INK, loc="left", pad=3)
    grid[-1].set_xlabel(unit, fontsize=8.5, color=QUIET, labelpad=2)
    return figure


def _limits(*values: np.ndarray) -> tuple[float, float]:
    """A range that shows all but the most extreme values."""
    finite = np.concatenate([part[~np.isnan(part)] for part in values])
    low, high = np.quantile(finite, (0.0005, 0.9995)) if len(finite) else (0.0, 1.0)
    margin = 0.08 * (high - low) + 1e-6 * abs(high) + 1e-9
    return float(low - margin), float(high + margin)


def _points(axes: Axes, time: np.ndarray, values: np.ndarray) -> None:
    """Observed values: dots on a thin line, only the line where there are many; isolated values are always dots."""
    axes.plot(time, values, color=INK, linewidth=0.6, alpha=0.75 if len(values) > MANY_VALUES else 0.5)
    shown = isolated(values) if len(values) > MANY_VALUES else ~np.isnan(values)
    axes.plot(time[shown], values[shown], ".", color=INK, markersize=2.6)


def _hidden(axes: Axes, time: np.ndarray, where: np.ndarray) -> None:
    """Grey ground under stretches of values that were not observed."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(int)))
    half = 0.5 * (time[1] - time[0])
    for start, end in edges.reshape(-1, 2):
        axes.axvspan(time[start] - half, time[end - 1] + half, color=HIDDEN, linewidth=0, zorder=0.2)
