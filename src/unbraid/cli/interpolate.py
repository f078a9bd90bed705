"""`unbraid interpolate RUN A B`: A's dynamics while its static code turns into B's."""

from pathlib import Path

from unbraid.cli.parser import call

__all__ = ["interpolate", "main"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(interpolate, "interpolate", arguments)


def interpolate(
    run: Path, a: str, b: str, steps: int = 7, output: Path = Path("interpolation.gif"), force: bool = False
) -> int:
    """Write A's dynamics under static codes on the line from A's to B's, side by side.

    Args:
        run: folder of the run, or name of a pretrained model (puppets/dbse).
        a: a video, a folder of images, FILE.npy:ROW, TABLE.csv:ROW, or a row of the run's own data: test:12.
        b: the same.
        steps: how many static codes, A's and B's included; at least 2.
        output: .gif, .png (a row per clip, a column per step) or .npy (series in the units of the data).
        force: overwrite the output.
    """
    from unbraid import generation
    from unbraid.cli.output import CLIPS, check_output, in_units, write_clips
    from unbraid.inputs import read_one
    from unbraid.masks import inside_steps
    from unbraid.training import open_run

    check_output(output, CLIPS, force)
    if steps < 2:
        raise ValueError(f"steps: {steps} must be at least 2")
    opened = open_run(run)
    opened.model.require("encode", "decode")
    first, second = read_one(a, opened, "a"), read_one(b, opened, "b")
    codes_a, codes_b = (generation.encode(opened.model, clip) for clip in (first, second))
    whole = first.batch(slice(None))
    inside = inside_steps(whole.x, whole.mask)
    line = generation.interpolate(opened.model, codes_a, codes_b, steps, inside)
    write_clips(output, list(in_units(opened, line[:, 0, inside[0]].numpy())))
    print(f"wrote {output}")
    return 0
