"""Views keep what they promise to keep and change the rest; seeded, masked, the same on every step."""

from dataclasses import replace

import pytest
import torch

from unbraid.augment import WAYS, check_views, draw_views
from unbraid.types import Batch

SHAPES = {"vectors": (12,), "windows": (6, 4), "frames": (3, 16, 16)}
DRAWN = {
    name: way for name, way in WAYS.items() if name != "voice"
}  # from x alone; `voice` shows what the data hold
CASES = [(name, SHAPES[kind]) for name, way in DRAWN.items() for kind in way.kinds if kind in SHAPES] + [
    (name, (1, 16, 16)) for name in ("shuffle", "scatter", "early", "late", "colour", "crop", "stroke")
]
CHANGES = [case for case in CASES if case[0] not in ("shuffle", "scatter", "early", "late")]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch_of(observation, size=6, steps=5, seed=0):
    return Batch(torch.rand(size, steps, *observation, generator=generator(seed)))


def view(way, batch, seed=1):
    return draw_views({"it": way}, batch, generator(seed))["it"]


@pytest.mark.parametrize(("way", "observation"), CASES)
def test_seeded_and_pure(way, observation):
    batch = batch_of(observation)
    before, state = batch.x.clone(), torch.random.get_rng_state()
    first, again, other = view(way, batch), view(way, batch), view(way, batch, seed=2)
    assert torch.equal(first.x, again.x) and not torch.equal(first.x, other.x)
    assert first.x.shape == batch.x.shape and first.x.dtype == batch.x.dtype
    assert torch.equal(batch.x, before), "the batch itself was changed"
    assert torch.equal(state, torch.random.get_rng_state()), "global randomness was used"
    if len(observation) == 3:
        assert first.x.min() >= 0 and first.x.max() <= 1


@pytest.mark.parametrize("observation", SHAPES.values())
def test_shuffle_keeps_every_step_and_changes_their_order(observation):
    batch = batch_of(observation, size=20)
    shuffled = view("shuffle", batch)
    assert torch.equal(shuffled.order.sort(1).values, torch.arange(5).expand(20, -1))
    for i in range(20):
        assert torch.equal(shuffled.x[i], batch.x[i, shuffled.order[i]])
    assert len({tuple(order.tolist()) for order in shuffled.order}) > 10, "one order for all"


def test_shuffle_draws_every_order_alike():
    batch = batch_of((1,), size=6000, steps=3)
    orders = view("shuffle", batch).order
    counts = torch.unique(orders, dim=0, return_counts=True)[1]
    assert len(counts) == 6 and (counts - 1000).abs().max() < 5 * 1000**0.5


def test_shuffle_under_masks():
    batch = batch_of((4,), size=3, steps=6)
    steps = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 0, 1, 1, 1, 0], [1, 0, 0, 0, 0, 0]], dtype=torch.bool)
    shuffled = view("shuffle", Batch(batch.x, steps))
    assert torch.equal(shuffled.mask, steps)
    for i in range(3):
        hidden = ~steps[i]
        assert torch.equal(shuffled.order[i, hidden], torch.arange(6)[hidden]), "padding moved"
        assert (shuffled.x[i, hidden] == 0).all()
        assert torch.equal(shuffled.x[i, steps[i]], batch.x[i, shuffled.order[i, steps[i]]])
    values = (torch.rand(3, 6, 4, generator=generator(3)) < 0.6) & steps.unsqueeze(2)
    values[:, 0, 0] = True
    shuffled = view("shuffle", Batch(batch.x, values))
    for i in range(3):
        assert torch.equal(shuffled.mask[i], values[i, shuffled.order[i]])
        assert torch.equal(shuffled.x[i], torch.where(values[i], batch.x[i], 0.0)[shuffled.order[i]])


def test_scatter_shows_every_step_somewhere_else():
    """Each frame has one bright point in its middle, whose brightness tells the step."""
    frames = torch.zeros(400, 5, 1, 16, 16)
    frames[:, :, 0, 8, 8] = torch.arange(1, 6) / 5
    scattered = view("scatter", Batch(frames)).x
    assert torch.equal(scattered.amax((2, 3, 4)).sort(1).values, torch.arange(1, 6).expand(400, 5) / 5)
    assert ((scattered > 0).sum((2, 3, 4)) == 1).all()
    row, column = (scattered > 0).any(4).int().argmax(3), (scattered > 0).any(3).int().argmax(3)
    for place in (row, column):
        counts = torch.bincount(place.flatten())
        assert set(place.flatten().tolist()) == set(range(4, 13)), "up to a quarter of 16 each way"
        assert (counts[4:13] - 2000 / 9).abs().max() < 5 * (2000 / 9) ** 0.5, "all as often"
    assert (row != row[:, :1]).any() and (row != column).any(), "one offset for all"


