"""The linear reader: logistic or ridge regression of scikit-learn on a table of features.

A path of codes enters the table as four numbers for each dimension (`path_summary`). Validation chooses the strength of
regularisation and how many of the table's groups of columns are read: with few sequences, uninformative columns hide
informative ones. More columns are read only where they lower the validation loss by more than its standard error. Ridge
regression predicts the mean of a target; where that is far from the median (rain), a constant has a smaller absolute
error.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression, Ridge

from unbraid.evaluation.classifiers import fit
from unbraid.evaluation.readers import Inputs, Reading, Task, final_splits, has_truth, in_place

__all__ = ["STRENGTHS", "losses", "read_linear"]

STRENGTHS = tuple(10.0**k for k in range(-4, 3))  # of regularisation, relative to the number of examples
FOLDS = 5  # of cross-validation

Predict = Callable[[Float[np.ndarray, "n P"]], np.ndarray]


def read_linear(
    task: Task,
    inputs: Mapping[str, Inputs],
    strengths: Sequence[float] | None = None,
    cross_validate: bool = True,
) -> Reading:
    """Train logistic regression (classes) or ridge regression (targets) and predict the splits that are left.

    Strength and columns are chosen on validation: by the cross-entropy for classes, the absolute error for targets.

    Args:
        task: the label or target.
        inputs: of each split.
        strengths: of regularisation to choose from, relative to the number of examples; None for `STRENGTHS`.
        cross_validate: whether `cross_validated` is wanted, which takes five more fits.
    """
    tables = {split: _table(task, part) for split, part in inputs.items()}
    rows = has_truth(task, inputs)
    columns, strength, loss = _choose(task, inputs, tables, rows, strengths or STRENGTHS)
    trained_on, predicted = final_splits(inputs)

    def fitted(places: Mapping[str, np.ndarray]) -> Predict:
        x = np.concatenate([tables[split][places[split]][:, :columns] for split in places])
        y = np.concatenate([task.truth[split][places[split]] for split in places])
        return _fit(task, x, y, strength)

    predict = fitted({split: rows[split] for split in trained_on})
    guesses = {
        split: in_place(predict(tables[split][rows[split]][:, :columns]), rows[split]) for split in predicted
    }
    chosen = {"strength": strength, "columns": columns, "validation_loss": loss}
    if not cross_validate:
        return Reading(guesses, chosen)
    crossed = {
        split: np.full((*rows[split].shape, *_width(task)), np.nan) for split in ("train", "validation")
    }
    for fold in _folds(inputs):
        left = {split: rows[split] & _like(~fold[split], rows[split]) for split in fold}
        if not _can_fit(task, left):
            continue
        predict = fitted(left)
        for split, inside in fold.items():
            held = rows[split] & _like(inside, rows[split])
            if held.any():
                crossed[split][held] = predict(tables[split][held][:, :columns])
    return Reading(guesses, chosen, np.concatenate(list(crossed.values())))


# ---- choosing -------------------------------------------------------------------------------------------


def _choose(
    task: Task,
    inputs: Mapping[str, Inputs],
    tables: Mapping[str, np.ndarray],
    rows: Mapping[str, np.ndarray],
    strengths: Sequence[float],
) -> tuple[int, float, float]:
    """Number of columns and strength, and their validation loss: the fewest columns that are no worse than the best."""
    x, y = tables["train"][rows["train"]], task.truth["train"][rows["train"]]
    check, truth = tables["validation"][rows["validation"]], task.truth["validation"][rows["validation"]]
    best: dict[int, tuple[float, np.ndarray]] = {}
    for columns in _column_counts(task, inputs["train"]):
        by_strength = [
            losses(task, _fit(task, x[:, :columns], y, strength)(check[:, :columns]), truth)
            for strength in strengths
        ]
        place = int(np.argmin([loss.mean() for loss in by_strength]))
        best[columns] = (strengths[place], by_strength[place])
    owners = np.nonzero(rows["validation"])[0]  # the sequence of each loss
    lowest = min(best.values(), key=lambda pair: pair[1].mean())[1]
    for columns, (strength, loss) in best.items():
        if loss.mean() - lowest.mean() <= _standard_error(loss - lowest, owners):
            return columns, strength, float(loss.mean())
    raise AssertionError("the lowest loss is no worse than itself")


def _standard_error(values: Float[np.ndarray, "n"], owners: np.ndarray) -> float:
    """Standard error of the mean of values that depend on each other within a sequence."""
    _, owner = np.unique(owners, return_inverse=True)
    sums = np.bincount(owner, values - values.mean())
    count = len(sums)
    return float(np.sqrt(np.square(sums).sum() * count / max(count - 1, 1)) / len(values))


def losses(task: Task, guess: np.ndarray, truth: np.ndarray) -> Float[np.ndarray, "n"]:
    """Cross-entropy or absolute error of each example."""
    if task.kind == "target":
        return np.abs(guess - truth)
    return -np.log(np.maximum(guess[np.arange(len(guess)), truth], 1e-12))


def _column_counts(task: Task, inputs: Inputs) -> list[int]:
    """The numbers of columns of its table that the linear reader may be given."""
    groups = inputs.groups
    if task.level == "step":
        groups = (inputs.path.shape[2], inputs.static.shape[1]) if inputs.means is None else ()
    widths = np.cumsum([width for width in groups if width])
    return widths.tolist() or [_table(task, inputs).shape[-1]]


# ---- fitting --------------------------------------------------------------------------------------------


def _table(task: Task, inputs: Inputs) -> np.ndarray:
    if task.level == "sequence":
        return inputs.table
    return inputs.step_table() if inputs.means is None else inputs.means


def _fit(task: Task, x: np.ndarray, y: np.ndarray, strength: float) -> Predict:
    """A fitted method: features to class probabilities, or to values of a target."""
    if task.kind == "target":
        return fit(Ridge(alpha=strength * len(x)), x, y).predict
    fitted = fit(LogisticRegression(C=1 / (strength * len(x)), max_iter=1000, tol=1e-5), x, y)
    return lambda x: fitted.probabilities(x, len(task.classes))


# ---- cross-validation -----------------------------------------------------------------------------------


def _folds(inputs: Mapping[str, Inputs]) -> list[dict[str, np.ndarray]]:
    """Which sequences of train and validation each fold holds; sequences of one unit are in one fold."""
    sizes = {split: len(inputs[split].table) for split in ("train", "validation")}
    units = [inputs[split].units for split in sizes]
    total = sum(sizes.values())
    joined = np.arange(total) if units[0] is None else np.concatenate([np.asarray(u) for u in units])
    _, unit = np.unique(joined, return_inverse=True)
    fold_of_unit = np.random.default_rng(0).permutation(unit.max() + 1) % FOLDS
    fold = np.split(fold_of_unit[unit], [sizes["train"]])
    return [
        {split: part == number for split, part in zip(sizes, fold, strict=True)} for number in range(FOLDS)
    ]


def _can_fit(task: Task, places: Mapping[str, np.ndarray]) -> bool:
    values = np.concatenate([task.truth[split][rows] for split, rows in places.items()])
    return len(values) > 1 and (task.kind == "target" or len(np.unique(values)) > 1)


def _like(sequences: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A choice of sequences as a choice of places in an array of the shape of `rows`."""
    return sequences.reshape(-1, *[1] * (rows.ndim - 1))


def _width(task: Task) -> tuple[int, ...]:
    return () if task.kind == "target" else (len(task.classes),)
