"""Remarks: what was left out or converted while data were read, in one line each."""

import contextlib
import warnings
from collections.abc import Iterator, Sequence

__all__ = ["plain_remarks", "remark", "some"]


class Remark(UserWarning):
    """What a person should know about data that were read. It shows no line of our code."""


def remark(text: str) -> None:
    """Say something about data, once, in one line on standard error.

    It is a Python warning, so that a caller can catch or silence it, but it names no place in our code. The command line shows
    its text alone, see `plain_remarks`.
    """
    warnings.warn_explicit(text, Remark, "unbraid", 0)


@contextlib.contextmanager
def plain_remarks() -> Iterator[None]:
    """Show remarks by their text alone, each in one line."""
    before = warnings.formatwarning

    def text_alone(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if issubclass(category, Remark):
            return " ".join(str(message).split()) + "\n"
        return before(message, category, filename, lineno, line)

    warnings.formatwarning = text_alone
    try:
        yield
    finally:
        warnings.formatwarning = before


def some(things: Sequence[object]) -> str:
    """The first of some things, and how many more there are.

    >>> some(["a.wav", "b.wav", "c.wav"])
    'a.wav, and 2 more'
    """
    return f"{things[0]}, and {len(things) - 1} more" if len(things) > 1 else str(things[0])
