"""Recurrent nets as scans, for exported graphs whose number of steps is free.

Tracing `nn.LSTM` unrolls it over the steps of the example. Within `recurrent_scans()` its call, and that of `nn.RNN`, becomes
a scan over steps instead, with the same result.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

__all__ = ["recurrent_scans"]

State = tuple[Tensor, ...]


def recurrent_scans() -> TorchFunctionMode:
    """A context in which `torch.lstm` and `torch.rnn_tanh` are scans; nets in one direction with biases alone."""
    return _RecurrentScans()


class _RecurrentScans(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name == "lstm":
            x, start, weights, _, layers, *_, batch_first = args
            out, (h, c) = _scan_layers(_lstm_step, x, tuple(start), weights, layers, batch_first)
            return out, h, c
        if name == "rnn_tanh":
            x, start, weights, _, layers, *_, batch_first = args
            out, (h,) = _scan_layers(_rnn_step, x, (start,), weights, layers, batch_first)
            return out, h
        return func(*args, **(kwargs or {}))


def _scan_layers(
    step: Callable[[State, Tensor], State],
    x: Tensor,
    start: State,
    weights: Sequence[Tensor],
    layers: int,
    batch_first: bool,
) -> tuple[Tensor, State]:
    """The outputs of the last layer at every step, and the last state of every layer."""
    from torch._higher_order_ops.scan import scan

    if len(weights) != 4 * layers:
        raise ValueError("recurrent net: only nets in one direction, with biases, are scanned")
    x = x.transpose(0, 1) if batch_first else x
    ends: list[State] = []
    for layer in range(layers):
        w_input, w_state, b_input, b_state = weights[4 * layer : 4 * layer + 4]

        def combine(
            state: State, now: Tensor, w_state: Tensor = w_state, b_state: Tensor = b_state
        ) -> tuple[State, Tensor]:
            state = step(state, now + linear(state[0], w_state, b_state))
            return state, state[0].clone()  # a scan's output must not be its state

        first = tuple(part[layer].clone() for part in start)
        end, x = scan(combine, first, linear(x, w_input, b_input))
        ends.append(end)
    last = tuple(torch.stack(parts) for parts in zip(*ends, strict=True))
    return (x.transpose(0, 1) if batch_first else x), last


def _lstm_step(state: State, gates: Tensor) -> State:
    i, f, g, o = gates.chunk(4, 1)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _rnn_step(state: State, gates: Tensor) -> State:
    return (torch.tanh(gates),)
