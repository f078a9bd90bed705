"""Rows keep the order in which they were listed or given, and their names, from every door to the codes."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sound_files import write_wav

from unbraid import encode
from unbraid.data.load import load
from unbraid.data.sequences import Sequences
from unbraid.data.store import prepared
from unbraid.models.build import build_model
from unbraid.types import Codes


def write_clips(folder):
    """Folder k of images is as red as 10 k; clip10 comes after clip9."""
    for clip in range(12):
        (folder / f"clip{clip}").mkdir(parents=True)
        for step in range(4):
            Image.new("RGB", (16, 16), (10 * clip, 0, 0)).save(folder / f"clip{clip}" / f"{step}.png")
    return folder


def write_sounds(folder):
    for number in range(12):
        time = np.arange(80 * 24 + 200) / 8000
        write_wav(folder / f"sound{number}.wav", 0.3 * np.sin(2 * np.pi * (300 + 250 * number) * time))
    return folder


def write_table(path):
    """The heart of patient k beats 10 k a minute; the rows come in another order."""
    rows = [(f"p{patient}", hour, 10 * patient + 0.5 * hour) for patient in range(12) for hour in range(4)]
    frame = pd.DataFrame(rows, columns=["id", "time", "heart"])
    frame.sample(frac=1, random_state=0).to_csv(path, index=False)
    return path


SERIES = {"window": 1, "time_format": "h"}


@pytest.mark.parametrize("seed", [0, 1])
def test_folders_of_images(tmp_path, seed):
    clips = load(write_clips(tmp_path / "clips"), size=16, steps=2, cache=tmp_path / "cache", seed=seed)
    assert clips.names == tuple(f"clip{clip}#{piece}" for clip in range(12) for piece in range(2))
    assert clips.x[:, 0, 0, 8, 8].tolist() == np.repeat(10 * np.arange(12), 2).tolist()
    assert sorted(np.concatenate(list(clips.splits.values()))) == list(range(24))
    again = load(tmp_path / "clips", size=16, steps=2, cache=tmp_path / "cache", seed=seed)  # from the cache
    assert again.names == clips.names and again.fingerprint == clips.fingerprint


@pytest.mark.parametrize("seed", [0, 1])
def test_folders_of_sounds(tmp_path, seed):
    sounds = load(write_sounds(tmp_path / "sounds"), features="mel40", cache=tmp_path / "cache", seed=seed)
    assert sounds.names == tuple(f"sound{number}.wav" for number in range(12))
    strongest = sounds.scaling.invert(sounds.x).mean(1).argmax(1)
    assert (np.diff(strongest) > 0).all()
    train = sounds.x[sounds.splits["train"]].reshape(-1, 40)  # the scaling is that of the train split
    np.testing.assert_allclose(train.mean(0), 0, atol=0.1)
    # The same recordings as before rows kept their order: the split depends on names and seed alone.
    held = [sounds.names[row] for row in sounds.splits["test"]]
    order = np.random.default_rng(seed).permutation(np.unique(sounds.names))
    assert held == [str(order[0])]


def test_tables_and_codes(tmp_path):
    series = load(write_table(tmp_path / "heart.csv"), cache=tmp_path / "cache", **SERIES)
    assert series.names == tuple(f"p{patient}" for patient in range(12))
    means = series.scaling.invert(series.x).mean((1, 2))
    np.testing.assert_allclose(means, 10 * np.arange(12) + 0.75, rtol=1e-5)
    model = build_model("dbse", (1,), width=4, static_size=2, dynamic_size=2, features=4, hidden=4)
    codes = encode(model, series, batch_size=5)
    assert codes.names == series.names
    assert codes[3:5].names == ("p3", "p4") and codes[np.array([7, 1])].names == ("p7", "p1")
    test = series.split("test")
    assert encode(model, test).names == tuple(series.names[row] for row in series.splits["test"])
    assert Codes.cat([codes, Codes(codes.static, codes.dynamic)]).names is None


def test_arrays(tmp_path):
    x = np.random.default_rng(0).normal(size=(4, 3, 2))
    np.savez(tmp_path / "x.npz", x=x, names=np.array(["a", "b", "c", "d"]))
    assert load(tmp_path / "x.npz").names == ("a", "b", "c", "d")
    data = Sequences.from_arrays(x, names=list("abcd"))
    assert data.take(np.array([2, 0])).names == ("c", "a")
    assert Sequences.from_arrays(x).names is None
    assert Sequences.from_arrays(x).fingerprint == data.fingerprint
    with pytest.raises(ValueError, match="names: are 3 for 4 sequences"):
        Sequences.from_arrays(x, names=list("abc"))
    x[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinity in sequence 2 \(c\), step 1"):
        Sequences.from_arrays(x, names=list("abcd"))


def test_names_are_kept_in_the_cache(tmp_path):
    x = np.zeros((3, 2, 4), np.float32)
    data = Sequences.from_arrays(x, names=["größe", "$x$", "<b>"])
    assert prepared("toy", {}, lambda space: data, tmp_path).names == data.names
    assert prepared("toy", {}, lambda space: pytest.fail("built again"), tmp_path).names == data.names
