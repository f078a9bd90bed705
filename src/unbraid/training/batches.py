"""Batches of rows in a seeded order that can be interrupted and continued at any batch."""

from collections.abc import Iterator

import numpy as np

from unbraid.processes import ALONE, Process

__all__ = ["Batches"]


class Batches:
    """Rows of a data set in batches, shuffled anew in every pass by (seed, number of the pass).

    In training, the last batch of a pass is left out when it is not full (batch statistics), unless it is the only
    one. `state_dict` holds the position, so that a resumed training sees exactly the remaining batches.

    Of several processes that train together each gets its share of every shuffled batch, the first the first rows, and
    every so many-th batch of those in the given order.

    Args:
        rows: row numbers.
        batch_size: rows of a batch.
        seed: of the order; None for the given order, nothing left out.
        passes: over the rows in an epoch.
        process: whose share of the batches this is.

    Raises:
        ValueError: shuffled batches cannot be shared evenly by the processes.
    """

    def __init__(
        self,
        rows: np.ndarray,
        batch_size: int,
        seed: int | None = None,
        passes: int = 1,
        process: Process = ALONE,
    ) -> None:
        self.rows, self.seed, self.passes, self.process = rows, seed, passes, process
        self.batch_size = min(batch_size, len(rows))
        self.epoch, self.position = 0, 0
        if seed is not None:
            self.own = process.share(self.batch_size)

    def __len__(self) -> int:
        whole, (rank, count) = self.passes * self.batches_of_a_pass, self.process
        return whole if self.seed is not None else len(range(rank, whole, count))

    @property
    def batches_of_a_pass(self) -> int:
        """Number of batches in one pass over the rows."""
        whole = len(self.rows) // self.batch_size
        return whole if self.seed is not None else -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[np.ndarray]:
        if self.seed is None:
            rank, count = self.process
            for start in range(rank * self.batch_size, len(self.rows), count * self.batch_size):
                yield self.rows[start : start + self.batch_size]
            return
        epoch, size, drawn = self.epoch, self.batches_of_a_pass, -1
        for i in range(self.position, len(self)):
            number = epoch * self.passes + i // size
            if number != drawn:
                order, drawn = np.random.default_rng([self.seed, number]).permutation(self.rows), number
            self.epoch, self.position = (epoch, i + 1) if i + 1 < len(self) else (epoch + 1, 0)
            place = i % size * self.batch_size
            batch = np.sort(order[place : place + self.batch_size])
            yield batch[self.process.rank * self.own :][: self.own]

    def state_dict(self) -> dict[str, int]:
        """The position in the order."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Return to a position."""
        self.epoch, self.position = state["epoch"], state["position"]
