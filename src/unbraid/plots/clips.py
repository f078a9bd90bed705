"""Sheets of clips: reconstructions, swaps, drawn codes, interpolations and failures.

Clips are `(T, C, H, W)` frames in [0, 1] or `(T, F)` vectors, NaN where nothing is to be drawn (padding). Many sheets
follow a figure of a paper: "C-DSVAE" is Bai et al., NeurIPS 2021 (supplement), "DBSE" Berman et al., ICML 2024.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from unbraid.plots.sheets import Clip, evenly_spaced, sheet
from unbraid.plots.style import literal_text

__all__ = [
    "plot_components",
    "plot_drawn_pairs",
    "plot_factors",
    "plot_failures",
    "plot_interpolation",
    "plot_interpolation_sets",
    "plot_reconstructions",
    "plot_replaced",
    "plot_swap_sets",
    "plot_swaps",
    "plot_variations",
]


@literal_text
def plot_reconstructions(
    original: Float[np.ndarray, "n T *X"], rebuilt: Float[np.ndarray, "n T *X"]
) -> Figure:
    """Every sequence above its reconstruction."""
    if original.shape != rebuilt.shape:
        raise ValueError(
            f"rebuilt: has shape {rebuilt.shape}, the originals {original.shape}; give one for each"
        )
    cells = [[clip] for pair in zip(original, rebuilt, strict=True) for clip in pair]
    labels = ["original", "rebuilt"] * len(original)
    return sheet(cells, row_labels=labels, groups=2)


@literal_text
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
        steps = evenly_spaced(originals.shape[1], shown)
        originals, crossed = originals[:, steps], crossed[:, :, steps]
    cells: list[list[Clip | None]] = [[None, *originals]]
    cells += [[originals[i], *crossed[i]] for i in range(n)]
    return sheet(
        cells,
        target=64,
        header=True,
        corner=("motion from", "content from"),
        framed=True,
    )


@literal_text
def plot_variations(
    original: Float[np.ndarray, "T *X"], varied: Float[np.ndarray, "k T *X"], label: str = "drawn"
) -> Figure:
    """A sequence, and below it sequences that share one of its codes while the other is drawn."""
    cells = [[original], *[[clip] for clip in varied]]
    labels = ["original", *[f"{label} {i + 1}" for i in range(len(varied))]]
    return sheet(cells, row_labels=labels, first_apart=True)


@literal_text
def plot_interpolation(clips: Float[np.ndarray, "k T *X"]) -> Figure:
    """One motion under static codes on the line between two; the rows go from the one to the other."""
    shares = np.linspace(0, 1, len(clips))
    return sheet([[clip] for clip in clips], row_labels=[f"{share:.0%}" for share in shares])


@literal_text
def plot_factors(
    pair: Float[np.ndarray, "2 T *X"],
    moved: Float[np.ndarray, "K n T *X"],
    labels: Sequence[str],
    shown: int = 3,
) -> Figure:
    """For each label a row, in which its coordinates go from those of the first clip to those of the second.

    Args:
        pair: both clips, drawn left and right of every row.
        moved: for each label n clips on the way.
        labels: their names.
        shown: frames drawn of each clip, evenly spaced.
    """
    if len(moved) != len(labels):
        raise ValueError(f"labels: has {len(labels)} names for {len(moved)} rows; give one for each")
    shares = [f"{share:.0%}" for share in np.linspace(0, 1, moved.shape[1])]
    if pair.ndim == 5:
        steps = evenly_spaced(pair.shape[1], shown)
        pair, moved = pair[:, steps], moved[:, :, steps]
    return sheet(
        [[pair[0], *row, pair[1]] for row in moved],
        row_labels=list(labels),
        column_labels=["first", *shares, "second"],
        target=48,
    )


@literal_text
def plot_components(moved: Float[np.ndarray, "P n T *X"], labels: Sequence[str]) -> Figure:
    """For each component of the static code a row, in which it goes from low to high; of frames the middle one is drawn.

    Args:
        moved: for each component n clips on the way.
        labels: of the components.
    """
    if len(moved) != len(labels):
        raise ValueError(f"labels: has {len(labels)} names for {len(moved)} rows; give one for each")
    if moved.ndim == 6:
        middle = moved.shape[2] // 2
        moved = moved[:, :, middle : middle + 1]
    return sheet([list(row) for row in moved], row_labels=list(labels), target=64)


@literal_text
def plot_replaced(
    originals: Float[np.ndarray, "n T *X"],
    static_of_first: Float[np.ndarray, "m T *X"],
    dynamic_of_first: Float[np.ndarray, "m T *X"],
) -> Figure:
    """Every clip with one code of the first clip in the place of its own (C-DSVAE, Figures 7 and 9).

    Args:
        originals: n clips; each but the first is drawn above its two changed copies.
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


