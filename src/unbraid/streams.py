"""Output that a closed pipe or a character that cannot be shown does not end."""

import contextlib
import errno
import os
from collections.abc import Callable
from typing import Any, TextIO, cast

__all__ = ["unbroken"]

_GONE = (errno.EPIPE, errno.EIO)  # the reader of a pipe has stopped; the terminal has been closed


class _Unbroken:
    """A text stream in front of another one; see `unbroken`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._unless_gone(lambda: self._stream.write(text))
        except UnicodeEncodeError as error:
            shown = text.encode(error.encoding, "replace").decode(error.encoding)
            self._unless_gone(lambda: self._stream.write(shown))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._unless_gone(self._stream.flush)

    def _unless_gone(self, act: Callable[[], object]) -> None:
        """Act; when nobody reads the stream any more, send what follows to nowhere."""
        try:
            act()
        except OSError as error:
            if error.errno not in _GONE:
                raise
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def unbroken(stream: TextIO) -> TextIO:
    """The stream, with output dropped when its reader is gone, and `?` for what its encoding does not have."""
    return cast(TextIO, _Unbroken(stream))
