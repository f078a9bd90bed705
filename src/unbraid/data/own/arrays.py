"""Your own arrays: a `.npy` file with x, or a `.npz` file with x and, if wanted, lengths, mask, groups and labels."""

import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from unbraid.data.formats.paths import name_of
from unbraid.data.sequences import Sequences

__all__ = ["ARRAY_ENDINGS", "axes_of_x", "load_arrays", "read_arrays"]

ARRAY_ENDINGS = (".npy", ".npz")
_DEFLATE_AT_MOST = 1033  # bytes that one packed byte can become


def load_arrays(
    file: str | Path,
    *,
    name: str | None = None,
    dynamic_labels: Sequence[str] = (),
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    cache: str | Path | None = None,
) -> Sequences:
    """Load a file of arrays, split at random; see `Sequences.from_arrays` for their shapes.

    Args:
        file: a `.npy` file with x, which stays memory-mapped; or a `.npz` file with `x` and, if wanted, `lengths`, `mask`,
            `groups`, `names`. Any other array in it is a label with its name.
        name: the data set's name; None for the file's.
        dynamic_labels: names of the labels that describe the motion; the others are static.
        fractions: shares of train, validation and test, counted in sequences or groups.
        seed: of the random split.
        cache: not used, for there is nothing to prepare.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or its arrays do not fit.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"file: there is no file {path}")
    arrays = read_arrays(path)
    if "x" not in arrays:
        raise ValueError(f"{path}: has no array called 'x'; found {', '.join(arrays) or 'nothing'}")
    try:
        return Sequences.from_arrays(
            arrays.pop("x"),
            name=name or name_of(path),
            lengths=arrays.pop("lengths", None),
            mask=arrays.pop("mask", None),
            groups=arrays.pop("groups", None),
            names=list(arrays.pop("names")) if "names" in arrays else None,
            labels=arrays,
            dynamic_labels=dynamic_labels,
            fractions=fractions,
            seed=seed,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name; that of a `.npy` file is `x`.

    Raises:
        ValueError: the file is damaged, or holds something else than numbers and text.
    """
    with _damage_named(path):
        if zipfile.is_zipfile(path):
            _check_sizes(path)
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        return {"x": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)


def axes_of_x(path: Path) -> int | None:
    """The number of axes of the array `x` of a file, from its header alone; None where there is no such array.

    Raises:
        ValueError: the file is damaged, or holds something else than numbers and text.
    """
    with _damage_named(path):
        if not zipfile.is_zipfile(path):
            return np.load(path, mmap_mode="r", allow_pickle=False).ndim
        with zipfile.ZipFile(path) as packed:
            if "x.npy" not in packed.namelist():
                return None
            with packed.open("x.npy") as file:
                return len(_shape_and_type(file)[0])


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn any failure to read a file into one that names it: NumPy parses a damaged header as Python."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(f"data: there is no file {path}") from None
    except Exception as error:
        raise ValueError(
            f"{path}: is damaged or no array of numbers ({' '.join(str(error).split())}); save it with numpy.save"
        ) from error


def _shape_and_type(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """What the header of a `.npy` file says."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _check_sizes(path: Path) -> None:
    """Refuse a `.npz` file that lost arrays, or whose headers name more values than it can contain.

    Called before memory is used for the arrays.
    """
    with zipfile.ZipFile(path) as packed:
        if _declared_members(path) != len(packed.infolist()):
            raise ValueError(
                f"it declares {_declared_members(path)} arrays, but holds {len(packed.infolist())}"
            )
        for member in packed.infolist():
            if member.file_size > _DEFLATE_AT_MOST * member.compress_size:
                raise ValueError(f"{member.filename} declares {member.file_size:,} bytes")
            with packed.open(member) as file:
                shape, dtype = _shape_and_type(file)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"{member.filename} declares {shape} values, but holds fewer")


def _declared_members(path: Path) -> int:
    """How many members a zip file has by the record at its end."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 2**16))
        _, _, record = file.read().rpartition(b"PK\5\6")
    return int.from_bytes(record[6:8], "little")
