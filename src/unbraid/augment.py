"""Changed views of sequences: some keep the static factor and destroy the motion, others do the reverse.

Every way to draw a view is a pure function of a batch and a generator. It changes all sequences in one call on their
device, each sequence differently and all steps of a sequence alike. It reads no masked value and leaves padding where it
was. A stretch of a sequence is moved to the beginning and padded.

| way        | for                     | keeps  | does                                                               |
|------------|-------------------------|--------|--------------------------------------------------------------------|
| `shuffle`  | everything              | static | puts the observed steps in random order                            |
| `scatter`  | frames                  | static | `shuffle`, then moves each frame by an offset of its own           |
| `early`    | everything              | static | shows a random stretch of the first half of the observed steps     |
| `late`     | everything              | static | shows a random stretch of their second half                        |
| `colour`   | frames                  | motion | brightness, contrast, saturation, hue, greyscale; blur             |
| `crop`     | frames                  | motion | `colour`, then a part of the frame, resized to the whole           |
| `stroke`   | frames                  | motion | `colour`, then makes bright lines thicker or thinner               |
| `scale`    | vectors, windows        | motion | scales and shifts each feature                                     |
| `spectrum` | vectors of mel bands    | motion | gain, tilt and a stretch of the mel axis, as by another voice      |
| `voice`    | mel bands of sound      | motion | shows one of the other voices that the data hold (`other_voices`)  |
| `auto`     | everything              | motion | `colour` for frames, `scale` for vectors and windows               |

C-DSVAE's paper (https://arxiv.org/abs/2110.12091) names the kinds of change (frames permuted; colour distortion, blur,
crop and resize) but not their strengths. The strengths of the colour changes are usual in contrastive learning of images.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, max_pool2d, pad

from unbraid.kinds import KINDS, Kind, kind_of
from unbraid.masks import observed_steps, widen, zero_unobserved
from unbraid.types import Batch, View, standard_normal, uniform

__all__ = [
    "AUTO",
    "WAYS",
    "change_colour",
    "change_crop",
    "change_scale",
    "change_spectrum",
    "change_stroke",
    "change_voice",
    "check_views",
    "draw_views",
    "scatter_steps",
    "show_early",
    "show_late",
    "shuffle_steps",
]

GREY = (0.299, 0.587, 0.114)


def draw_views(
    ways: Mapping[str, str], batch: Batch, generator: torch.Generator | None = None
) -> dict[str, View]:
    """Draw one view of each name.

    Args:
        ways: name of the view to the way to draw it, see the table above.
        batch: sequences, on the device the views are wanted on.
        generator: of the random numbers, which are drawn where it lives.

    Raises:
        ValueError: no way has that name, or it does not suit the observations.
    """
    check_views(ways, tuple(batch.x.shape[2:]), batch.x.shape[1])
    with torch.no_grad():
        kind = kind_of(tuple(batch.x.shape[2:]))
        return {name: WAYS[_resolve(way, kind)].draw(batch, generator) for name, way in ways.items()}


def check_views(ways: Mapping[str, str], observation: tuple[int, ...], steps: int) -> None:
    """Refuse views that sequences of `steps` observations of this shape cannot have.

    Raises:
        ValueError: names the view, its way, and the ways that fit.
    """
    kind = kind_of(observation)
    for name, wanted in ways.items():
        if wanted != "auto" and wanted not in WAYS:
            raise ValueError(
                f"views: the {name} view is to be drawn by {wanted!r}; there is auto, {', '.join(WAYS)}"
            )
        way = WAYS[_resolve(wanted, kind)]
        if kind not in way.kinds:
            fitting = [other for other, rule in WAYS.items() if kind in rule.kinds]
            raise ValueError(
                f"views: {wanted!r} (the {name} view) does not suit observations of shape {observation}; "
                f"give auto, {', '.join(fitting)}"
            )
        if steps < way.least_steps:
            raise ValueError(
                f"views: the {name} view reorders steps and the sequences have {steps}; it needs at least 2. "
                "Give longer sequences, or a model that needs no views"
            )
        if observation[-1] < way.least_values:
            raise ValueError(
                f"views: {wanted!r} (the {name} view) needs vectors of at least {way.least_values} bands; "
                f"these have {observation[-1]}"
            )


def shuffle_steps(batch: Batch, generator: torch.Generator | None = None) -> View:
    """Put each sequence's observed steps in random order, at the places that observed steps had."""
    x, mask = batch.x, batch.mask
    keys = uniform((len(x), x.shape[1]), x, generator)
    if mask is None:
        order = keys.argsort(1)
        return View(_reorder(x, order), None, order)
    observed = observed_steps(mask)
    drawn = torch.where(observed, keys, 2.0).argsort(dim=1, stable=True)
    places = observed.logical_not().byte().argsort(dim=1, stable=True)
    # Both name the observed steps first; those unobserved follow in the order they have.
    order = torch.empty_like(drawn).scatter_(1, places, drawn)
    return View(_reorder(zero_unobserved(x, mask), order), _reorder(mask, order), order)


