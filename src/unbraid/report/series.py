"""Pictures of time series, windows and vectors: rebuilt, swapped, drawn and interpolated, and their codes."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unbraid import plots
from unbraid.components import train_components
from unbraid.data.sequences import Sequences
from unbraid.generation import (
    cross,
    decode,
    decode_with_deviation,
    encode,
    interpolate,
    with_drawn_dynamic,
)
from unbraid.masks import inside, observed_values, widen
from unbraid.models.base import SequenceModel
from unbraid.report.choice import (
    SPREAD,
    Shown,
    along_components,
    drawn_or_dealt,
    mean_codes,
    scattered_rows,
    varied_rows,
)
from unbraid.types import Codes

__all__ = ["BELOW", "draw"]

CHOSEN = 6  # series that are encoded
SHOWN = 2  # series drawn feature by feature
SWAPPED = 3  # series in the grid of swaps
ROWS = 4  # series below one another
COMPONENTS, LEVELS = 5, 3  # of the static code: columns, and rows from low to high

BELOW = (
    Shown("series", "Reconstruction", "Series of the test split in their own units, and the series that the model decodes from their two codes. Grey ground: nothing was observed there; the model fills it in. The band holds about 95% of the values where the model's standard deviation is right."),
    Shown("series_swap", "Swaps", "Every series in a row has the static code of the one at its left, every series in a column the dynamic codes of the one at its top. Those in colour are observed, all else is generated. A feature has one range in the whole picture, so levels compare."),
    Shown("series_drawn", "One code kept, the other drawn", "Left an observed series; then its dynamic codes under static codes drawn from the prior; its static code with drawn dynamics; and both drawn, wholly generated series."),
    Shown("series_between", "From one static code to another", "One dynamic path while the static code goes in equal steps from its own to that of another series. Properties of the whole series should change, the shape along time should stay."),
    Shown("series_components", "Components of the static code", "One dynamic path while a single component of the static code goes from low (first row) to high (last row); the others are kept. Components are found on the train split, without labels, by independent component analysis; those that change the static code most come first. `unbraid swap --components` exchanges them by their numbers."),
    Shown("dynamic_codes", "The dynamic codes along time", "A row for each dimension, those that change most at the top; below, the targets that they should predict, where there are any."),
    Shown("codes", "The codes in two dimensions", "t-SNE of codes of the test split, one column for each label or target. Where a code holds it, colours form clumps or pass from one side to the other."),
)  # fmt: skip


def draw(model: SequenceModel, series: Sequences, data: Sequences, folder: Path, seed: int) -> None:
    """Write the pictures of `BELOW` as PNG.

    Args:
        model: a trained model that encodes and decodes.
        series: the split to show, windows `(W, F)` or vectors `(F,)`.
        data: the whole data set.
        folder: the run's folder.
        seed: of the choice of series and of the drawn codes.
    """
    pictures = folder / "pictures"
    chosen = series.take(varied_rows(series, CHOSEN, seed))
    codes = encode(model, chosen)
    _picture_series(model, codes, chosen, pictures)
    if model.can("decoded_static"):
        _picture_exchanges(model, codes, chosen, pictures)
        _picture_components(model, series, data, pictures)
    _picture_draws(model, codes, chosen, pictures, torch.Generator().manual_seed(seed))
    plots.plot_dynamic_codes(
        codes.dynamic[:SHOWN].numpy(),
        _steps(chosen)[:SHOWN],
        titles=_titles(chosen)[:SHOWN],
        targets={name: values[:SHOWN] for name, values in chosen.targets.items() if values.ndim == 2},
        seconds_per_step=_seconds_per_step(chosen),
    ).savefig(pictures / "dynamic_codes.png")
    _picture_codes(model, series, pictures / "codes.png", seed)


# ---- series in raw units --------------------------------------------------------------------------------


def _steps(data: Sequences) -> Bool[np.ndarray, "N T"]:
    return inside(data.observed())


def _raw(data: Sequences, x: Float[np.ndarray, "n T *X"]) -> Float[np.ndarray, "n L F"]:
    """Series in raw units, windows joined."""
    return _joined(x if data.scaling is None else data.scaling.invert(x))


def _joined(x: Float[np.ndarray, "n T *X"]) -> Float[np.ndarray, "n L F"]:
    """Windows one after another; vectors as they are."""
    return x.reshape(len(x), -1, x.shape[-1])


def _observed(data: Sequences) -> Float[np.ndarray, "N L F"]:
    """Series in raw units, NaN where nothing was observed."""
    x = data.batch(slice(None)).x.numpy()
    return _raw(data, np.where(observed_values(x, data.observed()), x, np.nan))


def _generated(
    data: Sequences, x: Float[Tensor, "n T *X"], steps: Bool[np.ndarray, "n T"]
) -> Float[np.ndarray, "n L F"]:
    """Generated series in raw units, NaN outside `steps`."""
    return _raw(data, np.where(widen(steps, x), x.numpy(), np.nan))


# ---- pictures -------------------------------------------------------------------------------------------


def _picture_series(model: SequenceModel, codes: Codes, chosen: Sequences, pictures: Path) -> None:
    """Observed and decoded values, feature by feature."""
    mean, std = decode_with_deviation(model, codes[:SHOWN])
    scale = 1 if chosen.scaling is None else chosen.scaling.std
    plots.plot_series(
        _observed(chosen)[:SHOWN],
        _generated(chosen, mean, _steps(chosen)[:SHOWN]),
        None if std is None else _joined(std.numpy()) * scale,
        names=chosen.feature_names,
        units=chosen.units,
        titles=_titles(chosen)[:SHOWN],
        sampling_rate=chosen.sampling_rate,
        window=chosen.observation[0] if chosen.kind == "windows" else None,
    ).savefig(pictures / "series.png")


def _picture_exchanges(model: SequenceModel, codes: Codes, chosen: Sequences, pictures: Path) -> None:
    """Swaps, and one dynamic path under static codes between two."""
    names, steps = chosen.feature_names, _steps(chosen)
    few = min(SWAPPED, len(chosen))
    crossed = cross(model, codes[:few])
    swapped = np.stack([_generated(chosen, crossed[i], steps[:few]) for i in range(few)])
    plots.plot_series_swaps(_observed(chosen)[:few], swapped, names).savefig(pictures / "series_swap.png")
    other = min(1, len(chosen) - 1)
    between = interpolate(model, codes[:1], codes[other : other + 1], ROWS)[:, 0]
    shown = _generated(chosen, between, steps[:1].repeat(ROWS, 0))
    plots.plot_series_between(shown, names).savefig(pictures / "series_between.png")


def _picture_components(model: SequenceModel, series: Sequences, data: Sequences, pictures: Path) -> None:
    """The first series while each component of its static code goes from its lowest to its highest value."""
    components = train_components(model, data)
    if components is None:
        return
    some = series.take(slice(0, SPREAD))
    codes, steps = encode(model, some), _steps(some)[:1].repeat(LEVELS, 0)
    moved = along_components(components, codes[:1], components.of(codes.static), COMPONENTS, LEVELS)
    columns = {
        f"component {number}": _generated(some, decode(model, each), steps)
        for number, each in enumerate(moved)
    }
    plots.plot_series_rows(columns, some.feature_names).savefig(pictures / "series_components.png")


def _picture_draws(
    model: SequenceModel, codes: Codes, chosen: Sequences, pictures: Path, generator: torch.Generator
) -> None:
    """The first series with one of its codes drawn, and with both."""
    first = Codes(codes.static[:1].repeat(ROWS, 1), codes.dynamic[:1].repeat(ROWS, 1, 1))
    others = codes.static[torch.arange(1, ROWS + 1) % len(codes)]
    drawn = {}
    if model.can("decoded_static"):
        drawn["static drawn"] = drawn_or_dealt(model, first, others, generator)
    if model.can("dynamic_prior"):
        drawn["dynamics drawn"] = with_drawn_dynamic(model, first, generator)
    if len(drawn) == 2:
        drawn["both drawn"] = drawn_or_dealt(model, drawn["dynamics drawn"], others, generator)
    steps = _steps(chosen)[:1].repeat(ROWS, 0)
    columns = {"observed": _observed(chosen)[:1]}
    columns |= {title: _generated(chosen, decode(model, some), steps) for title, some in drawn.items()}
    figure = plots.plot_series_rows(columns, chosen.feature_names, "observed")
    figure.savefig(pictures / "series_drawn.png")


def _picture_codes(model: SequenceModel, series: Sequences, path: Path, seed: int) -> None:
    rows = scattered_rows(len(series), seed)
    if not len(rows):
        return
    some = series.take(rows)
    static, dynamic = mean_codes(model, some)
    targets = {name: _mean_of_known(values) for name, values in some.targets.items()}
    plots.plot_codes(
        plots.embed(static, seed), plots.embed(dynamic, seed), {**some.labels, **targets}
    ).savefig(path)


def _mean_of_known(values: Float[np.ndarray, "N *T"]) -> Float[np.ndarray, "N"]:
    """Targets of steps as their mean over the steps where they are known; NaN where there is none."""
    if values.ndim == 1:
        return values
    known = ~np.isnan(values)
    mean = np.where(known, values, 0).sum(1) / np.maximum(known.sum(1), 1)
    return np.where(known.any(1), mean, np.nan)


# ---- words ----------------------------------------------------------------------------------------------


def _titles(data: Sequences) -> list[str]:
    """The name, the first day and the classes of each sequence, as far as they are known; else its number."""
    classes = [
        " · ".join(
            [
                *([data.names[row]] if data.names else []),
                *(label.classes[label.values[row]] for label in list(data.heads.values())[:3]),
            ]
        )
        for row in range(len(data))
    ]
    if data.times is None:
        return [names or f"series {row + 1}" for row, names in enumerate(classes)]
    days = [str(np.datetime64(data.times[row, 0], "D")) for row in range(len(data))]
    return [f"{day}   {names}".strip() for day, names in zip(days, classes, strict=True)]


def _seconds_per_step(data: Sequences) -> float | None:
    if data.sampling_rate is None:
        return None
    return (data.observation[0] if data.kind == "windows" else 1) / data.sampling_rate
