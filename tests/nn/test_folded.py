"""Convolutions with their batch norm folded in, in bfloat16, against the layers as they are."""

import numpy as np
import pytest
import torch

import unbraid as ub
from unbraid.generation import decode, encode
from unbraid.models.build import build_model
from unbraid.nn.folded import evaluate_layers, evaluation_precision


@pytest.fixture(scope="module")
def trained():
    return ub.from_pretrained("puppets/dbse")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return ub.load("puppets", size=32, characters=12, cache=tmp_path_factory.mktemp("cache"))


def test_folded_layers_equal_the_layers(trained, clips):
    layers, x = trained.encoder.layers, clips.batch(np.arange(4)).x.flatten(0, 1)
    with torch.no_grad(), evaluation_precision(torch.float64):
        folded = evaluate_layers(layers.double(), x)
    plain = layers(x.double())
    layers.float()
    torch.testing.assert_close(folded.double(), plain, rtol=1e-5, atol=1e-5)


def test_codes_in_bfloat16_are_within_one_percent(trained, clips):
    exact, fast = (encode(trained, clips, precision=kind) for kind in ("float32", "bfloat16"))
    for name in ("static", "dynamic"):
        first, second = (getattr(codes, name).flatten(0, -2) for codes in (exact, fast))
        difference = (first - second).square().mean(0).sqrt() / first.std(0)
        assert 0 < difference.max() < 0.01, name
    rebuilt, rounded = (decode(trained, exact, precision=kind) for kind in ("float32", "bfloat16"))
    real = clips.batch(np.arange(len(clips))).x
    first, second = ((x - real).square().sum() for x in (rebuilt, rounded))
    assert not torch.equal(rebuilt, rounded) and abs(second / first - 1) < 0.01


def test_float32_is_the_model_itself(trained, clips):
    batch = clips.batch(np.arange(5)).x
    with torch.inference_mode():
        assert torch.equal(
            encode(trained, clips.take(np.arange(5)), precision="float32").static,
            trained.encode(batch).static,
        )


def test_training_and_bfloat16_input_are_left_alone():
    model = build_model("dbse", (3, 16, 16), width=4)
    x = torch.rand(6, 3, 16, 16)
    state = {name: value.clone() for name, value in model.encoder.layers.state_dict().items()}
    with evaluation_precision(torch.bfloat16):
        in_training = evaluate_layers(model.encoder.layers, x)
    model.encoder.layers.load_state_dict(state)
    assert torch.equal(in_training, model.encoder.layers(x))
