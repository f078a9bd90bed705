"""The commands, from their words to their files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import unbraid
from unbraid import components
from unbraid.cli import COMMANDS, main
from unbraid.cli.demo import CHANGES, RECIPES
from unbraid.cli.show import show_run
from unbraid.machine import choose_precision
from unbraid.models.dbse import DBSE
from unbraid.nn.folded import evaluation_precision
from unbraid.recipes import list_recipes, resolve_recipe

TINY = [
    *("--model.width", "4", "--model.features", "8", "--model.hidden", "8"),
    *("--model.static_size", "8", "--model.dynamic_size", "8"),
    *("--training.max_epochs", "2", "--training.batch_size", "4", "--training.device", "cpu"),
]
FRAMES = ["--data.size", "16", "--data.steps", "6"]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Prepared data and judges go to a cache of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNBRAID_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Twelve folders of images: a bright square that moves, six frames of 16x16."""
    folder = tmp_path_factory.mktemp("clips")
    random = np.random.default_rng(0)
    for clip in range(12):
        (folder / f"clip{clip}").mkdir()
        colour = random.integers(100, 256, 3)
        for t in range(6):
            frame = np.zeros((16, 16, 3), np.uint8)
            frame[4:10, (clip + t) % 10 : (clip + t) % 10 + 5] = colour
            Image.fromarray(frame).save(folder / f"clip{clip}" / f"{t}.png")
    return folder


@pytest.fixture(scope="module")
def run(clips, tmp_path_factory):
    """A run on the clips, trained by the command."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    words = ["train", "--data", str(clips), *FRAMES, "--run", str(folder), "--no-evaluate", *TINY]
    assert main(words) == 0
    return folder


def error_line(capsys):
    """The one line that reports a mistake."""
    out = capsys.readouterr()
    assert out.err.startswith("unbraid: error: ") and out.err.count("\n") == 1, out.err
    return out.err


# ---- the words themselves -------------------------------------------------------------------------------


def test_help_names_every_command(capsys):
    for words in ([], ["--help"], ["-h"]):
        assert main(words) == 0
        text = capsys.readouterr().out
        assert all(f"\n  {command} " in text for command in COMMANDS)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"unbraid {unbraid.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    try:
        assert main([command, "--help"]) == 0
    except SystemExit as end:  # the parser's own way out
        assert end.code == 0
    assert f"unbraid {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["trian"], "did you mean 'train'"),
        (["train", "sprites/dsbe"], "did you mean 'sprites/dbse'"),
        (["train", "--run", "x"], "name a recipe"),
        (["train", "--data"], "--data: needs a value"),
        (["train", "--data", "no/such/folder"], "there is no folder or file no/such/folder"),
        (["train", "own/dbse"], "pass --data PATH"),
        (["train", "puppets/dbse", "--model.anchr", "last"], "did you mean '--model.anchor'"),
        (["data", "lst"], "did you mean 'list'"),
        (["data", "info", "sprits"], "did you mean 'sprites'"),
        (["data", "prepare"], ""),
        (["data", "fetch", "puppets"], "nothing to download"),
        (["swap"], "swap: RUN, A, B is missing; usage: unbraid swap RUN A B"),
        (["encode", "no/run", "x"], "no/run: there is no such folder"),
        (["evaluate", "no/run"], "no/run: there is no such folder"),
        (["resume", "no/run"], "no/run: holds no run"),
        (["sample", "no/run", "--output", "x.jpg"], "must end in .gif"),
        (["sample", "no/run", "--n", "0"], "n: 0 must be at least 1"),
    ],
)
def test_a_mistake_is_one_clear_line(words, text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if text:
        assert main(words) == 2
        assert text in error_line(capsys)
    else:
        assert main(words) == 0
        assert "usage" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where(monkeypatch):
    monkeypatch.setenv("UNBRAID_DEBUG", "1")
    with pytest.raises(ValueError, match="trian"):
        main(["trian"])


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "unbraid", "trian"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1


# ---- training -------------------------------------------------------------------------------------------


def test_train_leaves_a_run(run, clips):
    import yaml

    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["recipe"] == "own/dbse"
    assert config["data"]["name"] == str(clips.resolve()) and config["data"]["size"] == 16
    assert config["model"]["width"] == 4 and config["training"]["max_epochs"] == 2
    assert (run / "model" / "model.json").is_file()


def test_minutes_are_measured_and_then_fixed(clips, tmp_path, capsys):
    """The number of steps stands in the run's settings, so that a resumed run has the same."""
    import yaml

    folder = tmp_path / "run"
    words = ["train", "--data", str(clips), *FRAMES, "--run", str(folder), *TINY, "--no-evaluate"]
    assert main([*words, "--minutes", "0.001"]) == 0
    steps = yaml.safe_load((folder / "config.yaml").read_text())["training"]["steps"]
    out = capsys.readouterr().out
    assert f"About 0.001 minutes are {steps} steps here." in out
    assert "Note: There are only" in out and "training sequences" in out
    assert "steps, which is few" in out


