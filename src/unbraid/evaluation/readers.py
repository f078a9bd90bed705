"""Readers: what is trained to tell a label or a target from codes, or from the raw series as a floor.

Two kinds, both learned on `train` and chosen on `validation`:

- *linear*: logistic or ridge regression of scikit-learn on a table of features; a path of codes enters it as four
  numbers for each dimension (`path_summary`). The strength of regularisation is chosen on validation, and how many of
  the table's groups are read: with few sequences, features that say nothing of a task hide those that do. Ridge
  regression tells the mean of a target: where that is far from the median (rain) a constant beats it by absolute error.
- *network*: the predictors of DBSE (Berman et al., ICML 2024, appendix) and GLR (Tonekaboni et al., AISTATS 2022):
  for a whole sequence an LSTM of 32 units over the path, its last state beside s, one hidden layer (16 units and dropout
  0.5 for two classes); for each step BatchNorm and layers of 32, 8 and 1 units on (d_t, s) with the L1 loss. The
  epoch is chosen on validation. Theirs ends targets in a (leaky) ReLU; ours is linear at its end and learns the target
  in units of its spread, because targets may be negative.
"""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Reading", "Task", "View", "path_summary", "read_linear", "read_network"]

STRENGTHS = tuple(10.0**k for k in range(-4, 3))  # of regularisation, relative to the number of examples
LEARNING_RATE = 1e-3
EPOCHS, PATIENCE = 200, 15
BATCH = {"sequence": 64, "step": 128}


@dataclass(frozen=True)
class Task:
    """What is to be told.

    Attributes:
        name: of the label or the target.
        kind: "binary" (two classes), "classes", or "target" (a number).
        level: whether a whole sequence has it or each of its steps.
        classes: names of the classes; empty for a target.
        truth: for each split `(n,)` class numbers, or `(n,)` or `(n, T)` floats with NaN where unknown and where a
            sequence has ended.
    """

    name: str
    kind: Literal["binary", "classes", "target"]
    level: Literal["sequence", "step"]
    classes: tuple[str, ...]
    truth: dict[str, np.ndarray]


@dataclass(frozen=True)
class View:
    """What a reader sees of the sequences of one split.

    Attributes:
        static: `(n, S)`; S is 0 where no static code is shown.
        path: `(n, T, D)`; D is 0 where no path is shown.
        steps: `(n, T)`, True up to the last step of each sequence.
        table: `(n, P)` features of each sequence for the linear reader.
        means: `(n, T, P)` features of each step for the linear reader; None for what the network gets, (d_t, s).
        groups: widths of the groups of `table`'s columns, in the order that the linear reader may leave them out from
            the end; none where it is one group.
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
    """What a trained reader says, for each split but `train`, and what was chosen for it on validation."""

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


# ---- the linear reader ----------------------------------------------------------------------------------


def read_linear(task: Task, views: dict[str, View]) -> Reading:
    """Train logistic regression (classes) or ridge regression (targets) and read all splits but `train`.

    Strength and groups are chosen by the cross-entropy on validation for classes, the mean absolute error for targets.
    """
    tables = {split: _table(task, view) for split, view in views.items()}
    known = {split: ~np.isnan(task.truth[split].astype(float)) for split in views}
    x, y = tables["train"][known["train"]], task.truth["train"][known["train"]]
    check, truth = tables["validation"][known["validation"]], task.truth["validation"][known["validation"]]
    fit = _fit_target if task.kind == "target" else _fit_classes
    best: tuple[float, float, int, Callable[[np.ndarray], np.ndarray]] | None = None
    for columns, strength in itertools.product(_offers(task, views["train"]), STRENGTHS):
        guess = fit(x[:, :columns], y, strength, len(task.classes))
        said = guess(check[:, :columns])
        loss = np.abs(said - truth).mean() if task.kind == "target" else _cross_entropy(said, truth)
        if best is None or loss < best[0]:
            best = (float(loss), strength, columns, guess)
    assert best is not None
    loss, strength, columns, guess = best
    guesses = {
        split: _filled(guess(tables[split][known[split]][:, :columns]), known[split])
        for split in views
        if split != "train"
    }
    return Reading(guesses, {"strength": strength, "columns": columns, "validation_loss": loss})


def _offers(task: Task, view: View) -> list[int]:
    """How many columns of its table the linear reader may read."""
    groups = view.groups
    if task.level == "step":
        groups = (view.path.shape[2], view.static.shape[1]) if view.means is None else ()
    widths = np.cumsum([width for width in groups if width])
    return widths.tolist() or [_table(task, view).shape[-1]]


def _table(task: Task, view: View) -> np.ndarray:
    if task.level == "sequence":
        return view.table
    return view.step_table() if view.means is None else view.means


def _fit_classes(
    x: np.ndarray, y: np.ndarray, strength: float, classes: int
) -> Callable[[np.ndarray], np.ndarray]:
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=1 / (strength * len(x)), max_iter=1000, tol=1e-5)
    )
    model.fit(x, y)

    def guess(x: np.ndarray) -> np.ndarray:
        p = np.zeros((len(x), classes))  # classes that train lacks stay at 0
        p[:, model.classes_] = model.predict_proba(x)
        return p

    return guess


def _fit_target(
    x: np.ndarray, y: np.ndarray, strength: float, classes: int
) -> Callable[[np.ndarray], np.ndarray]:
    return make_pipeline(StandardScaler(), Ridge(alpha=strength * len(x))).fit(x, y).predict


def _cross_entropy(p: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(np.maximum(p[np.arange(len(p)), labels], 1e-12)).mean())


def _filled(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Guesses of known places as an array of the truth's shape (and classes), NaN elsewhere."""
    full = np.full((*known.shape, *values.shape[1:]), np.nan)
    full[known] = values
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
        states, _ = self.path(path)  # padding comes after the last step, which cannot see it
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


