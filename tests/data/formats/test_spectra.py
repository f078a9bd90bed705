import time

import librosa
import numpy as np
import pytest
import scipy.signal
import torch

from unbraid.data.formats import spectra as audio_features
from unbraid.data.formats.spectra import (
    FEATURES,
    feature_names,
    features_in_blocks,
    frame_count,
    frame_rate,
    to_features,
    to_waveform,
)

KINDS = tuple(FEATURES)


def noise(samples, batch=1, seed=0):
    """Noise whose loudness and colour change, so that all bands and levels are met."""
    white = np.random.default_rng(seed).standard_normal((batch, samples))
    coloured = scipy.signal.lfilter([0.1], [1, -0.9], white)
    return torch.from_numpy(coloured * np.linspace(0.01, 1, samples)).float()


def harmonics(pitch, sampling_rate, seconds=0.6):
    """A voiced sound: harmonics of `pitch` that fall off by 1/n."""
    t = torch.arange(int(seconds * sampling_rate)) / sampling_rate
    count = int(0.45 * sampling_rate / pitch)
    return 0.2 * sum(torch.sin(2 * torch.pi * n * pitch * t + n * n) / n for n in range(1, count + 1))


def pitch_of(waveform, sampling_rate):
    """The strongest period between 60 and 400 Hz, from the autocorrelation."""
    power = torch.fft.rfft(waveform.double(), 2 * len(waveform)).abs().square()
    correlation = torch.fft.irfft(power)[: len(waveform)]
    shortest, longest = sampling_rate // 400, sampling_rate // 60
    return sampling_rate / (shortest + correlation[shortest:longest].argmax().item())


