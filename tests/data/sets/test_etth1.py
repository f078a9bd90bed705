"""ETTh1: a made-up file of the published form, and the published one against counted figures."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from raw_files import etth1_text

import unbraid.data.load as data
from unbraid.data.sets import etth1

ROOT = Path(os.environ.get("UNBRAID_DATA", "")) / "etth1"


@pytest.fixture(scope="module")
def text():
    return etth1_text()


@pytest.fixture
def folder(tmp_path, text):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "ETTh1.csv").write_text(text)
    return tmp_path / "raw"


def load(folder, tmp_path, **options):
    with pytest.warns(UserWarning, match="are not the published ones"):
        return etth1.load(folder, tmp_path / "cache", **options)


def test_targets_belong_to_their_inputs(folder, tmp_path):
    """The known defect of the published code: labels of other months. Here both tell their own day."""
    for split, count in (("blocked", 25), ("official", 23), ("ett_12_4_4", 20)):
        days = load(folder, tmp_path, split=split)
        assert days.x.shape == (count, 28, 24, 6) and days.mask is None
        hour = days.scaling.invert(days.x)[..., 0]
        assert np.allclose(hour[..., 0] / 24, days.targets["oil_temperature"], atol=0.01)
        start = (days.times - np.datetime64("2016-07-01", "s")) // np.timedelta64(1, "h")
        assert np.allclose(hour[..., 0], start, atol=0.01)
        assert np.allclose(np.diff(hour, axis=2), 1, atol=0.01)
        assert sorted(np.concatenate(list(days.splits.values()))) == list(range(count))


def test_forms_and_splits(folder, tmp_path):
    corrected, official = load(folder, tmp_path), load(folder, tmp_path, form="official")
    assert corrected.fingerprint == load(folder, tmp_path, split="blocked").fingerprint
    assert official.fingerprint == load(folder, tmp_path, split="official").fingerprint
    assert {name: rows.tolist() for name, rows in corrected.splits.items()} == {
        "train": [0, 1, 2, 5, 6, 7, 10, 11, 12, 15, 16, 17, 20, 21, 22],
        "validation": [3, 8, 13, 18, 23],
        "test": [4, 9, 14, 19, 24],
    }
    assert official.fingerprint != load(folder, tmp_path, form="official", seed=1).fingerprint
    assert corrected.fingerprint == load(folder, tmp_path, seed=1).fingerprint


def test_scaling_learns_from_train_only(folder, tmp_path):
    days = load(folder, tmp_path)
    train = days.scaling.invert(days.x[days.splits["train"]]).reshape(-1, 6).astype(float)
    np.testing.assert_allclose(days.scaling.mean, train.mean(0), rtol=1e-5)
    assert days.scaling.std[1] == 1  # a constant feature


def test_overlapping_sequences_train_only(folder, tmp_path):
    apart, days = load(folder, tmp_path), load(folder, tmp_path, stride=4)
    assert np.array_equal(days.scaling.mean, apart.scaling.mean)
    for split in ("validation", "test"):
        assert np.array_equal(days.x[days.splits[split]], apart.x[apart.splits[split]])
    hour = days.scaling.invert(days.x)[..., 0]
    assert np.allclose(hour[..., 0] / 24, days.targets["oil_temperature"], atol=0.01)
    held = {round(h) for split in ("validation", "test") for h in hour[days.splits[split]].ravel()}
    train = hour[days.splits["train"]]
    assert not held & {round(h) for h in train.ravel()}
    # three blocks of 28 days in a row: 15 starts, every 4 days; five times
    assert len(train) == 5 * 15
    assert len(load(folder, tmp_path, stride=28)) == 25
    for stride in (0, 29):
        with pytest.raises(ValueError, match=f"stride: {stride} days"):
            etth1.load(folder, tmp_path, stride=stride)


def test_refused(folder, tmp_path, text):
    path = folder / "ETTh1.csv"

    def refused(message):
        with pytest.raises(ValueError, match=message):
            load(folder, tmp_path)

    with pytest.raises(FileNotFoundError, match="unbraid data fetch etth1"):
        etth1.load(cache=tmp_path)
    with pytest.raises(ValueError, match="split: is 'random'"):
        etth1.load(folder, tmp_path, split="random")
    with pytest.raises(ValueError, match="form: is 'x'"):
        etth1.load(folder, tmp_path, form="x")
    path.write_text(text.replace("2016-07-02 03:00:00", "2016-07-02 04:00:00"))
    refused("line 29: 2016-07-02 04:00:00 does not follow 2016-07-02 02:00:00")
    path.write_text(text.replace("2016-07-02 03:00:00", "second of July"))
    refused("column 'date'")
    path.write_text(text.replace("2016-07-02 03:00:00,27,1", "2016-07-02 03:00:00,27,one"))
    refused("line 29, column 'HULL': 'one' is no number")
    path.write_text(text.replace("2016-07-02 03:00:00,27,1", "2016-07-02 03:00:00,27,"))
    refused("line 29, column 'HULL': is empty")
    path.write_text("\n".join(text.splitlines()[:5000]) + "\n")
    refused("has 4999 hours; 14400 are needed")


def test_fetch(folder, tmp_path, serve, monkeypatch):
    digest = hashlib.sha256((folder / "ETTh1.csv").read_bytes()).hexdigest()
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    with serve(folder) as (address, asked):
        monkeypatch.setattr(etth1, "BASE_URL", address)
        with pytest.raises(ValueError, match=r"ETTh1\.csv: .* is not the published file"):
            data.fetch("etth1")
        monkeypatch.setattr(etth1, "FILES", {"ETTh1.csv": digest})
        asked.clear()
        assert data.fetch("etth1") == data.fetch("etth1") == tmp_path / "cache" / "downloads" / "etth1"
        assert asked == ["/ETTh1.csv"]
        assert len(data.load("etth1")) == 25


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return {split: data.load("etth1", ROOT, cache, split=split) for split in etth1.CUTS}


@pytest.mark.real_data
class TestRealTransformer:
    def test_counts(self, real, recwarn):
        assert not recwarn.list
        sizes = {split: [len(rows) for rows in days.splits.values()] for split, days in real.items()}
        assert sizes == {"blocked": [15, 5, 5], "official": [14, 3, 6], "ett_12_4_4": [12, 4, 4]}
        assert {split: days.fingerprint for split, days in real.items()} == {
            "blocked": "ad7be39f3daf3c85",
            "official": "9faa4038c6cbe098",
            "ett_12_4_4": "ed796464fa6914ca",
        }

    def test_borders(self, real):
        days = real["ett_12_4_4"]
        ends = [days.times[rows[-1], -1] for rows in days.splits.values()]
        borders = [np.datetime64(border) for border in ("2017-06-26", "2017-10-24", "2018-02-21")]
        for start, end, border in zip(borders[:-1], ends[1:], borders[1:], strict=True):
            assert start <= end < border
        assert ends[0] < borders[0] <= days.times[days.splits["validation"][0], 0]

    def test_what_constants_score(self, real):
        """The figures that make the published column worthless, as counted by other code."""
        days = real["official"]
        temperature = days.targets["oil_temperature"]
        test = temperature[days.splits["test"]]
        pool = temperature[np.setdiff1d(np.arange(23), days.splits["test"])]

        def error(constant):
            return round(float(np.abs(test - constant).mean()), 2)

        assert (round(np.median(pool), 2), round(pool.mean(), 2)) == (10.04, 10.63)
        assert (error(np.median(pool)), error(pool.mean())) == (12.38, 11.95)
        assert (error(11.72), error(13.38), error(np.median(test))) == (11.21, 10.19, 8.11)
        assert (round(test.mean(), 1), round(pool.mean(), 1)) == (21.6, 10.6)

    def test_constants_on_the_usual_borders(self):
        values, texts = etth1.read_csv_columns(ROOT / "ETTh1.csv", ("OT",), ("date",))
        assert len(values) == 17420 and texts["date"][-1] == "2018-06-26 19:00:00"
        assert (round(values.min(), 1), round(values.max(), 1)) == (-4.1, 46.0)
        assert (round(values.mean(), 1), round(values.std(), 1)) == (13.3, 8.6)
        train, validation, test = (
            values[first:last].reshape(-1, 24).mean(1)
            for first, last in zip(etth1.BORDERS[:-1], etth1.BORDERS[1:], strict=True)
        )
        constant = np.median(train)
        assert round(np.abs(validation - constant).mean(), 2) == 3.91
        assert round(np.abs(test - constant).mean(), 2) == 10.90
