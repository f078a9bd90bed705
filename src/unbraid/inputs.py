"""Read new recordings as the data of a trained model were read: resized, cut and scaled in the same way.

`read_one` gives the one sequence that a text names, `read_parts` everything at a path, a part at a time. `open_corpus` gives a
`Corpus`, whose parts can be read in any order and by several processes, always with the same sequences together.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unbraid.data.formats.paths import contents_digest, refuse_broken
from unbraid.data.formats.tables import TABLE_ENDINGS, table_ending
from unbraid.data.load import load
from unbraid.data.mapped import give_back
from unbraid.data.own.arrays import ARRAY_ENDINGS
from unbraid.data.own.tables import read_series
from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Sequences
from unbraid.data.splits import SPLITS
from unbraid.io import load_features, load_scaling
from unbraid.kinds import kind_of
from unbraid.registry import DATASETS
from unbraid.sources import Clip, Reader, Source, reader
from unbraid.training import Run
from unbraid.training.opened import load_same_data
from unbraid.training.run_folder import load_run_data
from unbraid.words import nearest

__all__ = ["Corpus", "Part", "open_corpus", "read_one", "read_parts"]

Part = tuple[list[str], Sequences]  # names of sequences, and the sequences

STEPS = 16  # frames of a clip where the run does not say how many, as in `load_frames`
TOGETHER = 64  # sequences of a part
MOST_VALUES = 2**24  # of a part of recordings, padding included, so that long ones do not fill the memory
ROWS_OF_A_SHARD, RECORDINGS_OF_A_SHARD = 4096, 256
BYTES_OF_A_SHARD = 2**30  # of recordings, of which a shard holds one at least


def read_one(text: str, run: Run, argument: str = "input") -> Sequences:
    """The one sequence that a text names.

    Args:
        text: `test:12` for a row of a split of the run's data, `FILE.npy:3` for a row of an array, `FILE.csv:3` for a
            sequence of a table, or the path of a video, of a folder of images or of a sound (which gives all the
            sequences that it is cut into).
        run: the run whose model will read it.
        argument: what error messages call the text.

    Raises:
        ValueError: the text names nothing, several sequences, or what the model cannot read.
        FileNotFoundError: there is no such file.
    """
    place, colon, row = text.rpartition(":")
    if colon and row.isdecimal():
        return _read_row(place, int(row), run, argument)
    path = Path(text).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"{argument}: there is no file {text}; to name a row of the run's data write test:12"
        )
    if path.suffix.lower() in ARRAY_ENDINGS or table_ending(path) in TABLE_ENDINGS:
        raise ValueError(f"{argument}: name a row of {text}, as in {text}:0")
    recordings = reader(path, run, None)
    sources = recordings.sources()
    if len(sources) > 1:
        raise ValueError(
            f"{argument}: {text} holds {len(sources)} sequences; name one video, one folder of images or one sound"
        )
    return recordings.together(recordings.read(sources[0]))


def read_parts(corpus: "Corpus") -> Iterator[Part]:
    """The sequences of a corpus, a part at a time.

    Args:
        corpus: see `open_corpus`.

    Yields:
        Names of sequences, and the sequences.

    Raises:
        ValueError: files that cannot be read; after the last part.
    """
    broken: list[str] = []

    def readable() -> Iterator[Any]:
        for item in corpus.items(range(len(corpus)), TOGETHER):
            try:
                yield corpus.read(item)
            except ValueError as error:
                broken.append(str(error))

    yield from corpus.parts(readable(), TOGETHER)
    refuse_broken(broken, len(corpus), corpus.unusable == "leave_out")


# ---- corpora --------------------------------------------------------------------------------------------


class Corpus(ABC):
    """Sequences that are read a few at a time, in any order. Its units are recordings, or sequences that are in one file.

    Reading goes in two steps: items are read on their own, perhaps by several workers, and put together to parts. Which
    sequences are in one part depends on the units and the size alone.

    Attributes:
        unusable: what to do with items that cannot be read, `refuse` or `leave_out`.
    """

    unusable: str = "refuse"

    @abstractmethod
    def __len__(self) -> int:
        """Number of units."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash that changes with the content, and not with its place."""

    @abstractmethod
    def shards(self, size: int | None) -> list[range]:
        """The units in groups of up to `size` (None: a usual size), each of which is encoded into one shard.

        A group of recordings also ends before its files have a gigabyte.
        """

    @abstractmethod
    def items(self, units: range, size: int) -> Sequence[Any]:
        """What is read at once, for parts of up to `size` sequences. Items can be sent to another process."""

    @abstractmethod
    def read(self, item: Any) -> Any:
        """Read an item.

        Raises:
            ValueError: it cannot be read.
        """

    @abstractmethod
    def parts(self, read: Iterable[Any], size: int) -> Iterator[Part]:
        """What was read of the items of some units, in their order, as parts of up to `size` sequences."""


