"""One file per protocol: the sentence at the top of the page, and the section of its scores.

A file `<name>.py` defines `headline(scores)`, one or two sentences or "", and `section(scores, folder)`, its blocks. A
protocol without such a file gets a table of all its figures.
"""

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from unbraid.evaluation.scores import Scores
from unbraid.registry import protocol
from unbraid.report.blocks import Block, all_figures

__all__ = ["headline", "section"]


def headline(name: str, scores: Scores) -> str:
    """The result of a protocol in plain words; "" where there is nothing to say."""
    module = _module(name)
    return "" if module is None else module.headline(scores)


def section(name: str, scores: Scores, folder: Path) -> list[Block]:
    """The section of a protocol's scores.

    Args:
        name: of the protocol.
        scores: of a run.
        folder: the run's folder.
    """
    module = _module(name)
    return all_figures(protocol(name).title, scores) if module is None else module.section(scores, folder)


def _module(name: str) -> Any:
    path = f"{__name__}.{name}"
    return importlib.import_module(path) if find_spec(path) else None
