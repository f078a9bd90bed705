"""Recurrent posteriors and priors of the dynamic code."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from unbraid.masks import last_step, steps_below
from unbraid.types import draw

__all__ = ["GaussianHead", "LSTMPrior", "MaskedLSTM", "bidirectional_outputs", "last_outputs"]


class GaussianHead(nn.Module):
    """Two linear layers that give the mean and the standard deviation of a normal: `(..., features) -> (..., size)`."""

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.mean = nn.Linear(features, size)
        self.log_variance = nn.Linear(features, size)

    def forward(self, h: Float[Tensor, "*B features"]) -> Normal:
        """The normal given features h. Computed in float32 under autocast, because exponentials need its range."""
        mean, log_variance = self.mean(h), self.log_variance(h)
        if mean.dtype in (torch.bfloat16, torch.float16):
            mean, log_variance = mean.float(), log_variance.float()
        return Normal(mean, torch.exp(0.5 * log_variance), validate_args=False)


class MaskedLSTM(nn.Module):
    """An LSTM over sequences of different lengths; padding at the end changes nothing.

    Causal with one layer by default; bidirectional with any number of layers.
    """

    def __init__(self, features: int, hidden: int, layers: int = 1, bidirectional: bool = False) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, layers, batch_first=True, bidirectional=bidirectional)
        self.output_size = hidden * (2 if bidirectional else 1)

    def forward(
        self, x: Float[Tensor, "B T features"], steps: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T output"]:
        """Outputs at every step; zeros outside `steps` for a bidirectional net."""
        return bidirectional_outputs(self.lstm, x, steps) if self.lstm.bidirectional else self.lstm(x)[0]


def bidirectional_outputs(
    lstm: nn.LSTM, x: Float[Tensor, "B T features"], steps: Bool[Tensor, "B T"] | None = None
) -> Float[Tensor, "B T output"]:
    """The outputs of a bidirectional LSTM over the first steps of each sequence; zeros at the others.

    On CUDA the sequences are packed. Elsewhere, where the gradients of packed sequences take time that grows with the square of
    their steps, and in exported graphs, whose steps are a free size, each direction is a net of its own; the backward one reads
    every sequence from its last step to its first.

    Args:
        lstm: with any number of layers, `batch_first`.
        x: what it reads.
        steps: True up to the last step of each sequence; None for all steps. A sequence without steps is read as one step of zeros.
    """
    if steps is None:
        return lstm(x)[0]
    lengths = steps.sum(1).clamp_min(1)
    if x.is_cuda and not torch.compiler.is_compiling():
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=x.shape[1])[0]
    steps = steps_below(lengths, x.shape[1])
    times = torch.arange(x.shape[1], device=x.device).expand(x.shape[0], -1)
    backwards = torch.where(steps, lengths.unsqueeze(1) - 1 - times, times).unsqueeze(2)
    start = [x.new_zeros(1, x.shape[0], lstm.hidden_size) for _ in range(2)]
    weights = [tuple(of_direction) for of_direction in lstm.all_weights]
    for ahead, back in zip(weights[::2], weights[1::2], strict=True):
        turned = x.gather(1, backwards.expand(-1, -1, x.shape[2]))
        forward = torch.lstm(x, start, ahead, True, 1, 0.0, lstm.training, False, True)[0]
        backward = torch.lstm(turned, start, back, True, 1, 0.0, lstm.training, False, True)[0]
        x = torch.cat([forward, backward.gather(1, backwards.expand(-1, -1, lstm.hidden_size))], 2)
    return torch.where(steps.unsqueeze(2), x, 0.0)


def last_outputs(
    h: Float[Tensor, "B T output"], steps: Bool[Tensor, "B T"] | None = None
) -> Float[Tensor, "B output"]:
    """A bidirectional LSTM's last outputs: of the forward direction at the last step, of the backward one at the first."""
    half = h.shape[2] // 2
    last = last_step(h, steps)
    return torch.cat([last[:, :half], h[:, 0, half:]], 1)


class LSTMPrior(nn.Module):
    """p(d_t | d_<t): an LSTM reads the path so far and gives the normal of the next step; d_0 = 0."""

    def __init__(self, size: int, hidden: int, layers: int = 1) -> None:
        super().__init__()
        self.size = size
        self.lstm = nn.LSTM(size, hidden, layers, batch_first=True)
        self.head = GaussianHead(hidden, size)

    def forward(self, path: Float[Tensor, "B T D"]) -> Normal:
        """The normals of all steps along a given path: one call on the path shifted by one step."""
        shifted = torch.cat([torch.zeros_like(path[:, :1]), path[:, :-1]], 1)
        return self.head(self.lstm(shifted)[0])

    def roll(self, n: int, length: int, generator: torch.Generator | None = None) -> Float[Tensor, "n T D"]:
        """Draw n paths of `length` steps."""
        step, state, path = self.head.mean.weight.new_zeros(n, 1, self.size), None, []
        for _ in range(length):
            h, state = self.lstm(step, state)
            step = draw(self.head(h), generator)
            path.append(step)
        return torch.cat(path, 1)
