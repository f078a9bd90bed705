"""MoCoGAN, which encodes nothing, keeps each planted factor of its own sequences with the code that it belongs to."""

import numpy as np
import pytest
import torch
from planted import CLASSES, planted
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from unbraid.training import TrainingConfig, fit
from unbraid.types import Codes

DRAWN = 240


@pytest.mark.learning
def test_made_sequences_keep_each_factor_with_its_code(tmp_path):
    data = planted("vectors")
    values, train = data.batch(slice(None)).x.flatten(1).numpy(), data.splits["train"]
    settings = {"width": 64, "static_size": 8, "dynamic_size": 8}
    training = TrainingConfig(max_epochs=100, batch_size=32, learning_rate=1e-3, schedule="constant", seed=1)
    folder = tmp_path / "run"
    model = fit(data, "mocogan", folder=folder, settings=settings, training=training, quiet=True).model
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        first, other = (model.draw(DRAWN, data.steps, generator) for _ in range(2))
        made = {
            "itself": model.decode(first),
            "what": model.decode(Codes(first.static, other.dynamic)),
            "how": model.decode(Codes(other.static, first.dynamic)),
        }
    made = {name: p.mean.flatten(1).numpy() for name, p in made.items()}
    for label in ("what", "how"):
        judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        judge.fit(values[train], data.labels[label].values[train])
        shown, again = judge.predict(made["itself"]), judge.predict(made[label])
        assert np.mean(shown == again) >= 0.8, label
        shares = np.bincount(shown, minlength=CLASSES) / DRAWN
        assert np.sum(shares > 0.05) >= CLASSES - 1, shares
