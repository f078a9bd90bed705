"""Sheets of sequences, still as matplotlib Figures and moving as GIFs.

Sheets of frames are laid out so that every pixel of a frame is a whole number of pixels of the file.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from unbraid.plots.style import CLASSES, DPI, DYNAMIC, FAINT, INK, QUIET, STATIC

__all__ = [
    "animate",
    "plot_interpolation",
    "plot_reconstructions",
    "plot_swaps",
    "plot_variations",
    "rgb",
    "sheet",
]

MANY_FEATURES = 6  # of vectors, above which they are a heat map instead of lines
NOTE_WIDTH = 170  # pixels beside a row for what is said of it
Clips = Float[np.ndarray, "..."]


# ---- still pictures -------------------------------------------------------------------------------------


def plot_reconstructions(
    original: Float[np.ndarray, "n T *X"], rebuilt: Float[np.ndarray, "n T *X"]
) -> Figure:
    """Every sequence above its reconstruction."""
    _same(original, rebuilt)
    cells = [[clip] for pair in zip(original, rebuilt, strict=True) for clip in pair]
    labels = ["original", "rebuilt"] * len(original)
    return sheet(cells, row_labels=labels, groups=2)


def plot_swaps(
    originals: Float[np.ndarray, "n T *X"], crossed: Float[np.ndarray, "n n T *X"], shown: int = 3
) -> Figure:
    """Every static code with every dynamic code.

    Args:
        originals: the clips that give the codes; drawn as the header row and column.
        crossed: `[i, j]` has the static code of i and the dynamic codes of j.
        shown: frames drawn of each clip, evenly spaced.
    """
    n = len(originals)
    if crossed.shape[:2] != (n, n):
        raise ValueError(
            f"crossed: is {crossed.shape[0]} x {crossed.shape[1]} for {n} originals; give {n} x {n}"
        )
    if originals.ndim == 5:
        steps = np.unique(np.linspace(0, originals.shape[1] - 1, shown).round().astype(int))
        originals, crossed = originals[:, steps], crossed[:, :, steps]
    cells: list[list[Clips | None]] = [[None, *originals]]
    cells += [[originals[i], *crossed[i]] for i in range(n)]
    return sheet(
        cells,
        target=64,
        header=True,
        corner=("motion from", "content from"),
        framed=True,
    )


def plot_variations(
    original: Float[np.ndarray, "T *X"], varied: Float[np.ndarray, "k T *X"], label: str = "drawn"
) -> Figure:
    """A sequence, and below it sequences that share one of its codes while the other is drawn."""
    cells = [[original], *[[clip] for clip in varied]]
    labels = ["original", *[f"{label} {i + 1}" for i in range(len(varied))]]
    return sheet(cells, row_labels=labels, first_apart=True)


def plot_interpolation(clips: Float[np.ndarray, "k T *X"]) -> Figure:
    """One motion under static codes on the line between two; the rows go from the one to the other."""
    shares = np.linspace(0, 1, len(clips))
    return sheet([[clip] for clip in clips], row_labels=[f"{share:.0%}" for share in shares])


def sheet(
    cells: Sequence[Sequence[Clips | None]],
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
    clip = next(c for row in cells for c in row if c is not None)
    wide, high = _cell_size(clip, target)
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
        for j, one in enumerate(row):
            if one is not None:
                axes = figure.add_axes((x / width, y / height, wide / width, high / height))
                _draw(axes, one, limits, framed and (i == 0 or j == 0))
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


def _cell_size(clip: Clips, target: int) -> tuple[int, int]:
    if clip.ndim == 2:
        return 5 * target, 96  # 520 x 96 in a list, 320 x 96 in a square
    steps, _, height, width = clip.shape
    scale = max(1, round(target / height))
    return steps * width * scale + (steps - 1) * 2, height * scale


def _limits(cells: Sequence[Sequence[Clips | None]]) -> tuple[float, float]:
    """One range for all sequences of vectors in a sheet, so that they can be compared."""
    clips = [c for row in cells for c in row if c is not None]
    low, high = min(float(np.nanmin(c)) for c in clips), max(float(np.nanmax(c)) for c in clips)
    return low - 0.05 * (high - low), high + 0.05 * (high - low) + 1e-9


def _draw(axes: Axes, clip: Clips, limits: tuple[float, float], framed: bool) -> None:
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
    """A frame of 1 to 4 channels as colours: grey, two colours, RGB, or RGB over white by its fourth channel."""
    frame = np.asarray(frame, dtype=np.float32)
    if len(frame) == 1:
        frame = frame.repeat(3, 0)
    elif len(frame) == 2:
        frame = np.concatenate([frame, frame[:1]])
    elif len(frame) == 4:
        frame = frame[:3] * frame[3] + (1 - frame[3])
    return (frame.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)


def _same(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape:
        raise ValueError(f"rebuilt: has shape {b.shape}, the originals {a.shape}; give one for each")


# ---- moving pictures ------------------------------------------------------------------------------------


def animate(
    grid: Float[np.ndarray, "rows columns T C H W"],
    path: str | Path,
    *,
    header: bool = False,
    frames_per_second: float = 7,
    target: int = 104,
) -> Path:
    """Write a grid of clips that move together as a looped GIF.

    Args:
        grid: clips; a clip of NaN leaves its place empty.
        path: of the GIF.
        header: set the first row and the first column apart.
        frames_per_second: of the GIF.
        target: wanted size of a frame in pixels; frames are enlarged by whole multiples.

    Raises:
        ValueError: not a grid of clips of frames.
    """
    if grid.ndim != 6 or grid.shape[3] not in (1, 2, 3, 4):
        raise ValueError(f"grid: has shape {grid.shape}; give (rows, columns, T, C, H, W)")
    scale = max(1, round(target / grid.shape[4]))
    pages = [_page(grid[:, :, t], scale, header) for t in range(grid.shape[2])]
    # One palette for all pages: colours that change from page to page would flicker.
    palette = Image.fromarray(np.concatenate(pages, 1)).quantize(255, method=Image.Quantize.MEDIANCUT)
    palette.putpalette([*(palette.getpalette() or [])[: 3 * 255], 255, 255, 255])  # pure white for the gaps
    images = [Image.fromarray(page).quantize(palette=palette, dither=Image.Dither.NONE) for page in pages]
    path = Path(path)
    duration = round(1000 / frames_per_second)
    images[0].save(path, save_all=True, append_images=images[1:], duration=duration, loop=0, optimize=False)
    return path


def _page(
    clips: Float[np.ndarray, "rows columns C H W"], scale: int, header: bool
) -> UInt8[np.ndarray, "h w 3"]:
    small, large, margin = 6, 18, 10
    rows, columns, _, height, width = clips.shape
    height, width = height * scale, width * scale
    tops = margin + np.arange(rows) * (height + small) + (large - small) * (header & (np.arange(rows) > 0))
    lefts = (
        margin + np.arange(columns) * (width + small) + (large - small) * (header & (np.arange(columns) > 0))
    )
    page = np.full((tops[-1] + height + margin, lefts[-1] + width + margin, 3), 255, np.uint8)
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            frame = clips[row, column]
            if not np.isnan(frame).any():
                page[top : top + height, left : left + width] = rgb(frame).repeat(scale, 0).repeat(scale, 1)
    return page
