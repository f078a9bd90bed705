"""The plain VAE: steps on their own, and a static code that is their mean."""

import pytest
import torch

from unbraid.models.build import build_model
from unbraid.testing import tiny_batch
from unbraid.types import Batch, Codes


def vae(observation=(4, 3), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        sizes = {"dynamic_size": 4, "features": 6, "width": 8, "hidden": 5}
        return build_model("vae", observation, **{**sizes, **settings})


def test_terms_equal_the_equations():
    model, x = vae(), tiny_batch((4, 3), 3, 5).x
    terms = model.terms(Batch(x), torch.Generator().manual_seed(3))
    noise = torch.Generator().manual_seed(3)
    torch.randn(3, 4, generator=noise)  # the static draw, which nothing reads
    d_noise = torch.randn(3, 5, 4, generator=noise)
    reconstruction, kl = torch.zeros(3), torch.zeros(3)
    for t in range(5):
        h = torch.relu(model.path[0](model.encoder(torch.cat([x[:, t], torch.ones(3, 4, 3)], 2))))
        mean, std = model.head.mean(h), (model.head.log_variance(h) / 2).exp()
        y = model.decoder(mean + std * d_noise[:, t])
        spread = 0.05 + 1.95 * torch.sigmoid(y[:, 1])
        error = (
            (x[:, t] - y[:, 0]) ** 2 / (2 * spread**2)
            + spread.log()
            + 0.5 * torch.log(torch.tensor(2 * torch.pi))
        )
        reconstruction += error.sum((1, 2))
        kl += ((std**2 + mean**2 - 1) / 2 - std.log()).sum(1)
    torch.testing.assert_close(terms["reconstruction"], reconstruction, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(terms["kl_dynamic"], kl, rtol=1e-4, atol=1e-4)


def test_the_static_code_is_the_mean_over_observed_steps():
    model, x = vae().eval(), tiny_batch((4, 3), 2, 6).x
    mask = torch.tensor([[True, False, True, True, False, False], [True] * 6])
    posterior = model.posterior(x, mask)
    torch.testing.assert_close(posterior.static.mean[0], posterior.dynamic.mean[0, [0, 2, 3]].mean(0))
    torch.testing.assert_close(posterior.static.mean[1], posterior.dynamic.mean[1].mean(0))
    draws = posterior.dynamic.rsample((20000,))[:, 1].mean(1)
    torch.testing.assert_close(posterior.static.stddev[1], draws.std(0), rtol=0.05, atol=0)


def test_it_has_no_part_in_what_is_decoded_and_none_in_the_bound():
    model, x = vae().eval(), tiny_batch((4, 3), 2, 6).x
    codes = model.encode(x)
    other = Codes(codes.static + 9, codes.dynamic)
    assert torch.equal(model.decode(codes).mean, model.decode(other).mean)
    with torch.no_grad():
        bound = model.elbo(Batch(x), torch.Generator().manual_seed(0))
        terms = model.terms(Batch(x), torch.Generator().manual_seed(0))
    torch.testing.assert_close(bound, -terms["reconstruction"] - terms["kl_dynamic"])


def test_more_samples_are_a_better_estimate_of_the_same():
    x = tiny_batch((4, 3), 2, 6).x
    one, many = vae(samples=1), vae(samples=500)
    with torch.no_grad():
        sampled = many.terms(Batch(x), torch.Generator().manual_seed(0))
        single = [one.terms(Batch(x), torch.Generator().manual_seed(i))["reconstruction"] for i in range(200)]
    torch.testing.assert_close(sampled["reconstruction"], torch.stack(single).mean(0), rtol=0.02, atol=0)
    with pytest.raises(ValueError, match="samples"):
        vae(samples=0)
