"""Motion signals against motion that is planted, and against loops."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from unbraid.objectives.motion import (
    SIGNALS,
    Signal,
    choose_signal,
    feature_change,
    loudness,
    most_changed_cell,
    motion_error,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def flashing(cells, size=32):
    """One clip in which at each step one cell of the grid becomes brighter for good."""
    x, frame = [torch.zeros(3, size, size)], torch.zeros(3, size, size)
    for cell in cells:
        row, column = (size * (2 * place + 1) // 6 for place in divmod(cell, 3))
        frame = frame.clone()
        frame[:, row - 1 : row + 2, column - 1 : column + 2] += 0.2
        x.append(frame)
    return torch.stack(x)


@pytest.mark.parametrize("size", [16, 32, 64])
def test_the_cell_that_changes_is_found(size):
    cells = [[0, 8, 4, 4], [2, 6, 7, 1]]
    target, defined = most_changed_cell(torch.stack([flashing(row, size) for row in cells]))
    assert target[:, 1:].tolist() == cells
    assert defined.tolist() == [[False] + [True] * 4] * 2


def test_a_still_clip_has_no_moving_cell():
    x = torch.rand(2, 1, 1, 16, 16, generator=generator()).expand(-1, 4, -1, -1, -1)
    assert not most_changed_cell(x)[1].any()
    assert not most_changed_cell(x + torch.arange(4.0).view(1, 4, 1, 1, 1))[1].any()


def test_hidden_values_move_nothing():
    x = torch.stack([flashing([0, 8, 4, 4])] * 2)
    mask = torch.ones(x.shape, dtype=torch.bool)
    mask[0, 2, :, 20:, 20:] = False  # the change of step 2, in cell 8
    mask[1, 3] = False
    target, defined = most_changed_cell(torch.where(mask, x, 0.0), mask)
    assert defined[0].tolist() == [False, True, False, True, True]
    assert target[0, [1, 4]].tolist() == [0, 4]
    assert defined[1].tolist() == [False, True, True, False, False]


def test_a_cell_that_is_hidden_in_part_counts_by_its_mean():
    x = torch.zeros(1, 2, 1, 48, 48)
    x[0, 1, :, :16, :16], x[0, 1, :, 16:32, 16:32] = 0.5, 0.4
    mask = torch.ones(x.shape, dtype=torch.bool)
    mask[0, 1, :, :12, :16] = False
    assert most_changed_cell(torch.where(mask, x, 0.0), mask)[0][0, 1] == 0


@pytest.mark.parametrize("masked", [False, True])
def test_loudness_equals_the_median_of_the_observed_steps(masked):
    x = torch.randn(3, 7, 5, generator=generator())
    mask = (
        torch.rand(x.shape, generator=generator(1)) < 0.6 if masked else torch.ones(x.shape, dtype=torch.bool)
    )
    mask[0, 5:] = not masked
    target, defined = loudness(torch.where(mask, x, 0.0), mask if masked else None)
    for i in range(3):
        levels = {t: x[i, t][mask[i, t]].mean().item() for t in range(7) if mask[i, t].any()}
        middle = sorted(levels.values())[(len(levels) - 1) // 2]
        assert defined[i, :, 0].tolist() == [t in levels for t in range(7)]
        assert all(target[i, t, 0].item() == (levels[t] > middle + 1e-6) for t in levels)


@pytest.mark.parametrize("shape", [(5,), (4, 5)])
def test_change_of_features_equals_a_loop(shape):
    x = torch.randn(2, 4, *shape, generator=generator())
    mask = torch.rand(x.shape, generator=generator(1)) < 0.5
    target, defined = feature_change(torch.where(mask, x, 0.0), mask)
    for i in range(2):
        assert not defined[i, 0].any()
        for t in range(1, 4):
            for f in range(5):
                now, before = (x[i, u, ..., f][mask[i, u, ..., f]] for u in (t, t - 1))
                assert defined[i, t, f] == bool(len(now) and len(before))
                if defined[i, t, f]:
                    torch.testing.assert_close(target[i, t, f], now.mean() - before.mean())
    assert feature_change(x)[1][:, 1:].all()


def test_errors_are_those_of_the_defined_steps():
    x = flashing([0, 8, 4, 4], 16).unsqueeze(0)
    logits = torch.randn(1, 5, 9, generator=generator())
    expected = cross_entropy(logits[0, 1:], torch.tensor([0, 8, 4, 4]), reduction="sum")
    torch.testing.assert_close(motion_error(SIGNALS["grid"], logits, x, None)[0], expected)
    half = motion_error(SIGNALS["grid"], logits.bfloat16(), x, None)
    assert half.dtype == torch.float32 and torch.allclose(half[0], expected, rtol=0.02)
    sound = torch.tensor([[[1.0], [3.0], [2.0]]])
    raw = torch.randn(1, 3, 1, generator=generator())
    loud = binary_cross_entropy_with_logits(raw[0, :, 0], torch.tensor([0.0, 1, 0]), reduction="sum")
    torch.testing.assert_close(motion_error(SIGNALS["energy"], raw, sound, None)[0], loud)
    squares = (raw[0, 1, 0] - 2).square() + (raw[0, 2, 0] + 1).square()
    torch.testing.assert_close(motion_error(SIGNALS["change"], raw, sound, None)[0], squares)


@pytest.mark.parametrize(
    ("name", "observation", "message"),
    [
        ("grids", (3, 16, 16), "there is no signal 'grids', did you mean 'grid'|grids.*grid"),
        ("energy", (3, 16, 16), "frames have no signal 'energy'; give auto, none or grid"),
        ("grid", (4, 3), "windows have no signal 'grid'; give auto, none or change"),
        ("grid", (80,), "vectors have no signal 'grid'; give auto, none or energy, change"),
    ],
)
def test_signals_that_do_not_fit_are_refused(name, observation, message):
    with pytest.raises(ValueError, match=message):
        choose_signal(name, observation)


def test_a_signal_of_ones_own_is_predicted(monkeypatch):
    """Anything that gives targets and an error can be added."""
    from unbraid.models.build import build_model
    from unbraid.testing import tiny_batch

    mean = Signal(
        ("vectors",),
        lambda _: 1,
        lambda x, mask: (x.mean(2, keepdim=True), torch.ones_like(x[..., :1], dtype=torch.bool)),
        lambda prediction, target: (prediction - target).abs(),
    )
    monkeypatch.setitem(SIGNALS, "mean", mean)
    model = build_model("s3vae", (7,), motion="mean", width=4, features=6, hidden=5)
    assert model.motion_head.out_features == 1
    assert model.terms(tiny_batch((7,), 3, 4, views=model.views))["motion"].shape == (3,)
