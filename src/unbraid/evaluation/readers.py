"""Readers: small predictors that are trained to predict a label or a target from codes, or from the raw series as a floor.

Both kinds are trained on `train` and chosen on `validation`:

- *linear*: logistic or ridge regression of scikit-learn on a table of features; a path of codes enters it as four
  numbers for each dimension (`path_summary`). Validation chooses the strength of regularisation and how many of the
  table's groups are read: with few sequences, uninformative features hide informative ones. Ridge regression predicts
  the mean of a target; where that is far from the median (rain), a constant has a smaller absolute error.
- *network*: the predictors of DBSE (Berman et al., ICML 2024, appendix) and GLR (Tonekaboni et al., AISTATS 2022). For a
  whole sequence: an LSTM of 32 units over the path, its last state beside s, one hidden layer (16 units and dropout 0.5
  for two classes). For each step: BatchNorm and layers of 32, 8 and 1 units on (d_t, s), with the L1 loss. Validation
  chooses the epoch. The authors' network for targets ends in a (leaky) ReLU. Ours is linear at its end and predicts the
  target in units of its standard deviation, because targets may be negative.
"""

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor, nn
from torch.nn import functional as F

from unbraid.evaluation.classifiers import best_of, fit

__all__ = ["Inputs", "Reading", "Task", "path_summary", "read_linear", "read_network"]

STRENGTHS = tuple(10.0**k for k in range(-4, 3))  # of regularisation, relative to the number of examples
LEARNING_RATE = 1e-3
EPOCHS, PATIENCE = 200, 15
BATCH = {"sequence": 64, "step": 128}


@dataclass(frozen=True)
class Task:
    """A label or a target that is to be predicted.

    Attributes:
        name: of the label or the target.
        kind: "binary" (two classes), "classes", or "target" (a number).
        level: whether a whole sequence has it or each of its steps.
        classes: names of the classes; empty for a target.
        truth: for each split `(n,)` class numbers, or `(n,)` or `(n, T)` floats with NaN where unknown and after the end
            of a sequence.
    """

    name: str
    kind: Literal["binary", "classes", "target"]
    level: Literal["sequence", "step"]
    classes: tuple[str, ...]
    truth: dict[str, np.ndarray]


@dataclass(frozen=True)
class Inputs:
    """What readers get of the sequences of one split.

    Attributes:
        static: `(n, S)`; S is 0 where no static code is given.
        path: `(n, T, D)`; D is 0 where no path is given.
        steps: `(n, T)`, True up to the last step of each sequence.
        table: `(n, P)` features of each sequence for the linear reader.
        means: `(n, T, P)` features of each step for the linear reader; None for those of the network, (d_t, s).
        groups: widths of the groups of the table's columns. The linear reader may leave them out one by one, from the
            last; empty where all columns are one group.
    """

    static: Float[np.ndarray, "n S"]
    path: Float[np.ndarray, "n T D"]
    steps: Bool[np.ndarray, "n T"]
    table: Float[np.ndarray, "n P"]
    means: Float[np.ndarray, "n T P"] | None = None
    groups: tuple[int, ...] = ()

    def step_table(self) -> Float[np.ndarray, "n T P"]:
        """(d_t, s) of each step."""
        static = np.broadcast_to(self.static[:, None], (*self.path.shape[:2], self.static.shape[1]))
        return np.concatenate([self.path, static], 2)


@dataclass(frozen=True)
class Reading:
    """Predictions of a trained reader for each split but `train`, and the settings that validation chose.

    Attributes:
        guesses: split to class probabilities `(n, classes)` or values in the shape of the truth, NaN where the truth is.
        chosen: settings and the validation loss.
    """

    guesses: dict[str, np.ndarray]
    chosen: dict[str, Any]


def path_summary(
    path: Float[np.ndarray, "n T D"], steps: Bool[np.ndarray, "n T"]
) -> Float[np.ndarray, "n 4D"]:
    """A path as features of a table: mean, standard deviation, last value, mean absolute first difference.

    Steps outside `steps` are left out of all four.
    """
    inside = steps[:, :, None]
    count = np.maximum(inside.sum(1), 1)
    mean = np.where(inside, path, 0).sum(1) / count
    spread = np.sqrt(np.square(np.where(inside, path - mean[:, None], 0)).sum(1) / count)
    last = path[np.arange(len(path)), np.maximum(count[:, 0] - 1, 0)]
    pairs = inside[:, 1:] & inside[:, :-1]
    change = np.where(pairs, np.abs(np.diff(path, axis=1)), 0).sum(1) / np.maximum(pairs.sum(1), 1)
    return np.concatenate([mean, spread, last, change], 1)


