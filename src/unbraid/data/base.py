"""`Sequences`: a data set in memory or memory-mapped, with masks, labels and named splits."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from unbraid.registry import nearest
from unbraid.types import Batch

__all__ = ["Label", "Sequences", "split_by_group"]

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Label:
    """One label of every sequence.

    Attributes:
        values: `(N,)` class numbers from 0.
        classes: the name of each class.
        kind: whether the label is constant over a sequence (`static`) or describes its motion (`dynamic`).
        part_of: the label that this one is a part of (an action is part of a motion), or None. Parts are
            scored and shown but get no judge head of their own.
    """

    values: np.ndarray
    classes: tuple[str, ...]
    kind: Literal["static", "dynamic"]
    part_of: str | None = None


@dataclass(frozen=True)
class Sequences:
    """A data set of sequences.

    Attributes:
        x: `(N, T, *X)`, possibly memory-mapped. uint8 for frames `(C, H, W)` (0 to 255), floats otherwise.
        name: the data set's name, used for caches and reports.
        lengths: `(N,)` number of valid steps; None when every sequence has T. Steps beyond are padding.
        mask: `(N, T, *X)` or `(N, T)` bool, True = observed; None when all is observed.
        labels: name to Label.
        splits: split name to the rows that belong to it.
        feature_names: names of the last axis for vector observations, or None.
        units: unit of each feature, or None.
        sampling_rate: steps per second, or None.
        fingerprint: hash of the prepared arrays.
    """

    x: np.ndarray
    name: str = "arrays"
    lengths: np.ndarray | None = None
    mask: np.ndarray | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    splits: Mapping[str, np.ndarray] = field(default_factory=dict)
    feature_names: tuple[str, ...] | None = None
    units: tuple[str, ...] | None = None
    sampling_rate: float | None = None
    fingerprint: str = ""

    def __post_init__(self) -> None:
        _check(self)
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", fingerprint(self.x, self.lengths, self.mask, self.labels))

    @classmethod
    def from_arrays(
        cls,
        x: np.ndarray,
        *,
        name: str = "arrays",
        lengths: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        labels: Mapping[str, Any] | None = None,
        dynamic_labels: Sequence[str] = (),
        groups: np.ndarray | None = None,
        fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
        seed: int = 0,
    ) -> "Sequences":
        """Make a data set of one's own array.

        Args:
            x: `(N, T, C, H, W)` frames, uint8 or floats in [0, 1], with C first (or last: it is moved), or
                `(N, T, F)` floats.
            name: the data set's name.
            lengths: `(N,)` valid steps of each sequence.
            mask: `(N, T)` or `(N, T, *X)`, True = observed. NaN is allowed only where it is False.
            labels: name to `(N,)` values of any type (turned into class numbers), or to a Label.
            dynamic_labels: names of the labels that describe motion; the others are static.
            groups: `(N,)`; sequences of one group (a person, a device) stay in one split.
            fractions: shares of train, validation and test.
            seed: of the random split.

        Raises:
            ValueError: shapes, types, ranges, lengths or labels that do not fit, naming the argument.
        """
        x = np.asarray(x)
        if x.ndim == 5 and x.shape[2] not in (1, 2, 3, 4) and x.shape[-1] in (1, 2, 3, 4):
            x = np.moveaxis(x, -1, 2)
        made = {}
        for key, values in (labels or {}).items():
            if isinstance(values, Label):
                made[key] = values
                continue
            classes, numbers = np.unique(np.asarray(values), return_inverse=True)
            kind: Literal["static", "dynamic"] = "dynamic" if key in dynamic_labels else "static"
            made[key] = Label(numbers.astype(np.int64), tuple(str(c) for c in classes), kind)
        for key in dynamic_labels:
            if key not in made:
                raise ValueError(f"dynamic_labels: no label is called {key!r}{nearest(key, made)}")
        if len(x) < 3:
            raise ValueError(f"x: {len(x)} sequences are too few; training, validation and test need one each")
        group = np.arange(len(x)) if groups is None else np.asarray(groups)
        if len(group) != len(x):
            raise ValueError(f"groups: {len(group)} values for {len(x)} sequences; give one for each")
        splits = split_by_group(group, fractions, seed)
        return cls(x, name, lengths, mask, made, splits)

    @classmethod
    def from_folder(cls, folder: str | Path, **options: Any) -> "Sequences":
        """Make a data set of a folder of videos, or of folders of images; see `unbraid.data.folder.load_folder`."""
        from unbraid.data.folder import load_folder

        return load_folder(folder, **options)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def observation(self) -> tuple[int, ...]:
        """Shape `*X` of one observation."""
        return tuple(self.x.shape[2:])

    @property
    def steps(self) -> int:
        """Number T of steps of the longest sequence."""
        return self.x.shape[1]

    @property
    def heads(self) -> dict[str, Label]:
        """The labels that a judge is trained on: those that are no part of another."""
        return {name: label for name, label in self.labels.items() if label.part_of is None}

    def take(self, rows: np.ndarray) -> "Sequences":
        """The same data set with only `rows`, without splits. Memory-mapped arrays are copied for those rows."""
        return replace(
            self,
            x=self.x[rows],
            lengths=None if self.lengths is None else self.lengths[rows],
            mask=None if self.mask is None else self.mask[rows],
            labels={name: replace(label, values=label.values[rows]) for name, label in self.labels.items()},
            splits={},
        )

    def split(self, name: str) -> "Sequences":
        """The sequences of one split.

        Raises:
            ValueError: there is no such split.
        """
        if name not in self.splits:
            raise ValueError(f"split: {self.name} has no split {name!r}{nearest(name, self.splits)}")
        return self.take(self.splits[name])

    def batch(self, rows: np.ndarray | slice, device: torch.device | str = "cpu") -> Batch:
        """Rows of the data set as a Batch of floats on `device`; uint8 frames are divided by 255 there."""
        index = np.arange(len(self))[rows]
        x = torch.from_numpy(np.ascontiguousarray(self.x[rows])).to(device, non_blocking=True)
        x = x.float().div_(255) if x.dtype == torch.uint8 else x.float()
        mask = None if self.mask is None else torch.from_numpy(self.mask[rows]).to(device)
        if self.lengths is not None:
            inside = torch.from_numpy(np.arange(self.steps) < self.lengths[rows, None]).to(device)
            mask = inside if mask is None else mask & inside.view(*inside.shape, *[1] * (mask.ndim - 2))
        if mask is not None:
            observed = mask.view(*mask.shape, *[1] * (x.ndim - mask.ndim))
            x = torch.where(observed, x, torch.zeros((), device=device))
        labels = {n: torch.from_numpy(np.asarray(label.values[rows])).to(device) for n, label in self.labels.items()}
        return Batch(x, mask, labels, torch.from_numpy(index))


def split_by_group(
    groups: np.ndarray, fractions: tuple[float, float, float], seed: int
) -> dict[str, np.ndarray]:
    """Split rows into train, validation and test so that no group is in two of them; each gets at least one group.

    Raises:
        ValueError: fewer than three groups, or fractions that do not sum to one.
    """
    if any(f <= 0 for f in fractions) or abs(sum(fractions) - 1) > 1e-6:
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


def fingerprint(
    x: np.ndarray, lengths: np.ndarray | None, mask: np.ndarray | None, labels: Mapping[str, Label]
) -> str:
    """SHA-256 (first 16 hex digits) over the arrays of a data set, read in blocks."""
    digest = hashlib.sha256(f"{x.shape}{x.dtype}".encode())
    for array in (x, lengths, mask, *(labels[name].values for name in sorted(labels))):
        if array is not None:
            for start in range(0, len(array), 256):
                digest.update(np.ascontiguousarray(array[start : start + 256]).tobytes())
    return digest.hexdigest()[:16]


def _check(data: Sequences) -> None:
    """Refuse what would fail later, naming the argument, what was found and the fix."""
    x = data.x
    if x.ndim not in (3, 5):
        raise ValueError(
            f"x: has shape {x.shape}; give (N, T, C, H, W) for frames or (N, T, F) for feature vectors"
        )
    if not len(x):
        raise ValueError("x: holds no sequence")
    if x.shape[1] < 2:
        raise ValueError(f"x: sequences have {x.shape[1]} step; at least 2 are needed for anything to change")
    if x.ndim == 5:
        channels, height, width = x.shape[2:]
        if channels not in (1, 2, 3, 4):
            raise ValueError(f"x: frames have {channels} channels in axis 2 of {x.shape}; 1 to 4 can be used")
        if height != width or height not in (16, 32, 64, 128):
            raise ValueError(f"x: frames are {height}x{width}; resize them to 16, 32, 64 or 128 pixels square")
    if x.dtype == np.uint8:
        if x.ndim != 5:
            raise ValueError("x: uint8 is for frames only; give feature vectors as floats")
    elif np.issubdtype(x.dtype, np.floating):
        _check_floats(data)
    else:
        raise ValueError(f"x: has type {x.dtype}; give uint8 frames or floats")
    n = len(x)
    if data.lengths is not None:
        if data.lengths.shape != (n,):
            raise ValueError(f"lengths: has shape {data.lengths.shape} for {n} sequences; give one for each")
        if data.lengths.min() < 2 or data.lengths.max() > x.shape[1]:
            row = int(np.flatnonzero((data.lengths < 2) | (data.lengths > x.shape[1]))[0])
            raise ValueError(f"lengths: sequence {row} has {data.lengths[row]} steps; 2 to {x.shape[1]} are possible")
    if data.mask is not None:
        if data.mask.dtype != bool:
            raise ValueError(f"mask: has type {data.mask.dtype}; give bool, True = observed")
        if data.mask.shape not in (x.shape, x.shape[:2]):
            raise ValueError(f"mask: has shape {data.mask.shape}; give {x.shape[:2]} or {x.shape}")
        empty = np.flatnonzero(~data.mask.reshape(n, -1).any(1))
        if len(empty):
            raise ValueError(f"mask: sequence {empty[0]} has no observed value; leave it out")
    for name, label in data.labels.items():
        if len(label.values) != n:
            raise ValueError(f"labels[{name!r}]: {len(label.values)} values for {n} sequences; give one for each")
        if len(label.values) and not (0 <= label.values.min() and label.values.max() < len(label.classes)):
            raise ValueError(f"labels[{name!r}]: class numbers must be 0 to {len(label.classes) - 1}")
    for name, rows in data.splits.items():
        if not len(rows):
            raise ValueError(f"splits[{name!r}]: is empty")


def _check_floats(data: Sequences) -> None:
    x = data.x
    for start in range(0, len(x), 256):
        block = np.asarray(x[start : start + 256])
        bad = ~np.isfinite(block)
        if data.mask is not None:
            mask = data.mask[start : start + 256]
            bad &= mask.reshape(*mask.shape, *[1] * (block.ndim - mask.ndim))
        if data.lengths is not None:
            inside = np.arange(x.shape[1]) < data.lengths[start : start + 256, None]
            bad &= inside.reshape(*inside.shape, *[1] * (block.ndim - 2))
        if bad.any():
            row, step = (int(i) for i in np.argwhere(bad)[0][:2])
            raise ValueError(
                f"x: NaN or infinity in sequence {start + row}, step {step}; "
                "remove it, or pass mask with False where a value is missing"
            )
        if x.ndim == 5:
            low, high = np.nanmin(block), np.nanmax(block)
            if low < 0 or high > 1:
                raise ValueError(
                    f"x: float frames must lie in [0, 1], found {low:.3g} to {high:.3g} in sequences "
                    f"{start} to {start + len(block) - 1}; rescale them, or pass uint8"
                )
