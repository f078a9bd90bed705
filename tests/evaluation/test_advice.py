"""Advice is given where something planted is wrong, and only there."""

import dataclasses

import numpy as np
import torch

from unbraid.data.sequences import Sequences
from unbraid.evaluation.advice import advice
from unbraid.models.build import build_model

SIZES = {"static_size": 3, "dynamic_size": 2, "features": 8, "width": 4, "hidden": 8, "dynamic_hidden": 5}


def series(n=60):
    x = np.random.default_rng(0).normal(size=(n, 5, 4, 2)).astype(np.float32)
    splits = {"train": np.arange(n - 10), "validation": np.arange(n - 10, n)}
    return Sequences(x, splits=splits)


def model(data):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_model("braid", data.observation, **SIZES).eval()
    built.start([data.batch(slice(None))])
    return built


def test_nothing_is_said_where_nothing_is_wrong():
    data = series()
    assert advice(model(data), data, steps=800) == []


def test_few_sequences_and_few_steps_are_named():
    data = series(20)
    sentences = advice(model(data), data, steps=60)
    assert len(sentences) == 2
    assert (
        "only 10 training sequences" in sentences[0]
        and "--training.steps" in sentences[1]
        and "60 steps" in sentences[1]
    )


def test_a_bound_that_does_not_carry_over_is_named():
    data = series()
    x = data.x.copy()
    x[data.splits["validation"]] += 30 * np.sign(x[data.splits["validation"]])
    changed = dataclasses.replace(data, x=x, fingerprint="")
    (sentence,) = advice(model(data), changed, steps=800)
    assert "validation" in sentence and "nats per value" in sentence


def test_a_collapsed_code_is_named():
    data = series()
    built = model(data)
    with torch.no_grad():
        for layer in (built.dynamic_line, built.dynamic_head.mean):
            layer.weight.zero_()
    collapsed, not_rebuilt = advice(built, data, steps=800)
    assert collapsed.startswith("The dynamic code") and "kl_dynamic" in collapsed
    assert not_rebuilt.startswith("Rebuilt training sequences miss")


def test_training_sequences_that_are_not_rebuilt_are_named():
    data = series()
    built = model(data)
    assert not any("variance" in sentence for sentence in advice(built, data, steps=800))
    with torch.no_grad():
        built.decoder.line.weight.zero_()
    (sentence,) = advice(built, data, steps=800)
    assert sentence.startswith("Rebuilt training sequences miss") and "swaps mean nothing" in sentence


def test_frames_that_do_not_carry_over_are_named():
    random = np.random.default_rng(0)
    x = random.uniform(0.4, 0.6, (60, 3, 3, 16, 16)).astype(np.float32)
    splits = {"train": np.arange(50), "validation": np.arange(50, 60)}
    alike = Sequences(x, splits=splits)
    x = x.copy()
    x[50:] = random.integers(0, 2, x[50:].shape)
    other = Sequences(x, splits=splits)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"static_size": 3, "dynamic_size": 2, "features": 8, "width": 4, "hidden": 8}
        built = build_model("dbse", alike.observation, **sizes).eval()
    said = [[text for text in advice(built, data, 800) if "squared error" in text] for data in (alike, other)]
    assert said[0] == [] and "carry over" in said[1][0]
