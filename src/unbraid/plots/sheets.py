"""The layout of sheets of clips. Every pixel of a frame becomes a whole number of pixels of the file."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unbraid.plots.style import CLASSES, DPI, DYNAMIC, FAINT, INK, QUIET, STATIC

__all__ = ["Clip", "evenly_spaced", "rgb", "sheet"]

MANY_FEATURES = 6  # of vectors, above which they are a heat map instead of lines
NOTE_WIDTH = 170  # pixels beside a row for its note
Clip = Float[np.ndarray, "..."]
"""A clip `(T, C, H, W)` or `(T, F)`."""


def evenly_spaced(length: int, count: int) -> Int[np.ndarray, " count"]:
    """At most `count` of `length` places at equal distances, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, count).round().astype(int))


def sheet(
    cells: Sequence[Sequence[Clip | None]],
    *,
    row_labels: Sequence[str] | None = None,
    target: int = 104,
    groups: int = 1,
    header: bool = False,
    first_apart: bool = False,
    corner: tuple[str, str] | None = None,
    framed: bool = False,
    column_labels: Sequence[str] | None = None,
    notes: Sequence[str] | None = None,
) -> Figure:
    """Lay clips out in rows and columns, in whole pixels.

    Args:
        cells: rows of clips; None leaves a place empty.
        row_labels: text left of each row.
        target: wanted size of a frame in pixels; the nearest whole multiple of its own size is taken.
        groups: rows that belong together; a wider gap follows each group.
        header: set the first row and the first column apart.
        first_apart: set the first row apart.
        corner: text in the empty first cell: what the header row gives, what the header column gives.
        framed: draw a thin line round the header's clips.
        column_labels: text above each column.
        notes: text right of each row.
    """
    wide, high = _cell_size(next(cell for row in cells for cell in row if cell is not None), target)
    small, large = 8, 22
    left, top, right, bottom = (92 if row_labels else 12), (34 if column_labels else 12), 12, 12
    right = right + NOTE_WIDTH if notes else right
    gap_after_row = [
        large
        if (first_apart or header) and i == 0
        else large
        if (i + 1) % groups == 0 and groups > 1
        else small
        for i in range(len(cells))
    ]
    gap_after_column = [large if header and j == 0 else small for j in range(len(cells[0]))]
    width = left + right + sum(gap_after_column[:-1]) + wide * len(cells[0])
    height = top + bottom + sum(gap_after_row[:-1]) + high * len(cells)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    limits = _limits(cells)
    y = height - top
    for i, row in enumerate(cells):
        y -= high
        x = left
        for j, cell in enumerate(row):
            if cell is not None:
                axes = figure.add_axes((x / width, y / height, wide / width, high / height))
                _draw(axes, cell, limits, framed and (i == 0 or j == 0))
            elif corner:
                _write_corner(figure, corner, (x, y, wide, high), (width, height))
            x += wide + gap_after_column[j]
        if row_labels:
            figure.text(
                (left - 12) / width,
                (y + high / 2) / height,
                row_labels[i],
                ha="right",
                va="center",
                color=QUIET,
                fontsize=10,
            )
        if notes:
            beside = ((width - right + 12) / width, (y + high / 2) / height)
            figure.text(*beside, notes[i], va="center", color=QUIET, fontsize=9)
        y -= gap_after_row[i]
    x = left
    for j, label in enumerate(column_labels or ()):
        above = ((x + wide / 2) / width, (height - top / 2) / height)
        figure.text(*above, label, ha="center", va="center", color=INK, fontsize=10)
        x += wide + gap_after_column[j]
    return figure


def _write_corner(
    figure: Figure, words: tuple[str, str], box: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    x, y, wide, high = box
    width, height = size
    lines = ((f"{words[0]} →", 0.68, DYNAMIC), (f"{words[1]} ↓", 0.24, STATIC))
    for line, share, colour in lines:
        place = ((x + wide) / width, (y + share * high) / height)
        figure.text(*place, line, ha="right", va="center", color=colour, fontsize=10)


def _cell_size(clip: Clip, target: int) -> tuple[int, int]:
    if clip.ndim == 2:
        return 5 * target, 96  # 520 x 96 in a list, 320 x 96 in a square
    steps, _, height, width = clip.shape
    scale = max(1, round(target / height))
    return steps * width * scale + (steps - 1) * 2, height * scale


def _limits(cells: Sequence[Sequence[Clip | None]]) -> tuple[float, float]:
    """One range for all sequences of vectors in a sheet, so that they can be compared."""
    clips = [clip for row in cells for clip in row if clip is not None]
    if clips[0].ndim > 2:
        return 0.0, 1.0
    low, high = min(float(np.nanmin(c)) for c in clips), max(float(np.nanmax(c)) for c in clips)
    return low - 0.05 * (high - low), high + 0.05 * (high - low) + 1e-9


def _draw(axes: Axes, clip: Clip, limits: tuple[float, float], framed: bool) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(clip.ndim == 2)
        spine.set_color(FAINT)
    if clip.ndim == 4:
        frames = [rgb(frame) for frame in clip]
        scale = round(axes.get_window_extent().height / frames[0].shape[0])
        frames = [frame.repeat(scale, 0).repeat(scale, 1) for frame in frames]
        gap = np.full((frames[0].shape[0], 2, 3), 255, np.uint8)
        strip = [part for frame in frames for part in (gap, frame)][1:]
        axes.imshow(np.concatenate(strip, 1), interpolation="nearest", aspect="auto")
    elif clip.shape[1] > MANY_FEATURES:
        axes.imshow(clip.T, aspect="auto", cmap="cividis", vmin=limits[0], vmax=limits[1])
    else:
        for feature, values in enumerate(clip.T):
            axes.plot(values, color=CLASSES[feature % len(CLASSES)], linewidth=1.3)
        axes.set_ylim(*limits)
        axes.set_xlim(0, len(clip) - 1)
    if framed:
        for spine in axes.spines.values():
            spine.set_visible(True)
            spine.set_color(QUIET)
            spine.set_linewidth(1)


def rgb(frame: Float[np.ndarray, "C H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """A frame of 1 to 4 channels as colours: grey, two colours, RGB, or RGB over white by its fourth channel.

    NaN is white.
    """
    frame = np.nan_to_num(np.asarray(frame, dtype=np.float32), nan=1.0)
    if len(frame) == 1:
        frame = frame.repeat(3, 0)
    elif len(frame) == 2:
        frame = np.concatenate([frame, frame[:1]])
    elif len(frame) == 4:
        frame = frame[:3] * frame[3] + (1 - frame[3])
    return (frame.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