def librosa_features(waveform, kind, sampling_rate):
    """The same features by librosa, without the logarithm."""
    seconds, shift = (0.02, 165 / 16000) if kind == "linear201" else (0.025, 0.01)
    window, shift = round(seconds * sampling_rate), round(shift * sampling_rate)
    fft = 400 if not kind.startswith("mel") else window if sampling_rate >= 16000 else 512
    if kind == "linear201":
        return np.abs(librosa.stft(waveform, n_fft=fft, hop_length=shift, win_length=window)).T
    if kind.startswith("mel"):
        waveform = librosa.effects.preemphasis(waveform, coef=0.97, zi=[-0.97 * waveform[0]])
    waveform = np.pad(waveform, (fft - window) // 2 + np.array([0, (fft - window) % 2]))
    if kind.startswith("mel"):
        bands = librosa.feature.melspectrogram(
            y=waveform, sr=sampling_rate, n_fft=fft, hop_length=shift, win_length=window, window="hamming",
            center=False, power=2.0, n_mels=int(kind[3:]), fmin=20.0, htk=True, norm=None,
        )  # fmt: skip
        return bands.T
    root = np.sqrt(librosa.filters.get_window("hann", window))
    spectrum = librosa.stft(
        waveform, n_fft=fft, hop_length=shift, win_length=window, window=root, center=False
    )
    return np.abs(spectrum).T[:, 1:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampling_rate", [8000, 16000])
def test_equal_to_librosa(kind, sampling_rate):
    waveform = noise(sampling_rate)
    expected = librosa_features(waveform[0].double().numpy(), kind, sampling_rate)
    assert expected.shape == (frame_count(sampling_rate, kind, sampling_rate), FEATURES[kind])
    for exact in (True, False):
        x = to_features(waveform.double() if exact else waveform, kind, sampling_rate)[0]
        assert x.dtype == (torch.float64 if exact else torch.float32)
        ours = x.numpy() if kind == "linear201" else np.exp(x.numpy())
        # A single frequency may be next to nothing: in float32 it is compared with the loudest of its frame.
        scale = 0.0 if exact or kind.startswith("mel") else 1e-3 * expected.max(1, keepdims=True)
        assert (np.abs(ours - expected) / np.maximum(expected, scale)).max() < 1e-4


def test_mel_at_other_rates_equals_librosa():
    waveform = noise(22050)
    x = to_features(waveform, "mel80", 22050)[0].exp().numpy()
    assert np.allclose(x, librosa_features(waveform[0].numpy(), "mel80", 22050), rtol=1e-4, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_clips_of_different_lengths_in_one_batch(kind):
    long, short = noise(4000)[0], noise(2345, seed=1)[0]
    batch = torch.stack([long, torch.cat([short, torch.zeros(4000 - 2345)])])
    together = to_features(batch, kind, 8000)
    for clip, x in zip((long, short), together, strict=True):
        alone = to_features(clip[None], kind, 8000)[0]
        assert len(alone) == frame_count(len(clip), kind, 8000)
        assert torch.allclose(x[: len(alone)], alone, atol=1e-5)


def test_long_sounds_are_transformed_in_blocks(monkeypatch):
    waveform = noise(8000, batch=2)
    whole = to_features(waveform, "mel80", 8000)
    monkeypatch.setattr(audio_features, "BLOCK", 7)
    assert torch.allclose(to_features(waveform, "mel80", 8000), whole, atol=1e-5)


def test_counts_and_rates():
    assert [frame_count(n, "mel80", 8000) for n in (0, 199, 200, 279, 280, 8000)] == [0, 0, 1, 1, 2, 98]
    assert frame_count(3200, "linear201", 16000) == 20  # a chunk of the authors' code
    assert frame_rate("mel80", 8000) == 100 and frame_rate("linear201", 16000) == pytest.approx(16000 / 165)


@pytest.mark.parametrize("sampling_rate", [4000, 8000, 11025, 16000, 22050, 44100, 48000])
def test_no_band_is_empty(sampling_rate):
    bands = audio_features._triangles(audio_features.layout_of("mel80", sampling_rate))
    assert bands.sum(1).min() > 0 and bands.min() == 0 and bands.max() <= 1
    names = feature_names("mel80", sampling_rate)
    assert len(set(names)) == 80 and all(name.endswith(" Hz") for name in names)


def test_names():
    assert feature_names("spec200", 16000)[:2] == ("40.0 Hz", "80.0 Hz")
    assert feature_names("linear201", 8000)[::200] == ("0.0 Hz", "4000.0 Hz")


def test_silence_lies_on_the_floor():
    for kind in ("mel80", "mel40", "spec200"):
        assert (to_features(torch.zeros(1, 1000), kind, 8000) == -20).all()
    assert not to_features(torch.zeros(1, 1000), "linear201", 8000).any()


def test_louder_is_a_constant_more():
    waveform = noise(2000)
    x, louder = (to_features(gain * waveform, "mel80", 8000) for gain in (1.0, 10.0))
    assert torch.allclose(louder - x, torch.tensor(2 * np.log(10.0)).float(), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampling_rate", [8000, 16000])
def test_the_inverse_keeps_pitch_and_features(kind, sampling_rate):
    waveform = harmonics(150.0, sampling_rate)
    x = to_features(waveform[None], kind, sampling_rate)[0]
    heard = to_waveform(x, kind, sampling_rate)
    assert abs(len(heard) - len(waveform)) < 0.03 * sampling_rate
    if kind != "mel40":  # 40 bands do not tell harmonics apart
        assert pitch_of(heard, sampling_rate) == pytest.approx(150, abs=4)
    again = to_features(heard[None], kind, sampling_rate)[0]
    error = (again - x).abs().mean()
    assert error < 0.12 * (x - x.mean(0)).abs().mean().maximum(x.std())
    started = to_waveform(x, kind, sampling_rate, iterations=0)
    assert error < 0.5 * (to_features(started[None], kind, sampling_rate)[0] - x).abs().mean()


def test_the_inverse_follows_what_changes():
    """Silence stays silent, sound stays where it is."""
    waveform = torch.cat([torch.zeros(2000), harmonics(120.0, 8000, 0.25), torch.zeros(2000)])
    heard = to_waveform(to_features(waveform[None], "mel80", 8000)[0], "mel80", 8000)
    assert heard[:1700].abs().max() < 1e-3 and heard[4300:].abs().max() < 1e-3
    level = heard[2300:3700].square().mean().sqrt() / waveform[2300:3700].square().mean().sqrt()
    assert 0.8 < level < 1.25


def test_the_inverse_is_repeatable():
    x = to_features(noise(3000), "mel80", 8000)[0]
    first = to_waveform(x, "mel80", 8000, iterations=3)
    assert torch.equal(first, to_waveform(x, "mel80", 8000, iterations=3))
    assert not torch.equal(first, to_waveform(x, "mel80", 8000, iterations=3, seed=1))


def test_refused():
    with pytest.raises(ValueError, match="no kind is called 'mel8'; did you mean 'mel80'"):
        to_features(torch.zeros(1, 900), "mel8", 8000)
    with pytest.raises(ValueError, match="199 samples are shorter than one window of 200"):
        to_features(torch.zeros(1, 199), "mel80", 8000)
    with pytest.raises(ValueError, match="1000 samples per second are too few"):
        to_features(torch.zeros(1, 900), "mel80", 1000)
    with pytest.raises(ValueError, match="spec200 has 200 frequencies, too few for 22050"):
        frame_count(22050, "spec200", 22050)
    with pytest.raises(ValueError, match="x: has 80 features; mel40 has 40"):
        to_waveform(torch.zeros(5, 80), "mel40", 8000)


def test_two_hundred_times_real_time_on_one_core():
    waveform, threads = noise(48000, batch=16), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = []
        for _ in range(4):
            start = time.thread_time()
            to_features(waveform, "mel80", 16000)
            seconds.append(time.thread_time() - start)
    finally:
        torch.set_num_threads(threads)
    assert 16 * 3 / min(seconds) > 200


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_on_a_gpu(kind):
    waveform = noise(8000, batch=3)
    there, here = to_features(waveform.cuda(), kind, 8000), to_features(waveform, kind, 8000)
    assert there.is_cuda and torch.allclose(there.cpu(), here, atol=1e-3, rtol=1e-4)
    heard = to_waveform(there[0], kind, 8000)
    again = to_features(heard[None], kind, 8000)[0]
    assert heard.is_cuda and (again - there[0]).abs().mean() < 0.25 * there[0].std()


@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize("samples", [100, 200, 5000, 700_000])
def test_blocks_give_the_features_of_the_whole_sound(kind, samples):
    waveform = noise(samples)[0]
    parts = list(features_in_blocks([block.numpy() for block in waveform.split(7777)], kind, 8000))
    if not frame_count(samples, kind, 8000):
        assert parts == []
        return
    expected = to_features(waveform[None], kind, 8000)[0].numpy()
    np.testing.assert_array_equal(np.concatenate(parts), expected)
