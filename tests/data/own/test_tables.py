"""Series of one's own: both forms of a table, what is made of it, and what is refused."""

import builtins

import numpy as np
import pandas as pd
import pytest

import unbraid.data.load as data
from unbraid.data.own.tables import load_table, read_series

DAY = 24


def wide(count=6, hours=72, seed=0):
    """Hourly rows of `count` patients: heart and pressure, ward (constant), oxygen (a target)."""
    random = np.random.default_rng(seed)
    parts = []
    for number in range(count):
        length = hours + 5 * number
        stamps = pd.date_range("2020-03-01 00:00", periods=length, freq="1h")
        heart = random.normal(70 + number, 5, length)
        parts.append(
            pd.DataFrame(
                {
                    "id": f"p{number}",
                    "time": stamps.strftime("%Y-%m-%d %H:%M"),
                    "heart": heart,
                    "pressure": random.normal(100, 10, length),
                    "ward": "north" if number % 2 else "south",
                    "oxygen": np.arange(length, dtype=float),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


OPTIONS = {"static_labels": ("ward",), "targets": ("oxygen",)}


def raw(series):
    """Values in their units, NaN where nothing was observed, `(N, steps, F)`."""
    mask = np.ones(series.x.shape, bool) if series.mask is None else series.mask
    values = np.where(mask, series.scaling.invert(series.x), np.nan)
    return values.reshape(len(series), -1, series.x.shape[-1])


def same(first, second):
    assert first.fingerprint == second.fingerprint
    return True


def test_wide_form():
    table = wide()
    names, series = read_series(table, units={"heart": "1/min"}, **OPTIONS)
    assert series.x.shape == (6, 5, DAY, 2) and series.x.dtype == np.float32  # the longest has 97 hours
    assert series.feature_names == ("heart", "pressure") and series.units == ("1/min", "")
    assert sorted(names) == [f"p{n}" for n in range(6)] and series.sampling_rate == pytest.approx(1 / 3600)
    for row, name in enumerate(names):
        rows = table[table.id == name]
        values = raw(series)[row]
        np.testing.assert_allclose(values[: len(rows)], rows[["heart", "pressure"]], rtol=1e-5)
        assert np.isnan(values[len(rows) :]).all() and (series.x[row][~series.mask[row]] == 0).all()
        assert series.lengths[row] == -(-len(rows) // DAY)
        assert series.labels["ward"].classes[series.labels["ward"].values[row]] == rows.ward.iloc[0]
        expected = rows.oxygen.to_numpy().copy()
        means = [expected[start : start + DAY].mean() for start in range(0, len(expected), DAY)]
        np.testing.assert_allclose(series.targets["oxygen"][row, : len(means)], means)
        assert np.isnan(series.targets["oxygen"][row, len(means) :]).all()
    assert series.times[0, :2].astype(str).tolist() == ["2020-03-01T00:00:00", "2020-03-02T00:00:00"]
    assert {split: len(rows) for split, rows in series.splits.items()} == {
        "train": 4,
        "validation": 1,
        "test": 1,
    }


def test_long_form_is_the_same():
    table = wide()
    columns = ["heart", "pressure", "oxygen"]
    long = table.melt(["id", "time", "ward"], columns, "what", "much")
    assert same(load_table(long, variable="what", value="much", **OPTIONS), load_table(table, **OPTIONS))
    chosen = load_table(long, variable="what", value="much", features=["pressure"], static_labels=["ward"])
    assert chosen.feature_names == ("pressure",)
    assert same(chosen, load_table(table, features="pressure", static_labels="ward"))


def test_files_are_the_same_and_prepared_once(tmp_path, monkeypatch):
    table = wide()
    table.to_csv(tmp_path / "vitals.csv", index=False)
    table.to_parquet(tmp_path / "vitals.parquet")
    cache = tmp_path / "cache"
    expected = load_table(table, name="vitals", **OPTIONS)
    for ending in ("csv", "parquet"):
        assert same(data.load(tmp_path / f"vitals.{ending}", cache=cache, **OPTIONS), expected)
    by_function = load_table(tmp_path / "vitals.csv", cache=cache, **OPTIONS)
    assert same(by_function, expected) and by_function.name == "vitals"
    monkeypatch.setattr(pd, "read_csv", lambda *_, **__: pytest.fail("the cache should have been used"))
    assert same(load_table(str(tmp_path / "vitals.csv"), cache=cache, **OPTIONS), expected)
    assert len(list(cache.glob("vitals-*"))) == 2


def test_the_order_of_rows_does_not_matter():
    table = wide()
    table.loc[::7, "time"] = table.loc[::7, "time"].str.replace(":00", ":20")
    shuffled = table.sample(frac=1, random_state=1)
    assert same(load_table(shuffled, step="2h", **OPTIONS), load_table(table, step="2h", **OPTIONS))


def test_irregular_stamps_are_binned():
    """[t, t + step), mean; steps begin on the clock, not at the first stamp; steps without rows are missing."""
    rows = [
        ("10:59", 1.0),
        ("11:00", 2.0),
        ("11:20", 4.0),
        ("11:59:59.9", 6.0),
        ("14:00", 8.0),
        ("15:30", None),
    ]
    table = pd.DataFrame(
        [(f"s{n}", f"2020-01-01 {clock}", value) for n in range(3) for clock, value in rows],
        columns=["id", "time", "a"],
    )
    series = load_table(table, step="1h", window=2)
    np.testing.assert_allclose(raw(series)[0, :, 0], [1, 4, np.nan, np.nan, 8, np.nan], rtol=1e-6)
    assert series.times[0].astype(str).tolist() == [f"2020-01-01T{hour}:00:00" for hour in (10, 12, 14)]
    assert series.mask[0, 1].tolist() == [[False], [False]] and (series.x[~series.mask] == 0).all()
    vectors = load_table(table, step="1h", window=1)
    assert (
        vectors.x.shape == (3, 6, 1)
        and vectors.mask.shape == (3, 6, 1)
        and same(series, load_table(table, step="1h", window=2))
    )


def test_scaling_learns_from_train_only():
    table = wide(12)
    series = load_table(table, features=["heart", "pressure"], seed=3)
    train = series.split("train")
    for feature in range(2):
        seen = train.x[..., feature][train.mask[..., feature]].astype(float)
        assert abs(seen.mean()) < 1e-5 and abs(seen.std() - 1) < 1e-5
    names, whole = read_series(table, features=["heart", "pressure"], seed=3)
    for split in ("validation", "test"):
        for row in whole.splits[split]:
            table.loc[table.id == names[row], "heart"] += 1000
    changed = load_table(table, features=["heart", "pressure"], seed=3)
    np.testing.assert_array_equal(changed.scaling.mean, series.scaling.mean)
    np.testing.assert_array_equal(changed.split("train").x, train.x)


def test_new_series_get_the_old_scaling():
    table = wide()
    trained = load_table(table, features=["heart", "pressure"])
    new = table[table.id.isin(["p4", "p1"])].assign(heart=lambda frame: frame.heart + 50)
    names, series = read_series(new, features=["heart", "pressure"], scaling=trained.scaling)
    assert names == ["p1", "p4"] and not series.splits
    rows = new[new.id == "p1"]
    np.testing.assert_allclose(raw(series)[0, : len(rows), 0], rows.heart, rtol=1e-5)
    assert series.x[..., 0][series.mask[..., 0]].mean() > 3
    with pytest.raises(ValueError, match="scaling: is for 2 features; the table has heart"):
        read_series(new, features=["heart"], scaling=trained.scaling)


def test_long_series_are_cut_and_their_pieces_stay_together():
    names, series = read_series(wide(hours=9 * DAY + 4), features=["heart"], windows=3)
    assert series.x.shape[:2] == (
        6 * 3 + 1,
        3,
    )  # p5 has 245 hours: a rest of two windows; the others a shorter one
    assert {name for name in names if name.startswith("p5")} == {"p5#0", "p5#1", "p5#2", "p5#3"}
    assert series.lengths[names.index("p5#3")] == 2 and series.lengths[names.index("p0#1")] == 3
    for rows in series.splits.values():
        inside = {names[row].split("#")[0] for row in rows}
        outside = {name.split("#")[0] for row, name in enumerate(names) if row not in rows}
        assert not inside & outside
    row = names.index("p2#1")
    assert series.times[row, 0] == np.datetime64("2020-03-04")


def test_groups_stay_together():
    table = wide(12).assign(clinic=lambda frame: frame.id.str[1:].astype(int) // 3)
    series = load_table(table, features=["heart"], groups="clinic")
    for rows in series.splits.values():
        others = np.setdiff1d(np.arange(12), rows)
        assert not set(series.groups[rows]) & set(series.groups[others])


def test_outcomes_of_a_second_table(tmp_path):
    outcomes = pd.DataFrame(
        {"id": [f"p{n}" for n in range(9)][::-1], "died": [0, 1, 0] * 3, "stay": [*range(8), None]}
    )
    table = wide().drop(columns=["ward", "oxygen"])
    names, series = read_series(table, outcomes=outcomes, static_labels=["died"], targets=["stay"])
    expected = outcomes.set_index("id")
    assert series.feature_names == ("heart", "pressure")
    for row, name in enumerate(names):
        assert series.labels["died"].classes[series.labels["died"].values[row]] == str(expected.died[name])
        np.testing.assert_equal(series.targets["stay"][row], expected.stay[name])
    assert np.isnan(series.targets["stay"][names.index("p0")])
    table.to_csv(tmp_path / "a.csv", index=False)
    outcomes.to_csv(tmp_path / "b.csv", index=False)
    options = {"outcomes": tmp_path / "b.csv", "static_labels": ["died"], "targets": ["stay"]}
    from_files = load_table(tmp_path / "a.csv", cache=tmp_path / "cache", name="table", **options)
    assert same(from_files, series)
    outcomes.assign(died=1).to_csv(tmp_path / "b.csv", index=False)
    changed = load_table(tmp_path / "a.csv", cache=tmp_path / "cache", name="table", **options)
    assert changed.labels["died"].classes == ("1",)  # the cache knows that the outcomes changed
    with pytest.raises(
        ValueError, match=r"outcomes: outcomes has nothing for sequence 'p4' \(2 of 6; it has 'p3'\)"
    ):
        read_series(table, outcomes=outcomes[outcomes.id < "p4"], static_labels=["died"])
    with pytest.raises(ValueError, match=r"outcomes: outcomes has nothing for sequence 'p0' \(1 of 6.*\)"):
        read_series(table, outcomes=outcomes, static_labels=["stay"])
    with pytest.raises(ValueError, match=r"row 9: has 'p3' a second time"):
        read_series(
            table, outcomes=pd.concat([outcomes, outcomes[outcomes.id == "p3"]]), static_labels=["died"]
        )


def test_ids_are_texts(tmp_path):
    table = wide().assign(id=lambda frame: "00" + frame.id.str[1:])
    outcomes = pd.DataFrame({"id": sorted(set(table.id)), "died": [0, 1, 0, 1, 0, 1]})
    table.to_csv(tmp_path / "a.csv", index=False)
    outcomes.to_csv(tmp_path / "b.csv", index=False)
    names, _ = read_series(
        tmp_path / "a.csv", features=["heart"], outcomes=tmp_path / "b.csv", static_labels=["died"]
    )
    assert sorted(names) == [f"00{n}" for n in range(6)]


def test_times_that_are_numbers_or_written_otherwise():
    table = wide()
    expected = load_table(table, features=["heart"])
    stamps = pd.to_datetime(table.time)
    german = load_table(
        table.assign(time=stamps.dt.strftime("%d.%m.%Y %H.%M")),
        features=["heart"],
        time_format="%d.%m.%Y %H.%M",
    )
    assert same(german, expected) and same(
        load_table(table.assign(time=stamps), features=["heart"]), expected
    )
    hours = (stamps - stamps.min()) / pd.Timedelta("1h")
    numbers = load_table(table.assign(time=hours), features=["heart"], time_format="h")
    assert numbers.times is None
    np.testing.assert_array_equal(numbers.x, expected.x)
    with pytest.raises(ValueError, match="time: column 'time' of table holds numbers; give their unit"):
        load_table(table.assign(time=hours), features=["heart"])


def test_time_zones():
    table = wide()
    stamps = pd.to_datetime(table.time)
    expected = load_table(table, features=["heart"])
    offsets = np.where(np.arange(len(table)) % 2, "+02:00", "-0500")
    hours = np.where(np.arange(len(table)) % 2, 2, -5)
    local = (stamps + pd.to_timedelta(hours, unit="h")).dt.strftime("%Y-%m-%dT%H:%M:%S") + offsets
    assert same(load_table(table.assign(time=local), features=["heart"]), expected)  # all have one: UTC
    aware = stamps.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    assert same(load_table(table.assign(time=aware), features=["heart"]), expected)
    mixed = local.where(table.index != 30, table.time)
    with pytest.raises(
        ValueError, match=r"row 30: '2020-03-02 06:00' has no time zone, but .*-0500' has one"
    ):
        load_table(table.assign(time=mixed), features=["heart"])


def test_constant_features_stay_zero_with_a_warning():
    table = wide().assign(pressure=0.1)
    with pytest.warns(UserWarning, match="constant in the training split, nothing to learn from: 'pressure'"):
        series = load_table(table, features=["heart", "pressure"])
    assert series.scaling.std[1] == 1 and np.abs(series.x[..., 1]).max() < 1e-6


def test_duplicates():
    table = wide()
    twice = pd.concat([table, table.iloc[[5]].assign(heart=table.heart[5] + 2)], ignore_index=True)
    with pytest.raises(
        ValueError,
        match=rf"table, row {len(table)}: has the same time of 'p0' as row 5 \(1 such rows\); .*mean",
    ):
        load_table(twice, features=["heart"])
    names, series = read_series(twice, features=["heart"], duplicates="mean")
    assert raw(series)[names.index("p0"), 5, 0] == pytest.approx(table.heart[5] + 1, rel=1e-5)
    long = twice.melt(["id", "time"], ["heart"], "what", "much")
    with pytest.raises(ValueError, match="has the same time and variable of 'p0' as row 5"):
        load_table(long, variable="what", value="much")


def test_what_cannot_be_used_is_refused_or_left_out():
    table = wide(8)
    table = table.drop(table[(table.id == "p3") & (table.index % 100 >= 0)].index[DAY:])
    with pytest.raises(
        ValueError, match=r"sequence 'p3' is not longer than one window of 24 steps.*\(1 of 8\)"
    ):
        load_table(table, features=["heart"])
    table.loc[table.id == "p5", "heart"] = np.nan
    with pytest.warns(UserWarning) as caught:
        names, _ = read_series(table, features=["heart"], unusable="leave_out")
    assert sorted(names) == ["p0", "p1", "p2", "p4", "p6", "p7"]
    said = " ".join(str(warning.message) for warning in caught)
    assert "'p3' is not longer" in said and "'p5' is without any observed value (1 of 8); left out" in said
    with pytest.raises(ValueError, match="sequence 'p5' is without any observed value"):
        load_table(table, features=["heart"], window=8)
    with pytest.raises(ValueError, match=r"window of 1000 steps, and two windows are needed \(8 of 8\)"):
        load_table(table, features=["heart"], window=1000)


def spoilt(tmp_path, line, column, value):
    """The table as a file, one of its fields changed."""
    table = wide().astype(object)
    table.loc[line - 2, column] = value
    table.to_csv(tmp_path / "vitals.csv", index=False)
    return tmp_path / "vitals.csv"


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("heart", "high", r"vitals\.csv, line 40, column 'heart': 'high' is no number; correct it"),
        ("heart", "70,5", r"line 40, column 'heart': '70,5' is no number"),
        ("heart", "inf", r"line 40, column 'heart': is infinite"),
        ("oxygen", "much", r"line 40, column 'oxygen': 'much' is no number"),
        ("time", "yesterday", r"line 40, column 'time': 'yesterday' is no time like 2016-07-01 00:00"),
        ("time", "01/02/2020", r"line 40, column 'time': '01/02/2020' is no time"),
        ("time", None, r"line 40: column 'time' is empty"),
        ("id", None, r"line 40: column 'id' is empty"),
        (
            "time",
            "2920-01-01 00:00",
            # pandas 2 has no times after 2262
            r"'p0' in vitals\.csv has 72 rows over \d+ steps of 1h; correct a stamp|line 40, column 'time': '2920.* is no time",
        ),
        ("ward", "west", r"line 40, column 'ward': 'west', but sequence 'p0' had 'south' before"),
    ],
)
def test_faults_are_named_by_line_and_column(tmp_path, column, value, message):
    with pytest.raises(ValueError, match=message):
        load_table(spoilt(tmp_path, 40, column, value), cache=tmp_path / "cache", **OPTIONS)
    assert not list((tmp_path / "cache").glob("vitals-*"))


def test_blank_lines_do_not_shift_the_lines(tmp_path):
    path = spoilt(tmp_path, 40, "heart", "high")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:10], "", *lines[10:], "", ""]) + "\n")
    with pytest.raises(ValueError, match="line 41, column 'heart': 'high' is no number"):
        load_table(path, **OPTIONS, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "Id"}, "id: table has no column 'Id'; did you mean 'id'"),
        ({"time": "stamp"}, "time: table has no column 'stamp'; there is heart, id"),
        ({"features": ["hart"]}, "features: table has no column 'hart'; did you mean 'heart'"),
        ({"features": ["heart", "heart"]}, "features: heart, heart names a column twice"),
        ({"static_labels": ["word"]}, "static_labels: table has no column 'word'; did you mean 'ward'"),
        ({"targets": ["oxigen"]}, "targets: table has no column 'oxigen'; did you mean 'oxygen'"),
        ({"groups": "wards"}, "groups: table has no column 'wards'; did you mean 'ward'"),
        (
            {"features": ["heart"], "units": {"hart": "1/min"}},
            "units: there is no feature 'hart'; did you mean 'heart'",
        ),
        (
            {},
            "column 'ward': 'south' is no number; .* name the column in `static_labels`; to leave it out, name the others in `features`",
        ),
        ({"variable": "ward"}, "variable, value: long form needs both"),
        ({"variable": "what", "value": "heart"}, "variable: table has no column 'what'"),
        (
            {"variable": "ward", "value": "heart", "features": ["nord"]},
            "measures no 'nord'; did you mean 'north'",
        ),
        ({"step": "hourly", "features": ["heart"]}, "step: 'hourly' is no length of time"),
        ({"step": "2", "features": ["heart"]}, "step: '2' has no unit; write it as 2h, 2min or 2D"),
        ({"step": "0h", "features": ["heart"]}, "step: '0h' is too short"),
        ({"window": 0}, "window: is 0"),
        ({"windows": 1}, "windows: is 1; a sequence needs at least 2"),
        ({"duplicates": "first"}, "duplicates: is 'first'; choose 'refuse' or 'mean'"),
        ({"unusable": "drop"}, "unusable: is 'drop'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        load_table(wide(), **options)


def test_wrong_tables(tmp_path):
    table = wide()
    with pytest.raises(ValueError, match="features: 'pressure' has no value in table; leave it out"):
        load_table(table.assign(pressure=np.nan), **OPTIONS)
    data = load_table(table, **OPTIONS)
    held = [data.groups[row] for split in ("validation", "test") for row in data.splits[split]]
    sparse = table.assign(pressure=table.pressure.where(table.id.isin([f"p{n}" for n in held])))
    with pytest.raises(ValueError, match="features: 'pressure' has no value in the training split"):
        load_table(sparse, **OPTIONS)
    with pytest.raises(
        ValueError, match=r"id: the table has 2 sequences .* Give each part of a long series an id"
    ):
        load_table(wide(2), **OPTIONS)
    with pytest.raises(ValueError, match="table has no rows"):
        load_table(table[:0], **OPTIONS)
    with pytest.raises(ValueError, match="table: is list; give a path or a pandas DataFrame"):
        load_table([1, 2])
    with pytest.raises(FileNotFoundError, match=r"table: there is no file .*none\.csv"):
        load_table(tmp_path / "none.csv", cache=tmp_path)
    (tmp_path / "a.xlsx").write_text("x")
    with pytest.raises(ValueError, match=r"must end in \.csv, .*\.parquet.* pandas.read_excel"):
        load_table(tmp_path / "a.xlsx", cache=tmp_path)
    for name, content in (
        ("empty.csv", b""),
        ("a.parquet", b"PAR1"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} cannot be read"):
            load_table(tmp_path / name, cache=tmp_path)


def test_without_pandas_the_extra_is_named(tmp_path, monkeypatch):
    wide().to_csv(tmp_path / "a.csv", index=False)
    real = builtins.__import__

    def without(name, *rest):
        if name == "pandas":
            raise ImportError("No module named 'pandas'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"needs the extra `series`"):
        load_table(tmp_path / "a.csv", cache=tmp_path / "cache")
