"""What the Koopman methods share: an encoder with or without its LSTM, and dropout of latents."""

import pytest
import torch

from unbraid.models.build import build_model
from unbraid.testing import tiny_batch
from unbraid.types import Batch


@pytest.fixture(params=["skd", "ssm_skd"])
def koopman(request):
    def build(**settings):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            own = {"static_units": 2} if request.param == "skd" else {"hidden": 5}
            return build_model(request.param, (7,), latent_size=6, width=4, **own, **settings)

    return build


def test_without_its_lstm_a_latent_knows_its_own_step_only(koopman):
    model, x = koopman(recurrent_encoder=False).eval(), tiny_batch((7,), 3, 5).x
    torch.testing.assert_close(model.latents(x)[:, 2], model.encoder(x[:, 2]))
    assert model.encoder_path is None


def test_without_dropout_training_rebuilds_every_latent(koopman):
    x, model = tiny_batch((7,), 3, 5).x, koopman(dropout=0.0).train()
    torch.testing.assert_close(
        model.terms(Batch(x))["reconstruction"], model.eval().terms(Batch(x))["reconstruction"]
    )


def test_a_dropout_of_everything_is_refused(koopman):
    with pytest.raises(ValueError, match=r"model\.dropout: 1\.0 must be at least 0 and below 1"):
        koopman(dropout=1.0)
