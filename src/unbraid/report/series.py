"""The report's part on time series: pictures of windows and vectors, and what the codes tell."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unbraid import plots
from unbraid.data.sequences import Sequences
from unbraid.evaluation.floors import valid_steps
from unbraid.generation import (
    cross,
    decode,
    encode,
    evaluating,
    interpolate,
    with_drawn_dynamic,
    with_drawn_static,
)
from unbraid.models.base import SequenceModel
from unbraid.nn.likelihoods import SquaredErrorNormal
from unbraid.types import Codes

__all__ = ["SERIES_PICTURES", "drawn_as_series", "make_series"]

SHOWN = 2  # series drawn feature by feature
SWAPPED = 3  # series in the grid of swaps
ROWS = 4  # series below one another
POINTS = 600  # codes in a scatter plot

SERIES_PICTURES = (
    ("series", "Reconstruction", "Series of the test split in their own units, and what the model makes of their own two codes. Grey ground: nothing was observed there, so the model fills in. The band holds about 95% of the values where the model's standard deviation is right."),
    ("series_swap", "Swaps", "Every series in a row has the static code of the one at its left, every series in a column the dynamic codes of the one at its top. Those in colour are observed, all else is generated. A feature has one range in the whole picture, so levels compare."),
    ("series_drawn", "One code kept, the other drawn", "Left an observed series; then its dynamic codes under static codes drawn from the prior; its static code with drawn dynamics; and both drawn, wholly generated series."),
    ("series_between", "From one static code to another", "One dynamic path while the static code goes in equal steps from its own to that of another series. What it holds should change, the shape along time should stay."),
    ("dynamic_codes", "The dynamic codes along time", "A row for each dimension, those that change most at the top; below, what they should tell where the data set says."),
    ("codes", "The codes in two dimensions", "t-SNE of codes of the test split, one column for each label or target. Where a code holds it, colours form clumps or pass from one side to the other."),
)  # fmt: skip


def drawn_as_series(data: Sequences) -> bool:
    """Whether a data set's observations are drawn feature by feature: windows, and vectors of few features."""
    shape = data.observation
    return len(shape) == 2 or (len(shape) == 1 and shape[0] <= plots.MOST_FEATURES)


def make_series(
    model: SequenceModel, data: Sequences, rows: np.ndarray, folder: str | Path, *, seed: int = 0
) -> Path:
    """Draw what a model does with series, into `folder/pictures`: those of `SERIES_PICTURES`, as PNG.

    Args:
        model: a trained model that encodes and decodes.
        data: the split to show, windows `(W, F)` or vectors `(F,)`.
        rows: of the sequences that are shown, at least one.
        folder: the run's folder.
        seed: of what is drawn.

    Returns:
        The folder of the pictures.
    """
    pictures = Path(folder) / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    chosen = data.take(rows)
    codes, steps = encode(model, chosen), valid_steps(chosen)
    generator = torch.Generator().manual_seed(seed)

    def show(x: Float[Tensor, "k T *X"], like: np.ndarray) -> Float[np.ndarray, "k L F"]:
        """Generated series in raw units, without what follows the end of those they are made like."""
        return _raw(data, np.where(_wide(steps[like], x.ndim), x.numpy(), np.nan))

    names, n = data.feature_names, len(rows)
    observed = _observed(chosen)
    mean, std = _decoded(model, codes[:SHOWN])
    plots.plot_series(
        observed[:SHOWN],
        show(mean, np.arange(min(SHOWN, n))),
        None if std is None else _joined(std.numpy()) * (1 if data.scaling is None else data.scaling.std),
        names=names,
        units=data.units,
        titles=_titles(chosen)[:SHOWN],
        sampling_rate=data.sampling_rate,
        window=data.x.shape[2] if data.x.ndim == 4 else None,
    ).savefig(pictures / "series.png")

    few = min(SWAPPED, n)
    crossed = cross(model, codes[:few])
    swapped = np.stack([show(crossed[i], np.arange(few)) for i in range(few)])
    plots.plot_series_swaps(observed[:few], swapped, names).savefig(pictures / "series_swap.png")

    first = np.zeros(ROWS, dtype=int)
    same = Codes(codes.static[:1].repeat(ROWS, 1), codes.dynamic[:1].repeat(ROWS, 1, 1))
    drawn = {"static drawn": with_drawn_static(model, same, generator)}
    if model.can("dynamic_prior"):
        drawn["dynamics drawn"] = with_drawn_dynamic(model, same, generator)
        drawn["both drawn"] = with_drawn_static(model, drawn["dynamics drawn"], generator)
    columns = {"observed": observed[:1]}
    columns |= {title: show(decode(model, some), first) for title, some in drawn.items()}
    plots.plot_series_rows(columns, names, "observed").savefig(pictures / "series_drawn.png")

    other = min(1, n - 1)
    between = interpolate(model, codes[:1], codes[other : other + 1], ROWS)[:, 0]
    plots.plot_series_between(show(between, first), names).savefig(pictures / "series_between.png")

    plots.plot_dynamic_codes(
        codes.dynamic[:SHOWN].numpy(),
        steps[:SHOWN],
        titles=_titles(chosen)[:SHOWN],
        targets={name: values[:SHOWN] for name, values in chosen.targets.items() if values.ndim == 2},
        seconds_per_step=_seconds_per_step(data),
    ).savefig(pictures / "dynamic_codes.png")
    _scatter_codes(model, data, pictures / "codes.png", seed)
    return pictures


