"""Files that are written whole or not at all, JSON with a checksum, and locks."""

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from glob import escape
from pathlib import Path
from typing import Any

__all__ = [
    "LOCK",
    "FileInUseError",
    "check_checksum",
    "digest",
    "locked",
    "parts_digest",
    "put_in_place",
    "read_json",
    "remove_leftovers",
    "replacing",
    "sync",
    "temporary_beside",
    "whole_folder",
    "with_checksum",
    "write_atomically",
]

LOCK = ".lock"  # the file in a folder that its one writer locks


class FileInUseError(OSError):
    """Another process holds the lock of a file."""


def write_atomically(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file whole or not at all; see `replacing`. Text is written as UTF-8."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; its file replaces the one at `path` when the block ends without an error.

    The file is flushed to the disk before. An error in the block leaves what is at `path` as it was. Temporary files of
    `path` that killed processes left are removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, path.stem)
    temporary = temporary_beside(path)
    try:
        with locked(temporary):
            yield temporary
            sync(temporary)
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextlib.contextmanager
def whole_folder(folder: Path, argument: str) -> Iterator[Path]:
    """Give a temporary folder beside `folder`; it takes that place when the block ends without an error.

    Raises:
        FileExistsError: there is something at `folder` already; `argument` is the user's name for it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f"{argument}: {folder} exists and is not empty; it is never overwritten, so name another folder"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = temporary_beside(folder)
    partial.mkdir()
    try:
        yield partial
        put_in_place(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def put_in_place(partial: Path, folder: Path) -> None:
    """Give a finished folder its name, where there may be an empty folder already, so that it outlives a loss of power."""
    if folder.exists():
        folder.rmdir()
    os.rename(partial, folder)
    sync(folder.parent)


def temporary_beside(path: Path) -> Path:
    """A free path in the same folder, hidden, with the same ending, that `remove_leftovers` knows."""
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")


def remove_leftovers(folder: Path, stem: str | None = None) -> None:
    """Remove temporary files and folders that killed processes left in a folder.

    What a living process writes is locked and stays. Where there are no locks nothing is removed.

    Args:
        folder: that is searched, without the folders in it.
        stem: of the path for which they were made, its name without the last ending; None for all.
    """
    for path in folder.glob(f".{'*' if stem is None else escape(stem)}.*.partial*"):
        try:
            with locked(path / LOCK if path.is_dir() else path) as held:
                if held and path.is_dir():
                    shutil.rmtree(path)
                elif held:
                    path.unlink()
        except OSError:  # it is in use, or was removed or cannot be removed
            continue


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock of a file, which is made where it is missing; the lock is freed when its holder is killed.

    Args:
        path: of the file.
        wait: until another holder frees the lock.

    Yields:
        Whether the lock is held: False where there are no locks (Windows, some network file systems).

    Raises:
        FileInUseError: another process holds the lock, and `wait` is False.
    """
    try:
        import fcntl
    except ImportError:
        yield False
        return
    with open(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            held = True
        except BlockingIOError:
            raise FileInUseError(f"{path}: is in use by another process") from None
        except OSError:
            held = False
        yield held


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parts_digest(path: Path, parts: int, size: int) -> str:
    """The SHA-256 of parts of a file that are spread over it, its first and last bytes among them.

    Args:
        path: of the file.
        parts: how many, at least 2; a smaller file is hashed whole.
        size: bytes of each.
    """
    last = path.stat().st_size - size
    if last < parts * size:
        return digest(path)
    hashed = hashlib.sha256()
    with open(path, "rb") as file:
        for part in range(parts):
            file.seek(last * part // (parts - 1))
            hashed.update(file.read(size))
    return hashed.hexdigest()


def with_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a JSON file with the SHA-256 of all its values as `checksum`; see `check_checksum`."""
    return {**content, "checksum": _checksum(content)}


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file, without its checksum.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or its checksum is not that of its content.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: is damaged ({error})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: is damaged (it holds no JSON object)")
    try:
        return check_checksum(content)
    except ValueError as error:
        raise ValueError(f"{path}: is damaged ({error})") from None


def check_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content without its checksum.

    Raises:
        ValueError: the checksum is not that of the content. A content without a checksum is not checked.
    """
    values = {name: value for name, value in content.items() if name != "checksum"}
    if content.get("checksum", _checksum(values)) != _checksum(values):
        raise ValueError("its content is not that of its checksum")
    return values


def _checksum(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
