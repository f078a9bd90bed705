"""Colours, sizes and axes that all pictures share."""

from matplotlib.axes import Axes

__all__ = ["CLASSES", "DPI", "DYNAMIC", "FAINT", "INK", "QUIET", "STATIC", "tidy"]

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
DPI = 100


def tidy(axes: Axes, title: str) -> None:
    """Title, small ticks, a pale grid, and spines left and below only."""
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.tick_params(labelsize=8, colors=QUIET, length=2)
    axes.grid(color="#eceef1", linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
