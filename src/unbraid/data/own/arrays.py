"""Your own arrays: a `.npy` file with x, or a `.npz` file with x and, if wanted, lengths, mask, groups and labels."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unbraid.data.formats.paths import name_of
from unbraid.data.sequences import Sequences

__all__ = ["ARRAY_ENDINGS", "load_arrays"]

ARRAY_ENDINGS = (".npy", ".npz")


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
            `groups`. Any other array in it is a label with its name.
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
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        arrays = {"x": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: is damaged or no array of numbers ({error}); save it with numpy.save"
        ) from error
    if "x" not in arrays:
        raise ValueError(f"{path}: has no array called 'x'; found {', '.join(arrays) or 'nothing'}")
    try:
        return Sequences.from_arrays(
            arrays.pop("x"),
            name=name or name_of(path),
            lengths=arrays.pop("lengths", None),
            mask=arrays.pop("mask", None),
            groups=arrays.pop("groups", None),
            labels=arrays,
            dynamic_labels=dynamic_labels,
            fractions=fractions,
            seed=seed,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
