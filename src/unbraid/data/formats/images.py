"""Images: read, cropped to the central square, resized to `(C, size, size)`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

__all__ = [
    "IMAGE_ENDINGS",
    "DeclaredSizeError",
    "check_declared_size",
    "fit_frame",
    "open_image",
    "pixels",
    "read_images",
]

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
ALWAYS_READ = 2**24  # pixels
PIXELS_PER_BYTE = 100  # of a larger picture's file
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def read_images(paths: Sequence[Path], size: int, channels: int, every: int = 1) -> Iterator[np.ndarray]:
    """Read every `every`-th image of one sequence, `(C, size, size)` uint8, turned as its EXIF orientation says.

    Raises:
        ValueError: a file is no image or is damaged, or the images differ in size.
    """
    first: tuple[int, int] | None = None
    for path in paths[::every]:
        image = open_image(path)
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode in DEEP_MODES:
            raise ValueError(
                f"{path}: has more than 8 bits per channel (mode {image.mode}); convert it to 8 bits"
            )
        first = first or image.size
        if image.size != first:
            raise ValueError(
                f"{path}: is {pixels(image.size)} pixels, {paths[0].name} beside it is {pixels(first)}; "
                "the images of one sequence must have one size"
            )
        yield fit_frame(image, size, channels)


def open_image(path: Path) -> Image.Image:
    """Read an image completely.

    Raises:
        ValueError: the file is no image, is damaged, or holds several pictures.
    """
    try:
        with Image.open(path) as image:
            check_declared_size(path, *image.size)
            image.load()
            count = (
                1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            )  # a phone's MPO adds a preview
    except Exception as error:  # a damaged file can make the readers fail in any way
        raise ValueError(f"{path}: is damaged or no image ({error}); replace or remove it") from error
    if count > 1:
        raise ValueError(f"{path}: holds {count} pictures; save each as a file of its own")
    return image


class DeclaredSizeError(ValueError):
    """A file declares more than it can hold."""


def check_declared_size(path: Path, width: int, height: int) -> None:
    """Refuse a picture whose header names far more pixels than its file can contain, before memory is used for them.

    Raises:
        DeclaredSizeError: it does.
    """
    size = path.stat().st_size
    if width * height > max(ALWAYS_READ, PIXELS_PER_BYTE * size):
        raise DeclaredSizeError(
            f"it declares {pixels((width, height))} pixels in {size:,} bytes; if it is no mistake, make it smaller"
        )


def pixels(size: tuple[int, int]) -> str:
    """A width and a height as text, for error messages."""
    return f"{size[0]}x{size[1]}"


def fit_frame(image: Image.Image, size: int, channels: int) -> np.ndarray:
    """The central square of an image, `(channels, size, size)` uint8; transparent places become black."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image.convert("RGBA"))
    image = image.convert("L" if channels == 1 else "RGB").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1)