def _scatter_codes(model: SequenceModel, data: Sequences, path: Path, seed: int) -> None:
    if len(data) < 10:
        return  # too few to see anything
    some = data.take(np.sort(np.random.default_rng(seed).permutation(len(data))[:POINTS]))
    codes, steps = encode(model, some), valid_steps(some)[:, :, None]
    mean = np.where(steps, codes.dynamic.numpy(), 0).sum(1) / steps.sum(1)
    targets = {name: _mean_of_known(values) for name, values in some.targets.items()}
    plots.plot_codes(
        plots.embed(codes.static.numpy(), seed), plots.embed(mean, seed), {**some.labels, **targets}
    ).savefig(path)


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    if values.ndim == 1:
        return values
    known = ~np.isnan(values)
    mean = np.where(known, values, 0).sum(1) / np.maximum(known.sum(1), 1)
    return np.where(known.any(1), mean, np.nan)


def _decoded(model: SequenceModel, codes: Codes) -> tuple[Tensor, Tensor | None]:
    """Mean, and standard deviation where the model learns one."""
    with evaluating(model):
        p = model.decode(codes.to(model.device))
        std = None if isinstance(p, SquaredErrorNormal) else p.stddev.cpu()
        return p.mean.cpu(), std


def _observed(data: Sequences) -> Float[np.ndarray, "N L F"]:
    """Series in raw units, NaN where nothing was observed."""
    batch = data.batch(slice(None))
    x = batch.x.numpy()
    return _raw(data, x if batch.mask is None else np.where(_wide(batch.mask.numpy(), x.ndim), x, np.nan))


def _raw(data: Sequences, x: Float[np.ndarray, "N T *X"]) -> Float[np.ndarray, "N L F"]:
    return _joined(x if data.scaling is None else data.scaling.invert(x))


def _joined(x: Float[np.ndarray, "N T *X"]) -> Float[np.ndarray, "N L F"]:
    """Windows one after another; vectors as they are."""
    return x.reshape(len(x), -1, x.shape[-1])


def _wide(mask: np.ndarray, ndim: int) -> np.ndarray:
    return mask.reshape(*mask.shape, *[1] * (ndim - mask.ndim))


def _titles(data: Sequences) -> list[str]:
    """What the labels, or the time, say of each sequence."""
    said = [
        " · ".join(label.classes[label.values[row]] for label in list(data.heads.values())[:3])
        for row in range(len(data))
    ]
    if data.times is None:
        return [text or f"series {row + 1}" for row, text in enumerate(said)]
    days = [str(np.datetime64(data.times[row, 0], "D")) for row in range(len(data))]
    return [f"{day}   {text}".strip() for day, text in zip(days, said, strict=True)]


def _seconds_per_step(data: Sequences) -> float | None:
    if data.sampling_rate is None:
        return None
    return (data.x.shape[2] if data.x.ndim == 4 else 1) / data.sampling_rate