def test_scatter_repeats_the_edges_and_moves_masks_along():
    ramp = torch.arange(16.0).view(16, 1).expand(30, 3, 1, 16, 16) / 15
    moved = view("scatter", Batch(ramp)).x[:, :, 0, :, 0] * 15
    assert torch.equal(moved, (moved[:, :, 8:9] + torch.arange(-8, 8)).clamp(0, 15).round())
    batch = batch_of((1, 16, 16), size=3, steps=4)
    steps = torch.tensor([[1, 1, 1, 0], [1, 0, 1, 1], [1, 0, 0, 0]], dtype=torch.bool)
    scattered = view("scatter", Batch(batch.x, steps))
    assert torch.equal(scattered.mask, steps) and (scattered.x[~steps] == 0).all()
    values = steps.view(3, 4, 1, 1, 1) & (batch.x > 0.5)
    scattered = view("scatter", Batch(batch.x, values))
    assert torch.equal(scattered.x > 0.5, scattered.mask) and (scattered.x[~scattered.mask] == 0).all()


@pytest.mark.parametrize("observation", SHAPES.values())
@pytest.mark.parametrize("steps", [2, 5, 10])
def test_halves_are_stretches_that_share_no_step(observation, steps):
    batch = batch_of(observation, size=200, steps=steps)
    lengths, starts = {"early": set(), "late": set()}, {"early": set(), "late": set()}
    for way, half in (("early", range(steps // 2)), ("late", range(steps // 2, steps))):
        shown = view(way, batch)
        for i in range(200):
            length = int(shown.mask[i].sum())
            taken = shown.order[i, :length]
            assert shown.mask[i, :length].all(), "a stretch stands at the beginning"
            assert torch.equal(taken, torch.arange(taken[0], taken[0] + length)), "not one stretch"
            assert set(taken.tolist()) <= set(half) and length >= 0.4 * len(half)
            assert torch.equal(shown.x[i, :length], batch.x[i, taken]) and (shown.x[i, length:] == 0).all()
            lengths[way].add(length)
            starts[way].add(int(taken[0]))
        assert max(lengths[way]) == len(half), "never the whole half"
        assert len(starts[way]) > 1 or len(half) == 1, "always at the same place"


def test_halves_count_observed_steps():
    """Gaps and padding are no part of a half; one step alone is both; values keep their own mask."""
    batch = batch_of((4,), size=3, steps=6)
    steps = torch.tensor([[1, 0, 1, 1, 1, 0], [0, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]], dtype=torch.bool)
    values = steps.unsqueeze(2) & (torch.arange(4) != 2)
    for seed in range(20):
        for way, halves in (("early", [{0, 2}, {1}, {0, 1, 2}]), ("late", [{3, 4}, {1}, {3, 4, 5}])):
            by_step, by_value = (
                view(way, Batch(batch.x, steps), seed),
                view(way, Batch(batch.x, values), seed),
            )
            for i, half in enumerate(halves):
                length = int(by_step.mask[i].sum())
                assert length >= 1 and set(by_step.order[i, :length].tolist()) <= half
            assert torch.equal(by_value.mask, by_step.mask.unsqueeze(2) & (torch.arange(4) != 2))


@pytest.mark.parametrize(("way", "observation"), CHANGES)
def test_one_change_for_all_steps_of_a_sequence(way, observation):
    """A sequence that stands still stands still in its view; sequences that are alike do not look alike there."""
    still = batch_of(observation, size=1, steps=1).x.expand(12, 5, *observation)
    changed = view(way, Batch(still)).x
    assert torch.allclose(changed, changed[:, :1].expand_as(changed), atol=1e-6)
    looks = {tuple((10_000 * one).round().int().flatten().tolist()) for one in changed[:, 0]}
    assert len(looks) > 6


@pytest.mark.parametrize(("way", "observation"), CHANGES)
def test_motion_is_kept(way, observation):
    """What differs between steps still differs, and in the same order: the view follows the sequence's brightness."""
    level = torch.tensor([0.2, 0.6, 0.3, 0.7, 0.4]).view(1, 5, *[1] * len(observation))
    batch = Batch((level * torch.ones(8, 5, *observation)).contiguous())
    changed = view(way, batch).x.flatten(2).mean(2)
    assert torch.equal(changed.argsort(1), level.flatten().argsort().expand(8, -1))


@pytest.mark.parametrize(("way", "observation"), CASES)
@pytest.mark.parametrize("kind", ["steps", "values"])
def test_nothing_hidden_is_read(way, observation, kind):
    batch = batch_of(observation, steps=6)
    steps = torch.arange(6) < torch.tensor([6, 4, 4, 3, 1, 6]).unsqueeze(1)
    mask = steps
    if kind == "values":
        mask = torch.rand(batch.x.shape, generator=generator(4)) < 0.7
        mask &= steps.view(*steps.shape, *[1] * len(observation))
        mask.view(*mask.shape[:2], -1)[:, 0, 0] = True
    wide = mask.view(*mask.shape, *[1] * (batch.x.ndim - mask.ndim))
    given = view(way, Batch(torch.where(wide, batch.x, 0.0), mask))
    spoilt = view(way, Batch(torch.where(wide, batch.x, torch.nan), mask))
    assert torch.equal(given.x, spoilt.x) and torch.equal(given.mask, spoilt.mask)
    shown = given.mask.view(*given.mask.shape, *[1] * (given.x.ndim - given.mask.ndim))
    assert (given.x * ~shown == 0).all(), "hidden values are not zero"
    longest = given.mask.flatten(2).any(2) if given.mask.ndim > 2 else given.mask
    assert not (longest & ~steps).any(), "padding is shown"


def test_greys_stay_grey_and_colours_change():
    grey = torch.rand(16, 4, 1, 16, 16, generator=generator()).expand(-1, -1, 3, -1, -1)
    changed = view("colour", Batch(grey)).x
    assert torch.allclose(changed, changed.mean(2, keepdim=True).expand_as(changed), atol=1e-3)
    red = torch.zeros(64, 2, 3, 16, 16)
    red[:, :, 0] = 0.6
    hues = view("colour", Batch(red)).x[:, 0, :, 8, 8]
    assert (hues.argmax(1) != 0).any() and (hues[:, 0] > hues[:, 1]).any()
    greyed = (hues.max(1).values - hues.min(1).values < 0.02).float().mean()
    assert 0.05 < greyed < 0.5, "one in five is made grey"


def test_blur_softens_an_edge_and_loses_no_light():
    dot = torch.zeros(64, 1, 1, 16, 16)
    dot[..., 8, 8] = 0.5
    changed = view("colour", Batch(dot)).x
    middle = changed[:, 0, 0, 8, 8] / changed[:, 0, 0].amax((1, 2))
    blurred = (changed[:, 0, 0, 8, 9] - changed[:, 0, 0, 0, 0]) > 1e-3
    assert 0.3 < blurred.float().mean() < 0.7 and torch.allclose(middle, torch.ones(64))


def test_stroke_thickens_and_thins():
    bar = torch.zeros(64, 1, 1, 16, 16)
    bar[..., 5:9] = 0.5
    lit = view("stroke", Batch(bar)).x[:, 0, 0, 8]
    outside, edge = lit[:, 3] - lit[:, 0], lit[:, 5]
    assert (outside.abs() < 1e-2).any()  # nothing so far out
    assert ((lit[:, 4] - lit[:, 0]) > 0.1).any() and (edge < 0.2).any()


def test_spectrum_moves_a_peak_by_a_tenth_at_most():
    peak = torch.zeros(200, 3, 80)
    peak[:, :, 40] = 20.0
    at = view("spectrum", Batch(peak)).x[:, 0].argmax(1)
    assert 35 <= at.min() < 39 and 41 < at.max() <= 45


def test_a_voice_is_one_of_those_that_the_data_hold():
    """Each sequence shows one of its voices whole, all are shown in time, and padding stays zero."""
    batch = batch_of((12,), size=200)
    voices = torch.rand(200, 3, 5, 12, generator=generator(1)).half()
    mask = torch.ones(200, 5, dtype=torch.bool)
    mask[:, 4] = False
    changed = view("voice", replace(batch, mask=mask, other_voices=voices))
    same = (changed.x[:, None, :4] == voices[:, :, :4].float()).flatten(2).all(2)
    assert changed.x.dtype == batch.x.dtype and (same.sum(1) == 1).all()
    assert (same.sum(0) > 40).all() and not changed.x[:, 4].any()
    assert torch.equal(changed.mask, mask)


def test_a_voice_of_data_that_hold_none_is_refused():
    with pytest.raises(ValueError, match="load sounds with other_voices=8"):
        view("voice", batch_of((12,)))


def test_scale_is_undone_by_a_line():
    """Each feature of a view is a linear function of the sequence's."""
    batch = batch_of((4,), size=5, steps=30)
    changed = view("scale", batch).x
    for i in range(5):
        for f in range(4):
            r = torch.corrcoef(torch.stack([batch.x[i, :, f], changed[i, :, f]]))[0, 1]
            assert r > 0.9999


def test_auto_goes_by_the_shape():
    for observation, way in (((3, 16, 16), "colour"), ((12,), "scale"), ((6, 4), "scale")):
        batch = batch_of(observation)
        assert torch.equal(view("auto", batch).x, view(way, batch).x)


@pytest.mark.parametrize(
    ("way", "observation", "steps", "told"),
    [
        ("shuffle", (3, 16, 16), 1, "the static view reorders steps and the sequences have 1"),
        ("late", (12,), 1, "the static view reorders steps and the sequences have 1"),
        ("colour", (12,), 5, "'colour' .the static view. does not suit observations of shape"),
        ("spectrum", (3, 16, 16), 5, "give auto, shuffle, scatter, early, late, colour, crop, stroke"),
        ("spectrum", (4,), 5, "needs vectors of at least 8 bands"),
        ("voice", (6, 4), 5, "'voice' .the static view. does not suit observations of shape"),
        ("color", (3, 16, 16), 5, "there is auto, shuffle, scatter, early, late, colour"),
    ],
)
def test_views_that_cannot_be_had_are_refused(way, observation, steps, told):
    with pytest.raises(ValueError, match=told):
        check_views({"static": way}, observation, steps)
    with pytest.raises(ValueError, match=told):
        draw_views({"static": way}, batch_of(observation, steps=steps))
