"""Independent components of static codes against planted ones."""

import numpy as np
import pytest
import torch
from tones import Additive

from unbraid import components as components_module
from unbraid import find_components
from unbraid.components import train_components
from unbraid.data.sequences import Sequences
from unbraid.generation import encode
from unbraid.types import Codes


def mixed(n=2000, noise=0.0):
    """Three uniform, independent attributes mixed into five coordinates, with a mean and a little noise."""
    random = np.random.default_rng(0)
    attributes, mixing = random.uniform(-1, 1, (n, 3)), random.normal(size=(3, 5))
    static = attributes @ mixing + 3 + noise * random.normal(size=(n, 5))
    return torch.tensor(static, dtype=torch.float32), attributes


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_components_are_the_planted_attributes(noise):
    static, attributes = mixed(noise=noise)
    components = find_components(static)
    found = components.of(static)
    assert len(components) == 3 and found.dtype == torch.float32
    torch.testing.assert_close(found.mean(0), torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.var(0), torch.ones(3), rtol=0, atol=1e-2)
    alike = np.abs(np.corrcoef(found.T, attributes.T)[:3, 3:])
    assert alike.max(1).min() > 0.99 and sorted(alike.argmax(1)) == [0, 1, 2]


def test_exchange_moves_one_attribute_and_keeps_the_rest():
    static, attributes = mixed(noise=0.01)
    components = find_components(static)
    alike = np.abs(np.corrcoef(components.of(static).T, attributes.T)[:3, 3:])
    codes = Codes(static[:1000], torch.randn(1000, 4, 2, generator=torch.Generator().manual_seed(0)))
    other = Codes(static[1000:], torch.zeros(1000, 4, 2))
    chosen = int(alike[:, 1].argmax())
    made = components.exchange(codes, other, (chosen,))
    assert torch.equal(made.dynamic, codes.dynamic) and made.static.dtype == torch.float32
    now = components.of(made.static)
    for number in range(3):
        source = other if number == chosen else codes
        torch.testing.assert_close(now[:, number], components.of(source.static)[:, number], rtol=0, atol=1e-3)
    # what no component holds stays as well
    left_out = lambda s: (s.double() - components.mean) - components.of(s).double() @ components.mix  # noqa: E731
    torch.testing.assert_close(left_out(made.static), left_out(codes.static), rtol=0, atol=1e-4)


def test_all_components_exchanged_give_the_other_code():
    static, _ = mixed()
    components = find_components(static)
    codes, other = (Codes(part, torch.zeros(1000, 2, 1)) for part in (static[:1000], static[1000:]))
    made = components.exchange(codes, other, tuple(range(len(components))))
    torch.testing.assert_close(made.static, other.static, rtol=0, atol=1e-3)


def test_a_component_is_put_to_a_value_and_the_rest_is_kept():
    static, _ = mixed(noise=0.01)
    components = find_components(static)
    before = components.of(static[:5])
    wanted = torch.linspace(-1, 1, 5)
    now = components.of(components.put(static[:5], 1, wanted))
    torch.testing.assert_close(now[:, 1], wanted, rtol=0, atol=1e-4)
    torch.testing.assert_close(now[:, [0, 2]], before[:, [0, 2]], rtol=0, atol=1e-4)


def test_components_that_change_the_codes_most_come_first():
    random = np.random.default_rng(0)
    attributes = random.uniform(-1, 1, (2000, 3)) * [1, 5, 2]
    components = find_components(torch.tensor(attributes))
    assert components.mix.abs().argmax(1).tolist() == [1, 2, 0]


def still(n, fractions=(0.8, 0.1, 0.1)):
    """Sequences that do not move, whose three features are independent; the toy's static code is their mean."""
    x = np.random.default_rng(0).uniform(-1, 1, (n, 1, 3)).repeat(4, 1).astype(np.float32)
    return Sequences.from_arrays(x, name="still", fractions=fractions), Additive((3,)).eval()


