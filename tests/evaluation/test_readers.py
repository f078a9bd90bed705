import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from unbraid.data.sequences import Sequences
from unbraid.evaluation import linear_reader, network_reader
from unbraid.evaluation.floors import constant, plain_floors, raw_inputs, raw_summaries, rich_summaries
from unbraid.evaluation.linear_reader import read_linear
from unbraid.evaluation.network_reader import read_network
from unbraid.evaluation.readers import Inputs, Task, path_summary
from unbraid.masks import inside

generator = np.random.default_rng(0)
SIZES = {"train": 90, "validation": 40, "test": 50}


def inputs(static=3, dynamic=2, steps=5, seed=0):
    random = np.random.default_rng(seed)
    parts = {}
    for split, n in SIZES.items():
        s, d = random.normal(size=(n, static)), random.normal(size=(n, steps, dynamic))
        valid = np.arange(steps) < random.integers(2, steps + 1, (n, 1))
        d = np.where(valid[:, :, None], d, 0)
        table = np.concatenate([s, path_summary(d, valid)], 1)
        parts[split] = Inputs(s, d, valid, table)
    return parts


def task_of(parts, kind, level, function, classes=()):
    return Task("it", kind, level, classes, {split: function(part) for split, part in parts.items()})


def test_a_path_in_numbers():
    path = np.array([[[1.0], [4.0], [2.0], [99.0]], [[5.0], [7.0], [99.0], [99.0]]])
    steps = np.array([[True, True, True, False], [True, True, False, False]])
    expected = [[7 / 3, np.std([1, 4, 2]), 2, (3 + 2) / 2], [6, 1, 7, 2]]
    np.testing.assert_allclose(path_summary(path, steps), expected)
    spoilt = np.where(steps[:, :, None], path, -3.0)
    np.testing.assert_array_equal(path_summary(path, steps), path_summary(spoilt, steps))


def test_the_linear_reader_finds_a_line_and_chooses_no_regularisation():
    parts = inputs()
    slope = np.array([1.0, -2.0, 0.5])
    task = task_of(parts, "target", "sequence", lambda part: part.static @ slope + 3)
    reading = read_linear(task, parts)
    assert set(reading.guesses) == {"test"}
    np.testing.assert_allclose(reading.guesses["test"], task.truth["test"], atol=1e-3)
    assert reading.chosen["strength"] == min(linear_reader.STRENGTHS)


def test_the_linear_reader_shrinks_what_is_noise():
    random = np.random.default_rng(1)
    parts = inputs(static=40)
    task = task_of(parts, "target", "sequence", lambda part: random.normal(size=len(part.static)))
    assert read_linear(task, parts).chosen["strength"] >= 1


def test_the_linear_reader_leaves_out_groups_that_hide_the_others():
    random = np.random.default_rng(3)
    parts = inputs(static=2, dynamic=0)
    task = task_of(
        parts, "binary", "sequence", lambda part: (part.static[:, 0] > 0).astype(int), ("no", "yes")
    )
    crowded = {
        split: dataclasses.replace(
            part,
            table=np.concatenate([part.static, random.normal(size=(len(part.static), 80))], 1),
            groups=(2, 40, 40),
        )
        for split, part in parts.items()
    }
    reading = read_linear(task, crowded)
    assert reading.chosen["columns"] == 2
    assert (reading.guesses["test"].argmax(1) == task.truth["test"]).mean() > 0.9


def test_probabilities_of_the_linear_reader_are_those_of_the_model_that_made_the_labels():
    parts = inputs(static=1, dynamic=0)
    random = np.random.default_rng(2)

    def draw(part):
        return (random.random(len(part.static)) < 1 / (1 + np.exp(-3 * part.static[:, 0]))).astype(int)

    task = task_of(parts, "binary", "sequence", draw, ("no", "yes"))
    p = read_linear(task, parts).guesses["test"]
    np.testing.assert_allclose(p.sum(1), 1)
    truth = 1 / (1 + np.exp(-3 * parts["test"].static[:, 0]))
    assert stats.pearsonr(p[:, 1], truth).statistic > 0.98


def test_a_class_that_train_lacks_gets_nothing():
    parts = inputs()
    task = task_of(parts, "classes", "sequence", lambda part: (part.static[:, 0] > 0) * 2, tuple("abc"))
    p = read_linear(task, parts).guesses["test"]
    assert p.shape == (50, 3) and (p[:, 1] == 0).all()
    assert (p.argmax(1) == task.truth["test"]).mean() > 0.9


