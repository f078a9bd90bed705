"""`Sequences`: a data set in memory or memory-mapped, with masks, labels and named splits."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from unbraid.data import checks
from unbraid.data.features import Sound
from unbraid.data.labels import Label, LabelsOfRows, check_dynamic_labels, make_label
from unbraid.data.mapped import in_blocks
from unbraid.data.scaling import Scaling
from unbraid.data.splits import UNLABELLED, split_by_group
from unbraid.kinds import Kind, kind_of
from unbraid.masks import steps_below, widen, zero_unobserved
from unbraid.types import Batch
from unbraid.words import nearest

__all__ = ["Label", "Sequences", "lengths_or_none", "names_of_pieces"]


@dataclass(frozen=True, eq=False)
class Sequences:
    """A data set of sequences.

    Attributes:
        x: `(N, T, *X)`, possibly memory-mapped. Frames `(C, H, W)` are uint8 (0 to 255) or floats (0 to 1); feature
            vectors `(F,)` and windows `(W, F)` of a series are floats.
        name: the data set's name, used for caches and reports.
        lengths: `(N,)` number of valid steps; None when every sequence has T. Steps beyond are padding.
        mask: `(N, T, *X)` or `(N, T)` bool, True = observed; None when all is observed.
        labels: name to Label.
        splits: split name to the rows that belong to it. Models are trained on `train`, and on `unlabelled` where there is
            one; protocols read `train` alone.
        targets: name to `(N,)` or `(N, T)` floats that are predicted from the codes and never trained on; NaN = unknown.
        groups: `(N,)` number of the recording, patient or station that each sequence was cut from, or None.
        names: of the N sequences: file or id, with `#0`, `#1`, ... for the pieces of one; or None.
        times: `(N, T)` datetime64[s], when each step begins, or None.
        scaling: how raw features became `x`, learned on the train split, or None when x is not scaled.
        feature_names: names of the F features, or None.
        units: unit of each feature before scaling, or None.
        sampling_rate: values per second (frames, or rows of a window), or None.
        sound: how x was computed from sound, so that it can be heard again; None when x is no sound.
        other_voices: `(N, K, T, F)`, each sequence as K other voices would say it, for the view `voice` of
            `unbraid.augment`; possibly memory-mapped. None where they were not computed.
        source: what `unbraid.load` was given (`name` and options), where text and numbers say it; or None. A run keeps it, so
            that its commands read the data, and new files, alike.
        fingerprint: hash of the prepared arrays, computed when it is empty. A data set that has one was checked value
            by value when it was made, and is not read through again.
    """

    x: np.ndarray
    name: str = "arrays"
    lengths: np.ndarray | None = None
    mask: np.ndarray | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    splits: Mapping[str, np.ndarray] = field(default_factory=dict)
    targets: Mapping[str, np.ndarray] = field(default_factory=dict)
    groups: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    times: np.ndarray | None = None
    scaling: Scaling | None = None
    feature_names: tuple[str, ...] | None = None
    units: tuple[str, ...] | None = None
    sampling_rate: float | None = None
    sound: Sound | None = None
    other_voices: np.ndarray | None = None
    source: Mapping[str, Any] | None = None
    fingerprint: str = ""

    def __post_init__(self) -> None:
        kind = checks.check_observations(self.x, self.sound is not None)
        checks.check_lengths(self.lengths, self.x)
        checks.check_mask(self.mask, self.x, self.observed)
        checks.check_labels(self.labels, len(self))
        checks.check_splits(self.splits, len(self))
        checks.check_companions(
            self.x,
            kind,
            targets=self.targets,
            groups=self.groups,
            names=self.names,
            times=self.times,
            scaling=self.scaling,
            feature_names=self.feature_names,
            units=self.units,
            sampling_rate=self.sampling_rate,
            other_voices=self.other_voices,
        )
        if not self.fingerprint:
            checks.check_values(self.x, kind, self.observed, self.names)
            object.__setattr__(self, "fingerprint", fingerprint(self))

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
        names: Sequence[str] | None = None,
        fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        feature_names: Sequence[str] | None = None,
        units: Sequence[str] | None = None,
        sampling_rate: float | None = None,
    ) -> "Sequences":
        """Make a data set from an array, split at random.

        Args:
            x: `(N, T, C, H, W)` frames, uint8 or floats in [0, 1] (`(N, T, H, W, C)` is turned round); `(N, T, F)`
                or `(N, T, W, F)` floats.
            name: the data set's name.
            lengths: `(N,)` valid steps of each sequence.
            mask: `(N, T)` or `(N, T, *X)`, True = observed. NaN is allowed only where it is False.
            labels: name to `(N,)` values of any type, which become class numbers, or to a Label.
            dynamic_labels: names of the labels that describe the motion; the others are static.
            groups: `(N,)`; all sequences of a group (a person, a device) go into one split.
            names: of the N sequences.
            fractions: shares of train, validation and test.
            seed: of the random split.
            feature_names: names of the F features.
            units: unit of each feature.
            sampling_rate: values per second: frames, or rows of a window.

        Raises:
            ValueError: shapes, types, ranges, lengths or labels that do not fit; the error names the argument.
        """
        x = checks.native(np.asarray(x))
        checks.say_unlikely_axes(x)
        dynamic_labels = check_dynamic_labels(dynamic_labels, labels or {})
        if x.ndim == 5 and x.shape[2] not in (1, 2, 3, 4) and x.shape[-1] in (1, 2, 3, 4):
            x = np.moveaxis(x, -1, 2)
        as_labels = {
            key: values
            if isinstance(values, Label)
            else make_label(key, values, "dynamic" if key in dynamic_labels else "static")
            for key, values in (labels or {}).items()
        }
        count = len(x) if x.ndim else 0
        if count < 3:
            raise ValueError(f"x: {count} sequences are too few; training, validation and test need one each")
        group = np.arange(count) if groups is None else np.asarray(groups)
        missing = [row for row, value in enumerate(group.tolist()) if value is None or value != value]
        if missing:
            raise ValueError(
                f"groups: sequence {missing[0]} has none ({len(missing)} in all); give every sequence a group"
            )
        if group.shape != (count,):
            raise ValueError(f"groups: has shape {group.shape} for {count} sequences; give one for each")
        splits = split_by_group(group, fractions, seed)
        different, number = np.unique(group, return_inverse=True)
        return cls(
            x=x,
            name=name,
            lengths=None if lengths is None else np.asarray(lengths),
            mask=None if mask is None else np.asarray(mask),
            labels=as_labels,
            splits=splits,
            groups=number if len(different) < count else None,
            names=None if names is None else tuple(map(str, names)),
            feature_names=None if feature_names is None else tuple(feature_names),
            units=None if units is None else tuple(units),
            sampling_rate=sampling_rate,
        )

    def __len__(self) -> int:
        return len(self.x)

    @property
    def observation(self) -> tuple[int, ...]:
        """Shape `*X` of one observation."""
        return tuple(self.x.shape[2:])

    @property
    def kind(self) -> Kind:
        """The kind of the observations: frames, vectors, windows or sound."""
        return kind_of(self.observation, self.sound is not None)

    @property
    def steps(self) -> int:
        """Number T of steps of the longest sequence."""
        return self.x.shape[1]

    @property
    def heads(self) -> dict[str, Label]:
        """The labels that a judge is trained on: those that are not part of another label."""
        return {name: label for name, label in self.labels.items() if label.part_of is None}

    @property
    def recordings(self) -> list[np.ndarray]:
        """The rows of each group, in their order; without groups, each row by itself."""
        groups = np.arange(len(self)) if self.groups is None else self.groups
        _, which, counts = np.unique(groups, return_inverse=True, return_counts=True)
        return np.split(np.argsort(which, kind="stable"), np.cumsum(counts)[:-1])

    def observed(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Which values of `rows` are observed: `mask` and `lengths` joined.

        Returns:
            bool, True = observed: `(n, T, *X)` where `mask` has that shape, else `(n, T)`. Padding is never observed.
        """
        index = np.arange(len(self))[rows]
        if self.lengths is None:
            steps = np.ones((len(index), self.steps), dtype=bool)
        else:
            steps = steps_below(self.lengths[index], self.steps)
        if self.mask is None:
            return steps
        mask = self.mask[index]
        return mask & widen(steps, mask)

    def take(self, rows: np.ndarray | slice) -> "Sequences":
        """The same data set with only `rows`, without splits.

        Rows that follow one another stay memory-mapped; others are copied into memory. The new fingerprint is a hash
        of the fingerprint of the whole and of the row numbers.

        Raises:
            ValueError: `rows` holds no row.
        """
        index = np.arange(len(self))[rows]
        if not len(index):
            raise ValueError(f"rows: choose none of the {len(self)} sequences of {self.name}")
        if np.array_equal(index, np.arange(index[0], index[0] + len(index))):
            rows = slice(int(index[0]), int(index[0]) + len(index))
        else:
            rows = index
        digest = hashlib.sha256(self.fingerprint.encode() + index.astype(np.int64).tobytes())
        return replace(
            self,
            x=self.x[rows],
            lengths=None if self.lengths is None else self.lengths[rows],
            mask=None if self.mask is None else self.mask[rows],
            labels={name: replace(label, values=label.values[rows]) for name, label in self.labels.items()},
            targets={name: values[rows] for name, values in self.targets.items()},
            groups=None if self.groups is None else self.groups[rows],
            names=None if self.names is None else tuple(self.names[row] for row in index),
            times=None if self.times is None else self.times[rows],
            other_voices=None if self.other_voices is None else self.other_voices[rows],
            splits={},
            fingerprint=digest.hexdigest()[:16],
        )

    def rescaled(self, scaling: Scaling) -> "Sequences":
        """The same data with another scaling of their features, held in memory.

        Raises:
            ValueError: the scaling is for another number of features.
        """
        if len(scaling.mean) != self.x.shape[-1]:
            raise ValueError(
                f"scaling: is for {len(scaling.mean)} features; {self.name} has {self.x.shape[-1]}"
            )
        seen, voices = self.observed(), self.other_voices
        if voices is not None:
            as_voices = np.broadcast_to(np.expand_dims(widen(seen, self.x), 1), voices.shape)
            voices = zero_unobserved(scaling.apply(self._raw(voices)), as_voices).astype(voices.dtype)
        x = zero_unobserved(scaling.apply(self._raw(self.x)), seen)
        return replace(self, x=x, other_voices=voices, scaling=scaling, fingerprint="")

    def _raw(self, values: np.ndarray) -> np.ndarray:
        """Values as they were before scaling."""
        return values if self.scaling is None else values * self.scaling.std + self.scaling.mean

    def split(self, name: str) -> "Sequences":
        """The sequences of one split.

        Raises:
            ValueError: there is no such split.
        """
        if name not in self.splits:
            raise ValueError(f"split: {self.name} has no split {name!r}{nearest(name, self.splits)}")
        return self.take(self.splits[name])

    @property
    def training_rows(self) -> np.ndarray:
        """Rows that models are trained on: the split `train`, then `unlabelled` where there is one."""
        return np.concatenate([self.splits[name] for name in ("train", UNLABELLED) if name in self.splits])

    def batch(self, rows: np.ndarray | slice, device: torch.device | str = "cpu") -> Batch:
        """Rows as a Batch of float32 on `device`, where uint8 frames are divided by 255.

        The batch's mask is `observed(rows)`, or None when everything is observed. Values that are not observed are 0. Labels
        are copied to the device when they are read.
        """
        index = np.arange(len(self))[rows]

        def move(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.asarray(array)).to(device, non_blocking=True)

        x = move(self.x[index])
        x = x.float().div_(255) if x.dtype == torch.uint8 else x.float()
        mask = None if self.mask is None and self.lengths is None else move(self.observed(index))
        return Batch(
            zero_unobserved(x, mask),
            mask,
            LabelsOfRows(self.labels, index, device),
            move(index),
            other_voices=None if self.other_voices is None else move(self.other_voices[index]),
        )


