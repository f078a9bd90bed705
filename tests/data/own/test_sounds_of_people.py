"""Sounds and label files as people have them. Tests are named after the cases of issue 19."""

import warnings

import numpy as np
import pytest
from PIL import Image

from unbraid.data.features import Features
from unbraid.data.formats.sounds import read_audio
from unbraid.data.load import load as load_path
from unbraid.data.own.frames import load_frames
from unbraid.data.own.labels import read_labels
from unbraid.data.own.sounds import load_sounds
from unbraid.inputs import open_corpus, read_parts
from unbraid.io import save_features
from unbraid.models.build import build_model
from unbraid.remarks import Remark
from unbraid.training import Run

soundfile = pytest.importorskip("soundfile", reason="needs the extra audio")
pytest.importorskip("soxr", reason="needs the extra audio")

RATE = 8000


def tone(pitch=440, seconds=0.5, level=0.5):
    return level * np.sin(2 * np.pi * pitch * np.arange(int(seconds * RATE)) / RATE)


def write(path, samples, subtype="PCM_16"):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, subtype=subtype)
    return path


# ---- one file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFFFDB])
def test_case_16_streamed_wav(tmp_path, size):
    path = write(tmp_path / "a.wav", tone())
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[4:8] = min(size + 36, 0xFFFFFFFF).to_bytes(4, "little")
    content[place : place + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    recording = read_audio(path)
    np.testing.assert_allclose(recording.samples, tone(), atol=1e-3)
    assert recording.remarks == (
        "the header does not say how long the sound is; read to the end of the file",
    )


def test_case_16_a_file_that_was_cut_is_refused(tmp_path):
    path = write(tmp_path / "a.wav", tone())
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="is truncated"):
        read_audio(path)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_case_18_float_in_int16_range(tmp_path, subtype):
    path = write(tmp_path / "a.wav", 32768 * tone(), subtype)
    recording = read_audio(path)
    np.testing.assert_allclose(recording.samples, tone(), atol=1e-6)
    assert recording.remarks == ("its floats are on the scale of 16-bit samples; divided by 32768",)
    loud = read_audio(write(tmp_path / "b.wav", tone(level=1.3), subtype))
    np.testing.assert_allclose(loud.samples, tone(level=1.3), atol=1e-6)
    for level in (20, 2.0**31):
        with pytest.raises(ValueError, match=r"samples reach .*floats must lie in \[-1, 1\]"):
            read_audio(write(tmp_path / "c.wav", tone(level=level), subtype))


def test_case_22_stereo(tmp_path):
    left, right = tone(), tone(700)
    for other, text in ((-left, "all of the sound"), (-0.98 * left, "dB of the sound")):
        path = write(tmp_path / "a.wav", np.stack([left, other], 1), "FLOAT")
        with pytest.raises(ValueError, match=f"its 2 channels cancel each other .*{text}.* choose one"):
            read_audio(path)
        np.testing.assert_allclose(read_audio(path, channel=1).samples, left, atol=1e-6)
        np.testing.assert_allclose(read_audio(path, channel=2).samples, other, atol=1e-6)
        with pytest.raises(ValueError, match="has 2 channels; there is no channel 3"):
            read_audio(path, channel=3)
    for other in (right, 0 * left, left):
        recording = read_audio(write(tmp_path / "a.wav", np.stack([left, other], 1), "FLOAT"))
        np.testing.assert_allclose(recording.samples, (left + other) / 2, atol=1e-6)
    eight = np.zeros((len(left), 8))
    eight[:, 3] = left  # seven channels without a signal
    assert np.ptp(read_audio(write(tmp_path / "b.wav", eight)).samples) > 0


# ---- folders --------------------------------------------------------------------------------------------


