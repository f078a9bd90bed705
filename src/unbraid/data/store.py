"""Prepared data sets on disk: built once into the cache, opened memory-mapped ever after.

One data set is one folder, `<cache>/<name>-<key>/`, where the key is a hash of the options it was built with:

- `x.npy`: the observations, memory-mapped when read;
- `arrays.npz`: lengths, mask, label values, targets, groups, times and the rows of each split;
- `meta.json`: classes and kinds of the labels, scaling, options, fingerprint, versions.

A folder appears under its name only when it is whole: it is built in a sibling folder, flushed to the disk
and renamed. One process builds; others that want the same data wait for it.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pooch

from unbraid.data.features import Sound
from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Label, Sequences

__all__ = ["Space", "cache_folder", "download_folder", "prepared", "stored"]

STORE_VERSION = 2
SPARE_BYTES = 16 * 2**20


def cache_folder(cache: str | Path | None = None) -> Path:
    """Where prepared data are kept: `cache`, else what UNBRAID_CACHE names, else the user's cache folder."""
    chosen = cache or os.environ.get("UNBRAID_CACHE") or pooch.os_cache("unbraid")
    return Path(chosen).expanduser()


def download_folder(name: str, cache: str | Path | None = None) -> Path:
    """Where the files that `unbraid data fetch <name>` downloads are kept."""
    return cache_folder(cache) / "downloads" / name


class Space:
    """What a builder writes into: frames go straight to the disk, so no data set has to fit in memory."""

    def __init__(self, folder: Path, progress: Callable[[int, int], None]) -> None:
        self.folder = folder
        self.progress = progress
        self.x: np.ndarray | None = None

    def create(self, shape: tuple[int, ...], dtype: Any = np.uint8) -> np.ndarray:
        """Make the array of observations, `(N, T, *X)` zeros, as a file that is written through memory.

        Raises:
            OSError: the disk has no room for it; says how much is needed and how much there is.
        """
        need = math.prod(shape) * np.dtype(dtype).itemsize
        free = shutil.disk_usage(self.folder).free
        if free < need + SPARE_BYTES:
            raise _disk_full(self.folder.parent, need, free)
        path = self.folder / "x.npy"
        self.x = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        _reserve(path)
        return self.x

    def advance(self, done: int, total: int) -> None:
        """Say how far the builder is, for the progress bar."""
        self.progress(done, total)


Build = Callable[[Space], Sequences]


def prepared(
    name: str,
    options: Mapping[str, Any],
    build: Build,
    cache: str | Path | None = None,
    *,
    version: int = 1,
) -> Sequences:
    """Open a data set from the cache, or build it there first.

    Args:
        name: the data set's name, the first part of its folder's name.
        options: everything that decides the arrays, plain values; part of the key. A data set that is made
            of files of the user's own puts their sizes and times here.
        build: gets a `Space`, fills `space.create(shape)` and returns the Sequences made of it. Data small
            enough for memory may be returned without `create`.
        cache: the cache's folder; see `cache_folder`.
        version: of the builder; raise it when the same options give other arrays.

    Raises:
        OSError: the disk is full; nothing is left behind.
    """
    folder = _folder(name, options, version, cache)
    found = _open(folder)
    if found is not None:
        return found
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(folder) as alone:
        found = _open(folder)  # another process may have built it while this one waited
        if found is not None:
            return found
        if alone:
            for left_over in folder.parent.glob(f".{folder.name}.*.partial"):
                shutil.rmtree(left_over, ignore_errors=True)
        if folder.exists():
            warnings.warn(
                f"the cache {folder} is damaged or from another version; building it again", stacklevel=3
            )
        partial = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.partial"
        partial.mkdir()
        try:
            with _progress_bar(f"Preparing {name} (once)") as progress:
                space = Space(partial, progress)
                _write(build(space), space, options, version)
            if folder.exists():
                os.replace(folder, partial / "damaged")
                shutil.rmtree(partial / "damaged")
            os.replace(partial, folder)
            _sync(folder.parent)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            if error.errno == errno.ENOSPC and error.strerror:
                raise _disk_full(folder.parent, None, shutil.disk_usage(folder.parent).free) from error
            raise
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    found = _open(folder)
    if found is None:
        raise OSError(f"cache: {folder} was written but cannot be read back; the disk may be failing")
    return found


def stored(
    name: str, options: Mapping[str, Any], cache: str | Path | None = None, *, version: int = 1
) -> bool:
    """Whether a whole data set with these options is in the cache, so that its sources are not needed."""
    return _open(_folder(name, options, version, cache)) is not None


