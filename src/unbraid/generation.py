"""From a model and codes to sequences: encode a data set, decode, draw one code, swap, interpolate.

Everything runs in batches, in evaluation mode, without gradients, on the model's device; results are on the CPU. What a
method cannot do is refused with one ValueError (`SequenceModel.require`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unbraid.data.sequences import Sequences
from unbraid.machine import choose_precision
from unbraid.models.base import SequenceModel
from unbraid.nn.distributions import Point
from unbraid.nn.folded import evaluation_precision
from unbraid.nn.likelihoods import SquaredErrorNormal
from unbraid.types import Codes, Factor

__all__ = [
    "Precision",
    "cross",
    "deal_out",
    "decode",
    "decode_with_deviation",
    "encode",
    "encode_stream",
    "evaluating",
    "interpolate",
    "partners",
    "swap",
    "with_drawn_dynamic",
    "with_drawn_static",
]

Precision = Literal["auto", "bfloat16", "float32"]
"""Of computation; auto is bfloat16 where the device multiplies in it, else float32."""


@contextmanager
def evaluating(model: SequenceModel) -> Iterator[SequenceModel]:
    """The model in evaluation mode without gradients; its mode is restored afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield model
    finally:
        model.train(was_training)


def encode_stream(
    model: SequenceModel, sequences: Sequences, batch_size: int = 256, precision: Precision = "auto"
) -> Iterator[Codes]:
    """Posterior means of the sequences, one batch after the other, in order.

    Args:
        model: that encodes.
        sequences: in their order.
        batch_size: sequences encoded at a time.
        precision: of the convolutions of frames, see `evaluation_precision`; auto is bfloat16 where the device multiplies
            in it. The codes then differ from those in float32 by less than 1% of their deviation.

    Raises:
        ValueError: the method has no encoder.
    """
    model.require("encode")
    for start in range(0, len(sequences), batch_size):
        rows = np.arange(start, min(start + batch_size, len(sequences)))
        with evaluating(model), evaluation_precision(choose_precision(precision, model.device.type)):
            batch = sequences.batch(rows, model.device)
            codes = model.encode(batch.x, batch.mask).to("cpu")
        if sequences.names is not None:
            codes = replace(codes, names=tuple(sequences.names[row] for row in rows))
        yield codes


def encode(
    model: SequenceModel, sequences: Sequences, batch_size: int = 256, precision: Precision = "auto"
) -> Codes:
    """Posterior means of all sequences, in order, with their names; see `encode_stream`.

    Raises:
        ValueError: the method has no encoder.
    """
    return Codes.cat(list(encode_stream(model, sequences, batch_size, precision)))


def decode(
    model: SequenceModel,
    codes: Codes,
    batch_size: int = 256,
    steps: Bool[Tensor, "N T"] | None = None,
    generator: torch.Generator | None = None,
    precision: Precision = "auto",
) -> Float[Tensor, "N T *X"]:
    """Means of the decoded sequences.

    Args:
        model: that decodes.
        codes: of N sequences.
        batch_size: sequences decoded at a time.
        steps: True inside each sequence; the other steps come back as zeros. None decodes all steps.
        generator: of the noise of decoders that draw.
        precision: of the convolutions of frames; auto is bfloat16 where the device multiplies in it.

    Raises:
        ValueError: the method has no decoder.
    """
    model.require("decode")
    parts = []
    with evaluating(model), evaluation_precision(choose_precision(precision, model.device.type)):
        for start in range(0, len(codes), batch_size):
            rows = slice(start, start + batch_size)
            mask = None if steps is None else steps[rows].to(model.device)
            parts.append(model.decode(codes[rows].to(model.device), mask, generator).mean.cpu())
    return torch.cat(parts)


def decode_with_deviation(
    model: SequenceModel,
    codes: Codes,
    steps: Bool[Tensor, "N T"] | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Float[Tensor, "N T *X"], Float[Tensor, "N T *X"] | None]:
    """Means of decoded sequences, and their standard deviations where the model learns any; see `decode`."""
    model.require("decode")
    with evaluating(model):
        steps = None if steps is None else steps.to(model.device)
        p = model.decode(codes.to(model.device), steps, generator)
        learned = not isinstance(p, SquaredErrorNormal | Point)
        return p.mean.cpu(), p.stddev.cpu() if learned else None


