"""New recordings are read as the data of a trained model were, whatever their kind; padding changes no code."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import unbraid as ub
from unbraid.cli import main
from unbraid.cli.output import in_units
from unbraid.data.features import Features
from unbraid.generation import encode
from unbraid.inputs import open_corpus, read_one, read_parts
from unbraid.io import save_features
from unbraid.kinds import KINDS
from unbraid.machine import choose_precision
from unbraid.models.build import build_model
from unbraid.nn.folded import evaluation_precision
from unbraid.sources import READERS
from unbraid.training import Run
from unbraid.training.environment import write_environment

SMALL = {"static_size": 4, "dynamic_size": 4, "width": 4, "features": 8, "hidden": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folders of images of different lengths, 24 pixels wide."""
    folder = tmp_path_factory.mktemp("clips")
    random = np.random.default_rng(0)
    for name, steps in (("a", 4), ("b", 9), ("c", 6)):
        (folder / name).mkdir()
        for t in range(steps):
            pixels = random.integers(0, 256, (24, 24, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{t}.png")
    return folder


def made_run(tmp_path, observation, data):
    """A run as training leaves it, with weights that are not trained."""
    torch.manual_seed(0)
    model = build_model("dbse", observation, **SMALL).eval()
    return Run(tmp_path, model, {"data": data, "model": {"name": "dbse"}})


def test_every_kind_has_a_reader():
    assert set(READERS) == set(KINDS)


def test_folders_of_images_are_resized_and_cut_as_in_training(folder, tmp_path):
    run = made_run(tmp_path, (3, 16, 16), {"name": str(folder), "steps": 4, "every": 2})
    names, sequences = next(read_parts(open_corpus(str(folder), run)))
    assert names == ["a", "b", "c"]  # of 2, 5 and 3 frames: every second one
    assert sequences.x.shape == (3, 4, 3, 16, 16) and list(sequences.lengths) == [2, 4, 3]
    whole = read_one(str(folder / "b"), run)
    assert whole.x.shape == (1, 5, 3, 16, 16)
    np.testing.assert_array_equal(whole.x[0, :4], sequences.x[1])
    trained_on = ub.load(folder, size=16, every=2, steps=2, cache=tmp_path)
    assert any(np.array_equal(clip, sequences.x[0, :2]) for clip in trained_on.x)


def test_parts_hold_what_single_reading_gives_and_padding_changes_no_code(folder, tmp_path):
    run = made_run(tmp_path, (3, 16, 16), {"name": str(folder), "steps": 9})
    ((names, together),) = read_parts(open_corpus(str(folder), run))
    codes = encode(run.model, together)
    for row, name in enumerate(names):
        alone = read_one(str(folder / name), run)
        expected = encode(run.model, alone)
        torch.testing.assert_close(codes.static[row], expected.static[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            codes.dynamic[row, : alone.steps], expected.dynamic[0], rtol=1e-4, atol=1e-5
        )


def test_long_recordings_are_cut_into_clips(folder, tmp_path):
    run = made_run(tmp_path, (3, 16, 16), {"name": str(folder)})
    ((names, sequences),) = read_parts(open_corpus(str(folder), run, steps=3))
    assert names == ["a", "b#0", "b#1", "b#2", "c#0", "c#1"]
    assert sequences.x.shape[:2] == (6, 3)


def test_rows_of_arrays(tmp_path):
    x = np.random.default_rng(0).normal(size=(5, 4, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    run = made_run(tmp_path, (6,), {"name": str(tmp_path / "x.npy")})
    np.testing.assert_array_equal(read_one(f"{tmp_path}/x.npy:3", run).x, x[3:4])
    ((names, sequences),) = read_parts(open_corpus(f"{tmp_path}/x.npy", run))
    assert names == list("01234")
    np.testing.assert_array_equal(sequences.x, x)
    write_environment(tmp_path, {"data_fingerprint": ub.load(tmp_path / "x.npy").fingerprint})
    assert len(read_one("train:0", run)) == 1
    np.save(tmp_path / "x.npy", np.concatenate([x, x[:1]]))  # the data grew, so the splits are drawn anew
    with pytest.raises(
        ValueError, match=r"data: fingerprint .* differs from .*: files were added, removed or changed"
    ):
        read_one("test:0", run)


def test_what_cannot_be_read_is_refused_in_plain_words(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros((5, 4, 6), np.float32))
    frames = made_run(tmp_path, (3, 16, 16), {"name": str(folder)})
    series = made_run(tmp_path, (6,), {"name": "x.npy"})
    windows = made_run(tmp_path, (5, 6), {"name": "x.npy"})
    for call, error, message in (
        (lambda: read_one("x.npy", series, "a"), ValueError, "a: name a row of x.npy, as in x.npy:0"),
        (
            lambda: read_one("x.npy:5", series, "a"),
            ValueError,
            "a: x.npy has 5 sequences, 0 to 4; there is no 5",
        ),
        (lambda: read_one("x.npy:0", frames, "a"), ValueError, r"a: observations are \(6,\)"),
        (lambda: read_one("y.npy:0", frames, "a"), FileNotFoundError, "a: there is no file y.npy"),
        (lambda: read_one("y", frames, "a"), FileNotFoundError, "a: there is no file y; .* test:12"),
        (lambda: read_one(str(folder), frames, "a"), ValueError, "holds 3 sequences"),
        (
            lambda: list(read_parts(open_corpus(str(folder), series))),
            ValueError,
            "reads series; give a table",
        ),
        (
            lambda: list(read_parts(open_corpus(str(folder), windows))),
            ValueError,
            "reads series; give a table",
        ),
        (
            lambda: list(read_parts(open_corpus("sprits", frames))),
            FileNotFoundError,
            "did you mean 'sprites'",
        ),
    ):
        with pytest.raises(error, match=message):
            call()


# ---- tables, and arrays in the units of a table -----------------------------------------------------------


@pytest.fixture
def vitals(tmp_path):
    """A run on a table with options of its own, and new series: as a table, and as an array in the same units."""
    names, values = ["heart", "breath"], np.random.default_rng(0).normal((70, 16), (9, 2), (6, 12, 2))

    def write(file, values, columns):
        lines = [",".join(["who", "hour", *columns])]
        for who, hour in np.ndindex(6, 12):
            row = dict(zip(names, values[who, hour], strict=True))
            lines.append(",".join([f"p{who}", str(hour), *(str(row[name]) for name in columns)]))
        (tmp_path / file).write_text("\n".join(lines) + "\n")
        return tmp_path / file

    options = {"id": "who", "time": "hour", "time_format": "h", "window": 3}
    trained_on = ub.load(write("old.csv", values, names), **options, cache=tmp_path / "cache")
    new = write("new.csv", values[::-1] + 30, names[::-1])  # columns in another order
    raw = (values[::-1] + 30).reshape(6, 4, 3, 2).astype(np.float32)
    np.save(tmp_path / "new.npy", raw)
    run = made_run(tmp_path / "run", (3, 2), {"name": str(tmp_path / "old.csv"), **options})
    scaling = trained_on.scaling
    save_features(Features(tuple(names), None, scaling, trained_on.sampling_rate), run.folder)
    return run, new, tmp_path / "new.npy", scaling.apply(raw)


def test_a_row_of_a_table_is_read_as_the_whole_table_is(vitals):
    run, table, _, scaled = vitals
    ((names, whole),) = read_parts(open_corpus(str(table), run))
    assert names == [f"p{who}" for who in range(6)]
    np.testing.assert_allclose(whole.x, scaled, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(read_one(f"{table}:4", run).x, whole.x[4:5])
    for text, message in (
        (f"{table}", rf"a: name a row of {table}, as in {table}:0"),
        (f"{table}:6", r"a: .*new\.csv has 6 sequences, 0 to 5; there is no 6"),
    ):
        with pytest.raises(ValueError, match=message):
            read_one(text, run, "a")
    with pytest.raises(FileNotFoundError, match=r"a: there is no file .*other\.csv"):
        read_one(f"{table.with_name('other.csv')}:0", run, "a")


def test_a_table_that_is_written_otherwise_than_the_run_s_is_refused_with_the_run_s_options(vitals):
    run, table, _, _ = vitals
    table.write_text(table.read_text().replace("p0,0,", "p0,01/02/2020,"))
    with pytest.raises(
        ValueError, match=r"input: .*01/02/2020.*time_format=.h..*write new\.csv like that table"
    ):
        open_corpus(str(table), run)


def test_an_array_is_scaled_as_the_run_s_table_was(vitals):
    run, _, array, scaled = vitals
    ((_, whole),) = read_parts(open_corpus(str(array), run))
    np.testing.assert_allclose(whole.x, scaled, rtol=1e-6)
    np.testing.assert_array_equal(read_one(f"{array}:4", run).x, whole.x[4:5])


def test_values_are_written_in_the_units_in_which_they_are_read(vitals):
    run, _, array, scaled = vitals
    np.testing.assert_allclose(in_units(run, scaled), np.load(array), rtol=1e-5)
    frames = made_run(array.parent / "frames", (3, 16, 16), {"name": "x.npy"})
    assert in_units(frames, scaled) is scaled


def test_a_row_of_another_file_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    run = made_run(tmp_path, (6,), {"name": "x.npy"})
    with pytest.raises(ValueError, match=r"a: .*notes\.txt has no numbered rows; .*\.npy, .*\.csv"):
        read_one(f"{tmp_path}/notes.txt:0", run, "a")


# ---- commands on padded sequences -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def padded(tmp_path_factory):
    """A run on an array whose clips have different lengths, and the array."""
    folder = tmp_path_factory.mktemp("padded")
    random = np.random.default_rng(1)
    x = random.integers(0, 256, (30, 6, 3, 16, 16), np.uint8)
    lengths = random.integers(3, 7, 30)
    lengths[:2] = 3, 5
    np.savez(folder / "x.npz", x=x, lengths=lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNBRAID_CACHE", str(folder / "cache"))
        config = ub.resolve_recipe(
            "own/dbse",
            {f"model.{name}": size for name, size in SMALL.items()}
            | {"data.name": folder / "x.npz", "training.max_epochs": 1, "training.device": "cpu"},
        )
        ub.train(config, folder / "run")
        yield folder, x, lengths


def test_commands_cut_padding_away(padded, tmp_path):
    folder, x, lengths = padded
    run, array = str(folder / "run"), str(folder / "x.npz")
    cut = [torch.from_numpy(x[row : row + 1, : lengths[row]]).float() / 255 for row in (0, 1)]
    model = ub.load_model(run)
    with evaluation_precision(choose_precision("auto", "cpu")):  # that of the commands
        swapped, between = model.swap(cut[0], cut[1])[0], model.interpolate(cut[0], cut[1], 3)[:, 0]
    for command, expected in (("swap", swapped), ("interpolate", between)):
        words = [command, run, f"{array}:0", f"{array}:1", "--output", str(tmp_path / f"{command}.npy")]
        assert main([*words, *(["--steps", "3"] if command == "interpolate" else [])]) == 0
        result = np.load(tmp_path / f"{command}.npy")
        np.testing.assert_allclose(result, expected.detach(), rtol=1e-4, atol=1e-5)
    assert main(["encode", run, array, "--output", str(tmp_path / "codes.npz")]) == 0
    codes = np.load(tmp_path / "codes.npz")
    np.testing.assert_array_equal(codes["lengths"], lengths)
    np.testing.assert_allclose(
        codes["static"][0], model.encode(cut[0]).static[0].detach(), rtol=1e-4, atol=1e-5
    )
    assert (codes["dynamic"][0, 3:] == 0).all() and (codes["dynamic"][0, :3] != 0).all()


def test_a_failing_write_keeps_the_old_file_and_the_codes(padded, tmp_path, monkeypatch, capsys):
    folder, _, _ = padded
    output = tmp_path / "codes.npz"
    output.write_text("old")

    def fail(file, header):
        file.write(b"half")
        raise OSError("no space left on device")

    words = ["encode", str(folder / "run"), str(folder / "x.npz"), "--output", str(output), "--force"]
    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array_header_1_0", fail)
        assert main(words) == 2
    assert "no space left" in capsys.readouterr().err
    shards = tmp_path / "codes.npz.shards"
    assert output.read_text() == "old" and sorted(tmp_path.iterdir()) == [output, shards]
    assert main(words) == 0
    assert "1 of 1 shards were finished before" in capsys.readouterr().out
    assert len(np.load(output)["static"]) == 30 and list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize(
    ("words", "capability"),
    [
        (["encode", "RUN", "X"], "encode"),
        (["swap", "RUN", "X:0", "X:1"], "encode"),
        (["sample", "RUN"], "static_prior"),
    ],
)
def test_what_a_method_cannot_do_is_one_clear_line(padded, words, capability, tmp_path, monkeypatch, capsys):
    from dataclasses import replace

    from unbraid.models.dbse import DBSE

    folder, _, _ = padded
    monkeypatch.chdir(tmp_path)
    card = replace(DBSE.card, capabilities=DBSE.card.capabilities - {capability})
    monkeypatch.setattr(DBSE, "card", card)
    places = {"RUN": str(folder / "run")}
    assert main([places.get(word, word.replace("X", str(folder / "x.npz"))) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "dbse" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "found"), [({}, ("/raw", "/cache")), ({"root": "/other"}, ("/other", "/cache"))]
)
def test_a_data_set_is_looked_for_where_the_run_found_it(given, found, monkeypatch):
    asked = []
    monkeypatch.setattr("unbraid.inputs.load_run_data", lambda config: asked.append(config["data"]))
    monkeypatch.setattr("unbraid.inputs._Rows", lambda sequences, run: None)
    config = {"data": {"name": "sprites", "root": "/raw", "cache": "/cache", "size": 64}}
    open_corpus("sprites", Run(Path("run"), build_model("dbse", (3, 32, 32), **SMALL), config), **given)
    assert (asked[0]["root"], asked[0]["cache"], asked[0]["size"]) == (*found, 64)
