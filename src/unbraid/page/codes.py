"""What the page computes: codes of one sequence, exchanged, moved or drawn, and the values that they are decoded to.

A sequence is a `Sequences` of one row; a recording of sound is one of all rows that it was cut into. Its static code is the
mean over its rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unbraid.data.sequences import Sequences
from unbraid.generation import (
    deal_out,
    decode_with_deviation,
    encode,
    evaluating,
    with_drawn_dynamic,
    with_drawn_static,
)
from unbraid.masks import inside, observed_values
from unbraid.models.base import SequenceModel
from unbraid.types import Codes, Factor

__all__ = [
    "Decoded",
    "Direction",
    "Encoded",
    "between",
    "decode_one",
    "directions",
    "drawn",
    "encode_one",
    "move",
    "observed",
    "swapped",
]

LEAST_SHARE = 0.01  # of the variance of a code, below which a direction is not listed
DIRECTIONS = {"static": 6, "dynamic": 3}  # principal directions that are listed
COORDINATES = {"static": 8, "dynamic": 4}  # single coordinates that are listed, those that vary most


@dataclass(frozen=True)
class Encoded:
    """One sequence and its codes.

    Attributes:
        clip: the sequence; of a recording all n rows.
        static: `(S,)`.
        dynamic: `(n, T, D)`.
    """

    clip: Sequences
    static: Float[Tensor, " S"]
    dynamic: Float[Tensor, "n T D"]

    @property
    def codes(self) -> Codes:
        """The codes of every row."""
        return Codes(self.static.expand(len(self.dynamic), -1), self.dynamic)


@dataclass(frozen=True)
class Decoded:
    """Values of one sequence: frames `(L, C, H, W)` in [0, 1], series `(L, F)` in their units, sound `(L, F)` as features.

    Attributes:
        values: NaN where nothing was observed.
        deviation: the model's standard deviation of each value, or None.
    """

    values: Float[np.ndarray, "L *X"]
    deviation: Float[np.ndarray, "L *X"] | None = None


@dataclass(frozen=True)
class Direction:
    """A direction in the codes along which sequences differ; its length is one standard deviation of the data.

    Attributes:
        static: `(S,)`, added to the static code.
        dynamic: `(D,)`, added to the dynamic code of every step.
    """

    static: Float[np.ndarray, " S"]
    dynamic: Float[np.ndarray, " D"]


# ---- one sequence ---------------------------------------------------------------------------------------


def encode_one(model: SequenceModel, clip: Sequences) -> Encoded:
    """The codes of one sequence.

    Raises:
        ValueError: the method has no encoder.
    """
    codes = encode(model, clip)
    return Encoded(clip, codes.static.mean(0), codes.dynamic)


def observed(clip: Sequences) -> Decoded:
    """The values of a sequence, NaN where none was observed."""
    x, mask = clip.batch(slice(None)).x.numpy(), clip.observed()
    seen = np.where(observed_values(x, mask), x, np.float32(np.nan))
    return Decoded(_joined(seen[inside(mask)], clip))


def decode_one(model: SequenceModel, codes: Codes, like: Sequences, seed: int = 0) -> Decoded:
    """The sequence of codes, as long as another one and in its units.

    Args:
        model: that decodes.
        codes: of as many rows as `like` has.
        like: gives length and scaling.
        seed: of decoders that draw.
    """
    steps = torch.from_numpy(inside(like.observed()))
    mean, deviation = decode_with_deviation(model, codes, steps, torch.Generator().manual_seed(seed))
    values = _joined(mean.numpy()[steps.numpy()], like)
    if deviation is None or like.kind in ("frames", "sound"):
        return Decoded(values)
    scale = 1 if like.scaling is None else like.scaling.std
    return Decoded(values, _rows(deviation.numpy()[steps.numpy()]) * scale)


def _joined(x: Float[np.ndarray, "L *X"], like: Sequences) -> Float[np.ndarray, "..."]:
    """Steps in raw units, windows one after another; frames and features of sound as they are."""
    if like.kind in ("frames", "sound"):
        return x
    return _rows(x if like.scaling is None else like.scaling.invert(x))


def _rows(x: Float[np.ndarray, "L *X"]) -> Float[np.ndarray, "R F"]:
    return x.reshape(-1, x.shape[-1])


# ---- codes exchanged, moved and drawn -------------------------------------------------------------------


def swapped(
    model: SequenceModel, giver: Encoded, taker: Encoded, take: Callable[[Codes, Codes], Codes]
) -> Decoded:
    """One sequence with a part of the codes of another.

    Args:
        model: that decodes.
        giver: gives the part.
        taker: all else is of it.
        take: the first codes with the part of the second.

    Raises:
        ValueError: the part lies in the dynamic code and the two have different lengths.
    """
    mine = taker.codes
    other = Codes(giver.static.expand(len(mine), -1), giver.dynamic)
    return decode_one(model, take(mine, other), taker.clip)


def between(model: SequenceModel, start: Encoded, end: Encoded, share: float) -> Decoded:
    """The dynamics of `start` under a static code on the line from its own (share 0) to that of `end` (share 1)."""
    static = torch.lerp(start.static, end.static, share)
    return decode_one(model, Encoded(start.clip, static, start.dynamic).codes, start.clip)


def move(model: SequenceModel, sequence: Encoded, direction: Direction, amount: float) -> Decoded:
    """A sequence whose codes are moved by `amount` standard deviations along a direction."""
    static = sequence.static + amount * torch.from_numpy(direction.static).to(sequence.static)
    dynamic = sequence.dynamic + amount * torch.from_numpy(direction.dynamic).to(sequence.dynamic)
    return decode_one(model, Encoded(sequence.clip, static, dynamic).codes, sequence.clip)


def drawn(
    model: SequenceModel,
    sequence: Encoded | Sequences,
    parts: frozenset[str],
    count: int,
    seed: int,
    others: Float[Tensor, "N S"] | None = None,
) -> list[Decoded]:
    """Sequences with drawn codes.

    Args:
        model: that decodes.
        sequence: the sequence whose other code is kept; of a method without an encoder a sequence that gives the length.
        parts: the codes that are drawn: static, dynamic or both.
        count: how many.
        seed: of the draws.
        others: static codes of other sequences, for methods that have no prior of the static code.

    Raises:
        ValueError: the method has no prior of a code that is to be drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(count):
        if isinstance(sequence, Sequences):
            with evaluating(model):
                codes, clip = model.draw(len(sequence), sequence.steps, generator), sequence
        else:
            codes, clip = sequence.codes, sequence.clip
            if "static" in parts:
                codes = Codes(_new_static(model, sequence, others, generator), codes.dynamic)
            if "dynamic" in parts:
                codes = with_drawn_dynamic(model, codes, generator)
        made.append(decode_one(model, codes, clip, seed))
    return made


