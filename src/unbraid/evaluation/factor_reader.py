"""A network that reads every planted factor from sequences; it is trained on real ones and then reads decoded ones.

Like the judge of labels (`unbraid.evaluation.judge`) it encodes every step, runs a bidirectional LSTM over the steps and has one
small head for each factor. It reads numbers and factors of single steps as well. The loss is the sum over the factors of the
cross-entropy (classes, 0 or 1) or of the squared error in standard deviations (numbers). It is trained on `train`; `validation`
chooses the step at which training ends.
"""

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from unbraid.data.sequences import Sequences
from unbraid.data.store import cache_folder
from unbraid.evaluation.judge import FEATURES, frame_trunk
from unbraid.evaluation.judging import blocks
from unbraid.evaluation.planted_factors import is_binary
from unbraid.evaluation.readers import Task
from unbraid.files import write_atomically
from unbraid.masks import apply_to_steps, inside_steps, mean_over_steps, observed_values, zero_unobserved
from unbraid.nn.recurrent import bidirectional_outputs
from unbraid.progress import progress_bar

__all__ = ["FactorReader", "read_factors", "train_factor_reader"]

HIDDEN = 64  # LSTM units per direction
WIDTH = 16  # channels of the first convolution of frames
BATCH, LEARNING_RATE = 64, 2e-3
CHECK_STEPS, PATIENCE, MAX_STEPS = 50, 4, 1000
VERSION = 1  # raise when the training below changes, so that older cached readers are not used


class FactorReader(nn.Module):
    """Reads factors of whole sequences and of single steps.

    Args:
        observation: shape of one observation.
        tasks: the factors.
    """

    def __init__(self, observation: tuple[int, ...], tasks: Sequence[Task]) -> None:
        super().__init__()
        self.frames = len(observation) == 3
        self.tasks = list(tasks)
        size = 2 * int(np.prod(observation))  # values, and which of them are observed
        self.trunk = frame_trunk(observation, WIDTH) if self.frames else _vector_trunk(size)
        self.path = nn.LSTM(FEATURES, HIDDEN, batch_first=True, bidirectional=True)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, len(task.classes) or 1))
            for task in self.tasks
        )
        for number, task in enumerate(self.tasks):
            values = task.truth["train"].astype(np.float64)
            numeric = task.kind == "target" and not is_binary(task)
            center, scale = (np.nanmean(values), np.nanstd(values) or 1.0) if numeric else (0.0, 1.0)
            self.register_buffer(f"units{number}", torch.tensor([center, scale], dtype=torch.float32))

    def forward(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
    ) -> list[Tensor]:
        """For each factor logits `(B, K)`, or a number or a logit for each sequence `(B,)` or step `(B, T)`.

        Values outside `mask` and steps after the last observed one have no influence. Numbers are in standard deviations.
        """
        steps = inside_steps(x, mask)
        shown = zero_unobserved(x, mask)
        if not self.frames:
            seen = observed_values(x, mask).to(x.dtype)
            shown = torch.cat([shown.flatten(2), seen.flatten(2)], 2)
        features = apply_to_steps(self.trunk, shown, steps)
        states = bidirectional_outputs(self.path, features, steps)
        whole = mean_over_steps(states, steps)
        out = [
            head(states if task.level == "step" else whole)
            for task, head in zip(self.tasks, self.heads, strict=True)
        ]
        return [o if task.classes else o.squeeze(-1) for task, o in zip(self.tasks, out, strict=True)]

    def loss(self, out: list[Tensor], truth: list[Tensor]) -> Tensor:
        """The sum of the factors' losses, over the values that are not NaN."""
        total = out[0].new_zeros(())
        for number, (task, guess, value) in enumerate(zip(self.tasks, out, truth, strict=True)):
            if task.classes:
                total = total + F.cross_entropy(guess, value.long())
                continue
            measured = ~value.isnan()
            if not measured.any():
                continue
            guess, value = guess[measured], value[measured]
            center, scale = self.get_buffer(f"units{number}")
            total = total + (
                F.binary_cross_entropy_with_logits(guess, value)
                if is_binary(task)
                else F.mse_loss(guess, (value - center) / scale)
            )
        return total


def _vector_trunk(size: int) -> nn.Module:
    # The first normalisation takes features in any unit.
    return nn.Sequential(
        nn.BatchNorm1d(size), nn.Linear(size, FEATURES), nn.ReLU(), nn.Linear(FEATURES, FEATURES), nn.ReLU()
    )