def test_a_run_is_never_overwritten(run, clips, capsys):
    before = (run / "config.yaml").stat().st_mtime_ns
    assert main(["train", "--data", str(clips), *FRAMES, "--run", str(run), *TINY]) == 2
    assert "holds a finished run, which is never overwritten; choose another folder" in error_line(capsys)
    assert (run / "config.yaml").stat().st_mtime_ns == before


def test_runs_are_numbered(clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--data", str(clips), *FRAMES, "--no-evaluate", *TINY, "--training.max_epochs", "1"]
    assert main(words) == 0 and main(words) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        f"{clips.name}-dbse-{n}" for n in (1, 2)
    ]


def test_wrong_data_are_refused_before_there_is_a_run(tmp_path, capsys):
    x = np.zeros((20, 4, 3), np.float32)
    x[7, 2] = np.nan
    np.save(tmp_path / "x.npy", x)
    run = tmp_path / "run"
    assert main(["train", "--data", str(tmp_path / "x.npy"), "--run", str(run), *TINY]) == 2
    assert "sequence 7, step 2" in error_line(capsys)
    words = [
        "train",
        "--data",
        str(tmp_path / "x.npy"),
        "--run",
        str(run),
        "--training.weights.kl_statc",
        "3",
    ]
    np.save(tmp_path / "x.npy", np.nan_to_num(x))
    assert main([*words, *TINY]) == 2
    assert "did you mean 'kl_static'" in error_line(capsys)
    assert not run.exists()


def test_a_finished_run_is_not_trained_again(run, capsys):
    before = (run / "metrics.csv").read_bytes()
    assert main(["resume", str(run), "--no-evaluate"]) == 0
    assert "to its end already" in capsys.readouterr().out
    assert (run / "metrics.csv").read_bytes() == before


def test_ctrl_c_leaves_a_run_that_goes_on(clips, tmp_path):
    run = tmp_path / "run"
    words = ["train", "--data", str(clips), *FRAMES, "--run", str(run), "--no-evaluate", *TINY]
    command = [sys.executable, "-m", "unbraid", *words, "--training.max_epochs", "100000"]
    training = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while training.poll() is None and not (run / "metrics.csv").exists():
        time.sleep(0.1)
    assert training.poll() is None, training.stdout.read()
    os.kill(training.pid, signal.SIGINT)
    output, _ = training.communicate()
    assert training.returncode == 130 and "Traceback" not in output
    assert f"unbraid resume {run}" in " ".join(output.split())
    assert list((run / "checkpoints").glob("*.ckpt"))
    assert not (run / "model").exists()


# ---- using a run ----------------------------------------------------------------------------------------


def test_encode_writes_codes_and_names(run, clips, tmp_path):
    output = tmp_path / "codes.npz"
    assert main(["encode", str(run), str(clips), "--output", str(output)]) == 0
    codes = np.load(output)
    assert codes["static"].shape == (12, 8) and codes["dynamic"].shape == (12, 6, 8)
    assert list(codes["names"]) == [f"clip{i}" for i in range(12)]
    assert (codes["lengths"] == 6).all()