def test_steps_are_read_one_by_one_and_unknown_ones_left_out(monkeypatch):
    monkeypatch.setattr(network_reader, "EPOCHS", 15)
    monkeypatch.setattr(network_reader, "LEARNING_RATE", 0.01)
    parts = inputs(steps=12)

    def sums(part):
        return np.where(part.steps, part.path[..., 0] - 2 * part.static[:, None, 1], np.nan)

    task = task_of(parts, "target", "step", sums)
    for reading in (read_linear(task, parts), read_network(task, parts, seed=0)):
        guess, truth = reading.guesses["test"], task.truth["test"]
        np.testing.assert_array_equal(np.isnan(guess), np.isnan(truth))
        assert np.nanmean(np.abs(guess - truth)) < 0.3 * np.nanmean(np.abs(truth))


@pytest.mark.parametrize("codes", ["static", "dynamic", "both"])
def test_the_network_reads_what_it_is_shown(codes, monkeypatch):
    monkeypatch.setattr(network_reader, "EPOCHS", 30)
    monkeypatch.setattr(network_reader, "LEARNING_RATE", 0.02)
    parts = inputs(static=3 * (codes != "dynamic"), dynamic=2 * (codes != "static"))

    def label(part):
        value = part.static[:, 0] if codes == "static" else part.path.sum(1)[:, 0]
        return (value > 0).astype(int) + 2 * (value > 1)

    task = task_of(parts, "classes", "sequence", label, tuple("abcd"))
    p = read_network(task, parts, seed=0).guesses["test"]
    np.testing.assert_allclose(p.sum(1), 1)
    truth = task.truth["test"]
    assert (p.argmax(1) == truth).mean() > np.bincount(truth).max() / len(truth) + 0.2


def test_padding_does_not_reach_the_network(monkeypatch):
    monkeypatch.setattr(network_reader, "EPOCHS", 2)
    parts = inputs()
    spoilt = {
        split: Inputs(v.static, np.where(v.steps[..., None], v.path, 7.0), v.steps, v.table)
        for split, v in parts.items()
    }
    task = task_of(parts, "binary", "sequence", lambda part: (part.static[:, 0] > 0).astype(int), ("a", "b"))
    one, other = read_network(task, parts, 0), read_network(task, spoilt, 0)
    np.testing.assert_array_equal(one.guesses["test"], other.guesses["test"])


def test_each_network_is_trained_from_scratch_and_repeats_itself(monkeypatch):
    monkeypatch.setattr(network_reader, "EPOCHS", 3)
    parts = inputs()
    task = task_of(parts, "binary", "sequence", lambda part: (part.static[:, 0] > 0).astype(int), ("a", "b"))
    state = torch.random.get_rng_state()
    first, other, again = (read_network(task, parts, seed) for seed in (0, 1, 0))
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_array_equal(first.guesses["test"], again.guesses["test"])
    assert (first.guesses["test"] != other.guesses["test"]).any()


def test_training_ends_and_the_best_epoch_is_kept(monkeypatch):
    monkeypatch.setattr(network_reader, "PATIENCE", 4)
    random = np.random.default_rng(0)
    parts = inputs()
    task = task_of(
        parts, "binary", "sequence", lambda part: random.integers(0, 2, len(part.static)), ("a", "b")
    )
    reading = read_network(task, {split: parts[split] for split in ("train", "validation")}, seed=0)
    assert 1 <= reading.chosen["epoch"] < network_reader.EPOCHS - 4
    p, labels = reading.guesses["validation"], task.truth["validation"]
    loss = -np.log(p[np.arange(len(p)), labels]).mean()
    assert loss == pytest.approx(reading.chosen["validation_loss"], rel=1e-5)


@pytest.mark.parametrize("read", [read_linear, lambda task, parts: read_network(task, parts, 0)])
def test_readers_are_trained_on_validation_too_before_they_predict_test(read, monkeypatch):
    """A class that only validation has can be predicted only by a reader that was trained on it."""
    train_to_best = network_reader._train_to_best
    monkeypatch.setattr(network_reader, "LEARNING_RATE", 0.02)
    # Validation would end the first training at once, since no epoch predicts its third class.
    monkeypatch.setattr(network_reader, "_train_to_best", lambda *args: (train_to_best(*args)[0], 40))
    parts = inputs(static=1, dynamic=0)
    parts = {split: dataclasses.replace(part, table=part.static) for split, part in parts.items()}
    truth = {split: (part.static[:, 0] > 0).astype(int) for split, part in parts.items()}
    truth["validation"] = np.where(parts["validation"].static[:, 0] > 1, 2, truth["validation"])
    task = Task("it", "classes", "sequence", tuple("abc"), truth)
    p = read(task, parts).guesses["test"]
    alone = read(task, {split: parts[split] for split in ("train", "validation")}).guesses["validation"]
    far = [part.static[:, 0] > 1 for part in (parts["test"], parts["validation"])]
    assert p[far[0], 2].mean() > 2 * alone[far[1], 2].mean()


