"""A run that the page shows: its model, the sequences to choose from, its scores, and a folder for what is made."""

import contextlib
import shutil
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from unbraid import plots
from unbraid.components import FEWEST_SEQUENCES, StaticComponents, components_key, train_components
from unbraid.data.features import Sound
from unbraid.data.labels import Label
from unbraid.data.sequences import Sequences
from unbraid.evaluation import read_scores
from unbraid.evaluation.factor_exchanges import map_components
from unbraid.evaluation.leakage import indivisible
from unbraid.evaluation.scores import Scores
from unbraid.io import load_features
from unbraid.kinds import kind_of
from unbraid.models.base import SequenceModel
from unbraid.page.codes import Direction, directions, observed
from unbraid.report.choice import labels_of_components, mean_codes, varied_rows
from unbraid.training import open_run
from unbraid.training.opened import load_same_data
from unbraid.training.run import Run
from unbraid.types import Factor

__all__ = ["Clip", "Session", "Shelf", "open_session", "session_of"]

CHOICES = 300  # sequences to choose from
VARIED = 12  # of them, the first ones, as different as the labels allow
KEPT = 300  # folders of made files
COMPONENTS = 16  # of the static code that are listed
CLASSES = 5  # of a sequence in its title


@dataclass(frozen=True)
class Clip:
    """One sequence to choose: its title, and the sequence (of a recording, all rows that it was cut into)."""

    title: str
    sequence: Sequences


class Shelf:
    """New folders in one folder; the oldest are removed, so that a page that is open for weeks fills no disk.

    Args:
        folder: holds them.
        kept: how many.
    """

    def __init__(self, folder: Path, kept: int = KEPT) -> None:
        self._folder, self._kept = folder, kept
        self._numbers, self._made = count(), deque[Path]()
        self._lock = threading.Lock()

    def new(self) -> Path:
        """A new, empty folder."""
        with self._lock:
            path = self._folder / f"{next(self._numbers)}"
            path.mkdir(parents=True)
            self._made.append(path)
            while len(self._made) > self._kept:
                shutil.rmtree(self._made.popleft(), ignore_errors=True)
        return path


@dataclass
class Session:
    """A run that the page shows.

    Attributes:
        run: the run.
        data: its data; None where they cannot be read.
        pool: sequences of its data to choose from; None where the data cannot be read.
        titles: of the clips in the pool.
        owner: the clip that each row of the pool belongs to.
        missing: why there is no pool; "" where there is one.
        shelf: where pictures and sounds are written.
    """

    run: Run
    data: Sequences | None
    pool: Sequences | None
    titles: tuple[str, ...]
    owner: Int[np.ndarray, " rows"]
    missing: str
    shelf: Shelf

    @property
    def model(self) -> SequenceModel:
        """The run's model."""
        return self.run.model

    @property
    def title(self) -> str:
        """Model and data of the run."""
        return f"{self.model.card.name} on {Path(self.run.config['data']['name']).name}"

    @cached_property
    def scores(self) -> dict[str, Scores]:
        """The run's scores by protocol."""
        return read_scores(self.run.folder)

    @cached_property
    def kind(self) -> str:
        """How a sequence is shown: `frames`, `sound`, `series` (curves) or `heat` (vectors of many features)."""
        kind = kind_of(self.model.observation, self._sound is not None)
        if kind in ("frames", "sound"):
            return kind
        return "heat" if self.model.observation[-1] > plots.MOST_FEATURES else "series"

    @property
    def _sound(self) -> Sound | None:
        if self.pool is not None:
            return self.pool.sound
        with contextlib.suppress(FileNotFoundError):
            return load_features(self.run.folder).sound
        return None

    def clip(self, number: int) -> Clip:
        """A clip of the pool."""
        assert self.pool is not None
        return Clip(self.titles[number], self.pool.take(np.flatnonzero(self.owner == number)))

    @cached_property
    def ranges(self) -> Float[np.ndarray, "F 2"] | None:
        """Lowest and highest value of each feature in the pool, in its units: one range for all curves."""
        if self.pool is None:
            return None
        values = observed(self.pool).values
        values = np.where(np.isnan(values).all(0), 0, values)
        low, high = np.nanquantile(values, 0.001, axis=0), np.nanquantile(values, 0.999, axis=0)
        margin = 0.15 * (high - low) + 1e-6
        return np.stack([low - margin, high + margin], 1)

    @cached_property
    def mean_codes(self) -> tuple[Float[np.ndarray, "N S"], Float[np.ndarray, "N D"]]:
        """Static codes of the clips, and the means of their dynamic codes over the steps."""
        assert self.pool is not None
        static, dynamic = mean_codes(self.model, self.pool)
        first = np.flatnonzero(np.diff(self.owner, prepend=-1))  # rows of a clip follow one another
        count = np.diff(first, append=len(self.owner))[:, None]
        return np.add.reduceat(static, first) / count, np.add.reduceat(dynamic, first) / count

    @cached_property
    def maps(self) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, "N 2"]]:
        """t-SNE of both codes of the clips."""
        static, dynamic = self.mean_codes
        return plots.embed(static), plots.embed(dynamic)

    @cached_property
    def labels(self) -> dict[str, Label | Float[np.ndarray, "N"]]:
        """Labels and targets of the clips."""
        if self.pool is None:
            return {}
        firsts = self.pool.take(np.flatnonzero(np.diff(self.owner, prepend=-1)))
        targets = {name: values for name, values in firsts.targets.items() if values.ndim == 1}
        return {**firsts.labels, **targets}

    @property
    def attributes(self) -> list[str]:
        """Static labels, which can be exchanged by their components; see `components_of`."""
        able = self.model.can("encode") and self.model.can("decoded_static")
        if self.data is None or not able or len(self.data.splits.get("train", ())) < FEWEST_SEQUENCES:
            return []
        return [name for name in self._static_labels if name not in self.model.factors]

    @cached_property
    def _static_labels(self) -> dict[str, Label]:
        """Static labels of the clips, of which several clips have each class."""
        labels = {name: label for name, label in self.labels.items() if isinstance(label, Label)}
        return {
            name: label
            for name, label in labels.items()
            if label.kind == "static" and label.part_of is None and not indivisible(label)
        }

    @cached_property
    def components(self) -> StaticComponents | None:
        """Independent components of the static codes of the train split; None where there are none."""
        if self.data is None or not self.model.can("encode") or not self.model.can("decoded_static"):
            return None
        return train_components(self.model, self.data)

    @cached_property
    def components_of(self) -> dict[str, tuple[int, ...]]:
        """The components of each static label: each component belongs to the label that it tells most about."""
        if self.components is None or not self._static_labels:
            return {}
        factors: Mapping[str, Any] = self.scores.get("factors") or {}
        scores = factors.get("components", {})
        if self.data is not None and scores.get("key") == components_key(self.model, self.data):
            known = scores["map"]
            return {name: tuple(known[name]) for name in self._static_labels if name in known}
        values = self.components.of(torch.from_numpy(self.mean_codes[0]))
        return map_components(values, self._static_labels, seed=0)

    @cached_property
    def directions(self) -> dict[str, Direction]:
        """Directions in the codes by name; see `codes.directions`."""
        if self.pool is None:
            return {}
        factors: Mapping[str, Any] = self.scores.get("factors") or {}
        stored = factors.get("map", {})
        labels = {
            name: tuple(Factor(code, tuple(parts[code])) for code in ("static", "dynamic") if parts[code])
            for name, parts in stored.items()
        }
        return directions(self.model, *self.mean_codes, labels, self._named_components())

    def _named_components(self) -> dict[str, Float[np.ndarray, " S"]]:
        """The components that change the static code most, and how."""
        if self.components is None:
            return {}
        values = self.components.of(torch.from_numpy(self.mean_codes[0])).numpy()
        label_of = labels_of_components(values, self._static_labels, self.components_of)
        changes = self.components.mix.numpy()[:COMPONENTS]
        return {
            f"component {number}" + (f" ({label_of[number]})" if number in label_of else ""): change
            for number, change in enumerate(changes)
        }


