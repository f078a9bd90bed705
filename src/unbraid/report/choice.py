"""Which sequences and codes a report shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unbraid.components import StaticComponents
from unbraid.data.sequences import Label, Sequences
from unbraid.generation import encode, with_drawn_static
from unbraid.masks import mean_over_steps, observed_steps
from unbraid.models.base import SequenceModel
from unbraid.types import Codes

__all__ = [
    "SPREAD",
    "Shown",
    "along_components",
    "drawn_or_dealt",
    "labels_of_components",
    "mean_codes",
    "scattered_rows",
    "varied_rows",
]

POINTS = 600  # codes in a scatter plot
SPREAD = 300  # sequences that show how far components go, and what they tell about
LEAST_TOLD = 1 / 3  # of a component's variance, for a label to name it
FEWEST_POINTS = 10  # fewer show no structure


@dataclass(frozen=True)
class Shown:
    """A picture of a report: the name of its file without the ending, its heading and its caption."""

    name: str
    heading: str
    caption: str


def varied_rows(clips: Sequences, count: int, seed: int) -> Int[np.ndarray, " count"]:
    """Rows drawn at random, of classes that differ as far as the labels allow; dynamic labels count most."""
    order = np.random.default_rng(seed).permutation(len(clips))
    if len(order) <= count or not clips.heads:
        return order[:count]
    numbers = np.stack([label.values for label in clips.heads.values()], 1)
    dynamic = np.array([label.kind == "dynamic" for label in clips.heads.values()])
    chosen: list[int] = []
    for _ in range(count):
        # How many classes each clip shares with those chosen before; a shared dynamic class counts most.
        shared = sum(((numbers == numbers[row]) * np.where(dynamic, 10, 1)).sum(1) for row in chosen)
        cost = np.zeros(len(clips)) + shared
        cost[chosen] = np.inf
        chosen.append(int(order[np.argmin(cost[order])]))
    return np.array(chosen)


def scattered_rows(count: int, seed: int) -> Int[np.ndarray, " rows"]:
    """The rows of a scatter plot among `count`, at most `POINTS`; none where there are too few to show anything."""
    if count < FEWEST_POINTS:
        return np.zeros(0, int)
    return np.sort(np.random.default_rng(seed).permutation(count)[:POINTS])


def mean_codes(
    model: SequenceModel, sequences: Sequences
) -> tuple[Float[np.ndarray, "N S"], Float[np.ndarray, "N D"]]:
    """Static codes, and the means of the dynamic codes over the observed steps."""
    codes = encode(model, sequences)
    return codes.static.numpy(), mean_over_steps(codes.dynamic.numpy(), observed_steps(sequences.observed()))


def drawn_or_dealt(
    model: SequenceModel, codes: Codes, others: Float[Tensor, "N S"], generator: torch.Generator
) -> Codes:
    """The same dynamic codes under static codes from the prior, or under `others` where the method has no prior."""
    if model.can("static_prior"):
        return with_drawn_static(model, codes, generator)
    return Codes(others, codes.dynamic)


def along_components(
    components: StaticComponents, codes: Codes, values: Float[Tensor, "n P"], most: int, count: int
) -> list[Codes]:
    """The codes of one sequence while one component goes from its lowest to its highest value.

    Args:
        components: of its static codes.
        codes: of one sequence.
        values: components of many sequences.
        most: components, the first ones.
        count: codes on the way.

    Returns:
        For each component `count` codes.
    """
    low, high = values.aminmax(dim=0)
    static, dynamic = codes.static.expand(count, -1), codes.dynamic.expand(count, -1, -1)
    lines = [torch.linspace(float(a), float(b), count) for a, b in zip(low[:most], high[:most], strict=True)]
    return [Codes(components.put(static, number, line), dynamic) for number, line in enumerate(lines)]


def labels_of_components(
    values: Float[np.ndarray, "n P"], labels: Mapping[str, Label], parts: Mapping[str, Sequence[int]]
) -> dict[int, str]:
    """The label of each component that tells about it: a third of its variance lies between the classes of the label.

    Args:
        values: components of n sequences.
        labels: of the sequences.
        parts: for each label the components that may have its name.
    """
    named: dict[int, str] = {}
    for name, numbers in parts.items():
        classes = np.eye(len(labels[name].classes))[labels[name].values]
        means = (classes.T @ values) / np.maximum(classes.sum(0), 1)[:, None]
        shares = (classes @ means).var(0) / np.maximum(values.var(0), 1e-12)
        named |= {number: name for number in numbers if shares[number] >= LEAST_TOLD}
    return named