def scatter_steps(batch: Batch, generator: torch.Generator | None = None) -> View:
    """Put the steps in random order and move each by up to a quarter of the frame's sides, repeating the edges.

    Shuffled steps still show where things were. After this, a code that is to agree with the sequence's cannot be a
    summary of places.
    """
    shuffled = shuffle_steps(batch, generator)
    b, t, _, height, width = shuffled.x.shape
    down, right = 2 * uniform((2, b, t), batch.x, generator, sequences=1) - 1
    rows = _moved(down, height).view(b, t, 1, height, 1)
    columns = _moved(right, width).view(b, t, 1, 1, width)

    def move(x: Tensor) -> Tensor:
        return x.take_along_dim(rows, 3).take_along_dim(columns, 4)

    mask = shuffled.mask
    return View(move(shuffled.x), mask if mask is None or mask.ndim == 2 else move(mask))


def show_early(batch: Batch, generator: torch.Generator | None = None) -> View:
    """Show a stretch of 40% to 100% of the first half of each sequence's observed steps, at a random place in it.

    A single observed step is both halves.
    """
    return _stretch(batch, generator, late=False)


def show_late(batch: Batch, generator: torch.Generator | None = None) -> View:
    """Show a stretch of 40% to 100% of the second half, as `show_early` does of the first."""
    return _stretch(batch, generator, late=True)


def change_colour(batch: Batch, generator: torch.Generator | None = None) -> View:
    """Distort the colours of four clips in five, make one in five grey, blur every second one.

    Brightness, contrast and saturation are multiplied by 0.2 to 1.8 (frames of one channel: 0.4 to 1.6, no
    saturation), hues are turned by up to a fifth of the circle. All of it is one 3 x 3 matrix per clip.
    """
    x = zero_unobserved(batch.x, batch.mask)
    n, channels = len(x), x.shape[2]
    strength, distorted = (0.8, 0.8) if channels == 3 else (0.6, 0.8)
    draws = uniform((7, n), x, generator, sequences=1)
    on = (draws[0] < distorted).to(x.dtype)
    brightness, contrast, saturation = 1 + on * strength * (2 * draws[1:4] - 1)
    saturation = saturation * (draws[4] >= 0.2)
    if channels == 3:
        angle = on * 0.4 * torch.pi * (2 * draws[5] - 1)
        colours = _chroma(angle, saturation) * (brightness * contrast).view(-1, 1, 1)
        grey = x.new_tensor(GREY)
    else:
        colours = torch.eye(channels, dtype=x.dtype, device=x.device) * (brightness * contrast).view(-1, 1, 1)
        grey = x.new_full((channels,), 1 / channels)
    middle = (x.mean((1, 3, 4)) * grey).sum(1) * brightness * (1 - contrast)
    values = torch.einsum("bij,btjhw->btihw", colours, x) + middle.view(-1, 1, 1, 1, 1)
    values = _blur(values.clamp_(0, 1), draws[6])
    return View(zero_unobserved(values, batch.mask), batch.mask)


def change_crop(batch: Batch, generator: torch.Generator | None = None) -> View:
    """Change the colours, then show a part of 80% to 100% of the side, resized to the whole frame.

    Where a place in the frame is itself part of the motion, `colour` is the better choice.
    """
    coloured = change_colour(batch, generator)
    x = coloured.x
    size, right, down = uniform((3, len(x)), x, generator, sequences=1)
    side = 1 - 0.2 * size
    grid = torch.zeros(len(x), 2, 3, dtype=x.dtype, device=x.device)
    grid[:, 0, 0] = grid[:, 1, 1] = side
    grid[:, 0, 2], grid[:, 1, 2] = (1 - side) * (2 * right - 1), (1 - side) * (2 * down - 1)
    flat = x.flatten(1, 2)
    place = affine_grid(grid, list(flat.shape), align_corners=False)
    values = grid_sample(flat, place, mode="bilinear", padding_mode="border", align_corners=False).view_as(x)
    mask = coloured.mask
    if mask is None or mask.ndim == 2:
        return View(zero_unobserved(values, mask), mask)
    seen = grid_sample(mask.to(x.dtype).flatten(1, 2), place, padding_mode="border", align_corners=False)
    mask = seen.view_as(x) > 0.999
    return View(zero_unobserved(values, mask), mask)


