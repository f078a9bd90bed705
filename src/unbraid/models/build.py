"""Build a registered model by its name."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from unbraid.models.base import SequenceModel
from unbraid.registry import model_class
from unbraid.words import nearest

__all__ = ["build_model", "float32_by_default"]


@contextmanager
def float32_by_default() -> Iterator[None]:
    """Compute in float32 with gradients, whatever default dtype or inference mode the caller has set."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(before)


def build_model(name: str, observation: tuple[int, ...], **settings: Any) -> SequenceModel:
    """Build a registered model for observations of shape `observation` (`*X`).

    Raises:
        ValueError: no model has that name, it has no such setting, or a setting is none of its choices.
    """
    cls = model_class(name)
    unknown = sorted(set(settings) - set(cls.setting_names()))
    if unknown:
        raise ValueError(
            f"model.{unknown[0]}: {name} has no such setting{nearest(unknown[0], cls.setting_names())}"
        )
    cls.check_settings(settings)
    with float32_by_default():
        return cls(observation, **settings)
