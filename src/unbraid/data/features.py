"""What the last axis of a data set means: names, units and scaling of features, and how they were computed from sound."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from unbraid.data.scaling import Scaling

__all__ = ["FeatureKind", "Features", "Segment", "Sound"]

FeatureKind = Literal["mel80", "mel40", "spec200", "linear201"]
Segment = Literal["segment", "utterance"]


@dataclass(frozen=True)
class Sound:
    """How features were computed from sound: what is needed to turn them into sound again.

    Attributes:
        kind: of the features, see `unbraid.data.formats.spectra`.
        sampling_rate: samples per second of the sound (not of the features).
    """

    kind: FeatureKind
    sampling_rate: int


@dataclass(frozen=True, eq=False)
class Features:
    """What the last axis of x means. It is saved with a model, so that new series are scaled like the training data.

    Attributes:
        names: of the F features.
        units: of each feature before scaling, or None.
        scaling: learned on the train split, or None when x is not scaled.
        sampling_rate: values per second, or None.
        sound: how they were computed from sound, or None.
    """

    names: tuple[str, ...]
    units: tuple[str, ...] | None
    scaling: Scaling | None
    sampling_rate: float | None
    sound: Sound | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers, to be written to a file."""
        return {
            "names": list(self.names),
            "units": None if self.units is None else list(self.units),
            "scaling": None if self.scaling is None else self.scaling.to_json(),
            "sampling_rate": self.sampling_rate,
            "sound": None if self.sound is None else asdict(self.sound),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Features":
        """The features that `to_json` wrote."""
        return cls(
            tuple(values["names"]),
            None if values["units"] is None else tuple(values["units"]),
            None if values["scaling"] is None else Scaling.from_json(values["scaling"]),
            values["sampling_rate"],
            Sound(**values["sound"]) if values.get("sound") else None,
        )
