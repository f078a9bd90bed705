"""`check_model`: the public contract test of a SequenceModel, and the tiny sequences it uses.

    from unbraid.testing import check_model
    check_model("dbse", (3, 16, 16), width=4, static_size=5, dynamic_size=4)

A failed check raises an AssertionError that names the broken promise. Checks of a capability that the model's card does not
have test that asking for it raises the one error that it should.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal

from unbraid.augment import draw_views
from unbraid.cards import Capability
from unbraid.generation import evaluating
from unbraid.io import load_model, save_model
from unbraid.masks import inside, observed_values, steps_below, widen
from unbraid.models.base import SequenceModel
from unbraid.models.build import build_model
from unbraid.registry import MODELS, model_class
from unbraid.training.phases import check_phases
from unbraid.types import Batch, Codes, Posterior, Terms, repeat

__all__ = ["CHECKS", "build_small", "check_model", "tiny_batch", "variants"]

SEQUENCES = 50  # size of the data set that tiny batches come from


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
    index = torch.arange(size)
    batch = Batch(
        x, index=index, recording=index, recording_size=torch.ones_like(index), dataset_size=SEQUENCES
    )
    return _with_views(batch, views or {})


def _with_views(batch: Batch, ways: Mapping[str, str]) -> Batch:
    return replace(batch, views=draw_views(ways, batch, _generator(9)))


def variants(model: str | type[SequenceModel]) -> Iterator[dict[str, Any]]:
    """The settings that the contract is checked with: the defaults, and each variant on the model's card."""
    yield {}
    yield from (model_class(model) if isinstance(model, str) else model).card.variants


def build_small(
    model: str | type[SequenceModel], observation: tuple[int, ...], settings: Mapping[str, Any]
) -> SequenceModel:
    """A model with weights from a fixed seed, after `start` and `finish` on tiny sequences, in training mode.

    Args:
        model: a registered name or a class.
        observation: shape `*X` of one observation.
        settings: of the model; names that it does not have are left out.
    """
    cls: Any = model_class(model) if isinstance(model, str) else model
    names = cls.setting_names()
    counts = {"sequences": SEQUENCES, "recordings": SEQUENCES}
    chosen = {name: value for name, value in (counts | dict(settings)).items() if name in names}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = (
            build_model(model, observation, **chosen)
            if isinstance(model, str)
            else cls(observation, **chosen)
        )
    built.eval()
    with torch.no_grad():
        for fit in (built.start, built.finish):
            fit(tiny_batch(observation, 6, seed=seed) for seed in (1, 2))
    return built.train()


