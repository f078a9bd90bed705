"""Videos and GIFs: decoded frame by frame, turned as players show them, cropped to the central square, resized.

The order of these steps is one for all files: the display matrix of a phone's film is applied, pixels that are not square
are widened, what is transparent becomes black, and `fit_frame` gives `(C, size, size)`.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from unbraid.data.formats.extras import missing_extra
from unbraid.data.formats.images import DeclaredSizeError, check_declared_size, fit_frame, pixels

__all__ = ["MOVIE_ENDINGS", "frame_rate", "read_movie"]

MOVIE_ENDINGS = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".gif", ".flv", ".wmv", ".asf", ".mpg", ".mpeg", ".mts", ".m2ts",
    ".3gp", ".ogv", ".vob", ".dv",
)  # fmt: skip


WIDEST = 10  # a pixel may be so many times as wide as high, or as high as wide
Timed = tuple[float, Callable[[], Image.Image]]
"""The time of a frame in seconds, and what makes its picture."""


def read_movie(
    path: Path, size: int, channels: int, every: int = 1, fps: float | None = None
) -> Iterator[np.ndarray]:
    """Read every `every`-th frame of a video or GIF, `(C, size, size)` uint8.

    Args:
        path: of the file.
        size: side of the frames.
        channels: 3 (colour) or 1 (grey).
        every: keep every n-th frame.
        fps: frames per second: each frame is the one that a player shows at its time. None for the frames as they are.

    Raises:
        ValueError: the file is no video, is damaged, or ends before its declared end.
        ImportError: videos other than GIFs need the package `av`.
    """
    timed = _gif(path) if path.suffix.lower() == ".gif" else _video(path)
    shown = (frame for _, frame in timed) if fps is None else _at_rate(timed, fps)
    first: tuple[int, int] | None = None
    for frame in itertools.islice(shown, 0, None, every):
        image = frame()  # only frames that are kept are converted
        first = first or image.size
        if image.size != first:
            raise ValueError(
                f"{path}: frames change from {pixels(first)} to {pixels(image.size)} pixels; split it"
            )
        yield fit_frame(image, size, channels)


def frame_rate(path: Path) -> str:
    """Frames per second that a video or GIF declares, as text; `unknown` where it declares none or cannot be read."""
    with contextlib.suppress(Exception):
        if path.suffix.lower() == ".gif":
            with Image.open(path) as image:
                return f"{1000 / image.info['duration']:.4g}"
        import av

        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            average = float(stream.average_rate or 0)
            varies = abs(float(stream.guessed_rate or 0) - average) > 0.1 * average
            return f"{average:.4g}{' (it varies)' if varies else ''}"
    return "unknown"


def _at_rate(timed: Iterator[Timed], fps: float) -> Iterator[Callable[[], Image.Image]]:
    """The frame that is shown at each multiple of 1 / fps seconds."""
    before: Any = None
    count, begin = 0, 0.0
    for time, frame in timed:
        if before is None:
            begin = time
        while before is not None and begin + count / fps < time - 1e-6:
            yield before
            count += 1
        before = frame
    if before is not None and begin + count / fps <= time + 1e-6:
        yield before


def _gif(path: Path) -> Iterator[Timed]:
    try:
        with Image.open(path) as image:
            check_declared_size(path, *image.size)
            time = 0.0
            for frame in ImageSequence.Iterator(image):
                picture = frame.convert("RGBA")
                yield time, partial(_as_it_is, picture)
                time += frame.info.get("duration", 100) / 1000
    except Exception as error:
        raise ValueError(f"{path}: is damaged or no GIF ({error}); replace or remove it") from error


def _as_it_is(picture: Image.Image) -> Image.Image:
    return picture


def _video(path: Path) -> Iterator[Timed]:
    try:
        import av
    except ImportError as error:
        raise missing_extra(f"{path}: a video", "video") from error
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path}: holds no picture, only {container.format.long_name}; remove it")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise ValueError(f"{path}: is damaged or of an unknown kind; replace or remove it")
            check_declared_size(path, stream.codec_context.width, stream.codec_context.height)
            stream.thread_type = "AUTO"
            count, end = 0, 0.0
            for frame in _decoded(container, stream):
                count, end = count + 1, max(end, frame.time or 0.0)
                time = frame.time if frame.time is not None else (count - 1) / 25
                aspect = float(stream.sample_aspect_ratio or 1)
                yield time, partial(_picture, frame, aspect, path)
            _check_whole(path, container, stream, count, end)
    except (av.error.FFmpegError, UnicodeError, DeclaredSizeError) as error:
        raise ValueError(f"{path}: is damaged or not a video ({error}); replace or remove it") from error


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """The frames of a stream; with their transparency where a WebM file keeps it beside the picture."""
    import av

    coders = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
    if stream.metadata.get("alpha_mode") != "1" or stream.codec_context.name not in coders:
        yield from container.decode(stream)
        return
    decoder: Any = av.CodecContext.create(coders[stream.codec_context.name], "r")
    for packet in container.demux(stream):
        yield from decoder.decode(packet)


def _picture(frame: Any, aspect: float, path: Path) -> Image.Image:
    """A frame as players show it; `aspect` is the width of a pixel for its height."""
    alpha = any(component.is_alpha for component in frame.format.components)
    image = Image.fromarray(frame.to_ndarray(format="rgba")) if alpha else frame.to_image()
    if not 1 / WIDEST <= aspect <= WIDEST:
        raise ValueError(f"{path}: is damaged, it declares pixels of {aspect:.3g} times their height")
    if aspect != 1:
        image = image.resize((max(1, round(image.width * aspect)), image.height), Image.Resampling.BILINEAR)
    return _turned(image, frame, path)


def _turned(image: Image.Image, frame: Any, path: Path) -> Image.Image:
    """An image turned and mirrored by the display matrix of its frame.

    The matrix takes the place (x, y) of a pixel to (a x + c y, b x + d y).

    Raises:
        ValueError: it turns by an angle that is no multiple of 90 degrees.
    """
    matrix = next((bytes(data) for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return image
    a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).astype(float)
    large = 0.99 * max(map(abs, (a, b, c, d)))
    crossed = min(abs(b), abs(c)) >= large and max(abs(a), abs(d)) < large / 10
    straight = min(abs(a), abs(d)) >= large and max(abs(b), abs(c)) < large / 10
    if not crossed and not straight:
        raise ValueError(
            f"{path}: is to be shown turned by {frame.rotation:.0f} degrees; turn it and save it again"
        )
    if crossed:
        image = image.transpose(Image.Transpose.TRANSPOSE)
    horizontal, vertical = (c, b) if crossed else (a, d)
    if horizontal < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if vertical < 0 else image


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
