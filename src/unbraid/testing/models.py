"""`check_model`: the public contract test of a SequenceModel, and the tiny sequences it uses.

    from unbraid.testing import check_model
    check_model("dbse", (3, 16, 16), width=4, static_size=5, dynamic_size=4)

A failed check raises an AssertionError that says what was promised.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal

from unbraid.augment import draw_views
from unbraid.generation import evaluating
from unbraid.io import load_model, save_model
from unbraid.models.base import SequenceModel
from unbraid.models.build import build_model
from unbraid.registry import MODELS
from unbraid.types import Batch, Codes, Posterior, Terms, repeat

__all__ = ["CHECKS", "check_model", "tiny_batch"]


def tiny_batch(
    observation: tuple[int, ...],
    size: int = 4,
    length: int = 5,
    seed: int = 0,
    views: Mapping[str, str] | None = None,
) -> Batch:
    """Random observations in [0, 1], `(size, length, *observation)`, of a data set of 50 sequences.

    Args:
        observation: shape `*X` of one observation.
        size: number of sequences.
        length: steps of each.
        seed: of the random numbers.
        views: to draw as well, as in `SequenceModel.views`.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(size, length, *observation, generator=generator)
    return _with_views(Batch(x, index=torch.arange(size), dataset_size=50), views or {})


def _with_views(batch: Batch, ways: Mapping[str, str]) -> Batch:
    return replace(batch, views=draw_views(ways, batch, _generator(9)))