def check_model(model: str | type[SequenceModel], observation: tuple[int, ...], **settings: Any) -> None:
    """Check that a model keeps the promises of the interface, with its defaults and each variant on its card.

    Args:
        model: a registered name or a class.
        observation: shape `*X` of one observation.
        **settings: of the model; choose small sizes.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    for variant in variants(model):
        for check in CHECKS:
            check(build_small(model, observation, {**settings, **variant}))


def check_card(model: SequenceModel) -> None:
    """The card names its source, its name is the registered one, and the phases train every parameter."""
    card = model.card
    assert card.title and card.authors and card.url.startswith("http") and card.year > 1900, (
        "the card lacks its source"
    )
    assert card.name not in MODELS or MODELS[card.name].endswith(type(model).__name__), (
        "the card's name belongs to another model"
    )
    check_phases(model)


def check_capabilities(model: SequenceModel) -> None:
    """What the card denies is refused with one ValueError that names the method and the capability."""
    x = tiny_batch(model.observation, 3).x
    length = x.shape[1]
    codes = Codes(torch.zeros(3, model.static_size), torch.zeros(3, length, model.dynamic_size))
    asked: dict[Capability, Any] = {
        "encode": lambda: model.encode(x),
        "decode": lambda: model.decode(codes),
        "static_prior": lambda: model.draw_static(3),
        "dynamic_prior": lambda: model.roll(3, length),
        "likelihood": lambda: model.elbo(Batch(x)),
    }
    with evaluating(model):
        for capability, ask in asked.items():
            if model.can(capability):
                if capability != "likelihood" or model.can("encode"):
                    ask()
                continue
            try:
                ask()
            except ValueError as error:
                assert model.card.name in str(error), f"refusing {capability!r} does not name the method"
            else:
                raise AssertionError(f"the card denies {capability!r} and the model does it")


def check_shapes(model: SequenceModel) -> None:
    """Codes, samples and reconstructions have their shapes, at two lengths and for a batch of one."""
    for size, length in ((3, 4), (2, 7), (1, 3)):
        x = tiny_batch(model.observation, size, length).x
        static, dynamic = (size, model.static_size), (size, length, model.dynamic_size)
        with evaluating(model):
            if model.can("encode"):
                codes = model.encode(x)
                assert codes.static.shape == static, f"static code: {tuple(codes.static.shape)}"
                assert codes.dynamic.shape == dynamic, f"dynamic code: {tuple(codes.dynamic.shape)}"
            if model.can("dynamic_prior"):
                path = model.roll(size, length)
                assert path.shape == dynamic, f"drawn dynamic code: {tuple(path.shape)}"
                assert model.prior(path).mean.shape == dynamic, "the prior has another shape than its path"
            if model.can("static_prior"):
                assert model.draw_static(size).shape == static
            if model.can("decode") and model.can("encode"):
                assert model.decode(codes).mean.shape == x.shape, (
                    "a decoded sequence has another shape than x"
                )
                assert model.reconstruct(x).shape == x.shape
                assert model.interpolate(x, x, 3).shape == (3, *x.shape)
                assert model.traverse(x, 0, torch.zeros(2)).shape == (2, *x.shape)
            if model.can("decode") and model.can("static_prior") and model.can("dynamic_prior"):
                assert model.sample(size, length).shape == x.shape
    for factor in model.factors.values():
        columns = range(model.static_size if factor.code == "static" else model.dynamic_size)
        assert factor.columns is None or set(factor.columns) <= set(columns), "a factor has no such columns"


def check_terms(model: SequenceModel) -> None:
    """Terms are finite, divergences are not negative, and every parameter gets a gradient in one of the phases."""
    names: set[str] = set()
    untrained = dict(model.named_parameters())
    batch = tiny_batch(model.observation, 6, views=model.views)
    for phase in model.phases:
        terms = model.terms(batch, _generator(), phase.name)
        assert terms, f"there are no terms in phase {phase.name}"
        assert not names & terms.keys(), "two phases have a term of one name"
        names |= terms.keys()
        for name, term in terms.items():
            assert term.shape in ((6,), ()), f"{name} is neither (B,) nor 0-dim"
            assert torch.isfinite(term).all(), f"{name} is not finite"
            assert not name.startswith("kl") or (term >= -1e-5).all(), f"{name} is negative"
        model.zero_grad(set_to_none=True)
        sum(term.sum() for term in terms.values()).backward()  # type: ignore[union-attr]
        modules = phase.modules or tuple(dict(model.named_children()))
        for name, parameter in model.named_parameters():
            trained = name.partition(".")[0] in modules or not phase.modules
            if trained and parameter.grad is not None and parameter.grad.abs().sum() > 0:
                untrained.pop(name, None)
    assert not untrained, f"{next(iter(untrained))} gets no gradient"


def check_divergences(model: SequenceModel) -> None:
    """The KL terms equal Monte-Carlo estimates of E_q[log q - log p]."""
    if not (model.can("likelihood") and model.can("encode")):
        return
    draws = 4000
    with evaluating(model):
        posterior = model.posterior(tiny_batch(model.observation, 1).x)
        if not (isinstance(posterior.static, Normal) and isinstance(posterior.dynamic, Normal)):
            return
        many = Posterior(repeat(posterior.static, draws), repeat(posterior.dynamic, draws))
        codes = many.sample(_generator())
        standard = Normal(torch.zeros_like(codes.static), 1.0)
        log_q, log_p = (
            many.dynamic.log_prob(codes.dynamic),
            model.prior(codes.dynamic).log_prob(codes.dynamic),
        )
        pairs = {"kl_dynamic": (model.kl_dynamic(many, codes), (log_q - log_p).sum((1, 2)))}
        if model.can("decoded_static"):
            log_q, log_p = many.static.log_prob(codes.static), standard.log_prob(codes.static)
            pairs["kl_static"] = (model.kl_static(many), (log_q - log_p).sum(1))
    for name, (formula, sampled) in pairs.items():
        gap = (formula - sampled).mean().abs()
        assert gap < 5 * (formula - sampled).std() / draws**0.5 + 1e-4, (
            f"{name} differs from its Monte-Carlo estimate"
        )


def check_generators(model: SequenceModel) -> None:
    """The same generator gives the same draws; evaluation without one is deterministic."""
    batch = tiny_batch(model.observation, views=model.views)
    for phase in model.phases:
        first, second = (model.terms(batch, _generator(1), phase.name) for _ in range(2))
        assert _same(first, second), "terms differ under the same generator"
        before = torch.random.get_rng_state()
        model.terms(batch, _generator(1), phase.name)
        assert torch.equal(before, torch.random.get_rng_state()), (
            "with a generator given, global randomness was used"
        )
    with evaluating(model):
        if model.can("encode"):
            codes, again = model.encode(batch.x), model.encode(batch.x)
            assert torch.equal(codes.dynamic, again.dynamic), "encode is not deterministic"
        if model.can("decode") and model.can("static_prior") and model.can("dynamic_prior"):
            sample, same, other = (model.sample(3, 4, _generator(seed)) for seed in (2, 2, 3))
            assert torch.equal(sample, same), "sample differs under the same generator"
            assert not torch.equal(sample, other), "sample does not depend on its generator"


def check_masks(model: SequenceModel) -> None:
    """Masked and padded values change no code, no term and no decoded sequence; padding changes no code."""
    batch = tiny_batch(model.observation, 4, 6)
    steps = steps_below(torch.tensor([6, 4, 4, 4]), 6)
    for mask in _some_masks(batch.x, steps):
        wide = widen(mask, batch.x)
        noise = torch.rand(batch.x.shape, generator=_generator(5)) * 9 - 4
        spoilt = torch.where(wide, batch.x, noise)
        for phase in model.phases:
            terms, same_terms, finite_terms = (
                model.terms(
                    _with_views(replace(batch, x=x, mask=mask), model.views), _generator(), phase.name
                )
                for x in (batch.x, spoilt, torch.where(wide, batch.x, torch.nan))
            )
            assert _same(terms, same_terms), "masked values change a term"
            assert all(torch.isfinite(term).all() for term in finite_terms.values()), (
                "NaN at a masked value reaches a term"
            )
        if not model.can("encode"):
            continue
        with evaluating(model):
            codes, changed = model.encode(batch.x, mask), model.encode(spoilt, mask)
            assert torch.equal(codes.static, changed.static), "masked values change the static code"
            valid = inside(mask).unsqueeze(2)
            assert torch.equal(codes.dynamic * valid, changed.dynamic * valid), (
                "masked values change the dynamic code"
            )
            if model.can("decode"):
                _check_masked_pictures(model, batch.x, spoilt, mask)
    if not model.can("encode"):
        return
    with evaluating(model):
        padded, short = model.encode(batch.x, steps), model.encode(batch.x[1:, :4])
    assert torch.allclose(padded.static[1:], short.static, atol=1e-5), "padding changes the static code"
    assert torch.allclose(padded.dynamic[1:, :4], short.dynamic, atol=1e-5), (
        "padding changes the dynamic code"
    )
    if len(model.observation) == 2:
        values = list(_some_masks(batch.x, steps))[-1]
        zeros = torch.where(values, batch.x, 0.0)
        with evaluating(model):
            measured, missing = model.encode(zeros), model.encode(zeros, values)
        assert not torch.equal(measured.static, missing.static), "the static code confuses a gap with a zero"
        assert not torch.equal(measured.dynamic, missing.dynamic), (
            "the dynamic code confuses a gap with a zero"
        )


def _some_masks(x: Tensor, steps: Tensor) -> Iterator[Tensor]:
    """Padding; padding and gaps; padding, gaps and single values, of which the first is observed."""
    yield steps
    gaps = steps.clone()
    gaps[1, 2] = gaps[2, 0] = False
    yield gaps
    values = torch.rand(x.shape, generator=_generator(6)) < 0.8
    values.flatten(1)[:, 0] = True
    yield values & widen(steps, x)


def _check_masked_pictures(model: SequenceModel, x: Tensor, spoilt: Tensor, mask: Tensor) -> None:
    """Decoded sequences do not depend on masked values."""
    other, other_mask = x.flip(0), mask.flip(0)
    made = {
        "reconstruct": lambda x: model.reconstruct(x, mask),
        "swap (static)": lambda x: model.swap(x, other, mask, other_mask),
        "swap (dynamic)": lambda x: model.swap(other, x, other_mask, mask),
        "interpolate": lambda x: model.interpolate(x, other, 3, mask, other_mask),
        "traverse": lambda x: model.traverse(x, 0, torch.ones(1), mask=mask),
    }
    for name, make in made.items():
        assert torch.equal(make(x), make(spoilt)), f"masked values change what {name} gives"


def check_nothing_observed(model: SequenceModel) -> None:
    """A sequence of which nothing is observed has codes that are numbers."""
    if not model.can("encode"):
        return
    x = tiny_batch(model.observation, 3, 4).x
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[1] = False
    with evaluating(model):
        codes = model.encode(x, mask)
    assert torch.isfinite(codes.static).all() and torch.isfinite(codes.dynamic).all(), (
        "a sequence without observed values has codes that are not finite"
    )


def check_swap(model: SequenceModel) -> None:
    """Swapping a sequence with itself is its reconstruction; interpolation ends where it should."""
    if not (model.can("encode") and model.can("decode")):
        return
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
        for changed, is_read in (
            (Codes(codes.static.flip(0), codes.dynamic), model.can("decoded_static")),
            (Codes(codes.static, codes.dynamic.flip(0)), True),
        ):
            assert torch.equal(model.decode(changed).mean, decoded) is not is_read, (
                "the decoder ignores one of the codes, or reads a static code that the card says it does not"
            )


def check_saving(model: SequenceModel) -> None:
    """A model saved and loaded has the same settings and the same buffers, and encodes the same."""
    if model.card.name not in MODELS:
        return
    x = tiny_batch(model.observation, 2).x
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_model(save_model(model, folder))
    assert loaded.settings == model.settings, "settings change when saved"
    weights, loaded_weights = model.state_dict(), loaded.state_dict()
    assert weights.keys() == loaded_weights.keys() and all(
        torch.equal(weights[name], loaded_weights[name]) for name in weights
    ), "weights change when saved and loaded"
    if model.can("encode"):
        with evaluating(model):
            assert torch.equal(model.encode(x).dynamic, loaded.encode(x).dynamic), (
                "codes change when saved and loaded"
            )


def check_float64(model: SequenceModel) -> None:
    """Double precision agrees with single precision."""
    if not (model.can("encode") and model.can("decode")):
        return
    x = tiny_batch(model.observation, 2).x
    with evaluating(model):
        single = model.reconstruct(x)
        double = model.double().reconstruct(x.double())
    assert double.dtype == torch.float64, "float64 comes back as another type"
    assert torch.allclose(single.double(), double, atol=1e-4), "float64 and float32 disagree"


def check_elbo(model: SequenceModel) -> None:
    """The ELBO is finite, one number per sequence, and does not depend on masked values."""
    if not (model.can("likelihood") and model.can("encode")):
        return
    batch = tiny_batch(model.observation, 3, 5)
    mask = steps_below(torch.tensor([5, 3, 5]), 5)
    spoilt = torch.where(observed_values(batch.x, mask), batch.x, 7.0)
    with evaluating(model):
        bound = model.elbo(replace(batch, mask=mask), _generator())
        assert bound.shape == (3,) and torch.isfinite(bound).all(), (
            "elbo is not one finite number per sequence"
        )
        assert torch.equal(bound, model.elbo(replace(batch, x=spoilt, mask=mask), _generator())), (
            "elbo depends on masked values"
        )


CHECKS = (
    check_card,
    check_capabilities,
    check_shapes,
    check_terms,
    check_divergences,
    check_generators,
    check_masks,
    check_nothing_observed,
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
