"""Air quality of Beijing: small files of the published form, and the published ones against counted figures."""

import functools
import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from raw_files import AIR_QUALITY_HEADER, air_quality_lines

import unbraid.data.load as data
from unbraid.data.sets import air_quality

ROOT = Path(os.environ.get("UNBRAID_DATA", "")) / "beijing_air_quality"
STATIONS = ("Dongsi", "Wanliu")


@pytest.fixture(scope="module")
def texts():
    return {station: air_quality_lines(station) for station in STATIONS}


@pytest.fixture
def folder(tmp_path, texts, monkeypatch):
    monkeypatch.setattr(air_quality, "STATIONS", dict.fromkeys(STATIONS, "0" * 64))
    (tmp_path / "raw").mkdir()
    for station in STATIONS:
        (tmp_path / "raw" / air_quality._file(station)).write_text("\n".join(texts[station]) + "\n")
    return tmp_path / "raw"


def load(folder, tmp_path, **options):
    with pytest.warns(UserWarning, match="are not the published ones"):
        return air_quality.load(folder, tmp_path / "cache", **options)


def change(folder, line, field, value):
    """Change one field of a line of the first station."""
    path = folder / air_quality._file(STATIONS[0])
    rows = path.read_text().splitlines()
    fields = rows[line - 1].split(",")
    fields[AIR_QUALITY_HEADER.split(",").index(field)] = value
    rows[line - 1] = ",".join(fields)
    path.write_text("\n".join(rows) + "\n")


def test_months_days_and_labels(folder, tmp_path):
    months = load(folder, tmp_path)
    assert months.x.shape == (30, 28, 24, 10)  # 15 months at two stations; February 2015 has exactly 28 days
    assert months.mask.all() and (months.mask.shape, months.lengths) == (months.x.shape, None)
    raw = months.scaling.invert(months.x)
    assert np.allclose(raw[..., 0], np.arange(1, 29)[:, None], atol=1e-4)
    assert np.allclose(raw[..., 6], np.arange(24), atol=1e-4)
    assert months.times[0, :2].astype(str).tolist() == ["2014-12-01T00:00:00", "2014-12-02T00:00:00"]
    named = {name: [label.classes[v] for v in label.values] for name, label in months.labels.items()}
    assert named["month"][:6] == ["December", "December", "January", "January", "February", "February"]
    assert (
        named["season"] == ["winter"] * 6 + ["spring"] * 6 + ["summer"] * 6 + ["autumn"] * 6 + ["winter"] * 6
    )
    assert named["station"] == list(STATIONS) * 15 and set(named["wetness"]) == {"wet"}
    assert np.array_equal(months.groups, np.repeat(np.unique(months.groups), 2))
    assert {name: len(rows) for name, rows in months.splits.items()} == {
        "train": 2,
        "validation": 24,
        "test": 4,
    }


def test_rain_is_a_mean_of_what_is_known_or_the_published_sum(folder, tmp_path):
    change(folder, 2, "RAIN", "NA")  # hour 0 of the first day
    for line in range(26, 50):
        change(folder, line, "RAIN", "NA")  # the whole second day
    change(folder, 50, "PM2.5", "NA")
    months = load(folder, tmp_path)
    rain = months.targets["rain"]
    assert np.allclose(rain[0, [0, 2]], [2 / 23, 2 / 24]) and np.isnan(rain[0, 1])
    assert np.isnan(rain).sum() == 1
    assert not months.mask[0, 2, 0, 0] and months.x[0, 2, 0, 0] == 0 and (~months.mask).sum() == 1
    official = load(folder, tmp_path, form="official")
    assert official.targets["rain"][0, :3].tolist() == [0, 0, 2]
    sizes = {name: len(rows) for name, rows in official.splits.items()}
    assert sizes == {"train": 22, "validation": 4, "test": 4}
    other = load(folder, tmp_path, form="official", seed=1)
    assert not np.array_equal(other.splits["validation"], official.splits["validation"])


