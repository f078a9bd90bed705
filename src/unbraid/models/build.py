"""Build a registered model by its name."""

from typing import Any

from unbraid.models.base import SequenceModel
from unbraid.registry import model_class
from unbraid.words import nearest

__all__ = ["build_model"]


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
    cls.check_choices(settings)
    return cls(observation, **settings)
