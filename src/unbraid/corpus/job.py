"""Encode a corpus to a folder of shards, or to one file of them; a job that was stopped goes on."""

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

import unbraid
from unbraid.corpus.encoding import Encoder, Outcome, Task, full_disk_named
from unbraid.corpus.joined import join_shards
from unbraid.corpus.manifest import MANIFEST, Manifest, Plan, one_job, read_manifest, remove_shards
from unbraid.corpus.shards import Format
from unbraid.data.formats.paths import refuse_broken
from unbraid.data.formats.tables import TABLE_ENDINGS, table_ending
from unbraid.generation import Precision
from unbraid.inputs import Corpus, open_corpus
from unbraid.io import model_fingerprint
from unbraid.machine import choose_device, choose_precision
from unbraid.progress import progress_bar
from unbraid.training import Run, open_run

__all__ = ["FILES", "Encoded", "encode_corpus"]

FILES = (".npz", ".h5")
NO_FOLDERS = (
    ".npy",
    ".hdf5",
    ".safetensors",
    ".json",
    ".pt",
    ".pkl",
)  # endings of files that are no names of folders
READERS = 2  # threads that read ahead


@dataclass(frozen=True)
class Encoded:
    """What a job wrote.

    Attributes:
        output: the folder of shards, or the file.
        sequences: number of sequences.
        shards: number of shards.
        made: number of shards that this call made; the others were there.
    """

    output: Path
    sequences: int
    shards: int
    made: int


