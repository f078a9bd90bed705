"""Grids of clips that move, as GIFs."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from unbraid.plots.sheets import rgb

__all__ = ["animate"]


def animate(
    grid: Float[np.ndarray, "rows columns T C H W"],
    path: str | Path,
    *,
    header: bool = False,
    frames_per_second: float = 7,
    target: int = 104,
    margin: int = 10,
) -> Path:
    """Write a grid of clips that move together as a looped GIF.

    Args:
        grid: clips; frames with NaN leave their place empty.
        path: of the GIF.
        header: set the first row and the first column apart.
        frames_per_second: of the GIF.
        target: wanted size of a frame in pixels; frames are enlarged by whole multiples.
        margin: white pixels round the grid.

    Raises:
        ValueError: not a grid of clips of frames.
    """
    if grid.ndim != 6 or grid.shape[3] not in (1, 2, 3, 4):
        raise ValueError(f"grid: has shape {grid.shape}; give (rows, columns, T, C, H, W)")
    scale = max(1, round(target / grid.shape[4]))
    pages = [_page(grid[:, :, t], scale, header, margin) for t in range(grid.shape[2])]
    # One palette for all pages: colours that change from page to page would flicker.
    palette = Image.fromarray(np.concatenate(pages, 1)).quantize(255, method=Image.Quantize.MEDIANCUT)
    palette.putpalette([*(palette.getpalette() or [])[: 3 * 255], 255, 255, 255])  # pure white for the gaps
    images = [Image.fromarray(page).quantize(palette=palette, dither=Image.Dither.NONE) for page in pages]
    path = Path(path)
    duration = round(1000 / frames_per_second)
    images[0].save(path, save_all=True, append_images=images[1:], duration=duration, loop=0, optimize=False)
    return path


def _page(
    clips: Float[np.ndarray, "rows columns C H W"], scale: int, header: bool, margin: int
) -> UInt8[np.ndarray, "h w 3"]:
    small, large = 6, 18
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
