"""Models on disk: whatever byte is changed, the file is refused by its name, or is the same model."""

import json
import random

import pytest
import torch

from unbraid.files import with_checksum
from unbraid.io import load_model, save_model
from unbraid.models.build import build_model

SETTINGS = {"width": 4, "static_size": 3, "dynamic_size": 4, "features": 8, "hidden": 6}


@pytest.fixture
def folder(tmp_path):
    return save_model(build_model("dbse", (5,), **SETTINGS), tmp_path / "model")


def values(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_any_changed_byte_is_seen(folder, name):
    expected = values(load_model(folder))
    path, draw = folder / name, random.Random(0)
    content = path.read_bytes()
    for place in sorted(draw.sample(range(len(content)), min(len(content), 250))):
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            model = load_model(folder)
        except ValueError as error:
            assert str(folder) in str(error) and "\n" not in str(error)
        else:  # another blank between two values, or the checksum lost its name
            assert name == "model.json"
            assert all(torch.equal(value, expected[key]) for key, value in values(model).items()), place


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"width": "four"}},
        {"settings": {"hidden": -3}},
        {"settings": 3},
        {"observation": "x"},
        {"observation": ["a"]},
        {"observation": None},
        {"model": 3},
        {"model": None},
    ],
)
def test_values_that_make_no_model_are_named(folder, change):
    content = json.loads((folder / "model.json").read_text())
    content.pop("checksum")
    (folder / "model.json").write_text(json.dumps(with_checksum(content | change)))
    with pytest.raises(ValueError) as raised:
        load_model(folder)
    assert "\n" not in str(raised.value)


def test_a_method_that_is_not_registered_is_named(folder):
    content = json.loads((folder / "model.json").read_text())
    content.pop("checksum")
    (folder / "model.json").write_text(json.dumps(with_checksum(content | {"model": "my_method"})))
    with pytest.raises(
        ValueError, match=r"trained by 'my_method', which is not registered; .*register_model"
    ) as raised:
        load_model(folder)
    assert "damaged" not in str(raised.value)


def test_a_model_loads_as_float32_whatever_the_default(folder):
    expected = values(load_model(folder))
    torch.set_default_dtype(torch.float64)
    try:
        found = values(load_model(folder))
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    assert {value.dtype for value in found.values()} == {value.dtype for value in expected.values()}