def test_the_last_linear_reader_is_the_method_fitted_on_train_and_validation():
    parts = inputs(static=4, dynamic=0)
    random = np.random.default_rng(5)
    slope = random.normal(size=4)
    task = task_of(
        parts, "target", "sequence", lambda part: part.static @ slope + random.normal(size=len(part.static))
    )
    reading = read_linear(task, parts)
    x, y = (
        np.concatenate(v)
        for v in (
            [parts[s].table for s in ("train", "validation")],
            [task.truth[s] for s in ("train", "validation")],
        )
    )
    mean, deviation = x.mean(0), np.where(x.std(0) > 0, x.std(0), 1)
    z, strength = (x - mean) / deviation, reading.chosen["strength"] * len(x)
    weights = np.linalg.solve(z.T @ z + strength * np.eye(z.shape[1]), z.T @ (y - y.mean()))
    expected = (parts["test"].table - mean) / deviation @ weights + y.mean()
    np.testing.assert_allclose(reading.guesses["test"], expected, atol=1e-8)


@pytest.mark.parametrize(("noise", "columns"), [(0.0, 3), (50.0, 2)])
def test_columns_are_read_where_they_help_by_more_than_the_standard_error(noise, columns):
    random = np.random.default_rng(6)
    parts = inputs(static=3, dynamic=0)
    task = task_of(parts, "target", "sequence", lambda part: part.static @ np.array([3.0, -3.0, 0.5]))
    crowded = {
        split: dataclasses.replace(
            part,
            table=np.concatenate(
                [part.static[:, :2], part.static[:, 2:] + noise * random.normal(size=(len(part.static), 1))],
                1,
            ),
            groups=(2, 1),
        )
        for split, part in parts.items()
    }
    assert read_linear(task, crowded).chosen["columns"] == columns


def test_the_standard_error_counts_a_sequence_once():
    random = np.random.default_rng(7)
    values = random.normal(size=50)
    alone = linear_reader._standard_error(values, np.arange(50))
    assert alone == pytest.approx(values.std(ddof=1) / np.sqrt(50))
    repeated = linear_reader._standard_error(values.repeat(20), np.arange(50).repeat(20))
    assert repeated == pytest.approx(alone)


def test_cross_validation_keeps_units_together_and_predicts_each_place_once():
    parts = inputs(static=2, dynamic=0)
    random = np.random.default_rng(8)
    units = {split: random.integers(0, 30, len(part.static)) for split, part in parts.items()}
    value = random.normal(size=30)  # nothing but the unit predicts it
    truths = {split: value[units[split]] for split in parts}

    def table(split):
        return np.eye(30)[units[split]]

    parts = {s: dataclasses.replace(part, table=table(s), units=units[s]) for s, part in parts.items()}
    task = Task("it", "target", "sequence", (), truths)
    crossed = read_linear(task, parts).cross_validated
    truth = np.concatenate([truths["train"], truths["validation"]])
    assert crossed.shape == truth.shape and np.isfinite(crossed).all()
    assert np.corrcoef(crossed, truth)[0, 1] < 0.3
    apart = {s: dataclasses.replace(part, units=None) for s, part in parts.items()}
    assert np.corrcoef(read_linear(task, apart).cross_validated, truth)[0, 1] > 0.6


# ---- floors ---------------------------------------------------------------------------------------------


def test_constants_are_those_of_train_and_validation():
    truth = {"train": np.array([1.0, 2, np.nan]), "validation": np.array([9.0]), "test": np.array([4.0, 5])}
    reading = constant(Task("it", "target", "sequence", (), truth))
    assert reading.guesses["test"].tolist() == [2, 2]
    truth = {"train": np.array([0, 2]), "validation": np.array([2]), "test": np.array([1, 0])}
    shares = constant(Task("it", "classes", "sequence", tuple("abc"), truth)).guesses["test"]
    np.testing.assert_allclose(shares, [[1 / 3, 0, 2 / 3]] * 2)


def test_raw_summaries_see_only_what_is_observed():
    x = np.array([[[1.0, 99], [3, 99], [99, 99]]])
    observed = np.array([[[True, False], [True, False], [False, False]]])
    np.testing.assert_allclose(raw_summaries(x, observed), [[2, 0, 3, 0, 1, 0, 2 / 3, 0]])