def test_encode_gives_the_model_s_codes_whatever_the_way_in(run, clips, tmp_path):
    import h5py

    frames = [[np.asarray(Image.open(clips / f"clip{i}" / f"{t}.png")) for t in range(6)] for i in range(12)]
    x = np.array(frames).transpose(0, 1, 4, 2, 3)
    np.save(tmp_path / "x.npy", x)
    for source, output in ((clips, "a.npz"), (tmp_path / "x.npy", "b.h5"), (clips / "clip3", "c.npz")):
        assert main(["encode", str(run), str(source), "--output", str(tmp_path / output)]) == 0
    whole, alone = np.load(tmp_path / "a.npz"), np.load(tmp_path / "c.npz")
    model = unbraid.load_model(run)
    expected = unbraid.encode(model, unbraid.Sequences(x))
    np.testing.assert_allclose(whole["static"], expected.static, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(whole["dynamic"], expected.dynamic, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(alone["static"][0], whole["static"][3], rtol=1e-4, atol=1e-5)
    with h5py.File(tmp_path / "b.h5") as file:
        np.testing.assert_allclose(file["static"], whole["static"], rtol=1e-5, atol=1e-6)
        assert [name.decode() for name in file["names"]] == [str(i) for i in range(12)]


def test_long_sequences_are_cut(run, clips, tmp_path):
    output = tmp_path / "codes.npz"
    assert main(["encode", str(run), str(clips), "--steps", "3", "--output", str(output)]) == 0
    codes = np.load(output)
    assert codes["dynamic"].shape == (24, 3, 8)
    assert list(codes["names"][:3]) == ["clip0#0", "clip0#1", "clip1#0"]


def test_outputs_are_not_overwritten(run, clips, tmp_path, capsys):
    output = tmp_path / "codes.npz"
    output.write_text("mine")
    assert main(["encode", str(run), str(clips), "--output", str(output)]) == 2
    assert "--force" in error_line(capsys) and output.read_text() == "mine"
    assert main(["encode", str(run), str(clips), "--output", str(output), "--force"]) == 0
    assert np.load(output)["static"].shape == (12, 8)


def commands_precision():
    """The precision in which commands compute frames here."""
    return evaluation_precision(choose_precision("auto", "cpu"))


def test_swap_takes_the_static_code_of_a_and_the_dynamics_of_b(run, clips, tmp_path):
    a, b = str(clips / "clip0"), str(clips / "clip5")
    assert main(["swap", str(run), a, b, "--output", str(tmp_path / "swap.npy")]) == 0
    assert main(["swap", str(run), a, b, "--output", str(tmp_path / "swap.gif")]) == 0
    data = unbraid.load(clips, size=16, steps=6)
    model = unbraid.load_model(run)
    x = data.batch(np.array([0, 5])).x
    with commands_precision():
        expected = model.swap(x[:1], x[1:]).detach().numpy()
    np.testing.assert_allclose(np.load(tmp_path / "swap.npy"), expected[0], rtol=1e-4, atol=1e-5)
    with Image.open(tmp_path / "swap.gif") as picture:
        assert picture.n_frames == 6 and picture.width == 4 * 128 + 3 * 2 and picture.height == 128


def test_rows_of_the_run_s_data_can_be_named(run, tmp_path, capsys):
    output = tmp_path / "swap.png"
    assert main(["swap", str(run), "test:0", "train:1", "--output", str(output)]) == 0
    with Image.open(output) as picture:
        assert picture.size == (6 * 128 + 5 * 2, 4 * 128 + 3 * 2)
    assert main(["swap", str(run), "test:99", "train:1", "--output", str(tmp_path / "no.png")]) == 2
    assert "99" in error_line(capsys) and not (tmp_path / "no.png").exists()


def test_single_components_of_the_static_code_are_swapped(run, clips, tmp_path, monkeypatch):
    monkeypatch.setattr(components, "FEWEST_SEQUENCES", 5)
    output = tmp_path / "swap.npy"
    assert main(["swap", str(run), "test:0", "train:1", "--components", "0,2", "--output", str(output)]) == 0
    data, model = unbraid.load(clips, size=16, steps=6), unbraid.load_model(run)
    codes_a, codes_b = (
        unbraid.encode(model, data.split(split).take(np.array([row])))
        for split, row in (("test", 0), ("train", 1))
    )
    mixed = components.train_components(model, data).exchange(codes_b, codes_a, (0, 2))
    np.testing.assert_allclose(
        np.load(output), unbraid.generation.decode(model, mixed)[0], rtol=1e-4, atol=1e-4
    )


def test_components_that_are_not_there_are_not_swapped(run, tmp_path, monkeypatch, capsys):
    words = ["swap", str(run), "test:0", "train:1", "--output", str(tmp_path / "swap.gif"), "--components"]
    assert main([*words, "0"]) == 2
    assert "components: there are none; the run's train split has fewer than 100" in error_line(capsys)
    monkeypatch.setattr(components, "FEWEST_SEQUENCES", 5)
    assert main([*words, "99"]) == 2
    assert "there is no component 99; choose from 0 to" in error_line(capsys)
    assert not list(tmp_path.iterdir())


def test_frames_make_no_sound(run, tmp_path, capsys):
    assert main(["swap", str(run), "test:0", "train:1", "--output", str(tmp_path / "swap.wav")]) == 2
    assert "must end in .gif, .png, .npy" in error_line(capsys) and not list(tmp_path.iterdir())


def test_interpolation_goes_from_a_to_b(run, clips, tmp_path):
    a, b = str(clips / "clip0"), str(clips / "clip5")
    output = tmp_path / "line.npy"
    assert main(["interpolate", str(run), a, b, "--steps", "3", "--output", str(output)]) == 0
    line = np.load(output)
    assert line.shape == (3, 6, 3, 16, 16)
    data = unbraid.load(clips, size=16, steps=6)
    x = data.batch(np.array([0, 5])).x
    model = unbraid.load_model(run)
    with commands_precision():
        ends = model.reconstruct(x[:1]).detach()[0], model.swap(x[1:], x[:1]).detach()[0]
    np.testing.assert_allclose(line[0], ends[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(line[2], ends[1], rtol=1e-4, atol=1e-5)


def test_samples_follow_the_seed(run, tmp_path):
    outputs = [tmp_path / f"{i}.npy" for i in range(3)]
    for output, seed in zip(outputs, ("1", "1", "2"), strict=True):
        assert main(["sample", str(run), "--n", "3", "--seed", seed, "--output", str(output)]) == 0
    one, again, other = (np.load(output) for output in outputs)
    assert one.shape == (3, 6, 3, 16, 16)
    assert (one == again).all() and not (one == other).all()
    long = tmp_path / "long.npy"
    assert main(["sample", str(run), "--length", "9", "--output", str(long)]) == 0
    assert np.load(long).shape == (8, 9, 3, 16, 16)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("sprits", "did you mean 'sprites'"),
        ("no/such", "there is no folder, file or data set no/such"),
        ("x.npy", "observations are (5,)"),
        ("empty", "holds no video and no image"),
        ("text.mp4", "text.mp4"),
    ],
)
def test_what_cannot_be_encoded_is_refused(run, tmp_path, monkeypatch, capsys, source, text):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros((6, 4, 5), np.float32))
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    assert main(["encode", str(run), source]) == 2
    assert text in error_line(capsys) and not (tmp_path / "codes.npz").exists()


# ---- scoring --------------------------------------------------------------------------------------------


def figure(mean):
    return {"mean": mean, "std": 0.01, "floor": 0.111}


SCORES = {
    "accuracy": figure(0.987),
    "inception_score": figure(8.5),
    "squared_error_per_clip": figure(70.25),
    "keep_dynamic": {"skin": figure(0.17), "motion": figure(0.987)},
    "swap": {"skin": figure(0.96), "motion": figure(0.95)},
    "judge": {"accuracy": {"skin": figure(0.995), "motion": figure(1.0)}, "trusted": True},
    "labels": {
        "skin": {"kind": "static", "part_of": None, "classes": 6, "chance": 1 / 6, "majority": 0.2},
        "motion": {"kind": "dynamic", "part_of": None, "classes": 9, "chance": 1 / 9, "majority": 0.2},
    },
}


@pytest.fixture
def recipe(clips, tmp_path):
    """Your own recipe on the clips, which trains in seconds."""
    small = "width: 4, features: 8, hidden: 8, static_size: 8, dynamic_size: 8"
    text = f"""# Clips of the tests.
extends: own/dbse
data: {{name: {clips}, size: 16, steps: 6, fractions: [0.6, 0.2, 0.2]}}
model: {{{small}}}
training: {{max_epochs: 1, batch_size: 4}}
"""
    (tmp_path / "mine.yaml").write_text(text)
    return str(tmp_path / "mine.yaml")


def test_training_ends_with_scores_and_a_report(recipe, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", recipe, "--run", str(run)]) == 0
    output = capsys.readouterr().out
    assert "Squared error" in output and f"{run}/report.html" in output
    scores = json.loads((run / "evaluation" / "generation.json").read_text())
    error = scores["squared_error_per_clip"]
    assert f"{error['mean']:.3f}" in output and f"{error['floor']:.3f}" in output
    assert (run / "report.html").is_file() and (run / "pictures" / "swap.gif").is_file()
    assert main(["evaluate", str(run), "--split", "validation"]) == 0
    again = json.loads((run / "evaluation" / "validation" / "generation.json").read_text())
    assert again["protocol"]["split"] == "validation"
    assert json.loads((run / "evaluation" / "generation.json").read_text()) == scores
    assert main(["evaluate", str(run), "--split", "tset"]) == 2
    assert "did you mean 'test'" in error_line(capsys)


def test_a_run_that_cannot_be_scored_says_why_and_gets_its_report(recipe, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", recipe, "--data.fractions", "[0.8, 0.1, 0.1]", "--run", str(run)]) == 0
    output = capsys.readouterr().out
    assert "Not scored by generation: " in output and "swaps need two" in output
    assert (run / "report.html").is_file()


def test_scores_are_shown_beside_their_floors(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "generation.json").write_text(json.dumps(SCORES))
    assert show_run(tmp_path) == 0
    output = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if "│" in line]
    assert [
        "Acc: clips that keep their motion when the static code is drawn",
        "98.7%",
        "1.0%",
        "11.1%",
    ] in rows
    assert ["IS: inception score: classes clear and varied", "8.500", "0.010", "0.111"] in rows
    words = [line.split() for line in output.splitlines()]
    assert ["skin", "static", "17.0", "96.0", "16.7", "99.5"] in words
    assert ["motion", "dynamic", "98.7", "95.0", "11.1", "100.0"] in words


def test_what_a_protocol_left_out_is_said(tmp_path, capsys):
    (tmp_path / "evaluation").mkdir()
    content = {"tasks": {}, "left_out": {"ward": "all sequences are of one class"}, "protocol": {}}
    (tmp_path / "evaluation" / "downstream.json").write_text(json.dumps(content))
    assert show_run(tmp_path) == 0
    assert "downstream: ward is not scored: all sequences are of one class." in capsys.readouterr().out


def test_data_that_were_moved_are_named(clips, run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        DBSE, "card", replace(DBSE.card, capabilities=frozenset({"encode"}))
    )  # nothing to score
    copied = shutil.copytree(run, tmp_path / "run")
    config = (copied / "config.yaml").read_text()
    (copied / "config.yaml").write_text(config.replace(str(clips), str(tmp_path / "gone")))
    assert main(["evaluate", str(copied)]) == 2
    assert "gone; if the data were moved, name their place with --data PATH" in error_line(capsys)
    assert main(["evaluate", str(copied), "--data", str(clips)]) == 0
    fewer = tmp_path / "fewer"
    shutil.copytree(clips, fewer)
    shutil.rmtree(fewer / "clip0")
    assert main(["evaluate", str(copied), "--data", str(fewer)]) == 2
    assert "data: fingerprint" in capsys.readouterr().err


def test_a_run_that_no_protocol_scores_says_why(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(DBSE, "card", replace(DBSE.card, capabilities=frozenset({"encode"})))
    copied = shutil.copytree(run, tmp_path / "run")
    assert main(["evaluate", str(copied)]) == 0
    output = capsys.readouterr().out
    assert "No protocol scores this run (generation: the method has no decode; downstream: " in output
    assert "Scoring" not in output and (copied / "report.html").is_file()


def test_demo_is_made_once(recipe, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(RECIPES, "puppets", recipe)
    run = tmp_path / "demo"
    assert main(["demo", "--run", str(run)]) == 0
    first = capsys.readouterr().out
    written = (run / "metrics.csv").stat().st_mtime_ns
    assert main(["demo", "--run", str(run)]) == 0
    again = capsys.readouterr().out
    assert "made already" in again and f"{run}/report.html" in again and "Squared error" in again
    assert (run / "metrics.csv").stat().st_mtime_ns == written
    (run / "report.html").unlink()
    assert main(["demo", "--run", str(run)]) == 0
    assert "Going on" in capsys.readouterr().out and (run / "report.html").is_file()
    assert "Squared error" in first


def test_each_demo_has_a_folder_and_a_recipe_of_its_own(recipe, tmp_path, monkeypatch, capsys):
    assert all(RECIPES[name].startswith(f"{name}/") and RECIPES[name] in list_recipes() for name in RECIPES)
    assert all(resolve_recipe(RECIPES[name], changes) for name, changes in CHANGES.items())
    monkeypatch.setitem(RECIPES, "machines", recipe)
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--data", "machines"]) == 0
    assert (tmp_path / "runs" / "demo-machines" / "report.html").is_file()
    assert not (tmp_path / "runs" / "demo").exists()
    capsys.readouterr()
    assert main(["demo", "--data", "sprites"]) == 2
    assert "data" in error_line(capsys)


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m unbraid --help | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stderr == ""


# ---- data -----------------------------------------------------------------------------------------------


def test_data_are_listed_described_and_prepared(capsys):
    assert main(["data", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in unbraid.list_datasets())
    assert main(["data", "info", "sprites"]) == 0
    assert "licence" in capsys.readouterr().out
    assert main(["data", "prepare", "puppets", "--characters", "12", "--size", "16"]) == 0
    assert "(108, 8, 3, 16, 16)" in capsys.readouterr().out


@pytest.mark.real_data
def test_sprites_are_prepared_from_your_folder(capsys):
    root = os.path.join(os.environ["UNBRAID_DATA"], "sprites_lpc")
    assert main(["data", "prepare", "sprites", "--root", root, "--size", "16"]) == 0
    assert "train 8100, validation 900, test 2664" in capsys.readouterr().out
