"""Recurrent nets in exported graphs, whose number of steps is free.

Tracing `nn.LSTM` unrolls it over the steps of the example. Within `as_scans()` its call, and that of `nn.RNN`, becomes a scan
over steps instead; within `as_operators()` an operator of its own, which ONNX has as well (`onnx_translations`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

__all__ = ["as_operators", "as_scans", "onnx_translations"]

State = tuple[Tensor, ...]


def as_scans() -> TorchFunctionMode:
    """A context in which `torch.lstm` and `torch.rnn_tanh` are scans; nets in one direction, from zeros, with biases."""
    return _Replaced({"lstm": _lstm_scan, "rnn_tanh": _rnn_scan})


def as_operators() -> TorchFunctionMode:
    """A context in which `torch.lstm` and `torch.rnn_tanh` are operators that can be traced and not run; as `as_scans`."""
    return _Replaced({"lstm": _lstm_operator, "rnn_tanh": _rnn_operator})


class _Replaced(TorchFunctionMode):
    """Recurrent layers `(x (T, B, F), weights of the layer) -> (T, B, H)` in place of torch's functions."""

    def __init__(self, layers: dict[str, Callable[..., Tensor]]) -> None:
        super().__init__()
        self.layers = layers

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        layer = self.layers.get(getattr(func, "__name__", ""))
        if layer is None:
            return func(*args, **(kwargs or {}))
        x, _, weights, _, count, *_, batch_first = args
        if len(weights) != 4 * count:
            raise ValueError("recurrent net: only nets in one direction, with biases, can be exported")
        x = x.transpose(0, 1) if batch_first else x
        for number in range(count):
            x = layer(x, *weights[4 * number : 4 * number + 4])
        # The last states are not there, so that a method that reads them fails.
        return x.transpose(0, 1) if batch_first else x, None, None


# ---- as scans -------------------------------------------------------------------------------------------


def _lstm_scan(x: Tensor, *weights: Tensor) -> Tensor:
    def step(state: State, gates: Tensor) -> State:
        i, f, g, o = gates.chunk(4, 1)
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    return _scan(step, 2, x, weights)


def _rnn_scan(x: Tensor, *weights: Tensor) -> Tensor:
    return _scan(lambda state, gates: (torch.tanh(gates),), 1, x, weights)


def _scan(
    step: Callable[[State, Tensor], State], states: int, x: Tensor, weights: Sequence[Tensor]
) -> Tensor:
    from torch._higher_order_ops.scan import scan

    w_input, w_state, b_input, b_state = weights

    def combine(state: State, now: Tensor) -> tuple[State, Tensor]:
        state = step(state, now + linear(state[0], w_state, b_state))
        return state, state[0].clone()  # a scan's output must not be its state

    start = tuple(x.new_zeros(x.shape[1], w_state.shape[1]) for _ in range(states))
    return scan(combine, start, linear(x, w_input, b_input))[1]


# ---- as operators ---------------------------------------------------------------------------------------


def _lstm_operator(x: Tensor, *weights: Tensor) -> Tensor:
    def in_order(weight: Tensor) -> Tensor:
        """The gates as ONNX has them: input, output, forget, cell; torch has input, forget, cell, output."""
        size = weight.shape[0] // 4
        return torch.cat([weight[:size], weight[3 * size :], weight[size : 3 * size]])

    return torch.ops.unbraid.lstm(x, *map(in_order, weights))


def _rnn_operator(x: Tensor, *weights: Tensor) -> Tensor:
    return torch.ops.unbraid.rnn_tanh(x, *weights)


def _recurrent(x: Tensor, w_input: Tensor, w_state: Tensor, b_input: Tensor, b_state: Tensor) -> Tensor:
    raise NotImplementedError("this operator is part of graphs that are written, and does not run")


def _like(x: Tensor, w_input: Tensor, w_state: Tensor, b_input: Tensor, b_state: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], x.shape[1], w_state.shape[1])


for _name in ("lstm", "rnn_tanh"):
    torch.library.custom_op(f"unbraid::{_name}", _recurrent, mutates_args=()).register_fake(_like)


def onnx_translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What `torch.onnx.export` writes for each operator, as its `custom_translation_table`."""
    from onnxscript import opset18

    op: Any = opset18  # its annotations are those of ONNX's own types

    def translate(
        write: Any, x: Any, w_input: Any, w_state: Any, b_input: Any, b_state: Any, **options: Any
    ) -> Any:
        first = op.Constant(value_ints=[0])
        weights = (
            op.Unsqueeze(each, first) for each in (w_input, w_state, op.Concat(b_input, b_state, axis=0))
        )
        outputs = write(x, *weights, hidden_size=w_state.shape[1], **options)
        return op.Squeeze(outputs[0], op.Constant(value_ints=[1]))  # the axis of directions

    def lstm(x: Any, w_input: Any, w_state: Any, b_input: Any, b_state: Any) -> Any:
        return translate(op.LSTM, x, w_input, w_state, b_input, b_state)

    def rnn(x: Any, w_input: Any, w_state: Any, b_input: Any, b_state: Any) -> Any:
        return translate(op.RNN, x, w_input, w_state, b_input, b_state)

    return {torch.ops.unbraid.lstm.default: lstm, torch.ops.unbraid.rnn_tanh.default: rnn}
