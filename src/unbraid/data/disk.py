"""What the cache needs of a disk: a lock, reserved room, flushing, and one error for a full disk."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

__all__ = ["disk_full", "only_one", "reserve", "sync"]


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[bool]:
    """Hold the lock on building `folder`; it is freed when its holder is killed. Gives False where there are no locks."""
    try:
        import fcntl
    except ImportError:  # Windows: two processes may build at once; the first to rename wins
        yield False
        return
    with open(folder.parent / f".{folder.name}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            locked = True
        except OSError:  # some network file systems
            locked = False
        yield locked


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


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def disk_full(folder: Path, need: int | None, free: int) -> OSError:
    """The error of a full disk: how many bytes are needed, where that is known, and how many are free."""
    needed = "" if need is None else f"{need / 2**20:,.0f} MB are needed and "
    error = OSError(
        f"cache: the disk of {folder} is full: {needed}{free / 2**20:,.0f} MB are free; make room, or choose "
        "another folder with UNBRAID_CACHE or --data.cache. Nothing was left behind."
    )
    error.errno = errno.ENOSPC
    return error
