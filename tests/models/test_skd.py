"""SKD against its equations, written out step by step, planted dynamics, and the known defects of published code."""

import numpy as np
import pytest
import torch
from koopman import without_codecs

from unbraid.data.sequences import Sequences
from unbraid.generation import deal_out
from unbraid.masks import steps_below
from unbraid.models.build import build_model
from unbraid.testing import tiny_batch
from unbraid.training import TrainingConfig, fit
from unbraid.types import Batch, Factor


def skd(observation=(7,), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build_model(
            "skd", observation, **({"latent_size": 6, "static_units": 2, "width": 4} | settings)
        )


@pytest.mark.parametrize("observation", [(7,), (3, 16, 16)])
def test_terms_equal_the_equations(observation):
    x, ridge = tiny_batch(observation, 3, 5).x, 1e-6
    terms = skd(observation).train().terms(Batch(x), torch.Generator().manual_seed(3))
    model = skd(observation).train()
    z, _ = model.encoder_path.lstm(model.encoder(x.flatten(0, 1)).unflatten(0, (3, 5)))
    before = np.concatenate([z[b, :-1].detach().double().numpy() for b in range(3)])
    after = np.concatenate([z[b, 1:].detach().double().numpy() for b in range(3)])
    # Ridge regression is least squares with more rows: sqrt(n ridge) I, whose targets are 0.
    rows = np.concatenate([before, np.sqrt(len(before) * ridge) * np.eye(6)])
    operator = np.linalg.lstsq(rows, np.concatenate([after, np.zeros((6, 6))]), rcond=None)[0]
    predicted = z.clone()
    for t in range(1, 5):
        predicted[:, t] = (z[:, t - 1].double() @ torch.from_numpy(operator)).float()
    kept = torch.rand(3, 5, 6, generator=torch.Generator().manual_seed(3)) >= 0.2

    def decoded(path):
        return model.decoder(model.decoder_path.lstm(path)[0].flatten(0, 1)).unflatten(0, (3, 5))

    rebuilt, continued = decoded(z * kept / 0.8), decoded(predicted)
    values = np.linalg.eigvals(operator)
    units = sorted((v for v in values if v.imag >= 0), key=lambda v: abs(v - 1))
    static = [w for v in units[:2] for w in ([v] if v.imag == 0 else [v, v.conjugate()])]
    dynamic = [w for v in units[2:] for w in ([v] if v.imag == 0 else [v, v.conjugate()])]
    expected = {
        "reconstruction": ((rebuilt - x) ** 2).flatten(1).mean(1),
        "prediction": ((rebuilt - continued) ** 2).flatten(1).mean(1),
        "latent_prediction": ((z - predicted) ** 2).flatten(1).mean(1),
        "static_eigenvalues": torch.tensor(np.mean([abs(v - 1) ** 2 for v in static])),
        "dynamic_eigenvalues": torch.tensor(np.mean([v.real * (v.real > 0.5) for v in dynamic])),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-3, atol=1e-6)


def planted(n=40, steps=9, seed=0):
    """Paths of a constant and a nearly constant coordinate, a decaying one, an alternating one and a rotating plane, mixed at random."""
    random = np.random.default_rng(seed)
    block = np.diag([1.0, 0.999, 0.6, -0.8, 0.0, 0.0])
    block[4:, 4:] = 0.7 * np.array([[np.cos(2), -np.sin(2)], [np.sin(2), np.cos(2)]])
    mixing = random.normal(size=(6, 6)) + 2 * np.eye(6)
    start = random.normal(size=(n, 6))
    paths = np.stack([start @ np.linalg.matrix_power(block, t) for t in range(steps)], 1)
    return torch.tensor(paths @ mixing, dtype=torch.float32), torch.tensor(paths), torch.tensor(mixing)


def test_finish_finds_planted_modes():
    x, paths, mixing = planted()
    model = without_codecs(skd((6,), ridge=1e-12))
    model.finish([Batch(x[:15]), Batch(x[15:])])
    values = torch.view_as_complex(model.eigenvalues).abs()
    torch.testing.assert_close(values[:2], torch.tensor([1.0, 0.999]), rtol=0, atol=1e-4)
    torch.testing.assert_close(
        values[2:].sort().values, torch.tensor([0.6, 0.7, 0.7, 0.8]), rtol=0, atol=1e-4
    )
    assert (model.static_size, model.dynamic_size) == (2, 4)
    codes = model.encode(x)
    torch.testing.assert_close(model.decode(codes).mean, x, rtol=0, atol=0.05)
    # Each dynamic factor is one mode: exchanging it moves that mode and no other.
    factors = {name: f for name, f in model.factors.items() if name.startswith("dynamic_")}
    assert sorted(len(f.columns) for f in factors.values()) == [1, 1, 2]
    moved = set()
    for factor in factors.values():
        made = model.decode(codes.exchange(codes[torch.arange(39, -1, -1)], factor)).mean.double()
        change = (made @ torch.linalg.inv(mixing) - paths).abs().amax((0, 1)) > 0.1
        moved.add(tuple(change.nonzero().flatten().tolist()))
    assert moved == {(2,), (3,), (4, 5)}


@pytest.mark.parametrize(
    ("radius", "near"), [(5e-4, [1.0]), (0.01, [1.0, 0.999]), (0.5, [1.0, 0.999, 0.6]), (1e-9, [1.0])]
)
def test_a_radius_says_how_many_units_are_static(radius, near):
    """However many they are, but for the most static one, which always is."""
    x, *_ = planted()
    model = without_codecs(skd((6,), ridge=1e-12, static_units=1, static_radius=radius))
    model.finish([Batch(x)])
    kept = torch.view_as_complex(model.eigenvalues)[model.static].real
    torch.testing.assert_close(kept, torch.tensor(near), rtol=0, atol=1e-4)


def test_a_radius_leaves_one_unit_dynamic():
    model = without_codecs(skd((6,), static_radius=1e3))
    model.finish([Batch(torch.randn(20, 5, 6, generator=torch.Generator().manual_seed(0)))])
    assert model.unit[~model.static].unique().numel() == 1


def test_independent_static_coordinates_find_planted_ones():
    """Three constant coordinates, uniform and independent, mixed at random: a basis of eigenvectors mixes them still."""
    random = np.random.default_rng(0)
    constant, mixing = random.uniform(-1, 1, (400, 3)), random.normal(size=(6, 6)) + 2 * np.eye(6)
    moving = random.normal(size=(400, 1, 3)) * np.array([0.5, -0.6, 0.3]) ** np.arange(7)[:, None]
    paths = np.concatenate([np.repeat(constant[:, None], 7, 1), moving], 2)
    x = torch.tensor(paths @ mixing, dtype=torch.float32)
    found = {}
    for independent in (False, True):
        model = without_codecs(
            skd((6,), static_units=1, static_radius=0.1, independent_static=independent, ridge=1e-12)
        )
        model.finish([Batch(x[:150]), Batch(x[150:])])
        codes = model.encode(x)
        torch.testing.assert_close(model.decode(codes).mean, x, rtol=0, atol=1e-3)
        torch.testing.assert_close(model.basis @ model.inverse, torch.eye(6), rtol=0, atol=1e-4)
        found[independent] = np.abs(np.corrcoef(codes.static.T, constant.T)[:3, 3:])
    assert found[True].max(1).min() > 0.99 and sorted(found[True].argmax(1)) == [0, 1, 2]
    assert found[False].max(1).min() < 0.95
    assert model.unit.tolist() == [0, 1, 2, 3, 4, 5] and model.static.tolist() == [True] * 3 + [False] * 3
    names = {f.columns for name, f in model.factors.items() if name.startswith("static_")}
    assert names == {(0,), (1,), (2,)}
    torch.testing.assert_close(model.eigenvalues[:3], torch.tensor([[1.0, 0.0]] * 3), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("share", "static"), [(None, 4), (0.2, 4), (0.02, 3), (1e-12, 1)])
def test_independent_coordinates_that_vary_within_sequences_are_dynamic(share, static):
    """Of four slow coordinates one falls to 0.9 of itself in each step: 0.044 of its variance lies within sequences."""
    random = np.random.default_rng(0)
    rates = np.array([1, 1, 1, 0.9, 0.5, -0.6])
    starts, mixing = random.uniform(-1, 1, (600, 1, 6)), random.normal(size=(6, 6)) + 2 * np.eye(6)
    paths = starts * rates ** np.arange(7)[:, None]
    x = torch.tensor(paths @ mixing, dtype=torch.float32)
    model = without_codecs(
        skd(
            (6,),
            static_units=1,
            static_radius=0.2,
            independent_static=True,
            static_share=share,
            ridge=1e-12,
        )
    )
    model.finish([Batch(x[:250]), Batch(x[250:])])
    codes = model.encode(x)
    assert (model.static_size, codes.static.shape[1], model.unit.tolist()) == (static, static, list(range(6)))
    if static < 4:  # a mean cannot say how it falls
        torch.testing.assert_close(model.decode(codes).mean, x, rtol=0, atol=0.05)
    alike = np.abs(np.corrcoef(codes.static.T, paths[:, 0, :4].T)[:static, static:])
    assert alike.max(1).min() > 0.99
    if static == 3:
        assert sorted(alike.argmax(1)) == [0, 1, 2]
        falls = codes.dynamic[:, :, 0]
        torch.testing.assert_close(falls[:, 1:], 0.9 * falls[:, :-1], rtol=0, atol=0.02)


def test_a_share_needs_independent_coordinates():
    with pytest.raises(ValueError, match="independent_static"):
        skd((6,), static_share=0.1)


def test_static_coordinates_that_span_nothing_stay_as_they_are():
    x, *_ = planted(n=2)
    model, plain = (without_codecs(skd((6,), independent_static=flag)) for flag in (True, False))
    for each in (model, plain):
        each.finish([Batch(x)])
    torch.testing.assert_close(model.inverse, plain.inverse)
    assert model.unit.tolist() == plain.unit.tolist()


def test_a_single_static_coordinate_can_be_made_independent():
    x, *_ = planted()
    model = without_codecs(skd((6,), ridge=1e-12, static_units=1, independent_static=True))
    model.finish([Batch(x)])
    assert model.encode(x).static.var() == pytest.approx(1, rel=0.1)


def test_static_code_is_the_mean_of_the_static_coordinates():
    x, *_ = planted()
    x = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    model = without_codecs(skd((6,)))
    model.finish([Batch(x)])
    mask = steps_below(torch.tensor([9] * 20 + [4] * 20), 9)
    coordinates = x @ torch.linalg.inv(model.inverse)
    static = model.encode(x, mask).static
    torch.testing.assert_close(static[:20], coordinates[:20, :, model.static].mean(1), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(static[20:], coordinates[20:, :4, model.static].mean(1), rtol=1e-3, atol=1e-4)


def test_padding_reaches_neither_operator():
    x, *_ = planted()
    mask = steps_below(torch.tensor([9] * 20 + [4] * 20), 9)
    spoilt = torch.where(mask.unsqueeze(2), x, 50.0)
    padded, whole = without_codecs(skd((6,), ridge=1e-12)), without_codecs(skd((6,), ridge=1e-12))
    padded.finish([Batch(spoilt, mask)])
    whole.finish([Batch(x)])
    torch.testing.assert_close(padded.eigenvalues, whole.eigenvalues, rtol=0, atol=1e-3)
    terms = padded.terms(Batch(spoilt, mask))
    assert terms["latent_prediction"].max() < 1e-6
    assert terms["static_eigenvalues"] == pytest.approx(0.001**2 / 2, rel=0.1)


def test_pairs_are_static_or_dynamic_as_a_whole():
    """The authors' evaluation can cut a conjugate pair in two, and half of it is lost when its real part is taken."""
    for seed in range(20):
        random = torch.Generator().manual_seed(seed)
        model = without_codecs(skd((6,)))
        model.finish([Batch(torch.randn(20, 5, 6, generator=random))])
        split = {int(unit): set(model.static[model.unit == unit].tolist()) for unit in model.unit.unique()}
        assert all(len(kinds) == 1 for kinds in split.values())
        assert sum(True in kinds for kinds in split.values()) == 2
        assert model.static_size + model.dynamic_size == 6
        torch.testing.assert_close(model.basis @ model.inverse, torch.eye(6), rtol=0, atol=1e-3)


def test_codes_do_not_depend_on_batch_mates():
    """The authors fit the operator to the evaluated batch, so codes change with the other sequences in it."""
    model, x = skd(), tiny_batch((7,), 6).x
    model.eval().finish([Batch(x)])
    torch.testing.assert_close(model.encode(x).static[:1], model.encode(x[:1]).static)


def test_the_latents_have_the_size_of_the_lstm():
    """With another size the authors' code turns the halves of a vector into steps."""
    model = skd(latent_size=8)
    assert model.encoder_path.output_size == model.latents(tiny_batch((7,)).x).shape[2] == 8


def test_one_sequence_can_be_scored():
    terms = skd().eval().terms(Batch(tiny_batch((7,), 1, 3).x))
    assert all(torch.isfinite(term).all() for term in terms.values())


def test_new_static_codes_are_mixtures_of_two_others():
    static = torch.eye(30)
    mixed = deal_out(static, skd().static_mixture, torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixed.sum(1), torch.ones(30))
    assert (mixed >= 0).all() and ((mixed > 0).sum(1) <= 2).all() and (mixed.diagonal() == 0).all()
    assert ((mixed > 0).sum(1) == 2).sum() > 20


def test_batches_too_small_for_the_least_squares_are_refused(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 5, 7)).astype(np.float32)
    data, config = Sequences.from_arrays(x, name="noise"), TrainingConfig(max_epochs=1, batch_size=8)
    message = r"training.batch_size: 8 sequences of 5 steps have 32 pairs .* at least latent_size = 40"
    with pytest.raises(ValueError, match=message):
        fit(data, "skd", folder=tmp_path / "run", training=config, quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"static_units": 3}, "less than half of latent_size"),
        ({"static_units": 0}, "at least 1"),
        ({"ridge": 0.0}, "model.ridge: 0.0 must be above 0"),
        ({"static_radius": 0.0}, "model.static_radius: 0.0 must be above 0"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        skd(**settings)


def test_what_the_card_denies_is_refused():
    model = skd()
    for ask in (model.draw_static, lambda n: model.draw(n, 4), lambda n: model.roll(n, 4)):
        with pytest.raises(ValueError, match="skd has no prior"):
            ask(3)
    assert model.factors["static"] == Factor("static")
