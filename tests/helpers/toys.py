"""Four toy models of kinds that the published methods need; each goes through everything that a model goes through."""

from typing import ClassVar

import torch
from torch import nn
from torch.distributions import Normal
from torch.nn.functional import softplus

from unbraid.cards import ModelCard
from unbraid.masks import inside, inside_steps, mean_over_steps, zero_unobserved
from unbraid.models.base import Phase, SequenceModel
from unbraid.nn.distributions import JointNormal, Point
from unbraid.nn.likelihoods import SquaredErrorNormal
from unbraid.types import Factor, Posterior, standard_normal


def card(name, *capabilities):
    source = {"title": name, "authors": "toys", "year": 2026, "venue": "tests", "url": "https://example.org"}
    return ModelCard(name=name, summary="a toy", capabilities=frozenset(capabilities), **source)


class Steps(nn.Module):
    """A linear layer on each step's values: `(B, T, *X)` to `(B, T, size)`, or back."""

    def __init__(self, before, after, shape=None):
        super().__init__()
        self.linear, self.shape = nn.Linear(before, after), shape

    def forward(self, x):
        y = self.linear(x.flatten(2))
        return y if self.shape is None else y.unflatten(2, self.shape)


def values(observation):
    return int(torch.tensor(observation).prod())


class Adversarial(SequenceModel):
    """A generator without encoder, trained against a critic of single steps."""

    card = card("toy_adversarial", "decode", "static_prior", "dynamic_prior", "decoded_static", "adversary")
    phases = (Phase("critic", ("critic",), repeats=2), Phase("generator", ("generator",), beta1=0.5))

    def __init__(self, observation, static_size: int = 3, dynamic_size: int = 2):
        super().__init__(locals())
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.generator = Steps(static_size + dynamic_size, values(observation), observation)
        self.critic = Steps(values(observation), 1)

    def prior(self, dynamic):
        return Normal(torch.zeros_like(dynamic), torch.ones_like(dynamic))

    def roll(self, n, length, generator=None):
        return standard_normal((n, length, self.dynamic_size), self.critic.linear.weight, generator)

    def decode(self, codes, mask=None, generator=None):
        static = codes.static.unsqueeze(1).expand(-1, codes.dynamic.shape[1], -1)
        return Point(zero_unobserved(self.generator(torch.cat([static, codes.dynamic], 2)).sigmoid(), mask))

    def terms(self, batch, generator=None, phase="fit"):
        real = zero_unobserved(batch.x, batch.mask)
        steps = inside_steps(real, batch.mask).unsqueeze(2)
        made = self.decode(self.draw(len(real), real.shape[1], generator)).mean
        if phase == "generator":
            return {"fool": (steps * softplus(-self.critic(made))).sum((1, 2))}
        judged = softplus(-self.critic(real)) + softplus(self.critic(made.detach()))
        return {"judge": (steps * judged).sum((1, 2))}


class Smooth(SequenceModel):
    """A VAE whose dynamic posterior and prior are joint over time: the prior's covariance is r^|t - u|."""

    card = card(
        "toy_smooth", "encode", "decode", "static_prior", "dynamic_prior", "likelihood", "decoded_static"
    )

    def __init__(self, observation, static_size: int = 3, dynamic_size: int = 2, correlation: float = 0.8):
        super().__init__(locals())
        self.static_size, self.dynamic_size, self.correlation = static_size, dynamic_size, correlation
        self.encoder = Steps(values(observation), static_size + dynamic_size)
        self.raw = nn.Parameter(torch.zeros(2))
        self.decoder = Steps(static_size + dynamic_size, values(observation), observation)

    def scale(self, length):
        lag = torch.arange(length, device=self.raw.device, dtype=self.raw.dtype)
        return torch.linalg.cholesky(self.correlation ** (lag[:, None] - lag).abs())

    def posterior(self, x, mask=None, generator=None):
        h, steps = self.encoder(zero_unobserved(x, mask)), inside_steps(x, mask)
        s, d = h.split((self.static_size, self.dynamic_size), 2)
        deviation = self.raw.exp()
        static = mean_over_steps(s, steps)
        scale = (deviation[1] * self.scale(x.shape[1])).expand(len(x), self.dynamic_size, -1, -1)
        dynamic = JointNormal(zero_unobserved(d, steps), scale)
        return Posterior(Normal(static, deviation[0].expand_as(static), validate_args=False), dynamic)

    def prior(self, dynamic):
        scale = self.scale(dynamic.shape[1]).expand(self.dynamic_size, -1, -1)
        return JointNormal(torch.zeros_like(dynamic), scale)

    def roll(self, n, length, generator=None):
        return self.prior(self.raw.new_zeros(n, length, self.dynamic_size)).draw(generator)

    def decode(self, codes, mask=None, generator=None):
        static = codes.static.unsqueeze(1).expand(-1, codes.dynamic.shape[1], -1)
        return SquaredErrorNormal(zero_unobserved(self.decoder(torch.cat([static, codes.dynamic], 2)), mask))

    def terms(self, batch, generator=None, phase="fit"):
        return {"bound": -self.elbo(batch, generator)}


