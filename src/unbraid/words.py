"""Words of error messages."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(name: str, names: Iterable[str]) -> str:
    """Suggest the closest of `names`, or list them all; to be put behind an error message.

    >>> nearest("dsbe", ["dbse", "vae"])
    "; did you mean 'dbse'?"
    """
    names = sorted(names)
    return did_you_mean(name, names) or f"; there is {', '.join(names)}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Suggest the closest of `names`; the empty text when none is close."""
    close = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
