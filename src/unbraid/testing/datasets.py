"""`check_dataset`: the public contract test of a data set.

    from unbraid.testing import check_dataset
    check_dataset("etth1", root="raw/etth1")

A failed check raises an AssertionError that says what was promised.
"""

import inspect
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unbraid.cards import DataCard
from unbraid.data.sequences import Sequences
from unbraid.data.splits import SPLITS, UNLABELLED
from unbraid.kinds import kind_of
from unbraid.masks import observed_values
from unbraid.registry import PROTOCOLS, dataset_module
from unbraid.words import nearest

__all__ = ["DATASET_CHECKS", "Subject", "check_dataset"]

ROWS = 16  # sequences that are compared value by value


@dataclass(frozen=True)
class Subject:
    """A data set under test.

    Attributes:
        card: of the data set.
        load: its loader.
        options: that it is loaded with, without `cache`.
        cache: a folder that held nothing before `data` was loaded.
        data: what the loader gave.
    """

    card: DataCard
    load: Callable[..., Sequences]
    options: dict[str, Any]
    cache: Path
    data: Sequences

    @property
    def rows(self) -> np.ndarray:
        """Some rows, spread over the data set, not in order."""
        rows = np.unique(np.linspace(0, len(self.data) - 1, ROWS).round().astype(int))
        return np.roll(rows[::-1], 1)


def check_dataset(dataset: Any, **options: Any) -> None:
    """Check that a data set keeps the promises of its card and of `Sequences`.

    It is built twice, in temporary folders, so choose small raw files, or options that make it small.

    Args:
        dataset: a registered name, or the module of a data set: an object with `card` and `load`.
        **options: of its `load`, `root` among them; `cache` is chosen here.

    Raises:
        AssertionError: a promise is broken; the message says which.
        ValueError: no data set has this name.
    """
    module = dataset_module(dataset) if isinstance(dataset, str) else dataset
    if isinstance(dataset, str):
        assert module.card.name == dataset, f"card.name: is {module.card.name!r}, registered as {dataset!r}"
    _check_card(module.card)
    _check_signature(module.load)
    with tempfile.TemporaryDirectory() as cache:
        data = module.load(cache=cache, **options)
        subject = Subject(module.card, module.load, options, Path(cache), data)
        for check in DATASET_CHECKS:
            check(subject)
        del data, subject  # files that are mapped into memory cannot be deleted on Windows


def _check_card(card: DataCard) -> None:
    for field in ("name", "summary", "source", "licence", "obtain"):
        assert getattr(card, field).strip(), f"card.{field}: is empty; fill it in"
    assert card.protocols, "card.protocols: is empty; name the protocols that score this data set"
    for protocol in card.protocols:
        assert protocol in PROTOCOLS, (
            f"card.protocols: there is no protocol {protocol!r}{nearest(protocol, PROTOCOLS)}"
        )
    assert len(card.shape) > 1, "card.shape: give steps and observation (T, *X) of one sequence"
    assert kind_of(card.shape[1:], card.kind == "sound") == card.kind, (
        f"card.kind: is {card.kind!r}, but observations of card.shape {card.shape[1:]} are of another kind"
    )


def _check_signature(load: Callable[..., Sequences]) -> None:
    parameters = list(inspect.signature(load).parameters.values())
    assert [p.name for p in parameters[:2]] == ["root", "cache"], (
        "load: its first parameters are root and cache"
    )
    described = (load.__doc__ or "").partition("Args:")[2]
    for place, parameter in enumerate(parameters):
        name = parameter.name
        assert place < 2 or parameter.kind == parameter.KEYWORD_ONLY, (
            f"load: option {name} must be keyword-only"
        )
        assert parameter.default is not parameter.empty, f"load: option {name} needs a default"
        assert re.search(rf"^\s+{name}: \S", described, re.MULTILINE), (
            f"load: its docstring does not describe {name} under Args"
        )


def check_cache(subject: Subject) -> None:
    """Loading again reads the cache; building again elsewhere gives the same arrays."""
    before = _listing(subject.cache)
    assert before, "cache: nothing was kept in it; return `store.prepared(...)`"
    again = subject.load(cache=subject.cache, **subject.options)
    assert _listing(subject.cache) == before, "cache: loading a second time built the data set again"
    assert again.fingerprint == subject.data.fingerprint, "fingerprint: changes from one loading to the next"
    with tempfile.TemporaryDirectory() as elsewhere:
        rebuilt = subject.load(cache=elsewhere, **subject.options).fingerprint
    assert rebuilt == subject.data.fingerprint, (
        "fingerprint: building a second time gives other arrays; draw random numbers from a seed"
    )


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def check_shape(subject: Subject) -> None:
    """Kind and number of axes are those of the card; without options, the observation as well."""
    card, data = subject.card, subject.data
    assert data.name == card.name, f"name: the data set calls itself {data.name!r}, its card {card.name!r}"
    assert data.kind == card.kind, f"kind: is {data.kind!r}, on the card {card.kind!r}"
    assert len(data.observation) == len(card.shape) - 1, (
        f"shape: observations are {data.observation}, on the card {card.shape[1:]}"
    )
    if not set(subject.options) - {"root"}:
        assert data.observation == card.shape[1:], (
            f"shape: observations are {data.observation}, on the card {card.shape[1:]}"
        )


