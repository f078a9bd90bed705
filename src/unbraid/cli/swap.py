"""`unbraid swap RUN A B`: the static code of A with the dynamics of B, and the other way round."""

from pathlib import Path

from unbraid.cli.common import call, new_file

__all__ = ["main", "swap"]


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(swap, "swap", arguments)


def swap(run: Path, a: str, b: str, output: Path = Path("swap.gif"), force: bool = False) -> int:
    """Write A, B, A with B's motion, and B with A's motion, side by side; of sounds, B's words in A's voice.

    Args:
        run: folder of the run.
        a: a video, a folder of images, a sound file, FILE.npy:ROW, or a row of the run's own data: test:12.
        b: likewise.
        output: .gif, .png (a row per clip, a column per step), or .npy or .wav (of sound) with only the sequence
            that has A's static code and B's dynamics.
        force: overwrite the output.
    """
    import numpy as np

    from unbraid.cli.output import ENDINGS, SOUND, check_ending, write_clips
    from unbraid.generation import decode, encode
    from unbraid.inputs import one
    from unbraid.sounds import exchange, hear, write_wav
    from unbraid.training import open_run
    from unbraid.types import Codes

    check_ending(output, (*ENDINGS, SOUND))
    opened = open_run(run)
    clips = [one(text, opened, name) for name, text in (("a", a), ("b", b))]
    heard = clips[1].sound
    check_ending(output, ENDINGS if heard is None else (SOUND, ".npy"))
    new_file(output, force)
    if heard is not None:
        x = exchange(opened.model, *clips)
        if output.suffix == SOUND:
            write_wav(output, hear(x, clips[1]), heard.sampling_rate)
        else:
            np.save(output, x)
        print(f"wrote {output}")
        return 0
    codes = [encode(opened.model, clip) for clip in clips]
    pairs = [Codes(codes[0].static, codes[1].dynamic), Codes(codes[1].static, codes[0].dynamic)]
    swapped = [decode(opened.model, pair)[0].numpy() for pair in pairs]
    if output.suffix == ".npy":
        np.save(output, swapped[0])
    else:
        write_clips(output, [clip.batch(slice(None)).x[0].numpy() for clip in clips] + swapped)
    print(f"wrote {output}")
    return 0