class _Rows(Corpus):
    """Sequences of one data set, array or table; scaled as they are read, where a scaling is given."""

    def __init__(self, data: Sequences, run: Run, scaling: Scaling | None = None) -> None:
        _check(data, run, "input")
        self.data, self.scaling = data, scaling
        self.names = data.names or [str(row) for row in range(len(data))]

    def __len__(self) -> int:
        return len(self.data)

    @property
    def fingerprint(self) -> str:
        return self.data.fingerprint

    def shards(self, size: int | None) -> list[range]:
        rows, size = range(len(self)), size or ROWS_OF_A_SHARD
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def items(self, units: range, size: int) -> Sequence[range]:
        return [units[start : start + size] for start in range(0, len(units), size)]

    def read(self, item: range) -> Part:
        rows = slice(item.start, item.stop)
        return list(self.names[rows]), _scaled(self.data.take(rows), self.scaling)

    def parts(self, read: Iterable[Part], size: int) -> Iterator[Part]:
        for part in read:
            yield part
            give_back(self.data.x)


class _Recordings(Corpus):
    """Recordings at or below a path. They are listed when their number is asked for."""

    def __init__(self, recordings: Reader) -> None:
        self.recordings = recordings
        self.unusable = recordings.run.config["data"].get("unusable") or "refuse"

    @cached_property
    def sources(self) -> list[Source]:
        return self.recordings.sources()

    def __len__(self) -> int:
        return len(self.sources)

    @cached_property
    def fingerprint(self) -> str:
        return contents_digest((source.name, source.files) for source in self.sources)

    def shards(self, size: int | None) -> list[range]:
        groups: list[range] = []
        start, held = 0, 0
        for place, source in enumerate(self.sources):
            bytes_of = sum(file.stat().st_size for file in source.files)
            full = place - start == (size or RECORDINGS_OF_A_SHARD) or held + bytes_of > BYTES_OF_A_SHARD
            if full and place > start:
                groups.append(range(start, place))
                start, held = place, 0
            held += bytes_of
        return [*groups, range(start, len(self.sources))]

    def items(self, units: range, size: int) -> Sequence[Source]:
        return self.sources[units.start : units.stop]

    def read(self, item: Source) -> list[Clip]:
        return self.recordings.read(item)

    def parts(self, read: Iterable[list[Clip]], size: int) -> Iterator[Part]:
        waiting: list[Clip] = []
        longest = 0
        for clip in (clip for clips in read for clip in clips):
            longest = max(longest, len(clip[1]))
            values = longest * clip[1][0].size * (len(waiting) + 1)
            if waiting and (len(waiting) == size or values > MOST_VALUES):
                yield self._part(waiting)
                waiting, longest = [], len(clip[1])
            waiting.append(clip)
        if waiting:
            yield self._part(waiting)

    def _part(self, clips: list[Clip]) -> Part:
        return [name for name, _ in clips], self.recordings.together(clips)


