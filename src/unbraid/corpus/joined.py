"""One file of all codes, from a folder of shards: `.npz` (NumPy) or `.h5` (HDF5), written in constant memory.

It holds `static (N, S)`, `dynamic (N, T, D)` with zeros after the last step of each sequence, `lengths (N,)`, `names (N,)` and
`labels/<name> (N,)`.
"""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from unbraid.corpus.manifest import Entry
from unbraid.corpus.shards import Shard, read_shard
from unbraid.files import replacing

__all__ = ["join_shards"]

_VALUES = 2**22  # of padded codes that are in memory at once


@dataclass(frozen=True)
class _Column:
    """An array that comes in parts."""

    shape: tuple[int, ...]
    dtype: np.dtype
    parts: Callable[[Shard], Iterator[np.ndarray]]


def join_shards(folder: Path, entries: Sequence[Entry], output: Path) -> None:
    """Write the codes of all shards to one file, whole or not at all.

    Args:
        folder: of the shards.
        entries: of the shards, in order.
        output: a path that ends in `.npz` or `.h5`.
    """
    paths = [folder / entry.file for entry in entries if entry.file is not None]
    columns = _columns(paths, entries)

    def parts(name: str) -> Iterator[np.ndarray]:
        for path in paths:
            yield from columns[name].parts(read_shard(path)[0])

    with replacing(output) as temporary:
        write = _write_npz if output.suffix == ".npz" else _write_h5
        write(temporary, columns, parts)


def _columns(paths: Sequence[Path], entries: Sequence[Entry]) -> dict[str, _Column]:
    count = sum(entry.sequences for entry in entries)
    longest = max(entry.longest for entry in entries)
    first, _ = read_shard(paths[0])
    width = max(len(name) for path in paths for name in read_shard(path)[0].names)
    text, number = np.dtype(f"<U{max(1, width)}"), np.dtype(np.int64)

    def padded(shard: Shard) -> Iterator[np.ndarray]:
        ends = np.concatenate([[0], np.cumsum(shard.lengths)])
        for start in range(0, len(shard.names), together):
            lengths = shard.lengths[start : start + together]
            dynamic = np.zeros((len(lengths), longest, *first.dynamic.shape[1:]), first.dynamic.dtype)
            steps = slice(ends[start], ends[start + len(lengths)])
            dynamic[np.arange(longest) < lengths[:, None]] = shard.dynamic[steps]
            yield dynamic

    def whole(take: Callable[[Shard], np.ndarray]) -> Callable[[Shard], Iterator[np.ndarray]]:
        return lambda shard: iter([take(shard)])

    def label(name: str) -> Callable[[Shard], np.ndarray]:
        return lambda shard: shard.labels[name]

    together = max(1, _VALUES // max(1, longest * first.dynamic.shape[1]))
    static, dynamic = first.static, first.dynamic
    return {
        "static": _Column((count, *static.shape[1:]), static.dtype, whole(lambda shard: shard.static)),
        "dynamic": _Column((count, longest, *dynamic.shape[1:]), dynamic.dtype, padded),
        "lengths": _Column((count,), number, whole(lambda shard: shard.lengths)),
        "names": _Column((count,), text, whole(lambda shard: np.array(shard.names, text))),
        **{f"labels/{name}": _Column((count,), number, whole(label(name))) for name in first.labels},
    }


Parts = Callable[[str], Iterator[np.ndarray]]


def _write_npz(path: Path, columns: Mapping[str, _Column], parts: Parts) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        for name, column in columns.items():
            with packed.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_npy(member, column, parts(name))


def _write_npy(file: IO[bytes], column: _Column, parts: Iterator[np.ndarray]) -> None:
    """Write what `numpy.save` writes, part by part."""
    description = np.lib.format.dtype_to_descr(column.dtype)
    header = {"descr": description, "fortran_order": False, "shape": column.shape}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]
    for part in parts:
        file.write(np.ascontiguousarray(part, column.dtype).tobytes())


def _write_h5(path: Path, columns: Mapping[str, _Column], parts: Parts) -> None:
    import h5py

    with h5py.File(path, "w", locking=False) as file:
        for name, column in columns.items():
            text = column.dtype.kind == "U"
            kind = h5py.string_dtype() if text else column.dtype
            stored, start = file.create_dataset(name, column.shape, kind), 0
            for part in parts(name):
                stored[start : start + len(part)] = part.astype(object) if text else part
                start += len(part)
