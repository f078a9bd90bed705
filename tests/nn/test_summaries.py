"""Fixed summaries against numpy, planted shapes, and directions that two halves agree on."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from unbraid.nn.series import as_series
from unbraid.nn.summaries import Summaries
from unbraid.types import Batch

OBSERVATIONS = [(6,), (4, 2), (3, 16, 16)]


def series(n, rows, features=1, seed=0):
    return torch.randn(n, rows, features, generator=torch.Generator().manual_seed(seed))


def fitted(which, x, mask=None, size=4):
    summaries = Summaries(tuple(x.shape[2:]), size, which)
    summaries.fit([Batch(x, mask)])
    return summaries


def raw(which, x, mask=None):
    summaries = Summaries(tuple(x.shape[2:]), 3, which)
    return summaries._raw(*as_series(x, mask))


def test_plain_columns_are_those_of_numpy_over_the_observed_values():
    x = series(3, 10, 2).view(3, 5, 2, 2)
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.6
    mask[0, 3:] = False  # padding
    columns = raw("plain", x, mask).numpy()
    for row in range(3):
        rows = 2 * (int(np.flatnonzero(mask[row].flatten(1).any(1).numpy()).max()) + 1)
        for feature in range(2):
            seen = mask[row, ..., feature].flatten().numpy()
            values = x[row, ..., feature].flatten().numpy()[seen]
            inside = np.flatnonzero(mask[row].flatten(0, 1).any(1).numpy()).max() + 1
            assert inside <= rows
            share = seen.sum() / inside
            expected = [
                values.mean(),
                values.std(),
                np.log(values.std() + 0.05),
                values.min(),
                values.max(),
                share,
            ]
            np.testing.assert_allclose(columns[row, feature::2], expected, rtol=1e-4, atol=1e-5)


def test_ordered_columns_of_a_line_with_a_gap():
    """x = 2 t over eight rows of which the third and the fourth are unobserved; two rows of padding follow."""
    x = 2 * torch.arange(10.0).view(1, 10, 1)
    mask = torch.ones(1, 10, 1, dtype=torch.bool)
    mask[0, [2, 3, 8, 9]] = False
    columns = raw("ordered", x, mask)[0, -11:]
    expected = torch.tensor([0, 14, 16, 1, 0, 9, 13, 1, 0, 1, 1.0])  # first, last, slope per length, quarters
    torch.testing.assert_close(columns, expected, atol=1e-4, rtol=1e-4)


def test_texture_is_the_share_of_outputs_above_the_threshold():
    """One kernel of one dilation, written out with a loop."""
    x = series(50, 40)
    summaries = fitted("texture", x)
    columns = summaries._texture(*as_series(x, None))
    for dilation in (0, 3, 5):
        step = int(summaries.dilations[dilation])
        for kernel in (0, 17, 83):
            padded = np.pad(x[7, :, 0].numpy(), 4 * step, "edge")
            weights = summaries.weights[kernel].numpy()
            outputs = [(weights * padded[t : t + 9 * step : step]).sum() for t in range(40)]
            share = np.mean(np.array(outputs) > summaries.thresholds[dilation, kernel].item())
            assert columns[7, 84 * dilation + kernel].item() == pytest.approx(share, abs=0.026)


def test_the_kernels_sum_to_zero_and_all_differ():
    weights = Summaries((1,), 3, "texture").weights
    assert (weights.sum(1) == 0).all() and len(torch.unique(weights, dim=0)) == 84
    assert ((weights == 2).sum(1) == 3).all()


@pytest.mark.parametrize("which", ["plain", "texture", "ordered"])
@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_summaries_of_the_train_split_are_white(which, observation):
    x = torch.rand(40, 6, *observation, generator=torch.Generator().manual_seed(0))
    z = fitted(which, x)(x)
    assert z.shape == (40, 4)
    torch.testing.assert_close(z.mean(0), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(torch.cov(z.T, correction=0), torch.eye(4), atol=1e-2, rtol=0)


def test_few_sequences_have_few_directions_and_the_others_are_0():
    x = series(3, 12)
    z = fitted("texture", x, size=8)(x)
    assert (z[:, 2:] == 0).all() and (z[:, :2] != 0).any()


@pytest.mark.parametrize("which", ["plain", "texture", "ordered", "halves", "voiced"])
@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_padding_and_unobserved_values_change_nothing(which, observation):
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(12, 6, *observation, generator=generator)
    mask = torch.rand(x.shape, generator=generator) < 0.7
    mask[:, 4:] = False
    summaries = fitted(which, x, mask)
    z = summaries(x, mask)
    spoilt = torch.where(mask, x, torch.nan)
    torch.testing.assert_close(summaries(spoilt, mask), z)
    torch.testing.assert_close(summaries(x[:, :4], mask[:, :4]), z, atol=1e-5, rtol=1e-5)
    nothing = summaries(x, torch.zeros_like(mask))
    assert (nothing == 0).all()


def test_texture_separates_shapes_that_have_equal_plain_columns():
    """Rising and falling saw teeth at random phases: each sequence of one kind is one of the other, backwards."""
    random = np.random.default_rng(0)
    rising = (np.arange(96) / 24 + random.random((40, 1))) % 1
    x = np.concatenate([rising, rising[:, ::-1]])[:, :, None]
    x = torch.from_numpy(x).float() + 0.1 * series(80, 96)
    label = np.arange(80) < 40

    def separated(which):
        z = fitted(which, x, size=8)(x).numpy()
        return cross_val_score(LogisticRegression(), z, label).mean()

    assert separated("texture") > 0.95 > 0.7 > separated("plain")


def test_halves_find_what_two_halves_agree_on():
    """Ten features: the first is constant in a sequence, the second changes at its middle with a larger variance."""
    generator = torch.Generator().manual_seed(0)
    lasting = torch.randn(200, 1, generator=generator)
    changing = 3 * torch.randn(200, 2, generator=generator)
    x = 0.3 * torch.randn(200, 20, 10, generator=generator)
    x[:, :, 0] += lasting
    x[:, :10, 1] += changing[:, :1]
    x[:, 10:, 1] += changing[:, 1:]
    z = fitted("halves", x, size=1)(x)
    correlation = torch.corrcoef(torch.stack([z[:, 0], lasting[:, 0], changing.mean(1)]))
    assert correlation[0, 1].abs() > 0.95 > 0.2 > correlation[0, 2].abs()


def test_voiced_means_weigh_the_steps_by_their_lower_bands():
    x = series(3, 10, 5)
    mask = torch.ones(3, 10, dtype=torch.bool)
    mask[0, 6:] = False
    found = raw("voiced", x, mask)
    for row in range(3):
        values = x[row][mask[row]].double().numpy()
        loudness = values[:, :2].mean(1)
        weight = 1 / (1 + np.exp(-4 * (loudness - loudness.mean())))
        np.testing.assert_allclose(found[row], weight @ values / weight.sum(), rtol=1e-4, atol=1e-6)


def test_voiced_summaries_tell_the_voice_and_not_the_words_quiet_sounds():
    """Loud steps have the voice in band 9; quiet ones have another sound there, which lasts over both halves of a word."""
    generator = torch.Generator().manual_seed(0)
    voice, word = torch.randn(2, 300, 1, generator=generator)
    x = 0.2 * torch.randn(300, 20, 10, generator=generator)
    loud = torch.arange(20) % 2 == 0
    x[:, loud, :5] += 2
    x[:, ~loud, :5] -= 2
    x[:, loud, 9] += voice
    x[:, ~loud, 9] += 3 * word

    def told(which):
        z = fitted(which, x, size=1)(x)[:, 0]
        return torch.corrcoef(torch.stack([z, voice[:, 0], word[:, 0]]))[0, 1:].abs()

    assert told("voiced")[0] > 0.95 and told("voiced")[1] < 0.2
    assert told("halves")[1] > 0.9  # the mean tells the word, three times as loud there


def test_the_global_random_state_is_left_alone():
    state = torch.random.get_rng_state()
    fitted("texture", series(5, 20))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_distance_counts_what_lasts_over_a_sequence():
    """Feature 0 lasts, feature 1 is drawn anew for each half: the same change of z counts many times as much for the first."""
    generator = torch.Generator().manual_seed(0)
    x = 0.05 * torch.randn(300, 20, 2, generator=generator)
    x[:, :, 0] += torch.randn(300, 1, generator=generator)
    x[:, :, 1] += torch.randn(300, 2, generator=generator).repeat_interleave(10, 1)
    summaries = fitted("halves", x, size=2)
    summaries.fit_distance([Batch(x[:200]), Batch(x[200:])])

    def moved(feature):
        y = x.clone()
        y[:, :, feature] += 1
        return summaries.distance(summaries(y), summaries(x))

    lasting, changing = moved(0), moved(1)
    assert (lasting > 5 * changing).all()
    first = (torch.arange(20) < 10).expand(300, 20)
    halves = [summaries(x, half) for half in (first, ~first)]
    within = ((halves[0] - halves[1]) / 2).T.cov(correction=0)
    matrix = torch.linalg.inv(within.double() + 0.02 * torch.eye(2, dtype=torch.float64))
    gap = (summaries(x) - summaries(x).roll(1, 0)).double()
    expected = 0.5 * torch.einsum("bi,ij,bj->b", gap, matrix, gap)
    found = summaries.distance(summaries(x), summaries(x).roll(1, 0))
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("which", ["plain", "texture", "ordered"])
def test_gradual_summaries_have_finite_gradients_even_of_constant_series(which):
    x = series(8, 30, 2).requires_grad_()
    summaries = fitted(which, x.detach(), size=3)
    steps = torch.ones(8, 30, dtype=torch.bool)
    steps[0] = False
    with torch.no_grad():
        x[1] = 1.0
    summaries(x, steps, exact=False, gradual=True).square().sum().backward()
    assert x.grad.isfinite().all() and (x.grad[2:] != 0).any()
