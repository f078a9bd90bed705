"""From a model and codes to sequences: encode a data set, decode, draw one code, swap, interpolate.

Everything runs in batches, in evaluation mode, without gradients, on the model's device; results are on the CPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unbraid.data.sequences import Sequences
from unbraid.models.base import SequenceModel
from unbraid.types import Codes

__all__ = [
    "cross",
    "decode",
    "encode",
    "evaluating",
    "interpolate",
    "with_drawn_dynamic",
    "with_drawn_static",
]


@contextmanager
def evaluating(model: SequenceModel) -> Iterator[SequenceModel]:
    """The model in evaluation mode without gradients; its mode is put back afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield model
    finally:
        model.train(was_training)


def encode(model: SequenceModel, sequences: Sequences, batch_size: int = 256) -> Codes:
    """Posterior means of all sequences, in order."""
    with evaluating(model):
        parts = []
        for start in range(0, len(sequences), batch_size):
            rows = np.arange(start, min(start + batch_size, len(sequences)))
            batch = sequences.batch(rows, model.device)
            parts.append(model.encode(batch.x, batch.mask).to("cpu"))
    return Codes.cat(parts)


def decode(model: SequenceModel, codes: Codes, batch_size: int = 256) -> Float[Tensor, "N T *X"]:
    """Means of the decoded sequences."""
    with evaluating(model):
        starts = range(0, len(codes), batch_size)
        return torch.cat(
            [model.decode(codes[i : i + batch_size].to(model.device)).mean.cpu() for i in starts]
        )


def with_drawn_static(model: SequenceModel, codes: Codes, generator: torch.Generator) -> Codes:
    """The same dynamic codes under static codes drawn from the prior."""
    return Codes(model.draw_static(len(codes), generator).cpu(), codes.dynamic)


def with_drawn_dynamic(
    model: SequenceModel, codes: Codes, generator: torch.Generator, prior_mean: bool = False
) -> Codes:
    """The same static codes under dynamic codes drawn from the prior.

    `prior_mean` decodes the prior's means along a drawn path, as published codes do, instead of the path itself.
    """
    with evaluating(model):
        path = model.roll(len(codes), codes.dynamic.shape[1], generator)
        return Codes(codes.static, (model.prior(path).mean if prior_mean else path).cpu())


def interpolate(model: SequenceModel, a: Codes, b: Codes, steps: int = 5) -> Float[Tensor, "K N T *X"]:
    """A's motion under `steps` static codes on the line from a's to b's."""
    shares = torch.linspace(0, 1, steps)
    return torch.stack([decode(model, Codes(torch.lerp(a.static, b.static, w), a.dynamic)) for w in shares])


def cross(model: SequenceModel, codes: Codes) -> Float[Tensor, "n n T *X"]:
    """Every static code with every dynamic code: `[i, j]` has the static code of i and the dynamic codes of j."""
    n = len(codes)
    pairs = Codes(codes.static.repeat_interleave(n, 0), codes.dynamic.repeat(n, 1, 1))
    return decode(model, pairs).unflatten(0, (n, n))