def check_model(model: str | type[SequenceModel], observation: tuple[int, ...], **settings: Any) -> None:
    """Check that a model keeps the promises of the interface, on observations of the given shape.

    Args:
        model: a registered name or a class.
        observation: shape `*X` of one observation.
        **settings: of the model; choose small sizes.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    for check in CHECKS:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            built = (
                build_model(model, observation, **settings)
                if isinstance(model, str)
                else model(observation, **settings)
            )
        check(built)


def check_card(model: SequenceModel) -> None:
    """The card names a published method, and its name is the registered one."""
    card = model.card
    assert card.title and card.authors and card.url.startswith("http") and card.year > 1900, (
        "the card lacks its source"
    )
    assert card.name not in MODELS or MODELS[card.name].endswith(type(model).__name__), (
        "the card's name is another's"
    )


def check_shapes(model: SequenceModel) -> None:
    """Codes, samples and reconstructions have their shapes, at two lengths and for a batch of one."""
    for size, length in ((3, 4), (2, 7), (1, 2)):
        batch = tiny_batch(model.observation, size, length, views=model.views)
        x = batch.x
        with evaluating(model):
            codes = model.encode(x)
            assert codes.static.shape == (size, model.static_size), (
                f"static code: {tuple(codes.static.shape)}"
            )
            assert codes.dynamic.shape == (size, length, model.dynamic_size), (
                f"dynamic: {tuple(codes.dynamic.shape)}"
            )
            assert model.decode(codes).mean.shape == x.shape, "a decoded sequence has another shape than x"
            assert model.reconstruct(x).shape == x.shape
            assert model.sample(size, length).shape == x.shape
            assert model.roll(size, length).shape == codes.dynamic.shape
            assert model.prior(codes.dynamic).mean.shape == codes.dynamic.shape
            assert model.interpolate(x, x, 3).shape == (3, *x.shape)
        model.train()
        terms = model.terms(batch)
        assert all(term.shape in ((size,), ()) for term in terms.values()), "terms are (B,) or 0-dim"


def check_terms(model: SequenceModel) -> None:
    """Terms are finite, divergences are not negative, and every parameter gets a gradient."""
    model.train()
    terms = model.terms(tiny_batch(model.observation, 6, views=model.views), _generator())
    assert terms, "there are no terms"
    for name, term in terms.items():
        assert torch.isfinite(term).all(), f"{name} is not finite"
        assert not name.startswith("kl") or (term >= -1e-5).all(), f"{name} is negative"
    sum(term.sum() for term in terms.values()).backward()  # type: ignore[union-attr]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, f"{name} gets no gradient"


def check_divergences(model: SequenceModel) -> None:
    """The KL terms equal Monte-Carlo estimates of E_q[log q - log p]."""
    if "likelihood" not in model.card.capabilities:
        return
    draws = 4000
    with evaluating(model):
        posterior = model.posterior(tiny_batch(model.observation, 1).x)
        if not (isinstance(posterior.static, Normal) and isinstance(posterior.dynamic, Normal)):
            return
        many = Posterior(repeat(posterior.static, draws), repeat(posterior.dynamic, draws))
        codes = many.sample(_generator())
        standard = Normal(torch.zeros_like(codes.static), 1.0)
        pairs = {
            "kl_dynamic": (
                model.kl_dynamic(many, codes),
                (
                    many.dynamic.log_prob(codes.dynamic) - model.prior(codes.dynamic).log_prob(codes.dynamic)
                ).sum((1, 2)),
            ),
        }
        if "derived_static" not in model.card.capabilities:
            pairs["kl_static"] = (
                model.kl_static(many),
                (many.static.log_prob(codes.static) - standard.log_prob(codes.static)).sum(1),
            )
    for name, (formula, sampled) in pairs.items():
        gap = (formula - sampled).mean().abs()
        assert gap < 5 * (formula - sampled).std() / draws**0.5 + 1e-4, (
            f"{name} is not its Monte-Carlo estimate"
        )


def check_generators(model: SequenceModel) -> None:
    """The same generator gives the same draws; evaluation without one is deterministic."""
    batch = tiny_batch(model.observation, views=model.views)
    model.train()
    first, second = model.terms(batch, _generator(1)), model.terms(batch, _generator(1))
    assert _same(first, second), "terms differ under the same generator"
    before = torch.random.get_rng_state()
    model.terms(batch, _generator(1))
    assert torch.equal(before, torch.random.get_rng_state()), (
        "with a generator given, global randomness was used"
    )
    with evaluating(model):
        assert torch.equal(model.encode(batch.x).dynamic, model.encode(batch.x).dynamic), (
            "encode is not deterministic"
        )
        one, two = model.sample(3, 4, _generator(2)), model.sample(3, 4, _generator(2))
        assert torch.equal(one, two), "sample differs under the same generator"
        assert not torch.equal(one, model.sample(3, 4, _generator(3))), (
            "sample does not depend on its generator"
        )


def check_masks(model: SequenceModel) -> None:
    """What is masked or padded changes no code and no term; a padded sequence has the codes of a short one."""
    batch = tiny_batch(model.observation, 4, 6)
    length, generator = 4, _generator(5)
    steps = (torch.arange(6) < length).repeat(4, 1)
    steps[0] = True
    gaps = steps.clone()
    gaps[1, 2] = gaps[2, 0] = False
    masks = [steps, gaps]
    values = torch.rand(batch.x.shape, generator=generator) < 0.8
    values.flatten(1)[:, 0] = True  # the first step is seen in part
    masks.append(values & steps.reshape(4, 6, *[1] * (batch.x.ndim - 2)))
    for mask in masks:
        wide = mask.reshape(*mask.shape, *[1] * (batch.x.ndim - mask.ndim))
        spoilt = torch.where(wide, batch.x, torch.rand(batch.x.shape, generator=generator) * 9 - 4)
        model.train()
        kept = model.terms(_with_views(replace(batch, mask=mask), model.views), _generator())
        others = _with_views(replace(batch, x=spoilt, mask=mask), model.views)
        assert _same(kept, model.terms(others, _generator())), "masked values change a term"
        nothing = _with_views(replace(batch, x=torch.where(wide, batch.x, torch.nan), mask=mask), model.views)
        terms = model.terms(nothing, _generator())
        assert all(torch.isfinite(term).all() for term in terms.values()), "NaN where masked reaches a term"
        with evaluating(model):
            codes, changed = model.encode(batch.x, mask), model.encode(spoilt, mask)
            assert torch.equal(codes.static, changed.static), "masked values change the static code"
            valid = steps.unsqueeze(2)
            assert torch.equal(codes.dynamic * valid, changed.dynamic * valid), (
                "masked values change the dynamic code"
            )
    with evaluating(model):
        padded, short = model.encode(batch.x, steps), model.encode(batch.x[1:, :length])
    assert torch.allclose(padded.static[1:], short.static, atol=1e-5), "padding changes the static code"
    assert torch.allclose(padded.dynamic[1:, :length], short.dynamic, atol=1e-5), (
        "padding changes the dynamic code"
    )
    if len(model.observation) == 2:
        zeros = torch.where(values, batch.x, 0.0)
        with evaluating(model):
            measured, missing = model.encode(zeros), model.encode(zeros, values)
        assert not torch.equal(measured.static, missing.static), "the static code takes a gap for a zero"
        assert not torch.equal(measured.dynamic, missing.dynamic), "the dynamic code takes a gap for a zero"


def check_swap(model: SequenceModel) -> None:
    """Swapping a sequence with itself is its reconstruction; interpolation ends where it should."""
    x = tiny_batch(model.observation, 3).x
    with evaluating(model):
        assert torch.allclose(model.swap(x, x), model.reconstruct(x)), "swap(x, x) is not reconstruct(x)"
        line = model.interpolate(x, x.flip(0), 3)
        assert torch.allclose(line[0], model.reconstruct(x), atol=1e-5), "interpolation does not start at x"
        assert torch.allclose(line[-1], model.swap(x.flip(0), x), atol=1e-5), (
            "interpolation does not end at y"
        )
        model, x = model.double(), x.double()
        codes = model.encode(x)
        decoded = model.decode(codes).mean
        derived = "derived_static" in model.card.capabilities
        for moved, read in (
            (Codes(codes.static.flip(0), codes.dynamic), not derived),
            (Codes(codes.static, codes.dynamic.flip(0)), True),
        ):
            assert torch.equal(model.decode(moved).mean, decoded) is not read, (
                "the decoder does not read one of the codes, or reads a static code that it calls derived"
            )


def check_saving(model: SequenceModel) -> None:
    """A model saved and loaded encodes the same."""
    if model.card.name not in MODELS:
        return
    x = tiny_batch(model.observation, 2).x
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_model(save_model(model, folder))
        assert loaded.settings == model.settings, "settings change when saved"
        with evaluating(model):
            assert torch.equal(model.encode(x).dynamic, loaded.encode(x).dynamic), (
                "codes change when saved and loaded"
            )


def check_float64(model: SequenceModel) -> None:
    """Double precision agrees with single precision."""
    x = tiny_batch(model.observation, 2).x
    with evaluating(model):
        single = model.reconstruct(x)
        double = model.double().reconstruct(x.double())
    assert double.dtype == torch.float64, "float64 comes back as another type"
    assert torch.allclose(single.double(), double, atol=1e-4), "float64 and float32 disagree"


def check_elbo(model: SequenceModel) -> None:
    """The ELBO is finite, one number per sequence, and does not see what is masked."""
    if "likelihood" not in model.card.capabilities:
        return
    batch = tiny_batch(model.observation, 3, 5)
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[1, 3:] = False
    spoilt = batch.x.clone()
    spoilt[1, 3:] = 7
    with evaluating(model):
        bound = model.elbo(replace(batch, mask=mask), _generator())
        assert bound.shape == (3,) and torch.isfinite(bound).all(), (
            "elbo is not one finite number per sequence"
        )
        assert torch.equal(bound, model.elbo(replace(batch, x=spoilt, mask=mask), _generator())), (
            "elbo sees the mask"
        )


CHECKS = (
    check_card,
    check_shapes,
    check_terms,
    check_divergences,
    check_generators,
    check_masks,
    check_swap,
    check_saving,
    check_float64,
    check_elbo,
)
"""The checks of the contract, each a function of a freshly built model."""


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _same(first: Terms, second: Terms) -> bool:
    return first.keys() == second.keys() and all(_equal(first[name], second[name]) for name in first)


def _equal(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.detach(), b.detach())
