"""What a GPU computes is what a CPU computes: steps, codes, trainings, resumes. `--device cpu` tries the tests without one."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from unbraid.data.sequences import Sequences
from unbraid.generation import encode
from unbraid.models.build import build_model
from unbraid.registry import list_models, model_class
from unbraid.training import TrainingConfig, fit, resume
from unbraid.training.phases import TrainingStep

pytestmark = pytest.mark.gpu

SMALL = {
    "static_size": 3,
    "dynamic_size": 4,
    "features": 8,
    "hidden": 6,
    "width": 8,
    "latent_size": 9,
    "static_units": 2,
}
SERIES = ("gp_vae", "glr", "braid")
# The gradients of eigenvalues amplify rounding.
LOOSE = ("skd", "ssm_skd")


def noise(observation, n=24):
    random = np.random.default_rng(0)
    x = random.random((n, 6, *observation), dtype=np.float32)
    return Sequences.from_arrays((255 * x).astype(np.uint8) if len(observation) == 3 else x, name="noise")


def data_for(name):
    return noise((4, 3)) if name in SERIES else noise((3, 16, 16))


def step(name, device, precision):
    """The total, the terms and the weights' change of one training step, with noise from the CPU."""
    data = data_for(name)
    names = model_class(name).setting_names()
    settings = {key: value for key, value in SMALL.items() if key in names}
    settings |= {key: len(data) for key in ("sequences", "recordings") if key in names}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(name, data.observation, **settings).to(device).eval()
    rows = np.arange(8)
    with torch.no_grad():
        model.start([data.batch(rows, device)])
    config = TrainingConfig(batch_size=8, precision=precision, device=device)
    take = TrainingStep(model.train(), config, 1, len(data), torch.Generator().manual_seed(0))
    losses = take.take(data.batch(rows, device), 0)
    return losses.total.item(), {name: term.item() for name, term in losses.terms.items()}


@pytest.mark.parametrize("name", list_models())
def test_a_step_is_that_of_the_cpu(name, device):
    _, expected = step(name, "cpu", "float32")
    _, terms = step(name, device, "float32")
    for term, value in expected.items():
        assert terms[term] == pytest.approx(value, rel=5e-2 if name in LOOSE else 2e-3, abs=1e-3), term


@pytest.mark.parametrize("name", list_models())
def test_a_step_in_bfloat16(name, device):
    full, _ = step(name, device, "float32")
    half, terms = step(name, device, "bfloat16")
    assert all(np.isfinite(value) for value in terms.values())
    assert name in LOOSE or half == pytest.approx(full, rel=0.1, abs=0.1)


def train(folder, device, **changes):
    training = {"max_epochs": 2, "batch_size": 8, "precision": "float32", "checkpoint_minutes": 1e-9}
    settings = {key: SMALL[key] for key in ("static_size", "dynamic_size", "features", "hidden", "width")}
    config = TrainingConfig(**training | {"device": device} | changes)
    return fit(noise((3, 16, 16), 40), "dbse", folder=folder, settings=settings, training=config, quiet=True)


def weights(folder):
    return load_file(folder / "model" / "model.safetensors")


def test_training_and_encoding(tmp_path, device):
    run = train(tmp_path / "run", device)
    data = noise((3, 16, 16), 40)
    expected, found = encode(run.model, data), encode(run.model.to(device), data)
    torch.testing.assert_close(found.static, expected.static, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.dynamic, expected.dynamic, rtol=1e-3, atol=1e-3)


def test_a_resume_is_exact(tmp_path, device):
    """Where the GPU's own kernels are: the same numbers in the same order."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    try:
        train(tmp_path / "whole", device)
        train(tmp_path / "stopped", device)
        (tmp_path / "stopped" / "model" / "model.json").unlink()
        last = sorted((tmp_path / "stopped" / "checkpoints").iterdir())[-1]
        last.unlink()
        resume(tmp_path / "stopped", noise((3, 16, 16), 40), quiet=True)
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.deterministic = before[1]
    whole, stopped = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    for name in whole:
        torch.testing.assert_close(stopped[name], whole[name], rtol=1e-4, atol=1e-5)


def test_training_in_bfloat16(tmp_path, device):
    assert all(
        value.isfinite().all()
        for value in weights(train(tmp_path / "run", device, precision="bfloat16").folder).values()
    )


COMPILED = """
import sys

import numpy as np
import torch

from unbraid.data.sequences import Sequences
from unbraid.models.build import build_model
from unbraid.training import TrainingConfig
from unbraid.machine import compiled
from unbraid.training.phases import TrainingStep

device = sys.argv[1]
x = np.random.default_rng(0).integers(0, 255, (8, 4, 3, 16, 16), dtype=np.uint8)
data, rows, totals = Sequences(x, "noise"), np.arange(8), []
for wanted in (False, True):
    torch.manual_seed(0)
    model = build_model("dbse", (3, 16, 16), width=4, features=8, hidden=6, static_size=3, dynamic_size=4)
    names = list(model.to(device).state_dict())
    config = TrainingConfig(batch_size=8, precision="float32", device=device)
    with compiled(model, wanted):
        step = TrainingStep(model, config, 2, len(data), torch.Generator().manual_seed(0))
        totals.append([step.take(data.batch(rows, device), number).total.item() for number in (0, 1)])
        assert list(model.state_dict()) == names
    assert all(part._compiled_call_impl is None for part in model.children())
np.testing.assert_allclose(totals[1], totals[0], rtol=1e-3)
"""


def test_a_compiled_step_is_the_same(tmp_path, device):
    """In a process of its own, because torch.compile does not go through the tests' checks of shapes."""
    script = tmp_path / "compiled.py"
    script.write_text(COMPILED)
    done = subprocess.run([sys.executable, script, device], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
