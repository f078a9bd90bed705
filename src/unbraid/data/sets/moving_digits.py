"""Moving digits: two handwritten digits that cross a square and bounce off its walls in random directions.

The motion follows the stochastic rule of E. Denton and R. Fergus, "Stochastic Video Generation with a Learned Prior"
(ICML 2018, https://arxiv.org/abs/1802.07687), with 15 steps as in C-DSVAE. A digit starts anywhere with a velocity of -4
to 4 pixels in both directions; at a wall a new velocity is drawn, of 1 to 4 pixels inward and -4 to 4 along the wall.
Digits are 32 pixels wide in a frame of 64 and are added where they overlap. Other frame sizes scale digits, walls and
velocities alike (speeds up to 1 pixel at size 16).

The digits are scikit-learn's 1797 (8x8 pixels, blurred when enlarged), or MNIST's from a folder. No image is in two
splits. A clip does not show which digit is the first, so the static labels are `smaller_digit` and `larger_digit`. The
paths are random, so there is no dynamic label: the protocols score whether clips keep their digits when the motion is
drawn (see the card's choices). With MNIST's digits and 15 frames of 64x64 this is the SM-MNIST of C-DSVAE.

With `digits=1` a clip shows one digit, labelled `digit`. This is easier: with two digits a model must also learn which
path belongs to which digit.
"""

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from unbraid.cards import DataCard
from unbraid.data.checks import check_choice, check_clip
from unbraid.data.labels import Label
from unbraid.data.sequences import Sequences
from unbraid.data.splits import SPLITS, consecutive_splits
from unbraid.data.store import Space, prepared

__all__ = ["card", "load"]

card = DataCard(
    name="moving_digits",
    summary="two digits (or one) that bounce at random: clips of 15 grey frames, 64x64",
    source="scikit-learn's digits (E. Alpaydin, C. Kaynak), or MNIST (Y. LeCun, C. Cortes, C. Burges)",
    licence="CC BY 4.0 (scikit-learn's digits); MNIST under the terms of where you got it",
    obtain="built in; for MNIST's digits pass --data.root with the folder of its idx files, packed or not",
    shape=(15, 1, 64, 64),
    kind="frames",
    protocols=("generation", "leakage"),
    choices=(
        "set sizes: 8000, 1000 and 1000 clips, an image of a digit in one split only; where the folder holds only "
        "MNIST's 10,000 test images, 7200, 800 and 2000 of them are used for training, validation and testing",
        "labels and heads of the judge: the smaller and the larger of the two digits, ten classes each, because the "
        "published H(y) is near ln 10",
        "Acc, IS, H(y|x) and H(y) are computed on clips whose static code is kept and whose motion is drawn, for each "
        "digit, and averaged over both; the published protocol does not say which code is drawn",
        "--data.digits 1, one digit instead of two, is our own variant; the motion is the same",
    ),
)

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
        cache: where the prepared clips are kept; None for UNBRAID_CACHE or the user's cache folder.
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
    check_choice("digits", digits, (1, 2))
    check_clip(size, steps)
    counts = {"train": train, "validation": validation, "test": test}
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}: is {count}; every split needs at least one clip")
    images = _built_in() if root is None else _mnist(Path(root).expanduser())
    pixels = hashlib.sha256(b"".join(array.tobytes() for pair in images for array in pair)).hexdigest()
    options = {"pictures": pixels, "digits": digits, "size": size, "steps": steps, **counts}
    return prepared(
        "moving_digits", options, lambda space: _build(space, images, counts, digits, steps, size), cache
    )


def paths(generator: np.random.Generator, count: int, steps: int, limit: int, speed: int) -> np.ndarray:
    """Draw `count` paths of a digit's upper left corner.

    Args:
        generator: of the random numbers.
        count: number of paths.
        steps: of each path.
        limit: places of the corner along each axis, from 0 to limit - 1.
        speed: highest velocity in pixels a step.

    Returns:
        `(count, steps, 2)`, y and x.
    """
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
    space: Space, images: tuple[Images, ...], counts: dict[str, int], digits: int, steps: int, size: int
) -> Sequences:
    total = sum(counts.values())
    x = space.create((total, steps, 1, size, size))
    shown = np.empty((total, digits), dtype=np.int64)
    side, speed = size // 2, max(1, size // 16)
    splits = consecutive_splits(counts)
    for number, (name, (pictures, depicted)) in enumerate(zip(SPLITS, images, strict=True)):
        generator = np.random.default_rng([15, number])
        large = _enlarge(pictures, side)
        for first in range(0, counts[name], BLOCK):
            rows = splits[name][first : first + BLOCK]
            chosen = generator.integers(0, len(large), (len(rows), digits))
            canvas = np.zeros((len(rows), steps, size, size), dtype=np.uint16)
            for column in range(digits):
                path = paths(generator, len(rows), steps, size - side, speed)
                _draw(canvas, large[chosen[:, column]], path)
            x[rows, :, 0] = np.minimum(canvas, 255)
            shown[rows] = np.sort(depicted[chosen], axis=1)
            space.advance(int(rows[-1]) + 1, total)
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

    digits = load_digits()
    pictures = np.round(digits.images * (255 / 16)).astype(np.uint8)
    return _split((pictures, digits.target.astype(np.int64)))


def _split(images: Images) -> tuple[Images, ...]:
    """Split one set of images: a fifth for testing, a tenth of the rest for validation."""
    pictures, digits = images
    order = np.random.default_rng(0).permutation(len(pictures))
    testing = len(order) // 5
    held = testing + (len(order) - testing) // 10
    return tuple(
        (pictures[part], digits[part]) for part in (order[held:], order[testing:held], order[:testing])
    )


def _mnist(root: Path) -> tuple[Images, ...]:
    """MNIST's digits for train, validation and test; where only one of its two sets is there, it is split."""
    if not root.is_dir():
        raise FileNotFoundError(f"root: there is no folder {root}; give one with MNIST's idx files, or none")
    sets: dict[str, Images] = {}
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
        sets[name] = (pictures, digits)
    if not sets:
        raise FileNotFoundError(
            f"root: {root} holds no pair of MNIST's files, as t10k-images-idx3-ubyte.gz and "
            "t10k-labels-idx1-ubyte.gz; leave root out to use scikit-learn's digits"
        )
    if len(sets) == 1:
        return _split(next(iter(sets.values())))
    pictures, digits = sets["train"]
    order = np.random.default_rng(0).permutation(len(pictures))
    held = len(order) // 10
    training, holding = order[held:], order[:held]
    return (pictures[training], digits[training]), (pictures[holding], digits[holding]), sets["t10k"]


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