def open_corpus(
    text: str,
    run: Run,
    *,
    steps: int | None = None,
    unusable: str | None = None,
    root: str | Path | None = None,
    cache: str | Path | None = None,
) -> Corpus:
    """The sequences of a data set, an array file, a table, a recording or a folder of recordings.

    Args:
        text: name of a data set, or a path.
        run: the run whose model will read them.
        steps: frames of a clip of videos and images; longer ones are cut. By default as in the run's data.
        unusable: what to do with files that cannot be read, `refuse` or `leave_out`. By default as in the run's data.
        root: folder with the raw files of a data set; by default that of the run, where it was trained on this set.
        cache: folder where prepared data sets are kept; by default likewise.

    Raises:
        ValueError: nothing that the model can read.
        FileNotFoundError: there is no such path.
    """
    path = Path(text).expanduser()
    if unusable is not None and text not in DATASETS:
        run = replace(run, config=run.config | {"data": run.config["data"] | {"unusable": unusable}})
    if text in DATASETS:
        options = run.config["data"] if run.config["data"]["name"] == text else {}
        given = {name: place for name, place in (("root", root), ("cache", cache)) if place is not None}
        return _Rows(load_run_data({"data": {**options, "name": text, **given}}), run)
    if path.suffix.lower() in ARRAY_ENDINGS:
        return _Rows(_load_array(text, "input"), run, load_scaling(run.folder))
    if table_ending(path) in TABLE_ENDINGS:
        return _Rows(_read_table(path, run, "input"), run)
    if path.exists():
        return _Recordings(reader(path, run, steps or run.config["data"].get("steps") or STEPS))
    close = nearest(text, DATASETS) if "/" not in text and "." not in text else ""
    raise FileNotFoundError(f"input: there is no folder, file or data set {text}{close}")


def _read_row(place: str, row: int, run: Run, argument: str) -> Sequences:
    """One row of a split of the run's data, of an array file or of a table."""
    path, scaling = Path(place).expanduser(), None
    if place in SPLITS:
        sequences = load_same_data(run).split(place)
    elif table_ending(path) in TABLE_ENDINGS:
        sequences = _read_table(path, run, argument)
    else:
        sequences, scaling = _load_array(place, argument), load_scaling(run.folder)
    _check(sequences, run, argument)
    if row >= len(sequences):
        last = len(sequences) - 1
        raise ValueError(
            f"{argument}: {place} has {len(sequences)} sequences, 0 to {last}; there is no {row}"
        )
    return _scaled(sequences.take(np.array([row])), scaling)


def _load_array(text: str, argument: str) -> Sequences:
    """The sequences of an array file, in the units of the file."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{argument}: there is no file {text}, and no split of that name")
    if path.suffix.lower() not in ARRAY_ENDINGS:
        endings = ", ".join((*ARRAY_ENDINGS, *TABLE_ENDINGS))
        raise ValueError(f"{argument}: {text} has no numbered rows; only files that end in {endings} have")
    return load(path)


def _scaled(sequences: Sequences, scaling: Scaling | None) -> Sequences:
    """The sequences of an array in the units of the run's data, as the model reads them."""
    return sequences if scaling is None else sequences.rescaled(scaling)


def _check(sequences: Sequences, run: Run, argument: str) -> None:
    if sequences.observation != run.model.observation:
        raise ValueError(
            f"{argument}: observations are {sequences.observation}; "
            f"{run.folder} was trained on {run.model.observation}"
        )


# ---- tables ---------------------------------------------------------------------------------------------


def _read_table(path: Path, run: Run, argument: str) -> Sequences:
    """The series of a table, with the columns, the steps and the scaling of the run's table."""
    if not path.is_file():
        raise FileNotFoundError(f"{argument}: there is no file {path}")
    features = load_features(run.folder)
    if features.sampling_rate is None:
        raise ValueError(
            f"{argument}: {run.folder} was trained on data without a time step; {path} cannot be read"
        )
    same = [
        *("id", "time", "variable", "value", "windows", "duplicates", "unusable"),
        *("time_format", "time_zone", "missing", "decimal"),
    ]
    options = {name: value for name, value in run.config["data"].items() if name in same}
    try:
        return read_series(
            path,
            features=features.names,
            step=f"{round(1e6 / features.sampling_rate)}us",
            window=run.model.observation[0] if kind_of(run.model.observation) == "windows" else 1,
            scaling=features.scaling,
            **options,
        )[1]
    except ValueError as error:
        used = ", ".join(f"{name}={value!r}" for name, value in options.items() if value is not None)
        raise ValueError(
            f"{argument}: {error}. {run.folder} reads every table with the options of its own ({used}); write {path.name} "
            "like that table"
        ) from error
