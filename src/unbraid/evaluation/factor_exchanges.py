"""Exchanges of one label: parts of the codes come from a partner, and a judge says what changed.

A map gives each label its parts: factors of the codes (`unbraid.evaluation.factor_maps`) or independent components of the
static code (`unbraid.components`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unbraid.data.sequences import Label
from unbraid.evaluation.factor_maps import UnitTable, exchange_factors, fit_forests, unit_importance
from unbraid.evaluation.judging import JudgedModel
from unbraid.evaluation.repeats import seed_of_repeat
from unbraid.evaluation.scores import figures_over_repeats
from unbraid.generation import partners
from unbraid.types import Codes

__all__ = ["Map", "choose_maps", "exchange_scores", "map_components"]

Map = Mapping[str, tuple[Any, ...]]
"""Label to its parts."""

Exchange = Callable[[Codes, Codes, tuple[Any, ...]], Codes]
"""The first codes with some parts taken from the second."""


def map_components(
    components: Float[Tensor, "n P"], labels: Mapping[str, Label], seed: int
) -> dict[str, tuple[int, ...]]:
    """Every component given to the label to which it contributes most, by random forests."""
    count = components.shape[1]
    table = UnitTable(components.double().numpy(), np.arange(count))
    best = unit_importance(fit_forests(table, labels, seed), table, count).argmax(1)
    return {name: tuple(np.flatnonzero(best == place).tolist()) for place, name in enumerate(labels)}


def choose_maps(judged: JudgedModel, codes: Codes, maps: Sequence[Map], seed: int) -> dict[str, int]:
    """The number of the map that changes each label alone most often; the first of equal ones. Maps have all labels."""
    other = partners(len(codes), torch.Generator().manual_seed(seed))
    chosen = {}
    for name in maps[0]:
        made = [exchange_factors(codes, codes[torch.from_numpy(other)], by_label[name]) for by_label in maps]
        chosen[name] = int(
            np.argmax([_seen(judged, each, other, name, list(maps[0]))["alone"] for each in made])
        )
    return chosen


def exchange_scores(
    judged: JudgedModel,
    codes: Codes,
    maps: Sequence[Map],
    exchange: Exchange,
    labels: Sequence[str],
    seed: int,
) -> dict[str, Any]:
    """What the judge sees when the parts of one label come from a partner, by the map and by a random one.

    Args:
        judged: the model, its judge and the clips.
        codes: of the clips.
        maps: one for each repeat.
        exchange: of parts.
        labels: that should be kept when another one is exchanged.
        seed: of the partners and the random maps.
    """
    found: dict[str, list[dict[str, float]]] = {name: [] for name in maps[0]}
    floors: dict[str, list[dict[str, float]]] = {name: [] for name in maps[0]}
    for repeat, by_label in enumerate(maps):
        generator = torch.Generator().manual_seed(seed_of_repeat(seed, repeat))
        other = partners(len(codes), generator)
        random = _random_map(by_label, generator)
        for name in by_label:
            for results, used in ((found, by_label), (floors, random)):
                made = exchange(codes, codes[torch.from_numpy(other)], used[name])
                results[name].append(_seen(judged, made, other, name, labels))
    scores = {}
    for name, figures in found.items():
        floor = {key: float(np.mean([of[key] for of in floors[name]])) for key in floors[name][0]}
        flat = figures_over_repeats(figures, floor)
        kept = {label: flat.pop(f"kept / {label}") for label in labels if label != name}
        scores[name] = flat | {"kept": kept}
    return scores


def _random_map(by_label: Map, generator: torch.Generator) -> Map:
    """Each label with as many parts as before, dealt out at random."""
    every = [part for parts in by_label.values() for part in parts]
    order = iter(torch.randperm(len(every), generator=generator).tolist())
    return {name: tuple(every[next(order)] for _ in parts) for name, parts in by_label.items()}


def _seen(
    judged: JudgedModel, made: Codes, other: np.ndarray, name: str, labels: Sequence[str]
) -> dict[str, float]:
    """Shares of the clips whose partner is of another class of label `name`."""
    seen = {label: p.argmax(1) for label, p in judged.read(made).items()}
    own = {label: judged.clips.labels[label].values for label in labels}
    # Partners lie on a circle, so some differ where there are two classes.
    differ = own[name] != own[name][other]
    changed = (seen[name] == own[name][other])[differ]
    kept = {label: (seen[label] == own[label])[differ] for label in own if label != name}
    every = np.logical_and.reduce([changed, *kept.values()])
    shares = {"changed": changed, "alone": every} | {f"kept / {label}": of for label, of in kept.items()}
    return {key: float(np.mean(values)) for key, values in shares.items()}