def test_overlapping_sequences_train_only(folder, tmp_path):
    for station in STATIONS:
        text = "\n".join(air_quality_lines(station, "2014-10-01", "2016-03-01")) + "\n"
        (folder / air_quality._file(station)).write_text(text)
    apart, months = load(folder, tmp_path), load(folder, tmp_path, stride=7)
    assert np.array_equal(months.scaling.mean, apart.scaling.mean)
    for split in ("validation", "test"):
        rows, others = months.splits[split], apart.splits[split]
        assert np.array_equal(months.x[rows], apart.x[others])
        assert np.array_equal(months.labels["month"].values[rows], apart.labels["month"].values[others])
    starts = months.times[months.splits["train"], 0].astype("datetime64[D]").astype(str)
    # those of the months, then every 7 days from October 1 to the last month's start
    assert starts[::2].tolist() == [
        *("2014-10-01", "2014-11-01", "2014-12-01"),
        *("2014-10-08", "2014-10-15", "2014-10-22", "2014-10-29"),
        *("2014-11-05", "2014-11-12", "2014-11-19", "2014-11-26"),
    ]
    named = [months.labels["month"].classes[v] for v in months.labels["month"].values[months.splits["train"]]]
    assert named[::2] == [
        *("October", "November", "December"),
        *("October", "October", "November", "November", "November", "November", "December", "December"),
    ]
    with pytest.raises(ValueError, match="stride: 0 days"):
        air_quality.load(folder, tmp_path, stride=0)
    with pytest.raises(ValueError, match="stride: is 7 days; the official form"):
        air_quality.load(folder, tmp_path, stride=7, form="official")


def test_refused(folder, tmp_path):
    def refused(message):
        with pytest.raises(ValueError, match=message):
            load(folder, tmp_path)

    with pytest.raises(FileNotFoundError, match=r"no folder .*unbraid data fetch air_quality"):
        air_quality.load(cache=tmp_path)
    with pytest.raises(ValueError, match="form: is 'x'"):
        air_quality.load(folder, tmp_path, form="x")
    path = folder / air_quality._file(STATIONS[0])
    whole = path.read_text()
    change(folder, 7, "CO", "many")
    refused(r"Dongsi.*csv, line 7, column 'CO': 'many' is no number")
    path.write_text(whole.replace(",O3,", ",O_3,", 1))
    refused(r"Dongsi.*csv: has no column 'O3'; did you mean 'O_3'")
    path.write_text(whole + "1,2\n")
    refused("line 10946: has 2 fields; the header has 18")
    rows = whole.splitlines(keepends=True)
    path.write_text("".join(rows[:30] + rows[31:]))
    refused(r"line 31: 2014-12-02T06:00:00 does not follow 2014-12-02T04:00:00 by one hour")
    path.write_text("".join(rows[:1] + rows[1 + 31 * 24 :]))
    refused("cover different hours")
    path.unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"no file .*PRSA_Data_Dongsi.* \(1 of the 2 files are missing\); run `unbraid data fetch air_quality`",
    ):
        air_quality.load(folder, tmp_path)


def test_fetch(folder, tmp_path, serve, monkeypatch):
    web = tmp_path / "web"
    web.mkdir()
    (name,) = air_quality.ARCHIVE
    with zipfile.ZipFile(web / "inner.zip", "w") as inner:
        for station in STATIONS:
            path = folder / air_quality._file(station)
            inner.write(path, f"PRSA_Data_20130301-20170228/{path.name}")
    with zipfile.ZipFile(web / name, "w") as outer:
        outer.write(web / "inner.zip", "PRSA2017_Data_20130301-20170228.zip")
    digest = hashlib.sha256((web / name).read_bytes()).hexdigest()
    monkeypatch.setattr(air_quality, "ARCHIVE", {name: digest})
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    with serve(web) as (address, asked):
        monkeypatch.setattr(air_quality, "BASE_URL", address)
        with pytest.raises(ValueError, match=r"PRSA_Data_Dongsi.*csv: in .* is not the published file"):
            data.fetch("air_quality")
        hashes = {
            s: hashlib.sha256((folder / air_quality._file(s)).read_bytes()).hexdigest() for s in STATIONS
        }
        monkeypatch.setattr(air_quality, "STATIONS", hashes)
        target = data.fetch("air_quality")
        assert data.fetch("air_quality") == target == tmp_path / "cache" / "downloads" / "air_quality"
        assert len(asked) == 1  # the archive was kept, and nothing is asked for when the files are whole
        assert sorted(path.name for path in target.iterdir()) == sorted(map(air_quality._file, STATIONS))
        made = data.load("air_quality")
        for path in target.iterdir():
            path.unlink()
        assert data.load("air_quality").fingerprint == made.fingerprint  # from the cache, without the files


@pytest.fixture(scope="module")
def read_once():
    """The published files are large: all that read them share one reading."""
    with pytest.MonkeyPatch.context() as patch:
        reader = functools.cache(air_quality.read_csv_columns)
        patch.setattr(air_quality, "read_csv_columns", reader)
        yield reader


@pytest.fixture(scope="module")
def real(tmp_path_factory, read_once):
    cache = tmp_path_factory.mktemp("cache")
    return {form: data.load("air_quality", ROOT, cache, form=form) for form in ("corrected", "official")}


