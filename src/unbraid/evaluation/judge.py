"""The judge: a classifier of real clips that predicts the labels of generated clips.

Its structure follows the judge of C-DSVAE (Bai et al., NeurIPS 2021, supplement): a convolutional encoder of every frame,
a bidirectional LSTM over the steps, one small head per label. The papers do not say how their judges were trained. Ours
is trained with the labels of the split `train`; `validation` chooses its best step; its accuracy on the real clips of the
scored split is stored with every score.
"""

import copy
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from unbraid.data.sequences import Sequences
from unbraid.data.store import cache_folder
from unbraid.evaluation.metrics import accuracy
from unbraid.files import check_checksum, with_checksum, write_atomically
from unbraid.masks import apply_to_steps, inside, zero_unobserved
from unbraid.nn.recurrent import bidirectional_outputs, last_outputs
from unbraid.progress import progress_bar

__all__ = [
    "FEATURES",
    "Judge",
    "frame_trunk",
    "judge_probabilities",
    "judge_score",
    "load_judge",
    "save_judge",
    "train_judge",
]

logger = logging.getLogger(__name__)

FEATURES = 128  # features of one frame
HIDDEN = 256  # LSTM units per direction, and units of a head
AVERAGE = 0.98  # share of the older weights in the running average of the weights, which is used
SURE = 0.002  # training ends when the validation cross-entropy (nats) of every head is below
VERSION = 1  # raise when the training below changes, so that older cached judges are not used


class Judge(nn.Module):
    """Classifier of sequences with one head per label.

    Args:
        observation: shape of one observation: `(C, H, W)`, H = W in 16, 32, 64, 128, or `(F,)`.
        classes: number of classes of every label.
        width: channels of the first convolution, doubled up to 8 times that. The published judge has 64.
    """

    def __init__(self, observation: tuple[int, ...], classes: Mapping[str, int], width: int = 16) -> None:
        super().__init__()
        self.observation, self.classes, self.width = tuple(observation), dict(classes), width
        frames = len(self.observation) == 3
        self.trunk = frame_trunk(self.observation, width) if frames else _vector_trunk(self.observation)
        self.steps = nn.LSTM(FEATURES, HIDDEN, batch_first=True, bidirectional=True)
        self.heads = nn.ModuleDict(
            # A label may be called "type" or hold a dot, which ModuleDict refuses as a name: number them.
            {f"head{i}": _head(count) for i, count in enumerate(self.classes.values())}
        )

    def forward(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
    ) -> dict[str, Float[Tensor, "B K"]]:
        """Logits of every label. Values outside `mask` and steps after the last observed one have no influence."""
        steps = inside(mask)
        features = apply_to_steps(self.trunk, zero_unobserved(x, mask), steps)
        summary = last_outputs(bidirectional_outputs(self.steps, features, steps), steps)
        return {name: head(summary) for name, head in zip(self.classes, self.heads.values(), strict=True)}

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device