def encode_corpus(
    run: str | Path,
    text: str,
    output: str | Path,
    *,
    format: Format = "safetensors",
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    workers: int | None = None,
    steps: int | None = None,
    unusable: str | None = None,
    root: str | Path | None = None,
    cache: str | Path | None = None,
    batch: int = 256,
    shard: int | None = None,
    threads: int | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    force: bool = False,
) -> Encoded:
    """Write the codes of sequences, in memory that does not grow with their number.

    The same plan (model, corpus, batch, shard, threads, device, precision) gives the same shards bit for bit, whichever engine computes
    them. A job that was stopped at any moment goes on when it is called again: a finished shard is not made again.

    Args:
        run: folder of the run whose model encodes.
        text: name of a data set, or a path; see `unbraid.inputs.open_corpus`.
        output: a folder of shards, or a `.npz` or `.h5` file. The shards of a file are kept in `OUTPUT.shards` until it is
            whole.
        format: of the shards.
        engine: `local`, this process; `ray`, workers of Ray Data (extra `ray`).
        address: of a Ray cluster, HOST:PORT; None to start Ray on this machine.
        workers: threads that read ahead; with Ray, processes that encode (None: as many as the processors allow).
        steps: frames of a clip, for videos and images. By default as in training.
        unusable: what to do with files that cannot be read, `refuse` or `leave_out`. By default as in training.
        root: folder of a data set's files, where it needs one.
        cache: folder where prepared data sets are kept.
        batch: sequences that are encoded together.
        shard: recordings of a shard, or sequences of a data set, array or table; None for 256 and 4096.
        threads: of the computation; None for those of the job that goes on, or all of this machine's, or with Ray 1 in each worker.
        device: `cpu`, `cuda` or `auto`.
        precision: of the convolutions of frames; see `unbraid.generation.encode_stream`.
        force: overwrite the output, and remove unfinished shards of another plan.

    Raises:
        FileNotFoundError: there is no such run or path.
        FileExistsError: the output is a file, and `force` is False.
        ValueError: the output holds codes of another plan, files cannot be read (those that can are encoded), or a setting
            does not fit.
        OSError: the disk is full, another process writes the output, or no Ray cluster answers at the address; finished
            shards are kept.
        ImportError: an extra is not installed.
    """
    output = Path(output)
    for name, value in (("batch", batch), ("shard", shard), ("threads", threads), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: {value} must be at least 1")
    if address is not None and engine != "ray":
        raise ValueError("address: is of a Ray cluster; add --engine ray")
    joined = output.suffix in FILES
    if joined and output.exists() and not force:
        raise FileExistsError(f"output: {output} exists; give another name, or --force to overwrite it")
    if not output.is_dir() and (output.suffix in NO_FOLDERS or table_ending(output) in TABLE_ENDINGS):
        raise ValueError(
            f"output: {output} cannot be written; name a file that ends in .npz or .h5, or a folder, whose shards --format parquet "
            "makes tables"
        )
    if not joined and output.exists() and not output.is_dir():
        raise ValueError(f"output: {output} is a file; name a folder, or a file that ends in .npz or .h5")
    opened = open_run(run)
    opened.model.require("encode")
    corpus = open_corpus(text, opened, steps=steps, unusable=unusable, root=root, cache=cache)
    units = corpus.shards(shard)
    folder = output.with_name(output.name + ".shards") if joined else output
    if threads is None and (folder / MANIFEST).is_file():
        threads = read_manifest(folder)["plan"]["threads"]
    chosen_device = choose_device(device) if engine == "local" or device == "auto" else device
    plan = Plan(
        model=model_fingerprint(opened.folder),
        data=corpus.fingerprint,
        steps=steps,
        format="safetensors" if joined else format,
        batch=batch,
        shard=shard,
        shards=len(units),
        units=len(corpus),
        threads=threads or (1 if engine == "ray" else torch.get_num_threads()),
        device=chosen_device,
        precision="float32" if choose_precision(precision, chosen_device) == torch.float32 else "bfloat16",
    )
    added = {"versions": {"unbraid": unbraid.__version__, "torch": torch.__version__}, "input": text}
    with one_job(folder):
        manifest = Manifest.begin_or_go_on(folder, plan, added, force)
        manifest.finished_meanwhile()
        tasks = [Task(number, corpus.items(units[number], batch)) for number in manifest.pending()]
        if engine == "ray":
            from unbraid.corpus.on_ray import outcomes_of_ray

            where = {"text": text, "steps": steps, "unusable": unusable, "root": root, "cache": cache}
            outcomes = outcomes_of_ray(opened.folder, where, plan, folder, tasks, address, workers)
        else:
            outcomes = _outcomes_here(opened, corpus, plan, folder, tasks, workers or READERS)
        _finish(manifest, outcomes, len(tasks), corpus.unusable == "leave_out")
        if joined:
            entries = [manifest.entries[number] for number in range(plan.shards)]
            with full_disk_named(output.absolute().parent):
                join_shards(folder, entries, output)
            remove_shards(folder)
    sequences = sum(entry.sequences for entry in manifest.entries.values())
    return Encoded(output, sequences, plan.shards, len(tasks))


def _outcomes_here(
    run: Run, corpus: Corpus, plan: Plan, folder: Path, tasks: Sequence[Task], readers: int
) -> Generator[Outcome, None, None]:
    """Make the shards in this process."""
    model = run.model.to(plan.device)
    yield from Encoder(model, corpus, plan, folder).run(tasks, readers)


def _finish(
    manifest: Manifest, outcomes: Generator[Outcome, None, None], count: int, leave_out: bool
) -> None:
    """Note every shard as it is finished, and write the manifest at the end, also at one by an error.

    Raises:
        ValueError: recordings cannot be read.
    """
    broken = [text for entry in manifest.entries.values() for text in entry.left_out]
    manifest.write()  # before any shard, so that shards of a job that is killed are known by their plan
    try:
        with contextlib.closing(outcomes), progress_bar("Encoding", count) as advance:
            for outcome in outcomes:
                broken += outcome.broken
                if outcome.entry is not None:
                    manifest.add(outcome.entry)
                advance("")
    except BaseException:
        with contextlib.suppress(OSError):  # of the same full disk
            manifest.close()
        raise
    with full_disk_named(manifest.folder):
        manifest.close()
    refuse_broken(broken, manifest.plan.units, leave_out)
