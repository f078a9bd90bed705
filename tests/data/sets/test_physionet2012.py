"""PhysioNet 2012: small records of the published form, and the published ones against counts made by other code."""

import hashlib
import os
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from raw_files import record, write_physionet2012, write_ten_stays

import unbraid.data.load as data
from unbraid.data.sets.physionet2012 import physionet2012, records

ROOT = Path(os.environ.get("UNBRAID_DATA", "")) / "physionet2012"


@pytest.fixture
def ten(tmp_path):
    return write_ten_stays(tmp_path / "raw")


def load(root, tmp_path, **options):
    with pytest.warns(UserWarning, match="are not the published ones"):
        return physionet2012.load(root, tmp_path / "cache", **options)


def raw(stays):
    """Values in their units, NaN where nothing was observed, `(N, hours, F)`."""
    values = np.where(stays.mask, stays.scaling.invert(stays.x), np.nan)
    return values.reshape(len(stays), -1, len(records.FEATURES))


def test_hours_from_admission(ten, tmp_path):
    stays = load(ten, tmp_path)
    assert stays.x.shape == (10, 12, 4, 10) and stays.x.dtype == np.float32
    assert stays.mask.all() and stays.lengths is None
    assert np.allclose(raw(stays), 30 + np.arange(48)[:, None] / 10, atol=1e-4)
    assert {name: len(rows) for name, rows in stays.splits.items()} == {
        "train": 6,
        "validation": 2,
        "test": 2,
    }
    assert stays.labels["death"].values.tolist() == (stays.groups % 2).tolist()
    assert stays.labels["icu_type"].values.tolist() == ((stays.groups - 100) % 4).tolist()
    assert stays.sampling_rate == 1 / 3600 and stays.units[-1] == "°C"


def test_official_hours_are_right_closed_from_the_first_entry(tmp_path):
    extra = ["01:08,GCS,3", "47:05,GCS,4"]  # both in the second and the last official hour
    records = {str(n): record(n, extra=extra) for n in range(100, 105)}
    stays = load(write_physionet2012(tmp_path / "raw", records), tmp_path, form="official")
    values = raw(stays)
    # first entry 00:07, last 47:07: 46 hours (00:07, 01:07] ... ; the entries at 47:07 are dropped
    assert stays.x.shape == (5, 20, 4, 10) and stays.lengths.tolist() == [12] * 5
    assert not np.isnan(values[:, :46]).any() and np.isnan(values[:, 46:]).all()
    expected = 30 + np.arange(1, 47) / 10
    assert np.allclose(values[0, :46, 0], expected, atol=1e-4)  # 00:07 itself is dropped, 01:07 is the first
    expected[1] = (expected[1] + 3) / 2
    assert np.allclose(values[0, :46, 1], expected, atol=1e-4)
    assert stays.splits["test"].tolist() == [4] and stays.groups[4] == 100  # the first fifth


def test_a_stay_ends_with_its_last_entry(tmp_path):
    records = {str(n): record(n, hours=47 if n else 41) for n in range(10)}
    stays = load(write_physionet2012(tmp_path / "raw", records), tmp_path)
    (short,) = np.flatnonzero(stays.groups == 0)
    assert stays.lengths[short] == 11 and (np.delete(stays.lengths, short) == 12).all()
    assert stays.mask[short, 10, :2].all() and not stays.mask[short, 10, 2:].any()
    assert (stays.x[~stays.mask] == 0).all()


def test_impossible_values():
    names = list(records.FEATURES)
    cases = [
        ("DiasABP", 0, None), ("DiasABP", 201, None), ("DiasABP", 200, 200), ("MAP", 0.5, None), ("GCS", 0, 0),
        ("RespRate", 0, None), ("SysABP", 250, 250), ("Temp", 37, 37), ("Temp", 98.6, 37), ("Temp", 3.7, 38.66),
        ("Temp", 1, None), ("Temp", 50, None), ("Temp", -1, None), ("HCT", -1, -1),
    ]  # fmt: skip
    value = np.array([case[1] for case in cases], dtype=float)
    expected = [np.nan if case[2] is None else case[2] for case in cases]
    cleaned = records.clean(value, np.array([names.index(case[0]) for case in cases]))
    np.testing.assert_allclose(cleaned, expected)


def test_short_and_sparse_stays_are_left_out(ten, tmp_path):
    (ten / "set-a" / "200.txt").write_text(record(200, hours=40))  # 39 hours
    lines = record(201).splitlines(keepends=True)
    (ten / "set-a" / "201.txt").write_text("".join(lines[:4] + lines[4::3]))  # a third of the values
    (ten / "set-a" / "202.txt").write_text(
        "".join(lines[:4]).replace("201", "202")
    )  # nothing but descriptors
    assert 200 not in (groups := load(ten, tmp_path).groups) and 201 not in groups and 202 not in groups


