"""`unbraid swap RUN A B`: the static code of A with the dynamic codes of B, and the other way round."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from unbraid.cli.parser import call

if TYPE_CHECKING:
    from unbraid.data.sequences import Sequences
    from unbraid.training import Run
    from unbraid.types import Codes

    Take = Callable[[Codes, Codes], Codes]

__all__ = ["main", "swap"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(swap, "swap", arguments)


def swap(
    run: Path,
    a: str,
    b: str,
    output: Path = Path("swap.gif"),
    components: list[int] | None = None,
    force: bool = False,
) -> int:
    """Write A, B, A with B's dynamics, and B with A's dynamics, side by side; of sounds, B's words in A's voice.

    Args:
        run: folder of the run, or name of a pretrained model (puppets/dbse).
        a: a video, a folder of images, a sound file, FILE.npy:ROW, TABLE.csv:ROW, or a row of the run's own data:
            test:12.
        b: the same.
        output: .gif, .png (a row per clip, a column per step), or .npy or .wav (of sound) with only the sequence
            that has A's static code and B's dynamic codes; .npy is in the units of the data.
        components: exchange only these components of the static code, numbered from 0; for videos and images the report
            draws them with their numbers.
        force: overwrite the output.
    """
    from unbraid.cli.output import CLIPS, check_output
    from unbraid.inputs import read_one
    from unbraid.training import open_run

    check_output(output, (*CLIPS, ".wav"), force)
    opened = open_run(run)
    first, second = read_one(a, opened, "a"), read_one(b, opened, "b")
    sound = second.kind == "sound"
    check_output(output, (".wav", ".npy") if sound else CLIPS, force)
    opened.model.require("encode", "decode")
    take = _taking(opened, components or [])
    (_swap_sounds if sound else _swap_clips)(opened, first, second, output, take)
    print(f"wrote {output}")
    return 0


def _taking(run: "Run", numbers: list[int]) -> "Take":
    """A function of two codes: the first with some components of the second's static code, by default with all of it."""
    from unbraid.components import FEWEST_SEQUENCES, train_components
    from unbraid.generation import factor_of
    from unbraid.training.opened import load_same_data

    if not numbers:
        static = factor_of(run.model, "static")
        return lambda codes, other: codes.exchange(other, static)
    run.model.require("decoded_static")
    found = train_components(run.model, load_same_data(run))
    if found is None:
        raise ValueError(
            "components: there are none; the run's train split has fewer than "
            f"{FEWEST_SEQUENCES} sequences, or their static codes do not vary"
        )
    return lambda codes, other: found.exchange(codes, other, tuple(numbers))


def _swap_sounds(run: "Run", voice: "Sequences", words: "Sequences", output: Path, take: "Take") -> None:
    """Write what one recording says in the voice of another."""
    import numpy as np

    from unbraid.cli.output import in_units
    from unbraid.files import replacing
    from unbraid.sounds import exchange, hear, write_wav

    x = exchange(run.model, voice, words, take)
    with replacing(output) as temporary:
        if output.suffix == ".npy":
            np.save(temporary, in_units(run, x))
        elif words.sound is not None:
            write_wav(temporary, hear(x, words), words.sound.sampling_rate)


def _swap_clips(run: "Run", a: "Sequences", b: "Sequences", output: Path, take: "Take") -> None:
    """Write two clips and the two that have the static code of one and the dynamic codes of the other."""
    import numpy as np

    from unbraid import generation
    from unbraid.cli.output import in_units, write_clips
    from unbraid.files import replacing
    from unbraid.masks import inside_steps

    model = run.model
    batches = [clip.batch(slice(None)) for clip in (a, b)]
    steps_a, steps_b = (inside_steps(batch.x, batch.mask) for batch in batches)
    codes_a, codes_b = generation.encode(model, a), generation.encode(model, b)
    swapped = generation.decode(model, take(codes_b, codes_a), steps=steps_b)[0, steps_b[0]].numpy()
    if output.suffix == ".npy":
        with replacing(output) as temporary:
            np.save(temporary, in_units(run, swapped))
        return
    other = generation.decode(model, take(codes_a, codes_b), steps=steps_a)[0, steps_a[0]].numpy()
    originals = [
        batch.x[0, steps[0]].numpy() for batch, steps in zip(batches, (steps_a, steps_b), strict=True)
    ]
    write_clips(output, [*originals, swapped, other])
