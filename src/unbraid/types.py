"""What passes between data, models and scores, and the letters of its shapes.

| letter   | meaning                                                                             |
|----------|-------------------------------------------------------------------------------------|
| `N`, `B` | sequences in a data set, in a batch                                                 |
| `T`      | steps of a sequence                                                                 |
| `*X`     | one observation: `(C, H, W)` frame, `(F,)` features, `(W, F)` window of a series    |
| `S`, `D` | static and dynamic code size                                                        |

Batch first, always. Masks are bool, **True = observed**. Standard deviations only, no log-variances.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.distributions import Distribution, Normal

from unbraid.processes import Process

__all__ = [
    "Batch",
    "Codes",
    "Factor",
    "JointNoise",
    "MotionView",
    "Posterior",
    "Terms",
    "View",
    "draw",
    "repeat",
    "standard_normal",
    "uniform",
]

Terms = dict[str, Tensor]
"""Named, unweighted terms of an objective: `(B,)` each, or 0-dim for estimates over a whole batch."""

MotionView = Literal["auto", "colour", "crop", "stroke", "scale", "spectrum", "voice"]
"""Ways of `unbraid.augment` that keep the motion and change what stays: views that the dynamic code is read from."""


class JointNoise(torch.Generator):
    """Noise of one of several processes that train on one batch together.

    Every process draws the numbers of the whole batch and keeps those of its own sequences, so that the processes have the
    noise that one process would have, and the generator's state is the same in all of them.

    Attributes:
        process: which one this is.
        sequences: of a batch that this process has.
    """

    process: Process
    sequences: int

    def __new__(cls, device: str, process: Process, sequences: int) -> "JointNoise":
        """Make a generator on a device."""
        generator = super().__new__(cls, device)  # type: ignore[call-arg]
        generator.process, generator.sequences = process, sequences
        return generator


def standard_normal(
    shape: tuple[int, ...],
    like: Tensor,
    generator: torch.Generator | None = None,
    sequences: int | None = 0,
) -> Tensor:
    """Draw N(0, I) of `shape` with the device and precision of `like`.

    With a generator the numbers are drawn where the generator lives, so a CPU generator gives the same
    numbers on every device.

    Args:
        shape: of the noise.
        like: a tensor.
        generator: of the noise.
        sequences: the axis along which the sequences of a batch lie, once or several times over (batch after batch);
            None for noise that is not drawn for each sequence. Matters when several processes train together.
    """
    return _drawn(torch.randn, shape, like, generator, sequences)


def uniform(
    shape: tuple[int, ...],
    like: Tensor,
    generator: torch.Generator | None = None,
    sequences: int | None = 0,
) -> Tensor:
    """Draw from the uniform distribution on [0, 1), in float32 at least; arguments as for `standard_normal`."""
    like = like if like.dtype == torch.float64 else like.new_empty(0, dtype=torch.float32)
    return _drawn(torch.rand, shape, like, generator, sequences)


def _drawn(
    sampler: Callable[..., Tensor],
    shape: tuple[int, ...],
    like: Tensor,
    generator: torch.Generator | None,
    sequences: int | None,
) -> Tensor:
    if generator is None:
        return sampler(shape, device=like.device, dtype=like.dtype)
    options: dict[str, Any] = {"generator": generator, "device": generator.device, "dtype": like.dtype}
    if sequences is None or not isinstance(generator, JointNoise) or generator.process.count == 1:
        noise = sampler(shape, **options)
    else:
        rank, count = generator.process
        before, after = shape[:sequences], shape[sequences + 1 :]
        times = shape[sequences] // generator.sequences
        whole = sampler((*before, times, count, generator.sequences, *after), **options)
        noise = whole.select(sequences + 1, rank).reshape(shape)
    return noise.to(like.device, non_blocking=True)


def draw(distribution: Distribution, generator: torch.Generator | None = None) -> Tensor:
    """Draw one reparametrised sample, its noise from `generator` when one is given.

    Normals and the distributions of `unbraid.nn.distributions` can draw from a generator.

    Raises:
        ValueError: a generator is given and the distribution cannot use it.
    """
    if isinstance(distribution, Normal):
        noise = standard_normal(tuple(distribution.loc.shape), distribution.loc, generator)
        return distribution.loc + distribution.scale * noise
    if hasattr(distribution, "draw"):
        return distribution.draw(generator)
    if generator is not None:
        raise ValueError(
            f"generator: {type(distribution).__name__} cannot draw from a given generator; "
            "pass generator=None, or use a Normal or a distribution of unbraid.nn.distributions"
        )
    return distribution.rsample()


def repeat(normal: Distribution, times: int) -> Normal:
    """Repeat a batch of normals `times` times, batch after batch: `(B, ...)` becomes `(times * B, ...)`.

    Raises:
        ValueError: the distribution is no Normal.
    """
    if not isinstance(normal, Normal):
        raise ValueError(f"normal: {type(normal).__name__} cannot be repeated; give a Normal")
    if times == 1:
        return normal
    shape = (times, *[1] * (normal.loc.ndim - 1))
    return Normal(normal.loc.repeat(shape), normal.scale.repeat(shape), validate_args=False)


@dataclass(frozen=True)
class Factor:
    """A part of the codes that can be exchanged on its own.

    Attributes:
        code: the code that it lies in.
        columns: its coordinates in that code; None for all of them.
    """

    code: Literal["static", "dynamic"]
    columns: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Codes:
    """The two codes of a batch of sequences.

    Attributes:
        static: one code per sequence.
        dynamic: one code per step.
        names: of the sequences, or None.
    """

    static: Float[Tensor, "B S"]
    dynamic: Float[Tensor, "B T D"]
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.static)

    def __getitem__(self, rows: Any) -> "Codes":
        """Some of the sequences; a single number gives a batch of one."""
        if isinstance(rows, int | np.integer):
            rows = range(len(self))[rows]
            rows = slice(rows, rows + 1)
        names = None if self.names is None else tuple(np.array(self.names, object)[rows])
        return Codes(self.static[rows], self.dynamic[rows], names)

    def to(self, device: torch.device | str) -> "Codes":
        """Return the same codes on `device`."""
        return replace(self, static=self.static.to(device), dynamic=self.dynamic.to(device))

    def each_step(self) -> Float[Tensor, "B T latent"]:
        """(s, d_t) of each step, S + D numbers: s is repeated before every d_t."""
        static = self.static.unsqueeze(1).expand(-1, self.dynamic.shape[1], -1)
        return torch.cat([static, self.dynamic], 2)

    def exchange(self, other: "Codes", factor: Factor) -> "Codes":
        """These codes, with `factor` taken from `other`.

        A whole dynamic code may have another length than this one; single coordinates of it must have the same.

        Raises:
            ValueError: the two have different numbers of sequences, or of steps where single coordinates of the
                dynamic code are exchanged.
        """
        if len(self) != len(other):
            raise ValueError(f"other: has {len(other)} sequences; these codes have {len(self)}")
        if factor.columns is None:
            return replace(self, **{factor.code: getattr(other, factor.code)})
        mine, theirs = getattr(self, factor.code), getattr(other, factor.code)
        if mine.shape != theirs.shape:
            raise ValueError(
                f"other: its {factor.code} codes have shape {tuple(theirs.shape)}, these {tuple(mine.shape)}; "
                "single coordinates can be exchanged between sequences of one length"
            )
        mixed = mine.clone()
        mixed[..., list(factor.columns)] = theirs[..., list(factor.columns)]
        return replace(self, **{factor.code: mixed})

    @staticmethod
    def cat(parts: "list[Codes]") -> "Codes":
        """Join the codes of several batches along the first axis."""
        names = [p.names for p in parts if p.names is not None]
        return Codes(
            torch.cat([p.static for p in parts]),
            torch.cat([p.dynamic for p in parts]),
            tuple(name for part in names for name in part) if len(names) == len(parts) else None,
        )


@dataclass(frozen=True)
class Posterior:
    """The distribution of the codes given the sequence.

    Attributes:
        static: q(s | x) over (B, S).
        dynamic: q(d | x) over (B, T, D): independent over the steps, joint over time or a point (see
            `unbraid.nn.distributions`). Where it depends on the static code, its value at the mean of q(s | x).
        dynamic_given: maps static codes (B, S) to q(d | s, x), for methods whose dynamic posterior depends on s.
    """

    static: Distribution
    dynamic: Distribution
    dynamic_given: Callable[[Tensor], Distribution] | None = None

    @property
    def mean(self) -> Codes:
        """The posterior means."""
        return Codes(self.static.mean, self.dynamic.mean)

    def at(self, static: Float[Tensor, "B S"]) -> "Posterior":
        """The posterior whose dynamic part is conditioned on these static codes."""
        return self if self.dynamic_given is None else Posterior(self.static, self.dynamic_given(static))

    def sample(self, generator: torch.Generator | None = None) -> Codes:
        """One reparametrised draw of both codes."""
        static = draw(self.static, generator)
        return Codes(static, draw(self.at(static).dynamic, generator))


@dataclass(frozen=True)
class View:
    """A changed copy of a batch of sequences.

    Attributes:
        x: changed observations.
        mask: what is observed of them, as in `Batch`.
        order: `(B, T)`, only for views that reorder steps: the index of the original step at each place. Features
            that were computed step by step can then be reordered instead of computed again.
    """

    x: Float[Tensor, "B T *X"]
    mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None
    order: Int[Tensor, "B T"] | None = None


@dataclass(frozen=True)
class Batch:
    """A batch of sequences and what an objective may need with them.

    Attributes:
        x: observations, `(B, T, *X)` floats; frames in [0, 1].
        mask: `(B, T)` (steps) or `(B, T, *X)` (values), True = observed; None when all is observed.
        labels: label name to `(B,)` integers; models that learn without labels never read them.
        index: `(B,)` position of each sequence; in training its position within the train split, -1 for sequences
            of other splits.
        recording: `(B,)` number of the recording (of `Sequences.groups`) that each sequence was cut from, counted within
            the train split; -1 for sequences of other splits.
        recording_size: `(B,)` number of training sequences of that recording.
        views: name to a changed copy, drawn when the model asks for views (`SequenceModel.views`).
        other_voices: `(B, K, T, F)`, each sequence as K other voices would say it, where the data hold them.
        dataset_size: number N of training sequences, for estimates over the data set.
        unweighted: names of the terms whose weight is zero at this training step; a model may leave them out.
    """

    x: Float[Tensor, "B T *X"]
    mask: Bool[Tensor, "B T *X"] | Bool[Tensor, "B T"] | None = None
    labels: Mapping[str, Int[Tensor, "B"]] = field(default_factory=dict)
    index: Int[Tensor, "B"] | None = None
    recording: Int[Tensor, "B"] | None = None
    recording_size: Int[Tensor, "B"] | None = None
    views: dict[str, View] = field(default_factory=dict)
    other_voices: Float[Tensor, "B K T F"] | None = None
    dataset_size: int | None = None
    unweighted: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch with every tensor on `device`."""

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=True)
            if isinstance(value, Mapping):
                return {name: move(item) for name, item in value.items()}
            if isinstance(value, View):
                return View(**{f.name: move(getattr(value, f.name)) for f in fields(value)})
            return value

        return replace(self, **{f.name: move(getattr(self, f.name)) for f in fields(self)})

    def view(self, name: str) -> View:
        """The view called `name`.

        Raises:
            ValueError: it was not drawn.
        """
        if name not in self.views:
            raise ValueError(
                f"batch.views: there is no {name!r} view, which the model's objective needs; training draws it, "
                "elsewhere call unbraid.augment.draw_views(model.views, batch)"
            )
        return self.views[name]

    def require_dataset_size(self) -> int:
        """The number of training sequences.

        Raises:
            ValueError: it is not known.
        """
        if self.dataset_size is None:
            raise ValueError(
                "batch.dataset_size: is missing; minibatch weighted sampling needs N, the number of training sequences"
            )
        return self.dataset_size

    def repeat(self, times: int) -> "Batch":
        """Observations and mask repeated `times` times, batch after batch: for several draws of the codes in one call."""
        if times == 1:
            return self

        def tile(value: Tensor) -> Tensor:
            return value.repeat(times, *[1] * (value.ndim - 1))

        return Batch(tile(self.x), None if self.mask is None else tile(self.mask))
