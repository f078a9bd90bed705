"""Pictures of clips: rebuilt, swapped, drawn and interpolated, and those in which the judge sees a wrong class."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from unbraid import plots
from unbraid.components import StaticComponents, components_key, train_components
from unbraid.data.sequences import Sequences
from unbraid.evaluation.factor_maps import exchange_factors
from unbraid.evaluation.scores import scores_to_show
from unbraid.generation import cross, decode, encode, interpolate, with_drawn_dynamic
from unbraid.masks import inside
from unbraid.models.base import SequenceModel
from unbraid.report.blocks import write_names
from unbraid.report.choice import (
    SPREAD,
    Shown,
    along_components,
    drawn_or_dealt,
    labels_of_components,
    mean_codes,
    scattered_rows,
    varied_rows,
)
from unbraid.types import Codes, Factor

__all__ = ["ABOVE", "BELOW", "draw"]

CLIPS = 6  # in a grid of swaps
DRAWS = 5  # drawn codes beside a kept one
MOST_COMPONENTS = 12  # in their picture
FAILURES = 6  # swapped clips in which the judge sees a wrong class

ABOVE = (
    Shown("swap", "Swaps", "Every clip in a row should show the figure at its left; every clip in a column should move like the one at its top. The originals of the test split are in the first row and column, all else is generated."),
)  # fmt: skip
BELOW = (
    Shown("reconstruction", "Reconstruction", "Clips of the test split, and below each the clip that the model decodes from its two codes."),
    Shown("fixed_motion", "One motion, drawn content", "First the original; the others keep its dynamic code under static codes drawn from the prior (those of other clips where there is none): other content, the same motion."),
    Shown("fixed_content", "One content, drawn motion", "First the original; the others keep its static code while the dynamic code is drawn from the prior: the same content, other motions."),
    Shown("drawn_content", "Content drawn, clip by clip", "Below every clip one with its dynamic code and a static code drawn from the prior."),
    Shown("drawn_motion", "Motion drawn, clip by clip", "Below every clip one with its static code and dynamic codes drawn from the prior."),
    Shown("replaced", "One code of the first clip", "Left: every clip with the content of the first, its motion kept. Right: with the motion of the first, its content kept."),
    Shown("swap_sets", "Swaps, two by two", "Two clips A and B, and below each its motion with the other's content."),
    Shown("interpolation", "From one content to another", "One motion while the static code goes in equal steps from one clip's to another's. The motion should not change."),
    Shown("components", "Components of the content", "One clip (its middle frame) while a single component of its static code goes from low to high; all else is kept. Components are found on the train split, without labels, by independent component analysis; those that change the static code most come first. `unbraid swap --components` exchanges them by their numbers."),
    Shown("codes", "The codes in two dimensions", "t-SNE of codes of the test split, one column for each label. The static code should form clumps by the static labels and mix the dynamic ones; the dynamic code the other way round."),
    Shown("joint_codes", "Both codes in one space", "t-SNE of static and mean dynamic codes together."),
)  # fmt: skip


def draw(model: SequenceModel, clips: Sequences, data: Sequences, folder: Path, seed: int) -> None:
    """Write the pictures of `ABOVE` and `BELOW` as PNG and, for frames, those of swaps and draws as GIF as well.

    A judge's failures are drawn where the scores in the folder name them.

    Args:
        model: a trained model that encodes and decodes.
        clips: the split to show.
        data: the whole data set; the scores in the folder name its clips.
        folder: the run's folder.
        seed: of the choice of clips and of the drawn codes.
    """
    pictures = folder / "pictures"
    chosen = clips.take(varied_rows(clips, CLIPS, seed))
    codes, x = encode(model, chosen), _real(chosen)
    rebuilt = _decoded(model, codes, chosen)
    plots.plot_reconstructions(x[:4], rebuilt[:4]).savefig(pictures / "reconstruction.png")
    write_names(pictures, {"reconstruction": chosen.names and chosen.names[:4], "swap": chosen.names})
    if model.can("decoded_static"):
        _picture_swaps(model, codes, chosen, pictures)
        _picture_interpolation(model, data, chosen, folder)
        _picture_failures(model, data, folder)
        _picture_draws(model, codes, chosen, pictures, torch.Generator().manual_seed(seed))
        components = train_components(model, data)
        if components is not None:
            _picture_components(model, components, clips, data, folder)
        _picture_factors(model, data, components, folder)
    _picture_codes(model, clips, pictures, seed)


# ---- clips without padding ------------------------------------------------------------------------------


def hide_padding(clips: np.ndarray, steps: np.ndarray, frame_axes: int) -> np.ndarray:
    """The clips with NaN outside `steps`, which plots leave white.

    Args:
        clips: `(..., T, *X)`.
        steps: `(..., T)`, True inside each clip; its axes before T fit those of the clips.
        frame_axes: number of axes of one observation.
    """
    return np.where(steps.reshape(*steps.shape, *[1] * frame_axes), clips, np.float32(np.nan))


def _steps(clips: Sequences) -> Bool[np.ndarray, "n T"]:
    return inside(clips.observed())


def _real(clips: Sequences) -> Float[np.ndarray, "n T *X"]:
    """The clips themselves."""
    return hide_padding(clips.batch(slice(None)).x.numpy(), _steps(clips), len(clips.observation))


def _decoded(model: SequenceModel, codes: Codes, like: Sequences) -> Float[np.ndarray, "n T *X"]:
    """Decoded clips, each as long as the one in `like`."""
    return hide_padding(decode(model, codes).float().numpy(), _steps(like), len(like.observation))


# ---- swaps, interpolation, failures ---------------------------------------------------------------------


def _picture_swaps(model: SequenceModel, codes: Codes, chosen: Sequences, pictures: Path) -> None:
    x = _real(chosen)
    crossed = hide_padding(cross(model, codes).float().numpy(), _steps(chosen), len(chosen.observation))
    plots.plot_swaps(x, crossed).savefig(pictures / "swap.png")
    half = len(x) // 2
    plots.plot_swap_sets(
        x[:half],
        x[half : 2 * half],
        crossed[range(half, 2 * half), range(half)],
        crossed[range(half), range(half, 2 * half)],
    ).savefig(pictures / "swap_sets.png")
    plots.plot_replaced(x[:4], crossed[0, 1:4], crossed[1:4, 0]).savefig(pictures / "replaced.png")
    if chosen.kind == "frames":
        corner = np.full((1, 1, *x.shape[1:]), np.nan, x.dtype)
        header = np.concatenate([corner, x[None]], 1)
        grid = np.concatenate([header, np.concatenate([x[:, None], crossed], 1)])
        plots.animate(grid, pictures / "swap.gif", header=True)


def _picture_interpolation(model: SequenceModel, data: Sequences, chosen: Sequences, folder: Path) -> None:
    """The pairs of clips that the scores name, with the classes that the judge sees; without scores some of `chosen`."""
    scores = _scores_of(data, folder)
    examples = scores.get("interpolation_examples", [])
    if examples:
        clips = data.split(scores["protocol"]["split"])
        start, end = (
            clips.take(np.array([example[giver] for example in examples]))
            for giver in ("dynamic_from", "static_to")
        )
    else:
        half = len(chosen) // 2
        start, end = chosen.take(slice(0, half)), chosen.take(slice(half, 2 * half))
    between = interpolate(model, encode(model, start), encode(model, end), DRAWS).float().numpy()
    sets = hide_padding(between.swapaxes(0, 1), _steps(start)[:, None], len(start.observation))
    seen = [example["seen"] for example in examples] or None
    plots.plot_interpolation_sets(sets[:2], seen).savefig(folder / "pictures" / "interpolation.png")


def _picture_failures(model: SequenceModel, data: Sequences, folder: Path) -> None:
    """Swapped clips in which the judge of the folder's scores sees a wrong class."""
    scores = _scores_of(data, folder)
    failures = scores.get("failures", [])[:FAILURES]
    if not failures:
        return
    clips = data.split(scores["protocol"]["split"])
    dynamic_from, static_from = (
        clips.take(np.array([failure[giver] for failure in failures]))
        for giver in ("dynamic_from", "static_from")
    )
    codes = Codes(encode(model, static_from).static, encode(model, dynamic_from).dynamic)
    swapped = _decoded(model, codes, dynamic_from)
    shown = np.stack([_real(dynamic_from), _real(static_from), swapped], 1)
    true, seen, probability = ([failure[k] for failure in failures] for k in ("true", "seen", "probability"))
    plots.plot_failures(shown, true, seen, probability).savefig(folder / "pictures" / "failures.png")


