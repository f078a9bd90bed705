"""Text files, plain or compressed with gzip, read so that a small one cannot fill the memory."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

__all__ = ["UNREADABLE", "Unpacked", "open_text", "text_lines"]

LONGEST = 2**22  # characters of a line
UNPACKED = 250 * 10**6  # bytes that any compressed file may hold
PACKED_AT_MOST = 200  # times its size that a larger one may hold
UNREADABLE = (UnicodeError, EOFError, OSError, zlib.error)  # what a damaged file raises


def open_text(path: Path, encoding: str) -> Any:
    """Open a text file, plain or compressed with gzip, for the module csv."""
    opener: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
    return opener(path, "rt", encoding=encoding, newline="")


def text_lines(file: TextIO) -> Iterator[str]:
    """The lines of a text file; a small compressed file may hold one that fills the memory."""
    while line := file.readline(LONGEST):
        if len(line) == LONGEST:
            raise csv.Error(f"a line has more than {LONGEST:,} characters")
        yield line


class Unpacked(io.RawIOBase):
    """A compressed file that is read as it is unpacked, as far as it is no more than a table can be."""

    def __init__(self, path: Path) -> None:
        self.file = gzip.open(path, "rb")  # noqa: SIM115 - closed with this one
        self.left = max(UNPACKED, PACKED_AT_MOST * path.stat().st_size)

    def close(self) -> None:
        """Close both."""
        self.file.close()
        super().close()

    def readable(self) -> bool:
        """Whether it can be read: it can."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        content = self.file.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise EOFError(
                "it is unpacked to more than 200 times its size; if that is no mistake, unpack it first"
            )
        return content
