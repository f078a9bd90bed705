"""Moving digits: two handwritten digits that cross a square and bounce off its walls in random directions.

The stochastic rule of E. Denton and R. Fergus, "Stochastic Video Generation with a Learned Prior" (ICML 2018,
https://arxiv.org/abs/1802.07687), with 15 steps as in C-DSVAE: a digit starts anywhere with a velocity of -4
to 4 pixels each way; at a wall it draws a new velocity, of 1 to 4 pixels inward and -4 to 4 along the wall.
Digits are 32 pixels in a frame of 64 and brighten where they overlap. Other frame sizes scale digits, walls
and velocities alike (speeds up to 1 pixel at size 16).

The digits are scikit-learn's 1797 (8x8 pixels, blurred when enlarged), or MNIST's from a folder. No image is
in two splits. Which digit is first cannot be seen, so the static labels are `smaller_digit` and
`larger_digit`. The paths are random: there is no dynamic label, so what is scored is whether clips keep their
digits when the motion is drawn (see the card's choices). With MNIST's digits and 15 frames of 64x64 this is
the SM-MNIST of C-DSVAE.

With `digits=1` a clip shows one digit, labelled `digit`. Two that are alike leave it open which of them a path belongs
to: after minutes of training, swapped paths show both digits laid over each other, where one alone is drawn clearly.
"""

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from unbraid.cards import DataCard
from unbraid.data.checks import FRAME_SIZES
from unbraid.data.sequences import Label, Sequences
from unbraid.data.store import Space, prepared

__all__ = ["card", "load"]

card = DataCard(
    name="moving_digits",
    summary="two digits (or one) that bounce at random: clips of 15 grey frames, 64x64",
    source="scikit-learn's digits (E. Alpaydin, C. Kaynak), or MNIST (Y. LeCun, C. Cortes, C. Burges)",
    licence="CC BY 4.0 (scikit-learn's digits); MNIST under the terms of where you got it",
    obtain="built in; --data.root takes a folder with MNIST's idx files, packed or not, to use those digits",
    protocols=("generation", "leakage"),
    choices=(
        "set sizes: 8000, 1000 and 1000 clips, an image of a digit in one split only; of MNIST's 10,000 test images "
        "alone 7200, 800 and 2000 are used for training, validation and testing",
        "labels and heads of the judge: the smaller and the larger of the two digits, ten classes each, since the "
        "published H(y) is near ln 10",
        "Acc, IS, H(y|x) and H(y) are of the clips whose static code is kept and whose motion is drawn, computed for "
        "each digit and averaged over both; the published protocol does not say which code is drawn",
        "--data.digits 1, one digit instead of two, is ours; the motion is the same",
    ),
)

SPLITS = ("train", "validation", "test")
DIGITS = tuple(str(digit) for digit in range(10))
BLOCK = 250

Images = tuple[np.ndarray, np.ndarray]  # (n, height, width) uint8, and (n,) the digits they show


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    digits: int = 2,
    size: int = 64,
    steps: int = 15,
    train: int = 8000,
    validation: int = 1000,
    test: int = 1000,
) -> Sequences:
    """Load moving digits: `(N, steps, 1, size, size)` uint8, made with fixed seeds.

    Args:
        root: a folder with MNIST's idx files (gzip or not; train, t10k or both); None for scikit-learn's.
        cache: where the prepared clips are kept; see `store.cache_folder`.
        digits: shown in a clip, 1 or 2.
        size: side of the frames, 16, 32, 64 or 128.
        steps: frames of a clip.
        train: number of training clips.
        validation: number of validation clips.
        test: number of test clips.

    Raises:
        FileNotFoundError: the folder, or idx files in it, are missing.
        ValueError: a file is damaged; an option is out of range.
    """
    if digits not in (1, 2):
        raise ValueError(f"digits: is {digits}; a clip shows 1 or 2")
    if size not in FRAME_SIZES:
        raise ValueError(f"size: is {size}; choose one of {', '.join(map(str, FRAME_SIZES))}")
    if steps < 2:
        raise ValueError(f"steps: is {steps}; a clip needs at least 2")
    counts = {"train": train, "validation": validation, "test": test}
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}: is {count}; every split needs at least one clip")
    parts = _built_in() if root is None else _mnist(Path(root).expanduser())
    pixels = hashlib.sha256(b"".join(part.tobytes() for images in parts for part in images)).hexdigest()
    options = {"pictures": pixels, "digits": digits, "size": size, "steps": steps, **counts}
    return prepared(
        "moving_digits", options, lambda space: _build(space, parts, counts, digits, steps, size), cache
    )


def paths(generator: np.random.Generator, count: int, steps: int, limit: int, speed: int) -> np.ndarray:
    """Draw `count` paths `(count, steps, 2)` of a digit's corner, y and x from 0 to limit - 1."""
    place = generator.integers(0, limit, (count, 2))
    velocity = generator.integers(-speed, speed + 1, (count, 2))
    drawn = np.empty((count, steps, 2), dtype=np.int64)
    for step in range(steps):
        for axis in (0, 1):
            inward = generator.integers(1, speed + 1, count)
            along = generator.integers(-speed, speed + 1, count)
            low, high = place[:, axis] < 0, place[:, axis] >= limit
            hit = low | high
            place[:, axis] = np.where(low, 0, np.where(high, limit - 1, place[:, axis]))
            velocity[hit, axis] = np.where(low, inward, -inward)[hit]
            velocity[hit, 1 - axis] = along[hit]
        drawn[:, step] = place
        place = place + velocity
    return drawn


