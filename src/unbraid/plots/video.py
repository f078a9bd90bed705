"""The figures of the papers on video: one code exchanged row by row, sets of swaps, confusion, leakage, information.

Arrays and scores in, a matplotlib Figure out; all are names of `unbraid.plots`. "C-DSVAE" is Bai et al.,
NeurIPS 2021 (supplement), "DBSE" Berman et al., ICML 2024. Sequences of vectors, as mel bands, go where frames go.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unbraid.plots.scores import score_bar
from unbraid.plots.sheets import sheet
from unbraid.plots.style import DPI, DYNAMIC, FAINT, INK, QUIET, STATIC, tidy
from unbraid.plots.training import logged

__all__ = [
    "plot_confusion",
    "plot_drawn_pairs",
    "plot_failures",
    "plot_information",
    "plot_interpolation_scores",
    "plot_interpolation_sets",
    "plot_joint_codes",
    "plot_leakage",
    "plot_replaced",
    "plot_swap_sets",
]

SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#cfe0e7", DYNAMIC, "#123b4a"])
MANY_CLASSES = 12  # above, a matrix has no numbers in its cells


# ---- sheets of clips ------------------------------------------------------------------------------------


def plot_replaced(
    originals: Float[np.ndarray, "n T *X"],
    static_of_first: Float[np.ndarray, "m T *X"],
    dynamic_of_first: Float[np.ndarray, "m T *X"],
) -> Figure:
    """Every clip with one code of the first clip in the place of its own (C-DSVAE, Figures 7 and 9).

    Args:
        originals: n clips; each but the first is drawn above what becomes of it.
        static_of_first: the n - 1 others with the first clip's static code, in the left column.
        dynamic_of_first: the n - 1 others with the first clip's dynamic codes, in the right column.
    """
    others = len(originals) - 1
    for name, made in (("static_of_first", static_of_first), ("dynamic_of_first", dynamic_of_first)):
        if len(made) != others:
            raise ValueError(f"{name}: has {len(made)} clips for {others} others; give one for each")
    cells = [[originals[0], originals[0]]]
    for i in range(others):
        cells += [[originals[i + 1], originals[i + 1]], [static_of_first[i], dynamic_of_first[i]]]
    return sheet(
        cells,
        row_labels=["first", *["original", "generated"] * others],
        column_labels=["content of the first, own motion", "motion of the first, own content"],
        target=64,
        first_apart=True,
    )


def plot_drawn_pairs(
    originals: Float[np.ndarray, "n T *X"], generated: Float[np.ndarray, "n T *X"], drawn: str
) -> Figure:
    """Every clip above one that keeps one of its codes while the other is drawn (C-DSVAE, Figures 10 and 11).

    Args:
        originals: clips.
        generated: what keeps one code of each.
        drawn: name of the code that is drawn, written beside the rows, as "content".
    """
    if originals.shape != generated.shape:
        raise ValueError(f"generated: has shape {generated.shape}, the originals {originals.shape}")
    cells = [[clip] for pair in zip(originals, generated, strict=True) for clip in pair]
    return sheet(cells, row_labels=["original", f"{drawn}\ndrawn"] * len(originals), groups=2, target=64)


def plot_swap_sets(first: Any, second: Any, first_moved: Any, second_moved: Any) -> Figure:
    """Swaps in sets of four rows (C-DSVAE, Figure 12; DBSE, Figures 12 and 13).

    Args:
        first: `(n, T, *X)` clips.
        second: as many others.
        first_moved: the motion of `first` with the content of `second`.
        second_moved: the motion of `second` with the content of `first`.
    """
    clips = [first, first_moved, second, second_moved]
    if any(part.shape != first.shape for part in clips):
        raise ValueError(
            f"second: shapes are {', '.join(str(part.shape) for part in clips)}; give four alike"
        )
    cells = [[clip] for row in zip(*clips, strict=True) for clip in row]
    labels = ["clip A", "motion A,\ncontent B", "clip B", "motion B,\ncontent A"]
    return sheet(cells, row_labels=labels * len(first), groups=4, target=64)


def plot_interpolation_sets(
    sets: Float[np.ndarray, "n k T *X"], seen: Sequence[Sequence[str]] | None = None
) -> Figure:
    """One motion under k static codes on the line between two, in n sets (C-DSVAE, Figure 16).

    Args:
        sets: clips, from the first content to the last.
        seen: what the judge sees in each, written beside it; it should not change within a set.
    """
    count, steps = sets.shape[:2]
    labels = [f"{share:.0%}" for share in np.linspace(0, 1, steps)]
    cells = [[clip] for one in sets for clip in one]
    notes = None if seen is None else [word for one in seen for word in one]
    return sheet(cells, row_labels=labels * count, groups=steps, target=64, notes=notes)


def plot_failures(
    clips: Float[np.ndarray, "n 3 T *X"],
    true: Sequence[str],
    seen: Sequence[str],
    sure: Sequence[float],
    shown: int = 4,
) -> Figure:
    """Swapped clips in which the judge sees something else, beside the clips that they are made of (DBSE, Figure 6).

    Args:
        clips: for each, who gives the motion, who gives the content, and what came out.
        true: class of the giver.
        seen: class that the judge sees.
        sure: how probable the judge finds it.
        shown: frames drawn of each clip, evenly spaced.
    """
    if clips.ndim == 6:
        steps = np.unique(np.linspace(0, clips.shape[2] - 1, shown).round().astype(int))
        clips = clips[:, :, steps]
    said = [f"seen as {b}\n({p:.0%} sure)\nshould be {a}" for a, b, p in zip(true, seen, sure, strict=True)]
    columns = ["motion from", "content from", "generated"]
    return sheet([list(row) for row in clips], target=64, column_labels=columns, notes=said)


# ---- codes ----------------------------------------------------------------------------------------------


def plot_joint_codes(static: Float[np.ndarray, "N 2"], dynamic: Float[np.ndarray, "M 2"]) -> Figure:
    """Static codes and mean dynamic codes embedded together in two dimensions (DBSE, Figure 7, left).

    Two clouds apart show that the two codes live in different places of one space.
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