def change_stroke(batch: Batch, generator: torch.Generator | None = None) -> View:
    """Change the colours, then mix each frame with its 3 x 3 maximum or minimum: thicker or thinner bright lines."""
    coloured = change_colour(batch, generator)
    x = coloured.x.flatten(1, 2)
    share = 2 * uniform((len(x), 1, 1, 1), x, generator) - 1
    sign = torch.where(share > 0, 1.0, -1.0).to(x.dtype)
    extreme = sign * max_pool2d(sign * x, 3, 1, 1)
    values = torch.lerp(x, extreme, share.abs()).view_as(coloured.x)
    return View(zero_unobserved(values, batch.mask), batch.mask)


def change_scale(batch: Batch, generator: torch.Generator | None = None) -> View:
    """Multiply each feature by e^g, g ~ N(0, 0.25^2), and add N(0, 0.5^2), the same at every step and in every window.

    In units of the features' standard deviations: the data are taken to be scaled.
    """
    x = batch.x
    shape = (len(x), *[1] * (x.ndim - 2), x.shape[-1])
    factor = torch.exp(0.25 * standard_normal(shape, x, generator))
    offset = 0.5 * standard_normal(shape, x, generator)
    return View(zero_unobserved(zero_unobserved(x, batch.mask) * factor + offset, batch.mask), batch.mask)


def change_spectrum(batch: Batch, generator: torch.Generator | None = None) -> View:
    """Stretch the mel axis by up to 10%, tilt it and change its level, as another voice would.

    Level N(0, 0.5^2) and a tilt of N(0, 0.5^2) from the middle band to the last, in units of the bands' standard
    deviations: log mel bands are taken to be scaled.
    """
    x = zero_unobserved(batch.x, batch.mask)
    n, bands = len(x), x.shape[-1]
    stretch = 1 + 0.1 * (2 * uniform((n, 1), x, generator) - 1)
    level, tilt = 0.5 * standard_normal((2, n, 1), x, generator, sequences=1)
    offset = level + tilt * torch.linspace(-1, 1, bands, device=x.device, dtype=x.dtype)
    place = (torch.arange(bands, device=x.device, dtype=x.dtype) * stretch).clamp_max(bands - 1)
    low = place.long().clamp_max(bands - 2)
    share = (place - low).unsqueeze(1)
    low = low.unsqueeze(1).expand(-1, x.shape[1], -1)
    values = torch.lerp(x.gather(2, low), x.gather(2, low + 1), share.expand_as(x)) + offset.unsqueeze(1)
    mask = batch.mask
    if mask is not None and mask.ndim == 3:
        mask = (mask.gather(2, low) | (share >= 1)) & (mask.gather(2, low + 1) | (share <= 0))
    return View(zero_unobserved(values, mask), mask)


def change_voice(batch: Batch, generator: torch.Generator | None = None) -> View:
    """Show each sequence in one of its other voices, which were computed from the sound.

    Raises:
        ValueError: the batch has no other voices.
    """
    if batch.other_voices is None:
        raise ValueError(
            "views: 'voice' shows recordings in other voices, which the data do not hold; load sounds with "
            "other_voices=8 (--data.other_voices 8), or choose 'spectrum'"
        )
    n, count = batch.other_voices.shape[:2]
    drawn = (uniform((n, 1), batch.x, generator)[:, 0] * count).long()
    values = batch.other_voices[torch.arange(n, device=drawn.device), drawn].to(batch.x.dtype)
    return View(zero_unobserved(values, batch.mask), batch.mask)


class Way(NamedTuple):
    """A way to draw a view.

    Attributes:
        draw: the function.
        kinds: the kinds of observation that it can be drawn of.
        least_steps: steps that a sequence must have.
        least_values: values that an observation's last axis must have.
    """

    draw: Callable[[Batch, torch.Generator | None], View]
    kinds: tuple[Kind, ...]
    least_steps: int = 1
    least_values: int = 1


