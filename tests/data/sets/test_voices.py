"""Voices: pitch, formants and breath are measured again in the sound, by autocorrelation and linear prediction."""

from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from unbraid.data.formats.spectra import frame_count
from unbraid.data.sets.voices import voices
from unbraid.data.sets.voices.speech import HOP, RATE, WORDS, pronounce
from unbraid.testing import check_dataset

SEMITONE = 2 ** (1 / 12)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return voices.load(cache=tmp_path_factory.mktemp("voices"), speakers=20)


def hertz(semitones):
    return 100 * SEMITONE**semitones


def middle_of_last_vowel(sound, seconds=0.06, before_end=0.04 + 0.07):
    """A piece of a word of pace 1: its last vowel lasts 0.15 s and 0.04 s of silence follow."""
    end = len(sound) - round((before_end - seconds / 2) * RATE)
    return sound[end - round(seconds * RATE) : end]


def autocorrelation(piece):
    piece = piece - piece.mean()
    full = np.correlate(piece, piece, "full")[len(piece) - 1 :]
    return full / (len(piece) - np.arange(len(piece))) / (full[0] / len(piece))


def pitch_of(piece, low=70, high=400):
    """Frequency of the highest peak of the autocorrelation below one and a half cycles, and its height."""
    values = autocorrelation(piece)
    first, last = RATE // high, RATE // low
    lags = np.arange(first, last)
    peaks = [k for k in lags if values[k] > values[k - 1] and values[k] >= values[k + 1]]
    best = max(values[k] for k in peaks)
    lag = next(k for k in peaks if values[k] > 0.9 * best)  # the first: later ones are multiples of the cycle
    left, top, right = values[lag - 1 : lag + 2]
    return RATE / (lag + 0.5 * (left - right) / (left - 2 * top + right)), top


def resonances(piece, order=20):
    """Frequencies of the sharp poles of linear prediction, in ascending order."""
    piece = lfilter([1, -0.97], [1], piece) * np.hamming(len(piece))
    r = np.correlate(piece, piece, "full")[len(piece) - 1 :][: order + 1]
    r[0] *= 1 + 1e-6
    poles = np.roots(np.concatenate([[1], -solve_toeplitz(r[:-1], r[1:])]))
    poles = poles[(poles.imag > 0) & (-np.log(np.abs(poles)) * RATE / np.pi < 600)]
    return np.sort(np.angle(poles) * RATE / (2 * np.pi))


@pytest.mark.parametrize("pitch", [-3, 2, 7, 12, 16])
@pytest.mark.parametrize("breathiness", [0.0, 0.5, 1.0])
def test_the_pitch_is_the_planted_one_along_the_melody(pitch, breathiness):
    for melody in ("falling", "rising", "peak"):
        sound = voices.render("mama", pitch, 16, breathiness, melody)
        said = pronounce("mama", melody, 1.0)
        off = []
        for middle in range(round(0.15 * RATE), round(0.24 * RATE), 160):  # the first vowel
            piece = sound[middle - 320 : middle + 320]
            planted = hertz(pitch + said.at(said.bend, np.array([middle]))[0])
            off.append(pitch_of(piece)[0] / planted - 1)
        assert np.abs(np.median(off)) < 0.02
        assert (
            np.mean(np.abs(off) < 0.05) > 0.75
        )  # in a breathy voice some pieces are taken for another octave


@pytest.mark.parametrize(
    ("word", "formants"),
    [("mama", (750, 1250)), ("neni", (300, 2250)), ("kiko", (480, 900)), ("wowu", (330, 750))],
)
def test_the_formants_are_where_they_were_planted(word, formants):
    for tract_length in (14.0, 18.5):
        piece = middle_of_last_vowel(voices.render(word, -1, tract_length, 0.0))
        measured = resonances(piece)
        for planted in formants:
            planted *= 17.5 / tract_length
            assert np.abs(measured / planted - 1).min() < 0.08, (planted, measured)


def test_a_longer_tract_moves_all_formants_down_together():
    short, long = (
        resonances(middle_of_last_vowel(voices.render("mama", -1, length, 0.0)))[:4]
        for length in (14.0, 18.0)
    )
    np.testing.assert_allclose(short / long, 18 / 14, rtol=0.06)


def test_breathy_voices_are_noisier():
    heights = [
        pitch_of(middle_of_last_vowel(voices.render("mama", 5, 16, breathiness)))[1]
        for breathiness in (0.2, 0.6, 1.0)
    ]
    sharp = [
        (np.diff(s, 3) ** 2).mean() / (s**2).mean()
        for s in (middle_of_last_vowel(voices.render("mama", 5, 16, b)) for b in (0.2, 0.6, 1.0))
    ]
    assert heights[0] > 0.85 and np.all(np.diff(heights) < 0)
    assert np.all(np.diff(sharp) > 0)


def test_words_show_voice_closures_and_hiss():
    susi, tatu, mama = (voices.render(word, 4, 16, 0.2) for word in ("susi", "tatu", "mama"))

    def power(sound, start, end, low=0, high=RATE / 2):
        piece = sound[round(start * RATE) : round(end * RATE)]
        spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)))) ** 2 / len(piece)
        bins = np.fft.rfftfreq(len(piece), 1 / RATE)
        return spectrum[(bins >= low) & (bins < high)].sum()

    hiss, vowel = (0.06, 0.12), (0.18, 0.26)
    assert power(susi, *hiss, 4000) > 20 * power(susi, *hiss, 0, 3000)
    assert power(susi, *vowel, 0, 3000) > 20 * power(susi, *vowel, 4000)
    assert power(tatu, 0.05, 0.09) < 1e-3 * power(tatu, *vowel)
    assert power(mama, 0.06, 0.1) > 1e-2 * power(mama, *vowel)


