"""GP-VAE against its equations, written out for one dimension at a time with dense Gaussians."""

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from unbraid.masks import steps_below
from unbraid.models.build import build_model
from unbraid.testing import tiny_batch
from unbraid.types import Batch, Codes

SIZES = {"dynamic_size": 4, "features": 6, "width": 8, "hidden": 5}


def gp_vae(observation=(4, 3), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build_model("gp_vae", observation, **{**SIZES, **settings})


@pytest.mark.parametrize("context", [1, 3])
@pytest.mark.parametrize("observation", [(7,), (4, 3)])
def test_terms_equal_the_equations(observation, context):
    model = gp_vae(observation, context=context).double()
    x = tiny_batch(observation, 3, 5).x.double()
    lengths = [5, 3, 4]
    mask = steps_below(torch.tensor(lengths), 5)
    terms = model.terms(Batch(x, mask), torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    torch.randn(3, 4, generator=generator, dtype=torch.float64)  # the static draw, which nothing reads
    noise = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64)
    reach = context // 2
    for row, n in enumerate(lengths):
        shown = torch.cat([x[row], torch.ones_like(x[row])], 2) if len(observation) == 2 else x[row]
        g = torch.zeros(n + 2 * reach, 6, dtype=torch.float64)
        g[reach : reach + n] = model.encoder(shown[:n])
        mean, a, b = [], [], []
        for t in range(n):
            h = model.over_time.bias + sum(model.over_time.weight[:, :, k] @ g[t + k] for k in range(context))
            h = torch.relu(model.path[1](torch.relu(h)))
            mean.append(model.head.mean(h))
            a.append(1 + torch.log1p(model.head.diagonal(h).exp()))
            b.append(a[-1] * torch.tanh(model.head.coupling(h)))
        kl, path = 0.0, torch.zeros(n, 4, dtype=torch.float64)
        for j in range(4):
            upper = torch.diag(torch.stack([u[j] for u in a]))
            for t in range(1, n):
                upper[t - 1, t] = b[t][j]
            m = torch.stack([value[j] for value in mean])
            q = MultivariateNormal(m, precision_matrix=upper @ upper.T)
            lag = torch.arange(n, dtype=torch.float64)[:, None] - torch.arange(n)
            prior = 1 / (1 + lag**2 / (2.0 / 2**j) ** 2) + 0.001 * torch.eye(n, dtype=torch.float64)
            kl = kl + kl_divergence(q, MultivariateNormal(torch.zeros_like(m), prior))
            path[:, j] = m + torch.linalg.cholesky(torch.linalg.inv(upper @ upper.T)) @ noise[row, j, :n]
        p = model.decoder.likelihood(model.decoder(path).unsqueeze(0))
        error = (
            (x[row, :n] - p.mean[0]).square()
            if len(observation) == 1
            else -p.log_prob(x[row, :n].unsqueeze(0))
        )
        torch.testing.assert_close(terms["reconstruction"][row], error.sum(), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(terms["kl_dynamic"][row], kl, rtol=1e-6, atol=1e-6)


def test_the_static_code_is_the_mean_of_the_path_over_observed_steps():
    model, x = gp_vae().eval(), tiny_batch((4, 3), 2, 6).x
    mask = torch.tensor([[True, False, True, True, False, False], [True] * 6])
    posterior = model.posterior(x, mask)
    torch.testing.assert_close(posterior.static.mean[0], posterior.dynamic.mean[0, [0, 2, 3]].mean(0))
    torch.testing.assert_close(posterior.static.mean[1], posterior.dynamic.mean[1].mean(0))
    variance = posterior.dynamic.covariance[1].mean((1, 2))  # of a mean over all steps
    torch.testing.assert_close(posterior.static.stddev[1], variance.sqrt())


def test_it_has_no_part_in_what_is_decoded_and_none_in_the_bound():
    model, x = gp_vae().eval(), tiny_batch((4, 3), 2, 6).x
    codes = model.encode(x)
    assert torch.equal(model.decode(codes).mean, model.decode(Codes(codes.static + 9, codes.dynamic)).mean)
    with torch.no_grad():
        bound = model.elbo(Batch(x), torch.Generator().manual_seed(0))
        terms = model.terms(Batch(x), torch.Generator().manual_seed(0))
    torch.testing.assert_close(bound, -terms["reconstruction"] - terms["kl_dynamic"])


def test_the_context_says_which_steps_a_code_is_read_from():
    x = tiny_batch((7,), 2, 9).x
    changed = x.clone()
    changed[:, 4] += 1
    for context, steps in ((1, [4]), (3, [3, 4, 5]), (5, [2, 3, 4, 5, 6])):
        model = gp_vae((7,), context=context).eval()
        differs = (model.encode(x).dynamic != model.encode(changed).dynamic).any(2).any(0)
        assert differs.nonzero().squeeze(1).tolist() == steps


def test_paths_of_the_prior_are_smooth():
    model = gp_vae().eval()
    path = model.roll(4000, 6, torch.Generator().manual_seed(0))
    covariance = torch.einsum("ntd,nud->dtu", path, path) / len(path)
    assert (covariance - model.process.covariance(6)).abs().max() < 0.1


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"context": 4}, "context"), ({"context": 0}, "context"), ({"variance": 0.0}, "variance")],
)
def test_refused(settings, name):
    with pytest.raises(ValueError, match=f"model.{name}"):
        gp_vae(**settings)
