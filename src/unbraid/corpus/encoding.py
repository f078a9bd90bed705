"""Encode shards: read recordings ahead, encode them in the batches that the plan fixes, write each shard whole."""

import contextlib
import errno
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch

from unbraid.corpus.manifest import Entry, Plan, entry_of, shard_name
from unbraid.corpus.shards import Shard, write_shard
from unbraid.generation import encode_stream
from unbraid.inputs import Corpus, Part
from unbraid.masks import inside
from unbraid.models.base import SequenceModel

__all__ = ["Encoder", "Outcome", "Task", "ahead", "threads_of_torch"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Task:
    """A shard that is to be made.

    Attributes:
        shard: its number.
        items: what is read for it, in order.
    """

    shard: int
    items: Sequence[Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        shard: its number.
        entry: of the finished shard; None where recordings could not be read and none may be left out.
        broken: what is wrong with each recording that could not be read.
    """

    shard: int
    entry: Entry | None
    broken: tuple[str, ...]


class Encoder:
    """Makes shards of a plan.

    Args:
        model: in evaluation mode, on the plan's device.
        corpus: that is read.
        plan: of the job.
        folder: of the shards.
    """

    def __init__(self, model: SequenceModel, corpus: Corpus, plan: Plan, folder: Path) -> None:
        self.model, self.corpus, self.plan, self.folder = model, corpus, plan, folder

    def run(self, tasks: Sequence[Task], readers: int) -> Iterator[Outcome]:
        """Make the shards one after the other, while `readers` threads read ahead.

        Raises:
            OSError: the disk is full, or a file cannot be opened.
        """
        items = (item for task in tasks for item in task.items)
        with ahead(self.corpus.read, items, readers) as read, threads_of_torch(self.plan.threads):
            for task in tasks:
                yield self._make(task, islice(read, len(task.items)))

    def _make(self, task: Task, read: Iterator["Future[Any]"]) -> Outcome:
        path = self.folder / shard_name(task.shard, self.plan)
        broken: list[str] = []

        def readable() -> Iterator[Any]:
            for future in read:
                try:
                    yield future.result()
                except ValueError as error:
                    broken.append(str(error))

        parts = self.corpus.parts(readable(), self.plan.batch)
        codes = [codes for part in parts for codes in self._codes(part)]
        if broken and self.corpus.unusable != "leave_out":
            return Outcome(task.shard, None, tuple(broken))
        if not codes:
            return Outcome(
                task.shard, Entry(task.shard, None, 0, None, 0, 0, 0, {}, tuple(broken)), tuple(broken)
            )
        shard = Shard.cat(codes)
        about = {"plan": asdict(self.plan), "shard": task.shard, "left_out": broken}
        with full_disk_named(path.parent):
            write_shard(path, shard, about)
        return Outcome(task.shard, Entry.of(path, task.shard, shard, tuple(broken)), tuple(broken))

    def finished(self, number: int) -> Entry | None:
        """The entry of a shard that is on the disk already."""
        path = self.folder / shard_name(number, self.plan)
        return entry_of(path, number, self.plan) if path.is_file() else None

    def _codes(self, part: Part) -> Iterator[Shard]:
        names, data = part
        start = 0
        for codes in encode_stream(self.model, data, self.plan.batch, self.plan.precision):
            rows = slice(start, start + len(codes))
            labels = {name: label.values[rows] for name, label in data.labels.items()}
            yield Shard.of(codes, names[rows], inside(data.observed(rows)), labels)
            start += len(codes)


@contextlib.contextmanager
def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Iterator["Future[Result]"]]:
    """Apply a function to items in threads, a few items ahead of the place where the results are used.

    Args:
        function: that is called in several threads at once.
        items: in the order of the results.
        workers: number of threads; so many items and one are in memory.

    Yields:
        The results in order.
    """
    queue = iter(items)
    pool = ThreadPoolExecutor(workers)

    def results() -> Iterator["Future[Result]"]:
        waiting = deque(pool.submit(function, item) for item in islice(queue, workers + 1))
        while waiting:
            yield waiting.popleft()
            waiting.extend(pool.submit(function, item) for item in islice(queue, 1))

    try:
        yield results()
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def threads_of_torch(number: int) -> Iterator[None]:
    """Compute with so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        free = shutil.disk_usage(folder).free / 2**20
        full = OSError(
            f"output: the disk of {folder} is full ({free:,.0f} MB are free). Finished shards are kept: make room and give the "
            "same command again"
        )
        full.errno = errno.ENOSPC
        raise full from error
