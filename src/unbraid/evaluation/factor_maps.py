"""Factor maps: which coordinates of the codes carry which label.

Every coordinate is given to the label that it tells most about, by the importances of random forests that predict each
label from all coordinates. A method may have factors of its own of several coordinates (a pair of eigenvectors): such a
factor is given to a label as a whole. A coordinate of the dynamic code enters as four figures of its path
(`unbraid.evaluation.readers.path_summary`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from sklearn.ensemble import RandomForestClassifier

from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation.leakage import indivisible
from unbraid.evaluation.readers import path_summary
from unbraid.generation import encode
from unbraid.masks import inside
from unbraid.models.base import SequenceModel
from unbraid.types import Codes, Factor

__all__ = [
    "UnitTable",
    "assign_units",
    "exchange_factors",
    "factor_map",
    "fit_forests",
    "require_labels",
    "unit_importance",
    "unit_table",
    "units_of",
    "usable_labels",
]

TREES = 100  # of each forest


@dataclass(frozen=True)
class UnitTable:
    """Features of sequences, and the unit (coordinate or factor of the method) that each of them belongs to."""

    values: Float[np.ndarray, "n P"]
    unit: Int[np.ndarray, "P"]

    def of(self, unit: int) -> Float[np.ndarray, "n F"]:
        """The features of one unit."""
        return self.values[:, self.unit == unit]

    def take(self, rows: slice) -> "UnitTable":
        """Some of the sequences."""
        return UnitTable(self.values[rows], self.unit)


def units_of(model: SequenceModel) -> list[Factor]:
    """The smallest parts that can be exchanged: a method's own factors, and every coordinate that is in none of them."""
    units: list[Factor] = []
    for whole, size in ((Factor("static"), model.static_size), (Factor("dynamic"), model.dynamic_size)):
        own = [f for f in model.factors.values() if f.code == whole.code and f.columns is not None]
        covered = {column for factor in own for column in factor.columns or ()}
        units += own + [Factor(whole.code, (column,)) for column in range(size) if column not in covered]
    return units


def factor_map(
    model: SequenceModel, data: Sequences, *, split: str = "validation", seed: int = 0, batch_size: int = 128
) -> dict[str, tuple[Factor, ...]]:
    """The parts of the codes that carry each label, for `exchange_factors`.

    Args:
        model: a trained model that encodes.
        data: labelled sequences.
        split: that the map is found on.
        seed: of the forests.
        batch_size: sequences encoded at a time.

    Raises:
        ValueError: no labels, or a method without an encoder.
    """
    model.require("encode")
    require_labels(data)
    sequences, units = data.split(split), units_of(model)
    table = unit_table(encode(model, sequences, batch_size), sequences, units)
    heads, _ = usable_labels(sequences, sequences)
    forests = fit_forests(table, heads, seed)
    return assign_units(heads, unit_importance(forests, table, len(units)), units)


def exchange_factors(codes: Codes, other: Codes, factors: tuple[Factor, ...]) -> Codes:
    """The codes with some of their factors taken from `other`."""
    for factor in factors:
        codes = codes.exchange(other, factor)
    return codes


def require_labels(data: Sequences) -> None:
    """Refuse data without labels.

    Raises:
        ValueError: there is no label.
    """
    if not data.heads:
        raise ValueError(
            f"data: {data.name} has no labels; a factor map says which coordinates carry which label, so give labels"
        )


def usable_labels(sequences: Sequences, scored: Sequences) -> tuple[dict[str, Label], dict[str, str]]:
    """The labels that forests can be fitted to and that differ in the sequences to score; and why the others are left out.

    Raises:
        ValueError: there is no label that can be used.
    """
    left_out = {name: reason for name, label in sequences.heads.items() if (reason := indivisible(label))}
    for name, label in scored.heads.items():
        if len(np.unique(label.values)) < 2:
            left_out.setdefault(name, "all sequences to score are of one class")
    heads = {name: label for name, label in sequences.heads.items() if name not in left_out}
    if not heads:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise ValueError(f"data: no label of {sequences.name} can be mapped to coordinates: {reasons}")
    return heads, left_out


def unit_table(codes: Codes, sequences: Sequences, units: list[Factor]) -> UnitTable:
    """The static coordinates, and four figures of the path of each dynamic one."""
    owner = {(f.code, column): place for place, f in enumerate(units) for column in f.columns or ()}
    static = [owner["static", column] for column in range(codes.static.shape[1])]
    dynamic = [owner["dynamic", column] for column in range(codes.dynamic.shape[2])]
    paths = path_summary(codes.dynamic.double().numpy(), inside(sequences.observed()))
    values = np.concatenate([codes.static.double().numpy(), paths], 1)
    return UnitTable(values, np.array(static + 4 * dynamic))


def fit_forests(
    table: UnitTable, labels: Mapping[str, Label], seed: int
) -> dict[str, RandomForestClassifier]:
    """A random forest for each label, fitted on all features."""
    return {
        name: RandomForestClassifier(TREES, random_state=seed).fit(table.values, label.values)
        for name, label in labels.items()
    }


def unit_importance(
    forests: Mapping[str, RandomForestClassifier], table: UnitTable, units: int
) -> Float[np.ndarray, "P K"]:
    """How much each unit contributes to the forest of each label; columns have sum 1."""
    columns = [np.bincount(table.unit, f.feature_importances_, units) for f in forests.values()]
    return np.stack(columns, 1)


def assign_units(
    labels: Mapping[str, Label],
    importance: Float[np.ndarray, "P K"],
    units: list[Factor],
    own_code: bool = False,
) -> dict[str, tuple[Factor, ...]]:
    """Every unit given to the label to which it contributes most.

    Args:
        labels: in the order of the columns of `importance`.
        importance: of `unit_importance`.
        units: in the order of its rows.
        own_code: whether static labels get parts of the static code only, and dynamic ones of the dynamic code.
    """
    kinds = [label.kind for label in labels.values()]
    allowed = np.array([[not own_code or unit.code == kind for kind in kinds] for unit in units])
    label = np.where(allowed.any(1), np.where(allowed, importance, -1).argmax(1), -1)
    return {
        name: tuple(unit for unit, own in zip(units, label, strict=True) if own == place)
        for place, name in enumerate(labels)
    }
