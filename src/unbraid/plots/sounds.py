"""Spectrograms side by side on one scale of time and frequency. They are `(L, F)` in decibels, lowest band first."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unbraid.plots.style import DPI, DYNAMIC, FAINT, INK, QUIET, STATIC, literal_text

__all__ = ["plot_exchanged_voices", "plot_spectrograms"]

COLOURS = "magma"
RANGE = 60  # decibels from the loudest to black
HERTZ = (100, 200, 500, 1000, 2000, 5000, 10000)
Spectrogram = Float[np.ndarray, "L F"]


@literal_text
def plot_spectrograms(
    rows: Sequence[Sequence[Spectrogram]],
    titles: Sequence[Sequence[str]],
    frequencies: Float[np.ndarray, "F"],
    frames_per_second: float,
    one_scale: bool = False,
) -> Figure:
    """Spectrograms in rows and columns; time runs at one speed in all, so that timing can be compared.

    The colours of each end at its own loudest value, so that quiet recordings show their harmonics too, or all have one scale.

    Args:
        rows: of spectrograms in decibels, lowest band first.
        titles: one above each.
        frequencies: of the bands, in Hz.
        frames_per_second: steps per second.
        one_scale: whether one colour is one loudness in all of them.
    """
    loudest = _loudest([cell for row in rows for cell in row])
    longest = max(len(cell) for row in rows for cell in row)
    columns = len(rows[0])
    figure = Figure(figsize=(3.5 * columns + 0.6, 2.3 * len(rows) + 0.5), dpi=DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.05, h_pad=0.06)
    grid = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            axes = grid[i, j]
            _draw(axes, cell, loudest if one_scale else _loudest([cell]))
            axes.set_xlim(-0.5, longest - 0.5)
            axes.set_title(titles[i][j], fontsize=10, color=INK, loc="left")
            _time_axis(axes, longest, frames_per_second)
            _frequency_axis(axes, frequencies)
            axes.tick_params(labelsize=8, colors=QUIET, length=2)
        grid[i, 0].set_ylabel("Hz", fontsize=8, color=QUIET)
    for axes in grid[-1]:
        axes.set_xlabel("seconds", fontsize=8, color=QUIET)
    return figure


@literal_text
def plot_exchanged_voices(
    originals: Sequence[Spectrogram],
    crossed: Sequence[Sequence[Spectrogram]],
    voices: Sequence[str],
    words: Sequence[str],
) -> Figure:
    """Every static code with every dynamic code on one colour scale (Bai et al., NeurIPS 2021, figure 13).

    Args:
        originals: n clips, drawn as the header row (they give the words) and the header column (they give the voice).
        crossed: `[i][j]` has the static code of clip i and the dynamic codes of clip j, and j's length.
        voices: who speaks in each clip; stands left of its row.
        words: what is said in each clip; stands above its column.

    Raises:
        ValueError: not n rows of n spectrograms.
    """
    n = len(originals)
    if len(crossed) != n or any(len(row) != n for row in crossed):
        raise ValueError(f"crossed: give {n} rows of {n} spectrograms, one for each pair of the originals")
    lengths = [len(clip) for clip in originals]
    bands = originals[0].shape[1]
    across, up = (
        max(1, min(4, 1000 // (sum(lengths) + max(lengths)))),
        max(1, 80 // bands),
    )  # pixels of a value
    small, large, left, top, right, bottom = 6, 18, 88, 34, 74, 12
    widths = [length * across for length in (max(lengths), *lengths)]
    x = left + np.cumsum([0, widths[0] + large, *[width + small for width in widths[1:-1]]])
    y = top + np.cumsum([0, bands * up + large, *[bands * up + small] * (n - 1)])
    wide, high = int(x[-1]) + widths[-1] + right, int(y[-1]) + bands * up + bottom
    sheet = np.full((high, wide), np.nan)  # one picture: as many axes as cells would take a minute

    def place(row: int, column: int, clip: Spectrogram) -> None:
        cell = clip.T[::-1].repeat(up, 0).repeat(across, 1)
        sheet[y[row] : y[row] + cell.shape[0], x[column] : x[column] + cell.shape[1]] = cell

    for i, clip in enumerate(originals):
        place(0, i + 1, clip)
        place(i + 1, 0, clip)
        for j, changed in enumerate(crossed[i]):
            place(i + 1, j + 1, changed)
    figure = Figure(figsize=(wide / DPI, high / DPI), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    loudest = _loudest([*originals, *(clip for row in crossed for clip in row)])
    image = axes.imshow(sheet - loudest, cmap=COLOURS, vmin=-RANGE, vmax=0, interpolation="nearest")
    style: dict[str, Any] = {"va": "center", "fontsize": 10}
    for i, (voice, word) in enumerate(zip(voices, words, strict=True)):
        axes.text(x[i + 1] + widths[i + 1] / 2, top / 2, word, ha="center", color=DYNAMIC, **style)
        axes.text(left - 10, y[i + 1] + bands * up / 2, voice, ha="right", color=STATIC, **style)
    corner = left + widths[0]
    axes.text(corner, top + 0.3 * bands * up, "words from →", ha="right", color=DYNAMIC, **style)
    axes.text(corner, top + 0.75 * bands * up, "voice from ↓", ha="right", color=STATIC, **style)
    box = ((wide - right + 18) / wide, bottom / high, 10 / wide, (high - bottom - y[1]) / high)
    bar = figure.colorbar(image, cax=figure.add_axes(box))
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.tick_params(labelsize=8, colors=QUIET, length=2)
    bar.ax.set_title("dB", fontsize=8, color=QUIET, loc="left", pad=4)
    return figure


def _loudest(spectrograms: Sequence[Spectrogram]) -> float:
    """Where the colour scale ends; a few single louder values do not dim all others."""
    return float(np.percentile(np.concatenate([clip.ravel() for clip in spectrograms]), 99.9))


def _draw(axes: Axes, clip: Spectrogram, loudest: float) -> None:
    axes.imshow(
        clip.T - loudest,
        origin="lower",
        aspect="auto",
        cmap=COLOURS,
        vmin=-RANGE,
        vmax=0,
        interpolation="nearest",
    )
    for spine in axes.spines.values():
        spine.set_color(FAINT)
        spine.set_linewidth(0.6)


def _time_axis(axes: Axes, steps: int, frames_per_second: float) -> None:
    seconds = steps / frames_per_second
    apart = next(
        gap for gap in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600) if seconds / gap <= 5 or gap == 600
    )
    marks = np.arange(0, seconds + 1e-9, apart)
    axes.set_xticks(marks * frames_per_second - 0.5, [f"{mark:g}" for mark in marks.round(2)])


def _frequency_axis(axes: Axes, frequencies: np.ndarray) -> None:
    shown = [hertz for hertz in HERTZ if frequencies[0] <= hertz <= frequencies[-1]]
    axes.set_yticks(
        np.interp(shown, frequencies, np.arange(len(frequencies))), [f"{hertz}" for hertz in shown]
    )
