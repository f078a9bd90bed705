"""Pictures of sequences, codes, scores and training: arrays in, a matplotlib Figure out; GIFs with Pillow.

Nothing here touches matplotlib's global state. Save a figure with `figure.savefig(path)`: sheets of frames are
laid out so that every pixel of a frame is a whole number of pixels of the file.

Frames are `(C, H, W)` in [0, 1]; sequences of vectors `(T, F)` are drawn as lines, or as heat maps when they
have more than `MANY_FEATURES` features.
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from PIL import Image

from unbraid.data.base import Label

__all__ = [
    "animate",
    "embed",
    "plot_codes",
    "plot_interpolation",
    "plot_reconstructions",
    "plot_scores",
    "plot_swaps",
    "plot_training",
    "plot_variations",
]

INK, QUIET, FAINT = "#22262b", "#6b7280", "#d5d9de"
STATIC, DYNAMIC = "#c2573a", "#27708f"  # warm for what stays, cool for what changes
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
MANY_FEATURES = 6
CODE_COLUMNS = 4
NOTE_WIDTH = 170  # pixels beside a row for what is said of it
DPI = 100
Clips = Float[np.ndarray, "..."]


ELSEWHERE = {
    "DOWNSTREAM_FIGURES": "unbraid.plots_series",
    "DOWNSTREAM_FLOORS": "unbraid.plots_series",
    "DOWNSTREAM_PARTS": "unbraid.plots_series",
    "MOST_FEATURES": "unbraid.plots_series",
    "plot_confusion": "unbraid.plots_video",
    "plot_downstream": "unbraid.plots_series",
    "plot_drawn_pairs": "unbraid.plots_video",
    "plot_dynamic_codes": "unbraid.plots_series",
    "plot_failures": "unbraid.plots_video",
    "plot_information": "unbraid.plots_video",
    "plot_interpolation_scores": "unbraid.plots_video",
    "plot_interpolation_sets": "unbraid.plots_video",
    "plot_joint_codes": "unbraid.plots_video",
    "plot_leakage": "unbraid.plots_video",
    "plot_replaced": "unbraid.plots_video",
    "plot_series": "unbraid.plots_series",
    "plot_series_between": "unbraid.plots_series",
    "plot_series_rows": "unbraid.plots_series",
    "plot_series_swaps": "unbraid.plots_series",
    "plot_swap_sets": "unbraid.plots_video",
}


def __getattr__(name: str) -> Any:
    """The figures of the modules beside this one, which are built of its parts."""
    if name in ELSEWHERE:
        return getattr(importlib.import_module(ELSEWHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# ---- sheets of sequences --------------------------------------------------------------------------------


def plot_reconstructions(
    original: Float[np.ndarray, "n T *X"], rebuilt: Float[np.ndarray, "n T *X"]
) -> Figure:
    """Every sequence above its reconstruction."""
    _same(original, rebuilt)
    cells = [[clip] for pair in zip(original, rebuilt, strict=True) for clip in pair]
    labels = ["original", "rebuilt"] * len(original)
    return _sheet(cells, row_labels=labels, groups=2)


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
    return _sheet(
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
    return _sheet(cells, row_labels=labels, first_apart=True)


def plot_interpolation(clips: Float[np.ndarray, "k T *X"]) -> Figure:
    """One motion under static codes on the line between two; the rows go from the one to the other."""
    shares = np.linspace(0, 1, len(clips))
    return _sheet([[clip] for clip in clips], row_labels=[f"{share:.0%}" for share in shares])


def _sheet(
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
    style: dict[str, Any] = {"fontsize": 10, "linespacing": 1.3}
    figure.text(
        (x + wide) / width,
        (y + 0.68 * high) / height,
        f"{words[0]} →",
        ha="right",
        va="center",
        color=DYNAMIC,
        **style,
    )
    figure.text(
        (x + wide) / width,
        (y + 0.24 * high) / height,
        f"{words[1]} ↓",
        ha="right",
        va="center",
        color=STATIC,
        **style,
    )


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
        frames = [_rgb(frame) for frame in clip]
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


def _rgb(frame: Float[np.ndarray, "C H W"]) -> UInt8[np.ndarray, "H W 3"]:
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
                page[top : top + height, left : left + width] = _rgb(frame).repeat(scale, 0).repeat(scale, 1)
    return page


# ---- codes ----------------------------------------------------------------------------------------------


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


def plot_codes(
    static: Float[np.ndarray, "N 2"],
    dynamic: Float[np.ndarray, "N 2"],
    labels: Mapping[str, Label | Float[np.ndarray, "N"]],
) -> Figure:
    """Both codes in two dimensions (see `embed`), once for each label, coloured by its classes.

    Where a code holds a label its colours form clumps; where it does not they are mixed. What is a number instead of
    a class (NaN = unknown, left out) is coloured by its rank, from dark (low) to light.
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


def _scatter(axes: Axes, points: np.ndarray, label: Label | np.ndarray | None) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    size = max(3, min(14, 6000 / len(points)))
    if isinstance(label, np.ndarray):
        known = ~np.isnan(label)
        points, colours = points[known], colormaps["viridis"](_ranks(label[known]))
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
        words = f"{low:.3g} (dark), median {middle:.3g}, {high:.3g} (light)"
        axes.set_xlabel(words, fontsize=8, color=QUIET)
        return
    if len(label.classes) > 12:
        axes.set_xlabel(f"{len(label.classes)} classes", fontsize=8, color=QUIET)
        return
    for name, colour in zip(label.classes, _class_colours(len(label.classes)), strict=True):
        axes.scatter([], [], s=22, color=colour, label=str(name))
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=2, fontsize=7.5, frameon=False,
        handletextpad=0.2, columnspacing=0.8, labelcolor=QUIET,
    )  # fmt: skip


