import base64
import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from html_page import Page
from PIL import Image
from toys import TOYS

from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import (
    Judge,
    evaluate_factors,
    evaluate_generation,
    evaluate_leakage,
    train_judge,
    write_scores,
)
from unbraid.io import save_model
from unbraid.models.build import build_model
from unbraid.report.choice import labels_of_components, varied_rows
from unbraid.report.frames import hide_padding
from unbraid.report.page import _information, write_report
from unbraid.report.pictures import make_pictures

SMALL = {"static_size": 4, "dynamic_size": 4, "width": 4, "hidden": 8, "features": 8}
generator = np.random.default_rng(0)


def sequences(observation=(3, 16, 16), n=45, lengths=None, labelled=True):
    x = generator.random((n, 4, *observation))
    x = (x * 255).astype(np.uint8) if len(observation) == 3 else x
    labels = {
        "<b>who": Label(np.arange(n) % 3, ("a", "b", "c"), "static"),
        "what": Label(np.arange(n) % 2, ("d", "e"), "dynamic"),
    }
    thirds = np.split(np.arange(n), 3)
    splits = dict(zip(("train", "validation", "test"), thirds, strict=True))
    return Sequences(x, "noise & more", lengths=lengths, labels=labels if labelled else {}, splits=splits)


def model_for(data):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model("dbse", data.observation, **SMALL).eval()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run with everything in it, and its data."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    data = sequences()
    model = model_for(data)
    save_model(model, folder / "model")
    config = {
        "recipe": "mine/<script>",
        "data": {"name": "noise & more"},
        "model": {"name": "dbse", **SMALL},
        "training": {"seed": 3, "weights": {"kl_static": 0.5}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    environment = {"seconds": 90.0, "device": "cpu", "parameters": 12345, "steps": 2000, "kept_step": 1200}
    (folder / "environment.json").write_text(json.dumps(environment))
    (folder / "metrics.csv").write_text("step,epoch,split,total,kl,weight/kl\n10,0,train,5,2,1\n")
    judge = train_judge(data, cache=folder.parent, width=2, max_steps=2, check_steps=1)
    scores = evaluate_generation(model, data, judge=judge, repeats=2, accept_weak_judge=True)
    write_scores(folder, "generation", scores)
    return folder, data


def test_a_report_holds_everything_in_one_file(run):
    folder, data = run
    path = write_report(folder, data)
    assert path == folder / "report.html"
    text = path.read_text()
    page = Page(text)
    assert "script" not in page.tags and "link" not in page.tags
    assert page.sources and all(source.startswith("data:image/") for source in page.sources)
    for source in page.sources:
        kind, code = source.removeprefix("data:image/").split(";base64,")
        assert base64.b64decode(code, validate=True)[:4] == {"png": b"\x89PNG", "gif": b"GIF8"}[kind]
    words = "".join(page.words)
    for expected in (
        "dbse on noise & more",
        "Swaps",
        "Scores",
        "12,345 parameters",
        "weights of step 1,200 of 2,000",
        "15 clips of the test split",
    ):
        assert expected in words
    assert f"unbraid evaluate {folder}" in words
    assert "below 99%" in words  # this judge is weak, and the report says so
    assert "<b>who" in words and "<b>who" not in text  # labels are text, never markup


def test_a_report_can_be_repeated_from_its_own_settings(run):
    folder, _ = run
    page = Page(write_report(folder).read_text())
    settings = next(words for words in page.words if words.startswith("data:\n"))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert yaml.safe_load(settings) == {part: config[part] for part in ("data", "model", "training")}


def test_scores_in_the_report_are_those_on_disk(run):
    folder, _ = run
    scores = json.loads((folder / "evaluation" / "generation.json").read_text())
    words = Page(write_report(folder).read_text()).words
    assert any(f"{scores['squared_error_per_clip']['mean']:.4g}" == word for word in words)
    assert any(word.startswith(f"{scores['accuracy']['mean']:.1%} of the clips keep") for word in words)


def test_factors_are_in_the_report_with_their_picture(run, tmp_path):
    folder, data = run
    more = shutil.copytree(folder, tmp_path / "run")
    judge = Judge(data.observation, {name: len(label.classes) for name, label in data.heads.items()}, width=2)
    scores = evaluate_factors(model_for(data), data, judge=judge, repeats=1, accept_weak_judge=True)
    write_scores(more, "factors", scores)
    words = "".join(Page(write_report(more, data).read_text()).words)
    for expected in (
        "One label exchanged",
        "From one clip to another, label by label",
        "random codes (floor)",
    ):
        assert expected in words
    assert (more / "pictures" / "factors.png").is_file()


def test_confusion_leakage_and_information_are_in_the_report(run, tmp_path):
    folder, data = run
    more = shutil.copytree(folder, tmp_path / "run")
    generation = json.loads((more / "evaluation" / "generation.json").read_text())
    leakage = evaluate_leakage(model_for(data), data, generation=generation, repeats=1)
    write_scores(more, "leakage", leakage)
    config = yaml.safe_load((more / "config.yaml").read_text())
    config["training"] |= {"track_information": True, "batch_size": 8}
    (more / "config.yaml").write_text(yaml.safe_dump(config))
    (more / "environment.json").write_text(json.dumps({"sequences": {"train": 20, "validation": 6}}))
    (more / "metrics.csv").write_text(
        "step,epoch,split,total,kl,weight/kl,information/static_input\n10,0,train,5,2,1,\n10,0,validation,5,2,1,3.5\n"
    )
    words = "".join(Page(write_report(more, data).read_text()).words)
    for heading in (
        "Which classes the judge sees in swapped clips",
        "Between two static codes",
        "What can be predicted from each code",
        "Information in the codes",
        "Where the judge sees a wrong class",  # an untrained model's swaps show nothing
    ):
        assert heading in words
    assert (more / "pictures" / "failures.png").is_file()
    assert "Which classes the judge sees" in "".join(Page(write_report(folder, data).read_text()).words)


def test_what_is_missing_is_left_out(tmp_path):
    (tmp_path / "config.yaml").write_text("data: {name: puppets}\nmodel: {name: dbse}\n")
    page = Page(write_report(tmp_path).read_text())
    words = "".join(page.words)
    assert "has not been scored yet" in words
    assert "Scores" not in words and "Training" not in words and "Swaps" not in words
    assert "unbraid train run.yaml" in words
    assert page.sources == []


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.yaml"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("observation", "labelled", "moving"), [((3, 16, 16), True, 3), ((1, 16, 16), False, 3), ((40,), True, 0)]
)
def test_pictures_of_frames_and_of_many_features(tmp_path, observation, labelled, moving):
    lengths = generator.integers(2, 5, 45)
    data = sequences(observation, lengths=lengths, labelled=labelled)
    folder = make_pictures(model_for(data), data, tmp_path)
    names = {path.stem for path in folder.glob("*.png")}
    once = {"reconstruction", "swap", "swap_sets", "replaced", "interpolation", "codes", "joint_codes"}
    assert names == once | {"fixed_motion", "fixed_content", "drawn_content", "drawn_motion"}
    assert len(list(folder.glob("*.gif"))) == moving
    for path in folder.iterdir():
        with Image.open(path) as image:
            image.load()
            assert np.asarray(image.convert("L")).std() > 1  # not blank


def test_a_label_names_the_components_that_tell_about_it():
    random = np.random.default_rng(0)
    who, where = random.integers(0, 3, (2, 500))
    values = np.stack([where + random.normal(size=500) / 3, random.normal(size=500), who - 1.0], 1)
    labels = {"who": Label(who, ("a", "b", "c"), "static"), "where": Label(where, ("a", "b", "c"), "static")}
    parts = {"who": (1, 2), "where": (0,)}  # the second component is noise
    assert labels_of_components(values, labels, parts) == {0: "where", 2: "who"}


def test_components_of_the_content_are_drawn_where_a_hundred_clips_show_them(tmp_path, monkeypatch):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    lengths = np.full(360, 2)  # of four steps, so that the middle of the four is padding
    data = sequences(n=360, lengths=lengths)
    folder = make_pictures(model_for(data), data, tmp_path)
    with Image.open(folder / "components.png") as image:
        assert image.width > 5 * 64 and np.asarray(image.convert("L"))[:, -72:-12].std() > 1
    lacking = data.take(np.arange(0, 360, 4))  # fewer than a hundred in the train split
    assert not (make_pictures(model_for(data), lacking, tmp_path) / "components.png").exists()


def test_pictures_repeat_themselves_and_leave_the_global_generator_alone(tmp_path):
    data = sequences(labelled=False)
    model = model_for(data)
    state = torch.random.get_rng_state()
    make_pictures(model, data, tmp_path / "a")
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    make_pictures(model, data, tmp_path / "b")
    for path in (tmp_path / "a" / "pictures").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "pictures" / path.name).read_bytes()


