"""Prepared data sets on disk: built once in the cache, then opened memory-mapped.

One prepared data set is one folder, `<cache>/<name>-<key>/`, where the key is a hash of the options it was built with:

- `x.npy`: the observations, memory-mapped when read;
- `other_voices.npy`: the same sequences in other voices, where they were asked for, memory-mapped as well;
- `arrays.npz`: lengths, mask, label values, targets, groups, times and the rows of each split;
- `meta.json`: classes and kinds of the labels, scaling, options, fingerprint, versions, checksums of the other files.

A folder appears under its name only when it is complete: it is built in a folder beside it, flushed to the disk and
renamed. One process builds; other processes that want the same data wait for it.

Opening checks the arrays. A file whose size and time are those of the build is checked by parts that are spread over it, so
that opening does not read all observations; any other is checked whole. What is damaged is built again.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pooch

from unbraid.data.disk import described, disk_full, is_intact, reserve
from unbraid.data.features import Sound
from unbraid.data.labels import Label
from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences
from unbraid.files import locked, read_json, sync, with_checksum, write_atomically
from unbraid.remarks import remark

__all__ = [
    "Space",
    "cache_folder",
    "download_folder",
    "from_published",
    "prepared",
    "raw_folder",
    "require_files",
    "stored",
]

STORE_VERSION = 3
SPARE_BYTES = 16 * 2**20
_X, _ARRAYS, _VOICES = "x.npy", "arrays.npz", "other_voices.npy"


def cache_folder(cache: str | Path | None = None) -> Path:
    """Where prepared data are kept: `cache`, else what UNBRAID_CACHE names, else the user's cache folder."""
    chosen = cache or os.environ.get("UNBRAID_CACHE") or pooch.os_cache("unbraid")
    return Path(chosen).expanduser()


def download_folder(name: str, cache: str | Path | None = None) -> Path:
    """Where `unbraid data fetch <name>` puts the files that it downloads."""
    return cache_folder(cache) / "downloads" / name


def raw_folder(name: str, root: str | Path | None, cache: str | Path | None = None) -> Path:
    """The folder with the raw files of a data set that can be downloaded: `root`, or the download folder.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    folder = download_folder(name, cache) if root is None else Path(root).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"root: there is no folder {folder} with the files of {name}; run `unbraid data fetch {name}`, or pass the "
            "--data.root that holds them"
        )
    return folder


def require_files(name: str, files: Sequence[Path]) -> None:
    """Refuse a folder of raw files that lacks some.

    Args:
        name: of the data set.
        files: that must be there.

    Raises:
        FileNotFoundError: naming the first that is missing, and how many are.
    """
    missing = [path for path in files if not path.is_file()]
    if missing:
        count = f" ({len(missing)} of the {len(files)} files are missing)" if len(files) > 1 else ""
        raise FileNotFoundError(
            f"root: there is no file {missing[0]}{count}; run `unbraid data fetch {name}`, or pass the --data.root that "
            "holds the files"
        )


class Space:
    """What a builder writes into: x goes straight to the disk, so no data set has to fit in memory.

    Attributes:
        folder: for files that are needed while building.
        x: what `create` made, or None.
    """

    def __init__(self, folder: Path, progress: Callable[[int, int], None]) -> None:
        self.folder = folder
        self.progress = progress
        self.x: np.ndarray | None = None

    def create(self, shape: tuple[int, ...], dtype: Any = np.uint8) -> np.ndarray:
        """Make the array of observations, `(N, T, *X)` zeros, as a memory-mapped file.

        Raises:
            OSError: the disk has no room for it; the error says how much is needed and how much is free.
        """
        self.x = self._create(_X, shape, dtype)
        return self.x

    def create_other_voices(self, shape: tuple[int, int, int, int]) -> np.ndarray:
        """Make the array of other voices, `(N, K, T, F)` zeros of 16 bits, as a memory-mapped file.

        Raises:
            OSError: the disk has no room for it; the error says how much is needed and how much is free.
        """
        return self._create(_VOICES, shape, np.float16)

    def _create(self, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        need = math.prod(shape) * np.dtype(dtype).itemsize
        free = shutil.disk_usage(self.folder).free
        if free < need + SPARE_BYTES:
            raise disk_full(self.folder.parent, need, free)
        path = self.folder / name
        array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        reserve(path)
        return array

    def advance(self, done: int, total: int) -> None:
        """Move the progress bar: `done` of `total` parts are built."""
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
        options: plain values; everything that decides the arrays, for they make the key. A data set that is read from
            the user's own files puts a digest of these files here.
        build: gets a `Space`, fills the array of `space.create(shape)` and returns the Sequences with this array as
            x. A builder whose x fits in memory may return it without `create`.
        cache: the cache's folder; see `cache_folder`.
        version: of the builder; raise it when the same options give other arrays.

    Raises:
        OSError: the disk is full; nothing is left behind.
    """
    folder = _folder(name, options, version, cache)
    data = _open(folder)
    if data is not None:
        return data
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent / f".{folder.name}.lock", wait=True) as held:
        data = _open(folder)  # another process may have built it while this one waited
        if data is not None:
            return data
        if held:
            for left_over in folder.parent.glob(f".{folder.name}.*.partial"):
                shutil.rmtree(left_over, ignore_errors=True)
        if folder.exists():
            remark(f"the cache {folder} is damaged or from another version; building it again")
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
            sync(folder.parent)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            if error.errno == errno.ENOSPC and error.strerror:
                raise disk_full(folder.parent, None, shutil.disk_usage(folder.parent).free) from error
            raise
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    data = _open(folder)
    if data is None:
        raise OSError(f"cache: {folder} was written but cannot be read back; the disk may be failing")
    return data


