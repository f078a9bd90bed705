"""Codecs: windows and their masks, bounds of deviations, the error of edges, and the settings that methods hand on."""

from inspect import signature
from itertools import product

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from unbraid.models.build import build_model
from unbraid.nn.codecs import build_decoder, build_encoder, decode_steps, encode_steps
from unbraid.nn.likelihoods import BoundedNormal, SquaredErrorNormal, reconstruction_error
from unbraid.registry import list_models, model_class


@pytest.fixture
def x():
    return torch.randn(2, 5, 4, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def encoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_encoder((4, 3), 6, 8)


@pytest.fixture
def decoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_decoder((4, 3), 5, 8)


def test_a_window_s_features_are_those_of_its_values_and_mask(encoder, x):
    """Against the layers written out, one window at a time: values row by row, each row followed by its mask."""
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.6
    g = encode_steps(encoder, x, mask)
    layers = [layer for layer in encoder if isinstance(layer, nn.Linear)]
    for window, seen, features in zip(x[0], mask[0], g[0], strict=True):
        rows = [
            torch.cat([torch.where(shown, values, 0.0), shown.float()])
            for values, shown in zip(window, seen, strict=True)
        ]
        h = torch.cat(rows)
        for layer in layers[:-1]:
            h = (layer.weight @ h + layer.bias).clamp_min(0)
        torch.testing.assert_close(features, layers[-1].weight @ h + layers[-1].bias)


def test_a_missing_value_is_not_a_zero(encoder, x):
    """The mask reaches the encoder: a zero that was measured and a gap have other features."""
    x = x.clone()
    x[:, 2, 1, 0] = 0.0
    gap = torch.ones(x.shape, dtype=torch.bool)
    gap[:, 2, 1, 0] = False
    measured, missing = encode_steps(encoder, x), encode_steps(encoder, x, gap)
    assert not torch.allclose(measured[:, 2], missing[:, 2])
    kept = torch.arange(5) != 2
    torch.testing.assert_close(measured[:, kept], missing[:, kept])
    assert torch.equal(encode_steps(encoder, torch.where(gap, x, torch.nan), gap), missing)


def test_masks_of_steps_and_of_values_agree(encoder, x):
    steps = torch.tensor([[True, True, False, True, True], [True] * 3 + [False] * 2])
    values = steps.reshape(2, 5, 1, 1).expand(x.shape)
    by_steps = encode_steps(encoder, x, steps)
    torch.testing.assert_close(by_steps, encode_steps(encoder, x, values))
    assert (by_steps[~steps] == 0).all()


def test_windows_stand_on_their_own(decoder):
    z = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    p = decode_steps(decoder, z)
    assert isinstance(p, BoundedNormal) and p.mean.shape == p.stddev.shape == (2, 6, 4, 3)
    one = decode_steps(decoder, z[1:, 2:3])
    torch.testing.assert_close(p.mean[1, 2], one.mean[0, 0])
    torch.testing.assert_close(p.stddev[1, 2], one.stddev[0, 0])
    assert torch.equal(p.mean, decode_steps(decoder, z).mean)  # nothing is drawn
    steps = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    assert (decode_steps(decoder, z, steps).mean[~steps] == 0).all()


def test_deviations_are_learned_within_their_bounds(decoder):
    raw = torch.tensor([[-1e4, -1.0, 0.0, 1.0, 1e4]])
    spread = BoundedNormal(torch.zeros(1, 5), raw).stddev
    assert spread[0, 0] >= 0.05 and spread[0, -1] <= 2 and (spread.diff() > 0).all()
    p = decode_steps(decoder, torch.randn(2, 3, 5))
    p.stddev.sum().backward()
    last = [layer for layer in decoder if isinstance(layer, nn.Linear)][-1]
    assert last.weight.grad[4 * 3 :].abs().sum() > 0  # the second half sets the deviations


def test_the_error_of_a_normal_has_the_gradients_of_torch(x):
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(x.shape, generator=generator) < 0.6
    mean, raw = torch.randn((2, *x.shape), generator=generator, dtype=torch.float64)
    leaves = [part.clone().requires_grad_() for part in (x.double(), mean, raw)]
    same = [part.detach().clone().requires_grad_() for part in leaves]
    weights = torch.rand(x.shape[:2], generator=generator, dtype=torch.float64)
    (weights * reconstruction_error(BoundedNormal(*leaves[1:]), leaves[0], mask)).sum().backward()
    p = Normal(same[1], 0.05 + 1.95 * torch.sigmoid(same[2]))
    (weights.view(2, 5, 1, 1) * torch.where(mask, -p.log_prob(same[0]), 0.0)).sum().backward()
    for leaf, other in zip(leaves, same, strict=True):
        torch.testing.assert_close(leaf.grad, other.grad)


def test_the_error_is_the_negative_log_likelihood_of_what_is_observed(decoder, x):
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.6
    p = decode_steps(decoder, torch.randn(2, 5, 5))
    density = torch.exp(-(((x - p.mean) / p.stddev) ** 2) / 2) / (p.stddev * (2 * torch.pi) ** 0.5)
    expected = torch.where(mask, -density.log(), 0.0).sum((2, 3))
    torch.testing.assert_close(reconstruction_error(p, torch.where(mask, x, 7.0), mask), expected)


@pytest.mark.parametrize("observation", [(3, 16, 16), (7,)])
def test_frames_and_vectors_keep_a_fixed_variance(observation):
    x = torch.rand(2, 3, *observation)
    assert encode_steps(build_encoder(observation, 6, 4), x, torch.ones(2, 3, dtype=torch.bool)).shape == (
        2,
        3,
        6,
    )
    p = decode_steps(build_decoder(observation, 5, 4), torch.randn(2, 3, 5))
    assert isinstance(p, SquaredErrorNormal) and p.mean.shape == x.shape


@pytest.mark.parametrize("missing", ["nothing", "steps", "values"])
def test_the_error_of_edges_counts_differences_of_neighbouring_pixels(missing):
    random = torch.Generator().manual_seed(0)
    x, mean = torch.rand(2, 2, 2, 3, 3, 4, generator=random, dtype=torch.float64)
    mask = torch.rand((2, 2) if missing == "steps" else x.shape, generator=random) < 0.7
    seen = mask.view(2, 2, 1, 1, 1).expand_as(x) if missing == "steps" else mask
    if missing == "nothing":
        mask, seen = None, torch.ones_like(x, dtype=torch.bool)
    expected = torch.zeros(2, 2, dtype=torch.float64)
    for n, t, c, i, j in product(range(2), range(2), range(3), range(3), range(4)):
        for share, k, m in ((0.7, i, j), (0.15, i + 1, j), (0.15, i, j + 1)):
            if k < 3 and m < 4 and seen[n, t, c, i, j] and seen[n, t, c, k, m]:
                here, there = (x - mean)[n, t, c, i, j], (x - mean)[n, t, c, k, m]
                expected[n, t] += share * (here if (k, m) == (i, j) else here - there) ** 2
    found = reconstruction_error(SquaredErrorNormal(mean, edges=0.3), x, mask)
    torch.testing.assert_close(found, expected)


def test_settings_of_frames_are_refused_elsewhere_and_out_of_range():
    assert build_decoder((3, 16, 16), 5, 4, edges=0.5).likelihood(torch.rand(1, 1, 3, 16, 16)).edges == 0.5
    with pytest.raises(ValueError, match=r"model\.edges: is for frames, found observations \(7,\)"):
        build_decoder((7,), 5, 4, edges=0.5)
    with pytest.raises(ValueError, match=r"model\.edges: 1\.5 must be at least 0 and below 1"):
        build_decoder((3, 16, 16), 5, 4, edges=1.5)


@pytest.mark.parametrize("observation", [(3, 32, 32), (7,), (6, 3)])
def test_a_decoder_of_its_own_width(observation):
    """It is the decoder of a model as wide as that."""
    wide, asked = build_decoder(observation, 5, 8), build_decoder(observation, 5, 4, decoder_width=8)
    assert shapes_of(asked) == shapes_of(wide) != shapes_of(build_decoder(observation, 5, 4))
    with pytest.raises(ValueError, match=r"model\.decoder_width: 0 must be at least 1"):
        build_decoder(observation, 5, 4, decoder_width=0)


@pytest.mark.parametrize(
    "name", [name for name in list_models() if "decoder_width" in signature(model_class(name)).parameters]
)
def test_methods_hand_the_settings_of_the_decoder_on(name):
    """With `decoder_width` the decoder is that of a wider model, and all else is that of the narrower one."""
    assert build_model(name, (3, 32, 32), width=4, edges=0.3).decoder.edges == 0.3
    mixed, narrow, wide = (
        build_model(name, (3, 32, 32), **settings)
        for settings in ({"width": 4, "decoder_width": 8}, {"width": 4}, {"width": 8})
    )
    assert shapes_of(mixed.decoder) == shapes_of(wide.decoder)
    for model in (mixed, narrow):
        del model.decoder
    assert shapes_of(mixed) == shapes_of(narrow)


def shapes_of(module):
    return {key: value.shape for key, value in module.state_dict().items()}