def test_a_report_leaves_the_global_random_state_alone(run):
    folder, data = run
    torch.manual_seed(3)
    np.random.seed(3)
    state, numbers = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    write_report(folder, data)
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], numbers)


def test_a_model_at_hand_is_not_read_from_the_folder(run, tmp_path):
    folder, data = run
    other = shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns("model", "pictures"))
    write_report(other, data, model_for(data))
    write_report(folder, data)
    for name in ("swap.png", "codes.png"):
        assert (other / "pictures" / name).read_bytes() == (folder / "pictures" / name).read_bytes()
    with pytest.raises(FileNotFoundError, match=r"no model\.json"):
        write_report(other, data)


# ---- methods that cannot do everything ------------------------------------------------------------------

ALWAYS = {"reconstruction", "codes", "joint_codes"}
EXCHANGES = {"swap", "swap_sets", "replaced", "interpolation", "fixed_motion", "drawn_content"}


@pytest.mark.parametrize(
    ("lacking", "names"),
    [
        ("static_prior", ALWAYS | EXCHANGES | {"fixed_content", "drawn_motion"}),
        ("dynamic_prior", ALWAYS | EXCHANGES),
        ("decoded_static", ALWAYS),
        ("encode", set()),
        ("decode", set()),
    ],
)
def test_pictures_that_a_method_cannot_make_are_left_out(tmp_path, lacking, names):
    data = sequences(labelled=False)
    model = model_for(data)
    make_pictures(model, data, tmp_path)  # pictures of an earlier report do not stay
    model.card = dataclasses.replace(model.card, capabilities=model.card.capabilities - {lacking})
    folder = make_pictures(model, data, tmp_path)
    assert {path.stem for path in folder.iterdir()} == names


