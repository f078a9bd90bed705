import base64
import dataclasses
import json
import wave

import numpy as np
import pytest
import torch
import yaml
from html_page import Page
from PIL import Image
from tones import RATE, Additive, recordings

from unbraid.evaluation import evaluate_verification, write_scores
from unbraid.io import save_model
from unbraid.models.build import build_model
from unbraid.report.page import write_report
from unbraid.report.pictures import make_pictures
from unbraid.report.sounds import _pairs


@pytest.fixture(scope="module")
def data():
    return recordings(4, pieces=2)


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    make_pictures(Additive(data.observation), data, folder)
    return folder


def sound(path):
    with wave.open(str(path)) as file:
        assert file.getframerate() == RATE
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767


def test_pictures_and_sounds_of_recordings(folder):
    names = {path.name for path in (folder / "pictures").iterdir()}
    assert names == {"voices.png", "exchange1.png", "exchange2.png", "exchange3.png", "codes.png"}
    for name in names:
        with Image.open(folder / "pictures" / name) as image:
            assert np.asarray(image.convert("L")).std() > 10  # not blank
    index = json.loads((folder / "sounds" / "sounds.json").read_text())
    listed = [one["file"] for pair in index for one in pair["sounds"]]
    assert len(listed) == 18 and {path.name for path in (folder / "sounds").glob("*.wav")} == set(listed)


def test_components_of_voices_are_drawn_where_there_are_enough_recordings(tmp_path):
    data = recordings(20, pieces=2)
    make_pictures(Additive(data.observation), data, tmp_path)
    with Image.open(tmp_path / "pictures" / "sound_components.png") as image:
        assert np.asarray(image.convert("L")).std() > 10


def test_sounds_are_neither_silent_nor_clipped(folder):
    for path in (folder / "sounds").glob("*.wav"):
        samples = sound(path)
        assert 0.89 < np.abs(samples).max() < 0.91
        assert samples.std() > 0.02 and (np.abs(samples) > 0.899).sum() < 3


def test_captions_name_who_says_what_and_sounds_fit_them(folder, data):
    index = json.loads((folder / "sounds" / "sounds.json").read_text())
    speakers, words = data.labels["speaker"].classes, data.labels["word"].classes
    for pair in index:
        captions = [one["caption"] for one in pair["sounds"]]
        said = [(s, w) for s in speakers for w in words]
        first, second = (next(x for x in said if f"{x[0]} says “{x[1]}”" == captions[i]) for i in (0, 3))
        assert captions[2] == f"“{first[1]}” in the voice of {second[0]}"
        assert captions[5] == f"“{second[1]}” in the voice of {first[0]}"
        assert first[0] != second[0] and first[1] != second[1]  # otherwise there is nothing to hear
        lengths = [len(sound(folder / "sounds" / one["file"])) for one in pair["sounds"]]
        assert len(set(lengths[:3])) == len(set(lengths[3:])) == 1


def test_pairs_differ_in_voice_and_words_where_they_can():
    names = [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("b", "2")]
    assert _pairs(names) == [(0, 3), (1, 2)]


def test_a_report_has_its_players_in_the_one_file(tmp_path, data):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small = {"static_size": 4, "dynamic_size": 4, "width": 8, "hidden": 8, "features": 8}
        model = build_model("dbse", data.observation, **small).eval()
    save_model(model, tmp_path / "model")
    config = {"data": {"name": "tones"}, "model": {"name": "dbse", **small}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    text = write_report(tmp_path, data).read_text()
    page = Page(text)
    players = [source for source in page.sources if source.startswith("data:audio/wav;base64,")]
    assert len(players) == 18 == text.count("<audio controls")
    for player, path in zip(
        players, sorted((tmp_path / "sounds").glob("*.wav"), key=listed(tmp_path)), strict=True
    ):
        assert base64.b64decode(player.partition(",")[2], validate=True) == path.read_bytes()
    assert all(source.startswith("data:") for source in page.sources)
    words = "".join(page.words)
    assert "Voices exchanged" in words and "Every voice with all words" in words
    assert "says “<ta>”" in words and "<ta>" not in text  # labels are text, never markup
    assert write_report(tmp_path).read_text() == text  # what is there is used again


def test_a_report_shows_how_voices_are_verified(tmp_path, data):
    scores = evaluate_verification(Additive(data.observation), data, resamples=20)
    (tmp_path / "config.yaml").write_text("data: {name: tones}\nmodel: {name: additive}\n")
    write_scores(tmp_path, "verification", scores)
    words = Page(write_report(tmp_path).read_text()).words
    low, high = scores["static_eer"]["interval"]
    assert f"{scores['static_eer']['mean']:.1%} [{low:.1%}, {high:.1%}]" in words
    assert f"{scores['static_eer']['floor']:.1%}" in words
    assert f"{scores['probe']['content']['dynamic_parts']['mean']:.1%}" in words
    lead = next(word for word in words if word.startswith("The static code separates"))
    assert f"speakers with an equal error rate of {scores['static_eer']['mean']:.1%}" in lead
    scores |= {"probe": {}, "left_out": {"probe of the speaker": "1 of 2 <classes>"}}
    scores["static_eer"]["interval"] = None
    write_scores(tmp_path, "verification", scores)
    words = "".join(Page(write_report(tmp_path).read_text()).words)
    assert "probe of the speaker is not scored: 1 of 2 <classes>." in words


def listed(folder):
    index = json.loads((folder / "sounds" / "sounds.json").read_text())
    order = [one["file"] for pair in index for one in pair["sounds"]]
    return lambda path: order.index(path.name)


def test_recordings_without_labels_are_numbered(tmp_path, data):
    unlabelled = dataclasses.replace(recordings(1), labels={})
    make_pictures(Additive(data.observation), unlabelled, tmp_path)
    index = json.loads((tmp_path / "sounds" / "sounds.json").read_text())
    assert [one["caption"].partition(" ")[0] for one in index[0]["sounds"]][::3] == ["voice", "voice"]
    assert not (tmp_path / "pictures" / "codes.png").exists()  # three recordings show nothing


def test_sounds_repeat_themselves_and_leave_the_global_generator_alone(tmp_path):
    data = recordings(1)
    state = torch.random.get_rng_state()
    for run in "ab":
        make_pictures(Additive(data.observation), data, tmp_path / run)
    assert torch.equal(torch.random.get_rng_state(), state)
    for path in [*(tmp_path / "a" / "sounds").iterdir(), *(tmp_path / "a" / "pictures").iterdir()]:
        assert path.read_bytes() == (tmp_path / "b" / path.parent.name / path.name).read_bytes()


def test_a_test_split_of_one_recording_is_shown_beside_others(tmp_path, data):
    test = data.splits["test"]
    one = dataclasses.replace(data, splits=data.splits | {"test": test[data.split("test").recordings[0]]})
    assert len(one.split("test").recordings) == 1 and len(one.splits["test"]) > 1
    make_pictures(Additive(data.observation), one, tmp_path)
    assert (tmp_path / "pictures" / "exchange1.png").is_file()