def test_rich_summaries_of_a_line_with_a_gap():
    """x = 2 t over eight rows, the third and fourth unobserved, and a padded row at the end."""
    x = 2 * np.arange(9.0)[None, :, None]
    observed = np.ones((1, 9, 1), dtype=bool)
    observed[0, [2, 3, 8]] = False
    x[0, 8] = np.nan
    values = [0, 2, 8, 10, 12, 14]
    mean, last, spread = np.mean(values), 14, np.std(values)
    expected = [mean, last, spread, 6 / 9, 14, 0, 2 * 8, 1, 13, 1, 0, 1, 1]
    np.testing.assert_allclose(rich_summaries(np.nan_to_num(x), observed)[0], expected)
    nothing = rich_summaries(np.zeros((1, 9, 1)), np.zeros((1, 9, 1), dtype=bool))
    assert (nothing == 0).all()


def test_boosting_finds_what_no_line_tells():
    random = np.random.default_rng(9)
    truth, rows = {}, {}
    for split, n in {"train": 300, "validation": 150, "test": 200}.items():
        sign = random.choice([-1.0, 1.0], (n, 1, 2))
        truth[split] = (sign[:, 0].prod(1) > 0).astype(int)
        rows[split] = Sequences((sign + random.normal(0, 0.1, (n, 5, 2))).astype(np.float32))
    floors = plain_floors(Task("it", "binary", "sequence", ("no", "yes"), truth), raw_inputs(rows))
    accuracy = {name: (r.guesses["test"].argmax(1) == truth["test"]).mean() for name, r in floors.items()}
    assert accuracy["raw_boosting"] > 0.95 > 0.7 > accuracy["raw_linear"]


def test_the_raw_inputs_of_windows():
    x = generator.normal(size=(6, 4, 3, 2)).astype(np.float32)
    mask = generator.random(x.shape) < 0.7
    mask[:, 0] = True
    mask[2, 2:] = False
    data = Sequences(x, mask=mask)
    spoilt = Sequences(np.where(mask, x, 5).astype(np.float32), mask=mask)
    part, spoilt = raw_inputs({"train": data, "test": spoilt}).values()
    np.testing.assert_array_equal(part.steps, inside(data.observed()))
    assert part.steps[2].tolist() == [True, True, False, False]
    assert part.path.shape == (6, 4, 12) and part.table.shape == (6, 8)
    shown = np.where(mask, x, np.nan)
    np.testing.assert_allclose(part.means[0, 0], np.nanmean(shown[0, 0], 0), atol=1e-6)
    np.testing.assert_allclose(part.table[:, :2], np.nanmean(shown, (1, 2)), atol=1e-6)
    np.testing.assert_allclose(part.table[:, 4:6], np.nanstd(shown, (1, 2)), atol=1e-6)
    for name in ("path", "table", "means"):
        np.testing.assert_array_equal(getattr(part, name), getattr(spoilt, name))


def test_the_splits_have_the_same_columns_where_one_alone_has_missing_values():
    x = generator.normal(size=(6, 4, 3, 2)).astype(np.float32)
    mask = np.ones(x.shape, dtype=bool)
    whole = Sequences(x)
    assert {part.path.shape[2] for part in raw_inputs({"train": whole, "test": whole}).values()} == {6}
    mask[0, 1, 2, 0] = False
    for parts in (
        {"train": Sequences(x, mask=mask), "test": whole},
        {"train": whole, "test": Sequences(x, mask=mask)},
    ):
        assert {part.path.shape[2] for part in raw_inputs(parts).values()} == {12}


def test_steps_up_to_the_last_observed_one_are_inside():
    mask = np.ones((3, 4), dtype=bool)
    mask[1, 1] = mask[2, 2:] = False
    data = Sequences(np.zeros((3, 4, 2)), lengths=np.array([3, 4, 4]), mask=mask)
    assert inside(data.observed()).sum(1).tolist() == [3, 4, 2]
    assert inside(data.observed())[1].all()  # a gap is inside
    assert inside(Sequences(np.zeros((3, 4, 2))).observed()).all()


def test_nearest_neighbour_and_centre():
    centres = np.array([[0.0, 0], [4, 0], [0, 4]])
    rows, truth = {}, {}
    for split, n in SIZES.items():
        truth[split] = generator.integers(0, 3, n)
        x = centres[truth[split]][:, None] + generator.normal(0, 0.5, (n, 6, 2))
        rows[split] = Sequences(x.astype(np.float32))
    floors = plain_floors(Task("it", "classes", "sequence", tuple("abc"), truth), raw_inputs(rows))
    plain = ("raw_linear", "raw_chosen", "raw_rich", "raw_boosting", "raw_neighbour", "raw_centroid")
    assert set(floors) == {"constant", *plain}
    for name in ("raw_neighbour", "raw_centroid", "raw_linear"):
        assert (floors[name].guesses["test"].argmax(1) == truth["test"]).all()
