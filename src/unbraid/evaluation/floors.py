"""Floors of downstream tasks: a constant, and plain methods on the raw series, without any codes.

For vectors `(F,)` and windows `(W, F)` of a series. Frames have the constant only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from unbraid.data.sequences import Sequences
from unbraid.evaluation.classifiers import best_of, every_class
from unbraid.evaluation.linear_reader import losses, read_linear
from unbraid.evaluation.readers import Inputs, Reading, Task, final_splits, has_truth, in_place
from unbraid.masks import inside, observed_values

__all__ = ["RawInputs", "constant", "plain_floors", "raw_inputs", "raw_summaries", "rich_summaries"]

TREES = (10, 25, 50, 100)


@dataclass(frozen=True)
class RawInputs(Inputs):
    """Inputs of readers made from the raw series.

    Attributes:
        means: `(n, T, F)`, of every step.
        rich: `(n, 13 F)` `rich_summaries` of each sequence.
    """

    means: Float[np.ndarray, "n T P"] = field(kw_only=True)
    rich: Float[np.ndarray, "n Q"] = field(kw_only=True)


def plain_floors(task: Task, inputs: Mapping[str, RawInputs] | None) -> dict[str, Reading]:
    """Predictions of plain methods without codes, by the name of the floor.

    - `constant`: the share of each class (the most frequent one wins), the median of a target.
    - `raw_linear`: logistic or ridge regression on `raw_summaries`; for targets of steps on the step's means.
    - `raw_chosen`: the same, on as many of the four summaries as do best on validation.
    - `raw_rich`: the same, on `rich_summaries`.
    - `raw_boosting`: gradient-boosted trees on `rich_summaries`; for targets of steps on the step's means. Validation
      chooses the number of trees.
    - `raw_neighbour`, `raw_centroid` (more than two classes): the class of the nearest training sequence, and of the
      nearest class centre, by the distance of the features' means over the sequence.

    Args:
        task: the label or target.
        inputs: `raw_inputs` of each split; None where the observations are no series.
    """
    floors = {"constant": constant(task)}
    if inputs is None:
        return floors
    floors["raw_linear"] = read_linear(
        task, {split: replace(part, groups=()) for split, part in inputs.items()}, cross_validate=False
    )
    if task.level == "step":
        return floors | {
            "raw_boosting": _boosting(task, {split: part.means for split, part in inputs.items()})
        }
    rich = {split: part.rich for split, part in inputs.items()}
    floors["raw_chosen"] = read_linear(task, inputs, cross_validate=False)
    floors["raw_rich"] = read_linear(
        task,
        {split: replace(part, table=rich[split], groups=()) for split, part in inputs.items()},
        cross_validate=False,
    )
    floors["raw_boosting"] = _boosting(task, rich)
    if task.kind == "classes":
        floors["raw_neighbour"] = _nearest(task, inputs, KNeighborsClassifier(1))
        floors["raw_centroid"] = _nearest(task, inputs, NearestCentroid())
    return floors


def constant(task: Task) -> Reading:
    """The same prediction for every sequence: the shares of the classes, or the median, where readers are trained."""
    trained_on, predicted = final_splits(task.truth)
    values = np.concatenate([task.truth[split].ravel() for split in trained_on])
    if task.kind == "target":
        value = np.nanmedian(values)
        guesses = {split: np.full(task.truth[split].shape, value) for split in predicted}
        return Reading(guesses, {"value": float(value)})
    shares = np.bincount(values, minlength=len(task.classes)) / len(values)
    return Reading({split: np.tile(shares, (len(task.truth[split]), 1)) for split in predicted}, {})


def _boosting(task: Task, tables: Mapping[str, np.ndarray]) -> Reading:
    """Gradient-boosted trees on a table of each sequence or, for targets of steps, of each step."""
    rows = has_truth(task, tables)
    x = {split: tables[split][rows[split]] for split in tables}
    y = {split: task.truth[split][rows[split]] for split in tables}

    def fitted(splits: Sequence[str], trees: int) -> Callable[[np.ndarray], np.ndarray]:
        both = np.concatenate([x[split] for split in splits]), np.concatenate([y[split] for split in splits])
        settings: dict[str, Any] = {
            "max_iter": trees,
            "learning_rate": 0.1,
            "max_leaf_nodes": 8,
            "random_state": 0,
        }
        if task.kind == "target":
            return HistGradientBoostingRegressor(loss="absolute_error", **settings).fit(*both).predict
        method = HistGradientBoostingClassifier(**settings).fit(*both)
        return lambda x: every_class(method.predict_proba(x), method.classes_, len(task.classes))

    def validation_loss(trees: int) -> float:
        return float(losses(task, fitted(["train"], trees)(x["validation"]), y["validation"]).mean())

    trained_on, predicted = final_splits(tables)
    loss, trees = best_of(TREES, validation_loss)
    predict = fitted(trained_on, trees)
    guesses = {split: in_place(predict(x[split]), rows[split]) for split in predicted}
    return Reading(guesses, {"trees": trees, "validation_loss": loss})


def _nearest(
    task: Task, inputs: Mapping[str, Inputs], method: KNeighborsClassifier | NearestCentroid
) -> Reading:
    trained_on, predicted = final_splits(inputs)
    features = inputs["train"].table.shape[1] // 4  # the means come first
    method.fit(
        np.concatenate([inputs[split].table[:, :features] for split in trained_on]),
        np.concatenate([task.truth[split] for split in trained_on]),
    )
    guesses = {
        split: np.eye(len(task.classes))[method.predict(inputs[split].table[:, :features])]
        for split in predicted
    }
    return Reading(guesses, {})


def raw_inputs(parts: Mapping[str, Sequences]) -> dict[str, RawInputs]:
    """The raw series of each split as a path and as tables, in the units of x.

    A step of the path holds its values (0 where unobserved) and, unless all of all splits are observed, which of them are. A
    step of `means`, which the linear reader of steps gets, holds the mean of each feature over the step's observed values.
    """
    whole = all(part.observed().all() for part in parts.values())
    return {split: _raw_inputs(part, whole) for split, part in parts.items()}


def _raw_inputs(data: Sequences, whole: bool) -> RawInputs:
    """The raw series of one split; `whole` where every value of every split is observed."""
    x, observed = _values(data)
    steps, windows = x.shape[1], x.shape[2]
    flat = x.reshape(len(x), steps, -1)
    path = flat if whole else np.concatenate([flat, observed.reshape(flat.shape)], 2)
    means = x.sum(2) / np.maximum(observed.sum(2), 1)
    features = x.shape[-1]
    series = x.reshape(len(x), steps * windows, features), observed.reshape(len(x), -1, features)
    return RawInputs(
        static=np.zeros((len(x), 0)),
        path=path,
        steps=inside(data.observed()),
        table=raw_summaries(*series),
        means=means,
        groups=(features,) * 4,
        units=data.groups,
        rich=rich_summaries(*series),
    )


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


def rich_summaries(
    x: Float[np.ndarray, "N L F"], observed: Bool[np.ndarray, "N L F"]
) -> Float[np.ndarray, "N 13F"]:
    """What a plain method can see of a series: 13 numbers for each feature.

    Those of `raw_summaries`; the largest and the smallest value; the slope of the straight line through the values, per
    length of the series; the mean over its first and its last quarter; and the share of observed values in each quarter.
    Quarters are those of the time from the first row to the last observed row of the sequence. 0 where there is no value.
    """
    count = observed.sum(1)
    ends = x.shape[1] - np.any(observed, axis=2)[:, ::-1].argmax(1)  # rows up to the last observed one
    place = (np.arange(x.shape[1]) + 0.5) / ends[:, None]
    largest = np.where(observed, x, -np.inf).max(1)
    smallest = np.where(observed, x, np.inf).min(1)
    time = np.where(observed, place[:, :, None], 0)
    middle = time.sum(1) / np.maximum(count, 1)
    mean = np.where(observed, x, 0).sum(1) / np.maximum(count, 1)
    offset = np.where(observed, place[:, :, None] - middle[:, None], 0)
    slope = (offset * np.where(observed, x - mean[:, None], 0)).sum(1) / np.maximum(
        np.square(offset).sum(1), 1e-9
    )
    quarter = np.minimum((4 * place).astype(int), 4)  # 4: after the end
    means, shares = [], []
    for number in range(4):
        inside_quarter = (quarter == number)[:, :, None]
        seen = (observed & inside_quarter).sum(1)
        means.append(np.where(observed & inside_quarter, x, 0).sum(1) / np.maximum(seen, 1))
        shares.append(seen / np.maximum(inside_quarter.sum(1), 1))
    bounds = [np.where(count > 0, largest, 0), np.where(count > 0, smallest, 0)]
    return np.concatenate([raw_summaries(x, observed), *bounds, slope, means[0], means[3], *shares], 1)


def _values(data: Sequences) -> tuple[Float[np.ndarray, "N T W F"], Bool[np.ndarray, "N T W F"]]:
    """Values with zeros where unobserved, and which are observed; vectors become windows of one row."""
    x = data.batch(slice(None)).x.double().numpy()
    observed = observed_values(x, data.observed())
    return (x[:, :, None], observed[:, :, None]) if x.ndim == 3 else (x, observed)
