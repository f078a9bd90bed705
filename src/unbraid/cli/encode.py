"""`unbraid encode RUN INPUT --output codes.npz`: write the codes of sequences to a file or to a folder of shards."""

from pathlib import Path
from typing import Literal

from unbraid.cli.parser import call

__all__ = ["encode", "main"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(encode, "encode", arguments)


def encode(
    run: Path,
    input: str,
    output: Path = Path("codes.npz"),
    format: Literal["safetensors", "parquet"] = "safetensors",
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    workers: int | None = None,
    steps: int | None = None,
    unusable: Literal["refuse", "leave_out"] | None = None,
    root: Path | None = None,
    cache: Path | None = None,
    batch: int = 256,
    shard: int | None = None,
    threads: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["auto", "bfloat16", "float32"] = "auto",
    force: bool = False,
) -> int:
    """Write the static and dynamic codes of sequences to a file or to a folder of shards.

    A file holds `static (N, S)`, `dynamic (N, T, D)`, `lengths (N,)` (steps of each sequence; what follows them in
    `dynamic` is zero) and `names (N,)`; for a data set also `labels/<name>`. A folder holds shards of codes and a
    manifest.json. Memory does not grow with the number of sequences. A job that was stopped, killed or met a full disk goes on
    where it was when the same command is given again.

    Args:
        run: folder of the run whose model encodes, or name of a pretrained model (puppets/dbse).
        input: name of a data set, a folder of videos, of image folders or of sounds, one video or sound, a .npy or .npz
            file, or a table of series (.csv, .parquet) with the columns of the run's table. It is read and scaled as the
            training data were; arrays are in the units of those data.
        output: a .npz file (NumPy), a .h5 file (HDF5), or a folder of shards for large corpora.
        format: of the shards of a folder.
        engine: this process, or workers of Ray Data (extra `ray`), which write the same shards.
        address: of a Ray cluster, HOST:PORT; the workers must see the same paths. By default Ray is started on this machine.
        workers: threads that read ahead (by default 2); with Ray, processes that encode (by default one for each processor).
        steps: frames of a clip, for videos and images; longer ones are cut. By default as in training.
        unusable: what to do with files that cannot be read: refuse, or leave_out, which is said. By default as in training.
        root: folder of a data set's files, where it needs one.
        cache: folder where prepared data sets are kept.
        batch: sequences that are encoded together.
        shard: recordings of a shard (by default 256), or sequences of a data set, array or table (by default 4096).
        threads: of the computation; by default all of this machine's, with Ray 1 in each worker.
        device: where the model computes.
        precision: of the convolutions of frames; auto is bfloat16 where the device multiplies in it, which is faster and
            changes the codes by less than 1% of their deviation.
        force: overwrite the output; remove unfinished shards of another model, corpus or setting.
    """
    from unbraid.corpus import encode_corpus

    encoded = encode_corpus(
        run,
        input,
        output,
        format=format,
        engine=engine,
        address=address,
        workers=workers,
        steps=steps,
        unusable=unusable,
        root=root,
        cache=cache,
        batch=batch,
        shard=shard,
        threads=threads,
        device=device,
        precision=precision,
        force=force,
    )
    there = encoded.shards - encoded.made
    before = f"; {there} of {encoded.shards} shards were finished before" if there else ""
    print(f"wrote {encoded.output}: codes of {encoded.sequences:,} sequences{before}")
    return 0
