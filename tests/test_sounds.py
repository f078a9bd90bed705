import wave

import numpy as np
import pytest
import torch
from tones import RATE, VOICES, WORDS, Additive, recordings, waveform

from unbraid.data.formats.spectra import to_features
from unbraid.data.sequences import Sequences
from unbraid.sounds import decibels, exchange, hear, joined, write_wav


def read(path):
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767, file.getframerate()


def loudest_frequency(sound):
    return np.fft.rfftfreq(len(sound), 1 / RATE)[np.abs(np.fft.rfft(sound)).argmax()]


def find(data, voice, word):
    """The sequences of the first recording in which a voice says a word."""
    labels = data.labels["speaker"].values, data.labels["word"].values
    return data.take(
        next(rows for rows in data.recordings if (labels[0][rows[0]], labels[1][rows[0]]) == (voice, word))
    )


@pytest.mark.parametrize("scale", [0.003, 1, 40])
def test_a_wav_file_has_its_peak_below_full_scale(tmp_path, scale):
    sound = scale * waveform(0, 0)
    found, rate = read(write_wav(tmp_path / "a.wav", sound, RATE))
    assert rate == RATE and len(found) == len(sound)
    assert np.abs(found).max() == pytest.approx(0.9, abs=1e-4)
    np.testing.assert_allclose(found / 0.9, sound / np.abs(sound).max(), atol=1e-4)


def test_silence_stays_silent(tmp_path):
    assert np.abs(read(write_wav(tmp_path / "a.wav", np.full(100, 1e-6), RATE))[0]).max() == 0
    assert len(read(write_wav(tmp_path / "b.wav", np.zeros(0), RATE))[0]) == 0


@pytest.mark.parametrize("kind", ["mel80", "spec200", "linear201"])
@pytest.mark.parametrize("voice", [0, 2])
def test_scaled_features_are_heard_at_their_pitch(kind, voice):
    data = recordings(1, kind=kind)
    words = find(data, voice, 1)
    x = joined(words.batch(slice(None)).x, words)
    sound = hear(x, data)
    assert loudest_frequency(sound) == pytest.approx(VOICES[voice], abs=150)
    again = to_features(torch.from_numpy(sound)[None], kind, RATE)[0].numpy()
    loud, heard = data.scaling.invert(x).max(1), again.max(1)
    count = min(len(loud), len(heard))
    assert np.corrcoef(loud[:count], heard[:count])[0, 1] > 0.95
    assert np.abs(loud[:count] - heard[:count]).mean() < 0.25 * np.ptp(
        loud
    )  # the units are those of the recording


def test_what_was_not_sound_is_not_heard():
    data = Sequences(np.zeros((3, 4, 80), np.float32))
    for function in (hear, decibels):
        with pytest.raises(ValueError, match="was not made of sound"):
            function(np.zeros((4, 80), np.float32), data)


@pytest.mark.parametrize("kind", ["mel80", "spec200", "linear201"])
def test_ten_times_the_amplitude_is_twenty_decibels(kind):
    data = recordings(1, kind=kind)
    sounds = torch.from_numpy(waveform(1, 0))[None]
    soft, loud = (
        decibels(data.scaling.apply(to_features(s, kind, RATE)[0].numpy()), data)
        for s in (0.1 * sounds, sounds)
    )
    strong = loud > loud.max() - 40
    np.testing.assert_allclose((loud - soft)[strong], 20, atol=0.05)


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_recording_is_joined_without_padding(pieces):
    data = recordings(1, pieces)
    whole = recordings(1)
    for number, rows in enumerate(data.recordings):
        part = data.take(rows)
        one = whole.take(whole.recordings[number])
        np.testing.assert_array_equal(joined(part.batch(slice(None)).x, part), one.x[0, : one.lengths[0]])


@pytest.mark.parametrize("pieces", [1, 2])
def test_exchanged_has_the_timbre_of_the_one_and_the_timing_of_the_other(pieces, tmp_path):
    data = recordings(1, pieces)
    voice, words = find(data, 2, 1), find(data, 0, 0)
    model = Additive(data.observation)
    x, given = (exchange(model, v, words) for v in (voice, words))
    if pieces == 1:  # with more, s is the mean over the pieces, and the piece's own mean is lost
        np.testing.assert_allclose(given, joined(words.batch(slice(None)).x, words), atol=1e-5)
        theirs = joined(voice.batch(slice(None)).x, voice)
        np.testing.assert_allclose(x.mean(0), theirs.mean(0), atol=1e-4)
        np.testing.assert_allclose(x - x.mean(0), given - given.mean(0), atol=1e-4)
    assert x.shape == given.shape
    found, _ = read(write_wav(tmp_path / "a.wav", hear(x, data), RATE))
    assert loudest_frequency(found) == pytest.approx(VOICES[2], abs=150)
    if pieces == 1:
        quarters = [np.square(part).mean() for part in np.array_split(found, 4)]
        loud, soft = ([q for q, on in zip(quarters, WORDS[0], strict=True) if on == o] for o in "10")
        assert min(loud) > 5 * max(soft)


def test_exchanging_with_oneself_is_the_reconstruction():
    data = recordings(1)
    one = find(data, 1, 1)
    model = Additive(data.observation)
    batch = one.batch(slice(None))
    expected = model.reconstruct(batch.x, batch.mask)[0].detach().numpy()
    np.testing.assert_allclose(exchange(model, one, one), expected[: one.lengths[0]], atol=1e-6)