def open_session(name: str | Path, folder: Path, seed: int = 0) -> Session:
    """Open a run for the page.

    Args:
        name: folder of the run, or the name of a pretrained model.
        folder: where pictures and sounds are written.
        seed: of the choice of sequences.

    Raises:
        FileNotFoundError: there is no such run, or it is not finished.
        ValueError: its method has no decoder, or one of its files is damaged.
    """
    run = open_run(name)
    run.model.require("decode")
    try:
        data = load_same_data(run)
    except (OSError, ValueError, ImportError) as error:
        return Session(run, None, None, (), np.zeros(0, int), str(error), Shelf(folder))
    return session_of(run, data, folder, seed)


def session_of(run: Run, data: Sequences, folder: Path, seed: int = 0) -> Session:
    """A run and its data for the page: sequences of the test split, of all where it has fewer than two.

    Args:
        run: the run.
        data: its data set.
        folder: where pictures and sounds are written.
        seed: of the choice of sequences.
    """
    split = "test" if len(data.splits.get("test", ())) > 1 else ""
    shown = data.split(split) if split else data
    every = shown.recordings if data.kind == "sound" else [np.array([row]) for row in range(len(shown))]
    chosen = [every[number] for number in _order(shown.take(np.array([rows[0] for rows in every])), seed)]
    titles = tuple(_title(shown, int(rows[0]), split) for rows in chosen)
    owner = np.repeat(np.arange(len(chosen)), [len(rows) for rows in chosen])
    pool = shown.take(np.concatenate(chosen))
    return Session(run, data, pool, titles, owner, "", Shelf(folder))


def _order(clips: Sequences, seed: int) -> list[int]:
    """Clips to choose from: first some that differ as far as the labels allow, then others at random."""
    rest = np.random.default_rng(seed).permutation(len(clips)).tolist()
    return list(dict.fromkeys([*varied_rows(clips, VARIED, seed).tolist(), *rest]))[:CHOICES]


def _title(data: Sequences, row: int, split: str) -> str:
    """The name of a sequence, or its number; and its classes, or its first day."""
    name = data.names[row].rpartition("#")[0] or data.names[row] if data.names else f"{split} {row}".strip()
    words = [label.classes[label.values[row]] for label in data.heads.values()][:CLASSES]
    if not words and data.times is not None:
        words = [str(np.datetime64(data.times[row, 0], "D"))]
    return " · ".join([name, *words])