def test_unlabelled_stays_train_as_well(ten, tmp_path):
    (ten / "set-a" / "200.txt").write_text(record(200, hours=30))
    (ten / "set-a" / "201.txt").write_text(record(201, hours=20))  # shorter than a day
    with (ten / "Outcomes-a.txt").open("a") as file:
        file.writelines(f"{number},0,0,0,0,0\n" for number in (200, 201))
    stays, plain = load(ten, tmp_path, unlabelled=True), load(ten, tmp_path)
    assert stays.groups[stays.splits["unlabelled"]].tolist() == [200]
    assert stays.training_rows.tolist() == [*stays.splits["train"], *stays.splits["unlabelled"]]
    assert plain.training_rows.tolist() == plain.splits["train"].tolist() and "unlabelled" not in plain.splits
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(stays.split(split).x, plain.split(split).x)


def test_packed_and_unpacked_are_the_same(ten, tmp_path):
    unpacked = load(ten, tmp_path)
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "Outcomes-a.txt").write_bytes((ten / "Outcomes-a.txt").read_bytes())
    with tarfile.open(packed / "set-a.tar.gz", "w:gz") as archive:
        archive.add(ten / "set-a", "set-a")
    assert load(packed, tmp_path).fingerprint == unpacked.fingerprint
    assert len(list((tmp_path / "cache").glob("physionet2012-*"))) == 1  # and share the cache


def test_refused(ten, tmp_path, recwarn):
    def refused(kind, message):
        with pytest.raises(kind, match=message):
            physionet2012.load(ten, tmp_path / "cache")

    with pytest.raises(FileNotFoundError, match=r"no folder .*unbraid data fetch physionet2012"):
        physionet2012.load(cache=tmp_path)
    with pytest.raises(ValueError, match="form: is 'offical'"):
        physionet2012.load(ten, tmp_path, form="offical")
    path = ten / "set-a" / "103.txt"
    whole = path.read_text()
    path.write_text(whole + "47:30,GCS,high\n")
    refused(ValueError, r"103\.txt, line 485: '47:30,GCS,high' is not time,parameter,value")
    path.write_text(whole + "47:30,GCS\n")
    refused(ValueError, r"103\.txt, line 485")
    path.write_text(whole + "4730,GCS,3\n")
    refused(ValueError, "'4730' is no time; it must be HH:MM")
    path.write_text(whole.replace("ICUType,4", "ICUType,7"))
    refused(ValueError, r"103\.txt: has no RecordID, or no ICUType from 1 to 4")
    path.write_text(whole)
    outcomes = (ten / "Outcomes-a.txt").read_text()
    (ten / "Outcomes-a.txt").write_text("\n".join(outcomes.splitlines()[:-2]) + "\n")
    refused(ValueError, r"no In-hospital_death of 0 or 1 for record 108 \(2 of the 10 stays\)")
    (ten / "Outcomes-a.txt").write_text(outcomes.replace("In-hospital_death", "In_hospital_death"))
    refused(ValueError, "no column 'In-hospital_death'; did you mean 'In_hospital_death'")
    (ten / "Outcomes-a.txt").unlink()
    refused(FileNotFoundError, r"no file .*Outcomes-a\.txt")
    (ten / "Outcomes-a.txt").write_text(outcomes)
    (ten / "set-a.tar.gz").write_bytes(b"no archive")
    refused(ValueError, r"set-a\.tar\.gz is damaged")


def test_fetch(ten, tmp_path, serve, monkeypatch):
    with tarfile.open(ten / "set-a.tar.gz", "w:gz") as archive:
        archive.add(ten / "set-a", "set-a")
    hashes = {name: hashlib.sha256((ten / name).read_bytes()).hexdigest() for name in physionet2012.FILES}
    monkeypatch.setattr(physionet2012, "FILES", hashes)
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    with serve(ten) as (address, asked):
        monkeypatch.setattr(physionet2012, "BASE_URL", address)
        folder = data.fetch("physionet2012")
        assert folder == tmp_path / "cache" / "downloads" / "physionet2012"
        assert data.fetch("physionet2012") == folder and len(asked) == 2  # what is whole is kept
        with pytest.warns(UserWarning, match="not the published ones"):
            assert len(data.load("physionet2012")) == 10
        monkeypatch.setattr(physionet2012, "FILES", {"Outcomes-a.txt": "0" * 64})
        with pytest.raises(ValueError, match=r"Outcomes-a\.txt: .* is not the published file"):
            physionet2012.fetch(tmp_path / "other")
        monkeypatch.setattr(physionet2012, "BASE_URL", address + "/nowhere")
        with pytest.raises(ConnectionError, match=r"cannot download .*--data\.root"):
            physionet2012.fetch(tmp_path / "third")


@pytest.fixture(scope="module")
def stays():
    files = physionet2012._read_files(ROOT)
    return records.read_records({n: text for n, text in files.items() if n != "Outcomes-a.txt"})


@pytest.fixture(scope="module")
def real(tmp_path_factory, stays):
    """Both forms of the published set; of the first, the seconds of processor time that it took."""
    cache = tmp_path_factory.mktemp("cache")
    start = time.process_time()
    official = data.load("physionet2012", ROOT, cache, form="official")
    seconds = time.process_time() - start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            physionet2012, "read_records", lambda records: stays
        )  # read once more would take as long
        corrected = data.load("physionet2012", ROOT, cache, form="corrected")
    return {"official": official, "corrected": corrected}, seconds


