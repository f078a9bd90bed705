"""Videos and GIFs: decoded frame by frame, cropped to the central square, resized to `(C, size, size)`."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from unbraid.data.formats.extras import missing_extra
from unbraid.data.formats.images import fit_frame, pixels

__all__ = ["MOVIE_ENDINGS", "read_movie"]

MOVIE_ENDINGS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".gif")


def read_movie(path: Path, size: int, channels: int, every: int = 1) -> Iterator[np.ndarray]:
    """Read every `every`-th frame of a video or GIF, `(C, size, size)` uint8.

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
                f"{path}: frames change from {pixels(first)} to {pixels(image.size)} pixels; split it"
            )
        yield fit_frame(image, size, channels)


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
        raise missing_extra(f"{path}: a video", "video") from error
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
    with contextlib.suppress(TypeError, ZeroDivisionError):  # a header that does not declare its length
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