def _folder(name: str, options: Mapping[str, Any], version: int, cache: str | Path | None) -> Path:
    text = json.dumps([dict(options), version, STORE_VERSION], sort_keys=True, default=str)
    return cache_folder(cache) / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _write(data: Sequences, space: Space, options: Mapping[str, Any], version: int) -> None:
    """Write everything of `data` into the space's folder, meta.json last, and flush it to the disk."""
    x = space.x
    if x is None:
        x = space.create(data.x.shape, data.x.dtype)
        x[:] = data.x
    elif data.x.shape != x.shape or data.x.dtype != x.dtype or not np.shares_memory(data.x, x):
        raise ValueError("build: must return Sequences made of the whole array that space.create gave")
    x.flush()  # type: ignore[attr-defined]
    arrays = {f"labels/{key}": label.values for key, label in data.labels.items()}
    arrays |= {f"splits/{key}": rows for key, rows in data.splits.items()}
    arrays |= {f"targets/{key}": values for key, values in data.targets.items()}
    for key in ("lengths", "mask", "groups", "times"):
        if (array := getattr(data, key)) is not None:
            arrays[key] = array
    np.savez(space.folder / "arrays.npz", allow_pickle=False, **arrays)
    meta = {
        "store_version": STORE_VERSION,
        "builder_version": version,
        "name": data.name,
        "options": dict(options),
        "shape": list(x.shape),
        "dtype": str(x.dtype),
        "bytes": {file: (space.folder / file).stat().st_size for file in ("x.npy", "arrays.npz")},
        "fingerprint": data.fingerprint,
        "labels": {
            key: {"classes": list(label.classes), "kind": label.kind, "part_of": label.part_of}
            for key, label in data.labels.items()
        },
        "splits": list(data.splits),
        "targets": list(data.targets),
        "scaling": None if data.scaling is None else data.scaling.to_json(),
        "feature_names": data.feature_names,
        "units": data.units,
        "sampling_rate": data.sampling_rate,
        "sound": None if data.sound is None else asdict(data.sound),
    }
    (space.folder / "meta.json").write_text(json.dumps(meta, indent=1, default=str))
    for file in ("x.npy", "arrays.npz", "meta.json"):
        _sync(space.folder / file)
    _sync(space.folder)


def _open(folder: Path) -> Sequences | None:
    """The data set in `folder`, or None when there is none or it is not whole."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
        if meta["store_version"] != STORE_VERSION:
            return None
        if any((folder / file).stat().st_size != size for file, size in meta["bytes"].items()):
            return None
        x = np.load(folder / "x.npy", mmap_mode="r")
        if list(x.shape) != meta["shape"] or str(x.dtype) != meta["dtype"]:
            return None
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}  # zip files carry a checksum of each member
        return Sequences(
            x=x,
            name=meta["name"],
            lengths=arrays.get("lengths"),
            mask=arrays.get("mask"),
            labels={
                key: Label(arrays[f"labels/{key}"], tuple(about["classes"]), about["kind"], about["part_of"])
                for key, about in meta["labels"].items()
            },
            splits={key: arrays[f"splits/{key}"] for key in meta["splits"]},
            targets={key: arrays[f"targets/{key}"] for key in meta["targets"]},
            groups=arrays.get("groups"),
            times=arrays.get("times"),
            scaling=Scaling.from_json(meta["scaling"]) if meta["scaling"] else None,
            feature_names=tuple(meta["feature_names"]) if meta["feature_names"] else None,
            units=tuple(meta["units"]) if meta["units"] else None,
            sampling_rate=meta["sampling_rate"],
            sound=Sound(**meta["sound"]) if meta.get("sound") else None,
            fingerprint=meta["fingerprint"],
        )
    except Exception:  # whatever is wrong with a damaged cache, it is built again
        return None


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[bool]:
    """Hold the lock on building `folder`; a killed holder frees it. Gives False where there are no locks."""
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


def _reserve(path: Path) -> None:
    """Make the disk keep room for the whole file: to write a mapped file on a full disk kills the process."""
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


def _sync(path: Path) -> None:
    """Flush a file or a folder's entries to the disk."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _disk_full(folder: Path, need: int | None, free: int) -> OSError:
    wanted = "" if need is None else f"{need / 2**20:,.0f} MB are needed and "
    error = OSError(
        f"cache: the disk of {folder} is full: {wanted}{free / 2**20:,.0f} MB are free; make room, or choose "
        "another folder with UNBRAID_CACHE or --data.cache. Nothing was left behind."
    )
    error.errno = errno.ENOSPC
    return error


@contextlib.contextmanager
def _progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's standard error, nothing elsewhere; gives `progress(done, total)`."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
