"""Settings that no method can have are refused before anything is built."""

import pytest

from unbraid.models.build import build_model
from unbraid.registry import list_models


@pytest.mark.parametrize("name", [name for name in list_models() if name != "side_by_side"])
@pytest.mark.parametrize(
    ("value", "message"),
    [(0, "0 must be at least 1"), (-3, "-3 must be at least 1"), ("8", "'8' must be a whole number")],
)
def test_sizes_are_whole_and_positive(name, value, message):
    with pytest.raises(ValueError, match=rf"model\.width: {message}"):
        build_model(name, (3, 32, 32), width=value)


def test_a_name_that_may_also_be_a_number_is_checked():
    with pytest.raises(ValueError, match=r"model\.anchor: 'frist' is no choice; did you mean 'first'"):
        build_model("dbse", (3, 32, 32), anchor="frist")
    assert build_model("dbse", (3, 32, 32), anchor=2, width=4).anchor == 2
