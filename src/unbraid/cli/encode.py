"""`unbraid encode RUN INPUT --output codes.npz`: write the codes of sequences to a file."""

from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.cli.parser import call

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

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

    The file holds `static (N, S)`, `dynamic (N, T, D)`, `lengths (N,)` (steps of each sequence; what follows them in
    `dynamic` is zero) and `names (N,)`; for a data set also `labels/<name>`.

    Args:
        run: folder of the run whose model encodes.
        input: name of a data set, a folder of videos, of image folders or of sounds, one video or sound, a .npy or .npz
            file, or a table of series (.csv, .parquet) with the columns of the run's table. It is read and scaled as the
            training data were.
        output: a .npz file (NumPy) or a .h5 file (HDF5).
        steps: frames of a clip, for videos and images; longer ones are cut. By default as in training.
        root: folder of a data set's files, where it needs one.
        cache: folder where prepared data sets are kept.
        batch: sequences that are encoded at once.
        force: overwrite the output.
    """
    import numpy as np

    from unbraid import generation
    from unbraid.cli.output import check_output
    from unbraid.inputs import read_parts
    from unbraid.masks import inside_steps
    from unbraid.training import open_run

    check_output(output, (".npz", ".h5"), force)
    opened = open_run(run)
    opened.model.require("encode")
    names: list[str] = []
    static, dynamic, lengths = [], [], []
    labels: dict[str, list[np.ndarray]] = {}
    for part_names, data in read_parts(input, opened, steps=steps, root=root, cache=cache):
        codes = generation.encode(opened.model, data, batch)
        whole = data.batch(slice(None))
        steps_inside = inside_steps(whole.x, whole.mask).numpy()
        names += part_names
        static.append(codes.static.numpy())
        dynamic.append(np.where(steps_inside[..., None], codes.dynamic.numpy(), 0))
        lengths.append(steps_inside.sum(1))
        for name, label in data.labels.items():
            labels.setdefault(f"labels/{name}", []).append(np.asarray(label.values))
    longest = max(part.shape[1] for part in dynamic)
    arrays = {
        "static": np.concatenate(static),
        "dynamic": np.concatenate(
            [np.pad(part, ((0, 0), (0, longest - part.shape[1]), (0, 0))) for part in dynamic]
        ),
        "lengths": np.concatenate(lengths),
        "names": np.array(names),
        **{name: np.concatenate(parts) for name, parts in labels.items()},
    }
    _write(output, arrays)
    print(f"wrote {output}: static {arrays['static'].shape}, dynamic {arrays['dynamic'].shape}")
    return 0


def _write(path: Path, arrays: "Mapping[str, np.ndarray]") -> None:
    import numpy as np

    from unbraid.files import replacing

    with replacing(path) as temporary:
        if path.suffix == ".npz":
            np.savez(temporary, allow_pickle=False, **arrays)
            return
        import h5py

        with h5py.File(temporary, "w", locking=False) as file:
            for name, array in arrays.items():
                file[name] = array.astype(object) if name == "names" else array
