"""Uploaded files, read by the same checked readers as all others, in a process of its own with bounds on time and memory."""

import contextlib
import itertools
import multiprocessing
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from unbraid.data.formats.images import IMAGE_ENDINGS
from unbraid.data.formats.sounds import AUDIO_ENDINGS
from unbraid.data.formats.tables import TABLE_ENDINGS, table_ending
from unbraid.data.formats.video import MOVIE_ENDINGS
from unbraid.data.own.arrays import ARRAY_ENDINGS
from unbraid.data.sequences import Sequences
from unbraid.inputs import open_corpus, read_one, read_parts
from unbraid.page.session import Clip
from unbraid.remarks import Remark
from unbraid.training import Run, open_run

__all__ = ["BYTES", "FILES", "LARGEST", "endings", "read_upload", "warm_up"]

LARGEST = "64mb"  # of a file
BYTES = 64 * 2**20  # of all files of one upload
FILES = 200
SECONDS = 20.0  # for reading
MEMORY = 2 * 2**30  # bytes that reading may take
CLIPS = 20  # that are kept of one upload
STEPS = 1024  # that are kept of each


def endings(kind: str) -> tuple[str, ...]:
    """The endings of files that a page can read, by how its sequences are shown; see `Session.kind`."""
    if kind == "frames":
        return (*MOVIE_ENDINGS, *IMAGE_ENDINGS)
    return tuple(AUDIO_ENDINGS) if kind == "sound" else (*TABLE_ENDINGS, *ARRAY_ENDINGS)


def read_upload(
    run: Path, kind: str, paths: Sequence[Path], seconds: float = SECONDS
) -> tuple[list[Clip], list[str]]:
    """The sequences of uploaded files, read as the run's data were.

    Several images together are one sequence, in the natural order of their names.

    Args:
        run: folder of the run.
        kind: how its sequences are shown.
        paths: of the files.
        seconds: after which reading is stopped.

    Returns:
        The sequences, and remarks on what was cut or left out.

    Raises:
        ValueError: too many or too large files, of another kind, damaged, or too slow to read.
    """
    _check(kind, paths)
    context = _context()
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="unbraid-upload-") as name:
        folder = _gathered(paths, Path(name))
        reader = context.Process(target=_read, args=(run, folder, kind, sender), daemon=True)
        reader.start()
        sender.close()
        try:
            if not receiver.poll(seconds):
                raise ValueError(
                    f"upload: reading took longer than {seconds:.0f} seconds and was stopped; give a shorter or smaller file"
                )
            answer = receiver.recv()
        except EOFError:
            raise ValueError(
                "upload: reading ended without a result; the file is damaged or needs too much memory"
            ) from None
        finally:
            reader.kill()
            reader.join()
            receiver.close()
    if isinstance(answer, str):
        raise ValueError(answer)
    return answer


def warm_up() -> None:
    """Start the process that readers are forked from, so that the first upload is read at once."""
    process = _context().Process(target=print, args=("",), kwargs={"end": ""}, daemon=True)
    process.start()
    process.join()


def _context() -> multiprocessing.context.SpawnContext | multiprocessing.context.ForkServerContext:
    """Readers are forked from a process that has imported them and runs no threads; Windows starts each anew."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _check(kind: str, paths: Sequence[Path]) -> None:
    """Refuse uploads before they are read."""
    if not paths:
        raise ValueError("upload: holds no file")
    if len(paths) > FILES:
        raise ValueError(f"upload: {len(paths)} files are too many; give at most {FILES}")
    size = sum(path.stat().st_size for path in paths)
    if size > BYTES:
        raise ValueError(f"upload: {size / 2**20:.0f} MB are too many; give at most {BYTES // 2**20} MB")
    readable = endings(kind)
    for path in paths:
        if table_ending(path) not in readable and path.suffix.lower() not in readable:
            shown = ", ".join(readable[:8])
            raise ValueError(
                f"upload: {path.name} is of no kind that this model reads; give files that end in {shown}, ..."
            )


def _gathered(paths: Sequence[Path], folder: Path) -> Path:
    """Copies of the files: videos and sounds in one folder, images together in a folder of their own; or a single table."""
    images = [path for path in paths if path.suffix.lower() in IMAGE_ENDINGS]
    for number, path in enumerate(paths):
        place = folder / "images" if path in images else folder
        place.mkdir(exist_ok=True)
        target = place / path.name
        shutil.copyfile(path, target if not target.exists() else place / f"{number}-{path.name}")
    return folder


# ---- in the process that reads --------------------------------------------------------------------------


def _read(name: Path, folder: Path, kind: str, sender: Connection) -> None:
    """Send the sequences and the remarks, or the text of an error; neither names the folder of the copies."""
    try:
        _bound_memory()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            clips = list(itertools.islice(_clips(open_run(name), folder, kind), CLIPS))
        remarks = [str(warning.message) for warning in caught if issubclass(warning.category, Remark)]
        cut = [Clip(clip.title, _first_steps(clip.sequence)) for clip in clips]
        if any(short.sequence is not long.sequence for short, long in zip(cut, clips, strict=True)):
            remarks.append(f"only the first {STEPS:,} steps of a sequence are used")
        sender.send((cut, [_without(folder, text) for text in remarks]))
    except MemoryError:
        sender.send(f"upload: reading needs more than {MEMORY // 2**30} GB of memory; give a smaller file")
    except (ValueError, OSError, ImportError) as error:
        sender.send(_without(folder, f"upload: {error}"))
    finally:
        sender.close()


def _clips(run: Run, folder: Path, kind: str) -> Iterator[Clip]:
    """The sequences of the copies in a folder."""
    for path in sorted(folder.iterdir()):
        if kind in ("frames", "sound"):
            sequence = read_one(str(path), run, "upload")
            yield Clip(path.name, sequence)
        else:
            for names, table in read_parts(open_corpus(str(path), run)):
                for row, name in enumerate(names):
                    yield Clip(f"{path.name} · {name}", table.take(np.array([row])))


def _first_steps(sequence: Sequences) -> Sequences:
    """The first `STEPS` steps of a sequence; of a recording its first rows, with as many steps at most."""
    if sequence.steps * len(sequence) <= STEPS:
        return sequence
    steps = min(sequence.steps, STEPS)
    rows = max(1, STEPS // steps)
    short = sequence.take(slice(0, rows))
    return replace(
        short,
        x=short.x[:, :steps],
        lengths=None if short.lengths is None else short.lengths.clip(max=steps),
        mask=None if short.mask is None else short.mask[:, :steps],
        times=None if short.times is None else short.times[:, :steps],
        targets={},
        labels={},
        fingerprint="",
    )


def _without(folder: Path, text: str) -> str:
    return text.replace(f"{folder}/", "").replace(str(folder), "the upload")


def _bound_memory() -> None:
    """Let this process take `MEMORY` more bytes than it has, where the system can bound it."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