def load(folder, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load_sounds(folder, features="mel40", cache=folder.parent / "cache", **options)
    assert all(issubclass(warning.category, Remark) for warning in caught)
    return data, [str(warning.message) for warning in caught]


def test_case_19_m4a(tmp_path):
    own = tmp_path / "own"
    for place in range(4):
        write(own / f"a{place}.wav", tone(200 + 50 * place))
        (own / f"m{place}.m4a").write_bytes(b"x")
        (own / f"._a{place}.wav").write_bytes(b"fork")
    data, said = load(own)
    assert len(set(data.groups.tolist())) == 4
    assert said == [f"{own}: left out 4 files that are not read here: 4 .m4a"]
    for file in own.glob("*.wav"):
        file.unlink()
    with pytest.raises(ValueError, match=r"found \.m4a.*ffmpeg -i sound\.m4a sound\.wav"):
        load_path(own)
    with pytest.raises(ValueError, match=r"holds 0 sound files.*ffmpeg -i sound\.m4a sound\.wav"):
        load(own)


def test_case_06_damaged_sounds(tmp_path):
    own = tmp_path / "own"
    for place in range(8):
        write(own / f"a{place}.wav", tone(200 + 50 * place))
    whole, _ = load(own)
    (own / "a2.wav").write_text("no sound")
    write(own / "a5.wav", np.zeros(4000))
    with pytest.raises(ValueError, match=r"cannot be read: .*a2\.wav: is damaged"):
        load(own)
    data, said = load(own, unusable="leave_out")
    assert (
        "left out 2 of 8 cannot be read: " in said[0]
        and "a2.wav: is damaged" in said[0]
        and "a5.wav: is silent" in said[0]
    )
    assert len(data) == len(whole) * 6 / 8
    owners = [set(data.groups[rows].tolist()) for rows in data.splits.values()]
    assert sum(map(len, owners)) == 6 == len(set.union(*owners))
    config = {
        "name": str(own),
        "features": "mel40",
        "unusable": "leave_out",
        "cache": str(tmp_path / "cache"),
    }
    run = Run(tmp_path, build_model("vae", (40,)), {"data": config})
    save_features(
        Features(data.feature_names, data.units, data.scaling, data.sampling_rate, data.sound), tmp_path
    )
    with pytest.warns(Remark, match="left out 2 of 8"):
        parts = list(read_parts(open_corpus(str(own), run)))
    assert list(dict.fromkeys(name.partition("#")[0] for names, _ in parts for name in names)) == [
        f"a{place}.wav" for place in (0, 1, 3, 4, 6, 7)
    ]
    run.config["data"]["unusable"] = "refuse"


def test_a_sound_run_encodes_without_its_training_folder(tmp_path):
    own = tmp_path / "own"
    for place in range(4):
        write(own / f"a{place}.wav", tone(200 + 50 * place))
    data, _ = load(own)
    run = Run(tmp_path / "run", build_model("vae", (40,)), {"data": {"name": str(own), "features": "mel40"}})
    features = Features(data.feature_names, data.units, data.scaling, data.sampling_rate, data.sound)
    (tmp_path / "run").mkdir()
    save_features(features, tmp_path / "run")
    ((_, first),) = read_parts(open_corpus(str(own / "a1.wav"), run))
    own.rename(tmp_path / "moved")
    ((_, second),) = read_parts(open_corpus(str(tmp_path / "moved" / "a1.wav"), run))
    np.testing.assert_array_equal(second.x, first.x)
    assert second.sound == data.sound and any(np.array_equal(first.x[0], x) for x in data.x)
    for place in range(3):  # a folder that grows after the training does not change what a file is read as
        write(tmp_path / "moved" / f"loud{place}.wav", tone(900, level=0.9))
    ((_, third),) = read_parts(open_corpus(str(tmp_path / "moved" / "a1.wav"), run))
    np.testing.assert_array_equal(third.x, first.x)


# ---- label files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("slash", ["/", "\\"])
def test_case_14_windows_labels(tmp_path, encoding, separator, slash):
    names = [f"{way}/v{place}.gif" for place in range(3) for way in ("walk", "run")]
    lines = [separator.join(("file", "who"))] + [
        separator.join((name.replace("/", slash), f"pä{place}")) for place, name in enumerate(names)
    ]
    path = tmp_path / "labels.csv"
    path.write_bytes("\r\n".join(lines).encode(encoding))
    assert read_labels(path, names) == {"who": [f"pä{place}" for place in range(6)]}
    for name in names:
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        frames = [Image.new("L", (16, 16), 60 * step) for step in range(3)]
        frames[0].save(tmp_path / "own" / name, save_all=True, append_images=frames[1:])
    clips = load_frames(tmp_path / "own", size=16, labels=path, cache=tmp_path / "cache")
    assert clips.labels["who"].classes == tuple(f"pä{place}" for place in range(6))


def test_case_14_another_encoding_is_named(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes("file,who\na.gif,pä\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"labels: .*labels\.csv is not written in UTF-8 .*save it as UTF-8"):
        read_labels(path, ["a.gif"])


def test_label_files_are_read_in_linear_time(tmp_path):
    """Every name is looked up once: no name is compared with all others."""

    class Name(str):
        __slots__ = ()
        compared = 0

        def __eq__(self, other):
            Name.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    names = [Name(f"{place}.gif") for place in range(2000)]
    path = tmp_path / "labels.csv"
    path.write_text("file,who\n" + "\n".join(f"{name},p" for name in names))
    assert len(read_labels(path, names)["who"]) == 2000
    assert Name.compared < 20 * len(names)
