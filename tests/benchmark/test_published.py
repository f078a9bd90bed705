"""Published scores belong to columns, and are those of the papers."""

import pytest

from unbraid.benchmark.published import published_by_method, read_published
from unbraid.benchmark.score_columns import shared_columns

DATA = (
    "sprites",
    "mug",
    "moving_digits",
    "physionet2012",
    "air_quality",
    "etth1",
    "timit",
    "librispeech",
    "jester",
)


@pytest.mark.parametrize("data", DATA)
def test_published_scores_are_of_columns_that_exist(data):
    published = read_published(data)
    assert published
    assert {number.score for number in published} <= shared_columns().keys()
    assert len({(number.method, number.score) for number in published}) == len(published)
    for number in published:
        assert number.source.startswith("https://") and number.place
        assert not shared_columns()[number.score].percent or 0 <= number.value <= 1


def test_the_published_table_is_that_of_the_paper():
    mug = published_by_method("mug")
    assert mug["DBSE"]["accuracy"].value == 0.869 and mug["DBSE"]["accuracy"].spread == 0.009
    assert mug["DBSE, no subtraction"]["generated_static_from_d"].value == 0.3982
    assert mug["DSVAE, all MWS"]["inception_score"].value == 4.796
    stays = published_by_method("physionet2012")
    assert stays["DBSE"]["mortality_auprc"].value == 0.473
    assert stays["DBSE, anchor last"]["icu_accuracy"].value == 0.5519