def names_of_pieces(names: Sequence[str], owner: np.ndarray) -> tuple[str, ...]:
    """A name for each sequence: that of its recording, with `#0`, `#1`, ... where the recording was cut into several.

    >>> names_of_pieces(["a.wav", "b.wav"], np.array([0, 0, 1]))
    ('a.wav#0', 'a.wav#1', 'b.wav')

    Args:
        names: of the recordings.
        owner: the number of each sequence's recording.
    """
    pieces = np.bincount(owner, minlength=len(names))
    count = [0] * len(names)
    named = []
    for number in owner.tolist():
        named.append(names[number] if pieces[number] == 1 else f"{names[number]}#{count[number]}")
        count[number] += 1
    return tuple(named)


def lengths_or_none(lengths: np.ndarray, steps: int) -> np.ndarray | None:
    """The lengths for `Sequences`: None when all sequences have `steps` steps."""
    return None if (lengths == steps).all() else lengths


def fingerprint(data: Sequences) -> str:
    """The first 16 hex digits of a SHA-256 over arrays, labels and splits, which are read in blocks."""
    digest = hashlib.sha256()
    named = {"x": data.x, "lengths": data.lengths, "mask": data.mask}
    named |= {f"labels/{name}/{label.classes}": label.values for name, label in sorted(data.labels.items())}
    named |= {f"splits/{name}": rows for name, rows in sorted(data.splits.items())}
    named |= {f"targets/{name}": values for name, values in sorted(data.targets.items())}
    named |= {"groups": data.groups, "times": data.times}
    if data.scaling is not None:
        named |= {"mean": data.scaling.mean, "std": data.scaling.std}
    for name, array in named.items():
        if array is not None:
            digest.update(f"{name}{array.shape}{array.dtype}".encode())
            for _, block in in_blocks(array):
                digest.update(np.ascontiguousarray(block).tobytes())
    return digest.hexdigest()[:16]
