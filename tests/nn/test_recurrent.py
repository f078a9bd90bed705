"""LSTMs over sequences of different lengths against torch's packed sequences."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from unbraid.nn.recurrent import bidirectional_outputs


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_both_directions_are_those_of_packed_sequences(layers, training):
    """Outputs and all gradients, in float64."""
    torch.manual_seed(0)
    lstm = nn.LSTM(5, 4, layers, batch_first=True, bidirectional=True).double().train(training)
    x = torch.randn(6, 9, 5, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([9, 1, 4, 8, 4, 2])
    steps = torch.arange(9) < lengths.unsqueeze(1)
    weights = torch.randn(6, 9, 8, dtype=torch.float64)

    def gradients(outputs):
        return torch.autograd.grad((outputs * weights).sum(), [x, *lstm.parameters()])

    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected = pad_packed_sequence(lstm(packed)[0], batch_first=True)[0]
    found = bidirectional_outputs(lstm, x, steps)
    torch.testing.assert_close(found, expected)
    for one, other in zip(gradients(found), gradients(expected), strict=True):
        torch.testing.assert_close(one, other)


def test_a_sequence_without_steps_is_read_as_one_step_of_zeros():
    lstm = nn.LSTM(3, 2, batch_first=True, bidirectional=True)
    x, steps = torch.zeros(2, 4, 3), torch.tensor([[False] * 4, [True] * 4])
    out = bidirectional_outputs(lstm, x, steps)
    torch.testing.assert_close(out[0, :1], lstm(torch.zeros(1, 1, 3))[0][0])
    assert (out[0, 1:] == 0).all()
