"""Several encoders side by side: their codes are one another's neighbours, and each trains as it would alone."""

import pytest
import torch

from unbraid.benchmark.identity import settings_hash
from unbraid.cli import main
from unbraid.models.build import build_model
from unbraid.recipes.resolving import resolve_recipe, side_by_side
from unbraid.testing.models import tiny_batch
from unbraid.training.run import open_run

SMALL = {"static_size": 4, "dynamic_size": 3, "features": 8, "width": 4, "hidden": 8}


def three(method="dsvae", **settings):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model("side_by_side", (6,), method=method, encoders=3, settings=SMALL | settings).eval()


def test_codes_are_those_of_all_models_in_order():
    model, batch = three(), tiny_batch((6,))
    with torch.no_grad():
        posterior, each = model.posterior(batch.x), [part.posterior(batch.x) for part in model.models]
    assert (model.static_size, model.dynamic_size) == (12, 9)
    for code in ("static", "dynamic"):
        for figure in ("mean", "stddev"):
            expected = torch.cat([getattr(getattr(part, code), figure) for part in each], -1)
            torch.testing.assert_close(getattr(getattr(posterior, code), figure), expected)
    assert not torch.allclose(each[0].static.mean, each[1].static.mean)


def test_each_model_gets_the_gradient_of_its_own_loss():
    model, batch = three().train(), tiny_batch((6,))
    terms = model.terms(batch, torch.Generator().manual_seed(1))
    sum(term.mean() for term in terms.values()).backward()
    together = [[parameter.grad.clone() for parameter in part.parameters()] for part in model.models]
    generator = torch.Generator().manual_seed(1)
    for part, expected in zip(model.models, together, strict=True):
        part.zero_grad()
        sum(term.mean() for term in part.terms(batch, generator).values()).backward()
        for parameter, gradient in zip(part.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)


def test_what_a_method_fits_before_training_is_fitted_in_each():
    model = build_model("side_by_side", (6,), method="braid", encoders=2, settings=SMALL)
    with torch.no_grad():
        model.start([tiny_batch((6,), size=30)])
    first, second = model.models
    torch.testing.assert_close(first.summaries.directions, second.summaries.directions)
    assert not torch.allclose(first.summaries.directions, torch.eye(*first.summaries.directions.shape))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoders": 1}, "model.encoders: 1 must be at least 2"),
        ({"method": "side_by_side"}, "name another"),
        ({"method": "mocogan"}, "mocogan"),
        ({"method": "r_wae", "settings": {"divergence": "gan"}}, "trains in several phases"),
        ({"method": "dbse", "settings": {"widht": 4}}, "widht.*width"),
    ],
)
def test_what_cannot_stand_side_by_side_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        build_model("side_by_side", (6,), **settings)


def test_the_option_of_train_is_the_recipe():
    config = side_by_side(resolve_recipe("air_quality/pooled"), 3)
    assert settings_hash(config) == settings_hash(resolve_recipe("air_quality/pooled-three"))


def test_a_run_of_three_encodes_and_is_scored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    words = [
        "train",
        "voices/vae",
        "--run",
        "run",
        "--seeds",
        "3",
        "--no-evaluate",
        "--training.max_epochs",
        "1",
    ]
    sizes = ["--data.speakers", "30", "--model.width", "4", "--model.hidden", "8", "--training.device", "cpu"]
    assert main(words + sizes) == 0
    model = open_run("run").model
    assert model.card.name == "side_by_side" and len(model.models) == 3
    assert model.settings["settings"]["width"] == 4
    assert main(["evaluate", "run", "--protocols", "verification", "--split", "validation"]) == 0


def test_batches_are_not_read_where_the_method_fits_nothing_from_them():
    model = build_model("side_by_side", (7,), method="vae", encoders=2)

    def batches():
        raise AssertionError("a batch was read")
        yield

    model.start(batches())
    model.finish(batches())