def train_factor_reader(
    data: Sequences, tasks: Sequence[Task], *, seed: int = 0, cache: str | Path | None = None
) -> FactorReader:
    """Train a reader of the factors, or load the one trained before on the same data.

    Args:
        data: with the splits `train` and `validation`, whose rows are those of the tasks' truth.
        tasks: the factors.
        seed: of the first weights and the order of the sequences. The global random state is left alone.
        cache: folder that keeps trained readers (in `judges/`); None for the library's own.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = FactorReader(data.observation, tasks)
    path = _cache_path(data, tasks, seed, cache)
    if path.exists():
        try:
            reader.load_state_dict(load(path.read_bytes()))
            return reader.eval()
        except (SafetensorError, RuntimeError, ValueError):
            pass  # damaged: train it again
    _fit(reader, data, seed)
    write_atomically(path, save({name: value.contiguous() for name, value in reader.state_dict().items()}))
    return reader


def _fit(reader: FactorReader, data: Sequences, seed: int) -> None:
    optimizer = torch.optim.Adam(reader.parameters(), lr=LEARNING_RATE)
    order = _endless_places(len(data.splits["train"]), seed)
    best, best_weights, waited = np.inf, copy.deepcopy(reader.state_dict()), 0
    with progress_bar(f"reader of factors of {data.name}", MAX_STEPS) as advance:
        for step in range(1, MAX_STEPS + 1):
            reader.train()
            loss = _loss_of(reader, data, "train", next(order))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            optimizer.step()
            advance("")
            if step % CHECK_STEPS:
                continue
            reader.eval()
            count = len(data.splits["validation"])
            with torch.no_grad():
                parts = [
                    float(_loss_of(reader, data, "validation", np.arange(count)[rows]))
                    * (rows.stop - rows.start)
                    for rows in blocks(count, 256)
                ]
            waited = 0 if sum(parts) < best else waited + 1
            if sum(parts) < best:
                best, best_weights = sum(parts), copy.deepcopy(reader.state_dict())
            if waited >= PATIENCE:
                break
    reader.load_state_dict(best_weights)
    reader.eval()


def _loss_of(reader: FactorReader, data: Sequences, split: str, places: np.ndarray) -> Tensor:
    """The loss on some sequences of a split, chosen by their places in it."""
    batch = data.batch(data.splits[split][places])
    truth = [torch.as_tensor(task.truth[split][places], dtype=torch.float32) for task in reader.tasks]
    return reader.loss(reader(batch.x, batch.mask), truth)


def _endless_places(count: int, seed: int) -> Iterator[np.ndarray]:
    """Full batches without end; every epoch has its own order and leaves out its last, smaller batch."""
    generator = np.random.default_rng(seed)
    size = min(BATCH, count)
    while True:
        order = generator.permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


def _cache_path(data: Sequences, tasks: Sequence[Task], seed: int, cache: str | Path | None) -> Path:
    digest = hashlib.sha256(json.dumps([VERSION, data.fingerprint, seed]).encode())
    for split in ("train", "validation"):
        digest.update(np.ascontiguousarray(data.splits[split], dtype=np.int64).tobytes())
        for task in tasks:
            digest.update(f"{task.name} {task.classes} {split}".encode())
            digest.update(np.ascontiguousarray(task.truth[split]).tobytes())
    return cache_folder(cache) / "judges" / f"{data.name}-factors-{digest.hexdigest()[:16]}.safetensors"


@torch.no_grad()
def read_factors(
    reader: FactorReader,
    batches: Iterator[tuple[Tensor, Tensor | None]],
) -> Mapping[str, np.ndarray]:
    """What the reader sees in sequences: class probabilities `(N, K)`, or numbers `(N,)` or `(N, T)`.

    Numbers are in the units of the factor; those of events are the logits of 1.

    Args:
        reader: a trained reader.
        batches: x and mask of some sequences at a time.
    """
    reader.eval()
    parts = [reader(x, mask) for x, mask in batches]
    seen = {}
    for number, task in enumerate(reader.tasks):
        values = torch.cat([part[number] for part in parts]).double()
        center, scale = reader.get_buffer(f"units{number}").double()
        seen[task.name] = (values.softmax(1) if task.classes else values * scale + center).numpy()
    return seen