class Operator(SequenceModel):
    """A deterministic autoencoder; a linear operator of its dynamic code is fitted after training. Three factors."""

    card = card("toy_operator", "encode", "decode", "decoded_static")
    factors: ClassVar = {
        "static": Factor("static"),
        "slow": Factor("dynamic", (0,)),
        "fast": Factor("dynamic", (1,)),
    }

    def __init__(self, observation, static_size: int = 3):
        super().__init__(locals())
        self.static_size, self.dynamic_size = static_size, 2
        self.encoder = Steps(values(observation), static_size + 2)
        self.decoder = Steps(static_size + 2, values(observation), observation)
        self.register_buffer("operator", torch.eye(2))

    def posterior(self, x, mask=None, generator=None):
        s, d = self.encoder(zero_unobserved(x, mask)).split((self.static_size, 2), 2)
        steps = inside_steps(x, mask)
        return Posterior(Point(mean_over_steps(s, steps)), Point(zero_unobserved(d @ self.operator, steps)))

    def decode(self, codes, mask=None, generator=None):
        static = codes.static.unsqueeze(1).expand(-1, codes.dynamic.shape[1], -1)
        return Point(zero_unobserved(self.decoder(torch.cat([static, codes.dynamic], 2)), mask))

    def terms(self, batch, generator=None, phase="fit"):
        x = zero_unobserved(batch.x, batch.mask)
        error = (self.decode(self.encode(x, batch.mask)).mean - x).square()
        return {"reconstruction": zero_unobserved(error, batch.mask).flatten(1).sum(1)}

    def finish(self, batches):
        pairs = [(d[:, :-1].flatten(0, 1), d[:, 1:].flatten(0, 1)) for d in (self._path(b) for b in batches)]
        before, after = (torch.cat(part).double() for part in zip(*pairs, strict=True))
        self.operator.copy_(torch.linalg.lstsq(before, after).solution)

    def _path(self, batch):
        return self.encoder(zero_unobserved(batch.x, batch.mask))[..., self.static_size :]


class Table(SequenceModel):
    """A model with a row of a table per training sequence, to which its static code is drawn."""

    card = card("toy_table", "encode", "decode", "static_prior", "decoded_static")

    def __init__(self, observation, static_size: int = 3, dynamic_size: int = 2, sequences: int = 1):
        super().__init__(locals())
        self.static_size, self.dynamic_size = static_size, dynamic_size
        self.rows = nn.Embedding(sequences, static_size)
        self.encoder = Steps(values(observation), static_size + dynamic_size)
        self.decoder = Steps(static_size + dynamic_size, values(observation), observation)

    def posterior(self, x, mask=None, generator=None):
        sizes = (self.static_size, self.dynamic_size)
        s, d = self.encoder(zero_unobserved(x, mask)).split(sizes, 2)
        steps = inside_steps(x, mask)
        return Posterior(Point(mean_over_steps(s, steps)), Point(zero_unobserved(d, steps)))

    def decode(self, codes, mask=None, generator=None):
        static = codes.static.unsqueeze(1).expand(-1, codes.dynamic.shape[1], -1)
        return Point(zero_unobserved(self.decoder(torch.cat([static, codes.dynamic], 2)), mask))

    def terms(self, batch, generator=None, phase="fit"):
        x, codes = zero_unobserved(batch.x, batch.mask), self.encode(batch.x, batch.mask)
        steps = None if batch.mask is None else inside(batch.mask)
        error = zero_unobserved((self.decode(codes, steps).mean - x).square(), batch.mask)
        in_train = batch.index >= 0
        gap = (codes.static - self.rows(batch.index.clamp_min(0))).square().sum(1)
        return {"reconstruction": error.flatten(1).sum(1), "row": torch.where(in_train, gap, 0.0)}


TOYS = {model.card.name: model for model in (Adversarial, Smooth, Operator, Table)}
