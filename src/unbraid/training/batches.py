"""Batches of rows in a seeded order that can be interrupted and continued at any batch."""

from collections.abc import Iterator

import numpy as np

__all__ = ["Batches"]


class Batches:
    """Rows of a data set in batches, shuffled anew in every epoch by (seed, epoch).

    In training, the last batch of an epoch is left out when it is not full (batch statistics), unless it is the only
    one. `state_dict` holds the position, so that a resumed training sees exactly the remaining batches.

    Args:
        rows: row numbers.
        batch_size: rows of a batch.
        seed: of the order; None for the given order, nothing left out.
    """

    def __init__(self, rows: np.ndarray, batch_size: int, seed: int | None = None) -> None:
        self.rows, self.seed = rows, seed
        self.batch_size = min(batch_size, len(rows))
        self.epoch, self.position = 0, 0

    def __len__(self) -> int:
        return (
            len(self.rows) // self.batch_size
            if self.seed is not None
            else -(-len(self.rows) // self.batch_size)
        )

    def __iter__(self) -> Iterator[np.ndarray]:
        if self.seed is None:
            for start in range(0, len(self.rows), self.batch_size):
                yield self.rows[start : start + self.batch_size]
            return
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.rows)
        first = self.position
        for i in range(first, len(self)):
            self.epoch, self.position = (self.epoch, i + 1) if i + 1 < len(self) else (self.epoch + 1, 0)
            yield np.sort(order[i * self.batch_size : (i + 1) * self.batch_size])

    def state_dict(self) -> dict[str, int]:
        """The position in the order."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Return to a position."""
        self.epoch, self.position = state["epoch"], state["position"]
