import builtins
import os

import numpy as np
import pytest
import soundfile
import soxr
from sound_files import to_pcm, tone, write_sphere, write_wav

from unbraid.data.formats.sounds import cut, open_audio, read_audio, recorded_rate


def test_wav(tmp_path):
    write_wav(tmp_path / "a.wav", tone(200))
    found = read_audio(tmp_path / "a.wav")
    assert found.sampling_rate == recorded_rate(tmp_path / "a.wav") == 8000 and not found.remarks
    assert found.samples.dtype == np.float32
    assert np.array_equal(found.samples, to_pcm(tone(200)) / np.float32(32768))


@pytest.mark.parametrize("order", ["01", "10"])
def test_sphere(tmp_path, order):
    write_sphere(tmp_path / "A.WAV", tone(200, 3000), order=order)
    found = read_audio(tmp_path / "A.WAV")
    assert found.sampling_rate == 16000
    assert np.array_equal(found.samples, to_pcm(tone(200, 3000)) / np.float32(32768))


@pytest.mark.parametrize("ending", [".flac", ".ogg", ".mp3", ".aiff", ".au"])
def test_other_forms(tmp_path, ending):
    soundfile.write(tmp_path / f"a{ending}", tone(200, 8000), 8000)
    found = read_audio(tmp_path / f"a{ending}")
    power = np.abs(np.fft.rfft(found.samples[1000:7000]))
    assert np.argmax(power) * 8000 / 6000 == pytest.approx(200, abs=3)


def test_channels_are_mixed_and_said(tmp_path):
    left, right = tone(200), tone(300)
    write_wav(tmp_path / "a.wav", np.stack([left, right], 1))
    found = read_audio(tmp_path / "a.wav")
    assert np.abs(found.samples - (left + right) / 2).max() < 1e-4
    assert found.remarks == ("mixed down from 2 channels",)


@pytest.mark.parametrize("given", [16000, 11025, 4000])
def test_resampling_keeps_what_is_heard_and_is_said(tmp_path, given):
    write_wav(tmp_path / "a.wav", tone(200, given, given), given)
    found = read_audio(tmp_path / "a.wav", 8000)
    assert found.sampling_rate == 8000 and abs(len(found.samples) - 8000) <= 1
    assert np.abs(found.samples[500:7500] - tone(200, 8000)[500:7500]).max() < 0.01
    assert found.remarks == (f"resampled from {given} to 8000 Hz",)


def test_resampling_leaves_no_mirror_of_high_tones(tmp_path):
    write_wav(
        tmp_path / "a.wav", tone(200, 16000, 16000) + 0.2 * np.sin(np.pi * 0.75 * np.arange(16000)), 16000
    )
    found = read_audio(tmp_path / "a.wav", 8000)  # the 6 kHz tone must not come back at 2 kHz
    assert np.abs(found.samples[500:7500] - tone(200, 8000)[500:7500]).max() < 0.01


def test_clipping_is_said(tmp_path):
    write_wav(tmp_path / "loud.wav", np.clip(5 * tone(200), -1, 1))
    (remark,) = read_audio(tmp_path / "loud.wav").remarks
    assert remark.startswith("clipped")
    touching = tone(200)
    touching[100] = 1.0
    write_wav(tmp_path / "fine.wav", touching)
    assert not read_audio(tmp_path / "fine.wav").remarks


def leave_text(path):
    path.write_text("this is no sound")


def leave_nothing(path):
    path.write_bytes(b"")


def leave_no_samples(path):
    write_wav(path, np.zeros(0))


def leave_silence(path):
    write_wav(path, np.zeros(4000))


def leave_a_hum_of_nothing(path):
    write_wav(path, np.full(4000, 0.25))


def cut_off(path):
    os.truncate(path, path.stat().st_size // 2)


def leave_nan(path):
    samples = tone(200).astype(np.float32)
    samples[2000] = np.nan
    soundfile.write(path, samples, 8000, subtype="FLOAT")


def leave_infinity(path):
    samples = tone(200).astype(np.float32)
    samples[400] = np.inf
    soundfile.write(path, samples, 8000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (leave_text, "is damaged or not audio"),
        (leave_nothing, "is an empty file"),
        (leave_no_samples, "holds no sound"),
        (leave_silence, "is silent"),
        (leave_a_hum_of_nothing, "is silent"),
        (cut_off, "is truncated"),
        (leave_nan, r"holds NaN or infinity at 0\.250 s"),
        (leave_infinity, r"holds NaN or infinity at 0\.050 s"),
    ],
)
def test_refused(tmp_path, damage, message):
    path = tmp_path / "bad.wav"
    write_wav(path, tone(200))
    damage(path)
    with pytest.raises(ValueError, match=rf"bad\.wav: {message}") as error:
        read_audio(path)
    assert "\n" not in str(error.value)