def _build(
    space: Space, parts: tuple[Images, ...], counts: dict[str, int], digits: int, steps: int, size: int
) -> Sequences:
    total = sum(counts.values())
    x = space.create((total, steps, 1, size, size))
    shown = np.empty((total, digits), dtype=np.int64)
    side, speed = size // 2, max(1, size // 16)
    splits, start = {}, 0
    for number, (name, (pictures, depicted)) in enumerate(zip(SPLITS, parts, strict=True)):
        generator = np.random.default_rng([15, number])
        large = _enlarge(pictures, side)
        end = start + counts[name]
        splits[name] = np.arange(start, end)
        for first in range(start, end, BLOCK):
            rows = np.arange(first, min(first + BLOCK, end))
            chosen = generator.integers(0, len(large), (len(rows), digits))
            canvas = np.zeros((len(rows), steps, size, size), dtype=np.uint16)
            for column in range(digits):
                path = paths(generator, len(rows), steps, size - side, speed)
                _draw(canvas, large[chosen[:, column]], path)
            x[rows, :, 0] = np.minimum(canvas, 255)
            shown[rows] = np.sort(depicted[chosen], axis=1)
            space.advance(int(rows[-1]) + 1, total)
        start = end
    names = ("digit",) if digits == 1 else ("smaller_digit", "larger_digit")
    labels = {
        name: Label(column.copy(), DIGITS, "static") for name, column in zip(names, shown.T, strict=True)
    }
    return Sequences(x, "moving_digits", labels=labels, splits=splits)


def _draw(canvas: np.ndarray, pictures: np.ndarray, path: np.ndarray) -> None:
    """Add one digit to each clip, `(n, steps, size, size)`, along its path."""
    shape = pictures.shape[1:]
    windows = np.lib.stride_tricks.sliding_window_view(canvas, shape, axis=(2, 3), writeable=True)
    clip, step = np.arange(len(canvas))[:, None], np.arange(canvas.shape[1])
    windows[clip, step, path[..., 0], path[..., 1]] += pictures[:, None]


def _enlarge(pictures: np.ndarray, side: int) -> np.ndarray:
    resized = [
        np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR))
        for picture in pictures
    ]
    return np.stack(resized)


def _built_in() -> tuple[Images, ...]:
    from sklearn.datasets import load_digits

    found = load_digits()
    pictures = np.round(found.images * (255 / 16)).astype(np.uint8)
    return _three((pictures, found.target.astype(np.int64)))


def _three(images: Images) -> tuple[Images, ...]:
    """Split one set of images: a fifth for testing, a tenth of the rest for validation."""
    pictures, digits = images
    order = np.random.default_rng(0).permutation(len(pictures))
    testing = len(order) // 5
    held = testing + (len(order) - testing) // 10
    return tuple(
        (pictures[part], digits[part]) for part in (order[held:], order[testing:held], order[:testing])
    )


def _mnist(root: Path) -> tuple[Images, ...]:
    """MNIST's digits for train, validation and test; with one of its two sets only, that one is split."""
    if not root.is_dir():
        raise FileNotFoundError(f"root: there is no folder {root}; give one with MNIST's idx files, or none")
    found: dict[str, Images] = {}
    for name in ("train", "t10k"):
        picture_file, digit_file = (
            _find(root, f"{name}-images", "idx3"),
            _find(root, f"{name}-labels", "idx1"),
        )
        if picture_file is None or digit_file is None:
            continue
        pictures, digits = _read(picture_file, 3), _read(digit_file, 1).astype(np.int64)
        if len(pictures) != len(digits):
            raise ValueError(f"root: {picture_file} and {digit_file} differ in number; get both again")
        if len(digits) < 20 or digits.max() > 9:
            raise ValueError(f"root: {digit_file} is not MNIST's: at least 20 digits 0 to 9 are needed")
        found[name] = (pictures, digits)
    if not found:
        raise FileNotFoundError(
            f"root: {root} holds no pair of MNIST's files, as t10k-images-idx3-ubyte.gz and "
            "t10k-labels-idx1-ubyte.gz; leave root out to use scikit-learn's digits"
        )
    if len(found) == 1:
        return _three(next(iter(found.values())))
    pictures, digits = found["train"]
    order = np.random.default_rng(0).permutation(len(pictures))
    held = len(order) // 10
    training, holding = order[held:], order[:held]
    return (pictures[training], digits[training]), (pictures[holding], digits[holding]), found["t10k"]


def _find(root: Path, start: str, kind: str) -> Path | None:
    for folder in (root, root / "MNIST" / "raw", root / "raw"):
        for joint in "-.":
            for ending in ("", ".gz"):
                path = folder / f"{start}{joint}{kind}-ubyte{ending}"
                if path.is_file():
                    return path
    return None


def _read(path: Path, dimensions: int) -> np.ndarray:
    """Read an idx file of bytes."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"root: {path} is damaged ({error}); get it again") from error
    start = 4 + 4 * dimensions
    if len(content) < start or content[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"root: {path} is no idx file of bytes with {dimensions} dimensions; get it again")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != np.prod(shape):
        raise ValueError(
            f"root: {path} is truncated: {len(content) - start} of {np.prod(shape)} bytes; get it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
