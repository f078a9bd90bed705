"""Names that users give are text: neither HTML, nor a formula of matplotlib, nor a way out of the run's folder."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
import torch
import yaml
from html_page import Page
from tones import recordings

from unbraid import plots
from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import (
    Judge,
    evaluate_downstream,
    evaluate_generation,
    evaluate_leakage,
    evaluate_verification,
    leakage,
    linear_reader,
    network_reader,
    write_scores,
)
from unbraid.evaluation.classifiers import CLASSIFIERS
from unbraid.io import save_model
from unbraid.models.build import build_model
from unbraid.report.page import write_report

HOSTILE = ("<script>alert('x')</script>", "a\"b'c", r"$\nosuch{$", "&amp; <b>")
SMALL = {"static_size": 4, "dynamic_size": 4, "width": 4, "hidden": 8, "features": 8}
random = np.random.default_rng(0)
N = 60


def labels(n=N):
    return {
        HOSTILE[0]: Label(np.arange(n) % 4, HOSTILE, "static"),
        HOSTILE[2]: Label(np.arange(n) // 2 % 4, HOSTILE, "dynamic"),
        HOSTILE[1]: Label(np.arange(n) // 2 % 4, HOSTILE, "dynamic", part_of=HOSTILE[2]),
    }


def splits(n=N):
    return dict(zip(("train", "validation", "test"), np.split(np.arange(n), 3), strict=True))


def run(folder, data, model, scores):
    """A folder of a run in which everything that can have a hostile name has one."""
    save_model(model, folder / "model")
    config = {
        "recipe": HOSTILE[0],
        "data": {"name": data.name},
        "model": {"name": "dbse", **SMALL},
        "training": {"batch_size": 8, "weights": {HOSTILE[0]: HOSTILE[1]}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "environment.json").write_text(json.dumps({"device": HOSTILE[0], "seconds": 1, HOSTILE[3]: 1}))
    log = 'step,epoch,split,total,"$\\nosuch{$","weight/$\\nosuch{$"\n10,0,train,5,2,1\n'
    (folder / "metrics.csv").write_text(log)
    for name, found in scores.items():
        write_scores(folder, name, found)


def check(path):
    """The page holds every name as text and no tag that it does not mean."""
    text = path.read_text()
    page = Page(text)
    assert "script" not in page.tags and "b" not in page.tags
    assert all(source.startswith("data:") for source in page.sources)
    assert "<script" not in text and "alert('x')" not in text
    words = "".join(page.words)
    assert all(name in words for name in HOSTILE)


def model_for(data):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model("dbse", data.observation, **SMALL).eval()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(network_reader, "EPOCHS", 1)
    monkeypatch.setattr(linear_reader, "STRENGTHS", (0.1,))
    nearest = {"nearest_neighbours": CLASSIFIERS["nearest_neighbours"]}
    monkeypatch.setattr(leakage, "CLASSIFIERS", nearest)


def test_of_labels_and_classes_of_clips(tmp_path):
    x = (random.random((N, 4, 3, 16, 16)) * 255).astype(np.uint8)
    data = Sequences(x, HOSTILE[0], labels=labels(), splits=splits())
    model = model_for(data)
    judge = Judge((3, 16, 16), {name: 4 for name, label in data.heads.items()}, width=2)
    options = {"judge": judge, "accept_weak_judge": True, "repeats": 1}
    scores = {"generation": evaluate_generation(model, data, **options)}
    scores["leakage"] = evaluate_leakage(model, data, generation=scores["generation"], repeats=1)
    run(tmp_path, data, model, scores)
    assert scores["generation"]["failures"] and scores["leakage"]["latent"]["static"]
    check(write_report(tmp_path, data))


def test_of_features_units_and_targets_of_series(tmp_path):
    data = Sequences(
        random.normal(size=(N, 5, 4, 4)).astype(np.float32), HOSTILE[0], labels=labels(), splits=splits(),
        feature_names=HOSTILE, units=HOSTILE[::-1], targets={HOSTILE[2]: random.normal(size=(N, 5))},
    )  # fmt: skip
    data = dataclasses.replace(data, labels=dict(list(data.labels.items())[:1]), fingerprint="")
    model = model_for(data)
    scores = evaluate_downstream(model, data, repeats=1, resamples=5, cache=tmp_path)
    scores["left_out"] = dict.fromkeys(HOSTILE, HOSTILE[0])
    run(tmp_path, data, model, {"downstream": scores})
    check(write_report(tmp_path, data))


def test_of_speakers_and_words_of_recordings(tmp_path):
    data = recordings(4, pieces=2)
    named = {
        HOSTILE[0]: dataclasses.replace(data.labels["speaker"], classes=HOSTILE[:3]),
        HOSTILE[1]: dataclasses.replace(data.labels["word"], classes=HOSTILE[1:]),
    }
    data = dataclasses.replace(data, labels=named, name=HOSTILE[0], fingerprint="")
    model = model_for(data)
    run(tmp_path, data, model, {"verification": evaluate_verification(model, data, resamples=5)})
    check(write_report(tmp_path, data))


def test_every_plot_shows_its_texts_literally():
    for name in plots.__all__:
        if name.startswith("plot_"):
            assert hasattr(getattr(plots, name), "__wrapped__"), f"{name} lacks @literal_text"
    figure = plots.plot_confusion(np.eye(2), ("$a$", "$\\nosuch{$"), "$x^2$")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig("/dev/null", format="png")
    assert figure.axes[0].get_title() == "$x^2$"
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["$a$", "$\\nosuch{$"]


@pytest.mark.parametrize(
    ("part", "name"),
    [("picture", "../../secret.png"), ("picture", "/etc/hostname"), ("file", "../model/model.json")],
)
def test_a_list_of_sounds_does_not_lead_out_of_the_run(tmp_path, part, name):
    folder = tmp_path / "run"
    for path in (tmp_path / "secret.png", folder / "pictures" / "a.png", folder / "sounds" / "a.wav"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"secret")
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text("{}")
    (folder / "config.yaml").write_text("data: {name: tones}\nmodel: {name: dbse}\n")
    pair = {"picture": "a.png", "sounds": [{"file": "a.wav", "caption": "<b>"}]}
    (folder / "sounds" / "sounds.json").write_text(json.dumps([pair]))
    assert len(Page(write_report(folder).read_text()).sources) == 2
    if part == "picture":
        pair["picture"] = name
    else:
        pair["sounds"][0]["file"] = name
    (folder / "sounds" / "sounds.json").write_text(json.dumps([pair]))
    (folder / "report.html").unlink()
    with pytest.raises(ValueError, match=r"sounds\.json: names '.*', which is not in"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_a_link_does_not_lead_out_of_the_run_either(tmp_path):
    folder = tmp_path / "run"
    (folder / "sounds").mkdir(parents=True)
    (folder / "pictures").mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (folder / "pictures" / "a.png").symlink_to(tmp_path / "secret.png")
    (folder / "config.yaml").write_text("data: {name: tones}\nmodel: {name: dbse}\n")
    (folder / "sounds" / "sounds.json").write_text(json.dumps([{"picture": "a.png", "sounds": []}]))
    with pytest.raises(ValueError, match="which is not in pictures/"):
        write_report(folder)
