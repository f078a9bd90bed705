"""Independent repeats of what a protocol draws or trains."""

import numpy as np
from jaxtyping import Int

__all__ = ["check_repeats", "seed_of_repeat", "some_rows"]


def seed_of_repeat(seed: int, repeat: int) -> int:
    """A seed for one repeat. Repeats of one seed, and equal repeats of two seeds, share nothing."""
    return int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])


def some_rows(number: int, most: int | None, seed: int) -> Int[np.ndarray, "n"]:
    """At most so many of the rows 0 to `number` - 1, drawn by the seed, in order; None for all."""
    return np.sort(np.random.default_rng(seed).permutation(number)[:most])


def check_repeats(repeats: int, name: str = "repeats") -> None:
    """Refuse less than one repeat.

    Raises:
        ValueError: naming the argument.
    """
    if repeats < 1:
        raise ValueError(f"{name}: {repeats}; give at least 1")