def _picture_components(
    model: SequenceModel, components: StaticComponents, clips: Sequences, data: Sequences, folder: Path
) -> None:
    """The first of the clips while each component goes from its lowest to its highest value."""
    some = clips.take(slice(0, SPREAD))
    codes, steps = encode(model, some), _steps(some)[0]
    values = components.of(codes.static)
    moved = along_components(components, codes[:1], values, MOST_COMPONENTS, DRAWS)
    rows = [decode(model, each).float().numpy()[:, steps] for each in moved]
    named = labels_of_components(values.numpy(), some.labels, _component_map(model, data, folder))
    labels = [f"{component} {named.get(component, '')}".strip() for component in range(len(rows))]
    plots.plot_components(np.stack(rows), labels).savefig(folder / "pictures" / "components.png")


def _picture_factors(
    model: SequenceModel, data: Sequences, components: StaticComponents | None, folder: Path
) -> None:
    """The parts of each label moved from one clip's to another's, by the maps of the folder's scores."""
    scores = _scores_of(data, folder, "factors")
    if not scores:
        return
    clips = data.split(scores["protocol"]["split"])
    pair = clips.take(varied_rows(clips, 2, 0))
    codes, x = encode(model, pair), _real(pair)
    start, end = codes[:1], codes[1:]
    of_components = _component_map(model, data, folder)
    rows = []
    for label, carried in scores["map"].items():
        if components is not None and label in of_components:
            moved = components.exchange(start, end, tuple(of_components[label]))
        else:
            factors = tuple(Factor(code, tuple(carried[code])) for code in ("static", "dynamic"))
            moved = exchange_factors(start, end, factors)
        between = [_between(start, moved, share) for share in np.linspace(0, 1, DRAWS)]
        rows.append(_decoded(model, Codes.cat(between), pair.take(np.zeros(DRAWS, int))))
    both = _steps(pair).all(0)
    plots.plot_factors(x[:, both], np.stack(rows)[:, :, both], list(scores["map"])).savefig(
        folder / "pictures" / "factors.png"
    )