def check_splits(subject: Subject) -> None:
    """There are train, validation and test, none of them empty, and no sequence or group is in two.

    A fourth split may be `unlabelled`.
    """
    data = subject.data
    allowed = (*SPLITS, UNLABELLED)
    assert sorted({*data.splits} - {UNLABELLED}) == sorted(SPLITS), (
        f"splits: are {', '.join(data.splits)}; give {', '.join(SPLITS)}"
    )
    groups = np.arange(len(data)) if data.groups is None else data.groups
    for argument, owner in (("splits", np.arange(len(data))), ("groups", groups)):
        parts = {name: set(owner[rows].tolist()) for name, rows in data.splits.items()}
        for name, part in parts.items():
            assert part, f"splits[{name!r}]: is empty"
            for other in parts.keys() & set(allowed[: allowed.index(name)]):
                both = sorted(part & parts[other])
                assert not both, f"{argument}: {both[0]} is in {other!r} and in {name!r}"


def check_labels(subject: Subject) -> None:
    """Every label has named classes and numbers among them; a part is decided by the label that it is a part of."""
    labels = subject.data.labels
    for name, label in labels.items():
        assert label.values.shape == (len(subject.data),), (
            f"labels[{name!r}]: needs one value for each sequence"
        )
        assert label.values.min() >= 0 and label.values.max() < len(label.classes), (
            f"labels[{name!r}]: has class numbers without a class name"
        )
        assert all(label.classes) and len(set(label.classes)) == len(label.classes), (
            f"labels[{name!r}]: two classes have one name, or a name is empty"
        )
        if label.part_of is not None:
            whole = labels[label.part_of].values
            pairs = len(np.unique(np.stack([whole, label.values]), axis=1).T)
            assert pairs == len(np.unique(whole)), (
                f"labels[{name!r}]: is a part of {label.part_of!r}, but one class of it has several values of the part"
            )


def check_batches(subject: Subject) -> None:
    """`batch`, `take` and `split` give the same sequences; frames lie in [0, 1]; everything observed is finite."""
    data, rows = subject.data, subject.rows
    batch = data.batch(rows)
    assert batch.x.dtype == torch.float32 and batch.x.shape == (len(rows), *data.x.shape[1:]), (
        f"batch: x is {batch.x.dtype} of shape {tuple(batch.x.shape)}"
    )
    assert torch.isfinite(batch.x).all(), "batch: x holds NaN or infinity"
    assert data.kind != "frames" or (batch.x.min() >= 0 and batch.x.max() <= 1), "batch: frames leave [0, 1]"
    assert batch.index is not None and batch.index.tolist() == rows.tolist(), "batch: index is not the rows"
    taken = data.take(rows)
    assert _same(batch, taken.batch(slice(None))), "take: gives other sequences than batch"
    assert taken.fingerprint != data.fingerprint, "take: some rows have the fingerprint of the whole"
    for name, numbers in data.splits.items():
        part = data.split(name)
        assert len(part) == len(numbers), f"split: {name!r} has {len(part)} of its {len(numbers)} sequences"
        assert _same(data.batch(numbers[-3:]), part.batch(slice(-3, None))), (
            f"split: {name!r} gives other sequences"
        )
    targets = {key: values[rows] for key, values in data.targets.items()}
    for key, values in targets.items():
        assert np.array_equal(values, taken.targets[key], equal_nan=True), f"take: targets[{key!r}] differ"


def _same(first: Any, second: Any) -> bool:
    """Whether two batches hold the same sequences, wherever these stand in their data sets."""

    def equal(a: Any, b: Any) -> bool:
        return a is b is None or (a is not None and b is not None and torch.equal(a, b))

    return (
        equal(first.x, second.x)
        and equal(first.mask, second.mask)
        and first.labels.keys() == second.labels.keys()
        and all(equal(first.labels[name], second.labels[name]) for name in first.labels)
    )


def check_masked_values(subject: Subject) -> None:
    """Values that are not observed never reach a batch: other values in their place change nothing."""
    data = subject.data
    hidden = np.flatnonzero(~data.observed().reshape(len(data), -1).all(1))[:ROWS]
    if not len(hidden):
        return
    part = data.take(hidden)
    expected = part.batch(slice(None))
    unseen = ~observed_values(part.x, part.observed())
    noise = np.random.default_rng(0).integers(1, 255, part.x.shape)
    for values in (noise, np.nan) if part.x.dtype != np.uint8 else (noise,):
        x = np.where(unseen, np.asarray(values).astype(part.x.dtype), part.x)
        changed = replace(part, x=x)  # it keeps its fingerprint, so x is not checked again
        assert _same(changed.batch(slice(None)), expected), "batch: values that are not observed reach it"


def check_missing_files(subject: Subject) -> None:
    """Without raw files, the error names the argument, what is missing and the fix; nothing is left in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        missing, cache = Path(folder) / "missing", Path(folder) / "cache"
        reads_files = subject.options.get("root") is not None
        roots = [missing, None] if reads_files else [missing]
        for root in roots:
            try:
                subject.load(**subject.options | {"root": root, "cache": cache})
            except (FileNotFoundError, ValueError) as error:
                kind, message = type(error), str(error)
            else:
                assert root is None, f"root: {missing} is not there, and the data set is loaded all the same"
                continue  # a data set that is built in where no folder is given
            assert kind is FileNotFoundError or not reads_files, f"root: raises {kind.__name__}: {message}"
            assert re.search(r"root: .+; .+", message), (
                f"root: the error must name root, what is missing and, after a semicolon, the fix; it is {message!r}"
            )
            assert root is None or str(missing) in message, (
                f"root: the error does not name the folder: {message!r}"
            )


DATASET_CHECKS: tuple[Callable[[Subject], None], ...] = (
    check_cache,
    check_shape,
    check_splits,
    check_labels,
    check_batches,
    check_masked_values,
    check_missing_files,
)
