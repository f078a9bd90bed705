"""The manifest of a folder of shards: what was encoded by which model and how, and which shards are finished.

The plan is fixed when a job starts: it decides which sequences are encoded together, so that the same plan gives the same shards
whoever computes them, in whatever order. A job that goes on must have the same plan. Only the process that started a job writes
its manifest. A shard that was finished after the manifest was last written is recognised by the plan in its own metadata.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from unbraid.corpus.shards import FORMATS, Format, Shard, read_shard
from unbraid.files import (
    LOCK,
    FileInUseError,
    digest,
    locked,
    read_json,
    remove_leftovers,
    with_checksum,
    write_atomically,
)

__all__ = [
    "MANIFEST",
    "Entry",
    "Manifest",
    "Plan",
    "one_job",
    "read_manifest",
    "read_shards",
    "remove_shards",
    "shard_name",
]

MANIFEST = "manifest.json"
_SECONDS = 5.0  # between two writings of the manifest,
_PAUSES = 20  # and so many times what the last one took


@dataclass(frozen=True)
class Plan:
    """What decides every shard.

    Attributes:
        model: hash of the model.
        data: fingerprint of the corpus.
        steps: frames of a clip that were asked for, or None.
        format: of the shards.
        batch: sequences that are encoded together.
        shard: units of a shard that were asked for, or None.
        shards: number of shards.
        units: number of recordings, or of sequences that are in one file.
        threads: of the computation.
        device: cpu or cuda.
        precision: of the convolutions of frames, bfloat16 or float32.
    """

    model: str
    data: str
    steps: int | None
    format: Format
    batch: int
    shard: int | None
    shards: int
    units: int
    threads: int
    device: str
    precision: Literal["bfloat16", "float32"]


@dataclass(frozen=True)
class Entry:
    """A finished shard.

    Attributes:
        shard: its number, from 0.
        file: its name; None where no recording of it could be read.
        bytes: of the file.
        sha256: of the file.
        sequences: in it.
        steps: of all its sequences together.
        longest: steps of its longest sequence.
        arrays: name to type and shape of the arrays of one sequence; `dynamic`: of one step.
        left_out: what is wrong with each recording that could not be read.
    """

    shard: int
    file: str | None
    bytes: int
    sha256: str | None
    sequences: int
    steps: int
    longest: int
    arrays: Mapping[str, list[Any]]
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path, number: int, shard: Shard, left_out: tuple[str, ...] = ()) -> "Entry":
        """The entry of a shard that is on the disk."""
        arrays = {
            name: [str(values.dtype), list(values.shape[1:])] for name, values in shard.arrays().items()
        }
        return cls(
            number,
            path.name,
            path.stat().st_size,
            digest(path),
            len(shard.names),
            int(shard.lengths.sum()),
            int(shard.lengths.max(initial=0)),
            arrays,
            left_out,
        )


def shard_name(number: int, plan: Plan) -> str:
    """The name of a shard's file."""
    return f"shard-{number:06d}.{plan.format}"


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The content of a folder's manifest.

    Raises:
        FileNotFoundError: the folder holds none.
        ValueError: it is damaged, or was not written by `unbraid encode`.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: holds no {MANIFEST}; give a folder that `unbraid encode` wrote")
    content = read_json(path)
    if content.get("unbraid") != "codes":
        raise ValueError(f"{path}: was not written by `unbraid encode`; choose another folder")
    return content


def read_shards(folder: str | Path) -> Iterator[Shard]:
    """The codes of a folder that `unbraid encode` wrote, shard by shard, in the order of the corpus.

    Raises:
        FileNotFoundError: the folder holds no manifest.
        ValueError: encoding is not finished, or a shard is damaged.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if not manifest["finished"]:
        raise ValueError(f"{folder}: its encoding is not finished; give the command that began it again")
    for entry in manifest["shards"]:
        if entry["file"] is None:  # none of its recordings could be read
            continue
        path = folder / entry["file"]
        if not path.is_file() or digest(path) != entry["sha256"]:
            raise ValueError(
                f"{path}: is missing or damaged; remove it and encode again, which makes it anew"
            )
        yield read_shard(path)[0]


@contextlib.contextmanager
def one_job(folder: Path) -> Iterator[None]:
    """Be the one job that writes in a folder. It is made where it is missing, and removed when nothing is left in it.

    Raises:
        FileInUseError: another job writes there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / LOCK))
        except FileInUseError:
            raise FileInUseError(f"output: {folder} is written by another process at this moment") from None
        remove_leftovers(folder)
        try:
            yield
        finally:
            if [path.name for path in folder.iterdir()] == [LOCK]:
                (folder / LOCK).unlink()
                folder.rmdir()