def _component_map(model: SequenceModel, data: Sequences, folder: Path) -> dict[str, list[int]]:
    """The components of each static label by the folder's scores; none where the scores are of other components."""
    scores = _scores_of(data, folder, "factors").get("components", {})
    return scores["map"] if scores.get("key") == components_key(model, data) else {}


def _between(start: Codes, end: Codes, share: float) -> Codes:
    return Codes(torch.lerp(start.static, end.static, share), torch.lerp(start.dynamic, end.dynamic, share))


def _scores_of(data: Sequences, folder: Path, protocol: str = "generation") -> dict[str, Any]:
    """The scores of a protocol in a run's folder, where they are of these data."""
    scores = scores_to_show(folder).get(protocol)
    return scores if scores and scores["protocol"].get("fingerprint") == data.fingerprint else {}


# ---- drawn codes ----------------------------------------------------------------------------------------


def _picture_draws(
    model: SequenceModel, codes: Codes, chosen: Sequences, pictures: Path, generator: torch.Generator
) -> None:
    """Clips that keep one code while the other is drawn."""
    x, many = _real(chosen), _repeated(codes, DRAWS)
    following = (torch.arange(len(x))[:, None] + torch.arange(1, DRAWS + 1)) % len(x)
    others = codes.static[following.flatten()]
    drawn = {"motion": ("content", drawn_or_dealt(model, many, others, generator))}
    if model.can("dynamic_prior"):
        drawn["content"] = ("motion", with_drawn_dynamic(model, many, generator))
    for kept, (other, changed) in drawn.items():
        varied = decode(model, changed).float().numpy().reshape(len(x), DRAWS, *x.shape[1:])
        varied = hide_padding(varied, _steps(chosen)[:, None], len(chosen.observation))
        plots.plot_variations(x[0], varied[0]).savefig(pictures / f"fixed_{kept}.png")
        plots.plot_drawn_pairs(x, varied[:, 0], other).savefig(pictures / f"drawn_{other}.png")
        if chosen.kind == "frames":
            grid = np.concatenate([x[:, None], varied], 1)[:4]
            plots.animate(grid, pictures / f"fixed_{kept}.gif")


def _repeated(codes: Codes, times: int) -> Codes:
    return Codes(codes.static.repeat_interleave(times, 0), codes.dynamic.repeat_interleave(times, 0))


# ---- codes in two dimensions ----------------------------------------------------------------------------


def _picture_codes(model: SequenceModel, clips: Sequences, pictures: Path, seed: int) -> None:
    rows = scattered_rows(len(clips), seed)
    if not len(rows):
        return
    some = clips.take(rows)
    static, dynamic = mean_codes(model, some)
    figure = plots.plot_codes(plots.embed(static, seed), plots.embed(dynamic, seed), some.labels)
    figure.savefig(pictures / "codes.png")
    if model.static_size == model.dynamic_size:
        joint = plots.embed(np.concatenate([static, dynamic]), seed)
        plots.plot_joint_codes(joint[: len(some)], joint[len(some) :]).savefig(pictures / "joint_codes.png")