def from_published(
    name: str,
    options: Mapping[str, Any],
    published: Mapping[str, str],
    digest: Callable[[Path], str],
    build: Callable[[Space, Path], Sequences],
    root: str | Path | None = None,
    cache: str | Path | None = None,
) -> Sequences:
    """Open or build a data set whose raw files are published; warns where the files are not the published ones.

    The raw files are not read, and need not be there, when what the published ones give is in the cache already.

    Args:
        name: of the data set.
        options: everything beside the raw files that decides the arrays; see `prepared`.
        published: one item: the name under which the files' digest stands among the options, and the digest of the
            published files.
        digest: gets the folder of the raw files, refuses missing or unreadable ones, and gives their digest.
        build: gets a `Space` and the folder; see `prepared`.
        root: the folder of the raw files; None for the download folder.
        cache: the cache's folder; see `cache_folder`.

    Raises:
        FileNotFoundError: the folder is missing.
        OSError: the disk is full.
    """
    as_published = {**options, **published}
    if root is None and stored(name, as_published, cache):
        folder, chosen = download_folder(name, cache), as_published
    else:
        folder = raw_folder(name, root, cache)
        chosen = as_published | dict.fromkeys(published, digest(folder))
    if chosen != as_published:
        remark(
            f"root: the files in {folder} are not the published ones; scores do not compare with published tables"
        )
    return prepared(name, chosen, lambda space: build(space, folder), cache)


def stored(
    name: str, options: Mapping[str, Any], cache: str | Path | None = None, *, version: int = 1
) -> bool:
    """Whether a complete data set with these options is in the cache, so that its raw files are not needed."""
    return _open(_folder(name, options, version, cache)) is not None


def _folder(name: str, options: Mapping[str, Any], version: int, cache: str | Path | None) -> Path:
    text = json.dumps([dict(options), version, STORE_VERSION], sort_keys=True, default=str)
    return cache_folder(cache) / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _write(data: Sequences, space: Space, options: Mapping[str, Any], version: int) -> None:
    """Write the data set into the space's folder, meta.json last, and flush it to the disk."""
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
    if data.names is not None:
        arrays["names"] = np.array(data.names)
    np.savez(space.folder / _ARRAYS, allow_pickle=False, **arrays)
    files = [_X, _ARRAYS]
    if data.other_voices is not None:
        data.other_voices.flush()  # type: ignore[attr-defined]
        files.append(_VOICES)
    for file in files:
        sync(space.folder / file)
    meta = {
        "store_version": STORE_VERSION,
        "builder_version": version,
        "name": data.name,
        "options": dict(options),
        "shape": list(x.shape),
        "dtype": str(x.dtype),
        "files": {file: described(space.folder / file) for file in files},
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
    write_atomically(
        space.folder / "meta.json", json.dumps(with_checksum(meta), indent=1, default=str) + "\n"
    )


def _open(folder: Path) -> Sequences | None:
    """The data set in `folder`, or None when there is none or it is not complete."""
    try:
        meta = read_json(folder / "meta.json")
        if meta["store_version"] != STORE_VERSION:
            return None
        if not all(is_intact(folder / file, written) for file, written in meta["files"].items()):
            return None
        x = np.load(folder / _X, mmap_mode="r")
        if list(x.shape) != meta["shape"] or str(x.dtype) != meta["dtype"]:
            return None
        with np.load(folder / _ARRAYS, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}  # zip files carry a checksum of each member
        return Sequences(
            x=x,
            name=meta["name"],
            lengths=arrays.get("lengths"),
            mask=arrays.get("mask"),
            labels={
                key: Label(arrays[f"labels/{key}"], tuple(entry["classes"]), entry["kind"], entry["part_of"])
                for key, entry in meta["labels"].items()
            },
            splits={key: arrays[f"splits/{key}"] for key in meta["splits"]},
            targets={key: arrays[f"targets/{key}"] for key in meta["targets"]},
            groups=arrays.get("groups"),
            names=tuple(arrays["names"].tolist()) if "names" in arrays else None,
            times=arrays.get("times"),
            scaling=Scaling.from_json(meta["scaling"]) if meta["scaling"] else None,
            feature_names=tuple(meta["feature_names"]) if meta["feature_names"] else None,
            units=tuple(meta["units"]) if meta["units"] else None,
            sampling_rate=meta["sampling_rate"],
            sound=Sound(**meta["sound"]) if meta.get("sound") else None,
            other_voices=np.load(folder / _VOICES, mmap_mode="r") if _VOICES in meta["files"] else None,
            fingerprint=meta["fingerprint"],
        )
    except Exception:  # a damaged cache can fail in any way; it is built again
        return None


@contextlib.contextmanager
def _progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's standard error, and nothing elsewhere; gives `progress(done, total)`."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
