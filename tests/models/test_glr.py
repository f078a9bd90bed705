"""GLR against its equations, written out sequence by sequence, and against the known defects of its authors' code."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from unbraid.masks import steps_below
from unbraid.models.build import build_model
from unbraid.testing import tiny_batch
from unbraid.types import Batch

SIZES = {"static_size": 3, "dynamic_size": 4, "features": 6, "width": 8, "hidden": 5}
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def glr(observation=(4, 3), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build_model("glr", observation, **{**SIZES, **settings})


def seen(x):
    """A sequence as the encoder sees it, all values observed."""
    return torch.cat([x, torch.ones_like(x)], 2) if x.ndim == 3 else x


def chunk_mean(model, g, place):
    """The mean of s from the chunk of one sequence's features g, read step by step."""
    length = max(1, math.ceil(model.chunk * len(g)))
    start, state = int(place * (len(g) - length + 1)), None
    for t in range(start, start + length):
        h, state = model.over_chunk(g[None, t : t + 1], state)
    return model.global_head(h[0, 0])


@pytest.mark.parametrize("chunk", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("observation", [(7,), (4, 3)])
def test_terms_equal_the_equations(observation, chunk):
    model = glr(observation, chunk=chunk).double().train()
    x, lengths = tiny_batch(observation, 3, 7).x.double(), [7, 3, 5]
    terms = model.terms(Batch(x, steps_below(torch.tensor(lengths), 7)), torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    places = torch.rand(3, 1, generator=generator, dtype=torch.float64)[:, 0]

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    s_noise, d_noise, other = normal(3, 3), normal(3, 4, 7), normal(3, 3)
    x_noise = normal(3, 7, *observation) if len(observation) == 2 else None
    new_places = torch.rand(3, 1, generator=generator, dtype=torch.float64)[:, 0]
    for row, n in enumerate(lengths):
        own = x[row, :n]
        mean = chunk_mean(model, model.global_encoder(seen(own)), places[row].item())
        s = mean + s_noise[row]
        h = torch.relu(model.path[0](model.encoder(seen(own))))
        kl, path = 0.0, torch.zeros(n, 4, dtype=torch.float64)
        for j in range(4):
            u = 1 + torch.log1p(model.head.diagonal(h)[:, j].exp())
            upper = torch.diag(u)
            for t in range(1, n):
                upper[t - 1, t] = u[t] * torch.tanh(model.head.coupling(h)[t, j])
            m = model.head.mean(h)[:, j]
            lag = torch.arange(n, dtype=torch.float64)[:, None] - torch.arange(n)
            scale = (2.0, 0.5)[j % 2]  # of four scales, two dimensions have the first and the third
            kernel = 0.5 / (1 + (lag / scale) ** 2) if j < 2 else torch.exp(-(lag**2) / (2 * scale**2))
            prior = MultivariateNormal(
                torch.zeros_like(m), kernel + 0.001 * torch.eye(n, dtype=torch.float64)
            )
            kl = kl + kl_divergence(MultivariateNormal(m, precision_matrix=upper @ upper.T), prior)
            path[:, j] = m + torch.linalg.cholesky(torch.linalg.inv(upper @ upper.T)) @ d_noise[row, j, :n]

        def decoded(static, path=path, n=n):
            y = model.decoder(torch.cat([static.expand(n, -1), path], 1))
            return model.decoder.likelihood(y.unsqueeze(0))

        p, changed = decoded(s), decoded(other[row])
        windows = len(observation) == 2
        error = -p.log_prob(own.unsqueeze(0)) if windows else (own - p.mean[0]).square()
        made = changed.mean[0] + (changed.stddev[0] * x_noise[row, :n] if windows else 0)
        again = chunk_mean(model, model.global_encoder(seen(made)), new_places[row].item())
        ratio = torch.exp(((other[row] - again) ** 2 - (s - again) ** 2) / 2)
        expected = {
            "reconstruction": error.sum(),
            "kl_static": mean.square().sum() / 2,
            "kl_dynamic": kl,
            "counterfactual": ratio.clamp_max(math.exp(model.highest_exponent)).mean(),
        }
        assert terms.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(terms[name][row], value, **CLOSE)


def test_the_counterfactual_term_compares_densities_of_the_two_static_codes():
    """R is q(s | x*) / q(s* | x*), a mean over the coordinates."""
    model = glr(highest_exponent=30.0).train()
    x = tiny_batch((4, 3), 2, 6).x
    codes = model.posterior(x).sample(torch.Generator().manual_seed(0))
    steps = torch.ones(2, 6, dtype=torch.bool)
    value = model._counterfactual(codes, steps, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    other = torch.randn(2, 3, generator=generator)
    noise = torch.randn(x.shape, generator=generator)
    p = model.decode(type(codes)(other, codes.dynamic))
    q = torch.distributions.Normal(model.global_mean(p.mean + p.stddev * noise, None, generator), 1.0)
    expected = (q.log_prob(codes.static) - q.log_prob(other)).exp().mean(1)
    torch.testing.assert_close(value, expected)


def test_its_exponent_is_bounded():
    """In the authors' code one unlucky draw can make the loss infinite."""
    model = glr(highest_exponent=2.0).train()
    codes = model.posterior(tiny_batch((4, 3), 2, 6).x).sample(torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.global_head.bias.fill_(1e3)
    value = model._counterfactual(codes, torch.ones(2, 6, dtype=torch.bool), torch.Generator().manual_seed(1))
    assert torch.isfinite(value).all() and (value <= math.exp(2.0)).all()


def test_chunks_lie_in_each_sequence_s_own_observed_steps():
    """In the authors' code chunks reach into the padding; steps without a value are passed over."""
    x = tiny_batch((7,), 3, 10).x
    mask = steps_below(torch.tensor([10, 4, 6]), 10)
    mask[2, 1] = mask[2, 3] = False
    model = glr((7,)).train()
    read = torch.zeros(3, 10, dtype=torch.bool)
    for seed in range(60):
        model.zero_grad()
        shown = x.clone().requires_grad_()
        model.global_mean(shown, mask, torch.Generator().manual_seed(seed)).sum().backward()
        steps = shown.grad.abs().sum(2) > 0
        assert steps.sum(1).tolist() == [3, 2, 2]  # a share of 0.3 of 10, 4 and 4 observed steps, rounded up
        read |= steps
    assert torch.equal(read, mask)


def test_the_static_code_in_evaluation_is_a_mean_over_all_of_the_sequence():
    model, x = glr((7,)).eval(), tiny_batch((7,), 2, 12).x
    g = model.global_encoder(x.flatten(0, 1)).unflatten(0, (2, 12))
    for row in range(2):
        expected = torch.stack([chunk_mean(model, g[row], (k + 0.5) / 8) for k in range(8)]).mean(0)
        torch.testing.assert_close(model.encode(x).static[row], expected)
    shown = x.clone().requires_grad_()
    model.encode(shown).static.sum().backward()
    assert (shown.grad.abs().sum(2) > 0).all()
    assert torch.equal(model.encode(x).static, model.encode(x).static)


def test_each_window_s_dynamic_code_is_of_that_window_alone():
    model, x = glr().eval(), tiny_batch((4, 3), 2, 6).x
    changed = x.clone()
    changed[:, 2] += 1
    same = (model.encode(x).dynamic == model.encode(changed).dynamic).all(2).all(0)
    assert same.tolist() == [True, True, False, True, True, True]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"chunk": 0.0}, "chunk"),
        ({"chunk": 1.5}, "chunk"),
        ({"chunks": 0}, "chunks"),
        ({"dynamic_size": 1}, "dynamic_size"),
        ({"highest_exponent": 0.0}, "highest_exponent"),
        ({"scales": 0}, "scales"),
    ],
)
def test_refused(settings, name):
    with pytest.raises(ValueError, match=f"model.{name}"):
        glr(**settings)
