"""Padding and masked values change no picture and no sound."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from tones import recordings

from unbraid import plots
from unbraid.data.sequences import Label, Sequences
from unbraid.kinds import KINDS
from unbraid.masks import widen
from unbraid.models.build import build_model
from unbraid.report.pictures import make_pictures

random = np.random.default_rng(0)
SMALL = {"static_size": 4, "dynamic_size": 4, "width": 4, "hidden": 8, "features": 8}
SHAPES = {"frames": (1, 16, 16), "vectors": (3,), "windows": (4, 3), "many": (20,)}


def sequences(kind):
    """Sequences with padding, gaps and masked values."""
    if kind == "sound":
        data = recordings(4)
        steps = random.random(data.x.shape[:2]) < 0.8
        steps[:, :2] = True
        return dataclasses.replace(data, mask=steps, fingerprint="")
    x = random.random((45, 5, *SHAPES[kind])).astype(np.float32)
    mask = random.random(x.shape) < 0.8
    mask[:, 0] = True
    mask[::3, 1] = False
    return Sequences(
        x, mask=mask, lengths=random.integers(3, 6, 45),
        labels={"who": Label(np.arange(45) % 3, ("a", "b", "c"), "static")},
        splits=dict(zip(("train", "validation", "test"), np.split(np.arange(45), 3), strict=True)),
    )  # fmt: skip


@pytest.mark.parametrize("kind", [*KINDS, "many"])
def test_hidden_values_change_no_picture(kind, tmp_path):
    data = sequences(kind)
    observed = np.broadcast_to(widen(data.observed(), data.x), data.x.shape)
    assert not observed.all()
    spoilt = dataclasses.replace(
        data, x=np.where(observed, data.x, np.nan).astype(np.float32), fingerprint=""
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("dbse", data.observation, **SMALL).eval()
    folders = [tmp_path / name for name in "ab"]
    for folder, part in zip(folders, (data, spoilt), strict=True):
        make_pictures(model, part, folder)
    files = [sorted(path.relative_to(folder) for path in folder.rglob("*.*")) for folder in folders]
    assert files[0] == files[1] and len(files[0]) > 4
    for name in files[0]:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 16, 16), (4, 16, 16)])
def test_frames_of_nan_are_white(shape):
    clips = random.random((2, 4, *shape)).astype(np.float32)
    white, hidden = clips.copy(), clips.copy()
    white[1, 2:], hidden[1, 2:] = 1, np.nan
    drawn = [pixels(plots.plot_reconstructions(each, each)) for each in (white, hidden, clips)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_dynamic_codes_outside_the_steps_are_not_drawn():
    codes = random.normal(size=(2, 9, 3))
    steps = np.arange(9) < np.array([[9], [6]])
    spoilt = np.where(steps[:, :, None], codes, 1000)
    drawn = [pixels(plots.plot_dynamic_codes(each, steps)) for each in (codes, spoilt)]
    assert drawn[0] == drawn[1] != pixels(plots.plot_dynamic_codes(codes))


def pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
