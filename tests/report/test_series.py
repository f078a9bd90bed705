import dataclasses

import numpy as np
import pytest
import torch
from html_page import Page
from matplotlib.figure import Figure
from PIL import Image

from unbraid import components, plots
from unbraid.data.scaling import Scaling
from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import evaluate_downstream, linear_reader, network_reader, write_scores
from unbraid.models.build import build_model
from unbraid.report.page import write_report
from unbraid.report.pictures import make_pictures
from unbraid.report.series import BELOW

N, STEPS, FEATURES = 45, 5, 3
SMALL = {"static_size": 4, "dynamic_size": 3, "width": 4, "hidden": 8, "features": 8}


def series(window=4, targets=True):
    random = np.random.default_rng(0)
    shape = (N, STEPS, window, FEATURES) if window else (N, STEPS, FEATURES)
    x = random.normal(size=shape).astype(np.float32)
    mask = random.random(shape) < 0.7
    mask[:, 0] = True
    rain = random.random((N, STEPS))
    rain[:, 2] = np.nan
    return Sequences(
        np.where(mask, x, 0),
        "noise",
        mask=mask,
        lengths=random.integers(3, STEPS + 1, N),
        labels={"<who>": Label(np.arange(N) % 3, ("a", "b", "c"), "static")},
        targets={"rain": rain} if targets else {},
        times=np.datetime64("2013-03-01") + np.arange(STEPS * N).reshape(N, STEPS).astype("timedelta64[D]"),
        scaling=Scaling(np.array([0.0, 100, 1000]), np.array([1.0, 10, 0.1])),
        feature_names=("heat", "rate", "pressure"),
        units=("K", "1/s", "Pa"),
        sampling_rate=1 / 3600,
        splits=dict(zip(("train", "validation", "test"), np.split(np.arange(N), 3), strict=True)),
    )


def model_for(data):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model("dbse", data.observation, **SMALL).eval()


@pytest.fixture
def only_series(monkeypatch):
    """What `plot_series` is given; the other figures stay empty."""
    given = {}

    def keep(*arrays, **settings):
        given.update(settings, observed=arrays[0], mean=arrays[1], std=arrays[2])
        return Figure()

    for name in (
        "plot_series_swaps", "plot_series_rows", "plot_series_between", "plot_dynamic_codes", "plot_codes"
    ):  # fmt: skip
        monkeypatch.setattr(plots, name, lambda *arrays, **settings: Figure())
    monkeypatch.setattr(plots, "plot_series", keep)
    return given


@pytest.mark.parametrize("window", [4, 0])
def test_pictures_of_windows_and_of_vectors(tmp_path, window, monkeypatch):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    data, names = series(window), {f"{shown.name}.png" for shown in BELOW}
    few = make_pictures(model_for(data), data, tmp_path / "few")
    assert {path.name for path in few.iterdir()} == names - {"series_components.png"}
    monkeypatch.setattr(components, "FEWEST_SEQUENCES", 10)
    folder = make_pictures(model_for(data), data, tmp_path)
    assert {path.name for path in folder.iterdir()} == names
    for path in folder.iterdir():
        with Image.open(path) as image:
            assert np.asarray(image.convert("L")).std() > 1  # not blank


def test_series_are_drawn_in_raw_units_as_observed_and_as_decoded(tmp_path, only_series):
    given = only_series
    data = series()
    model = model_for(data)
    make_pictures(model, data, tmp_path)
    assert given["names"] == data.feature_names and given["units"] == data.units
    test = data.split("test")
    inside = np.arange(STEPS) < test.lengths[:, None]
    shown = np.where(test.mask & inside[:, :, None, None], test.scaling.invert(test.x), np.nan)
    shown = shown.reshape(len(test), -1, FEATURES)
    (row,) = [i for i in range(len(test)) if np.array_equal(shown[i], given["observed"][0], equal_nan=True)]
    batch = test.batch(np.array([row]))
    with torch.inference_mode():
        p = model.decode(model.encode(batch.x, batch.mask))
    end = test.lengths[row] * 4
    np.testing.assert_allclose(
        given["mean"][0, :end], test.scaling.invert(p.mean.numpy()).reshape(-1, FEATURES)[:end], rtol=1e-5
    )
    assert np.isnan(given["mean"][0, end:]).all()
    np.testing.assert_allclose(
        given["std"][0], (p.stddev.numpy() * test.scaling.std).reshape(-1, FEATURES), rtol=1e-4
    )
    assert given["titles"][0].startswith(str(test.times[row, 0].astype("datetime64[D]")))


def test_vectors_have_no_band_because_their_deviation_is_not_learned(tmp_path, only_series):
    data = series(window=0)
    make_pictures(model_for(data), data, tmp_path)
    assert only_series["std"] is None


def test_series_without_scaling_names_times_or_labels_are_drawn(tmp_path):
    data = dataclasses.replace(
        series(targets=False), scaling=None, feature_names=None, units=None, times=None, sampling_rate=None,
        labels={}, mask=None, lengths=None, fingerprint="",
    )  # fmt: skip
    folder = make_pictures(model_for(data), data, tmp_path)
    assert len(list(folder.iterdir())) == len(BELOW) - 1  # too few series for components


def test_pictures_of_series_repeat_themselves(tmp_path):
    data = series(window=0)
    model = model_for(data)
    state = torch.random.get_rng_state()
    for name in ("a", "b"):
        make_pictures(model, data, tmp_path / name)
    assert torch.equal(torch.random.get_rng_state(), state)
    for path in (tmp_path / "a" / "pictures").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "pictures" / path.name).read_bytes()


def test_the_report_shows_downstream_scores_beside_their_floors(tmp_path, monkeypatch):
    monkeypatch.setattr(network_reader, "EPOCHS", 1)
    monkeypatch.setattr(linear_reader, "STRENGTHS", (0.1,))
    data = series()
    model = model_for(data)
    (tmp_path / "config.yaml").write_text("data: {name: noise}\nmodel: {name: dbse}\n")
    scores = evaluate_downstream(model, data, repeats=1, resamples=20, cache=tmp_path)
    scores["left_out"]["<b>"] = "nobody knows"
    write_scores(tmp_path, "downstream", scores)
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "pictures" / "series.png")
    text = write_report(tmp_path).read_text()
    page = Page(text)
    words = "".join(page.words)
    for expected in (
        "Predicted from both codes",
        "What the codes predict",
        "15 sequences of the test split",
        "static code, linear",
        "floor: raw series, network end to end",
        "balanced accuracy",
        "<b> is not scored: nobody knows",
        "nothing was observed there",
    ):
        assert expected in words
    assert "<who>" in words and "<who>" not in text
    figure = scores["tasks"]["rain"]["codes"]["both"]["network"]["mae"]
    assert f"{figure['mean']:.4g} [{figure['low']:.4g}, {figure['high']:.4g}]" in words
    assert len(page.sources) == 2 + 1
