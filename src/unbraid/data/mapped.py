"""Arrays that are mapped from files: read from end to end without holding them in memory."""

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["give_back", "in_blocks"]


def in_blocks(array: np.ndarray, rows: int = 256) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows of an array, `rows` at a time, with their place; what was read of a mapped array is given back."""
    for start in range(0, len(array), rows):
        place = slice(start, start + rows)
        yield place, np.asarray(array[place])
        give_back(array)


def give_back(array: np.ndarray) -> None:
    """Give the memory of an array that is mapped for reading back to the system, which reads it again when it is used."""
    mapped: Any = array
    while isinstance(mapped, np.ndarray):
        mapped = mapped.base
    if isinstance(mapped, mmap.mmap) and not array.flags.writeable and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
