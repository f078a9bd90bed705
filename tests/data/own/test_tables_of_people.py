"""Tables as people have them: each is read right, or refused with the fix. Tests are named after the cases of issue 19."""

import gzip
import warnings

import numpy as np
import pandas as pd
import pytest

from unbraid.data.formats import text_files
from unbraid.data.load import load
from unbraid.data.own.tables import load_table, read_series
from unbraid.remarks import Remark

HOURS, COUNT = 60, 4


def table(hours=HOURS, count=COUNT, freq="1h"):
    """Patients with a heart rate and a temperature; the first of them is p0."""
    random = np.random.default_rng(0)
    stamps = pd.date_range("2024-01-01 00:00", periods=hours, freq=freq)
    parts = [
        pd.DataFrame(
            {
                "id": f"p{number}",
                "time": stamps.strftime("%Y-%m-%d %H:%M"),
                "heart": random.normal(70, 5, hours).round(2),
                "temp": random.normal(36.5, 0.1, hours).round(2),
            }
        )
        for number in range(count)
    ]
    return pd.concat(parts, ignore_index=True)


def read(source, **options):
    """Names, sequences, and everything that was said."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        names, series = read_series(source, **{"window": 12, **options})
    assert all(issubclass(warning.category, Remark) for warning in caught), [str(w.message) for w in caught]
    return names, series, [str(warning.message) for warning in caught]


def same_as_table(source, **options):
    """Whether a source gives the sequences of `table()`; returns what was said."""
    names, series, said = read(source, **options)
    expected_names, expected, nothing = read(table())
    assert names == expected_names and not nothing
    assert series.feature_names == ("heart", "temp") and series.sampling_rate == expected.sampling_rate
    np.testing.assert_array_equal(series.x, expected.x)
    np.testing.assert_array_equal(series.observed(), expected.observed())
    return said


def refused(source, *parts, **options):
    """Assert that a source is refused in one line with all these parts."""
    with pytest.raises(ValueError) as error, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_series(source, **{"window": 12, **options})
    for part in parts:
        assert part in str(error.value), str(error.value)
    assert "\n" not in str(error.value)


def written(tmp_path, text, name="a.csv", encoding="utf-8"):
    (tmp_path / name).write_bytes(text.encode(encoding))
    return tmp_path / name


def csv(frame=None, **options):
    return (table() if frame is None else frame).to_csv(index=False, **options)


# ---- rows and columns -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [True, False])
def test_case_25_trailing_comma(tmp_path, ids):
    frame = table() if ids else table().assign(id=lambda f: f.id.str[1:], time=lambda f: f.index % HOURS)
    header, *rows = csv(frame).splitlines()
    path = written(tmp_path, "\n".join([header, *(row + "," for row in rows)]))
    refused(path, "line 2: has 5 fields; the header has 4", "remove the ',' at the end of the rows")
    both = written(tmp_path, "\n".join(line + "," for line in csv().splitlines()), "both.csv")
    assert same_as_table(both) == []


def test_case_47_ragged_lines(tmp_path):
    lines = csv().splitlines()
    for change, found in ((",1,2", 6), (None, 3)):
        row = lines[10] + change if change else lines[10].rpartition(",")[0]
        for end in ("", "\n\n"):
            path = written(tmp_path, "\n".join([*lines[:10], row, *lines[11:]]) + end)
            refused(path, f"line 11: has {found} fields; the header has 4 (id, time, heart, temp)")
    head = written(tmp_path, "\n".join(["# logger 3.2", "# site, north", *lines]))
    assert same_as_table(head) == ["a.csv: left out 2 lines before the header that begin with #"]
    refused(
        written(tmp_path, "\n".join([lines[0], "-,date,bpm,C", *lines[1:]])), "line 2", "'date' is no time"
    )
    refused(
        written(tmp_path, "\n".join([*lines, "Total,,70,36"])), f"line {len(lines) + 1}", "'time' is empty"
    )
    quoted = table().assign(id=lambda f: '"' + f.id + '"')
    names, _, _ = read(written(tmp_path, csv(quoted)))
    assert sorted(names) == [f'"p{number}"' for number in range(COUNT)]
    comma = table().assign(id=lambda f: f.id + ",\nward")  # a separator and a line's end inside quotes
    names, _, _ = read(written(tmp_path, csv(comma)))
    assert sorted(names) == [f"p{number},\nward" for number in range(COUNT)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_case_30_semicolon_comma(tmp_path, separator, decimal):
    path = written(tmp_path, csv(sep=separator, decimal=decimal))
    expected = ["a.csv: numbers are read with a decimal comma"] if decimal == "," else []
    assert same_as_table(path) == expected
    excel = written(tmp_path, f"sep={separator}\r\n" + csv(sep=separator, decimal=decimal))
    assert same_as_table(excel) == expected


def test_case_30_a_comma_that_may_group_digits(tmp_path):
    frame = table().assign(heart="1,234", temp="2,500")
    refused(written(tmp_path, csv(frame)), "is '1,234' a decimal comma", "decimal=','")
    with pytest.warns(Remark, match="decimal comma"):
        _, series = read_series(written(tmp_path, csv(frame)), window=12, decimal=",")
    np.testing.assert_allclose(series.scaling.mean, [1.234, 2.5])
    refused(written(tmp_path, csv(frame)), "'1,234' is no number", decimal=".")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_case_30_encodings(tmp_path, encoding):
    frame = table().rename(columns={"temp": "Körper"})
    _, series, _ = read(written(tmp_path, csv(frame), encoding=encoding))
    assert series.feature_names == ("heart", "Körper")


@pytest.mark.parametrize("far", [False, True])
def test_case_30_another_encoding_is_named(tmp_path, far):
    frame = table(hours=3000 if far else HOURS)
    frame.loc[len(frame) - 1, "id"] = "pätient"
    refused(
        written(tmp_path, csv(frame), encoding="latin-1"), "a.csv is not written in UTF-8", "save it as UTF-8"
    )


def test_case_26_index_column(tmp_path):
    left_out = ["a.csv: left out 1 column without a name, such as a row number"]
    path = written(tmp_path, table().to_csv())
    assert same_as_table(path) == left_out
    again = pd.read_csv(path)  # the column is called Unnamed: 0 here
    assert same_as_table(written(tmp_path, again.to_csv(index=False))) == left_out
    assert same_as_table(again) == ["table: left out 1 column without a name, such as a row number"]


def test_case_44_double_column(tmp_path):
    path = written(tmp_path, csv().replace("temp", "heart", 1))
    refused(path, "a.csv has two columns 'heart'; rename one")
    refused(written(tmp_path, csv().replace("temp", "heart ", 1)), "a.csv has two columns 'heart'")
    frame = table()
    refused(frame.set_axis(["id", "time", "heart", "heart"], axis=1), "table has two columns 'heart'")


# ---- ids and names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", ["p0 ", " p0", "p0\t", "p0\u00a0"])
def test_case_42_blanks(tmp_path, blank):
    frame = table()
    frame.loc[1:9:2, "id"] = blank
    for source in (written(tmp_path, csv(frame)), frame):
        (said,) = same_as_table(source)
        assert "removed blanks around 5 fields" in said
    (said,) = same_as_table(written(tmp_path, csv().replace("id,time,heart,temp", "id, time,heart ,temp")))
    assert "removed blanks around names of columns" in said


def test_case_42_capitals_are_other_sequences_and_said():
    frame = table()
    frame.loc[frame.id == "p1", "id"] = "P0"
    names, _, said = read(frame)
    assert {"p0", "P0"} < set(names) and "differ from another only by capitals" in said[0]


@pytest.mark.parametrize("first", ["1", "1.0", 1, 1.0])
@pytest.mark.parametrize("second", ["1", "1.0", 1, 1.0])
def test_case_36_number_ids(tmp_path, first, second):
    ids = [type(first)(str(n) + ("" if isinstance(first, int) else str(first)[1:])) for n in range(COUNT)]
    others = [
        type(second)(str(n) + ("" if isinstance(second, int) else str(second)[1:])) for n in range(COUNT)
    ]
    frame = table().assign(id=np.repeat(np.array(ids, dtype=object), HOURS))
    outcomes = pd.DataFrame({"id": np.array(others, dtype=object), "died": [0, 1, 0, 1]})
    names, series, said = read(frame, outcomes=outcomes, static_labels=["died"])
    assert sorted(names) == ["0", "1", "2", "3"] and not said
    died = series.labels["died"]
    assert [died.classes[died.values[names.index(str(n))]] for n in range(COUNT)] == ["0", "1", "0", "1"]
    files = written(tmp_path, csv(frame)), written(tmp_path, csv(outcomes), "b.csv")
    assert read(files[0], outcomes=files[1], static_labels=["died"])[0] == names


def test_case_36_ids_written_in_two_ways_are_refused():
    frame = table().assign(id=np.repeat(["1", "1.0", "2", "a"], HOURS))
    refused(frame, "holds '1' and '1.0'", "in one way")
    versions = table().assign(id=np.repeat(["1.0", "1.1", "2.0", "2.1"], HOURS))
    assert sorted(read(versions)[0]) == ["1.0", "1.1", "2.0", "2.1"]


# ---- times ----------------------------------------------------------------------------------------------


def epochs(unit):
    seconds = (pd.to_datetime(table().time) - pd.Timestamp(0)).dt.total_seconds().astype(np.int64)
    return table().assign(time=seconds * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_case_29_epoch_milliseconds(tmp_path, unit):
    path = written(tmp_path, csv(epochs(unit)))
    for source in (path, epochs(unit)):
        assert same_as_table(source, time_format=unit) == []
        refused(source, "holds numbers; give their unit", f"they seem to be {unit} since 1970")
        for other in {"s", "ms", "us", "ns", "h"} - {unit}:
            refused(
                source, f"{unit} since 1970 and not {other}; pass time_format='{unit}'", time_format=other
            )


def test_case_29_numbers_from_zero_are_not_epochs():
    frame = table().assign(time=lambda f: 250 * (f.index % HOURS))
    assert read(frame, time_format="ms")[1].sampling_rate == 4


@pytest.mark.parametrize("pattern", ["%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"])
def test_case_28_compact_dates(tmp_path, pattern):
    frame = table(freq="1D" if pattern == "%Y%m%d" else "1h")
    expected = read(frame)[1]
    texts = frame.assign(time=pd.to_datetime(frame.time).dt.strftime(pattern))
    for source in (texts, texts.assign(time=texts.time.astype(np.int64)), written(tmp_path, csv(texts))):
        _, series, said = read(source)
        assert len(said) == 1 and f"are read as {pattern}" in said[0]
        np.testing.assert_array_equal(series.times, expected.times)
        _, series, said = read(source, time_format=pattern)
        assert said == []
        np.testing.assert_array_equal(series.x, expected.x)


def test_case_35_elapsed_hh_mm(tmp_path):
    minutes = 67 * np.tile(np.arange(HOURS), COUNT)
    frame = table().assign(time=[f"{m // 60:02}:{m % 60:02}" for m in minutes])
    refused(written(tmp_path, csv(frame)), "'00:00' is no time", "pass time_format='elapsed'")
    numbers = read(table().assign(time=minutes), time_format="min")[1]
    with_days = [f"{m // 1440} days {m // 60 % 24:02}:{m % 60:02}:00" for m in minutes]
    deltas = pd.to_timedelta(minutes, unit="min")
    for times in (frame.time, frame.time + ":00", with_days, deltas):
        _, series, said = read(table().assign(time=times), time_format="elapsed")
        assert said == [] and series.times is None and series.sampling_rate == pytest.approx(1 / (67 * 60))
        np.testing.assert_array_equal(series.x, numbers.x)
    refused(frame.assign(time="1:75"), "'1:75' is no time since a start", time_format="elapsed")


@pytest.mark.parametrize(
    ("freq", "step"), [("1D", "1D"), ("15min", "15min"), ("2s", "2s"), ("100ms", "100ms")]
)
def test_case_34_daily(freq, step):
    frame = table().assign(time=np.tile(pd.date_range("2024-01-01", periods=HOURS, freq=freq), COUNT))
    _, series, said = read(frame)
    assert said == [] and series.observed().all()
    assert series.sampling_rate == pytest.approx(1 / pd.Timedelta(step).total_seconds())
    refused(
        frame,
        "of the steps of",
        f"pass step='{step}'",
        step=f"{pd.Timedelta(step) // pd.Timedelta('1us') // 20}us",
    )


def test_case_34_monthly_and_irregular():
    frame = table().assign(time=np.tile(pd.date_range("2020-01-01", periods=HOURS, freq="MS"), COUNT))
    _, series, said = read(frame)
    assert series.sampling_rate == pytest.approx(1 / pd.Timedelta("31D").total_seconds())
    assert (
        "a step is 31D, the usual time" in said[0] and "share a step with another and are averaged" in said[0]
    )
    refused(frame, "only 0.1% of the steps of 1h have a row", "pass step='31D'", step="1h")
    gaps = np.random.default_rng(0).uniform(20, 40, HOURS)
    irregular = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum(gaps), unit="min")
    assert read(table().assign(time=np.tile(irregular, COUNT)))[1].sampling_rate == pytest.approx(1 / 1800)
    sparse = table().assign(time=np.tile(pd.date_range("2024-01-01", periods=HOURS, freq="4h"), COUNT))
    assert "only 25" in read(sparse, step="1h")[2][0]


def test_case_31_summer_time(tmp_path):
    aware = pd.date_range("2023-10-28", periods=HOURS, freq="1h", tz="Europe/Berlin")
    local = table().assign(time=np.tile(aware.strftime("%Y-%m-%d %H:%M"), COUNT))
    expected = table().assign(time=np.tile(aware, COUNT))
    refused(local, "if the clocks were set back in the night of 2023-10-29, pass time_zone")
    _, series, said = read(written(tmp_path, csv(local)), time_zone="Europe/Berlin")
    assert said == [] and series.x.size == 2 * COUNT * HOURS and series.mask is None  # no hour is lost
    np.testing.assert_array_equal(series.times, read(expected)[1].times)
    spring = pd.date_range("2024-03-30", periods=HOURS, freq="1h", tz="Europe/Berlin")
    forward = table().assign(time=np.tile(spring.strftime("%Y-%m-%d %H:%M"), COUNT))
    assert read(forward, time_zone="Europe/Berlin")[1].observed().all()
    refused(local, "time_zone: 'Mars' is not known", time_zone="Mars")
    once = pd.DataFrame({"time": ["2024-03-31 02:30"]}).time[0]
    refused(
        local.assign(time=lambda f: f.time.where(f.index != 3, once)),
        "time_zone: table",
        time_zone="Europe/Berlin",
    )
    named = local.assign(time=local.time + " CEST")
    refused(named, "is no time", "write the offset (+02:00) instead of the name of the zone")


# ---- missing values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("sentinel", ["-999", "-999.0", "-9999", "99999", "-1", "999"])
def test_case_45_sentinels(tmp_path, sentinel):
    frame = table().astype({"temp": object})
    frame.loc[5:20, "temp"] = sentinel
    empty = table()
    empty.loc[5:20, "temp"] = np.nan
    expected = read(empty)[1]
    for source in (written(tmp_path, csv(frame)), frame, frame.astype({"temp": float})):
        refused(source, "column 'temp'", "stands 16 times, far from all other values", "pass missing=['")
        for missing in ([sentinel], sentinel, [f"{float(sentinel):g}", "?"]):
            _, series, said = read(source, missing=missing)
            np.testing.assert_array_equal(series.x, expected.x)
            assert said == []
        assert not np.array_equal(read(source, missing=[])[1].x, expected.x)
        assert "is learned as a value unless" in read(source, missing=["?"])[2][0]


@pytest.mark.parametrize("text", ["?", "-", "#DIV/0!", "missing"])
def test_case_45_texts(tmp_path, text):
    frame = table().astype({"temp": object})
    frame.loc[5:20, "temp"] = text
    path = written(tmp_path, csv(frame))
    refused(path, "line 7, column 'temp'", f"'{text}' is no number", "name it in `missing`")
    empty = table()
    empty.loc[5:20, "temp"] = np.nan
    for source in (path, frame):
        np.testing.assert_array_equal(read(source, missing=[text])[1].x, read(empty)[1].x)
    blank = written(tmp_path, csv(frame).replace(text, " "))
    np.testing.assert_array_equal(read(blank)[1].x, read(empty)[1].x)


def test_case_45_values_that_only_seem_missing_are_kept():
    random = np.random.default_rng(0)
    wide = table().assign(
        heart=random.integers(-1000, 1000, HOURS * COUNT), temp=random.integers(-1, 3, HOURS * COUNT)
    )
    assert read(wide)[2] == []


# ---- other files ----------------------------------------------------------------------------------------


def test_case_46_other_table_files(tmp_path):
    frame = table()
    sources = {}
    for name, separator in (("a.tsv", "\t"), ("b.CSV", ","), ("c.Csv", ";")):
        sources[name] = written(tmp_path, csv(sep=separator), name)
    for name, separator in (("d.csv.gz", ","), ("e.tsv.gz", "\t")):
        (tmp_path / name).write_bytes(gzip.compress(csv(sep=separator).encode()))
        sources[name] = tmp_path / name
    frame.to_parquet(tmp_path / "f.parquet")
    frame.set_index("id").to_parquet(tmp_path / "g.parquet")
    frame.set_index(["id", "time"]).to_parquet(tmp_path / "h.pq")
    frame.astype({"id": "category"}).to_feather(tmp_path / "i.feather")
    for name in ("f.parquet", "g.parquet", "h.pq", "i.feather"):
        sources[name] = tmp_path / name
    for source in sources.values():
        assert same_as_table(source) == []
    expected = load_table(frame, window=12)
    for source in sources.values():
        assert load(source, window=12, cache=tmp_path / "cache").fingerprint == expected.fingerprint
    assert same_as_table(frame.set_index("time")) == []
    assert same_as_table(frame.set_index(["time", "id"])) == []
    assert same_as_table(frame.rename_axis("row")) == ["table: left out the index row"]
    for name, hint in (("a.xlsx", "save the sheet as CSV"), ("a.txt", "renamed to .csv")):
        refused(written(tmp_path, "x", name), name, hint)
        with pytest.raises(ValueError, match=f"{name} is one file of no kind .*{hint}"):
            load(tmp_path / name)
    refused(
        frame.T.set_axis(pd.MultiIndex.from_product([["a"], frame.index]), axis=1),
        "columns with several levels",
    )
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(csv().encode())[:500])
    refused(tmp_path / "cut.csv.gz", "cut.csv.gz cannot be read")


def test_case_37_one_long_series(tmp_path):
    long = table(hours=10 * 24, count=1).drop(columns="id").rename(columns={"time": "date"})
    path = written(tmp_path, csv(long), "etth.csv")
    refused(path, "etth.csv has no column 'id'", "for one long series pass id=None", "windows", time="date")
    refused(path, "windows: with id=None", time="date", id=None)
    names, series, said = read(path, time="date", id=None, windows=2)
    assert said == [] and series.x.shape == (10, 2, 12, 2)
    assert sorted(names, key=lambda name: int(name[5:])) == [f"etth#{piece}" for piece in range(10)]
    starts = np.array(
        [np.datetime64("2024-01-01") + 24 * int(name[5:]) * np.timedelta64(1, "h") for name in names]
    )
    np.testing.assert_array_equal(series.times[:, 0], starts)
    assert {split: len(rows) for split, rows in series.splits.items()} == {
        "train": 8,
        "validation": 1,
        "test": 1,
    }


def test_one_patient_without_a_measure_is_encoded():
    frame = table()
    trained = load_table(frame, window=12)
    one = frame[frame.id == "p1"].assign(temp=np.nan)
    long = one.drop(columns="temp").melt(["id", "time"], ["heart"], "what", "much")
    options = {"features": ["heart", "temp"], "scaling": trained.scaling, "step": "1h"}
    for source, form in ((one, {}), (long, {"variable": "what", "value": "much"})):
        names, series, said = read(source, **options, **form)
        assert names == ["p1"] and said[-1].startswith("features: temp: no value in table; masked")
        assert series.mask[..., 0].all() and not series.mask[..., 1].any() and (series.x[..., 1] == 0).all()
    refused(one, "'temp' has no value", features=["heart", "temp"])


@pytest.mark.parametrize("lines", ["one", "many"])
def test_a_small_compressed_file_that_fills_the_memory_is_refused(tmp_path, monkeypatch, lines):
    monkeypatch.setattr(text_files, "UNPACKED", 10**7)
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"id,time,heart\n")
        row = b"a,1,2\n" if lines == "many" else b"1" * 6
        for _ in range(10):
            file.write(row * 2**18)
    assert path.stat().st_size < 40_000
    with pytest.raises(
        ValueError, match=r"bomb.csv.gz cannot be read .*(200 times its size|more than 4,194,304 characters)"
    ):
        load_table(path, time_format="h", cache=tmp_path / "cache")
