"""Pictures of sequences, codes, scores and training: arrays in, a matplotlib Figure out; GIFs with Pillow.

Nothing here touches matplotlib's global state. Save a picture with `figure.savefig(path)`.

Frames are `(C, H, W)` in [0, 1]; clips of vectors `(T, F)` are drawn as lines, or as heat maps when they have more than
six features. A series is `(L, F)`, a spectrogram `(L, F)` in decibels. NaN stands where nothing is to be drawn.
"""

from unbraid.plots.animation import animate
from unbraid.plots.clips import (
    plot_components,
    plot_drawn_pairs,
    plot_factors,
    plot_failures,
    plot_interpolation,
    plot_interpolation_sets,
    plot_reconstructions,
    plot_replaced,
    plot_swap_sets,
    plot_swaps,
    plot_variations,
)
from unbraid.plots.codes import (
    MAP_SIDE,
    embed,
    map_places,
    nearest_place,
    plot_codes,
    plot_joint_codes,
    plot_map,
)
from unbraid.plots.lanes import MOST_FEATURES, plot_series_between, plot_series_rows, plot_series_swaps
from unbraid.plots.paths import plot_dynamic_codes
from unbraid.plots.scores import (
    plot_confusion,
    plot_downstream,
    plot_interpolation_scores,
    plot_leakage,
    plot_scores,
)
from unbraid.plots.series import plot_curves, plot_series
from unbraid.plots.sounds import plot_exchanged_voices, plot_spectrograms
from unbraid.plots.study import plot_study
from unbraid.plots.training import plot_information, plot_training

__all__ = [
    "MAP_SIDE",
    "MOST_FEATURES",
    "animate",
    "embed",
    "map_places",
    "nearest_place",
    "plot_codes",
    "plot_components",
    "plot_confusion",
    "plot_curves",
    "plot_downstream",
    "plot_drawn_pairs",
    "plot_dynamic_codes",
    "plot_exchanged_voices",
    "plot_factors",
    "plot_failures",
    "plot_information",
    "plot_interpolation",
    "plot_interpolation_scores",
    "plot_interpolation_sets",
    "plot_joint_codes",
    "plot_leakage",
    "plot_map",
    "plot_reconstructions",
    "plot_replaced",
    "plot_scores",
    "plot_series",
    "plot_series_between",
    "plot_series_rows",
    "plot_series_swaps",
    "plot_spectrograms",
    "plot_study",
    "plot_swap_sets",
    "plot_swaps",
    "plot_training",
    "plot_variations",
]