@pytest.mark.real_data
class TestRealStays:
    def test_the_files_are_the_published_ones_and_quickly_prepared(self, real, recwarn):
        made, seconds = real
        assert not [w for w in recwarn.list if "published" in str(w.message)]
        assert seconds < 20
        assert made["official"].fingerprint == "d1bd3a7758e8491f"
        assert made["corrected"].fingerprint == "011d9d4e3f50c27d"

    def test_hours_and_what_is_left_out(self, stays):
        hours = records.official_hours(stays)
        assert len(stays.record) == 4000
        assert stays.record[stays.first < 0].tolist() == [140501, 140936, 141264]
        span = stays.last - stays.first
        assert (span[stays.first >= 0] == 0).sum() == 4  # a single time stamp
        counts = np.array([len(rows) for rows in hours])
        assert (counts[stays.first >= 0] < 40).sum() == 94
        assert sum(np.isnan(rows).mean() > 0.6 for rows in hours if len(rows) >= 40) == 2137
        kept = physionet2012._kept(hours, 40, 0.6)
        assert len(kept) == 1766
        assert (counts[kept].min(), np.median(counts[kept]), counts[kept].max()) == (40, 46, 47)
        assert round(np.isnan(np.concatenate(hours)).mean(), 3) == 0.608
        values = np.concatenate([hours[row] for row in kept])
        assert round(np.isnan(values).mean(), 3) == 0.544
        assert (100 * np.isnan(values).mean(0)).round(1).tolist() == [
            38.6, 64.4, 91.5, 38.7, 52.6, 53.0, 52.6, 57.4, 38.6, 56.6
        ]  # fmt: skip
        assert round((np.isnan(values).sum(1) < 7).mean(), 2) == 0.85

    def test_official_counts(self, real):
        official = real[0]["official"]
        assert official.x.shape == (1766, 20, 4, 10)
        assert {name: len(rows) for name, rows in official.splits.items()} == {
            "train": 1130,
            "validation": 283,
            "test": 353,
        }
        assert round(1 - official.mask.mean(), 3) == 0.739
        assert round(1 - official.mask[:, :15].mean(), 3) == 0.652
        test, pool = official.split("test"), np.setdiff1d(np.arange(1766), official.splits["test"])
        death, icu = (official.labels[name].values for name in ("death", "icu_type"))
        assert (test.labels["death"].values.sum(), death[pool].sum()) == (38, 175)
        assert np.bincount(test.labels["icu_type"].values).tolist() == [37, 97, 106, 113]
        assert np.bincount(icu[pool]).tolist() == [138, 353, 425, 497]
        assert test.groups.max() < official.groups[pool].min()

    def test_corrected_counts(self, real):
        corrected = real[0]["corrected"]
        assert corrected.x.shape == (1766, 12, 4, 10)
        assert set(corrected.groups) == set(real[0]["official"].groups)
        death, icu = (corrected.labels[name].values for name in ("death", "icu_type"))
        shares = [np.bincount(4 * death[rows] + icu[rows]) / len(rows) for rows in corrected.splits.values()]
        assert np.abs(np.array(shares) - np.bincount(4 * death + icu) / 1766).max() < 0.01
        assert [len(rows) for rows in corrected.splits.values()] == [1129, 283, 354]
        assert set(corrected.lengths) == {11, 12}

    def test_unlabelled_stays(self, real, tmp_path):
        stays, corrected = physionet2012.load(ROOT, tmp_path, unlabelled=True), real[0]["corrected"]
        assert len(stays.splits["unlabelled"]) == 2161
        np.testing.assert_array_equal(stays.split("test").x, corrected.split("test").x)

    @pytest.mark.parametrize("form", ["corrected", "official"])
    def test_scaling_is_that_of_the_train_split(self, real, form):
        train = real[0][form].split("train")
        for feature in range(10):
            seen = train.x[..., feature][train.mask[..., feature]].astype(float)
            assert abs(seen.mean()) < 1e-5 and abs(seen.std() - 1) < 1e-5

    def test_every_value_of_one_stay_by_hand(self, real):
        """Record 132540 read line by line, independently of the loader."""
        files = physionet2012._read_files(ROOT)
        hours = {}
        for line in files["132540.txt"].decode().splitlines()[1:]:
            clock, name, value = line.split(",")
            if name in ("GCS", "HCT", "NISysABP"):  # cleaned by a lower bound at most
                place = (int(clock[:2]), list(records.FEATURES).index(name))
                hours.setdefault(place, []).append(float(value))
        corrected = real[0]["corrected"]
        (row,) = np.flatnonzero(corrected.groups == 132540)
        seen = raw(corrected.take(np.array([row])))[0]
        expected = np.full((48, 10), np.nan)
        for (hour, feature), values in hours.items():
            if hour < 48:
                expected[hour, feature] = np.mean(
                    [v for v in values if feature in (1, 2) or v >= 1] or np.nan
                )
        places = [1, 2, 6]
        np.testing.assert_allclose(seen[:, places], expected[:, places], rtol=1e-5)
