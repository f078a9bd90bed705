"""`unbraid encode RUN INPUT --output codes.npz`: write the codes of sequences to a file."""

from pathlib import Path

from unbraid.cli.common import call, new_file

__all__ = ["encode", "main"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(encode, "encode", arguments)


def encode(
    run: Path,
    input: str,
    output: Path = Path("codes.npz"),
    steps: int | None = None,
    root: Path | None = None,
    cache: Path | None = None,
    batch: int = 256,
    force: bool = False,
) -> int:
    """Write the static and dynamic codes of sequences to a file.

    The file holds `static (N, S)`, `dynamic (N, T, D)`, `lengths (N,)` (valid steps; the rest of a row is
    padding) and `names (N,)`; for a data set also `labels/<name>`.

    Args:
        run: folder of the run whose model encodes.
        input: a data set's name, a folder of videos or of image folders, one video, a .npy or .npz file, or a table of
            series (.csv, .parquet) with the columns of the run's; it is scaled as the training data were.
        output: a .npz file (NumPy) or a .h5 file (HDF5).
        steps: frames of a clip, for videos and images; by default as in training. Longer ones are cut.
        root: folder of a data set's files, where it needs one.
        cache: where prepared data sets are kept.
        batch: sequences encoded at once.
        force: overwrite the output.
    """
    import numpy as np

    from unbraid import generation
    from unbraid.inputs import parts
    from unbraid.training import open_run

    if output.suffix not in (".npz", ".h5"):
        raise ValueError(f"output: {output} must end in .npz or .h5")
    opened = open_run(run)
    new_file(output, force)
    names: list[str] = []
    codes, lengths = [], []
    labels: dict[str, np.ndarray] = {}
    for part, data in parts(input, opened, {"steps": steps, "root": root, "cache": cache}):
        codes.append(generation.encode(opened.model, data, batch))
        names += part
        lengths.append(np.full(len(data), data.steps) if data.lengths is None else np.asarray(data.lengths))
        labels |= {f"labels/{name}": np.asarray(label.values) for name, label in data.labels.items()}
    longest = max(part.dynamic.shape[1] for part in codes)
    padded = [np.pad(part.dynamic, ((0, 0), (0, longest - part.dynamic.shape[1]), (0, 0))) for part in codes]
    arrays = {
        "static": np.concatenate([part.static.numpy() for part in codes]),
        "dynamic": np.concatenate(padded),
        "lengths": np.concatenate(lengths),
        "names": np.array(names),
    } | labels
    if output.suffix == ".npz":
        np.savez(output, allow_pickle=False, **arrays)
    else:
        import h5py

        with h5py.File(output, "w") as file:
            for name, array in arrays.items():
                file[name] = array.astype(object) if name == "names" else array
    static, dynamic = arrays["static"].shape, arrays["dynamic"].shape
    print(f"wrote {output}: static {static}, dynamic {dynamic}")
    return 0