class Manifest:
    """The plan of a job and its finished shards, kept in `manifest.json`.

    Args:
        folder: of the shards.
        plan: of the job.
        entries: the finished shards, by number.
        added: to the file; it decides nothing.
    """

    def __init__(
        self, folder: Path, plan: Plan, entries: dict[int, Entry], added: Mapping[str, Any] | None = None
    ) -> None:
        self.folder, self.plan, self.entries, self.added = folder, plan, entries, dict(added or {})
        self.next_writing = time.monotonic() + _SECONDS

    @classmethod
    def begin_or_go_on(cls, folder: Path, plan: Plan, added: Mapping[str, Any], force: bool) -> "Manifest":
        """The manifest of a job that starts, or goes on where it stopped.

        Raises:
            ValueError: the folder holds shards of another plan, or something else than shards; with `force`, shards of
                another plan are removed.
        """
        if not (folder / MANIFEST).is_file():
            others = [path.name for path in folder.iterdir() if path.name != LOCK]
            if others:
                raise ValueError(f"output: {folder} holds {others[0]} and no manifest; choose another folder")
            return cls(folder, plan, {}, added)
        content = read_manifest(folder)
        if different := _differences(content["plan"], plan):
            if not force:
                raise ValueError(
                    f"output: {folder} holds codes {different}. Choose another --output, or --force to begin anew"
                )
            remove_shards(folder)
            return cls(folder, plan, {}, added)
        entries = {entry["shard"]: _entry(entry) for entry in content["shards"]}
        intact = {
            number: entry
            for number, entry in entries.items()
            if entry.file is None or _size(folder / entry.file) == entry.bytes
        }
        return cls(folder, plan, intact, added)

    def finished_meanwhile(self) -> None:
        """Take up shards that were finished after the manifest was last written."""
        for number in self.pending():
            path = self.folder / shard_name(number, self.plan)
            if path.is_file():
                entry = entry_of(path, number, self.plan)
                if entry is not None:
                    self.entries[number] = entry

    def pending(self) -> list[int]:
        """Numbers of the shards that are not finished."""
        return [number for number in range(self.plan.shards) if number not in self.entries]

    def add(self, entry: Entry) -> None:
        """Note a finished shard; the file is written every few seconds."""
        self.entries[entry.shard] = entry
        if time.monotonic() > self.next_writing:
            self.write()

    def write(self) -> None:
        """Write the file."""
        began = time.monotonic()
        entries = [self.entries[number] for number in sorted(self.entries)]
        sequences, steps = sum(e.sequences for e in entries), sum(e.steps for e in entries)
        whole = next((entry for entry in entries if entry.file is not None), None)
        counts = {"dynamic": steps}
        arrays = {
            name: {"type": kind, "shape": [counts.get(name, sequences), *shape]}
            for name, (kind, shape) in ({} if whole is None else whole.arrays).items()
        }
        content = {
            "unbraid": "codes",
            "finished": not self.pending(),
            **self.added,
            "plan": asdict(self.plan),
            "sequences": sequences,
            "longest": max((entry.longest for entry in entries), default=0),
            "arrays": arrays,
            "shards": [asdict(entry) for entry in entries],
        }
        text = json.dumps(with_checksum(content), indent=1)
        write_atomically(self.folder / MANIFEST, text + "\n")
        ended = time.monotonic()
        self.next_writing = ended + max(_SECONDS, _PAUSES * (ended - began))

    def close(self) -> None:
        """Write the file for the last time; without a finished shard there is none."""
        if self.entries:
            self.write()
        else:
            (self.folder / MANIFEST).unlink(missing_ok=True)


def entry_of(path: Path, number: int, plan: Plan) -> Entry | None:
    """The entry of a shard's file; None where it is damaged or of another plan."""
    try:
        shard, about = read_shard(path)
    except ValueError:
        return None
    if about.get("plan") != asdict(plan) or about.get("shard") != number:
        return None
    return Entry.of(path, number, shard, tuple(about["left_out"]))


def _entry(values: Mapping[str, Any]) -> Entry:
    return Entry(**{**values, "left_out": tuple(values["left_out"])})


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _differences(before: Mapping[str, Any], plan: Plan) -> str:
    """How the codes in a folder differ from those that are to be made; nothing where they do not."""
    now = asdict(plan)
    if before.get("model") != now["model"]:
        return f"of another model ({before.get('model')}, not {now['model']})"
    if before.get("data") != now["data"]:
        return f"of another corpus, or its files changed ({before.get('data')}, not {now['data']})"
    others = [name for name in now if before.get(name) != now[name]]
    return (
        "made with " + ", ".join(f"{n} {before.get(n)} instead of {now[n]}" for n in others) if others else ""
    )


def remove_shards(folder: Path) -> None:
    """Remove what a job wrote, the manifest last, so that what a kill leaves is known by it."""
    for ending in FORMATS:
        for path in folder.glob(f"shard-[0-9]*.{ending}"):
            path.unlink()
    (folder / MANIFEST).unlink(missing_ok=True)
