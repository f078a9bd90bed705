"""Pictures of sequences, codes, scores and training: arrays in, a matplotlib Figure out; GIFs with Pillow.

Nothing here touches matplotlib's global state. Save a figure with `figure.savefig(path)`.

Frames are `(C, H, W)` in [0, 1]; sequences of vectors `(T, F)` are drawn as lines, or as heat maps when they have
more than six features. A series is `(L, F)`, NaN where nothing is known; a spectrogram `(L, F)` in decibels.
"""

from unbraid.plots.audio import plot_exchanged_voices, plot_spectrograms
from unbraid.plots.codes import embed, plot_codes
from unbraid.plots.downstream import DOWNSTREAM_FIGURES, DOWNSTREAM_FLOORS, DOWNSTREAM_PARTS, plot_downstream
from unbraid.plots.scores import plot_scores
from unbraid.plots.series import (
    MOST_FEATURES,
    plot_dynamic_codes,
    plot_series,
    plot_series_between,
    plot_series_rows,
    plot_series_swaps,
)
from unbraid.plots.sheets import (
    animate,
    plot_interpolation,
    plot_reconstructions,
    plot_swaps,
    plot_variations,
)
from unbraid.plots.training import plot_training
from unbraid.plots.video import (
    plot_confusion,
    plot_drawn_pairs,
    plot_failures,
    plot_information,
    plot_interpolation_scores,
    plot_interpolation_sets,
    plot_joint_codes,
    plot_leakage,
    plot_replaced,
    plot_swap_sets,
)

__all__ = [
    "DOWNSTREAM_FIGURES",
    "DOWNSTREAM_FLOORS",
    "DOWNSTREAM_PARTS",
    "MOST_FEATURES",
    "animate",
    "embed",
    "plot_codes",
    "plot_confusion",
    "plot_downstream",
    "plot_drawn_pairs",
    "plot_dynamic_codes",
    "plot_exchanged_voices",
    "plot_failures",
    "plot_information",
    "plot_interpolation",
    "plot_interpolation_scores",
    "plot_interpolation_sets",
    "plot_joint_codes",
    "plot_leakage",
    "plot_reconstructions",
    "plot_replaced",
    "plot_scores",
    "plot_series",
    "plot_series_between",
    "plot_series_rows",
    "plot_series_swaps",
    "plot_spectrograms",
    "plot_swap_sets",
    "plot_swaps",
    "plot_training",
    "plot_variations",
]
