"""`unbraid sample RUN`: draw new sequences."""

from pathlib import Path

from unbraid.cli.parser import call

__all__ = ["main", "sample"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(sample, "sample", arguments)


def sample(
    run: Path,
    n: int = 8,
    length: int | None = None,
    output: Path = Path("samples.gif"),
    seed: int = 0,
    force: bool = False,
) -> int:
    """Draw new sequences: both codes from the prior.

    Args:
        run: folder of the run, or name of a pretrained model (puppets/dbse).
        n: how many, at least 1.
        length: steps of each, at least 1; by default as in the run's data.
        output: .gif (side by side), .png (a row per clip, a column per step) or .npy (series in the units of the data).
        seed: of the random draws.
        force: overwrite the output.
    """
    import torch

    from unbraid.cli.output import CLIPS, check_output, in_units, write_clips
    from unbraid.generation import decode, evaluating
    from unbraid.training import open_run
    from unbraid.training.run import load_run_data

    check_output(output, CLIPS, force)
    for name, value in (("n", n), ("length", length)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: {value} must be at least 1")
    opened = open_run(run)
    opened.model.require("decode", "static_prior", "dynamic_prior")
    if length is None:
        try:
            length = load_run_data(opened.config).steps
        except (FileNotFoundError, ValueError) as error:
            raise ValueError(f"length: give it, because the run's data cannot be read ({error})") from None
    generator = torch.Generator().manual_seed(seed)
    with evaluating(opened.model) as model:
        codes = model.draw(n, length, generator)
    x = decode(model, codes, generator=generator)
    write_clips(output, list(in_units(opened, x.numpy())))
    print(f"wrote {output}")
    return 0
