"""Write files whole or not at all: clips as pictures or numbers, sounds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unbraid.files import replacing
from unbraid.io import load_scaling

if TYPE_CHECKING:
    from unbraid.training import Run

__all__ = ["CLIPS", "check_output", "in_units", "write_clips"]

CLIPS = (".gif", ".png", ".npy")
_GAP = 2
_MILLISECONDS = 150


def check_output(path: Path, endings: Sequence[str], force: bool) -> None:
    """Refuse, before any work, a file that cannot be written.

    Args:
        path: of the file.
        endings: those that name a format.
        force: whether a file that exists may be overwritten.

    Raises:
        ValueError: the path has none of the endings.
        FileExistsError: there is such a file, and `force` is False.
    """
    if path.suffix not in endings:
        raise ValueError(f"output: {path} must end in {', '.join(endings)}")
    if path.exists() and not force:
        raise FileExistsError(f"output: {path} exists; give another name, or --force to overwrite it")


def in_units(run: "Run", x: np.ndarray) -> np.ndarray:
    """Decoded values `(..., F)` in the units of the run's data; the model knows scaled ones, where they were scaled."""
    scaling = load_scaling(run.folder)
    return x if scaling is None else scaling.invert(x)


def write_clips(path: Path, clips: Sequence[np.ndarray]) -> None:
    """Write clips `(T, *X)` as `.gif` (side by side), `.png` (a row each, a column per step) or `.npy`.

    Frames `(T, C, H, W)` are in [0, 1]. Clips may differ in length: a picture repeats the last frame of a shorter one,
    a `.npy` file is padded with zeros.

    Raises:
        ValueError: series that are to be a picture.
    """
    if path.suffix != ".npy" and clips[0].ndim != 4:
        raise ValueError(f"output: {path}: only frames make a picture; write series to a .npy file")
    longest = max(len(clip) for clip in clips)
    padding = [((0, longest - len(clip)), *[(0, 0)] * (clip.ndim - 1)) for clip in clips]
    with replacing(path) as temporary:
        if path.suffix == ".npy":
            np.save(
                temporary, np.stack([np.pad(clip, pad) for clip, pad in zip(clips, padding, strict=True)])
            )
            return
        pixels = [
            np.pad(_as_pixels(clip), pad, mode="edge") for clip, pad in zip(clips, padding, strict=True)
        ]
        _write_picture(temporary, pixels)


def _write_picture(path: Path, clips: list[np.ndarray]) -> None:
    """Write clips `(T, H, W, 3)` of one length as a moving picture or as a sheet of frames."""
    from PIL import Image

    if path.suffix == ".png":
        rows = [_beside(list(clip)) for clip in clips]
        Image.fromarray(_beside([row.swapaxes(0, 1) for row in rows]).swapaxes(0, 1)).save(path)
        return
    pictures = [Image.fromarray(_beside([clip[t] for clip in clips])) for t in range(len(clips[0]))]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=_MILLISECONDS, loop=0)


def _as_pixels(clip: np.ndarray) -> np.ndarray:
    """`(T, H, W, 3)` uint8, zoomed to 128 pixels; one channel becomes grey, of four the first three are taken."""
    pixels = np.round(np.clip(clip, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    if pixels.shape[-1] == 1:
        pixels = pixels.repeat(3, -1)
    pixels = np.pad(pixels[..., :3], ((0, 0), (0, 0), (0, 0), (0, max(0, 3 - pixels.shape[-1]))))
    zoom = max(1, 128 // pixels.shape[1])
    return pixels.repeat(zoom, 1).repeat(zoom, 2)


def _beside(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures `(H, W, 3)` side by side, with white gaps."""
    gap = np.full((pictures[0].shape[0], _GAP, 3), 255, np.uint8)
    row = [part for picture in pictures for part in (picture, gap)]
    return np.ascontiguousarray(np.concatenate(row[:-1], 1))
