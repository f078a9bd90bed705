"""Signals of motion that are computed from the observations, for methods that predict them from the dynamic code.

| signal   | for              | what is predicted at each step                                                     |
|----------|------------------|------------------------------------------------------------------------------------|
| `grid`   | frames           | the cell of a 3x3 grid that changed most since the step before (9 classes)          |
| `energy` | vectors, sound   | whether the step is louder than the median of its sequence (log spectra)            |
| `change` | vectors, windows | the change of each feature since the step before, averaged over a window            |

S3VAE (Zhu, Min, Kadav, Graf, CVPR 2020, https://arxiv.org/abs/2005.11437) takes such signals from tools: optical flow,
landmarks of faces, the volume of sound. These here are ours and need no tool. To add a signal, put it into `SIGNALS`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy_with_logits, cross_entropy, mse_loss

from unbraid.kinds import Kind, kind_of
from unbraid.masks import observed_steps, observed_values, zero_unobserved
from unbraid.words import nearest

__all__ = [
    "SIGNALS",
    "Signal",
    "choose_signal",
    "feature_change",
    "loudness",
    "most_changed_cell",
    "motion_error",
]

CELLS = 3
"""Rows and columns of the grid of `most_changed_cell`."""

Targets = tuple[Tensor, Tensor]
"""What is to be predicted, and where it is defined."""


class Signal(NamedTuple):
    """A signal of motion.

    Attributes:
        kinds: kinds of observation that have it.
        outputs: number of values that are predicted at each step, from the shape of one observation.
        targets: from observations and mask, what is to be predicted and where it is defined.
        error: error of predictions `(B, T, outputs)`, in the shape of the targets.
    """

    kinds: tuple[Kind, ...]
    outputs: Callable[[tuple[int, ...]], int]
    targets: Callable[[Tensor, Tensor | None], Targets]
    error: Callable[[Tensor, Tensor], Tensor]


def choose_signal(name: str, observation: tuple[int, ...]) -> Signal:
    """The signal called `name`; "auto" gives `grid` for frames and `change` for vectors and windows.

    Raises:
        ValueError: there is no such signal, or these observations do not have it.
    """
    kind = kind_of(observation)
    if name == "auto":
        name = "grid" if kind == "frames" else "change"
    if name not in SIGNALS:
        raise ValueError(f"motion: there is no signal {name!r}{nearest(name, ['auto', 'none', *SIGNALS])}")
    if kind not in SIGNALS[name].kinds:
        fitting = ", ".join(other for other, signal in SIGNALS.items() if kind in signal.kinds)
        raise ValueError(f"motion: {kind} have no signal {name!r}; give auto, none or {fitting}")
    return SIGNALS[name]


def motion_error(
    signal: Signal, prediction: Float[Tensor, "B T K"], x: Float[Tensor, "B T *X"], mask: Tensor | None
) -> Float[Tensor, "B"]:
    """Error of the predicted signal of each sequence, summed over the steps where it is defined."""
    target, defined = signal.targets(zero_unobserved(x, mask), mask)
    if prediction.dtype in (torch.bfloat16, torch.float16):
        prediction = prediction.float()
    return torch.where(defined, signal.error(prediction, target), 0.0).flatten(1).sum(1)


def most_changed_cell(x: Float[Tensor, "B T C H W"], mask: Tensor | None = None) -> Targets:
    """The cell of a 3x3 grid with the largest mean absolute change since the step before, `(B, T)`.

    Cells are numbered row by row; of equal ones the first counts. The signal is not defined at the first step, at steps
    where all cells change alike (a still clip), and where a step or the one before is not observed.
    """
    seen = observed_values(x, mask)
    both = seen[:, 1:] & seen[:, :-1]
    change = torch.where(both, (x[:, 1:] - x[:, :-1]).abs(), 0.0)
    cells, shares = (
        adaptive_avg_pool2d(values.mean(2), CELLS).flatten(2) for values in (change, both.to(x.dtype))
    )
    cells = cells / shares.clamp_min(torch.finfo(x.dtype).tiny)
    cell, moves = cells.argmax(2), cells.amax(2) > cells.amin(2)
    first = torch.zeros_like(cell[:, :1])
    return torch.cat([first, cell], 1), torch.cat([first.bool(), moves], 1)


def loudness(x: Float[Tensor, "B T F"], mask: Tensor | None = None) -> Targets:
    """Whether the mean of a log spectrum is above its median over the sequence, `(B, T, 1)`; at observed steps."""
    seen = observed_values(x, mask)
    observed = x.new_ones(x.shape[:2], dtype=torch.bool) if mask is None else observed_steps(mask)
    level = torch.where(seen, x, 0.0).sum(2) / seen.sum(2).clamp_min(1)
    median = torch.where(observed, level, torch.nan).nanmedian(1, keepdim=True).values
    return (level > median).to(x.dtype).unsqueeze(2), observed.unsqueeze(2)


def feature_change(x: Shaped[Tensor, "B T *X"], mask: Tensor | None = None) -> Targets:
    """Change of each feature since the step before, `(B, T, F)`, of the means over the observed rows of a window.

    It is defined where the feature is observed at both steps.
    """
    seen = observed_values(x, mask)
    if x.ndim == 4:
        rows = seen.sum(2)
        x, seen = torch.where(seen, x, 0.0).sum(2) / rows.clamp_min(1), rows > 0
    both = seen[:, 1:] & seen[:, :-1]
    change = torch.where(both, x[:, 1:] - x[:, :-1], 0.0)
    return torch.cat([torch.zeros_like(x[:, :1]), change], 1), torch.cat(
        [torch.zeros_like(seen[:, :1]), both], 1
    )


def _class_error(prediction: Float[Tensor, "B T K"], target: Tensor) -> Float[Tensor, "B T"]:
    return cross_entropy(prediction.flatten(0, 1), target.flatten(), reduction="none").view_as(target)


def _binary_error(prediction: Float[Tensor, "B T 1"], target: Tensor) -> Float[Tensor, "B T 1"]:
    return binary_cross_entropy_with_logits(prediction, target, reduction="none")


def _squared_error(prediction: Float[Tensor, "B T F"], target: Tensor) -> Float[Tensor, "B T F"]:
    return mse_loss(prediction, target, reduction="none")


SIGNALS = {
    "grid": Signal(("frames",), lambda _: CELLS**2, most_changed_cell, _class_error),
    "energy": Signal(("vectors", "sound"), lambda _: 1, loudness, _binary_error),
    "change": Signal(
        ("vectors", "sound", "windows"), lambda observation: observation[-1], feature_change, _squared_error
    ),
}
"""Name to signal."""
