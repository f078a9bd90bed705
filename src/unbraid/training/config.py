"""How to train: one dataclass, the same from Python, from a recipe and from the command line."""

from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np

from unbraid.objectives.schedules import check_weights

__all__ = ["TrainingConfig"]

Weights = dict[str, float | list[list[float]]]


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training.

    Attributes:
        max_epochs: passes over the training split. Where `steps` are given they count instead; on the command line, this replaces a
            recipe's `steps`.
        steps: steps of training, rounded up to whole passes; None for `max_epochs` passes. A budget in steps suits data of
            any size: passes over few sequences are too few steps. Several passes are one epoch where a pass is short.
        max_minutes: of training, at most; None for no limit. A few steps are timed before the first, and where fewer fit into the
            minutes than the training has otherwise, learning rate and weights follow those. It is stopped cleanly when the
            minutes are over all the same, resumed parts included.
        fitted_steps: the steps that fit into `max_minutes`; filled in when a training starts.
        patience: epochs without a lower loss on validation, after which training ends with the weights of the lowest; None for
            all epochs and the last weights. Epochs before the middle of training do not count.
        batch_size: sequences per step.
        learning_rate: of Adam, at its highest.
        schedule: "constant", or "cosine" down to 1% at the end.
        warmup_steps: steps over which the learning rate rises linearly.
        beta2: Adam's second decay rate.
        kernel_learning_rate: highest learning rate of the kernels of convolutions and the matrices of the codecs of
            vectors and windows, which Muon then trains (see `unbraid.training.muon`); None for Adam throughout.
        kernel_heads: whether the layers of frame codecs that read and write the whole 4x4 map are trained by Muon as
            well. This lowers the error per epoch and adds a fixed time per step, so it pays for batches of 16 or more.
        gradient_clip: highest norm of the gradient of each phase; None for no limit.
        weights: weight of each term: a number, or a list of [share of training, value] points joined by straight
            lines. An unnamed term has weight 1.
        start_from: folder or name of a trained model (as `unbraid.from_pretrained` takes it) whose weights training starts
            from; None for new weights.
        start_sha256: of those weights; filled in when training starts, and checked where it is given.
        seed: of the initial weights, the order of the batches and the noise.
        precision: "bfloat16", "float32", or "auto": bfloat16 where the processor computes in it.
        device: "cpu", "cuda" or "auto".
        devices: processes of each machine that train together, one per GPU, or per part of the cores on a CPU; None for as
            many as `torchrun` started, one without it. `batch_size` is that of all processes together.
        compile: whether `torch.compile` compiles the parts of the model. The first steps take minutes then; it pays in long
            trainings on a GPU (`unbraid speed --compile` shows by how much), and not on a CPU.
        checkpoint_minutes: minutes between checkpoints; one is written at the end of each epoch as well.
        log_every_steps: steps between rows of metrics.csv.
        track_information: whether to add the mutual information of the codes to metrics.csv, estimated on validation
            before the first step and after each epoch; for models whose posteriors are normal.
    """

    max_epochs: int = 20
    steps: int | None = None
    max_minutes: float | None = None
    fitted_steps: int | None = None
    patience: int | None = None
    batch_size: int = 64
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_steps: int = 0
    beta2: float = 0.999
    kernel_learning_rate: float | None = None
    kernel_heads: bool = False
    gradient_clip: float | None = None
    weights: Weights = field(default_factory=dict)
    start_from: str | None = None
    start_sha256: str | None = None
    seed: int = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int | None = None
    compile: bool = False
    checkpoint_minutes: float = 2.0
    log_every_steps: int = 10
    track_information: bool = False

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, np.generic):  # as searches draw them
                object.__setattr__(self, each.name, value.item())
        for name in ("max_epochs", "batch_size", "log_every_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name}: {getattr(self, name)} must be at least 1")
        for name in ("seed", "warmup_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"training.{name}: {getattr(self, name)} must be at least 0")
        if not 0 <= self.beta2 < 1:
            raise ValueError(f"training.beta2: {self.beta2} must be at least 0 and below 1")
        for name in ("steps", "fitted_steps", "patience", "devices"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"training.{name}: {value} must be at least 1, or None")
        for name in (
            "learning_rate",
            "kernel_learning_rate",
            "checkpoint_minutes",
            "max_minutes",
            "gradient_clip",
        ):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"training.{name}: {value} must be above 0")
        if self.kernel_heads and self.kernel_learning_rate is None:
            raise ValueError(
                "training.kernel_heads: needs a training.kernel_learning_rate; give one, or leave it out"
            )
        if self.batch_size < 2:
            raise ValueError("training.batch_size: 1 is too small for batch statistics; give 2 or more")
        check_weights(self.weights)