def _has_truth(task: Task, splits: Mapping[str, Inputs]) -> dict[str, np.ndarray]:
    """Where the truth of each split is known."""
    return {split: ~np.isnan(task.truth[split].astype(float)) for split in splits}


# ---- the linear reader ----------------------------------------------------------------------------------


def read_linear(
    task: Task, inputs: Mapping[str, Inputs], strengths: Sequence[float] | None = None
) -> Reading:
    """Train logistic regression (classes) or ridge regression (targets) and predict all splits but `train`.

    Strength and groups are chosen on validation: by the cross-entropy for classes, the mean absolute error for targets.

    Args:
        task: the label or target.
        inputs: of each split.
        strengths: of regularisation to choose from, relative to the number of examples; None for 1e-4 to 100.
    """
    tables = {split: _table(task, part) for split, part in inputs.items()}
    rows = _has_truth(task, inputs)
    x, y = tables["train"][rows["train"]], task.truth["train"][rows["train"]]
    check, truth = tables["validation"][rows["validation"]], task.truth["validation"][rows["validation"]]
    fit_reader = _fit_target if task.kind == "target" else _fit_classes
    candidates = (
        (columns, strength, fit_reader(x[:, :columns], y, strength, len(task.classes)))
        for columns, strength in itertools.product(
            _column_counts(task, inputs["train"]), strengths or STRENGTHS
        )
    )

    def validation_loss(candidate: tuple[int, float, Callable[[np.ndarray], np.ndarray]]) -> float:
        columns, _, predict = candidate
        guess = predict(check[:, :columns])
        return float(np.abs(guess - truth).mean()) if task.kind == "target" else _cross_entropy(guess, truth)

    loss, (columns, strength, predict) = best_of(candidates, validation_loss)
    guesses = {
        split: _in_place(predict(tables[split][rows[split]][:, :columns]), rows[split])
        for split in inputs
        if split != "train"
    }
    return Reading(guesses, {"strength": strength, "columns": columns, "validation_loss": loss})


def _column_counts(task: Task, inputs: Inputs) -> list[int]:
    """The numbers of columns of its table that the linear reader may be given."""
    groups = inputs.groups
    if task.level == "step":
        groups = (inputs.path.shape[2], inputs.static.shape[1]) if inputs.means is None else ()
    widths = np.cumsum([width for width in groups if width])
    return widths.tolist() or [_table(task, inputs).shape[-1]]


def _table(task: Task, inputs: Inputs) -> np.ndarray:
    if task.level == "sequence":
        return inputs.table
    return inputs.step_table() if inputs.means is None else inputs.means


def _fit_classes(
    x: np.ndarray, y: np.ndarray, strength: float, classes: int
) -> Callable[[np.ndarray], np.ndarray]:
    fitted = fit(LogisticRegression(C=1 / (strength * len(x)), max_iter=1000, tol=1e-5), x, y)
    return lambda x: fitted.probabilities(x, classes)


def _fit_target(
    x: np.ndarray, y: np.ndarray, strength: float, classes: int
) -> Callable[[np.ndarray], np.ndarray]:
    return fit(Ridge(alpha=strength * len(x)), x, y).predict


def _cross_entropy(p: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(np.maximum(p[np.arange(len(p)), labels], 1e-12)).mean())


