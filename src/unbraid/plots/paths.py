"""Dynamic codes along time, above the targets that they should predict."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from unbraid.plots.style import DPI, DYNAMIC, INK, QUIET, STATIC, literal_text, plain_axes, time_axis

__all__ = ["plot_dynamic_codes"]

DIVERGING = LinearSegmentedColormap.from_list("codes", [DYNAMIC, "#f7f7f5", STATIC])


@literal_text
def plot_dynamic_codes(
    dynamic: Float[np.ndarray, "n T D"],
    steps: Bool[np.ndarray, "n T"] | None = None,
    *,
    titles: Sequence[str] | None = None,
    targets: Mapping[str, Float[np.ndarray, "n T"]] | None = None,
    seconds_per_step: float | None = None,
) -> Figure:
    """The dynamic codes along time, a row for each dimension, above the targets that they should predict.

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
    time, unit = time_axis(length, None if seconds_per_step is None else 1 / seconds_per_step)
    unit = "steps" if seconds_per_step is None else unit
    step = time[1] - time[0]
    for column in range(count):
        axes = grid[0, column]
        image = axes.imshow(
            shown[column].T, aspect="auto", cmap=DIVERGING, vmin=-limit, vmax=limit, interpolation="nearest",
            extent=(time[0] - step / 2, time[-1] + step / 2, size - 0.5, -0.5),
        )  # fmt: skip
        plain_axes(axes, left=False, bottom=not targets)
        axes.spines["left"].set_visible(False)
        if titles:
            axes.set_title(titles[column], fontsize=10, color=INK, loc="left", pad=5)
        for row, values in enumerate(targets.values(), 1):
            below = grid[row, column]
            below.plot(time, values[column], color=INK, linewidth=1, marker=".", markersize=3)
            plain_axes(below, left=column == 0, bottom=row == len(targets))
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
