"""Strided convolutions as matrix products, against torch's convolutions."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d

from unbraid.nn import strided
from unbraid.nn.strided import (
    PixelConvTranspose2d,
    StridedConv2d,
    StridedConvTranspose2d,
    by_product,
    down,
    kernel_gradient,
    up,
    up_to_pixels,
)

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-2}


def maps(dtype, seed=0):
    noise = torch.Generator().manual_seed(seed)
    x, y, w = (
        torch.randn(*shape, generator=noise, dtype=torch.float64)
        for shape in ((5, 6, 8, 8), (5, 7, 4, 4), (7, 6, 4, 4))
    )
    return [t.to(dtype).contiguous(memory_format=torch.channels_last) for t in (x, y, w)]


def assert_near(result, exact, dtype):
    difference = (result.double() - exact.double()).abs().max() / exact.double().abs().max()
    assert result.dtype == dtype and result.shape == exact.shape and difference < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_products_equal_convolutions(dtype):
    x, y, w = maps(dtype)
    assert_near(down(x, w), conv2d(x, w, None, 2, 1), dtype)
    assert_near(up(y, w), conv_transpose2d(y, w, None, 2, 1), dtype)
    leaf = w.double().requires_grad_()
    conv2d(x.double(), leaf, None, 2, 1).backward(y.double())
    assert_near(kernel_gradient(x, y), leaf.grad, dtype)


@pytest.mark.parametrize("channels", [1, 3, 6])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_pixels_equal_those_of_the_transposed_convolution(dtype, channels):
    _, y, w = maps(dtype)
    w, bias = w[:, :channels], torch.arange(channels).to(dtype)
    assert_near(up_to_pixels(y, w, bias), conv_transpose2d(y, w, bias, 2, 1), dtype)
    assert up_to_pixels(y[:0], w, bias).shape == (0, channels, 8, 8)


def test_gradients_of_the_layer_of_pixels():
    _, y, _ = maps(torch.float64)
    layer, reference = PixelConvTranspose2d(7, 3).double(), nn.ConvTranspose2d(7, 3, 4, 2, 1).double()
    reference.load_state_dict(layer.state_dict())
    results = []
    for module in (layer, reference):
        leaf = y.clone().requires_grad_()
        out = module(leaf)
        out.sin().sum().backward()
        results.append((out.detach(), leaf.grad, module.weight.grad, module.bias.grad))
    for ours, exact in zip(*results, strict=True):
        torch.testing.assert_close(ours, exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("chosen", [{"down", "up", "kernel_gradient"}, {"kernel_gradient"}])
@pytest.mark.parametrize(
    ("strided_layer", "plain"), [(StridedConv2d, nn.Conv2d), (StridedConvTranspose2d, nn.ConvTranspose2d)]
)
def test_gradients_of_layers(monkeypatch, strided_layer, plain, chosen):
    monkeypatch.setattr(strided, "by_product", lambda operation, *_: operation in chosen)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = (strided_layer(6, 7) if plain is nn.Conv2d else strided_layer(7, 6)).double()
    x, y, _ = maps(torch.float64)
    start, end = (x, y) if plain is nn.Conv2d else (y, x)
    reference = plain(start.shape[1], end.shape[1], 4, 2, 1, bias=False).double()
    reference.load_state_dict(layer.state_dict())
    results = []
    for module in (layer, reference):
        module.zero_grad()
        leaf = start.clone().requires_grad_()
        out = module(leaf)
        out.backward(end)
        results.append((out.detach(), leaf.grad, module.weight.grad))
    for ours, exact in zip(*results, strict=True):
        torch.testing.assert_close(ours, exact, rtol=1e-12, atol=1e-12)


def test_autocast_computes_in_bfloat16_and_keeps_the_kernel_in_float32(monkeypatch):
    monkeypatch.setattr(strided, "by_product", lambda *_: True)
    x, _, _ = maps(torch.float32)
    layer = StridedConv2d(6, 7)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    y.float().sum().backward()
    assert y.dtype == torch.bfloat16 and layer.weight.grad.dtype == torch.float32
    exact = torch.autograd.grad(conv2d(x, layer.weight, None, 2, 1).sum(), layer.weight)[0]
    assert (layer.weight.grad - exact).abs().max() < 1e-2 * exact.abs().max()


def test_products_are_chosen_on_small_maps_with_many_channels():
    chosen = [
        by_product("kernel_gradient", torch.Size((4, c, h, h)), torch.float32, d)
        for c, h, d in ((128, 8, "cpu"), (64, 8, "cpu"), (128, 16, "cpu"), (128, 8, "cuda"))
    ]
    assert chosen == [True, False, False, False]
    assert not by_product("down", torch.Size((4, 128, 8, 8)), torch.float32, "cpu")