@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize("observation", [(3, 16, 16), (3,), (4, 3), (20,)])
def test_reports_of_methods_of_every_kind(tmp_path, toy, observation):
    data = sequences(observation, labelled=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = TOYS[toy](observation)
    (tmp_path / "config.yaml").write_text(f"data: {{name: noise}}\nmodel: {{name: {toy}}}\n")
    page = Page(write_report(tmp_path, data, model).read_text())
    assert bool(page.sources) == model.can("encode")
    assert f"{toy} on noise" in "".join(page.words)


# ---- choice of clips ------------------------------------------------------------------------------------


def test_clips_for_pictures_differ_in_motion_first():
    data = sequences(n=45)
    rows = varied_rows(data, 2, seed=0)
    assert len(set(data.labels["what"].values[rows])) == 2
    assert len(set(varied_rows(data, 6, seed=0).tolist())) == 6
    assert len(varied_rows(data.take(np.arange(3)), 6, seed=0)) == 3


def test_padding_is_not_drawn():
    clips = np.zeros((2, 3, 4, 3, 16, 16), np.float32)
    steps = np.arange(4) < np.array([4, 2, 3])[:, None]
    blank = hide_padding(clips, steps, 3)
    assert np.isnan(blank[:, 1, 2:]).all() and (blank[:, 1, :2] == 0).all() and (blank[:, 0] == 0).all()
    lines = hide_padding(np.zeros((2, 4, 5)), steps[:2], 1)
    assert np.isnan(lines[1, 2:]).all() and not np.isnan(lines[0]).any()


def test_the_bounds_of_information_are_those_of_the_estimates(monkeypatch):
    """N counts unlabelled sequences, which train as well; a batch of validation is no larger than the split."""
    sizes = []
    monkeypatch.setattr("unbraid.report.page.plots.plot_information", lambda log, *given: sizes.append(given))
    monkeypatch.setattr("unbraid.report.page.drawn", lambda picture, *words: picture)
    counts = {"train": 20, "unlabelled": 30, "validation": 6}
    config = {"training": {"track_information": True, "batch_size": 8}}
    _information([{"split": "validation"}], config, {"sequences": counts})
    assert sizes == [(50, 6)]
