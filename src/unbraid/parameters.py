"""The parameters of a function: the name, type, default and help text of each.

Recipes and the command line are built on this: a setting is a parameter of a function, and its help text is what the
function's docstring says about it.
"""

import dataclasses
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["REQUIRED", "Parameter", "parameters"]

REQUIRED = inspect.Parameter.empty
"""The default of a parameter that has none."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function.

    Attributes:
        name: of the parameter.
        annotation: its type.
        default: its value when it is left out, or `REQUIRED`.
        about: what the docstring says about it, on one line.
    """

    name: str
    annotation: Any
    default: Any
    about: str


def parameters(function: Callable[..., Any]) -> dict[str, Parameter]:
    """The parameters of a function, or of a class's constructor, by name.

    Args:
        function: its docstring describes them under `Args:` or `Attributes:`, in Google's style.
    """
    about = _described(function.__doc__ or "")
    defaults = {
        field.name: field.default_factory()
        for field in (dataclasses.fields(function) if dataclasses.is_dataclass(function) else ())
        if field.default_factory is not dataclasses.MISSING
    }
    return {
        name: Parameter(name, item.annotation, defaults.get(name, item.default), about.get(name, ""))
        for name, item in inspect.signature(function).parameters.items()
    }


def _described(docstring: str) -> dict[str, str]:
    """The text of each entry under `Args:` and `Attributes:`."""
    texts: dict[str, str] = {}
    names: list[str] = []
    inside = False
    for line in inspect.cleandoc(docstring).splitlines():
        entry = re.match(r" {4}(\w+(?:, \w+)*): (.*)", line)
        if line and not line.startswith(" "):
            inside = line in ("Args:", "Attributes:")
        elif inside and entry:
            names = entry[1].split(", ")
            texts |= dict.fromkeys(names, entry[2])
        elif inside:
            texts |= {name: f"{texts[name]} {line.strip()}".strip() for name in names}
    return texts
