"""A change of behaviour shows: the first losses of every recipe are those that are stored."""

import json

import pytest
from first_losses import STORED, first_losses

from unbraid.recipes import list_recipes

LOSSES = json.loads(STORED.read_text(encoding="utf-8"))


def test_every_recipe_has_stored_losses():
    assert sorted(LOSSES) == list_recipes()


@pytest.mark.parametrize("recipe", list_recipes())
def test_first_losses_are_those_stored(recipe):
    losses = first_losses(recipe)
    assert losses[0] == pytest.approx(LOSSES[recipe][0], rel=1e-4)
    # Muon and batch norm magnify rounding, which differs between processors.
    assert losses[1:] == pytest.approx(LOSSES[recipe][1:], rel=0.02)