def test_a_faster_pace_is_shorter():
    lengths = [len(voices.render("mama", 4, 16, 0.2, pace=pace)) / RATE - 0.08 for pace in (0.75, 1.0, 1.33)]
    np.testing.assert_allclose(np.array(lengths) / lengths[1], [1 / 0.75, 1, 1 / 1.33], rtol=0.03)


def test_shapes_labels_and_splits(data):
    assert data.kind == "sound" and data.x.shape[0] == 200 and data.x.shape[2] == 80
    assert {name: label.kind for name, label in data.labels.items()} == {
        "speaker": "static",
        "word": "dynamic",
        "pace": "dynamic",
        "melody": "dynamic",
    }
    pairs = np.stack([data.labels[name].values for name in ("speaker", "word")], 1)
    assert len(np.unique(pairs, axis=0)) == 200
    people = {name: set(data.labels["speaker"].values[rows]) for name, rows in data.splits.items()}
    assert [len(people[name]) for name in ("train", "validation", "test")] == [14, 2, 4]
    assert sum(map(len, people.values())) == len(set.union(*people.values()))


def test_static_targets_are_those_of_the_speaker(data):
    who = data.labels["speaker"].values
    for name in ("pitch", "tract_length", "breathiness"):
        values = data.targets[name]
        assert all(len(np.unique(values[who == speaker])) == 1 for speaker in range(20))
        assert len(np.unique(values)) == 20


def test_seen_speakers_say_other_words_in_each_split(tmp_path):
    data = voices.load(cache=tmp_path, speakers=10, unseen=False)
    who, what = data.labels["speaker"].values, data.labels["word"].values
    words = {name: [set(what[rows][who[rows] == s]) for s in range(10)] for name, rows in data.splits.items()}
    for speaker in range(10):
        assert [len(words[name][speaker]) for name in ("train", "validation", "test")] == [7, 1, 2]
        assert len(set.union(*(of[speaker] for of in words.values()))) == 10
    for name in words:
        assert set.union(*words[name]) == set(range(10))


def test_frame_targets_follow_the_features(data):
    frames = np.arange(data.steps) < data.lengths[:, None]
    voiced = data.targets["voiced"]
    np.testing.assert_array_equal(~np.isnan(voiced), frames)
    loud = data.scaling.invert(data.x)[..., :20].mean(2)[:, 2:-2]  # log power below 500 Hz
    near = np.stack([voiced[:, shift : shift + data.steps - 4] for shift in range(5)])
    hum, rest = (
        loud[(near == 1).all(0)],
        loud[(near == 0).all(0)],
    )  # away from where the voice begins and ends
    border = (np.median(hum) + np.median(rest)) / 2
    assert np.mean(hum > border) > 0.97 and np.mean(rest < border) > 0.97
    for name in ("melody_bend", "openness", "frontness"):
        np.testing.assert_array_equal(~np.isnan(data.targets[name]), voiced == 1)


def test_segments_cut_the_frame_targets_with_the_frames(tmp_path):
    whole = voices.load(cache=tmp_path, speakers=10)
    cut = voices.load(cache=tmp_path, speakers=10, segment="segment", steps=20)
    long = np.flatnonzero(whole.lengths >= 40)
    second = np.array([np.flatnonzero(cut.groups == row)[1] for row in long])
    assert len(long) > 90
    np.testing.assert_allclose(cut.x[second], whole.x[long, 20:40], atol=1e-3)
    for name in ("voiced", "melody_bend"):
        np.testing.assert_array_equal(cut.targets[name][second], whole.targets[name][long, 20:40])
    np.testing.assert_array_equal(cut.targets["pitch"][second], whole.targets["pitch"][long])


def test_every_frame_of_a_sound_has_a_target():
    for word in WORDS:
        said = pronounce(word, "peak", 1.1)
        sound = voices.render(word, 4, 16, 0.2, "peak", 1.1)
        assert len(sound) == said.samples == len(said.voice) * HOP
        assert frame_count(len(sound)) == len(voices._frame_targets(said, "mel80")["voiced"])
        assert np.isfinite(sound).all() and np.abs(sound).max() <= 1


def test_the_contract():
    check_dataset("voices", speakers=10)


def test_seeds_give_other_voices_and_the_same_ones_again(data, tmp_path):
    again = voices.load(cache=tmp_path / "again", speakers=20)
    other = voices.load(cache=tmp_path / "other", speakers=20, seed=1)
    assert again.fingerprint == data.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speakers": 9}, "speakers: is 9; give a whole number from 10 upward"),
        ({"unseen": "no"}, "unseen: is 'no'; choose True or False"),
        ({"features": "mel90"}, "features: no kind is called 'mel90'"),
        ({"segment": "word"}, "segment: is 'word'"),
        ({"steps": 1}, "steps: is 1"),
        ({"root": Path("somewhere")}, "root: voices are made by code, not read, found somewhere"),
    ],
)
def test_refused_options(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        voices.load(cache=tmp_path, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"word": "hello"}, "word: is 'hello'"),
        ({"melody": "flat"}, "melody: is"),
        ({"pace": 0}, "pace: is 0"),
    ],
)
def test_refused_renderings(changed, message):
    with pytest.raises(ValueError, match=message):
        voices.render(**{"word": "mama", "pitch": 0, "tract_length": 16, "breathiness": 0, **changed})
