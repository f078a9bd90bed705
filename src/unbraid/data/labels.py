"""Labels: one class for each sequence, static or dynamic."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from unbraid.words import nearest

__all__ = ["Label", "LabelsOfRows", "check_dynamic_labels", "make_label"]


@dataclass(frozen=True, eq=False)
class Label:
    """One label of every sequence.

    Attributes:
        values: `(N,)` class numbers from 0.
        classes: the name of each class.
        kind: `static` if the label is constant over a sequence (who), `dynamic` if it describes the motion (what is done).
        part_of: the label of which this one is a part (an action is part of a motion), or None. Parts are scored and
            shown, but no judge is trained on them.
    """

    values: np.ndarray
    classes: tuple[str, ...]
    kind: Literal["static", "dynamic"]
    part_of: str | None = None


class LabelsOfRows(Mapping[str, torch.Tensor]):
    """Label name to the class numbers `(B,)` of some rows, each copied to the device when it is read.

    Args:
        labels: of the whole data set.
        rows: numbers of the rows.
        device: where the class numbers go.
    """

    def __init__(self, labels: Mapping[str, Label], rows: np.ndarray, device: torch.device | str) -> None:
        self.labels, self.rows, self.device = labels, rows, device

    def __getitem__(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.labels[name].values[self.rows]).to(self.device, non_blocking=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)


def make_label(
    name: str, values: Any, kind: Literal["static", "dynamic"], part_of: str | None = None
) -> Label:
    """Turn `(N,)` values of any sortable type into class numbers; the classes are the sorted values.

    Raises:
        ValueError: another shape, a missing value, or types that cannot be sorted.
    """
    values = np.asarray(values)
    if values.ndim != 1:
        raise ValueError(f"labels[{name!r}]: has shape {values.shape}; give one value for each sequence")
    missing = [row for row, value in enumerate(values) if value is None or value != value]
    if missing:
        raise ValueError(f"labels[{name!r}]: sequence {missing[0]} has none; give every sequence a value")
    try:
        classes, numbers = np.unique(values, return_inverse=True)
    except TypeError as error:
        raise ValueError(f"labels[{name!r}]: mixes types that cannot be sorted ({error})") from error
    return Label(numbers.astype(np.int64), tuple(str(c) for c in classes), kind, part_of)


def check_dynamic_labels(dynamic_labels: str | Sequence[str], labels: Collection[str]) -> tuple[str, ...]:
    """The names of the dynamic labels, of which one alone may be given as a string.

    Raises:
        ValueError: a name is not among `labels`.
    """
    names = (dynamic_labels,) if isinstance(dynamic_labels, str) else tuple(dynamic_labels)
    for name in names:
        if name not in labels:
            raise ValueError(f"dynamic_labels: no label is called {name!r}{nearest(name, labels)}")
    return names
