"""What a person should know about a model that was just trained: too little data or training, overfitting, collapsed codes."""

import torch

from unbraid.data.sequences import Sequences
from unbraid.generation import encode, evaluating
from unbraid.masks import inside_steps, observed_values, share_missed, zero_unobserved
from unbraid.models.base import SequenceModel

__all__ = ["advice"]

FEW_SEQUENCES = 30
FEW_STEPS = 400
GAP = 0.5  # nats per observed value by which the bound of validation lies below that of train
TIMES = 3.0  # times the squared error of rebuilt frames of train, above which that of validation is far worse
NOT_REBUILT = 0.8  # share of the variance of the training sequences that rebuilt ones miss
COLLAPSED = 0.01  # deviation of a code over the data, below which it holds nothing
SAMPLE = 256  # sequences that are looked at


def advice(model: SequenceModel, data: Sequences, steps: int, seed: int = 0) -> list[str]:
    """One sentence for each thing that is likely to be wrong, with what to do; empty where nothing is.

    Args:
        model: a trained model.
        data: with the splits train and validation that it was trained with.
        steps: of its training.
        seed: of the draws of the bound.
    """
    sentences = []
    count = len(data.training_rows)
    if count < FEW_SEQUENCES:
        sentences.append(
            f"There are only {count} training sequences, so the codes of other sequences may mean little. Add sequences, or "
            "cut long ones into more."
        )
    if steps < FEW_STEPS:
        sentences.append(
            f"Training took {steps} steps, which is few. Give it more, such as --training.steps 2000 (in Python: steps=2000)."
        )
    if model.can("encode"):
        sentences += _collapsed(model, data)
    if model.can("encode") and model.can("decode"):
        sentences += _not_rebuilt(model, data) + _far_worse(model, data, seed)
    return sentences


def _sample(data: Sequences, split: str) -> Sequences:
    return data.take(data.splits[split][:SAMPLE])


def _collapsed(model: SequenceModel, data: Sequences) -> list[str]:
    part = _sample(data, "train")
    codes = encode(model, part)
    steps = torch.as_tensor(inside_steps(part.x, part.observed()))
    values = {"static": codes.static, "dynamic": codes.dynamic[steps]}
    return [
        f"The {name} code is the same for all sequences: it has collapsed. Lower the weight of kl_{name}, or train for longer."
        for name, code in values.items()
        if len(code) > 1 and code.std(0).max() < COLLAPSED
    ]


def _not_rebuilt(model: SequenceModel, data: Sequences) -> list[str]:
    """Says that not even the training sequences are rebuilt."""
    batch = _sample(data, "train").batch(slice(None))
    with evaluating(model):
        rebuilt = model.reconstruct(batch.x, batch.mask)
    missed = float(share_missed(rebuilt.double(), batch.x.double(), batch.mask))
    if missed < NOT_REBUILT:
        return []
    return [
        f"Rebuilt training sequences miss {missed:.0%} of the variance of the real ones, so the codes hold little of them, and "
        "swaps mean nothing. Train for longer, or lower the weights of the terms other than reconstruction "
        "(training.weights in config.yaml)."
    ]


def _far_worse(model: SequenceModel, data: Sequences, seed: int) -> list[str]:
    """Says that validation is far worse than train: by the error of rebuilt frames, else by the bound, where there is one."""
    if data.kind == "frames":
        error = {split: _error(model, data, split) for split in ("train", "validation")}
        if error["validation"] <= TIMES * error["train"]:
            return []
        found = f"The squared error of rebuilt frames of validation, {error['validation']:.3g}, is far above that of train, {error['train']:.3g}"
    elif model.can("likelihood"):
        bound = {split: _bound(model, data, split, seed) for split in ("train", "validation")}
        if bound["train"] - bound["validation"] <= GAP:
            return []
        found = f"The bound of validation, {bound['validation']:.2f} nats per value, is far below that of train, {bound['train']:.2f}"
    else:
        return []
    return [
        f"{found}: the model does not carry over to other sequences. Add sequences, make the model smaller, raise its KL "
        "weights, or end earlier (--training.patience 4)."
    ]


def _error(model: SequenceModel, data: Sequences, split: str) -> float:
    """Squared error of a rebuilt sequence of a split, a mean over its first sequences."""
    batch = _sample(data, split).batch(slice(None))
    with evaluating(model):
        offset = zero_unobserved(batch.x, batch.mask) - model.reconstruct(batch.x, batch.mask)
    return float(offset.double().square().sum() / len(batch.x))


def _bound(model: SequenceModel, data: Sequences, split: str, seed: int) -> float:
    """The evidence lower bound per observed value of a split's first sequences."""
    batch = _sample(data, split).batch(slice(None))
    with evaluating(model):
        total = model.elbo(batch, torch.Generator().manual_seed(seed)).double().sum()
    return float(total / observed_values(batch.x, batch.mask).sum())
