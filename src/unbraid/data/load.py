"""Data sets by name, or of one's own: each becomes `Sequences` with splits train, validation and test."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid.cards import DataCard
from unbraid.data.formats.tables import TABLE_ENDINGS
from unbraid.registry import DATASETS, dataset_loader, dataset_module
from unbraid.words import nearest

if TYPE_CHECKING:
    from unbraid.data.sequences import Sequences

__all__ = ["fetch", "info", "load", "option_names", "own_loader"]


def load(
    name_or_path: str | Path,
    root: str | Path | None = None,
    cache: str | Path | None = None,
    **options: Any,
) -> "Sequences":
    """Load a registered data set, or one's own folder, `.npy` or `.npz` file, or table (CSV, Parquet).

    Args:
        name_or_path: a name of `list_datasets()`; else the path of one's own data, see `load_folder`, `load_table` and
            `load_audio_folder`.
        root: the folder with the raw files of a registered data set, where it needs any.
        cache: where prepared data are kept; None for UNBRAID_CACHE or the user's cache folder.
        options: of the data set, see its `load` function.

    Raises:
        ValueError: no data set has that name and no file that path, or it has no such option.
        FileNotFoundError: the path, or the raw files, are missing.
    """
    known = option_names(name_or_path)
    for option in options:
        if option not in known:
            raise ValueError(f"data.{option}: {name_or_path} has no such option{nearest(option, known)}")
    if str(name_or_path) in DATASETS:
        return dataset_loader(str(name_or_path))(root=root, cache=cache, **options)
    if root is not None:
        raise ValueError(
            f"data.root: is for registered data sets; {name_or_path} is already a path of one's own"
        )
    return own_loader(name_or_path)(name_or_path, cache=cache, **options)


def option_names(name_or_path: str | Path) -> list[str]:
    """Names of the options that `load` takes for this data set, beside root and cache.

    Raises:
        ValueError: no data set has that name and no file that path.
        FileNotFoundError: it is a path, and there is nothing.
    """
    name = str(name_or_path)
    if name in DATASETS:
        loader = dataset_loader(name)
    elif Path(name).expanduser().exists():
        loader = own_loader(name_or_path)
    elif isinstance(name_or_path, Path) or "/" in name or "\\" in name or Path(name).suffix:
        raise FileNotFoundError(f"data: there is no folder or file {name_or_path}")
    else:
        raise ValueError(f"data: no data set and no folder is called {name!r}{nearest(name, DATASETS)}")
    parameters = inspect.signature(loader).parameters.values()
    return [p.name for p in parameters if p.kind == p.KEYWORD_ONLY and p.name not in ("root", "cache")]


def info(name: str) -> DataCard:
    """What a registered data set is, where it comes from, its licence and how to get it.

    Raises:
        ValueError: no data set has that name.
    """
    return dataset_module(name).card


def fetch(name: str, folder: str | Path | None = None) -> Path:
    """Download the raw files of a registered data set; returns their folder.

    Args:
        name: a name of `list_datasets()`.
        folder: where to put them; None for the cache, where `load` looks.

    Raises:
        ValueError: no data set has that name, or it has nothing to download.
    """
    module = dataset_module(name)
    if not hasattr(module, "fetch"):
        raise ValueError(f"data: {name} has nothing to download; {module.card.obtain}")
    return module.fetch(folder)


def own_loader(path: str | Path) -> Any:
    """The function that loads one's own data from a path: tables, sounds, or frames and arrays."""
    from unbraid.data.own.frames import load_folder
    from unbraid.data.own.sounds import holds_sound, load_audio_folder
    from unbraid.data.own.tables import load_table

    if Path(path).suffix.lower() in TABLE_ENDINGS:
        return load_table
    return load_audio_folder if holds_sound(path) else load_folder
