"""Checks that have no test of their own beside `Sequences`; those of arrays are in test_sequences.py."""

import pytest

from unbraid.data.checks import OBSERVATION_CHECKS, check_choice, check_clip
from unbraid.kinds import KINDS


def test_every_kind_has_a_row():
    assert sorted(OBSERVATION_CHECKS) == sorted(KINDS)


def test_choices():
    check_choice("form", "official", ("corrected", "official"))
    with pytest.raises(ValueError, match=r"^form: is 'offical'; choose 'corrected' or 'official'$"):
        check_choice("form", "offical", ("corrected", "official"))
    with pytest.raises(ValueError, match=r"^fold: is 3; choose None, 0, 1 or 2$"):
        check_choice("fold", 3, (None, 0, 1, 2))


@pytest.mark.parametrize(
    ("size", "steps", "message"),
    [(48, 8, "size: is 48; choose 16, 32, 64 or 128"), (64, 1, "steps: is 1; a clip needs at least 2")],
)
def test_clips(size, steps, message):
    check_clip(64, 8)
    with pytest.raises(ValueError, match=message):
        check_clip(size, steps)