def swap(
    model: SequenceModel,
    codes: Codes,
    other: Codes,
    factor: str = "static",
    batch_size: int = 256,
    steps: Bool[Tensor, "N T"] | None = None,
) -> Float[Tensor, "N T *X"]:
    """Decode `codes` with one factor taken from `other`.

    Args:
        model: that decodes.
        codes: of N sequences.
        other: of N sequences; by default their static codes are taken.
        factor: one of `model.factors`.
        batch_size: sequences decoded at a time.
        steps: as in `decode`.

    Raises:
        ValueError: the method has no decoder or no such factor.
    """
    return decode(model, codes.exchange(other, factor_of(model, factor)), batch_size, steps)


def factor_of(model: SequenceModel, name: str) -> Factor:
    """A factor of a model by its name.

    Raises:
        ValueError: the model has no such factor.
    """
    if name not in model.factors:
        raise ValueError(
            f"factor: {model.card.name} has no factor {name!r}; it has {', '.join(sorted(model.factors))}"
        )
    return model.factors[name]


def partners(n: int, generator: torch.Generator) -> np.ndarray:
    """A random partner for each of n sequences, never itself (n > 1): everyone gets the next on a random circle."""
    circle = torch.randperm(n, generator=generator).numpy()
    following = np.empty(n, dtype=np.int64)
    following[circle] = np.roll(circle, -1)
    return following


def deal_out(static: Float[Tensor, "n S"], mixture: int, generator: torch.Generator) -> Float[Tensor, "n S"]:
    """A static code of another sequence for each sequence, or a random convex mixture of those of `mixture` others."""
    others = [static[partners(len(static), generator)] for _ in range(mixture)]
    if mixture == 1:
        return others[0]
    shares = torch.rand(mixture, len(static), 1, generator=generator, dtype=static.dtype)
    return (torch.stack(others) * shares / shares.sum(0)).sum(0)


def with_drawn_static(model: SequenceModel, codes: Codes, generator: torch.Generator) -> Codes:
    """The same dynamic codes with static codes drawn from the prior.

    Where the method has no prior of the static code, each sequence gets the static code of another one, or a random
    convex mixture of those of `model.static_mixture` others.
    """
    if model.prior_static() is None:
        return Codes(deal_out(codes.static, model.static_mixture, generator), codes.dynamic)
    with evaluating(model):
        return Codes(model.draw_static(len(codes), generator).cpu(), codes.dynamic)


def with_drawn_dynamic(
    model: SequenceModel, codes: Codes, generator: torch.Generator, prior_mean: bool = False
) -> Codes:
    """The same static codes with dynamic codes drawn from the prior.

    `prior_mean` gives the prior's means along a drawn path, as published codes do, instead of the path itself.

    Raises:
        ValueError: the method has no prior of the dynamic code.
    """
    model.require("dynamic_prior")
    with evaluating(model):
        path = model.roll(len(codes), codes.dynamic.shape[1], generator)
        return Codes(codes.static, (model.prior(path).mean if prior_mean else path).cpu())


def interpolate(
    model: SequenceModel,
    start: Codes,
    end: Codes,
    count: int = 5,
    steps: Bool[Tensor, "N T"] | None = None,
) -> Float[Tensor, "K N T *X"]:
    """The dynamics of `start` under `count` static codes on the line from its own to those of `end`."""
    line = (torch.lerp(start.static, end.static, share) for share in torch.linspace(0, 1, count))
    return torch.stack([decode(model, Codes(static, start.dynamic), steps=steps) for static in line])


def cross(
    model: SequenceModel, codes: Codes, steps: Bool[Tensor, "n T"] | None = None
) -> Float[Tensor, "n n T *X"]:
    """Every static code with every dynamic code: `[i, j]` has the static code of i and the dynamic code of j."""
    n = len(codes)
    pairs = Codes(codes.static.repeat_interleave(n, 0), codes.dynamic.repeat(n, 1, 1))
    return decode(model, pairs, steps=None if steps is None else steps.repeat(n, 1)).unflatten(0, (n, n))
