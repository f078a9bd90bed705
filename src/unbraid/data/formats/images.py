"""Frames of one's own videos and images: decoded, cropped to the centre, resized to `(C, size, size)`."""

import contextlib
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

__all__ = ["IMAGE_ENDINGS", "MOVIE_ENDINGS", "natural_order", "open_image", "read_images", "read_movie"]

MOVIE_ENDINGS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".gif")
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def natural_order(text: str) -> list[tuple[int, int | str]]:
    """Sort key under which frame2 comes before frame10."""
    parts = re.split(r"(\d+)", text.lower())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def read_movie(path: Path, size: int, channels: int, every: int = 1) -> Iterator[np.ndarray]:
    """Every `every`-th frame of a video or GIF, `(C, size, size)` uint8.

    Raises:
        ValueError: the file is no video, is damaged, or ends before its declared end.
        ImportError: videos other than GIFs need the package `av`.
    """
    pictures = _gif(path) if path.suffix.lower() == ".gif" else _video(path)
    first: tuple[int, int] | None = None
    for picture in itertools.islice(pictures, 0, None, every):
        image = picture if isinstance(picture, Image.Image) else picture.to_image()
        first = first or image.size
        if image.size != first:
            raise ValueError(
                f"{path}: frames change from {_size(first)} to {_size(image.size)} pixels; split it"
            )
        yield _fit(image, size, channels)


def read_images(paths: Sequence[Path], size: int, channels: int, every: int = 1) -> Iterator[np.ndarray]:
    """Every `every`-th of the images of one sequence, `(C, size, size)` uint8.

    Raises:
        ValueError: a file is no image or is damaged, or the images differ in size.
    """
    first: tuple[int, int] | None = None
    for path in paths[::every]:
        image = open_image(path)
        if image.mode in DEEP_MODES:
            raise ValueError(
                f"{path}: has more than 8 bits per channel (mode {image.mode}); convert it to 8 bits"
            )
        first = first or image.size
        if image.size != first:
            raise ValueError(
                f"{path}: is {_size(image.size)} pixels, {paths[0].name} beside it is {_size(first)}; "
                "the images of one sequence must have one size"
            )
        yield _fit(image, size, channels)


def open_image(path: Path) -> Image.Image:
    """An image, read to its end.

    Raises:
        ValueError: the file is no image or is damaged.
    """
    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # damaged files make the readers fail in many ways
        raise ValueError(f"{path}: is damaged or no image ({error}); replace or remove it") from error
    return image


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _fit(image: Image.Image, size: int, channels: int) -> np.ndarray:
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image.convert("RGBA"))
    image = image.convert("L" if channels == 1 else "RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1)


def _gif(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            for frame in ImageSequence.Iterator(image):
                yield frame.convert("RGBA")
    except Exception as error:
        raise ValueError(f"{path}: is damaged or no GIF ({error}); replace or remove it") from error


def _video(path: Path) -> Iterator[Any]:
    try:
        import av
    except ImportError as error:
        raise ImportError(
            f"{path}: to read videos install the extra: pip install 'unbraid[video]'"
        ) from error
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path}: holds no picture, only {container.format.long_name}; remove it")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            count, end = 0, 0.0
            for frame in container.decode(stream):
                count, end = count + 1, max(end, frame.time or 0.0)
                yield frame
            _check_whole(path, container, stream, count, end)
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: is damaged or not a video ({error}); replace or remove it") from error


def _check_whole(path: Path, container: Any, stream: Any, count: int, end: float) -> None:
    """Refuse a file that stops well before the end that its header declares."""
    with contextlib.suppress(TypeError, ZeroDivisionError):  # headers that declare nothing
        if stream.frames:
            if count < 0.9 * stream.frames:
                raise ValueError(
                    f"{path}: is truncated, {count} of {stream.frames} frames can be read; replace it"
                )
            return
        length = float(stream.duration * stream.time_base if stream.duration else container.duration / 1e6)
        if end + 2 / float(stream.average_rate) < 0.8 * length:
            raise ValueError(
                f"{path}: is truncated, {end:.1f} of {length:.1f} seconds can be read; replace it"
            )