@pytest.fixture(scope="module")
def hours(read_once):
    """All columns of every file."""
    columns = (*air_quality.CALENDAR, *air_quality.FEATURES, "RAIN")
    files = air_quality._find(ROOT)
    return {station: read_once(path, columns)[0] for station, path in files.items()}


@pytest.mark.real_data
class TestRealMonths:
    def test_counts(self, real):
        for form, sizes in (("corrected", [288, 144, 144]), ("official", [367, 65, 144])):
            months = real[form]
            assert months.x.shape == (576, 28, 24, 10)
            assert [len(rows) for rows in months.splits.values()] == sizes
            year = months.times[:, 0].astype("datetime64[Y]").astype(int) + 1970
            assert np.unique(year, return_counts=True)[1].tolist() == [120, 144, 144, 144, 24]
            assert set(year[months.splits["test"]]) == {2016}
            month = months.labels["month"].values
            assert set(np.bincount(month[year != 2016])) == {36} and set(
                np.bincount(month[year == 2016])
            ) == {12}
            missing = [
                1 - part.mean()
                for part in (months.mask, months.mask[year != 2016], months.mask[year == 2016])
            ]
            assert [round(100 * share, 2) for share in missing] == [1.70, 1.83, 1.33]
            nothing = ~months.mask.any(axis=(1, 2))
            assert nothing.sum(0).tolist() == [0, 0, 0, 0, 2, 0, 0, 0, 0, 0]  # CO
            assert ((~months.mask).sum(3) < 7).mean() > 0.99
        year = real["corrected"].times[:, 0].astype("datetime64[Y]").astype(int) + 1970
        assert set(year[real["corrected"].splits["validation"]]) == {2015}

    def test_missing_values_of_the_files(self, hours):
        assert sum(map(len, hours.values())) == 420768
        missing = (100 * np.isnan(np.concatenate(list(hours.values()))[:, 4:]).mean(0)).round(2)
        assert missing[:6].tolist() == [2.08, 1.53, 2.14, 2.88, 4.92, 3.16]  # the sixth is 3.155
        assert (np.abs(missing[6:] - 0.09) <= 0.015).all()

    def test_rain(self, real, hours):
        corrected, official = (real[form].split("test").targets["rain"] for form in ("corrected", "official"))
        assert round(100 * (corrected == 0).mean(), 1) == 80.7
        assert round(np.abs(corrected).mean(), 4) in (0.0818, 0.0819)
        whole = real["official"].targets["rain"]
        test = np.isin(np.arange(576), real["official"].splits["test"])
        zeroed = (whole == 0) & ~np.isclose(24 * real["corrected"].targets["rain"], 0)
        rain = []
        for values in hours.values():
            firsts = np.flatnonzero((values[:, 2] == 1) & (values[:, 3] == 0))
            rain.append([values[first : first + 672, -1] for first in firsts])
        rain = np.stack(rain, axis=1).reshape(576, 28, 24)
        unknown = np.isnan(rain).any(2)
        assert (unknown[~test].sum(), unknown[test].sum()) == (146, 37)
        assert not (zeroed & ~unknown).any() and (whole[unknown] == 0).all()
        assert round(np.nansum(rain[test], axis=2).mean(), 3) == 1.962
        assert official.shape == (144, 28)

    def test_floors_of_the_month(self, real):
        """Nearest centroid and nearest neighbour on the means of the raw features, as counted by other code."""
        from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

        months = real["official"]
        test = months.splits["test"]
        pool = np.setdiff1d(np.arange(576), test)
        means = months.x.sum((1, 2)) / np.maximum(months.mask.sum((1, 2)), 1)
        means = (means - means[pool].mean(0)) / means[pool].std(0)
        month = months.labels["month"].values
        score = {}
        for model in (NearestCentroid(), KNeighborsClassifier(1)):
            score[type(model).__name__] = model.fit(means[pool], month[pool]).score(means[test], month[test])
        assert abs(score["NearestCentroid"] - 0.597) < 0.002
        assert abs(score["KNeighborsClassifier"] - 0.764) < 0.002  # 0.715 by a split that is not known

    def test_fingerprints_and_names(self, real, recwarn):
        assert not recwarn.list
        assert real["corrected"].fingerprint == "96ad46208dd78e8f"
        assert real["official"].fingerprint == "2d029060f9cba7b9"
        assert real["corrected"].scaling.mean.shape == (10,) and real["corrected"].feature_names[0] == "PM2.5"