def read_network(task: Task, views: dict[str, View], seed: int) -> Reading:
    """Train the network from scratch (Adam, L1 or cross-entropy) and read all splits but `train`.

    Training ends when validation has not improved for `PATIENCE` epochs; the best epoch's weights are kept.

    Args:
        task: what to tell.
        views: what is seen of each split.
        seed: of the first weights, the order and the dropout. The global random state is left alone.
    """
    known = {split: ~np.isnan(task.truth[split].astype(float)) for split in views}
    center, scale = _units(task, task.truth["train"][known["train"]])
    inputs = _inputs(task, views, known)
    truth = {
        split: torch.as_tensor(
            (task.truth[split][rows] - center) / scale if task.kind == "target" else task.truth[split][rows],
            dtype=torch.float32 if task.kind == "target" else torch.int64,
        )
        for split, rows in known.items()
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(task, inputs["train"])
        loss, epoch = _train(network, task, inputs, truth)
    with torch.no_grad():
        guesses = {
            split: _filled(_said(task, network(*inputs[split]), center, scale), known[split])
            for split in views
            if split != "train"
        }
    return Reading(guesses, {"epoch": epoch, "validation_loss": loss})


def _units(task: Task, y: np.ndarray) -> tuple[float, float]:
    """Where a target lies and how far it spreads, on train; what the network predicts is in these units."""
    return (float(np.median(y)), float(y.std()) or 1.0) if task.kind == "target" else (0.0, 1.0)


def _inputs(
    task: Task, views: dict[str, View], known: dict[str, np.ndarray]
) -> dict[str, tuple[Tensor, ...]]:
    """The network's inputs of each split, in units of their spread on train."""

    def scaler(values: np.ndarray) -> Callable[[np.ndarray], Tensor]:
        mean, std = values.mean(0), values.std(0)
        std = np.where(std > 1e-8, std, 1.0)
        return lambda x: torch.as_tensor((x - mean) / std, dtype=torch.float32)

    if task.level == "step":
        tables = {split: view.step_table()[known[split]] for split, view in views.items()}
        scaled = scaler(tables["train"])
        return {split: (scaled(table),) for split, table in tables.items()}
    train = views["train"]
    static = scaler(train.static[known["train"]])
    path = scaler(train.path[train.steps])
    return {
        split: (
            static(view.static[known[split]]),
            path(view.path[known[split]]),
            torch.as_tensor(view.steps[known[split]].sum(1)),
        )
        for split, view in views.items()
    }


def _network(task: Task, inputs: tuple[Tensor, ...]) -> nn.Module:
    if task.level == "step":
        return StepNetwork(inputs[0].shape[1])
    outputs = len(task.classes) or 1
    return SequenceNetwork(
        inputs[0].shape[1], inputs[1].shape[2], outputs, 0.5 if task.kind == "binary" else 0
    )


def _train(
    network: nn.Module, task: Task, inputs: dict[str, tuple[Tensor, ...]], truth: dict[str, Tensor]
) -> tuple[float, int]:
    """Train on `train`, put back the weights of the best epoch on `validation`; returns its loss and number."""
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    best, best_epoch, best_weights = np.inf, 0, copy.deepcopy(network.state_dict())
    count = len(truth["train"])
    for epoch in range(1, EPOCHS + 1):
        network.train()
        for rows in torch.randperm(count).tensor_split(-(-count // BATCH[task.level])):
            loss = _loss(task, network(*(part[rows] for part in inputs["train"])), truth["train"][rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            checked = float(_loss(task, network(*inputs["validation"]), truth["validation"]))
        if checked < best:
            best, best_epoch, best_weights = checked, epoch, copy.deepcopy(network.state_dict())
        if epoch - best_epoch >= PATIENCE:
            break
    network.load_state_dict(best_weights)
    return best, best_epoch


def _loss(task: Task, out: Tensor, truth: Tensor) -> Tensor:
    return F.l1_loss(out[:, 0], truth) if task.kind == "target" else F.cross_entropy(out, truth)


def _said(task: Task, out: Tensor, center: float, scale: float) -> np.ndarray:
    if task.kind == "target":
        return out[:, 0].double().numpy() * scale + center
    return out.double().softmax(1).numpy()
