"""Room on a disk: reserved before it is used, and one error for a full disk."""

import errno
import os
from pathlib import Path

import numpy as np

__all__ = ["disk_full", "reserve"]


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
