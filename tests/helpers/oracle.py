"""Tiny clips of known content and motion, and models that split them perfectly or leak on purpose."""

import itertools

import numpy as np
import torch
from torch import nn
from torch.distributions import Distribution, Independent, Normal

from unbraid.cards import ModelCard
from unbraid.data.sequences import Label, Sequences
from unbraid.models.base import SequenceModel
from unbraid.types import Codes, Posterior, standard_normal

COLOURS = np.array([[1, 0.1, 0.1], [0.1, 1, 0.1], [0.2, 0.2, 1], [1, 1, 0.1], [1, 0.1, 1]])
SHADES = np.array([0.0, 0.25, 0.5])
MOVES = ("left", "right", "up", "down")
STEPS = 4
ALL = list(itertools.product(range(len(COLOURS)), range(len(SHADES)), range(len(MOVES))))


CAPABILITIES = frozenset({"encode", "decode", "static_prior", "dynamic_prior", "decoded_static"})


def clip(colour: int, shade: int, move: int) -> np.ndarray:
    """`(T, 3, 16, 16)`: a square of one colour on a grey ground, moving one of four ways."""
    frames = np.full((STEPS, 3, 16, 16), SHADES[shade], np.float32)
    for t in range(STEPS):
        where = 1 + 3 * (t if move % 2 else STEPS - 1 - t)
        row, column = (where, 6) if move >= 2 else (6, where)
        frames[t, :, row : row + 4, column : column + 4] = COLOURS[colour][:, None, None]
    return frames


TABLE = np.stack([clip(*numbers) for numbers in ALL])


def clips(each: int = 6, seed: int = 0, labelled: bool = True) -> Sequences:
    """Every combination `each` times with a little noise; 60 combinations, so 360 clips by default."""
    generator = np.random.default_rng(seed)
    numbers = np.tile(np.arange(len(ALL)), each)
    x = TABLE[numbers] + generator.normal(0, 0.02, (len(numbers), *TABLE.shape[1:]))
    colour, shade, move = np.array(ALL)[numbers].T
    labels = {
        "colour": Label(colour, ("red", "green", "blue", "yellow", "pink"), "static"),
        "shade": Label(shade, ("dark", "grey", "light"), "static"),
        "move": Label(move, MOVES, "dynamic"),
        "axis": Label(move // 2, ("across", "along"), "dynamic", part_of="move"),
    }
    order = generator.permutation(len(numbers))
    held = len(order) // 3 - 1  # 119 test clips by default: no multiple of any batch size used
    splits = {"train": order[2 * held :], "validation": order[held : 2 * held], "test": order[:held]}
    return Sequences(
        np.clip(x * 255, 0, 255).astype(np.uint8), "squares", labels=labels if labelled else {}, splits=splits
    )


def _hot(number: torch.Tensor, classes: int) -> torch.Tensor:
    return 4.0 * nn.functional.one_hot(number, classes).float()


class Oracle(SequenceModel):
    """Looks the clip up, and writes its content into s and its motion into every d_t (one-hot times 4).

    A drawn N(0, I) code names every class equally often, because its classes are read by argmax.
    `leak_content` also writes the content into d and decodes it from there; `leak_motion` the motion into s.
    """

    card = ModelCard("oracle", "", "", 2024, "", "", "", CAPABILITIES)

    def __init__(self, observation, leak_content: bool = False, leak_motion: bool = False) -> None:
        super().__init__(locals())
        self.static_size = self.dynamic_size = 12
        self.leak_content, self.leak_motion = leak_content, leak_motion
        self.nothing = nn.Parameter(torch.zeros(()))
        self.register_buffer("table", torch.from_numpy(TABLE))

    def posterior(self, x, mask=None, generator=None) -> Posterior:
        which = torch.cdist(x.flatten(1), self.table.flatten(1)).argmin(1)
        colour, shade, move = torch.tensor(ALL)[which].T
        everything = torch.cat([_hot(colour, 5), _hot(shade, 3), _hot(move, 4)], 1)
        s = everything.clone()
        if not self.leak_motion:
            s[:, 8:] = 0
        d = everything[:, None].repeat(1, x.shape[1], 1)
        if not self.leak_content:
            d[..., :8] = 0
        return Posterior(Normal(s, 0.01), Normal(d, 0.01))

    def prior(self, dynamic) -> Distribution:
        return Normal(torch.zeros_like(dynamic), 1.0)

    def roll(self, n, length, generator=None) -> torch.Tensor:
        return standard_normal((n, length, 12), self.nothing, generator)

    def decode(self, codes, mask=None, generator=None) -> Distribution:
        content = codes.dynamic[:, 0] if self.leak_content else codes.static
        motion = codes.static if self.leak_motion else codes.dynamic[:, 0]
        colour, shade, move = content[:, :5].argmax(1), content[:, 5:8].argmax(1), motion[:, 8:].argmax(1)
        return Independent(Normal(self.table[colour * 12 + shade * 4 + move], 0.1), 0)

    def terms(self, batch, generator=None, phase="fit"):
        return {"nothing": self.nothing.expand(len(batch))}


__all__ = ["Codes", "Oracle", "clip", "clips"]