def test_refused_sphere(tmp_path):
    path = tmp_path / "SA1.WAV"
    write_sphere(path, tone(200), coding="pcm,embedded-shorten-v2.00")
    with pytest.raises(ValueError, match=r"SA1\.WAV: is compressed with shorten.*sph2pipe -f wav"):
        read_audio(path)
    with pytest.raises(ValueError, match="compressed with shorten"):
        recorded_rate(path)
    write_sphere(path, tone(200))
    cut_off(path)
    with pytest.raises(ValueError, match=r"SA1\.WAV: is truncated"):
        read_audio(path)
    path.write_bytes(path.read_bytes().replace(b"sample_count", b"sample_cuont"))
    with pytest.raises(ValueError, match=r"SA1\.WAV: .* no sample_count"):
        read_audio(path)


def test_without_the_extra(tmp_path, monkeypatch):
    write_wav(tmp_path / "a.wav", tone(200))
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "soundfile":
            raise ImportError("No module named 'soundfile'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install '\.\[audio\]'"):
        read_audio(tmp_path / "a.wav")


def test_segments_follow_one_another():
    assert cut(65, "segment", None) == [(0, 20), (20, 20), (40, 20)]
    assert cut(65, "segment", 30) == [(0, 30), (30, 30)]
    assert cut(20, "segment", None) == [(0, 20)]
    assert cut(13, "segment", None) == [(0, 13)]  # kept, though it fills no segment


def test_utterances_stay_whole_or_are_cut_evenly():
    assert cut(65, "utterance", None) == cut(65, "utterance", 65) == [(0, 65)]
    assert cut(65, "utterance", 64) == [(0, 32), (32, 33)]
    for frames in range(2, 90):
        pieces = cut(frames, "utterance", 7)
        assert sum(length for _, length in pieces) == frames
        assert all(1 < length <= 7 for _, length in pieces) or frames < 4
        assert [start + length for start, length in pieces[:-1]] == [start for start, _ in pieces[1:]]


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
def test_the_checksum_of_flac_is_compared(tmp_path, subtype):
    path = tmp_path / "a.flac"
    stereo = np.stack([tone(200, 400_000), tone(90, 400_000)], 1)  # more than one block
    soundfile.write(path, stereo, 8000, subtype)
    read_audio(path)
    content = bytearray(path.read_bytes())
    fewer = content.copy()
    fewer[24:26] = b"\1\0"  # the number of samples, which is read no further
    other = content.copy()
    other[30] ^= 64
    for damaged in (fewer, other):
        path.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"a\.flac: is damaged, its samples are not those of its checksum"
        ):
            read_audio(path)
    content[26:42] = bytes(16)  # left out, as by some encoders
    path.write_bytes(content)
    read_audio(path)


@pytest.mark.parametrize("rate", [1, 999, 2**31 - 1])
def test_rates_that_no_sound_has(tmp_path, rate):
    write_wav(tmp_path / "a.wav", tone(200), rate)
    with pytest.raises(ValueError, match=f"a.wav: is damaged, it declares {rate} samples per second"):
        read_audio(tmp_path / "a.wav", 16000)


@pytest.mark.parametrize("rates", [(8000, None), (44100, 16000), (8000, 11025)])
def test_blocks_are_the_whole_sound(tmp_path, rates):
    recorded, wanted = rates
    samples = tone(200, 600_000)
    write_wav(tmp_path / "a.wav", samples, recorded)
    file = open_audio(tmp_path / "a.wav", wanted)
    blocks = list(file.blocks())
    assert len(blocks) > 2 and sum(map(len, blocks)) == file.samples
    expected = to_pcm(samples).astype(np.float32) / 32768
    if wanted:
        expected = soxr.resample(expected, recorded, wanted)
    np.testing.assert_array_equal(np.concatenate(blocks), expected)
