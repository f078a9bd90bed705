"""Files of a folder: in natural order, by their endings, and a digest that changes when a file does."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from unbraid.files import parts_digest
from unbraid.remarks import remark

__all__ = [
    "contents_digest",
    "files_below",
    "files_digest",
    "name_of",
    "natural_order",
    "refuse_broken",
    "say_left_out",
]

SYSTEM = ("__MACOSX", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN")

_PARTS = (3, 4096)  # number and bytes of the parts of each file that are hashed


def natural_order(text: str) -> list[tuple[int, int | str]]:
    """Sort key under which frame2 comes before frame10.

    >>> sorted(["frame10", "frame2", "Frame1"], key=natural_order)
    ['Frame1', 'frame2', 'frame10']
    """
    parts = re.split(r"(\d+)", text.lower())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def files_below(folder: Path, endings: Collection[str] | None = None) -> list[Path]:
    """The files in a folder and its sub-folders, in natural order of their paths; hidden ones are left out.

    Args:
        folder: that is searched.
        endings: of the files, in small letters (`.wav`); None for all files. What systems leave beside a person's files
            (`._name`, `__MACOSX`, `Thumbs.db`) is always left out.
    """
    files = [
        file
        for file in folder.rglob("*")
        if file.is_file()
        and (endings is None or file.suffix.lower() in endings)
        and not any(part.startswith(".") or part in SYSTEM for part in file.relative_to(folder).parts)
    ]
    return sorted(files, key=lambda file: natural_order(str(file)))


def say_left_out(folder: Path, files: Iterable[Path], used: Collection[Path]) -> None:
    """Say in one line how many files of a folder are not used, by their endings."""
    unused = Counter(file.suffix.lower() or file.name for file in set(files) - set(used))
    if unused:
        counts = ", ".join(f"{count} {ending}" for ending, count in sorted(unused.items()))
        files_are = "file that is" if sum(unused.values()) == 1 else "files that are"
        remark(f"{folder}: left out {sum(unused.values())} {files_are} not read here: {counts}")


def refuse_broken(errors: Sequence[str], count: int, leave_out: bool) -> None:
    """Refuse files that cannot be read, all in one message; or say that they are left out.

    Args:
        errors: what is wrong with each of them.
        count: of all files.
        leave_out: whether they may be left out.

    Raises:
        ValueError: they may not, or no file can be read.
    """
    if not errors:
        return
    if len(errors) == count == 1:
        raise ValueError(errors[0])
    text = f"{len(errors)} of {count} cannot be read: {'; '.join(sorted(errors, key=natural_order))}"
    if not leave_out or len(errors) == count:
        raise ValueError(
            f"{text}. To read the others pass unusable='leave_out' (--data.unusable leave_out; to encode --unusable leave_out)"
        )
    remark(f"left out {text}")


def files_digest(files: Iterable[Path], folder: Path) -> str:
    """A hash of the whole paths, sizes, times and parts of the content of files: it stays the same until one changes.

    Args:
        files: that are hashed.
        folder: that holds them.
    """
    listing: list[object] = [os.fspath(folder.resolve())]
    for file in files:
        status = file.stat()
        listing.append(
            (str(file.relative_to(folder)), status.st_size, status.st_mtime_ns, parts_digest(file, *_PARTS))
        )
    return hashlib.sha256(repr(listing).encode()).hexdigest()


def contents_digest(named: Iterable[tuple[str, Iterable[Path]]]) -> str:
    """A hash of names, and of the sizes and parts of the content of their files: it does not change with their place.

    Args:
        named: the name of each recording, and its files.
    """
    hashed = hashlib.sha256()
    for name, files in named:
        described = [(file.name, file.stat().st_size, parts_digest(file, *_PARTS)) for file in files]
        hashed.update(repr((name, described)).encode("utf-8", "surrogatepass"))
    return hashed.hexdigest()[:16]


def name_of(path: Path) -> str:
    """The name of a data set that is read from a path: that of the file or folder, without its ending."""
    path = path.resolve()
    return re.sub(r"[^\w.-]+", "_", path.name if path.is_dir() else path.stem) or "own"