# ---- scores and training --------------------------------------------------------------------------------

TESTS = {
    "reconstruction": "Reconstruction",
    "keep_dynamic": "Dynamics kept, static drawn",
    "keep_static": "Static kept, dynamics drawn",
    "swap": "Swap: agrees with the right giver",
    "swap_leak": "Swap: agrees with the wrong giver",
}


def plot_scores(scores: Mapping[str, Any]) -> Figure:
    """How often generated clips show each label, beside its floor, for every test of `evaluate_generation`.

    A bar in full colour should be long; a pale one should end at its floor, the black tick.
    """
    tests = [name for name in TESTS if name in scores]
    if not tests:
        raise ValueError("scores: hold no test of labels; there is nothing to draw")
    kinds = {name: described["kind"] for name, described in scores["labels"].items()}
    names = sorted(kinds, key=lambda name: kinds[name] == "dynamic")
    size = (2.45 * len(tests) + 1.2, 0.36 * len(names) + 1.1)
    figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout="constrained")
    for column, (axes, test) in enumerate(
        zip(figure.subplots(1, len(tests), squeeze=False)[0], tests, strict=True)
    ):
        for row, name in enumerate(names):
            _score_bar(axes, row, scores[test][name], kinds[name], _should_be_kept(test, kinds[name]))
        axes.set_title(TESTS[test], fontsize=9, color=INK, loc="left")
        axes.set_xlim(0, 1.22)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xticks([0, 0.5, 1], ["0", "50%", "100%"], fontsize=8, color=QUIET)
        axes.set_yticks(range(len(names)), names if column == 0 else [""] * len(names), fontsize=9, color=INK)
        axes.tick_params(length=0)
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(False)
    return figure


def _should_be_kept(test: str, kind: str) -> bool:
    keeps = {"keep_dynamic": kind == "dynamic", "keep_static": kind == "static", "swap_leak": False}
    return keeps.get(test, True)


def _score_bar(axes: Axes, row: int, figure: Mapping[str, float], kind: str, kept: bool) -> None:
    colour = DYNAMIC if kind == "dynamic" else STATIC
    axes.barh(row, 1, height=0.62, color="#f3f4f6")
    axes.barh(row, figure["mean"], height=0.62, color=colour, alpha=1 if kept else 0.45)
    axes.plot([figure["floor"]] * 2, [row - 0.38, row + 0.38], color=INK, linewidth=1.6)
    axes.text(1.03, row, f"{figure['mean']:.1%}", va="center", fontsize=8, color=INK)


def plot_training(rows: Sequence[Mapping[str, str]]) -> Figure:
    """The total, every unweighted term and the weights over the steps.

    Args:
        rows: of a run's `metrics.csv`, as `csv.DictReader` gives them: step, split, total and the terms as
            text; terms start after the column `total`, weights are called `weight/<term>`, and what else is tracked has
            a name with a stroke as well.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("rows: metrics.csv holds no row yet")
    columns = list(rows[0])
    terms = [c for c in columns[columns.index("total") :] if "/" not in c]
    weights = [c for c in columns if c.startswith("weight/")]
    wide = 3
    high = -(-(len(terms) + bool(weights)) // wide)
    figure = Figure(figsize=(3.4 * wide, 2.25 * high), dpi=DPI, facecolor="white", layout="constrained")
    panels = list(figure.subplots(high, wide, squeeze=False).flat)
    for axes, term in zip(panels, terms, strict=False):
        _curves(axes, rows, term)
    if weights:
        _weight_curves(panels[len(terms)], rows, weights)
    for axes in panels[len(terms) + bool(weights) :]:
        axes.set_axis_off()
    panels[0].legend(fontsize=8, frameon=False, labelcolor=QUIET)
    return figure


def _series(rows: Sequence[Mapping[str, str]], column: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(float(r["step"]), float(r[column])) for r in rows if r["split"] == split and r.get(column)]
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])


def _curves(axes: Axes, rows: Sequence[Mapping[str, str]], term: str) -> None:
    steps, values = _series(rows, term, "train")
    axes.plot(steps, values, color=DYNAMIC, linewidth=1.2, alpha=0.75, label="train")
    checked, found = _series(rows, term, "validation")
    axes.plot(checked, found, color=STATIC, linewidth=1.2, marker="o", markersize=3, label="validation")
    both = np.concatenate([values, found])
    if len(both) and both.min() > 0 and both.max() > 20 * both.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    _tidy(axes, term.replace("_", " "))


def _weight_curves(axes: Axes, rows: Sequence[Mapping[str, str]], weights: Sequence[str]) -> None:
    for number, column in enumerate(weights):
        steps, values = _series(rows, column, "train")
        name = column.removeprefix("weight/").replace("_", " ")
        axes.plot(steps, values, color=CLASSES[number % len(CLASSES)], linewidth=1.2, label=name)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7, framealpha=0.9, edgecolor="white", labelcolor=QUIET)
    _tidy(axes, "weights")


def _tidy(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.tick_params(labelsize=8, colors=QUIET, length=2)
    axes.grid(color="#eceef1", linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
