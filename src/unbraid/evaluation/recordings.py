"""Whole recordings: the codes and features of their sequences, and the labels that name speaker and content."""

from dataclasses import dataclass, replace

import numpy as np

from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences
from unbraid.generation import encode
from unbraid.masks import observed_steps
from unbraid.models.base import SequenceModel
from unbraid.words import nearest

__all__ = ["Recordings", "content_label", "speaker_label"]


def speaker_label(data: Sequences, name: str | None = None) -> str:
    """The label of who speaks: `name`, or the first static label that is no part of another.

    Raises:
        ValueError: there is no such label.
    """
    if name is not None:
        _check_label(data, "speaker", name)
        return name
    static = [each for each, label in data.heads.items() if label.kind == "static"]
    if not static:
        raise ValueError(f"speaker: {data.name} has no static label; verification needs to know who speaks")
    return static[0]


def content_label(data: Sequences, name: str | None = None) -> str | None:
    """The label of what is said: `name`, or the first dynamic label that is constant over each recording.

    Parts of other labels are not taken. None where there is no such label.

    Raises:
        ValueError: there is no label `name`.
    """
    if name is not None:
        _check_label(data, "content", name)
        return name
    recordings = data.recordings
    for each, label in data.heads.items():
        if label.kind == "dynamic" and all(np.ptp(label.values[rows]) == 0 for rows in recordings):
            return each
    return None


def _check_label(data: Sequences, argument: str, name: str) -> None:
    if name not in data.labels:
        raise ValueError(f"{argument}: {data.name} has no label {name!r}{nearest(name, data.labels)}")


@dataclass(frozen=True)
class Recordings:
    """Codes, features and labels of U recordings.

    Attributes:
        static: `(U, S)`, the mean of s over a recording's sequences.
        dynamic: `(L, D)` of each recording, d at its observed steps.
        features: `(L, F)` of each recording, x at its observed steps.
        labels: name to `(U,)` class numbers.
    """

    static: np.ndarray
    dynamic: list[np.ndarray]
    features: list[np.ndarray]
    labels: dict[str, np.ndarray]

    @classmethod
    def of(
        cls, model: SequenceModel, data: Sequences, split: str, labels: list[str], batch_size: int
    ) -> "Recordings":
        """Encode one split and gather it by recording.

        Raises:
            ValueError: a label that differs within a recording.
        """
        part = data.split(split)
        codes = encode(model, part, batch_size)
        x = part.batch(slice(None)).x.flatten(2).numpy()
        steps = observed_steps(part.observed())
        static, dynamic = codes.static.double().numpy(), codes.dynamic.numpy()
        members = part.recordings
        classes = {}
        for name in labels:
            values = part.labels[name].values
            for rows in members:
                if np.ptp(values[rows]):
                    raise ValueError(
                        f"labels[{name!r}]: sequences {rows[0]} and others of {split} are of one recording and differ "
                        "in it; give a label that is the same over a recording"
                    )
            classes[name] = np.array([values[rows[0]] for rows in members])
        return cls(
            np.stack([static[rows].mean(0) for rows in members]),
            [dynamic[rows][steps[rows]] for rows in members],
            [x[rows][steps[rows]] for rows in members],
            classes,
        )

    def scaled(self, scaling: Scaling) -> "Recordings":
        """The same with scaled features."""
        return replace(self, features=[scaling.apply(x) for x in self.features])

    @property
    def dynamic_mean(self) -> np.ndarray:
        """`(U, D)`, the mean of d over the steps of each recording."""
        return np.stack([d.mean(0, dtype=np.float64) for d in self.dynamic])

    @property
    def features_mean(self) -> np.ndarray:
        """`(U, F)`, the mean of x over the steps of each recording."""
        return np.stack([x.mean(0, dtype=np.float64) for x in self.features])