WAYS = {
    "shuffle": Way(shuffle_steps, KINDS, least_steps=2),
    "scatter": Way(scatter_steps, ("frames",), least_steps=2),
    "early": Way(show_early, KINDS, least_steps=2),
    "late": Way(show_late, KINDS, least_steps=2),
    "colour": Way(change_colour, ("frames",)),
    "crop": Way(change_crop, ("frames",)),
    "stroke": Way(change_stroke, ("frames",)),
    "scale": Way(change_scale, ("vectors", "windows", "sound")),
    "spectrum": Way(change_spectrum, ("vectors", "sound"), least_values=8),
    "voice": Way(change_voice, ("vectors", "sound")),
}
"""Name to way."""

AUTO: dict[Kind, str] = {"frames": "colour", "vectors": "scale", "windows": "scale", "sound": "scale"}
"""The way that "auto" stands for, by kind."""


def _resolve(way: str, kind: Kind) -> str:
    return AUTO[kind] if way == "auto" else way


def _stretch(batch: Batch, generator: torch.Generator | None, late: bool) -> View:
    """A random stretch of one half of the observed steps, moved to the front."""
    x, mask = batch.x, batch.mask
    observed = x.new_ones(x.shape[:2], dtype=torch.bool) if mask is None else observed_steps(mask)
    count = observed.sum(1)
    half = (count // 2).clamp_min(1)
    first = torch.where(count > 1, half, 0) if late else torch.zeros_like(half)
    half = (count - first) if late else half
    share, place = uniform((2, len(x)), x, generator, sequences=1)
    length = (half * (0.4 + 0.6 * share)).ceil().long().clamp_min(1)
    first = first + (place * (half - length + 1)).long()
    rank = observed.cumsum(1) - 1
    shown = observed & (rank >= first.unsqueeze(1)) & (rank < (first + length).unsqueeze(1))
    order = shown.logical_not().byte().argsort(dim=1, stable=True)
    visible = shown if mask is None or mask.ndim == 2 else mask & widen(shown, mask)
    return View(_reorder(zero_unobserved(x, visible), order), _reorder(visible, order), order)


def _moved(share: Float[Tensor, "B T"], side: int) -> Int[Tensor, "B T side"]:
    """The rows or columns that a frame moved by a share (-1 to 1) of a quarter of its side shows."""
    offset = (share * (side // 4 + 0.5)).round().long()
    return (torch.arange(side, device=share.device) + offset.unsqueeze(2)).clamp(0, side - 1)


def _reorder(x: Tensor, order: Int[Tensor, "B T"]) -> Tensor:
    return x[torch.arange(len(x), device=x.device).unsqueeze(1), order]


def _chroma(angle: Float[Tensor, "B"], saturation: Float[Tensor, "B"]) -> Float[Tensor, "B 3 3"]:
    """Matrices that keep the grey value, turn the two axes of colour (YIQ) by an angle and stretch them."""
    to_yiq = angle.new_tensor([GREY, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])
    cosine, sine = saturation * angle.cos(), saturation * angle.sin()
    turn = torch.zeros(len(angle), 3, 3, dtype=angle.dtype, device=angle.device)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = cosine
    turn[:, 1, 2], turn[:, 2, 1] = -sine, sine
    return torch.linalg.inv(to_yiq) @ turn @ to_yiq


def _blur(x: Float[Tensor, "B T C H W"], draw: Float[Tensor, "B"]) -> Float[Tensor, "B T C H W"]:
    """A 3 x 3 Gaussian of deviation 0.1 to 2 pixels for draws below one half."""
    deviation = 0.1 + 1.9 * (2 * draw).clamp_max(1)
    side = torch.exp(-0.5 / deviation.square())
    share = torch.where(draw < 0.5, side / (1 + 2 * side), 0.0).view(-1, 1, 1, 1)
    flat = x.flatten(1, 2)
    wide = pad(flat, (1, 1, 0, 0), mode="replicate")
    flat = (1 - 2 * share) * flat + share * (wide[..., :-2] + wide[..., 2:])
    tall = pad(flat, (0, 0, 1, 1), mode="replicate")
    flat = (1 - 2 * share) * flat + share * (tall[..., :-2, :] + tall[..., 2:, :])
    return flat.view_as(x)
