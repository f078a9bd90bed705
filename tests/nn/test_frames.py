"""The codec of frames against its layers written out, and the kernels that it names."""

import pytest
import torch
from torch.nn import functional as F

from unbraid.kinds import FRAME_SIZES, KINDS
from unbraid.nn.codecs import CODECS, build_decoder, build_encoder, decode_steps, encode_steps, kernels
from unbraid.nn.frames import SigmoidWithLeastGradient
from unbraid.nn.likelihoods import SquaredErrorNormal


def built(build, size, *sizes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build((3, size, size), *sizes).eval()


def normalised(x, state, name):
    """Batch norm in evaluation: with the running statistics of a fresh layer, then the leaky rectifier."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    mean, variance = (state[f"{name}.running_{key}"].view(shape) for key in ("mean", "var"))
    y = (x - mean) / torch.sqrt(variance + 1e-5)
    return y * state[f"{name}.weight"].view(shape) + state[f"{name}.bias"].view(shape)


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


def spoilt_statistics(module):
    """Running statistics and affine parameters that are not those of a fresh layer."""
    generator = torch.Generator().manual_seed(1)
    for name, value in module.state_dict().items():
        if value.is_floating_point() and ("running" in name or "bias" in name):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return module


@pytest.mark.parametrize("size", FRAME_SIZES)
def test_features_are_those_of_the_layers_written_out(size):
    encoder = spoilt_statistics(built(build_encoder, size, 7, 2))
    state, x = encoder.state_dict(), torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    h = x
    for layer in range(size.bit_length() - 3):
        h = F.conv2d(h, state[f"layers.{3 * layer}.weight"], stride=2, padding=1)
        h = leaky(normalised(h, state, f"layers.{3 * layer + 1}"))
    assert h.shape[2:] == (4, 4) and h.shape[1] == 2 * min(2 ** (size.bit_length() - 4), 8)
    h = h.permute(0, 2, 3, 1).flatten(1)
    first = 0
    if size == 16:
        h, first = leaky(normalised(h @ state["head.0.weight"].T, state, "head.1")), 3
    g = torch.tanh(normalised(h @ state[f"head.{first}.weight"].T, state, f"head.{first + 1}"))
    assert torch.allclose(encode_steps(encoder, x[None])[0], g, atol=1e-5)


@pytest.mark.parametrize("size", FRAME_SIZES)
def test_frames_are_those_of_the_layers_written_out(size):
    decoder = spoilt_statistics(built(build_decoder, size, 5, 2))
    state, z = decoder.state_dict(), torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    if size == 16:
        h = leaky(normalised(z @ state["head.0.weight"].T, state, "head.1")) @ state["head.3.weight"].T
    else:
        h = z @ state["head.weight"].T
    h = leaky(normalised(h.view(2, 4, 4, -1).permute(0, 3, 1, 2), state, "layers.0"))
    last = 2 + 3 * (size.bit_length() - 4)
    for layer in range(2, last, 3):
        h = F.conv_transpose2d(h, state[f"layers.{layer}.weight"], stride=2, padding=1)
        h = leaky(normalised(h, state, f"layers.{layer + 1}"))
    h = F.conv_transpose2d(
        h, state[f"layers.{last}.weight"], state[f"layers.{last}.bias"], stride=2, padding=1
    )
    p = decode_steps(decoder, z[None])
    assert isinstance(p, SquaredErrorNormal)
    assert torch.allclose(p.mean[0], torch.sigmoid(h), atol=1e-5)


def test_kernels_are_the_convolutions_and_with_heads_the_layers_at_the_map():
    model = torch.nn.ModuleDict(
        {"encoder": built(build_encoder, 16, 7, 2), "decoder": built(build_decoder, 16, 5, 2)}
    )
    assert {kernel.ndim for kernel in kernels(model)} == {4}
    assert len(kernels(model)) == 4
    with_heads = kernels(model, heads=True)
    assert sorted(kernel.ndim for kernel in with_heads) == [2] * 4 + [4] * 4
    assert len({id(kernel) for kernel in with_heads}) == 8


def test_every_kind_has_a_codec():
    assert set(CODECS) == set(KINDS)
    for encoder, decoder in CODECS.values():
        assert hasattr(encoder, "reads_mask") and hasattr(encoder, "kernels")
        assert hasattr(decoder, "likelihood") and hasattr(decoder, "kernels")


@pytest.mark.parametrize("observation", [(3, 32, 16), (3, 24, 24)])
def test_frames_of_other_sizes_are_refused(observation):
    for build in (build_encoder, build_decoder):
        with pytest.raises(ValueError, match=r"resize them to 16, 32, 64, 128 pixels square"):
            build(observation, 5, 2)


def test_the_decoder_s_sigmoid_never_stops_learning():
    sigmoid = SigmoidWithLeastGradient()
    z = torch.linspace(-12, 12, 49, requires_grad=True)
    (own,) = torch.autograd.grad(sigmoid(z).sum(), z)
    (usual,) = torch.autograd.grad(torch.sigmoid(z).sum(), z)
    assert torch.equal(sigmoid(z), torch.sigmoid(z))
    torch.testing.assert_close(own, usual.clamp_min(0.02))
    (evaluated,) = torch.autograd.grad(sigmoid.eval()(z).sum(), z)
    torch.testing.assert_close(evaluated, usual)
