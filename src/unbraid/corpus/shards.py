"""A shard: the codes of some hundreds or thousands of sequences in one file, Parquet or safetensors.

| array        | safetensors             | Parquet column                       |
|--------------|-------------------------|--------------------------------------|
| name         | `names` in the metadata | `name`, text                         |
| static code  | `static (n, S)`         | `static`, list of S floats           |
| dynamic code | `dynamic (steps, D)`    | `dynamic`, list of lists of D floats |
| steps        | `lengths (n,)`          | length of the list `dynamic`         |
| label `x`    | `labels/x (n,)`         | `labels/x`                           |

The dynamic codes of all sequences follow one another in `dynamic`; there is no padding. A file is written whole or not at all,
and the same codes give the same bytes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unbraid.data.formats.extras import missing_extra
from unbraid.files import replacing
from unbraid.types import Codes

__all__ = ["FORMATS", "Format", "Shard", "dynamic_of", "read_shard", "write_shard"]

Format = Literal["safetensors", "parquet"]
FORMATS: tuple[Format, ...] = ("safetensors", "parquet")
_KEY = "unbraid"  # of the metadata


@dataclass(frozen=True)
class Shard:
    """The codes of some sequences.

    Attributes:
        names: of the n sequences.
        static: `(n, S)`.
        dynamic: `(steps, D)`, of all sequences one after the other.
        lengths: `(n,)` steps of each sequence; their sum is `steps`.
        labels: name to `(n,)` class numbers.
    """

    names: tuple[str, ...]
    static: np.ndarray
    dynamic: np.ndarray
    lengths: np.ndarray
    labels: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls, codes: Codes, names: Iterable[str], steps: np.ndarray, labels: Mapping[str, np.ndarray]
    ) -> "Shard":
        """The codes of a batch; `steps` `(B, T)` is True inside each sequence."""
        dynamic = codes.dynamic.numpy()[steps]
        return cls(tuple(names), codes.static.numpy(), dynamic, steps.sum(1).astype(np.int64), labels)

    @classmethod
    def cat(cls, parts: "list[Shard]") -> "Shard":
        """The codes of several batches, one after the other."""
        return cls(
            tuple(name for part in parts for name in part.names),
            np.concatenate([part.static for part in parts]),
            np.concatenate([part.dynamic for part in parts]),
            np.concatenate([part.lengths for part in parts]),
            {name: np.concatenate([part.labels[name] for part in parts]) for name in parts[0].labels},
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by the names that they have in a file."""
        labels = {f"labels/{name}": values for name, values in self.labels.items()}
        return {"static": self.static, "dynamic": self.dynamic, "lengths": self.lengths, **labels}


def dynamic_of(shard: Shard, row: int) -> np.ndarray:
    """The dynamic codes `(T, D)` of one sequence of a shard."""
    start = int(shard.lengths[:row].sum())
    return shard.dynamic[start : start + int(shard.lengths[row])]


def write_shard(path: Path, shard: Shard, about: Mapping[str, Any]) -> None:
    """Write a shard whole or not at all.

    Args:
        path: of the file; its ending names the format.
        shard: the codes.
        about: plain values that are kept in the file's metadata.

    Raises:
        ImportError: Parquet is asked for and the extra `series` is not installed.
        OSError: the disk is full; nothing is left behind.
    """
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            _write_parquet(temporary, shard, about)
        else:
            from safetensors.numpy import save

            # One key, for the order of several differs from one writing to the next.
            metadata = {_KEY: json.dumps({**about, "names": shard.names})}
            contiguous = {name: np.ascontiguousarray(values) for name, values in shard.arrays().items()}
            temporary.write_bytes(save(contiguous, metadata))


def read_shard(path: Path) -> tuple[Shard, dict[str, Any]]:
    """The codes of a file, and what its metadata say about it.

    Raises:
        ValueError: the file is damaged or no shard.
    """
    try:
        if path.suffix == ".parquet":
            return _read_parquet(path)
        from safetensors import safe_open

        with safe_open(path, "np") as file:
            about = json.loads(file.metadata()[_KEY])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except ImportError:
        raise
    except Exception as error:  # the readers of both formats have errors of their own
        raise ValueError(f"{path}: is damaged or no shard ({' '.join(str(error).split())})") from error
    names = tuple(about.pop("names"))
    return _from_arrays(names, arrays), about


def _from_arrays(names: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Shard:
    labels = {
        name.removeprefix("labels/"): arrays[name] for name in sorted(arrays) if name.startswith("labels/")
    }
    return Shard(names, arrays["static"], arrays["dynamic"], arrays["lengths"], labels)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra("Parquet", "series") from error
    return pyarrow, pyarrow.parquet


def _write_parquet(path: Path, shard: Shard, about: Mapping[str, Any]) -> None:
    arrow, parquet = _pyarrow()

    def rows(values: np.ndarray) -> Any:
        flat = arrow.array(np.ascontiguousarray(values).ravel())
        if not values.shape[1]:  # of a method without this code; Arrow has no fixed lists of nothing
            return arrow.ListArray.from_arrays(arrow.array(np.zeros(len(values) + 1, np.int32)), flat)
        return arrow.FixedSizeListArray.from_arrays(flat, values.shape[1])

    ends = np.concatenate([[0], np.cumsum(shard.lengths)])
    columns = {
        "name": arrow.array([_in_unicode(name) for name in shard.names], arrow.string()),
        "static": rows(shard.static),
        "dynamic": arrow.LargeListArray.from_arrays(arrow.array(ends), rows(shard.dynamic)),
        **{f"labels/{name}": arrow.array(values) for name, values in shard.labels.items()},
    }
    table = arrow.table(columns).replace_schema_metadata({_KEY: json.dumps(dict(about))})
    parquet.write_table(table, path, compression="zstd", use_dictionary=False)


def _in_unicode(name: str) -> str:
    r"""A name whose bytes are no Unicode, as file names may be, with them written out: `\udce9`."""
    return name.encode("utf-8", "backslashreplace").decode()


def _read_parquet(path: Path) -> tuple[Shard, dict[str, Any]]:
    _, parquet = _pyarrow()
    table = parquet.read_table(path, use_threads=False)
    about = json.loads(table.schema.metadata[_KEY.encode()])
    columns = {name: table[name].combine_chunks() for name in table.column_names}

    def rows(column: Any) -> np.ndarray:
        values = column.flatten().to_numpy(zero_copy_only=False)
        return values.reshape(len(column), getattr(column.type, "list_size", 0))

    dynamic = columns["dynamic"]
    arrays = {
        "static": rows(columns["static"]),
        "dynamic": rows(dynamic.flatten()),
        "lengths": np.diff(dynamic.offsets.to_numpy()),
        **{name: columns[name].to_numpy() for name in columns if name.startswith("labels/")},
    }
    return _from_arrays(tuple(columns["name"].to_pylist()), arrays), about
