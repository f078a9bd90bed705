"""Sequences of every kind whose static and dynamic factor are known, small enough to learn in seconds."""

import numpy as np

from unbraid.data.sequences import Sequences

KINDS = ("frames", "vectors", "windows")
CLASSES = 4
STEPS = 6


def planted(kind: str, n: int = 480, seed: int = 0) -> Sequences:
    """N sequences of a kind, with the labels `what` (static) and `how` (dynamic), four classes each, independent."""
    random = np.random.default_rng(seed)
    what, how = random.integers(0, CLASSES, (2, n))
    x = {"frames": frames, "turns": turns, "vectors": vectors, "windows": windows}[kind](what, how, random)
    labels = {"what": what, "how": how}
    return Sequences.from_arrays(x, name=f"planted {kind}", labels=labels, dynamic_labels=["how"], seed=1)


def frames(what: np.ndarray, how: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A square of one of four colours that moves in one of four directions, from about the middle."""
    moves = np.array([[0, 1], [0, -1], [1, 0], [-1, 0]])
    return squares(what, moves[how][:, None] * np.arange(STEPS)[:, None], random)


def turns(what: np.ndarray, how: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The same squares on a path that ends where it began: a circle in either sense, or a line in either direction."""
    angle = 2 * np.pi * np.arange(STEPS) / STEPS
    circle, line = np.stack([np.cos(angle), np.sin(angle)], 1), np.stack([np.sin(angle), 0 * angle], 1)
    paths = np.stack([circle, circle * [1, -1], line, line[:, ::-1]])
    return squares(what, np.rint(4 * paths[how]).astype(int), random)


def jumps(n: int = 480, seed: int = 0) -> Sequences:
    """The same squares, each in a new random place at every step, with the label `what` only: the path is all that moves."""
    random = np.random.default_rng(seed)
    what, path = random.integers(0, CLASSES, n), random.integers(-4, 5, (n, STEPS, 2))
    return Sequences.from_arrays(squares(what, path, random), name="jumps", labels={"what": what}, seed=1)


def squares(what: np.ndarray, path: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Squares of the colours `what` that follow the paths `(N, STEPS, 2)` from about the middle."""
    colours = np.array([[230, 60, 60], [60, 200, 60], [70, 90, 240], [230, 220, 60]])
    x = np.full((len(what), STEPS, 3, 16, 16), 20, np.uint8)
    start = random.integers(4, 7, (len(what), 2))
    for clip, colour, places in zip(x, what, start[:, None] + path, strict=True):
        for frame, place in zip(clip, places, strict=True):
            rows, columns = (place[:, None] + np.arange(6)) % 16
            frame[:, rows[:, None], columns] = colours[colour][:, None, None]
    return x


def vectors(what: np.ndarray, how: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One of four levels of eight features, beside a wave of one of four frequencies."""
    fixed = np.random.default_rng(7)
    levels, waves = fixed.normal(size=(CLASSES, 8)), fixed.normal(size=(2, 8))
    phase = random.normal(scale=0.3, size=(len(what), 1))
    angle = phase + (how[:, None] + 1) * 0.7 * np.arange(STEPS)
    wave = np.stack([np.cos(angle), np.sin(angle)], 2) @ waves
    noise = 0.1 * random.normal(size=(len(what), STEPS, 8))
    return (levels[what][:, None] + wave + noise).astype(np.float32)


def windows(what: np.ndarray, how: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Windows of five rows and three features: one of four levels, beside a slope that changes in one of four orders."""
    fixed = np.random.default_rng(8)
    levels = fixed.normal(size=(CLASSES, 3))
    orders = np.array(
        [[1, 1, 1, -1, -1, -1], [-1, -1, -1, 1, 1, 1], [1, -1, 1, -1, 1, -1], [-1, 1, -1, 1, -1, 1]]
    )
    ramp = np.linspace(-2, 2, 5)[:, None] * np.ones(3)
    noise = 0.1 * random.normal(size=(len(what), STEPS, 5, 3))
    return (levels[what][:, None, None] + orders[how][:, :, None, None] * ramp + noise).astype(np.float32)
