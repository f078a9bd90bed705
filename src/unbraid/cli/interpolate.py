"""`unbraid interpolate RUN A B`: A's motion while its static code turns into B's."""

from pathlib import Path

from unbraid.cli.common import call, new_file

__all__ = ["interpolate", "main"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(interpolate, "interpolate", arguments)


def interpolate(
    run: Path, a: str, b: str, steps: int = 7, output: Path = Path("interpolation.gif"), force: bool = False
) -> int:
    """Write A's motion under static codes on the line from A's to B's, side by side.

    Args:
        run: folder of the run.
        a: a video, a folder of images, FILE.npy:ROW, or a row of the run's own data: test:12.
        b: likewise.
        steps: how many static codes, A's and B's included.
        output: .gif, .png (a row per clip, a column per step) or .npy.
        force: overwrite the output.
    """
    from unbraid import generation
    from unbraid.cli.output import check_ending, write_clips
    from unbraid.inputs import one
    from unbraid.training import open_run

    check_ending(output)
    if steps < 2:
        raise ValueError(f"steps: {steps} must be at least 2")
    opened = open_run(run)
    here, there = (
        generation.encode(opened.model, one(text, opened, name)) for name, text in (("a", a), ("b", b))
    )
    new_file(output, force)
    write_clips(output, list(generation.interpolate(opened.model, here, there, steps)[:, 0].numpy()))
    print(f"wrote {output}")
    return 0
