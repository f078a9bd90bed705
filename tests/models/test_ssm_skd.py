"""SSM-SKD against its equations, written out sequence by sequence, planted dynamics, and the authors' known defects."""

import numpy as np
import pytest
import torch
from koopman import without_codecs

from unbraid.masks import steps_below
from unbraid.models.build import build_model
from unbraid.testing import tiny_batch
from unbraid.types import Batch


def ssm_skd(observation=(7,), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build_model("ssm_skd", observation, **({"latent_size": 6, "hidden": 5, "width": 4} | settings))


@pytest.mark.parametrize(("observation", "length"), [((7,), 5), ((7,), 9), ((3, 16, 16), 5)])
def test_terms_equal_the_equations(observation, length):
    x, ridge = tiny_batch(observation, 3, length).x, 1e-6
    settings = {"dynamic_threshold": 0.05}
    terms = ssm_skd(observation, **settings).train().terms(Batch(x), torch.Generator().manual_seed(3))
    model = ssm_skd(observation, **settings).train()
    z, _ = model.encoder_path.lstm(model.encoder(x.flatten(0, 1)).unflatten(0, (3, length)))
    kept = torch.rand(z.shape, generator=torch.Generator().manual_seed(3)) >= 0.2
    predicted, static, dynamic = z.clone(), [], []
    for b in range(3):
        path = z[b].detach().double().numpy()
        rows = np.concatenate([path[:-1], np.sqrt(ridge) * np.eye(6)])
        operator = np.linalg.lstsq(rows, np.concatenate([path[1:], np.zeros((6, 6))]), rcond=None)[0]
        predicted[b, 1:] = torch.from_numpy(path[:-1] @ operator)
        values = sorted(np.linalg.eigvals(operator), key=lambda v: abs(v - 1))
        pair = 2 if abs(values[0].imag) > 1e-9 else 1
        static.append(abs(values[0] - 1) ** 2)
        dynamic.append(np.mean([v.real * (v.real > 0.05) for v in values[pair:]]))

    def decoded(path):
        return model.decoder(model.decoder_path.lstm(path)[0].flatten(0, 1)).unflatten(0, (3, length))

    rebuilt, continued = decoded(z * kept / 0.8), decoded(predicted)
    expected = {
        "reconstruction": ((rebuilt - x) ** 2).flatten(1).mean(1),
        "prediction": ((continued - x) ** 2).flatten(1).mean(1),
        "latent_prediction": ((predicted - z) ** 2).flatten(1).mean(1),
        "static_eigenvalues": torch.tensor(np.array(static)),
        "dynamic_eigenvalues": torch.tensor(np.array(dynamic)),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-3, atol=1e-6, check_dtype=False)


def planted(steps, block, n=5, seed=0):
    """Paths x_{t+1} = x_t C of n sequences, each with its own operator C; the first coordinates belong to `block`."""
    random = np.random.default_rng(seed)
    operator = np.diag([0.0] * 2 + [0.6, -0.8, 0.4, -0.3])
    operator[:2, :2] = block
    paths, shown = [], []
    for _ in range(n):
        mixing, start = random.normal(size=(6, 6)) + 2 * np.eye(6), random.normal(size=6)
        start[:2] *= np.abs(block).sum(1) > 0
        path = np.stack([start @ np.linalg.matrix_power(operator, t) for t in range(steps)])
        paths.append(path @ mixing)
        shown.append(path[:, :2] @ mixing[:2])
    return torch.tensor(np.stack(paths)), torch.tensor(np.stack(shown))


@pytest.mark.parametrize("steps", [6, 12])
def test_the_static_code_is_the_constant_part(steps):
    x, constant = planted(steps, np.diag([1.0, 0.0]))
    constant = constant.mean(1)
    codes = without_codecs(ssm_skd((6,), ridge=1e-13)).double().encode(x)
    torch.testing.assert_close(codes.static, constant, rtol=0, atol=1e-3)
    torch.testing.assert_close(codes.dynamic, x - constant.unsqueeze(1), rtol=0, atol=1e-3)


def test_a_static_pair_is_kept_whole():
    """The authors take one eigenvector of a pair and its real part, which loses half of it."""
    angle = 0.02
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x, turning = planted(12, turn)
    codes = without_codecs(ssm_skd((6,), ridge=1e-13)).double().encode(x)
    torch.testing.assert_close(x - codes.dynamic, turning, rtol=0, atol=1e-3)
    torch.testing.assert_close(codes.static, turning.mean(1), rtol=0, atol=1e-3)


def test_padding_and_batch_mates_change_no_code():
    x, _ = planted(9, np.diag([1.0, 0.0]))
    model = without_codecs(ssm_skd((6,), ridge=1e-9)).double()
    mask = steps_below(torch.tensor([9, 6, 6, 9, 4]), 9)
    padded = model.encode(torch.where(mask.unsqueeze(2), x, 50.0), mask)
    for row, length in enumerate(mask.sum(1)):
        alone = model.encode(x[row : row + 1, :length])
        torch.testing.assert_close(padded.static[row], alone.static[0], rtol=0, atol=1e-6)
        torch.testing.assert_close(padded.dynamic[row, :length], alone.dynamic[0], rtol=0, atol=1e-6)


def test_padding_is_no_static_mode():
    """Padding adds eigenvalues of 0, which lie closer to 1 than those of a path that turns round at every step."""
    x = torch.randn(200, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model, mask = without_codecs(ssm_skd((6,))).double(), steps_below(torch.full((200,), 3), 6)
    padded, alone = model.encode(x, mask), model.encode(x[:, :3])
    torch.testing.assert_close(padded.static, alone.static, rtol=1e-5, atol=1e-5)
    loss = [model.terms(Batch(*given))["static_eigenvalues"] for given in ((x, mask), (x[:, :3],))]
    torch.testing.assert_close(*loss, rtol=1e-5, atol=1e-5)


def test_short_sequences_are_predicted_exactly():
    """With fewer pairs of steps than latents the least squares have an exact solution; with more they have not."""
    model = ssm_skd(latent_size=15).eval()
    with torch.no_grad():
        for _ in range(2):
            for parameter in model.encoder_path.parameters():
                parameter.mul_(3)
        short, long = (
            model.terms(Batch(tiny_batch((7,), 3, length).x))["latent_prediction"] for length in (4, 40)
        )
    assert short.max() < 1e-3 * long.min()


def test_gradients_are_finite_with_and_without_a_step_to_predict():
    x = tiny_batch((7,), 4, 6).x
    mask = steps_below(torch.tensor([6, 4, 1, 0]), 6)
    model = ssm_skd().train()
    sum(term.sum() for term in model.terms(Batch(x, mask)).values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    codes = model.eval().encode(x, mask)
    assert torch.isfinite(codes.static).all()
    torch.testing.assert_close(codes.static[2], torch.zeros(6), rtol=0, atol=0)


def test_a_ridge_that_is_not_above_zero_is_refused():
    with pytest.raises(ValueError, match=r"model\.ridge: -1.0 must be above 0"):
        ssm_skd(ridge=-1.0)


def test_a_single_step_cannot_be_predicted():
    with pytest.raises(ValueError, match="give sequences of at least 2 steps"):
        ssm_skd().encode(torch.rand(2, 1, 7))
