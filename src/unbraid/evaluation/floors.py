"""Floors of downstream tasks: a constant, and plain methods on the raw series, without any codes.

For vectors `(F,)` and windows `(W, F)` of a series. Frames have the constant only.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from unbraid.data.sequences import Sequences
from unbraid.evaluation.readers import Inputs, Reading, Task, read_linear
from unbraid.masks import inside, observed_values

__all__ = ["constant", "plain_floors", "raw_inputs", "raw_summaries"]


def plain_floors(task: Task, inputs: Mapping[str, Inputs] | None) -> dict[str, Reading]:
    """Predictions of plain methods without codes, by the name of the floor.

    - `constant`: the share of each class on train (the most frequent one wins), the median of a target.
    - `raw_linear`: logistic or ridge regression on `raw_summaries`; for targets of steps on the step's means.
    - `raw_chosen`: the same, on as many of the four summaries as do best on validation.
    - `raw_neighbour`, `raw_centroid` (more than two classes): the class of the nearest training sequence, and of the
      nearest class centre, by the distance of the features' means over the sequence.

    Args:
        task: the label or target.
        inputs: `raw_inputs` of each split; None where the observations are no series.
    """
    floors = {"constant": constant(task)}
    if inputs is None:
        return floors
    whole = {split: replace(part, groups=()) for split, part in inputs.items()}
    floors["raw_linear"] = read_linear(task, whole)
    if task.level == "sequence":
        floors["raw_chosen"] = read_linear(task, inputs)
    if task.kind == "classes":
        floors["raw_neighbour"] = _nearest(task, inputs, KNeighborsClassifier(1))
        floors["raw_centroid"] = _nearest(task, inputs, NearestCentroid())
    return floors


def constant(task: Task) -> Reading:
    """The same prediction for every sequence: the shares of the classes, or the median, on train."""
    train = task.truth["train"]
    if task.kind == "target":
        value = np.nanmedian(train)
        guesses = {split: np.full(truth.shape, value) for split, truth in task.truth.items()}
        return Reading(guesses, {"value": float(value)})
    shares = np.bincount(train, minlength=len(task.classes)) / len(train)
    return Reading({split: np.tile(shares, (len(truth), 1)) for split, truth in task.truth.items()}, {})


def _nearest(
    task: Task, inputs: Mapping[str, Inputs], method: KNeighborsClassifier | NearestCentroid
) -> Reading:
    features = inputs["train"].table.shape[1] // 4  # the means come first
    method.fit(inputs["train"].table[:, :features], task.truth["train"])
    guesses = {
        split: np.eye(len(task.classes))[method.predict(part.table[:, :features])]
        for split, part in inputs.items()
    }
    return Reading(guesses, {})


def raw_inputs(data: Sequences) -> Inputs:
    """The raw series as a path and as tables, in the units of `data.x`.

    A step of the path holds its values (0 where unobserved) and, unless all are observed, which of them are. A step of
    `means`, which the linear reader of steps gets, holds the mean of each feature over the step's observed values.
    """
    x, observed = _values(data)
    steps, windows = x.shape[1], x.shape[2]
    flat = x.reshape(len(x), steps, -1)
    path = flat if observed.all() else np.concatenate([flat, observed.reshape(flat.shape)], 2)
    means = x.sum(2) / np.maximum(observed.sum(2), 1)
    features = x.shape[-1]
    table = raw_summaries(
        x.reshape(len(x), steps * windows, features), observed.reshape(len(x), -1, features)
    )
    return Inputs(np.zeros((len(x), 0)), path, inside(data.observed()), table, means, groups=(features,) * 4)


def raw_summaries(
    x: Float[np.ndarray, "N L F"], observed: Bool[np.ndarray, "N L F"]
) -> Float[np.ndarray, "N 4F"]:
    """Each feature's mean, last value, standard deviation and share of observed values; 0 where it has none."""
    count = observed.sum(1)
    mean = np.where(observed, x, 0).sum(1) / np.maximum(count, 1)
    spread = np.sqrt(np.square(np.where(observed, x - mean[:, None], 0)).sum(1) / np.maximum(count, 1))
    where = x.shape[1] - 1 - observed[:, ::-1].argmax(1)
    last = np.where(count > 0, np.take_along_axis(x, where[:, None], 1)[:, 0], 0)
    return np.concatenate([mean, last, spread, observed.mean(1)], 1)


def _values(data: Sequences) -> tuple[Float[np.ndarray, "N T W F"], Bool[np.ndarray, "N T W F"]]:
    """Values with zeros where unobserved, and which are observed; vectors become windows of one row."""
    x = data.batch(slice(None)).x.double().numpy()
    observed = observed_values(x, data.observed())
    return (x[:, :, None], observed[:, :, None]) if x.ndim == 3 else (x, observed)
