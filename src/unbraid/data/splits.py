"""Splits: which sequences train, which choose (validation) and which are reported (test)."""

from collections.abc import Mapping

import numpy as np

__all__ = ["SPLITS", "UNLABELLED", "consecutive_splits", "in_order_of_splits", "split_by_group"]

SPLITS = ("train", "validation", "test")
UNLABELLED = "unlabelled"  # a fourth split that some data sets have: it trains models, no protocol reads it


def split_by_group(
    groups: np.ndarray, fractions: tuple[float, float, float], seed: int
) -> dict[str, np.ndarray]:
    """Split rows at random into train, validation and test, so that no group is in two splits.

    Args:
        groups: `(N,)` the group of each row.
        fractions: shares of the groups for train, validation and test; each split gets at least one group.
        seed: of the random order of the groups.

    Returns:
        The rows of each split, in ascending order.

    Raises:
        ValueError: fewer than three groups, or fractions that do not sum to one.
    """
    if len(fractions) != 3 or any(f <= 0 for f in fractions) or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"fractions: {fractions} must be three positive shares that sum to 1")
    names = np.unique(groups)
    if len(names) < 3:
        raise ValueError(f"groups: {len(names)} are too few; train, validation and test need one each")
    order = np.random.default_rng(seed).permutation(names)
    held = [max(1, round(fraction * len(names))) for fraction in fractions[1:]]
    test, validation = order[: held[1]], order[held[1] : held[1] + held[0]]
    member = {"validation": np.isin(groups, validation), "test": np.isin(groups, test)}
    member["train"] = ~(member["validation"] | member["test"])
    if not member["train"].any():
        raise ValueError(f"fractions: {fractions} of {len(names)} groups leave none to train on")
    return {name: np.flatnonzero(member[name]) for name in SPLITS}


def consecutive_splits(counts: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Rows of splits that follow one another, each with so many sequences.

    >>> consecutive_splits({"train": 3, "test": 2})
    {'train': array([0, 1, 2]), 'test': array([3, 4])}
    """
    ends = np.cumsum(list(counts.values()))
    return {
        name: np.arange(end - count, end) for (name, count), end in zip(counts.items(), ends, strict=True)
    }


def in_order_of_splits(parts: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """An order of rows in which every split is one block, so that a split is read from the disk without copying.

    Args:
        parts: rows of each split.

    Returns:
        The rows, one split after the other; and the splits as rows in this order.
    """
    order = np.concatenate(list(parts.values()))
    return order, consecutive_splits({name: len(rows) for name, rows in parts.items()})
