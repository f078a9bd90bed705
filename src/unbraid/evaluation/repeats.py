"""Independent repeats of what a protocol draws or trains."""

import numpy as np

__all__ = ["check_repeats", "seed_of_repeat"]


def seed_of_repeat(seed: int, repeat: int) -> int:
    """A seed for one repeat. Repeats of one seed, and equal repeats of two seeds, share nothing."""
    return int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])


def check_repeats(repeats: int, name: str = "repeats") -> None:
    """Refuse less than one repeat.

    Raises:
        ValueError: naming the argument.
    """
    if repeats < 1:
        raise ValueError(f"{name}: {repeats}; give at least 1")
