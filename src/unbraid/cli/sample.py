"""`unbraid sample RUN`: draw new sequences."""

from pathlib import Path

from unbraid.cli.common import call, load_data, new_file

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
        run: folder of the run.
        n: how many.
        length: steps of each; by default as in the run's data.
        output: .gif (side by side), .png (a row per clip, a column per step) or .npy.
        seed: of the draws.
        force: overwrite the output.
    """
    import torch

    from unbraid.cli.output import check_ending, write_clips
    from unbraid.generation import evaluating
    from unbraid.training import open_run

    check_ending(output)
    for name, value in (("n", n), ("length", length)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: {value} must be at least 1")
    opened = open_run(run)
    if length is None:
        try:
            length = load_data(opened.config).steps
        except (FileNotFoundError, ValueError) as error:
            raise ValueError(f"length: is needed, as the run's data are not here ({error})") from None
    new_file(output, force)
    with evaluating(opened.model) as model:
        drawn = model.sample(n, length, torch.Generator().manual_seed(seed))
    write_clips(output, list(drawn.numpy()))
    print(f"wrote {output}")
    return 0
