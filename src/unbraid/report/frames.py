"""The report's part on videos: clips rebuilt, swapped, drawn and in between, and what the judge mistakes."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from unbraid import plots
from unbraid.data.sequences import Sequences
from unbraid.evaluation import read_scores
from unbraid.generation import cross, decode, encode, interpolate, with_drawn_dynamic, with_drawn_static
from unbraid.models.base import SequenceModel
from unbraid.types import Codes

__all__ = ["VIDEO_PICTURES", "make_clips"]

DRAWS = 5  # drawn codes beside one that is kept
POINTS = 600  # codes in a scatter plot
FAILURES = 6  # swapped clips that are seen as something else

VIDEO_PICTURES = (
    ("reconstruction", "Reconstruction", "Clips of the test split, and what the model makes of their own two codes."),
    ("fixed_motion", "One motion, drawn content", "First the original; the others keep its dynamic code under static codes drawn from the prior: other content, the same motion."),
    ("fixed_content", "One content, drawn motion", "First the original; the others keep its static code while the dynamic code is drawn from the prior: the same content, other motions."),
    ("drawn_content", "Content drawn, clip by clip", "Under every clip one with its dynamic code and a static code drawn from the prior."),
    ("drawn_motion", "Motion drawn, clip by clip", "Under every clip one with its static code and dynamic codes drawn from the prior."),
    ("replaced", "One code of the first clip", "Left: every clip with the content of the first, its motion kept. Right: with the motion of the first, its content kept."),
    ("swap_sets", "Swaps, two by two", "Two clips A and B, and under each its motion with the other's content."),
    ("interpolation", "From one content to another", "One motion while the static code goes in equal steps from one clip's to another's. The motion should not change."),
    ("codes", "The codes in two dimensions", "t-SNE of codes of the test split, one column for each label. The static code should clump by the static labels and mix the dynamic ones; the dynamic code the other way round."),
    ("joint_codes", "Both codes in one space", "t-SNE of static and mean dynamic codes together."),
)  # fmt: skip


def make_clips(
    model: SequenceModel,
    clips: Sequences,
    data: Sequences,
    rows: np.ndarray,
    folder: str | Path,
    *,
    seed: int = 0,
) -> Path:
    """Draw what a model does with clips, into `folder/pictures`.

    Writes those of `VIDEO_PICTURES` as PNG and, for frames, swap, fixed_motion and fixed_content as GIF. What the
    scores in the folder name becomes failures.

    Args:
        model: a trained model that encodes and decodes.
        clips: the split to show.
        data: the whole data set, which scores in the folder speak of.
        rows: of the clips that are shown.
        folder: the run's folder.
        seed: of what is drawn.

    Returns:
        The folder of the pictures.
    """
    pictures = Path(folder) / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    chosen = clips.take(rows)
    x, codes = chosen.batch(slice(None)).x.numpy(), encode(model, chosen)
    x = _without_padding(x, chosen.lengths)

    rebuilt = _without_padding(_array(decode(model, codes)), chosen.lengths)
    plots.plot_reconstructions(x[:4], rebuilt[:4]).savefig(pictures / "reconstruction.png")
    crossed = _without_padding(_array(cross(model, codes)), chosen.lengths)
    plots.plot_swaps(x, crossed).savefig(pictures / "swap.png")
    half = len(rows) // 2
    plots.plot_swap_sets(
        x[:half],
        x[half : 2 * half],
        crossed[range(half, 2 * half), range(half)],
        crossed[range(half), range(half, 2 * half)],
    ).savefig(pictures / "swap_sets.png")
    plots.plot_replaced(x[:4], crossed[0, 1:4], crossed[1:4, 0]).savefig(pictures / "replaced.png")
    _picture_interpolation(model, data, chosen, Path(folder))
    drawn = {"fixed_motion": with_drawn_static(model, _repeated(codes, DRAWS), generator)}
    if model.can("dynamic_prior"):
        drawn["fixed_content"] = with_drawn_dynamic(model, _repeated(codes, DRAWS), generator)
    for name, changed in drawn.items():
        varied = _array(decode(model, changed)).reshape(len(rows), DRAWS, *x.shape[1:])
        lengths = None if chosen.lengths is None else chosen.lengths[:, None]
        varied = _without_padding(varied, lengths)
        plots.plot_variations(x[0], varied[0]).savefig(pictures / f"{name}.png")
        drawn_code = {"fixed_motion": "content", "fixed_content": "motion"}[name]
        pairs = plots.plot_drawn_pairs(x, varied[:, 0], drawn_code)
        pairs.savefig(pictures / f"drawn_{drawn_code}.png")
        if x.ndim == 5:
            plots.animate(np.concatenate([x[:, None], varied], 1)[:4], pictures / f"{name}.gif")
    if x.ndim == 5:
        nobody = np.full((1, 1, *x.shape[1:]), np.nan, x.dtype)
        top = np.concatenate([nobody, x[None]], 1)
        grid = np.concatenate([top, np.concatenate([x[:, None], crossed], 1)])
        plots.animate(grid, pictures / "swap.gif", header=True)
    _picture_codes(model, clips, pictures, seed)
    _picture_failures(model, data, Path(folder))
    return pictures


def _without_padding(clips: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """The clips with nothing to be seen after their last step; `lengths` fits the axes before the steps."""
    if lengths is None:
        return clips
    frames = 3 if clips.ndim >= 5 else 1
    steps = clips.shape[-1 - frames]
    padding = np.arange(steps) >= np.asarray(lengths)[..., None]
    shape = (*padding.shape, *[1] * frames)
    return np.where(padding.reshape(shape), np.float32(1 if frames == 3 else np.nan), clips)


def _repeated(codes: Codes, times: int) -> Codes:
    return Codes(codes.static.repeat_interleave(times, 0), codes.dynamic.repeat_interleave(times, 0))


def _array(x: torch.Tensor) -> np.ndarray:
    return x.float().numpy()


def _picture_codes(model: SequenceModel, clips: Sequences, pictures: Path, seed: int) -> None:
    if len(clips) < 10:
        return  # too few to see anything
    rows = np.sort(np.random.default_rng(seed).permutation(len(clips))[:POINTS])
    some = clips.take(rows)
    codes = encode(model, some)
    static = plots.embed(codes.static.numpy(), seed)
    dynamic = plots.embed(codes.dynamic.mean(1).numpy(), seed)
    plots.plot_codes(static, dynamic, some.labels).savefig(pictures / "codes.png")
    if model.static_size == model.dynamic_size:
        both = np.concatenate([codes.static.numpy(), codes.dynamic.mean(1).numpy()])
        joint = plots.embed(both, seed)
        plots.plot_joint_codes(joint[: len(some)], joint[len(some) :]).savefig(pictures / "joint_codes.png")


def _picture_interpolation(model: SequenceModel, data: Sequences, chosen: Sequences, folder: Path) -> None:
    """The pairs of clips of the folder's scores, with what the judge sees; without scores some of `chosen`."""
    scores = _scores_of(data, folder)
    examples = scores.get("interpolation_examples", [])
    if examples:
        clips = data.split(scores["protocol"]["split"])
        moving, looking = (
            clips.take(np.array([one[key] for one in examples])) for key in ("dynamic_from", "static_to")
        )
    else:
        half = len(chosen) // 2
        moving, looking = chosen.take(slice(0, half)), chosen.take(slice(half, 2 * half))
    between = _array(interpolate(model, encode(model, moving), encode(model, looking), DRAWS)).swapaxes(0, 1)
    between = _without_padding(between, None if moving.lengths is None else moving.lengths[:, None])
    seen = [one["seen"] for one in examples] or None
    figure = plots.plot_interpolation_sets(between[:2], seen)
    figure.savefig(folder / "pictures" / "interpolation.png")


