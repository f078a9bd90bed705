"""MoCoGAN, which encodes nothing, keeps each planted factor of its own sequences with the code that it belongs to."""

import numpy as np
import pytest
import torch
from planted import CLASSES, jumps, planted
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from unbraid.training import TrainingConfig, fit
from unbraid.types import Codes

pytestmark = pytest.mark.learning

DRAWN = 240


def made_by(data, folder, settings, seed=1, **training):
    """Drawn sequences, and those that keep one code of theirs while the other is drawn anew; "static" keeps s."""
    config = TrainingConfig(batch_size=32, learning_rate=1e-3, schedule="constant", seed=seed, **training)
    model = fit(data, "mocogan", folder=folder, settings=settings, training=config, quiet=True).model
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        first, other = (model.draw(DRAWN, data.steps, generator) for _ in range(2))
        made = {
            "itself": model.decode(first),
            "static": model.decode(Codes(first.static, other.dynamic)),
            "dynamic": model.decode(Codes(other.static, first.dynamic)),
        }
    return {name: p.mean.numpy() for name, p in made.items()}


def varied(classes):
    """Whether at least three of the four classes are drawn."""
    return np.sum(np.bincount(classes, minlength=CLASSES) / len(classes) > 0.05) >= CLASSES - 1


def test_made_vectors_keep_each_factor_with_its_code(tmp_path):
    data = planted("vectors")
    values, train = data.batch(slice(None)).x.flatten(1).numpy(), data.splits["train"]
    settings = {"width": 64, "static_size": 8, "dynamic_size": 8}
    made = made_by(data, tmp_path / "run", settings, max_epochs=100)
    made = {name: x.reshape(DRAWN, -1) for name, x in made.items()}
    for label, kept in (("what", "static"), ("how", "dynamic")):
        judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        judge.fit(values[train], data.labels[label].values[train])
        shown, again = judge.predict(made["itself"]), judge.predict(made[kept])
        assert np.mean(shown == again) >= 0.8, label
        assert varied(shown), label


def test_made_frames_keep_the_colour_with_s_and_the_path_with_d(tmp_path):
    data = jumps()
    values, what = data.batch(slice(None)).x.numpy(), data.labels["what"].values
    settings = {"width": 32, "static_size": 3, "dynamic_size": 16, "noise": 0.0}
    made = made_by(data, tmp_path / "run", settings, seed=0, max_epochs=100)
    judge = LogisticRegression(max_iter=2000).fit(colours(values), what)
    assert judge.score(colours(values), what) == 1
    shown, again, without = (judge.predict(colours(made[name])) for name in ("itself", "static", "dynamic"))
    assert np.mean(shown == again) >= 0.8 and np.mean(shown == without) < 0.5
    assert varied(shown)
    shown, again, without = (places(made[name]) for name in ("itself", "dynamic", "static"))
    assert correlation(shown, again) >= 0.7 and correlation(shown, without) < 0.3
    assert (shown.std((0, 1)) > 0.5 * places(values).std((0, 1))).all()


def brightness(x):
    """How bright the pixels of clips are, in place of the square: `(N, T, H, H)`."""
    return np.clip(x.max(2) - 0.35, 0, None) + 1e-6


def colours(x):
    """Mean colour `(N, 3)` of the square in each clip."""
    weight = brightness(x)[:, :, None]
    return (weight * x).sum((1, 3, 4)) / weight.sum((1, 3, 4))


def places(x):
    """Row and column `(N, T, 2)` of the square's middle in each frame."""
    weight, along = brightness(x), np.arange(x.shape[-1])
    rows, columns = (weight * along[:, None]).sum((2, 3)), (weight * along).sum((2, 3))
    return np.stack([rows, columns], 2) / weight.sum((2, 3))[:, :, None]


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]
