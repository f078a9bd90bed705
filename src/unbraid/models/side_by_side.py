"""Several encoders side by side: one method trained several times, whose codes together are the codes of a sequence.

When to use it: for features, where several trainings are affordable. Each training finds other codes, and a reader can use all
of them. Compare it with one encoder on validation: on air quality three gain with one reader and lose with the other. Nothing is
decoded: codes of different trainings do not fit together in a swap.

    s = (s^1, ..., s^k),   d_t = (d^1_t, ..., d^k_t)      of k models of one method
    loss = sum over the models of the method's loss

The models start from different weights (as in Lakshminarayanan, Pritzel, Blundell, "Simple and Scalable Predictive Uncertainty
Estimation using Deep Ensembles", NeurIPS 2017, https://arxiv.org/abs/1612.01474) and draw different noise. They share nothing but the batches, so each trains as it would
alone. (A bound on the norm of the gradient, `training.gradient_clip`, counts all of them.)
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from unbraid.cards import ModelCard
from unbraid.models.base import SequenceModel
from unbraid.models.build import build_model
from unbraid.nn.distributions import Point
from unbraid.registry import model_class
from unbraid.types import Batch, Posterior, Terms

__all__ = ["SideBySide"]


class SideBySide(SequenceModel):
    """Several models of one method, for their codes (ours).

    Args:
        observation: shape `*X` of one observation.
        method: name of the registered method; one that encodes and trains in a single phase.
        encoders: number of models.
        settings: of the method; by default its own defaults.
        sequences: number of training sequences, for methods that ask for it; filled in by training.
        recordings: number of recordings, likewise.

    Raises:
        ValueError: no such method, one that cannot be used so, or settings that it does not have.
    """

    card = ModelCard(
        name="side_by_side",
        title="Several encoders side by side",
        authors="The unbraid authors",
        year=2026,
        venue="this package",
        url="https://arxiv.org/abs/1612.01474",
        summary="ours: several trainings of one method, whose codes together are the features of a sequence",
        capabilities=frozenset({"encode"}),
        deviations=("a way to use other methods; no paper describes it",),
        variants=({"method": "skd", "encoders": 2}, {"method": "braid", "settings": {"swaps": True}}),
        symbols=(
            ("k", "encoders", "number of models"),
            ("s", "static", "static codes of all models, one after the other"),
            ("d_t", "dynamic[:, t]", "dynamic codes of step t of all models"),
        ),
    )

    def __init__(
        self,
        observation: tuple[int, ...],
        method: str = "vae",
        encoders: int = 3,
        settings: Mapping[str, Any] | None = None,
        sequences: int | None = None,
        recordings: int | None = None,
    ) -> None:
        super().__init__(locals())
        if encoders < 2:
            raise ValueError(f"model.encoders: {encoders} must be at least 2")
        if method == self.card.name:
            raise ValueError(f"model.method: {method} of {method} is not a method; name another")
        counted = {"sequences": sequences, "recordings": recordings}
        parts = [_build(method, observation, dict(settings or {}), counted) for _ in range(encoders)]
        parts[0].require("encode")
        if len(parts[0].phases) > 1:
            raise ValueError(
                f"model.method: {method} trains in several phases; only a method with one can stand side by side"
            )
        self.parts = nn.ModuleList(parts)
        self.views = parts[0].views

    @property
    def models(self) -> list[SequenceModel]:
        """The models of the method."""
        return [part for part in self.parts if isinstance(part, SequenceModel)]

    @property
    def static_size(self) -> int:  # type: ignore[override]
        """Size of all static codes together."""
        return sum(model.static_size for model in self.models)

    @property
    def dynamic_size(self) -> int:  # type: ignore[override]
        """Size of all dynamic codes of a step together."""
        return sum(model.dynamic_size for model in self.models)

    def posterior(
        self,
        x: Float[Tensor, "B T *X"],
        mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Posterior:
        """The posteriors of all models, one after the other; points where they are not independent normals."""
        posteriors = [model.posterior(x, mask, generator) for model in self.models]
        return Posterior(
            _beside([posterior.static for posterior in posteriors]),
            _beside([posterior.dynamic for posterior in posteriors]),
        )

    def terms(self, batch: Batch, generator: torch.Generator | None = None, phase: str = "fit") -> Terms:
        """Each term of the method, summed over the models."""
        several = [model.terms(batch, generator, phase) for model in self.models]
        return {name: torch.stack([terms[name] for terms in several]).sum(0) for name in several[0]}

    def start(self, batches: Iterable[Batch]) -> None:
        """Fit what each model fits before training."""
        if type(self.models[0]).start is SequenceModel.start:  # nothing; the batches need not be held
            return
        kept = list(batches)
        for model in self.models:
            model.start(kept)

    def finish(self, batches: Iterable[Batch]) -> None:
        """Fit what each model fits after training."""
        if type(self.models[0]).finish is SequenceModel.finish:
            return
        kept = list(batches)
        for model in self.models:
            model.finish(kept)

    def check_batches(self, sequences: int, steps: int) -> None:
        """Refuse batches that the method refuses."""
        self.models[0].check_batches(sequences, steps)


def _build(
    method: str, observation: tuple[int, ...], settings: dict[str, Any], counted: Mapping[str, int | None]
) -> SequenceModel:
    asked = {name: value for name, value in counted.items() if name in model_class(method).setting_names()}
    return build_model(method, observation, **settings | asked)


def _beside(parts: list[Distribution]) -> Distribution:
    if all(type(part) is Normal for part in parts):
        mean, deviation = (
            torch.cat([getattr(part, name) for part in parts], -1) for name in ("mean", "stddev")
        )
        return Normal(mean, deviation, validate_args=False)
    return Point(torch.cat([part.mean for part in parts], -1))
