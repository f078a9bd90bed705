"""Puppets: our own data set, drawn by code in seconds, with the structure of Sprites.

1296 small jointed figures (six skins, hats, shirts, trousers) that walk, wave and jump, facing the viewer, left or right:
nine motions of 8 RGB frames. Every attribute is a colour and a shape that is visible in every frame. The direction never
changes within a clip but counts as motion, as in Sprites; it is visible in the face, the build and the feet, and in how
limbs and body move.

Splits are by character, in the proportions of Sprites (900 characters for training, 100 for validation, 296 for testing),
so that all nine motions of a character are in one split. Rows are ordered train, validation, test; inside a split by
character, in a fixed random order, then by motion.

The drawing is in `poses` (joints) and `art` (shapes, colours, layers).
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unbraid.cards import DataCard
from unbraid.data.checks import check_choice
from unbraid.data.labels import Label
from unbraid.data.sequences import Sequences
from unbraid.data.sets.puppets.art import LAYERS, backdrop, draw_layer
from unbraid.data.sets.puppets.poses import STEPS, Pose, pose
from unbraid.data.splits import consecutive_splits
from unbraid.data.store import Space, prepared
from unbraid.kinds import FRAME_SIZES

__all__ = ["card", "load", "render"]

card = DataCard(
    name="puppets",
    summary="1296 drawn figures in nine motions: 11,664 clips of 8 RGB frames, 16x16 to 128x128",
    source="unbraid's own drawing, by code",
    licence="Apache-2.0",
    obtain="nothing to get: drawn on first use, in seconds",
    shape=(8, 3, 64, 64),
    kind="frames",
)

Numbers = NDArray[np.int64]

VERSION = 2
ATTRIBUTES = {
    "skin": ("porcelain", "peach", "caramel", "cocoa", "sage", "lilac"),
    "hat": ("bobble hat", "straw hat", "wizard hat", "top hat", "sprout", "bear ears"),
    "shirt": ("striped jersey", "coral tee", "teal coat", "mustard poncho", "plum sweater", "sky raglan"),
    "trousers": (
        "blue jeans",
        "pink flares",
        "orange shorts",
        "maroon slacks",
        "white ducks",
        "navy chinos",
    ),
}
ACTIONS = ("walk", "wave", "jump")
DIRECTIONS = ("front", "left", "right")
MOTIONS = tuple(f"{action} {direction}" for action in ACTIONS for direction in DIRECTIONS)
CHARACTERS = 6 ** len(ATTRIBUTES)
VALIDATION_SHARE, TEST_SHARE = 100 / CHARACTERS, 296 / CHARACTERS
ORDER_SEED = 1296


def load(
    root: str | Path | None = None,
    cache: str | Path | None = None,
    *,
    size: int = 64,
    characters: int = CHARACTERS,
) -> Sequences:
    """Load Puppets: `(9 * characters, 8, 3, size, size)` uint8, by default splits 8100, 900 and 2664.

    Static labels skin, hat, shirt, trousers (six classes each); dynamic label motion (nine classes) and its parts
    action and direction (three each).

    Args:
        root: leave it out, for nothing has to be read.
        cache: where the drawn clips (72 MB to 4.6 GB for all characters) are kept; None for UNBRAID_CACHE or the user's cache folder.
        size: side of the frames: 16, 32, 64 or 128 pixels.
        characters: number of characters to draw, 3 to 1296; a smaller set is a random part of the full one.

    Raises:
        ValueError: `root` is given, or `size` or `characters` is out of its range.
        OSError: the disk has no room for the clips.
    """
    if root is not None:
        raise ValueError(f"root: puppets are drawn, not read, found {root}; leave root out")
    check_choice("size", size, FRAME_SIZES)
    if isinstance(characters, bool) or not isinstance(characters, int) or not 3 <= characters <= CHARACTERS:
        raise ValueError(
            f"characters: {characters!r} cannot be drawn; choose a whole number from 3 (one for each split) "
            f"to {CHARACTERS}"
        )
    options = {"size": size, "characters": characters}
    return prepared("puppets", options, lambda space: _build(space, size, characters), cache, version=VERSION)


def render(skin: int, hat: int, shirt: int, trousers: int, motion: int, size: int = 64) -> NDArray[np.uint8]:
    """Draw one clip from its class numbers, exactly as in the data set: `(8, 3, size, size)`.

    Args:
        skin: class number, 0 to 5.
        hat: class number, 0 to 5.
        shirt: class number, 0 to 5.
        trousers: class number, 0 to 5.
        motion: class number, 0 to 8: three times the action plus the direction.
        size: side of the frames: 16, 32, 64 or 128 pixels.

    Raises:
        ValueError: a class number or the size is out of its range.
    """
    check_choice("size", size, FRAME_SIZES)
    attributes = dict(zip(ATTRIBUTES, (skin, hat, shirt, trousers), strict=True))
    for name, value, classes in [
        *((name, value, ATTRIBUTES[name]) for name, value in attributes.items()),
        ("motion", motion, MOTIONS),
    ]:
        if value not in range(len(classes)):
            raise ValueError(f"{name}: there is no class {value!r}; choose 0 to {len(classes) - 1}")
    return _draw(np.array([list(attributes.values())]), motion, size)[0]


def _build(space: Space, size: int, count: int) -> Sequences:
    chosen = np.random.default_rng(ORDER_SEED).permutation(CHARACTERS)[:count]
    characters = np.stack(np.unravel_index(chosen, (6,) * len(ATTRIBUTES)), axis=1)
    x = space.create((count * len(MOTIONS), STEPS, 3, size, size))
    for motion in range(len(MOTIONS)):
        x[motion :: len(MOTIONS)] = _draw(characters, motion, size)
        space.advance(motion + 1, len(MOTIONS))
    return Sequences(x, "puppets", labels=_labels(characters), splits=_splits(count))


def _draw(characters: Numbers, motion: int, size: int) -> NDArray[np.uint8]:
    """Draw one motion of the characters whose attributes are the rows of `characters`: (n, 8, 3, size, size).

    Each layer is drawn once for each variant and laid over the pictures that wear it. The layers below the hat are the
    same for all hats, so they are laid over one picture for all characters that differ only in the hat.
    """
    joints = pose(*divmod(motion, len(DIRECTIONS)))
    without_hat = np.where(np.array(list(ATTRIBUTES)) == "hat", 0, characters)
    bodies, body = np.unique(without_hat, axis=0, return_inverse=True)
    layers = [_Layer(joints, attribute, part, characters, size) for attribute, part in LAYERS]
    hat = [attribute for attribute, _ in LAYERS].index("hat")
    behind = (backdrop(joints, size) * 255 + 0.5).astype(np.uint8)
    clips = np.empty((len(characters), STEPS, 3, size, size), np.uint8)
    for step in range(STEPS):
        pictures = np.repeat(behind[step : step + 1], len(bodies), axis=0)
        for layer in layers[:hat]:
            layer.lay_over(pictures, bodies, step)
        pictures = pictures[body.reshape(-1)]
        for layer in layers[hat:]:
            layer.lay_over(pictures, characters, step)
        clips[:, step] = pictures
    return clips


class _Layer:
    """One layer of one clip in every variant that is worn, cropped to the part of the frame that it covers.

    Colours are kept in 256ths of a grey level, so that a layer is laid over a picture in 16-bit arithmetic: the picture
    times the transparency (256 where nothing is drawn), plus the colour and one half, divided by 256.
    """

    def __init__(self, joints: Pose, attribute: str, part: str, characters: Numbers, size: int) -> None:
        self.place = list(ATTRIBUTES).index(attribute)
        drawn = np.zeros((len(ATTRIBUTES[attribute]), STEPS, 4, size, size), np.float32)
        for variant in np.unique(characters[:, self.place]):
            drawn[variant] = draw_layer(joints, part, int(variant), size)
        used = np.max(drawn[:, :, 3], axis=(0, 1))
        self.box = (..., _extent(used.max(axis=1)), _extent(used.max(axis=0)))
        drawn = drawn[self.box]
        self.through = np.floor((1 - drawn[:, :, 3:]) * 256).astype(np.uint16)
        self.colour = (drawn[:, :, :3] * (255 * 256) + 128).astype(np.uint16)

    def lay_over(self, pictures: NDArray[np.uint8], characters: Numbers, step: int) -> None:
        """Put this layer over pictures (n, 3, H, W), in place."""
        variants = characters[:, self.place]
        mixed = pictures[self.box] * self.through[variants, step]
        mixed += self.colour[variants, step]
        mixed >>= 8
        pictures[self.box] = mixed


def _extent(used: NDArray[np.float32]) -> slice:
    """The smallest slice with all values above zero."""
    places = np.flatnonzero(used)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def _labels(characters: Numbers) -> dict[str, Label]:
    motion = np.tile(np.arange(len(MOTIONS)), len(characters))
    labels = {
        name: Label(np.repeat(characters[:, place], len(MOTIONS)), classes, "static")
        for place, (name, classes) in enumerate(ATTRIBUTES.items())
    }
    labels["motion"] = Label(motion, MOTIONS, "dynamic")
    labels["action"] = Label(motion // len(DIRECTIONS), ACTIONS, "dynamic", part_of="motion")
    labels["direction"] = Label(motion % len(DIRECTIONS), DIRECTIONS, "dynamic", part_of="motion")
    return labels


def _splits(count: int) -> dict[str, Numbers]:
    test = max(1, round(TEST_SHARE * count))
    validation = max(1, round(VALIDATION_SHARE * count))
    counts = {"train": count - validation - test, "validation": validation, "test": test}
    return consecutive_splits({name: count * len(MOTIONS) for name, count in counts.items()})
