"""Other voices of a recording: pitch and formants move by their factors, the rest stays."""

import math

import numpy as np
import pytest
import torch

from unbraid.data.formats.other_voices import (
    OtherVoice,
    check_other_voices,
    draw_voices,
    with_other_voices,
)
from unbraid.data.formats.spectra import features_in_blocks, layout_of, mel_bands, to_features
from unbraid.data.sets.voices import voices

RATE = 16000


def in_voices(sound, *others, kind="mel80", rate=RATE):
    return np.concatenate(
        list(with_other_voices([sound], kind, rate, [OtherVoice(*each) for each in others]))
    )


def features(sound):
    return to_features(torch.from_numpy(sound)[None], "mel80", RATE)[0].numpy()


def hum(hertz, seconds=0.4, rate=RATE):
    """All harmonics of a pitch, equally strong, in a little noise."""
    time = np.arange(int(seconds * rate)) / rate
    tones = [np.sin(2 * math.pi * hertz * n * time + n * n) for n in range(1, int(rate / 2 / hertz))]
    noise = 0.5 * np.random.default_rng(0).standard_normal(len(time))
    return (0.02 * (np.sum(tones, 0) + noise)).astype(np.float32)


def test_the_same_voice_is_the_recording():
    sound = voices.render("jeja", 3, 16, 0.4)
    own, same = in_voices(sound, (1.0, 1.0)).transpose(1, 0, 2)
    np.testing.assert_array_equal(own, features(sound))
    np.testing.assert_allclose(same, own, atol=1e-4)


@pytest.mark.parametrize("factor", [0.7, 1.25, 1.6])
def test_harmonics_are_those_of_the_other_pitch(factor):
    """Below 1 kHz, where mel bands tell harmonics apart; the features of a hum at the factor's pitch are known."""
    low = slice(2, 30)
    own, changed = in_voices(hum(200), (factor, 1.0))[5:-5].transpose(1, 0, 2)
    wanted = features(hum(200 * factor))[5:-5]

    def agreement(a):
        a, b = (each[:, low] - each[:, low].mean(1, keepdims=True) for each in (a, wanted))
        return (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())

    assert agreement(changed) > 0.8 and agreement(changed) > agreement(own) + 0.3


@pytest.mark.parametrize("factor", [0.87, 1.15])
def test_formants_move_and_the_pitch_stays(factor):
    """A hill in the spectrum of noise at 1500 Hz goes to its place; harmonics of a hum stay where they are."""
    random = np.random.default_rng(0)
    spectrum = np.fft.rfft(random.standard_normal(RATE))
    spectrum *= 0.01 + np.exp(-0.5 * ((np.arange(len(spectrum)) - 1500) / 250) ** 2)
    noise = np.fft.irfft(spectrum).astype(np.float32)
    centres = mel_bands(layout_of("mel80", RATE), torch.zeros(1)).argmax(1).numpy() * RATE / 400

    def place(values):
        weight = np.exp(values[5:-5].mean(0))
        return (weight * centres).sum() / weight.sum()

    own, moved = in_voices(noise, (1.0, factor)).transpose(1, 0, 2)
    assert place(moved) / place(own) == pytest.approx(factor, abs=0.03)
    own, moved = in_voices(hum(200), (1.0, factor))[5:-5].transpose(1, 0, 2)
    assert np.abs(moved - own)[:, 2:60].mean() < 0.5 < np.abs(features(hum(200 * factor))[5:-5] - own).mean()


def test_a_voice_is_like_the_one_that_is_rendered():
    """A word at another pitch: nearer to the same word rendered there than the recording is."""
    for word, pitch, factor in (("mama", 0, 1.4), ("susi", 10, 0.7), ("kiko", 4, 1.3)):
        own, changed = in_voices(voices.render(word, pitch, 16, 0.2), (factor, 1.0))[6:-6].transpose(1, 0, 2)
        wanted = features(voices.render(word, pitch + 12 * math.log2(factor), 16, 0.2))[6:-6]
        before, after = (np.corrcoef(each.ravel(), wanted.ravel())[0, 1] for each in (own, changed))
        assert after > 0.94 and 1 - after < 0.7 * (1 - before)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_blocks_give_those_of_the_whole_sound(rate):
    sound = hum(150, 0.5, rate) + 0.001 * np.random.default_rng(0).standard_normal(rate // 2).astype(
        np.float32
    )
    other = [OtherVoice(1.5, 0.9), OtherVoice(0.7, 1.1)]
    whole = np.concatenate(list(with_other_voices([sound], "mel40", rate, other)))
    parts = np.concatenate(list(with_other_voices(np.array_split(sound, 7), "mel40", rate, other)))
    plain = np.concatenate(list(features_in_blocks([sound], "mel40", rate)))
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(whole[:, 0], plain)
    assert whole.shape == (len(plain), 3, 40)


def test_silence_stays_on_the_floor():
    silent = in_voices(np.zeros(4000, np.float32), (1.3, 1.1))
    assert np.isfinite(silent).all() and (silent == -20).all()


def test_voices_are_drawn_within_their_range():
    drawn = np.log([each for number in range(200) for each in draw_voices(3, 0, number)])
    assert draw_voices(3, 0, 5) == draw_voices(3, 0, 5) != draw_voices(3, 1, 5)
    assert 0.45 < np.abs(drawn[:, 0]).max() <= 0.5 and 0.14 < np.abs(drawn[:, 1]).max() <= 0.15
    assert np.abs(drawn.mean(0)).max() < 0.03


def test_other_features_and_counts_are_refused():
    with pytest.raises(ValueError, match="features is 'spec200'; choose mel80"):
        check_other_voices(8, "spec200")
    with pytest.raises(ValueError, match="other_voices: is -1"):
        check_other_voices(-1, "mel80")
    check_other_voices(0, "spec200")


def test_a_data_set_keeps_them(tmp_path):
    """Scaled and padded as the recordings, in 16 bits; the recordings and the fingerprint are those without."""
    plain = voices.load(cache=tmp_path, speakers=10)
    data = voices.load(cache=tmp_path, speakers=10, other_voices=2)
    again = voices.load(cache=tmp_path, speakers=10, other_voices=2)
    assert data.fingerprint == plain.fingerprint and plain.other_voices is None
    np.testing.assert_array_equal(data.x, plain.x)
    assert data.other_voices.shape == (100, 2, *data.x.shape[1:]) and data.other_voices.dtype == np.float16
    np.testing.assert_array_equal(data.other_voices, again.other_voices)
    inside = data.observed()
    for number in range(2):
        voice = data.other_voices[:, number].astype(np.float32)
        assert not voice[~inside].any()
        agreement = np.corrcoef(voice[inside].ravel(), data.x[inside].ravel())[0, 1]
        assert 0.6 < agreement < 0.99
    rows = np.array([3, 50, 7])
    np.testing.assert_array_equal(data.take(rows).other_voices, data.other_voices[rows])