def test_components_of_a_run_are_those_of_its_train_split_and_keep_their_numbers(tmp_path, monkeypatch):
    data, model = still(400)
    found = train_components(model, data, tmp_path)
    expected = find_components(encode(model, data.split("train")).static)
    torch.testing.assert_close(found.mix, expected.mix, rtol=0, atol=1e-6)
    monkeypatch.setattr(components_module, "find_components", None)  # they are not found again
    assert torch.equal(train_components(model, data, tmp_path).mix, found.mix)
    other, _ = still(420)
    with pytest.raises(TypeError):
        train_components(model, other, tmp_path)


def test_a_damaged_file_of_components_is_made_anew(tmp_path):
    data, model = still(400)
    found = train_components(model, data, tmp_path)
    (file,) = (tmp_path / "components").iterdir()
    file.write_bytes(file.read_bytes()[:40])
    torch.testing.assert_close(train_components(model, data, tmp_path).mix, found.mix)
    assert len(file.read_bytes()) > 40


def test_few_or_constant_codes_have_no_components(tmp_path):
    data, model = still(120)
    assert len(data.splits["train"]) < 100 and train_components(model, data, tmp_path) is None
    constant = Sequences.from_arrays(np.ones((400, 4, 3), np.float32), name="constant")
    assert train_components(model, constant, tmp_path) is None


def test_codes_that_are_not_finite_have_a_clear_error(tmp_path):
    data, model = still(400)
    nowhere = Codes(torch.full((len(data), 3), torch.nan), torch.zeros(len(data), 4, 3))
    model.encode = lambda x, mask=None: nowhere[: len(x)]
    with pytest.raises(ValueError, match="not finite"):
        train_components(model, data, tmp_path)


def test_a_component_named_twice_is_exchanged_once():
    static, _ = mixed()
    components = find_components(static)
    codes, other = (Codes(part, torch.zeros(1000, 2, 1)) for part in (static[:1000], static[1000:]))
    once, twice = (components.exchange(codes, other, numbers).static for numbers in ((2,), (2, 2)))
    assert torch.equal(once, twice)


def test_rounding_is_no_component():
    static, _ = mixed()
    assert len(find_components(static, share=0)) == 3


def test_the_same_codes_give_the_same_components():
    static, _ = mixed()
    assert torch.equal(find_components(static).mix, find_components(static).mix)


@pytest.mark.parametrize(
    ("static", "share", "message"),
    [
        (torch.ones(10, 3), 1e-3, "10 codes that do not vary"),
        (torch.randn(1, 3), 1e-3, "1 codes that do not vary"),
        (torch.tensor([[1.0, float("nan")], [0.0, 1.0]]), 1e-3, "not finite"),
        (torch.randn(10, 3), 1.0, "share: 1.0 must be at least 0 and below 1"),
    ],
)
def test_codes_without_components_are_refused(static, share, message):
    with pytest.raises(ValueError, match=message):
        find_components(static, share)


def test_components_that_are_not_there_are_refused():
    static, _ = mixed(100)
    components, codes = find_components(static), Codes(static, torch.zeros(100, 2, 1))
    with pytest.raises(ValueError, match="there is no component 3; choose from 0 to 2"):
        components.exchange(codes, codes, (3,))
    with pytest.raises(ValueError, match="there is no component -1; choose from 0 to 2"):
        components.put(static, -1, 0.0)
    with pytest.raises(ValueError, match="other: has 50 sequences; these codes have 100"):
        components.exchange(codes, codes[torch.arange(50)], (0,))


def test_numpy_codes_give_the_same_components():
    static, _ = mixed(500)
    expected = find_components(static)
    torch.testing.assert_close(find_components(static.numpy()).unmix, expected.unmix)
    whole = np.random.default_rng(0).integers(0, 9, (200, 2))
    assert len(find_components(whole)) == 2
