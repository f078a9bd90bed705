"""Write clips to a file: a moving picture, a sheet of frames, or the numbers themselves."""

from pathlib import Path

import numpy as np

__all__ = ["ENDINGS", "SOUND", "check_ending", "write_clips"]

ENDINGS = (".gif", ".png", ".npy")
SOUND = ".wav"
_GAP = 2
_MILLISECONDS = 150


def check_ending(path: Path, endings: tuple[str, ...] = ENDINGS) -> None:
    """Refuse a file name that says no format.

    Raises:
        ValueError: it ends in none of the endings.
    """
    if path.suffix not in endings:
        raise ValueError(f"output: {path} must end in {', '.join(endings)}")


def write_clips(path: Path, clips: list[np.ndarray]) -> None:
    """Write clips `(T, *X)` as `.gif` (side by side), `.png` (a row each, a column per step) or `.npy`.

    Frames `(T, C, H, W)` are in [0, 1]. Clips may differ in length: in pictures the last frame of a shorter
    one stays, in `.npy` it is padded with zeros.

    Raises:
        ValueError: an unknown ending, or feature vectors that are to be a picture.
    """
    check_ending(path)
    longest = max(len(clip) for clip in clips)
    missing = [((0, longest - len(clip)), *[(0, 0)] * (clip.ndim - 1)) for clip in clips]
    if path.suffix == ".npy":
        np.save(path, np.stack([np.pad(clip, pad) for clip, pad in zip(clips, missing, strict=True)]))
        return
    if clips[0].ndim != 4:
        raise ValueError(f"output: {path}: feature vectors make no picture; write them to a .npy file")
    from PIL import Image

    held = [np.pad(_as_pixels(clip), pad, mode="edge") for clip, pad in zip(clips, missing, strict=True)]
    if path.suffix == ".png":
        rows = [_beside(list(clip)) for clip in held]
        Image.fromarray(_beside([row.swapaxes(0, 1) for row in rows]).swapaxes(0, 1)).save(path)
        return
    pictures = [Image.fromarray(_beside([clip[t] for clip in held])) for t in range(longest)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=_MILLISECONDS, loop=0)


def _as_pixels(clip: np.ndarray) -> np.ndarray:
    """`(T, H, W, 3)` uint8, zoomed to 128 pixels; one channel is grey, of four the first three are shown."""
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