@literal_text
def plot_drawn_pairs(
    originals: Float[np.ndarray, "n T *X"], generated: Float[np.ndarray, "n T *X"], drawn: str
) -> Figure:
    """Every clip above one that keeps one of its codes while the other is drawn (C-DSVAE, Figures 10 and 11).

    Args:
        originals: clips.
        generated: clips that keep one code of each.
        drawn: name of the code that is drawn, written beside the rows, as "content".
    """
    if originals.shape != generated.shape:
        raise ValueError(f"generated: has shape {generated.shape}, the originals {originals.shape}")
    cells = [[clip] for pair in zip(originals, generated, strict=True) for clip in pair]
    return sheet(cells, row_labels=["original", f"{drawn}\ndrawn"] * len(originals), groups=2, target=64)


@literal_text
def plot_swap_sets(
    first: Float[np.ndarray, "n T *X"],
    second: Float[np.ndarray, "n T *X"],
    motion_of_first: Float[np.ndarray, "n T *X"],
    motion_of_second: Float[np.ndarray, "n T *X"],
) -> Figure:
    """Swaps in sets of four rows (C-DSVAE, Figure 12; DBSE, Figures 12 and 13).

    Args:
        first: `(n, T, *X)` clips.
        second: as many others.
        motion_of_first: the motion of `first` with the content of `second`.
        motion_of_second: the motion of `second` with the content of `first`.
    """
    clips = [first, motion_of_first, second, motion_of_second]
    if any(part.shape != first.shape for part in clips):
        raise ValueError(
            f"second: shapes are {', '.join(str(part.shape) for part in clips)}; give four alike"
        )
    cells = [[clip] for row in zip(*clips, strict=True) for clip in row]
    labels = ["clip A", "motion A,\ncontent B", "clip B", "motion B,\ncontent A"]
    return sheet(cells, row_labels=labels * len(first), groups=4, target=64)


@literal_text
def plot_interpolation_sets(
    sets: Float[np.ndarray, "n k T *X"], seen: Sequence[Sequence[str]] | None = None
) -> Figure:
    """One motion under k static codes on the line between two, in n sets (C-DSVAE, Figure 16).

    Args:
        sets: clips, from the first content to the last.
        seen: the class that the judge sees in each, written beside it; it should not change within a set.
    """
    count, steps = sets.shape[:2]
    labels = [f"{share:.0%}" for share in np.linspace(0, 1, steps)]
    cells = [[clip] for clips in sets for clip in clips]
    notes = None if seen is None else [name for names in seen for name in names]
    return sheet(cells, row_labels=labels * count, groups=steps, target=64, notes=notes)


@literal_text
def plot_failures(
    clips: Float[np.ndarray, "n 3 T *X"],
    true: Sequence[str],
    seen: Sequence[str],
    probability: Sequence[float],
    shown: int = 4,
) -> Figure:
    """Swapped clips in which the judge sees a wrong class, beside the clips that they are made of (DBSE, Figure 6).

    Args:
        clips: for each failure the giver of the motion, the giver of the content, and the swapped clip.
        true: class of the giver.
        seen: class that the judge sees.
        probability: of that class, by the judge.
        shown: frames drawn of each clip, evenly spaced.
    """
    if clips.ndim == 6:
        clips = clips[:, :, evenly_spaced(clips.shape[2], shown)]
    notes = [
        f"seen as {wrong}\n({p:.0%} sure)\nshould be {right}"
        for right, wrong, p in zip(true, seen, probability, strict=True)
    ]
    columns = ["motion from", "content from", "generated"]
    return sheet([list(row) for row in clips], target=64, column_labels=columns, notes=notes)
