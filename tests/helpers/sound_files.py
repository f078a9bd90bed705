"""Tiny recordings for the tests: tones, in WAV and NIST SPHERE files."""

import struct

import numpy as np


def tone(pitch, samples=4000, sampling_rate=8000, level=0.3):
    t = np.arange(samples) / sampling_rate
    voice = sum(np.sin(2 * np.pi * n * pitch * t) / n for n in (1, 2, 3))
    return level * voice * (1 + 0.3 * np.sin(2 * np.pi * 3 * t)) / 2


def to_pcm(samples):
    return np.round(32767 * np.asarray(samples)).astype("<i2")


def write_wav(path, samples, sampling_rate=8000):
    """A RIFF file of 16 bits, `samples` `(n,)` or `(n, channels)`, written by hand."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = to_pcm(samples)
    channels = 1 if data.ndim == 1 else data.shape[1]
    head = struct.pack("<HHIIHH", 1, channels, sampling_rate, 2 * channels * sampling_rate, 2 * channels, 16)
    body = (
        b"WAVEfmt "
        + struct.pack("<I", len(head))
        + head
        + b"data"
        + struct.pack("<I", data.nbytes)
        + data.tobytes()
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def write_sphere(path, samples, sampling_rate=16000, coding="pcm", order="01"):
    """A NIST SPHERE file as on TIMIT's disc: a head of 1024 bytes, then samples of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = to_pcm(samples)
    fields = [
        "NIST_1A",
        "   1024",
        "database_id -s5 TIMIT",
        "channel_count -i 1",
        f"sample_count -i {len(data)}",
        f"sample_rate -i {sampling_rate}",
        "sample_n_bytes -i 2",
        f"sample_byte_format -s2 {order}",
        "sample_sig_bits -i 16",
        f"sample_coding -s{len(coding)} {coding}",
        "end_head",
    ]
    head = "\n".join(fields).encode() + b"\n"
    if order == "10":
        data = data.astype(">i2")
    path.write_bytes(head.ljust(1024) + data.tobytes())
