"""GP-VAE, GLR and FHVAE learn planted factors: the level of a series is static, its wave or its order of slopes dynamic."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import CLASSES, planted
from sklearn.ensemble import ExtraTreesClassifier

from unbraid.training import TrainingConfig, fit
from unbraid.types import draw

SMALL = {"features": 32, "width": 32, "hidden": 32}
CHANCE = 1 / CLASSES


def learned(name, data, folder, weights, **settings):
    config = TrainingConfig(
        max_epochs=30, batch_size=32, learning_rate=3e-3, precision="float32", device="cpu", weights=weights
    )
    return fit(data, name, folder=folder, settings=SMALL | settings, training=config, quiet=True).model.eval()


def read(model, data, label):
    """How well a label of the test sequences is predicted from one draw of each code."""
    codes = {}
    for split in ("train", "test"):
        batch = data.split(split).batch(slice(None))
        with torch.no_grad():
            posterior = model.posterior(batch.x, batch.mask)
        generator = torch.Generator().manual_seed(0)
        static, dynamic = draw(posterior.static, generator), draw(posterior.dynamic, generator)
        codes[split] = {"static": static, "dynamic": dynamic.flatten(1)}
    truth = {split: data.split(split).labels[label].values for split in codes}
    return {
        code: ExtraTreesClassifier(100, random_state=0)
        .fit(codes["train"][code], truth["train"])
        .score(codes["test"][code], truth["test"])
        for code in ("static", "dynamic")
    }


@pytest.mark.learning
@pytest.mark.parametrize("kind", ["vectors", "windows"])
def test_glr_separates_the_factors_and_its_static_code_is_that_of_any_chunk(kind, tmp_path):
    data = planted(kind)
    weights = {"kl_static": 0.3, "kl_dynamic": 0.3, "counterfactual": 1.0}
    model = learned("glr", data, tmp_path / "run", weights, static_size=4, dynamic_size=4)
    what, how = read(model, data, "what"), read(model, data, "how")
    assert what["static"] > 0.85 and how["static"] < CHANCE + 0.25
    assert how["dynamic"] > 0.85
    x = data.split("test").batch(slice(None)).x
    with torch.no_grad():
        codes = [model.train().global_mean(x, None, torch.Generator().manual_seed(k)) for k in (1, 2)]
    assert not torch.equal(*codes)
    assert np.corrcoef(*(code.flatten() for code in codes))[0, 1] > 0.9


@pytest.mark.learning
def test_fhvae_separates_the_factors_when_recordings_share_the_static_one(tmp_path):
    """Forty recordings of twelve sequences each, alike in their level and not in their wave."""
    data = planted("vectors")
    number = np.random.default_rng(3).integers(0, 10, len(data))
    data = replace(data, groups=10 * data.labels["what"].values + number, fingerprint="")
    settings = {"static_size": 4, "dynamic_size": 4, "segment": 2, "table_rate": 10.0}
    model = learned("fhvae", data, tmp_path / "run", {"discriminative": 1.0, "kl_dynamic": 0.3}, **settings)
    what, how = read(model, data, "what"), read(model, data, "how")
    assert what["static"] > 0.85 and how["static"] < CHANCE + 0.25
    assert how["dynamic"] > 0.85


@pytest.mark.learning
@pytest.mark.parametrize("kind", ["vectors", "windows"])
def test_gp_vae_codes_hold_both_factors(kind, tmp_path):
    """It separates nothing; its codes must describe the sequences."""
    data = planted(kind)
    model = learned("gp_vae", data, tmp_path / "run", {"kl_dynamic": 0.3}, dynamic_size=4)
    assert read(model, data, "what")["dynamic"] > 0.85 and read(model, data, "how")["dynamic"] > 0.85
