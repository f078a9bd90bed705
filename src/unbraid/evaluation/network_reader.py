"""The network reader: the predictors of DBSE (Berman et al., ICML 2024, appendix) and GLR (Tonekaboni et al., AISTATS 2022).

For a whole sequence: an LSTM of 32 units over the path, its last state beside s, one hidden layer (16 units and dropout
0.5 for two classes). For each step: BatchNorm and layers of 32, 8 and 1 units on (d_t, s), with the L1 loss. Validation
chooses the number of epochs. The authors' network for targets ends in a (leaky) ReLU. Ours is linear at its end and predicts
the target in units of its standard deviation, because targets may be negative.
"""

import copy
from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unbraid.evaluation.readers import Inputs, Reading, Task, final_splits, has_truth, in_place

__all__ = ["read_network"]

LEARNING_RATE = 1e-3
EPOCHS, PATIENCE = 200, 15
BATCH = {"sequence": 64, "step": 128}
MOST_BATCHES = 50  # in an epoch; more examples are read in larger batches


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
    """Train the network from scratch (Adam, L1 or cross-entropy) and predict the splits that are left.

    Training on `train` ends when validation has not improved for `PATIENCE` epochs, and the best epoch's weights are kept.
    Where another split is predicted, a second network, from the same first weights, is trained for as many epochs on
    `train` and `validation` together.

    Args:
        task: the label or target.
        inputs: of each split.
        seed: of the first weights, the order and the dropout. The global random state is left alone.
    """
    rows = has_truth(task, inputs)
    center, scale = _units(task, task.truth["train"][rows["train"]])
    tensors = _tensors(task, inputs, rows)
    truth = {
        split: torch.as_tensor(
            (task.truth[split][some] - center) / scale if task.kind == "target" else task.truth[split][some],
            dtype=torch.float32 if task.kind == "target" else torch.int64,
        )
        for split, some in rows.items()
    }
    trained_on, predicted = final_splits(inputs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(task, tensors["train"])
        start = copy.deepcopy(network.state_dict())
        loss, epoch = _train_to_best(network, task, tensors, truth)
        if "validation" in trained_on:
            network.load_state_dict(start)
            torch.manual_seed(seed)
            both = tuple(
                torch.cat(parts) for parts in zip(*(tensors[split] for split in trained_on), strict=True)
            )
            truths = torch.cat([truth[split] for split in trained_on])
            optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
            for _ in range(epoch):
                _train_epoch(network, optimizer, task, both, truths)
            network.eval()
    with torch.no_grad():
        guesses = {
            split: in_place(_predictions(task, network(*tensors[split]), center, scale), rows[split])
            for split in predicted
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


def _train_to_best(
    network: nn.Module, task: Task, tensors: dict[str, tuple[Tensor, ...]], truth: dict[str, Tensor]
) -> tuple[float, int]:
    """Train on `train` and restore the weights of the best epoch on `validation`; returns its loss and its number."""
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    best, best_epoch, best_weights = np.inf, 0, copy.deepcopy(network.state_dict())
    for epoch in range(1, EPOCHS + 1):
        _train_epoch(network, optimizer, task, tensors["train"], truth["train"])
        network.eval()
        with torch.no_grad():
            loss = float(_loss(task, network(*tensors["validation"]), truth["validation"]))
        if loss < best:
            best, best_epoch, best_weights = loss, epoch, copy.deepcopy(network.state_dict())
        if epoch - best_epoch >= PATIENCE:
            break
    network.load_state_dict(best_weights)
    return best, best_epoch


def _train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    task: Task,
    inputs: tuple[Tensor, ...],
    truth: Tensor,
) -> None:
    network.train()
    batches = min(-(-len(truth) // BATCH[task.level]), MOST_BATCHES)
    for rows in torch.randperm(len(truth)).tensor_split(batches):
        loss = _loss(task, network(*(part[rows] for part in inputs)), truth[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def _loss(task: Task, out: Tensor, truth: Tensor) -> Tensor:
    return F.l1_loss(out[:, 0], truth) if task.kind == "target" else F.cross_entropy(out, truth)


def _predictions(task: Task, out: Tensor, center: float, scale: float) -> np.ndarray:
    if task.kind == "target":
        return out[:, 0].double().numpy() * scale + center
    return out.double().softmax(1).numpy()
