"""Muon's steps against the singular value decomposition, and Adam's against torch's own."""

import copy

import pytest
import torch
from torch import nn

from unbraid.nn.codecs import build_decoder, build_encoder, kernels
from unbraid.training.muon import AdamWithMuon, orthogonal

RATES = {"learning_rate": 1e-2, "kernel_learning_rate": 3e-3}


@pytest.mark.parametrize("shape", [(8, 8), (6, 40), (40, 6), (1, 9)])
def test_orthogonal_keeps_the_singular_vectors_and_levels_the_values(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    inside = u.T @ orthogonal(matrix) @ v.T
    values = inside.diagonal()
    assert torch.allclose(inside, values.diag(), atol=1e-8)
    assert values.min() > 0.5 and values.max() < 1.3
    assert s.max() / s.min() > values.max() / values.min() or min(shape) == 1


def test_bfloat16_serves_large_matrices():
    large, small = (torch.randn(n, 80, generator=torch.Generator().manual_seed(0)) for n in (70, 8))
    rounded, exact = orthogonal(large, precision=torch.bfloat16), orthogonal(large)
    assert rounded.dtype == torch.float32 and not torch.equal(rounded, exact)
    assert (rounded - exact).norm() < 0.1 * exact.norm()
    assert torch.equal(orthogonal(small, precision=torch.bfloat16), orthogonal(small))


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 4, 2, 1), nn.ConvTranspose2d(8, 2, 4, 2, 1), nn.Flatten(), nn.Linear(128, 3)
        )


def muon(model, **settings):
    return AdamWithMuon(model.parameters(), kernels(model), **settings)


def train(model, optimizer, steps, first=0):
    for step in range(first, first + steps):
        x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad(set_to_none=True)
        optimizer.step(lambda x=x: model(x).square().mean().backward())


def test_kernels_take_steps_of_the_given_size_and_the_rest_takes_adam_s():
    ours, adam = net(), net()
    train(ours, muon(ours, **RATES), 1)
    train(adam, torch.optim.Adam(adam.parameters(), RATES["learning_rate"]), 1)
    for name, before in net().named_parameters():
        step = ours.get_parameter(name) - before
        if before.ndim == 4:
            assert step.square().mean().sqrt().item() == pytest.approx(RATES["kernel_learning_rate"], rel=0.3)
        else:
            assert torch.equal(ours.get_parameter(name), adam.get_parameter(name))


def test_the_order_in_memory_makes_no_difference():
    plain, channels_last = net(), net().to(memory_format=torch.channels_last)
    for model in (plain, channels_last):
        train(model, muon(model, **RATES), 3)
    assert not channels_last[1].weight.is_contiguous()
    for ours, exact in zip(channels_last.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, exact, rtol=1e-4, atol=1e-5)


def test_kernels_follow_the_equations():
    ours, momentum = net(), 0.9
    optimizer = muon(ours, **RATES, momentum=momentum)
    kernel, average = ours[0].weight, 0.0
    for step in range(3):
        x, before = (
            torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(step)),
            kernel.detach().clone(),
        )
        (gradient,) = torch.autograd.grad(ours(x).square().mean(), kernel)
        average = momentum * average + (1 - momentum) * gradient
        ahead = orthogonal(((1 - momentum) * gradient + momentum * average).flatten(1))
        train(ours, optimizer, 1, step)
        expected = before - RATES["kernel_learning_rate"] * 48**0.5 * ahead.view_as(before)
        torch.testing.assert_close(kernel.detach(), expected)


def test_a_saved_state_goes_on_as_if_nothing_had_happened():
    whole, broken = net(), net()
    optimizer = muon(whole, **RATES)
    train(whole, optimizer, 5)
    first = muon(broken, **RATES)
    train(broken, first, 2)
    second = muon(broken, learning_rate=1, kernel_learning_rate=1)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(broken, second, 3, 2)
    for a, b in zip(whole.parameters(), broken.parameters(), strict=True):
        assert torch.equal(a, b)


def test_kernels_are_convolutions_and_the_matrices_of_codecs_without():
    def shapes(*modules, heads=False):
        return [tuple(kernel.shape) for kernel in kernels(nn.ModuleList(modules), heads)]

    assert shapes(nn.Linear(3, 4), nn.LSTM(3, 4)) == []
    assert shapes(build_encoder((1, 16, 16), 8, 2)) == [(2, 1, 4, 4), (4, 2, 4, 4)]
    assert shapes(build_encoder((1, 16, 16), 8, 2), nn.Linear(3, 4), heads=True)[2:] == [(32, 64), (8, 32)]
    assert shapes(build_decoder((1, 16, 16), 8, 2), heads=True)[2:] == [(32, 8), (64, 32)]
    assert shapes(build_encoder((5,), 8, 2), nn.Linear(3, 4)) == [(2, 5), (4, 2), (8, 4)]
    assert shapes(build_decoder((3, 5), 6, 2)) == [(8, 6), (8, 8), (30, 8)]