def _scores_of(data: Sequences, folder: Path) -> dict[str, Any]:
    """The scores of generation in a run's folder, if they are of these data."""
    scores = read_scores(folder).get("generation", {})
    return scores if scores.get("protocol", {}).get("fingerprint") == data.fingerprint else {}


def _picture_failures(model: SequenceModel, data: Sequences, folder: Path) -> None:
    """Swapped clips that the judge of the folder's scores takes for something else."""
    scores = _scores_of(data, folder)
    failures = scores.get("failures", [])[:FAILURES]
    path = folder / "pictures" / "failures.png"
    path.unlink(missing_ok=True)  # of earlier scores
    if not failures:
        return
    clips = data.split(scores["protocol"]["split"])
    givers = [np.array([one[key] for one in failures]) for key in ("dynamic_from", "static_from")]
    moving, looking = (clips.take(rows) for rows in givers)
    dynamic, static = encode(model, moving), encode(model, looking)
    made = _without_padding(_array(decode(model, Codes(static.static, dynamic.dynamic))), moving.lengths)
    parts = [_without_padding(part.batch(slice(None)).x.numpy(), part.lengths) for part in (moving, looking)]
    shown = np.stack([*parts, made], 1)
    true, seen, sure = ([one[key] for one in failures] for key in ("true", "seen", "probability"))
    plots.plot_failures(shown, true, seen, sure).savefig(path)