def _in_place(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Values of the places where `rows` is True, as an array of its shape (and classes) with NaN elsewhere."""
    full = np.full((*rows.shape, *values.shape[1:]), np.nan)
    full[rows] = values
    return full


# ---- the network reader ---------------------------------------------------------------------------------


class SequenceNetwork(nn.Module):
    """An LSTM over the path, its last state beside s, one hidden layer."""

    def __init__(self, static: int, dynamic: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.path = nn.LSTM(dynamic, 32, batch_first=True) if dynamic else None
        hidden = max(16, 2 * outputs)
        self.head = nn.Sequential(
            nn.Linear(static + (32 if dynamic else 0), hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, outputs),
        )

    def forward(
        self, static: Float[Tensor, "B S"], path: Float[Tensor, "B T D"], lengths: Tensor
    ) -> Float[Tensor, "B outputs"]:
        """Logits of the classes, or the value of a target."""
        if self.path is None:
            return self.head(static)
        states, _ = self.path(path)  # padding follows the last step and does not change its state
        last = states[torch.arange(len(path)), lengths - 1]
        return self.head(torch.cat([last, static], 1))


class StepNetwork(nn.Sequential):
    """A target of each step from (d_t, s): BatchNorm, then layers of 32, 8 and 1 units."""

    def __init__(self, size: int) -> None:
        super().__init__(
            nn.BatchNorm1d(size),
            nn.Linear(size, 32),
            nn.LeakyReLU(),
            nn.Linear(32, 8),
            nn.LeakyReLU(),
            nn.Linear(8, 1),
        )


def read_network(task: Task, inputs: Mapping[str, Inputs], seed: int) -> Reading:
    """Train the network from scratch (Adam, L1 or cross-entropy) and predict all splits but `train`.

    Training ends when validation has not improved for `PATIENCE` epochs; the best epoch's weights are kept.

    Args:
        task: the label or target.
        inputs: of each split.
        seed: of the first weights, the order and the dropout. The global random state is left alone.
    """
    rows = _has_truth(task, inputs)
    center, scale = _units(task, task.truth["train"][rows["train"]])
    tensors = _tensors(task, inputs, rows)
    truth = {
        split: torch.as_tensor(
            (task.truth[split][some] - center) / scale if task.kind == "target" else task.truth[split][some],
            dtype=torch.float32 if task.kind == "target" else torch.int64,
        )
        for split, some in rows.items()
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(task, tensors["train"])
        loss, epoch = _train(network, task, tensors, truth)
    with torch.no_grad():
        guesses = {
            split: _in_place(_predictions(task, network(*tensors[split]), center, scale), rows[split])
            for split in inputs
            if split != "train"
        }
    return Reading(guesses, {"epoch": epoch, "validation_loss": loss})


def _units(task: Task, y: np.ndarray) -> tuple[float, float]:
    """Median and standard deviation of a target on train, the units in which the network predicts it."""
    return (float(np.median(y)), float(y.std()) or 1.0) if task.kind == "target" else (0.0, 1.0)


def _tensors(
    task: Task, inputs: Mapping[str, Inputs], rows: Mapping[str, np.ndarray]
) -> dict[str, tuple[Tensor, ...]]:
    """The arguments of the network for each split, scaled to mean 0 and deviation 1 on train."""

    def scaler(values: np.ndarray) -> Callable[[np.ndarray], Tensor]:
        mean, std = values.mean(0), values.std(0)
        std = np.where(std > 1e-8, std, 1.0)
        return lambda x: torch.as_tensor((x - mean) / std, dtype=torch.float32)

    if task.level == "step":
        tables = {split: part.step_table()[rows[split]] for split, part in inputs.items()}
        scaled = scaler(tables["train"])
        return {split: (scaled(table),) for split, table in tables.items()}
    train = inputs["train"]
    static = scaler(train.static[rows["train"]])
    path = scaler(train.path[train.steps])
    return {
        split: (
            static(part.static[rows[split]]),
            path(part.path[rows[split]]),
            torch.as_tensor(part.steps[rows[split]].sum(1)),
        )
        for split, part in inputs.items()
    }


def _network(task: Task, tensors: tuple[Tensor, ...]) -> nn.Module:
    if task.level == "step":
        return StepNetwork(tensors[0].shape[1])
    outputs = len(task.classes) or 1
    return SequenceNetwork(
        tensors[0].shape[1], tensors[1].shape[2], outputs, 0.5 if task.kind == "binary" else 0
    )


def _train(
    network: nn.Module, task: Task, tensors: dict[str, tuple[Tensor, ...]], truth: dict[str, Tensor]
) -> tuple[float, int]:
    """Train on `train` and restore the weights of the best epoch on `validation`; returns its loss and its number."""
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    best, best_epoch, best_weights = np.inf, 0, copy.deepcopy(network.state_dict())
    count = len(truth["train"])
    for epoch in range(1, EPOCHS + 1):
        network.train()
        for rows in torch.randperm(count).tensor_split(-(-count // BATCH[task.level])):
            loss = _loss(task, network(*(part[rows] for part in tensors["train"])), truth["train"][rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            loss_there = float(_loss(task, network(*tensors["validation"]), truth["validation"]))
        if loss_there < best:
            best, best_epoch, best_weights = loss_there, epoch, copy.deepcopy(network.state_dict())
        if epoch - best_epoch >= PATIENCE:
            break
    network.load_state_dict(best_weights)
    return best, best_epoch


def _loss(task: Task, out: Tensor, truth: Tensor) -> Tensor:
    return F.l1_loss(out[:, 0], truth) if task.kind == "target" else F.cross_entropy(out, truth)


def _predictions(task: Task, out: Tensor, center: float, scale: float) -> np.ndarray:
    if task.kind == "target":
        return out[:, 0].double().numpy() * scale + center
    return out.double().softmax(1).numpy()