# ---- what the judge sees --------------------------------------------------------------------------------


def plot_confusion(counts: Int[np.ndarray, "K K"], classes: Sequence[str], title: str = "") -> Figure:
    """What the judge takes generated clips for, as shares of each true class (DBSE, Figure 6, right).

    Args:
        counts: clips of each true class (rows) seen as each class (columns).
        classes: names.
        title: above the matrix.
    """
    counts = np.asarray(counts)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"counts: has shape {counts.shape} for {len(classes)} classes")
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = max(2.6, 0.42 * len(classes)) if len(classes) <= MANY_CLASSES else 6.0
    longest = max(len(name) for name in classes)
    size = (side + 0.075 * longest + 0.9, side + 0.075 * longest + (0.75 if title else 0.45))
    figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=1)
    places = range(len(classes))
    if len(classes) <= 3 * MANY_CLASSES:
        axes.set_xticks(places, classes, rotation=90 if longest > 2 else 0, fontsize=8.5, color=INK)
        axes.set_yticks(places, classes, fontsize=8.5, color=INK)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    if len(classes) <= MANY_CLASSES:
        for row, column in np.argwhere(shares >= 0.005):
            share = shares[row, column]
            colour = "white" if share > 0.45 else INK
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(np.arange(len(classes) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(classes) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#eceef1", linewidth=1)
    axes.tick_params(length=0, which="both")
    axes.set_xlabel("what the judge sees", fontsize=9, color=QUIET)
    axes.set_ylabel("what it should see", fontsize=9, color=QUIET)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    if title:
        axes.set_title(title, fontsize=10, color=INK)
    return figure


def plot_interpolation_scores(scores: Mapping[str, Any]) -> Figure:
    """How often each label is seen as in the one clip and as in the other while the static code goes between them.

    Args:
        scores: of `evaluate_generation`.

    Raises:
        ValueError: they hold no interpolation.
    """
    if "interpolation" not in scores:
        raise ValueError("scores: hold no interpolation; score with labels and a judge")
    labels = {name: label for name, label in scores["labels"].items() if not label["part_of"]}
    figure = Figure(figsize=(2.2 * len(labels) + 0.6, 2.6), dpi=DPI, facecolor="white", layout="constrained")
    grid = figure.subplots(1, len(labels), sharey=True, squeeze=False)[0]
    for axes, (name, label) in zip(grid, labels.items(), strict=True):
        shares = [float(share.rstrip("%")) / 100 for share in scores["interpolation"]["own"]]
        for whose, line in (("own", "-"), ("other", "--")):
            values = [figures[name]["mean"] for figures in scores["interpolation"][whose].values()]
            colour = DYNAMIC if label["kind"] == "dynamic" else STATIC
            axes.plot(shares, values, line, color=colour, linewidth=1.6, marker="o", markersize=3)
        axes.axhline(label["chance"], color=INK, linewidth=0.8, linestyle=":")
        axes.set_ylim(-0.03, 1.05)
        axes.set_xticks([0, 0.5, 1], ["own", "half", "partner"])
        axes.set_yticks([0, 0.5, 1], ["0", "50%", "100%"])
        tidy(axes, f"{name} ({label['kind']})")
    lines = [Line2D([], [], color=QUIET, linewidth=1.6, linestyle=line) for line in ("-", "--")]
    figure.legend(
        lines, ["seen as in the clip itself", "seen as in its partner"], loc="outside lower center", ncols=2,
        fontsize=8.5, frameon=False, labelcolor=QUIET, handlelength=2.6,
    )  # fmt: skip
    return figure


CODES = {
    "static": "Static code",
    "dynamic_mean": "Dynamic code, mean over steps",
    "dynamic": "Dynamic codes, all steps",
    "pixels": "Pixels (floor)",
    "values": "Values (floor)",
}


def plot_leakage(scores: Mapping[str, Any]) -> Figure:
    """What classifiers read from each code, beside the share of the most frequent class.

    A bar in full colour should be long; a pale one should end at the black tick: what it has beyond has leaked.

    Args:
        scores: of `evaluate_leakage`.
    """
    latent, labels = scores["latent"], scores["labels"]
    names = sorted(
        (name for name in labels if name in latent["static"]),
        key=lambda name: labels[name]["kind"] == "dynamic",
    )
    if not names:
        raise ValueError("scores: hold no label that could be divided; there is nothing to draw")
    size = (2.45 * len(latent) + 1.2, 0.36 * len(names) + 1.1)
    figure = Figure(figsize=size, dpi=DPI, facecolor="white", layout="constrained")
    grid = figure.subplots(1, len(latent), squeeze=False)[0]
    for column, (axes, (code, found)) in enumerate(zip(grid, latent.items(), strict=True)):
        for row, name in enumerate(names):
            kind = labels[name]["kind"]
            belongs = code.startswith(kind) or code in ("pixels", "values")
            score_bar(axes, row, found[name]["mean"], kind, belongs)
        _label_rows(axes, names if column == 0 else [""] * len(names))
        axes.set_title(CODES.get(code, code), fontsize=9, color=INK, loc="left")
    return figure


def _label_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xlim(0, 1.22)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xticks([0, 0.5, 1], ["0", "50%", "100%"], fontsize=8, color=QUIET)
    axes.set_yticks(range(len(names)), names, fontsize=9, color=INK)
    axes.tick_params(length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


# ---- information during training ------------------------------------------------------------------------

INFORMATION = {
    "static_dynamic": "I(s; d)",
    "static_dynamic_per_step": "I(s; d), step by step",
    "static_input": "I(s; x)",
    "dynamic_input": "I(d; x)",
    "dynamic_input_per_step": "I(d; x), step by step",
}


def plot_information(rows: Sequence[Mapping[str, str]], dataset_size: int, batch_size: int) -> Figure:
    """Mutual information of the codes during training, on validation (C-DSVAE, Figures 14 and 15).

    The estimates are minibatch weighted sampling: they begin at log N where codes tell nothing and end at log(N M)
    where all sequences are told apart (dotted lines), so what counts is whether a curve rises or falls.

    Args:
        rows: of `metrics.csv` with columns `information/<name>` in its validation rows.
        dataset_size: number N of training sequences.
        batch_size: number M of sequences in a batch.

    Raises:
        ValueError: no information was tracked.
    """
    names = [name for name in INFORMATION if rows and f"information/{name}" in rows[0]]
    if not names:
        raise ValueError("rows: no information was tracked; train with training.track_information=true")
    wide = 3
    high = -(-len(names) // wide)
    figure = Figure(figsize=(3.4 * wide, 2.3 * high), dpi=DPI, facecolor="white", layout="constrained")
    panels = list(figure.subplots(high, wide, squeeze=False).flat)
    nothing, everything = np.log(dataset_size), np.log(dataset_size) + np.log(batch_size)
    for axes, name in zip(panels, names, strict=False):
        steps, values = logged(rows, f"information/{name}", "validation")
        colour = STATIC if name == "static_input" else DYNAMIC if "input" in name else INK
        axes.plot(steps, values, color=colour, linewidth=1.5, marker="o", markersize=3)
        for level in (nothing, everything):
            axes.axhline(level, color=QUIET, linewidth=0.8, linestyle=":")
        axes.set_ylim(nothing - 0.4, everything + 0.4)
        tidy(axes, f"{INFORMATION[name]}, nats")
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    figure.supxlabel("training steps", fontsize=9, color=QUIET)
    panels[0].text(0.98, nothing, "nothing ", **_beside(panels[0], "bottom"))
    panels[0].text(0.98, everything, "everything ", **_beside(panels[0], "top"))
    return figure


def _beside(axes: Axes, side: str) -> dict[str, Any]:
    return {
        "transform": axes.get_yaxis_transform(),
        "ha": "right",
        "va": side,
        "fontsize": 7,
        "color": QUIET,
    }
