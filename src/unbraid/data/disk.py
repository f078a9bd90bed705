"""Files of the cache: room that is reserved before it is used, one error for a full disk, and checks of their content."""

import contextlib
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unbraid.files import digest, parts_digest

__all__ = ["described", "disk_full", "is_intact", "reserve"]

_PARTS = (64, 2**16)  # number and bytes of the parts of a file that are checked


def reserve(path: Path) -> None:
    """Reserve room on the disk for the whole file: writing a mapped file to a full disk would kill the process."""
    size = path.stat().st_size
    with open(path, "r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except AttributeError:  # macOS and Windows have no such call
            pass
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
        file.seek(np.load(path, mmap_mode="r").offset)
        zeros = bytes(2**20)
        while (left := size - file.tell()) > 0:
            file.write(zeros[:left])


def disk_full(folder: Path, need: int | None, free: int) -> OSError:
    """The error of a full disk: how many bytes are needed, where that is known, and how many are free."""
    needed = "" if need is None else f"{need / 2**20:,.0f} MB are needed and "
    error = OSError(
        f"cache: the disk of {folder} is full: {needed}{free / 2**20:,.0f} MB are free; make room, or choose "
        "another folder with UNBRAID_CACHE or --data.cache. Nothing was left behind."
    )
    error.errno = errno.ENOSPC
    return error


def described(path: Path) -> dict[str, Any]:
    """What tells that a file is the same later on."""
    status = path.stat()
    return {
        "bytes": status.st_size,
        "time": status.st_mtime_ns,
        "sha256": digest(path),
        "parts_sha256": parts_digest(path, *_PARTS),
    }


def is_intact(path: Path, description: Mapping[str, Any]) -> bool:
    """Whether a file is the same as when it was described."""
    status = path.stat()
    if status.st_size != description["bytes"]:
        return False
    if status.st_mtime_ns == description["time"]:
        return parts_digest(path, *_PARTS) == description["parts_sha256"]
    if digest(path) != description["sha256"]:
        return False
    with contextlib.suppress(OSError):  # a copy: checked by its parts from now on
        os.utime(path, ns=(status.st_atime_ns, description["time"]))
    return True
