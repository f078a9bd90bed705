"""The space of a search: which settings are varied, and over which values.

training.learning_rate: [1.0e-3, 2.0e-3]                     one of these
training.weights.kl_static: {low: 1.0e-3, high: 1, log: true}     a number between two; log: evenly in its logarithm
model.width: {low: 8, high: 64, step: 8}                      integers where low and high are
model.static_size model.dynamic_size: [64, 110, 256]          two settings with the same value
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from unbraid.words import nearest

__all__ = ["SPACES", "Range", "Space", "check_space", "first_values", "list_spaces", "read_space"]

SPACES = Path(__file__).parent / "spaces"
PARTS = ("low", "high", "log", "step")
Value = float | int | str | bool | None


@dataclass(frozen=True)
class Range:
    """The values that one setting, or several together, may have.

    Attributes:
        choices: the values; () for numbers between `low` and `high`.
        low, high: bounds of a number, both included.
        log: whether its logarithm is spread evenly.
        step: between two values; None for any (integers: 1).
    """

    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None


Space = Mapping[str, Range]
"""Ranges by setting, or by several settings with blanks between them."""


def list_spaces() -> list[str]:
    """Names of the spaces that come with unbraid."""
    return sorted(path.stem for path in SPACES.glob("*.yaml"))


def read_space(name: str | Path) -> dict[str, Range]:
    """Read a space by its name (`dbse`) or from your own YAML file.

    Raises:
        FileNotFoundError: there is no such space or file.
        ValueError: the file is no space; names the setting.
    """
    name = str(name)
    own = name.endswith((".yaml", ".yml"))
    path = Path(name) if own else SPACES / f"{name}.yaml"
    if not path.is_file():
        hint = "" if own else nearest(name, list_spaces())
        raise FileNotFoundError(
            f"space: there is no file {name}" if own else f"space: none is called {name!r}{hint}"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeError) as error:
        raise ValueError(f"space {name}: is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not content:
        raise ValueError(f"space {name}: must be a mapping of settings to their values")
    return {
        " ".join(str(setting).split()): _range(name, setting, values) for setting, values in content.items()
    }


def check_space(space: Space, accept: Callable[[dict[str, Value]], object]) -> None:
    """Refuse a space with settings that a recipe does not have, or values that do not fit them.

    Args:
        space: to be checked.
        accept: raises a ValueError for settings by dotted name that do not fit.

    Raises:
        ValueError: as `accept` does, naming the setting.
    """
    for names, part in space.items():
        for value in part.choices or (part.low, part.high):
            accept(dict.fromkeys(names.split(), value))


def first_values(space: Space) -> dict[str, Value]:
    """One value of each setting of a space: the first, or the lowest."""
    firsts = {names: part.choices[0] if part.choices else part.low for names, part in space.items()}
    return {name: value for names, value in firsts.items() for name in names.split()}


def _range(space: str, setting: str, values: Any) -> Range:
    where = f"space {space}: {setting}"
    if isinstance(values, list):
        if len(values) < 2 or any(isinstance(value, list | dict) for value in values):
            raise ValueError(f"{where}: {values!r} is no list of at least two numbers or words")
        return Range(choices=tuple(values))
    if not isinstance(values, dict):
        raise ValueError(f"{where}: {values!r} is neither a list of values nor {{low: ..., high: ...}}")
    for part in values:
        if part not in PARTS:
            raise ValueError(f"{where}: has no part {part!r}{nearest(str(part), PARTS)}")
    parts: dict[str, Any] = dict.fromkeys(PARTS) | values
    low, high, log, step = (parts[part] for part in PARTS)
    numbers = [low, high, *([] if step is None else [step])]
    if any(isinstance(n, bool) or not isinstance(n, int | float) or not math.isfinite(n) for n in numbers):
        raise ValueError(f"{where}: low, high and step must be numbers, not {numbers}")
    if not low < high or (step is not None and step <= 0) or (log and (low <= 0 or step is not None)):
        raise ValueError(
            f"{where}: {values!r} needs low below high, a step above 0, and with log: true a low above 0 and no step"
        )
    return Range(low=low, high=high, log=bool(log), step=step)