def _new_static(
    model: SequenceModel, sequence: Encoded, others: Float[Tensor, "N S"] | None, generator: torch.Generator
) -> Float[Tensor, "n S"]:
    """One drawn static code for all rows; without a prior that of another sequence or a mixture of several."""
    if model.can("static_prior"):
        new = with_drawn_static(model, sequence.codes[:1], generator).static
    elif others is None:
        raise ValueError(
            "others: are missing; the method has no prior, so static codes come from other sequences"
        )
    else:
        new = deal_out(others, model.static_mixture, generator)[:1]
    return new.expand(len(sequence.dynamic), -1)


# ---- directions -----------------------------------------------------------------------------------------


def directions(
    model: SequenceModel,
    static: Float[np.ndarray, "N S"],
    dynamic: Float[np.ndarray, "N D"],
    labels: Mapping[str, tuple[Factor, ...]],
    components: Mapping[str, Float[np.ndarray, " S"]],
) -> dict[str, Direction]:
    """Named directions along which the codes of N sequences differ.

    First the components of the static code; then the coordinates of labels, where a factor map says which carry them, and
    those of the method's own factors; then principal directions of each code, and the coordinates that vary most. A group
    of coordinates moves along its first principal direction.

    Args:
        model: the codes' model; what it does not decode is left out.
        static: codes of N sequences.
        dynamic: their mean dynamic codes.
        labels: name to the coordinates of that label.
        components: name to the change of the static code by one deviation.
    """
    still = np.zeros(dynamic.shape[1])
    found = {name: Direction(change, still) for name, change in components.items()}
    codes: tuple[Literal["static", "dynamic"], ...] = (
        ("static", "dynamic") if model.can("decoded_static") else ("dynamic",)
    )
    values = {"static": static, "dynamic": dynamic}
    groups = {f"{name} (label)": factors for name, factors in labels.items()}
    groups |= {name: (factor,) for name, factor in model.factors.items() if factor.columns is not None}
    for name, factors in groups.items():
        for axis, _ in _principal(static, dynamic, factors, 1):
            found[name] = axis
    for code in codes:
        for place, (axis, share) in enumerate(
            _principal(static, dynamic, (Factor(code),), DIRECTIONS[code]), start=1
        ):
            found[f"{code} code, direction {place} ({share:.0%} of its variance)"] = axis
    for code in codes:
        order = np.argsort(-values[code].std(0), kind="stable")[: COORDINATES[code]]
        for column in order.tolist():
            for axis, _ in _principal(static, dynamic, (Factor(code, (column,)),), 1):
                found[f"{code} code, coordinate {column + 1}"] = axis
    return found


def _principal(
    static: np.ndarray, dynamic: np.ndarray, factors: tuple[Factor, ...], count: int
) -> list[tuple[Direction, float]]:
    """The first principal directions of some coordinates, and their shares of the variance; none that never varies."""
    places = [
        (factor.code, column)
        for factor in factors
        for column in factor.columns or range((static if factor.code == "static" else dynamic).shape[1])
    ]
    if len(static) < 2 or not places:
        return []
    chosen = np.stack([(static if code == "static" else dynamic)[:, column] for code, column in places], 1)
    _, sizes, axes = np.linalg.svd(chosen - chosen.mean(0), full_matrices=False)
    shares = sizes**2 / max(float((sizes**2).sum()), 1e-12)
    directions = []
    for axis, size, share in list(zip(axes, sizes, shares, strict=True))[:count]:
        if size < 1e-6 or share < LEAST_SHARE:
            break
        axis = axis * np.sign(axis[np.argmax(np.abs(axis))]) * size / np.sqrt(len(static))
        parts = {"static": np.zeros(static.shape[1]), "dynamic": np.zeros(dynamic.shape[1])}
        for (code, column), value in zip(places, axis, strict=True):
            parts[code][column] = value
        directions.append((Direction(parts["static"], parts["dynamic"]), float(share)))
    return directions
