"""`load`: a data set by its name, or your own data by their path; both become `Sequences` with named splits."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unbraid.cards import DataCard
from unbraid.data.formats.tables import TABLE_ENDINGS, table_ending, table_hint
from unbraid.registry import DATASETS, dataset_loader, dataset_module
from unbraid.words import nearest

if TYPE_CHECKING:
    from unbraid.data.sequences import Sequences

__all__ = [
    "PATHS",
    "TABLE_ENDINGS",
    "absolute",
    "fetch",
    "info",
    "load",
    "option_names",
    "own_kind",
    "own_loader",
]

PATHS = ("root", "cache", "labels", "outcomes")
"""Settings of data that name places on this machine. They become absolute, so that a run resumes from anywhere."""


def load(
    name_or_path: str | Path,
    root: str | Path | None = None,
    cache: str | Path | None = None,
    **options: Any,
) -> "Sequences":
    """Load a registered data set, or your own folder of recordings, table of series or file of arrays.

    Args:
        name_or_path: a name of `list_datasets()`, or the path of your own data. A folder of videos or images is read by
            `load_frames`, a folder of sounds by `load_sounds`, a table (see `TABLE_ENDINGS`) by `load_table`, a `.npy` or `.npz`
            file by `load_arrays`.
        root: the folder with the raw files of a registered data set, where it needs any.
        cache: where prepared data are kept; None for UNBRAID_CACHE or the user's cache folder.
        **options: of the data set's `load`, or of the function that reads your own data.

    Raises:
        ValueError: no data set has this name and no file this path, or there is no such option.
        FileNotFoundError: the path or the raw files are missing.
    """
    names = option_names(name_or_path)
    for option in options:
        if option not in names:
            raise ValueError(f"data.{option}: {name_or_path} has no such option{nearest(option, names)}")
    if str(name_or_path) in DATASETS:
        data = dataset_loader(str(name_or_path))(root=root, cache=cache, **options)
    elif root is not None:
        raise ValueError(f"data.root: is for registered data sets; {name_or_path} is a path; leave root out")
    else:
        data = own_loader(name_or_path)(name_or_path, cache=cache, **options)
    return replace(data, source=_source(name_or_path, {"root": root, "cache": cache, **options}))


def _source(name_or_path: str | Path, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `load` was given, with absolute paths; None where YAML cannot hold an option."""
    given = {name: value for name, value in options.items() if value is not None}
    for name in PATHS:
        if isinstance(given.get(name), str | Path):
            given[name] = absolute(given[name])
    if not _is_plain(given):
        return None
    name = str(name_or_path)
    return {"name": name if name in DATASETS else absolute(name_or_path), **given}


def absolute(path: str | Path) -> str:
    """The path from the root of the file system, as settings keep it."""
    return str(Path(path).expanduser().resolve())


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | int | float)


def option_names(name_or_path: str | Path) -> list[str]:
    """Names of the options that `load` takes for this data set, beside root and cache.

    Raises:
        ValueError: no data set has this name and no file this path.
        FileNotFoundError: it is a path, and nothing is there.
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
    """The card of a registered data set: what it is, where it comes from, its licence and how to get it.

    Raises:
        ValueError: no data set has this name.
    """
    return dataset_module(name).card


def fetch(name: str, folder: str | Path | None = None) -> Path:
    """Download the raw files of a registered data set; returns their folder.

    Args:
        name: a name of `list_datasets()`.
        folder: where to put them; None for the cache's download folder, where `load` looks.

    Raises:
        ValueError: no data set has this name, or it has nothing to download.
    """
    module = dataset_module(name)
    if not hasattr(module, "fetch"):
        raise ValueError(f"data: {name} has nothing to download; {module.card.obtain}")
    return module.fetch(folder)


def own_loader(path: str | Path) -> Any:
    """The function that reads your own data at a path, which its ending or the files in it decide."""
    from unbraid.data.formats.video import MOVIE_ENDINGS
    from unbraid.data.own.arrays import ARRAY_ENDINGS, load_arrays
    from unbraid.data.own.frames import load_frames
    from unbraid.data.own.sounds import holds_sound, load_sounds
    from unbraid.data.own.tables import load_table

    if table_ending(path) in TABLE_ENDINGS:
        return load_table
    if Path(path).suffix.lower() in ARRAY_ENDINGS:
        return load_arrays
    if holds_sound(path):
        return load_sounds
    if Path(path).expanduser().is_file() and Path(path).suffix.lower() not in MOVIE_ENDINGS:
        raise ValueError(
            f"data: {path} is one file of no kind that can be read; give a folder of videos, of folders of images or of "
            f"sounds, a table ({', '.join(TABLE_ENDINGS)}){table_hint(path)}, or arrays ({', '.join(ARRAY_ENDINGS)})"
        )
    return load_frames


def own_kind(path: str | Path) -> Literal["", "series", "sound"]:
    """Whether your own data at a path are series (tables, arrays without frames) or sounds; "" for videos and images.

    Raises:
        ValueError: the file is none that can be read.
    """
    from unbraid.data.own.arrays import ARRAY_ENDINGS, axes_of_x
    from unbraid.data.own.sounds import holds_sound

    if table_ending(path) in TABLE_ENDINGS:
        return "series"
    if Path(path).suffix.lower() in ARRAY_ENDINGS:
        return "series" if axes_of_x(Path(path).expanduser()) in (3, 4) else ""
    return "sound" if holds_sound(path) else ""
