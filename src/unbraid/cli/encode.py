"""`unbraid encode RUN INPUT --output codes.npz`: write the codes of sequences to a file."""

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
    steps: int | None = None,
    unusable: Literal["refuse", "leave_out"] | None = None,
    root: Path | None = None,
    cache: Path | None = None,
    batch: int = 256,
    force: bool = False,
) -> int:
    """Write the static and dynamic codes of sequences to a file.

    The file holds `static (N, S)`, `dynamic (N, T, D)`, `lengths (N,)` (steps of each sequence; what follows them in
    `dynamic` is zero) and `names (N,)`; for a data set also `labels/<name>`.

    Args:
        run: folder of the run whose model encodes.
        input: name of a data set, a folder of videos, of image folders or of sounds, one video or sound, a .npy or .npz
            file, or a table of series (.csv, .parquet) with the columns of the run's table. It is read and scaled as the
            training data were.
        output: a .npz file (NumPy) or a .h5 file (HDF5).
        steps: frames of a clip, for videos and images; longer ones are cut. By default as in training.
        unusable: what to do with files that cannot be read: refuse, or leave_out, which is said. By default as in training.
        root: folder of a data set's files, where it needs one.
        cache: folder where prepared data sets are kept.
        batch: sequences that are encoded at once.
        force: overwrite the output.
    """
    import numpy as np

    from unbraid.cli.output import check_output, write_arrays
    from unbraid.generation import encode_stream
    from unbraid.inputs import read_parts
    from unbraid.masks import inside
    from unbraid.training import open_run

    check_output(output, (".npz", ".h5"), force)
    opened = open_run(run)
    opened.model.require("encode")
    columns: dict[str, list[np.ndarray]] = {}  # each in the parts that it came in
    for names, data in read_parts(input, opened, steps=steps, unusable=unusable, root=root, cache=cache):
        start = 0
        for codes in encode_stream(opened.model, data, batch):
            rows = slice(start, start + len(codes))
            steps_inside = inside(data.observed(rows))
            part = {
                "static": codes.static.numpy(),
                "dynamic": np.where(steps_inside[..., None], codes.dynamic.numpy(), np.float32(0)),
                "lengths": steps_inside.sum(1),
                "names": np.array(names[rows]),
                **{f"labels/{name}": np.asarray(label.values[rows]) for name, label in data.labels.items()},
            }
            for name, values in part.items():
                columns.setdefault(name, []).append(values)
            start += len(codes)
    shapes = write_arrays(output, columns)
    print(f"wrote {output}: static {shapes['static']}, dynamic {shapes['dynamic']}")
    return 0
