"""The kinds of observation that unbraid knows. A data set names its kind once; everything else asks for it.

| kind      | one observation `*X`                       |
|-----------|--------------------------------------------|
| `frames`  | `(C, H, W)`, a picture of a video          |
| `windows` | `(W, F)`, W rows of a series               |
| `vectors` | `(F,)`, one row of a series                |
| `sound`   | `(F,)`, one spectrum of a recording        |
"""

from typing import Literal, get_args

__all__ = ["FRAME_SIZES", "KINDS", "Kind", "kind_of"]

Kind = Literal["frames", "vectors", "windows", "sound"]

KINDS: tuple[Kind, ...] = get_args(Kind)

FRAME_SIZES = (16, 32, 64, 128)
"""Sides of frames, in pixels, that the codecs can read and write."""

_BY_AXES: dict[int, Kind] = {1: "vectors", 2: "windows", 3: "frames"}


def kind_of(observation: tuple[int, ...], sound: bool = False) -> Kind:
    """The kind of observations of shape `observation`; vectors are sound when `sound` says so.

    >>> kind_of((3, 64, 64)), kind_of((24, 6)), kind_of((80,), sound=True)
    ('frames', 'windows', 'sound')

    Raises:
        ValueError: no kind has that many axes.
    """
    kind = _BY_AXES.get(len(observation))
    if kind is None:
        raise ValueError(
            f"observation: shape {tuple(observation)} is of no known kind; "
            "give (C, H, H) frames, (W, F) windows or (F,) vectors"
        )
    return "sound" if sound and kind == "vectors" else kind
