"""Colours, sizes, axes and texts that all pictures share."""

import functools
from collections.abc import Callable
from typing import ParamSpec

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

__all__ = [
    "BOTH",
    "CLASSES",
    "DPI",
    "DYNAMIC",
    "FAINT",
    "HIDDEN",
    "INK",
    "QUIET",
    "STATIC",
    "literal_text",
    "plain_axes",
    "tidy",
    "time_axis",
]

P = ParamSpec("P")


INK, QUIET, FAINT = "#22262b", "#6b7280", "#d5d9de"
STATIC, DYNAMIC = "#c2573a", "#27708f"  # warm for the static code, cool for the dynamic one
BOTH = "#8a5fa8"
HIDDEN = "#eef0f3"  # ground where nothing was observed
CLASSES = (
    "#27708f",
    "#c2573a",
    "#6a9a3b",
    "#8a5fa8",
    "#d19a2a",
    "#3aa89b",
    "#b04a78",
    "#7a6a58",
    "#5b7bd0",
    "#9aa33a",
)
DPI = 100
DURATIONS = ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "hours"), (120, 60, "minutes"), (0, 1, "seconds"))


def literal_text(plot: Callable[P, Figure]) -> Callable[P, Figure]:
    """Show every text of a picture as it is written.

    Labels, classes and features have names that users give. matplotlib would read two dollar signs as a formula.
    """

    @functools.wraps(plot)
    def with_literal_text(*args: P.args, **kwargs: P.kwargs) -> Figure:
        figure = plot(*args, **kwargs)
        for text in figure.findobj(Text):
            text.set_parse_math(False)  # type: ignore[attr-defined]
        return figure

    return with_literal_text


def tidy(axes: Axes, title: str) -> None:
    """Title, small ticks, a pale grid, and spines left and below only."""
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.tick_params(labelsize=8, colors=QUIET, length=2)
    axes.grid(color="#eceef1", linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def plain_axes(axes: Axes, left: bool, bottom: bool) -> None:
    """Small ticks and pale spines at the left and the bottom, without labels where other axes have them."""
    axes.tick_params(labelsize=7.5, colors=QUIET, length=2, labelleft=left, left=left, bottom=bottom)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "left" or (side == "bottom" and bottom))
        spine.set_color(FAINT)


def time_axis(length: int, sampling_rate: float | None) -> tuple[np.ndarray, str]:
    """Time of each of `length` values, from 0, in the unit that fits the whole; without a rate their number."""
    if sampling_rate is None:
        return np.arange(length, dtype=float), "values"
    seconds = np.arange(length) / sampling_rate
    size, name = next((size, name) for limit, size, name in DURATIONS if seconds[-1] > limit or not limit)
    return seconds / size, name
