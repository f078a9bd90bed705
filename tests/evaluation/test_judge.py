import dataclasses
import random

import numpy as np
import pytest
import torch
from oracle import clips

from unbraid.data.sequences import Label, Sequences
from unbraid.evaluation import Judge, judge_probabilities, load_judge, save_judge, train_judge
from unbraid.evaluation.judge import judge_score

QUICK = {"width": 4, "max_steps": 2, "check_steps": 1, "batch_size": 16}


def same(a: Judge, b: Judge) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_learns_every_label_that_is_no_part(data, judge):
    accuracies, losses = judge_score(judge, data, data.splits["test"])
    assert list(accuracies) == ["colour", "shade", "move"]
    assert min(accuracies.values()) > 0.99
    assert max(losses.values()) < 0.1


@pytest.mark.parametrize("size", [16, 32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_takes_frames_of_every_size(size, channels):
    judge = Judge((channels, size, size), {"type": 2, "a.b": 3}, width=2).eval()
    logits = judge(torch.rand(2, 3, channels, size, size))
    assert {name: tuple(values.shape) for name, values in logits.items()} == {"type": (2, 2), "a.b": (2, 3)}


def test_learns_from_vectors_with_gaps_and_different_lengths(tmp_path):
    generator = np.random.default_rng(0)
    label, slope = generator.integers(0, 2, 300), generator.integers(0, 2, 300)
    steps = np.arange(8)
    x = 1000 * (2 * label - 1)[:, None, None] + 300 * (2 * slope - 1)[:, None, None] * (steps[:, None] - 3.5)
    x = x + generator.normal(0, 20, (300, 8, 3))
    mask = generator.random(x.shape) > 0.2
    x[~mask] = np.nan
    data = Sequences(
        x,
        lengths=generator.integers(4, 9, 300),
        mask=mask,
        labels={
            "side": Label(label, ("low", "high"), "static"),
            "slope": Label(slope, ("down", "up"), "dynamic"),
        },
        splits={"train": np.arange(200), "validation": np.arange(200, 250), "test": np.arange(250, 300)},
    )
    judge = train_judge(data, cache=tmp_path, check_steps=20, max_steps=400)
    accuracies, _ = judge_score(judge, data, data.splits["test"])
    assert min(accuracies.values()) >= 0.98


def test_what_is_masked_changes_nothing(judge):
    x = torch.rand(3, 4, 3, 16, 16)
    steps = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]]).bool()
    other = torch.where(steps[..., None, None, None], x, torch.rand_like(x))
    short = {name: p[1] for name, p in judge_probabilities(judge, x[:, :2]).items()}
    for name, p in judge_probabilities(judge, x, steps).items():
        np.testing.assert_array_equal(p, judge_probabilities(judge, other, steps)[name])
        np.testing.assert_allclose(p[1], short[name], rtol=1e-4, atol=1e-6)
    values = torch.rand(x.shape) > 0.3
    changed = torch.where(values, x, torch.full_like(x, 7.0))
    for name, p in judge_probabilities(judge, x, values).items():
        np.testing.assert_array_equal(p, judge_probabilities(judge, changed, values)[name])


def test_probabilities_do_not_depend_on_the_batches(data, judge):
    x = data.batch(slice(0, 21)).x
    at_once, in_parts = judge_probabilities(judge, x), judge_probabilities(judge, x, batch_size=8)
    for name in at_once:
        np.testing.assert_allclose(at_once[name].sum(1), 1)
        np.testing.assert_allclose(at_once[name], in_parts[name], atol=1e-5)


def test_saved_and_loaded_is_the_same(judge, tmp_path):
    save_judge(judge, tmp_path / "judge.safetensors")
    assert same(judge, load_judge(tmp_path / "judge.safetensors"))
    assert [file.name for file in tmp_path.iterdir()] == ["judge.safetensors"]


def test_the_cache_is_used_and_told_apart(tmp_path):
    data = clips(each=1)
    first = train_judge(data, cache=tmp_path, **QUICK)
    (path,) = (tmp_path / "judges").iterdir()
    marked = load_judge(path)
    with torch.no_grad():
        next(iter(marked.parameters())).zero_()
    save_judge(marked, path)
    assert same(train_judge(data, cache=tmp_path, **QUICK), marked)  # taken from the cache, not trained
    assert not same(train_judge(data, cache=tmp_path, seed=1, **QUICK), first)
    moved = dataclasses.replace(
        data, splits={**data.splits, "train": data.splits["test"], "test": data.splits["train"]}
    )
    train_judge(moved, cache=tmp_path, **QUICK)  # the same arrays split in another way are other data
    assert len(list((tmp_path / "judges").iterdir())) == 3


def test_a_damaged_cache_is_trained_again(tmp_path):
    data = clips(each=1)
    first = train_judge(data, cache=tmp_path, **QUICK)
    (path,) = (tmp_path / "judges").iterdir()
    path.write_bytes(path.read_bytes()[:500])
    assert same(train_judge(data, cache=tmp_path, **QUICK), first)
    assert same(load_judge(path), first)


def test_any_changed_byte_of_a_judge_is_seen(judge, tmp_path):
    path, draw = tmp_path / "judge.safetensors", random.Random(0)
    save_judge(judge, path)
    content = path.read_bytes()
    for place in [*range(0, 900, 9), *(draw.randrange(len(content)) for _ in range(30))]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            found = load_judge(path)
        except ValueError as error:
            assert str(path) in str(error) and "is damaged" in str(error)
        else:  # a name in the header that nobody reads
            assert same(found, judge), place


def test_training_repeats_itself_and_leaves_the_global_generator_alone(tmp_path):
    data = clips(each=1)
    state = torch.random.get_rng_state()
    first = train_judge(data, cache=tmp_path / "a", **QUICK)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(5)
    assert same(train_judge(data, cache=tmp_path / "b", **QUICK), first)


def test_test_clips_are_never_looked_at(tmp_path):
    data = clips(each=1)
    without = dataclasses.replace(data, splits={n: r for n, r in data.splits.items() if n != "test"})
    first = train_judge(data, cache=tmp_path / "a", **QUICK)
    assert same(train_judge(without, cache=tmp_path / "b", **QUICK), first)


def test_data_without_labels_or_splits_are_refused(tmp_path):
    with pytest.raises(ValueError, match="data: squares has no labels"):
        train_judge(clips(each=1, labelled=False), cache=tmp_path)
    data = dataclasses.replace(clips(each=1), splits={"train": np.arange(9)})
    with pytest.raises(ValueError, match="no split 'validation'"):
        train_judge(data, cache=tmp_path)
