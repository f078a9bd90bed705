"""From recordings, as frames of features, to sequences: scaled and cut."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from unbraid.data.features import FeatureKind, Segment, Sound
from unbraid.data.formats.sounds import SEGMENT_STEPS, cut
from unbraid.data.formats.spectra import FEATURES, UNITS, feature_names, frame_rate
from unbraid.data.labels import Label
from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences, lengths_or_none
from unbraid.data.store import Space

__all__ = ["sequences_of_recordings"]


def sequences_of_recordings(
    space: Space,
    name: str,
    recordings: Iterable[Iterable[np.ndarray]],
    owners: Mapping[str, np.ndarray],
    labels: Mapping[str, Label],
    features: FeatureKind,
    sampling_rate: int,
    segment: Segment,
    steps: int | None,
    targets: Mapping[str, np.ndarray | Sequence[np.ndarray]] = MappingProxyType({}),
) -> Sequences:
    """Scale recordings and cut them into sequences; `groups` are the recordings.

    Args:
        space: x is written here.
        name: of the data set.
        recordings: of each, its frames of features in blocks `(n, 1 + K, F)`: as they are, and in K other voices.
        owners: the numbers of the recordings of each split; scaling is learned on the frames of `train`.
        labels: name to one value for each recording.
        features: kind of features.
        sampling_rate: samples per second.
        segment: see `cut`.
        steps: see `cut`.
        targets: name to one number, or one number for each frame, of each recording.
    """
    total = sum(len(numbers) for numbers in owners.values())
    counts: list[int] = []
    raw = space.folder / "frames.raw"
    with open(raw, "wb") as file:
        for done, blocks in enumerate(recordings):
            counts.append(0)
            for frames in blocks:
                file.write(frames.tobytes())
                counts[-1] += len(frames)
            space.advance(done + 1, total)
    flat = np.memmap(raw, np.float32, "r").reshape(sum(counts), -1, FEATURES[features])
    ends = np.cumsum([0, *counts])
    scaling = Scaling.fit_parts([flat[ends[owner] : ends[owner + 1], 0] for owner in owners["train"]])
    pieces = [
        (owner, begin + start, length)
        for owner, (begin, count) in enumerate(zip(ends, counts, strict=False))
        for start, length in cut(count, segment, steps)
    ]
    owner, starts, lengths = (np.array(column) for column in zip(*pieces, strict=True))
    longest = (steps or SEGMENT_STEPS) if segment == "segment" else int(lengths.max())
    x = space.create((len(pieces), longest, flat.shape[2]), np.float32)
    others = flat.shape[1] - 1
    voices = space.create_other_voices((len(pieces), others, *x.shape[1:])) if others else None
    for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        frames = scaling.apply(flat[start : start + length])
        x[row, :length] = frames[:, 0]
        if voices is not None:
            voices[row, :, :length] = frames[:, 1:].swapaxes(0, 1)
    del flat
    raw.unlink()
    return Sequences(
        x,
        name,
        lengths=lengths_or_none(lengths, longest),
        labels={key: replace(label, values=label.values[owner]) for key, label in labels.items()},
        splits={split: np.flatnonzero(np.isin(owner, part)) for split, part in owners.items()},
        targets={
            key: _cut_target(values, owner, starts, lengths, longest) for key, values in targets.items()
        },
        groups=owner,
        scaling=scaling,
        feature_names=feature_names(features, sampling_rate),
        units=(UNITS[features],) * FEATURES[features],
        sampling_rate=frame_rate(features, sampling_rate),
        sound=Sound(features, sampling_rate),
        other_voices=voices,
    )


def _cut_target(
    values: np.ndarray | Sequence[np.ndarray],
    owner: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    longest: int,
) -> np.ndarray:
    """A target of recordings, `(N,)`, or of their frames, `(N, T)` and NaN after the end, for the pieces of them."""
    if np.ndim(values[0]) == 0:
        return np.array(values, np.float64)[owner]
    flat = np.concatenate(values)
    cut_values = np.full((len(owner), longest), np.nan)
    for row, start, length in zip(cut_values, starts, lengths, strict=True):
        row[:length] = flat[start : start + length]
    return cut_values
