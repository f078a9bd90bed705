import numpy as np
import pytest
import torch
from torch.distributions import Laplace, Normal

from unbraid.types import Batch, Codes, Factor, Posterior, View, draw, repeat


def codes(n=2, steps=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Codes(torch.rand(n, 4, generator=generator), torch.rand(n, steps, 5, generator=generator))


def test_exchanging_whole_codes_and_single_coordinates():
    a, b = codes(), codes(seed=1)
    assert torch.equal(a.exchange(b, Factor("static")).static, b.static)
    assert torch.equal(a.exchange(b, Factor("static")).dynamic, a.dynamic)
    part = a.exchange(b, Factor("dynamic", (1, 4)))
    assert torch.equal(part.dynamic[..., [1, 4]], b.dynamic[..., [1, 4]])
    assert torch.equal(part.dynamic[..., [0, 2, 3]], a.dynamic[..., [0, 2, 3]])
    assert torch.equal(a.dynamic, codes().dynamic)  # nothing was changed in place


def test_the_static_code_stands_before_the_dynamic_one_at_each_step():
    both = Codes(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.arange(6.0).reshape(2, 3, 1))
    expected = [[[1, 2, 0], [1, 2, 1], [1, 2, 2]], [[3, 4, 3], [3, 4, 4], [3, 4, 5]]]
    torch.testing.assert_close(both.each_step(), torch.tensor(expected, dtype=torch.float32))


def test_a_whole_dynamic_code_may_have_another_length():
    a, longer = codes(), codes(steps=6, seed=1)
    assert a.exchange(longer, Factor("dynamic")).dynamic.shape == (2, 6, 5)
    with pytest.raises(ValueError, match="between sequences of one length"):
        a.exchange(longer, Factor("dynamic", (0,)))
    with pytest.raises(ValueError, match="other: has 3 sequences; these codes have 2"):
        a.exchange(codes(3), Factor("static"))


def test_drawing_from_a_generator():
    normal = Normal(torch.zeros(2, 3), torch.ones(2, 3))
    first, second = (draw(normal, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert draw(Laplace(torch.zeros(2), 1.0)).shape == (2,)
    with pytest.raises(ValueError, match="Laplace cannot draw from a given generator"):
        draw(Laplace(torch.zeros(2), 1.0), torch.Generator())


def test_repeating_a_batch():
    normal = Normal(torch.arange(4.0).view(2, 2), torch.ones(2, 2))
    assert repeat(normal, 3).loc.tolist() == [[0, 1], [2, 3]] * 3
    with pytest.raises(ValueError, match="Laplace cannot be repeated"):
        repeat(Laplace(torch.zeros(2), 1.0), 2)
    batch = Batch(torch.arange(4.0).view(2, 1, 2), torch.tensor([[True], [False]]))
    assert batch.repeat(1) is batch
    assert batch.repeat(2).x[:, 0].tolist() == [[0, 1], [2, 3]] * 2
    assert batch.repeat(2).mask[:, 0].tolist() == [True, False] * 2


def test_a_posterior_of_d_given_s():
    posterior = Posterior(
        Normal(torch.zeros(1, 2), 1e-9),
        Normal(torch.zeros(1, 3, 2), 1e-9),
        lambda s: Normal(s[:, None] + 7, 1e-9),
    )
    assert torch.allclose(posterior.at(torch.ones(1, 2)).dynamic.mean, torch.tensor(8.0))
    assert torch.allclose(posterior.sample(torch.Generator()).dynamic, torch.tensor(7.0))


def test_what_a_batch_lacks_is_named():
    batch = Batch(torch.zeros(1, 2, 3), views={"static": View(torch.ones(1, 2, 3))})
    assert batch.view("static").x.eq(1).all()
    with pytest.raises(ValueError, match="there is no 'dynamic' view"):
        batch.view("dynamic")
    with pytest.raises(ValueError, match=r"batch\.dataset_size: is missing"):
        batch.require_dataset_size()


def test_a_batch_moves_as_a_whole():
    batch = Batch(
        torch.zeros(1, 2, 3),
        torch.ones(1, 2, dtype=torch.bool),
        {"a": torch.zeros(1, dtype=torch.long)},
        torch.zeros(1, dtype=torch.long),
        views={"v": View(torch.zeros(1, 2, 3))},
        dataset_size=7,
    )
    moved = batch.to("meta")
    tensors = (moved.x, moved.mask, moved.labels["a"], moved.index, moved.views["v"].x)
    assert all(tensor.device.type == "meta" for tensor in tensors) and moved.dataset_size == 7


def test_a_single_row_of_codes_is_a_batch_of_one():
    codes = Codes(torch.rand(3, 2), torch.rand(3, 4, 5), ("ann", "bob", "cat"))
    last = codes[-1]
    assert last.names == ("cat",) and last.dynamic.shape == (1, 4, 5)
    torch.testing.assert_close(last.static, codes.static[2:])
    assert [each.names for each in codes] == [("ann",), ("bob",), ("cat",)]
    counted = codes[np.argmax([0, 1, 0])]
    assert counted.names == ("bob",) and counted.static.shape == (1, 2)
