"""Machines: the planted factors are found again in the values by closed forms that share no code with the renderer."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from unbraid.data.sets import machines
from unbraid.testing import check_dataset

TURNS = {"slow": 1.0, "middle": 4 / 3, "fast": 5 / 3}
LAGS = {"together": 0.0, "lagging": 0.25, "opposed": 0.5}
BASE, UNIT = np.array([6.0, 40.0, 12.0, 65.0]), np.array([2.0, 5.0, 3.0, 8.0])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return machines.load(cache=tmp_path_factory.mktemp("machines"), sequences=300)


@pytest.fixture(scope="module")
def values(data):
    """Sensors in units of their size, NaN where missing: (N, T, 8, 4)."""
    raw = np.where(data.observed(), data.scaling.invert(data.x), np.nan)
    return (raw - BASE) / UNIT


def inside(data):
    return np.arange(data.steps) < data.lengths[:, None]


def wave(data, values):
    """Complex amplitude of each sensor in each window, by least squares at the planted frequency; NaN where values miss."""
    turns = np.array([TURNS[name] for name in data.labels["frequency"].classes])
    found = np.full((*values.shape[:2], 4), np.nan, complex)
    for k, cycles in enumerate(turns):
        angle = 2 * np.pi * cycles * (np.arange(8) - 3.5) / 8
        design = np.stack([np.cos(angle), np.sin(angle), np.ones(8)], 1)
        cos, sin, _ = np.einsum("cw,ntwf->cntf", np.linalg.pinv(design), values)
        rows = data.labels["frequency"].values == k
        found[rows] = (sin + 1j * cos)[rows]  # A sin(angle + p) has sin part A cos(p), cos part A sin(p)
    return found


def test_shapes_splits_and_names(data):
    assert data.kind == "windows" and data.x.shape == (300, 24, 8, 4)
    assert {name: len(rows) for name, rows in data.splits.items()} == {
        "train": 210,
        "validation": 30,
        "test": 60,
    }
    assert data.feature_names == ("vibration", "pressure", "current", "temperature")
    assert data.units == ("mm/s", "bar", "A", "°C") and data.sampling_rate == 10
    assert data.lengths.min() == 12 and data.lengths.max() == 24
    assert {name: label.kind for name, label in data.labels.items()} == {
        "frequency": "static",
        "coupling": "static",
    }


def test_a_tenth_is_missing_half_of_it_in_blocks(data):
    missing = ~data.observed()
    part = missing[inside(data)]
    assert 0.08 < part.mean() < 0.11
    runs = missing.reshape(300, -1, 4)[:, : 12 * 8]
    long = runs[:, :-3] & runs[:, 1:-2] & runs[:, 2:-1] & runs[:, 3:]
    assert long.mean() > 0.02  # single gaps of 5% make four in a row in 0.0006% of the places


def test_targets_are_known_within_a_sequence_only(data):
    for name in ("regime", "event", "phase_cos", "phase_sin"):
        np.testing.assert_array_equal(~np.isnan(data.targets[name]), inside(data))
    for name in ("regime", "event"):
        assert set(np.unique(data.targets[name][inside(data)])) == {0, 1}


def test_level_and_scale_are_those_of_the_temperature(data, values):
    temperature = values[..., 3].reshape(300, -1)
    level, scale = np.nanmedian(temperature, 1), np.nanstd(temperature, 1) * np.sqrt(2)
    assert np.corrcoef(level, data.targets["level"])[0, 1] > 0.98
    assert np.corrcoef(scale, data.targets["scale"])[0, 1] > 0.98
    assert np.abs(np.median(scale / data.targets["scale"]) - 1) < 0.05


def test_frequency_is_the_one_whose_wave_fits_best(data, values):
    errors = np.zeros((3, len(values)))
    for row, cycles in enumerate(TURNS.values()):
        angle = 2 * np.pi * cycles * (np.arange(8) - 3.5) / 8
        design = np.stack([np.cos(angle), np.sin(angle), np.ones(8)], 1)
        rest = values - np.einsum("wv,ntvf->ntwf", design @ np.linalg.pinv(design), values)
        rest[data.targets["event"] != 0] = np.nan  # a shock is no wave
        errors[row] = np.nansum(rest**2, (1, 2, 3))
    best = np.argmin(errors, 0)
    assert (best == data.labels["frequency"].values).mean() > 0.95


def test_coupling_is_the_lag_of_the_fourth_sensor(data, values):
    found = np.where((data.targets["event"] == 0)[..., None], wave(data, values), np.nan)
    turn = found[..., 0] * found[..., 3].conj()
    lag = np.angle(np.nansum(turn, 1)) / (2 * np.pi)
    planted = np.array([LAGS[name] for name in data.labels["coupling"].classes])[
        data.labels["coupling"].values
    ]
    off = np.abs((lag - planted + 0.5) % 1 - 0.5)
    assert off.max() < 0.1


@pytest.mark.parametrize("sensor", [0, 1, 2])
def test_phase_is_that_of_the_first_three_sensors(data, values, sensor):
    found = wave(data, values)[..., sensor]
    calm = ~np.isnan(found) & (data.targets["event"] == 0)
    planted = data.targets["phase_cos"] + 1j * data.targets["phase_sin"]
    off = np.angle(found[calm] / planted[calm])
    assert np.median(np.abs(off)) < 0.15 and np.quantile(np.abs(off), 0.95) < 0.6


@pytest.mark.parametrize("phase", [0, 0.1, 0.25, 0.4])
def test_the_nearest_series_of_another_frequency_and_coupling_has_the_same_phase(phase):
    phases = np.arange(0, 1, 1 / 64)

    def series(turn, lag, phases):
        none, one = np.zeros((1, len(phases)), int), np.ones(1)
        made = machines.render(0 * one, one, turn * one, lag * one, phases[None], none, none - 1)
        return ((made[0] - BASE) / UNIT).reshape(len(phases), -1)

    kinds = list(itertools.product(TURNS.values(), LAGS.values()))
    off = []  # turns
    for given, wanted in itertools.product(kinds, kinds):
        distance = np.square(series(*wanted, phases) - series(*given, np.array([phase]))).sum(1)
        off.append((phases[distance.argmin()] - phase + 0.5) % 1 - 0.5)
    assert np.abs(off).max() < 0.2 and np.cos(2 * np.pi * np.array(off)).mean() > 0.95


def test_phases_do_not_tell_the_frequency(data):
    angle = np.angle(data.targets["phase_cos"] + 1j * data.targets["phase_sin"])
    step = np.exp(1j * np.diff(angle, axis=1))
    for k in range(3):
        own = step[data.labels["frequency"].values == k]
        assert np.abs(np.nanmean(own)) < 0.08


def test_regime_moves_current_and_pressure_apart_and_leaves_their_sum(data, values):
    calm = data.targets["event"] == 0
    calm &= (~np.isnan(values)).any(2).all(2)
    mean = np.full((*calm.shape, 4), np.nan)
    mean[calm] = np.nanmean(values[calm], 1)
    mean = (mean - data.targets["level"][:, None, None]) / data.targets["scale"][:, None, None]
    loaded, idle = (np.nanmean(mean[data.targets["regime"] == k], 0) for k in (1, 0))
    np.testing.assert_allclose(loaded - idle, [0, -2, 2, 0], atol=0.15)


def test_events_jump_and_die_away_within_the_window(data, values):
    jump = (values[..., 0].max(2) - data.targets["level"][:, None]) / data.targets["scale"][:, None]
    known = ~np.isnan(jump) & inside(data)
    seen = jump > 2
    assert (seen == (data.targets["event"] == 1))[known].mean() > 0.98


def test_factors_are_independent(data):
    static = [data.targets["level"], data.targets["scale"]]
    static += [label.values for label in data.labels.values()]
    paths = [np.nanmean(data.targets[name], 1) for name in ("regime", "event", "phase_cos", "phase_sin")]
    correlation = np.corrcoef(static + paths)
    assert np.abs(correlation - np.eye(8)).max() < 0.2  # 300 machines: a deviation of 0.06


def test_the_contract(tmp_path):
    check_dataset(machines, sequences=20, steps=14)
    check_dataset("machines")


def test_seeds_give_other_machines_and_the_same_ones_again(tmp_path):
    first, again, other = (
        machines.load(cache=tmp_path / name, sequences=12, seed=seed)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequences": 9}, "sequences: is 9; give a whole number from 10 upward"),
        ({"steps": 11}, "steps: is 11; give a whole number from 12 upward"),
        ({"seed": True}, "seed: is True; give a whole number from 0"),
        ({"sequences": 20.0}, "sequences: is 20.0"),
        ({"root": Path("somewhere")}, "root: machines are made by code, not read, found somewhere"),
    ],
)
def test_refused_options(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        machines.load(cache=tmp_path, **options)
    assert not list(tmp_path.iterdir())