def frame_trunk(observation: tuple[int, ...], width: int) -> nn.Module:
    """Convolutions from one frame `(C, H, W)` to `FEATURES` features; the first has `width` channels."""
    channels, height, _ = observation
    layers: list[nn.Module] = []
    size, wide = height, width
    if height >= 64:  # one layer of stride 4, where the published judge has two of stride 2
        wide = 2 * width
        layers += [nn.Conv2d(channels, wide, 4, 4, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
        channels, wide, size = wide, 2 * wide, height // 4
    while size > 4:
        layers += [nn.Conv2d(channels, wide, 4, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
        channels, wide, size = wide, min(2 * wide, 8 * width), size // 2
    layers += [nn.Conv2d(channels, FEATURES, size, bias=False), nn.BatchNorm2d(FEATURES), nn.Tanh()]
    layers += [nn.Flatten()]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _vector_trunk(observation: tuple[int, ...]) -> nn.Module:
    size = int(np.prod(observation))
    # The first normalisation takes features in any unit.
    return nn.Sequential(
        nn.Flatten(),
        nn.BatchNorm1d(size),
        nn.Linear(size, FEATURES),
        nn.LeakyReLU(0.2),
        nn.Linear(FEATURES, FEATURES),
        nn.Tanh(),
    )


def _head(classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2 * HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, classes))


@torch.no_grad()
def judge_probabilities(
    judge: Judge,
    x: Float[Tensor, "N T *X"],
    mask: Bool[Tensor, "N T *X"] | Bool[Tensor, "N T"] | None = None,
    batch_size: int = 256,
) -> dict[str, Float[np.ndarray, "N K"]]:
    """Class probabilities of every label, computed by `batch_size` clips at a time, in evaluation mode."""
    judge.eval()
    parts: dict[str, list[np.ndarray]] = {name: [] for name in judge.classes}
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        logits = judge(x[rows].to(judge.device), None if mask is None else mask[rows].to(judge.device))
        for name, values in logits.items():
            parts[name].append(values.double().softmax(1).cpu().numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}


def judge_score(judge: Judge, data: Sequences, rows: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """Accuracy and cross-entropy (nats) of every head on `rows` of a data set."""
    parts = []
    for start in range(0, len(rows), 256):
        batch = data.batch(rows[start : start + 256])
        parts.append(judge_probabilities(judge, batch.x, batch.mask))
    accuracies, losses = {}, {}
    for name in judge.classes:
        p, labels = np.concatenate([part[name] for part in parts]), data.labels[name].values[rows]
        accuracies[name] = accuracy(p, labels)
        losses[name] = float(-np.log(p[np.arange(len(p)), labels] + 1e-16).mean())
    return accuracies, losses


def train_judge(
    data: Sequences,
    *,
    cache: str | Path | None = None,
    seed: int = 0,
    width: int = 16,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    max_steps: int = 6000,
    check_steps: int = 50,
    patience: int = 10,
    device: str = "auto",
) -> Judge:
    """Train a judge of every label in `data.heads`, or load the one trained before with the same settings.

    Adam on the sum of the heads' cross-entropies over the split `train`. Every `check_steps` steps the running average
    of the weights is scored on `validation`; the weights with the best mean accuracy, then the smallest cross-entropy,
    are kept. Training ends when every head is right on all of validation with a cross-entropy below `SURE`, or after
    `patience` checks without an improvement.

    Args:
        data: with splits `train` and `validation` and at least one label.
        cache: folder that keeps trained judges (in `judges/`); None for the library's own.
        seed: of the first weights and the order of the clips. The global random state is left alone.
        width: channels of the first convolution, see `Judge`.
        batch_size: clips per step.
        learning_rate: of Adam.
        max_steps: upper limit of steps.
        check_steps: steps between two checks on validation.
        patience: checks without an improvement after which training ends.
        device: "auto" (a GPU when there is one), "cpu" or "cuda".

    Raises:
        ValueError: the data have no labels, or lack one of the two splits.
    """
    if not data.heads:
        raise ValueError(f"data: {data.name} has no labels, so a judge has nothing to learn")
    for split in ("train", "validation"):
        if split not in data.splits:
            raise ValueError(f"data: {data.name} has no split {split!r}; a judge needs train and validation")
    settings = {
        "seed": seed,
        "width": width,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "max_steps": max_steps,
        "check_steps": check_steps,
        "patience": patience,
    }
    path = _cache_path(data, settings, cache)
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if path.exists():
        try:
            return load_judge(path).to(chosen)
        except ValueError as error:
            logger.warning("judge: %s; training it again", error)
    judge = _new_judge(data, width, seed).to(chosen)
    _fit(judge, data, seed, batch_size, learning_rate, max_steps, check_steps, patience)
    save_judge(judge, path)
    return judge


def _new_judge(data: Sequences, width: int, seed: int) -> Judge:
    # Layers draw their first weights from the global generator: seed a copy of it.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Judge(data.observation, _class_counts(data), width)


def _class_counts(data: Sequences) -> dict[str, int]:
    return {name: len(label.classes) for name, label in data.heads.items()}


def _fit(
    judge: Judge,
    data: Sequences,
    seed: int,
    batch_size: int,
    learning_rate: float,
    max_steps: int,
    check_steps: int,
    patience: int,
) -> None:
    optimizer = torch.optim.Adam(judge.parameters(), lr=learning_rate)
    average = AveragedModel(judge, avg_fn=_running_average, use_buffers=True)
    order = _endless_rows(data.splits["train"], batch_size, seed)
    best, best_weights, waited = (-1.0, 0.0), copy.deepcopy(judge.state_dict()), 0
    note = ""
    with progress_bar(f"judge of {data.name}", max_steps) as advance:
        for step in range(1, max_steps + 1):
            judge.train()
            batch = data.batch(next(order), judge.device)
            logits = judge(batch.x, batch.mask)
            loss = torch.stack([F.cross_entropy(logits[name], batch.labels[name]) for name in logits]).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            advance(note)
            average.update_parameters(judge)
            if step % check_steps and step != max_steps:
                continue
            accuracies, losses = judge_score(cast(Judge, average.module), data, data.splits["validation"])
            worst = min(accuracies, key=lambda name: accuracies[name])
            note = f"{worst} right on {accuracies[worst]:.1%} of validation"
            logger.info("judge: step %d, %s, cross-entropy %.4f", step, note, max(losses.values()))
            score = (float(np.mean(list(accuracies.values()))), -float(np.mean(list(losses.values()))))
            waited = 0 if score > best else waited + 1
            if score > best:
                best, best_weights = score, copy.deepcopy(average.module.state_dict())
            if waited >= patience or (accuracies[worst] == 1 and max(losses.values()) < SURE):
                break
    judge.load_state_dict(best_weights)
    judge.eval()


def _running_average(old: Tensor, new: Tensor, seen: Tensor | int) -> Tensor:
    if not old.is_floating_point():
        return new  # batch counters
    share = min(AVERAGE, (1 + float(seen)) / (10 + float(seen)))  # shorter at first: early weights are bad
    return torch.lerp(new, old, share)


def _endless_rows(rows: np.ndarray, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Full batches without end; every epoch has its own order and leaves out its last, smaller batch."""
    generator = np.random.default_rng(seed)
    size = min(batch_size, len(rows))
    while True:
        order = generator.permutation(rows)
        for start in range(0, len(order) - size + 1, size):
            yield np.sort(order[start : start + size])


def _cache_path(data: Sequences, settings: dict[str, Any], cache: str | Path | None) -> Path:
    splits = hashlib.sha256()
    for name in ("train", "validation"):
        splits.update(np.ascontiguousarray(data.splits[name], dtype=np.int64).tobytes() + name.encode())
    identity = {
        "version": VERSION,
        "data": data.fingerprint,
        "splits": splits.hexdigest(),
        "heads": _class_counts(data),
        **settings,
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder(cache) / "judges" / f"{data.name}-{key}.safetensors"


def save_judge(judge: Judge, path: str | Path) -> None:
    """Write a judge as one safetensors file, whole or not at all; its settings and a checksum are JSON in the header."""
    weights = {name: value.detach().cpu().contiguous() for name, value in judge.state_dict().items()}
    header = {
        "observation": judge.observation,
        "classes": judge.classes,
        "width": judge.width,
        "weights_sha256": hashlib.sha256(save(weights)).hexdigest(),
    }
    write_atomically(Path(path), save(weights, metadata={"judge": json.dumps(with_checksum(header))}))


def load_judge(path: str | Path) -> Judge:
    """Read a judge written by `save_judge`, on the CPU and in evaluation mode.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            header = check_checksum(json.loads(file.metadata()["judge"]))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header.get("weights_sha256", "") not in ("", hashlib.sha256(save(weights)).hexdigest()):
            raise ValueError("its weights are not those of its checksum")
        with torch.random.fork_rng(devices=[]):
            judge = Judge(tuple(header["observation"]), header["classes"], header["width"])
        judge.load_state_dict(weights)
    except (SafetensorError, KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path}: is damaged ({' '.join(str(error).split())})") from error
    return judge.eval()
