"""Floors of downstream tasks: what a constant, and plain methods on the raw series, get without any codes.

For vectors `(F,)` and windows `(W, F)` of a series; of frames only the constant is given.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from unbraid.data.sequences import Sequences
from unbraid.evaluation.readers import Reading, Task, View, read_linear

__all__ = ["constant", "plain_floors", "raw_summaries", "raw_view", "valid_steps"]


def plain_floors(task: Task, views: dict[str, View] | None) -> dict[str, Reading]:
    """What is read without codes by plain methods, by name.

    - `constant`: the share of each class on train (the most frequent one wins), the median of a target.
    - `raw_linear`: logistic or ridge regression on `raw_summaries`; for targets of steps on the step's means.
    - `raw_chosen`: the same, on as many of the four summaries as do best on validation.
    - `raw_neighbour`, `raw_centroid` (more than two classes): the class of the nearest training sequence, and of the
      nearest class centre, by the distance of the features' means over the sequence.

    Args:
        task: what to tell.
        views: of `raw_view`; None where the observations are no series.
    """
    floors = {"constant": constant(task)}
    if views is None:
        return floors
    floors["raw_linear"] = read_linear(task, {name: replace(view, groups=()) for name, view in views.items()})
    if task.level == "sequence":
        floors["raw_chosen"] = read_linear(task, views)
    if task.kind == "classes":
        floors["raw_neighbour"] = _nearest(task, views, KNeighborsClassifier(1))
        floors["raw_centroid"] = _nearest(task, views, NearestCentroid())
    return floors


def constant(task: Task) -> Reading:
    """The same for every sequence: what is most usual on train."""
    train = task.truth["train"]
    if task.kind == "target":
        value = np.nanmedian(train)
        guesses = {split: np.full(truth.shape, value) for split, truth in task.truth.items()}
        return Reading(guesses, {"value": float(value)})
    shares = np.bincount(train, minlength=len(task.classes)) / len(train)
    return Reading({split: np.tile(shares, (len(truth), 1)) for split, truth in task.truth.items()}, {})


def _nearest(task: Task, views: dict[str, View], method: KNeighborsClassifier | NearestCentroid) -> Reading:
    features = views["train"].table.shape[1] // 4  # the means come first
    method.fit(views["train"].table[:, :features], task.truth["train"])
    guesses = {
        split: np.eye(len(task.classes))[method.predict(view.table[:, :features])]
        for split, view in views.items()
    }
    return Reading(guesses, {})


def raw_view(data: Sequences) -> View:
    """The raw series as a path and as tables, in the units of `data.x`.

    A step of the path is its values, unobserved ones as zero, beside what of it is observed; `means`, which the linear
    reader of steps gets, holds the mean of each feature over the step's observed values.
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
    return View(np.zeros((len(x), 0)), path, valid_steps(data), table, means, groups=(features,) * 4)


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


def valid_steps(data: Sequences) -> Bool[np.ndarray, "N T"]:
    """Steps up to the last one with an observed value; what follows is padding."""
    steps = np.ones(data.x.shape[:2], dtype=bool)
    if data.lengths is not None:
        steps &= np.arange(data.steps) < data.lengths[:, None]
    if data.mask is not None:
        seen = steps & data.mask.reshape(*data.mask.shape[:2], -1).any(2)
        steps = np.maximum.accumulate(seen[:, ::-1], axis=1)[:, ::-1]
    return steps


def _values(data: Sequences) -> tuple[Float[np.ndarray, "N T W F"], Bool[np.ndarray, "N T W F"]]:
    """Values with zeros where unobserved, and what is observed; vectors are windows of one row."""
    batch = data.batch(slice(None))
    x = batch.x.double().numpy()
    mask = np.ones(x.shape, dtype=bool) if batch.mask is None else batch.mask.numpy()
    mask = np.broadcast_to(mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim)), x.shape)
    return (x[:, :, None], mask[:, :, None]) if x.ndim == 3 else (x, mask)
