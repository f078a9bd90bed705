import numpy as np
import pytest

from unbraid.evaluation.scores import Figure, Scores
from unbraid.kinds import KINDS
from unbraid.registry import PROTOCOLS, protocol
from unbraid.report import protocols
from unbraid.report.blocks import Cells, Heading, all_figures, figure_cell, stored_picture
from unbraid.report.choice import scattered_rows
from unbraid.report.pictures import PICTURE_SETS, stored_set
from unbraid.report.protocols import generation, headline, section

SCORE = {"mean": 0.5, "std": 0.1, "floor": 0.25}


@pytest.mark.parametrize(
    ("figure", "share", "text"),
    [
        (Figure(0.5), True, "50.0%"),
        (Figure(0.5, 0.0), True, "50.0%"),
        (Figure(0.5, 0.125), True, "50.0% ± 12.5%"),
        (Figure(2.197, 5e-7), False, "2.197 ± 0.000"),
        (Figure(34.237, 0.03037), False, "34.24 ± 0.03"),
        (Figure(0.0, 0.25), False, "0 ± 0.25"),
        (Figure(12.5, 0.5, low=11.25, high=13), False, "12.5 ± 0.5 [11.25, 13]"),
    ],
)
def test_a_figure_is_shown_with_what_is_known_of_it(figure, share, text):
    assert figure_cell(figure, share) == text


def test_every_kind_has_its_pictures():
    assert set(PICTURE_SETS) == set(KINDS)
    for pictures in PICTURE_SETS.values():
        names = [shown.name for shown in (*pictures.above, *pictures.below)]
        assert len(names) == len(set(names))
        assert all(shown.heading and shown.caption for shown in (*pictures.above, *pictures.below))


def test_the_pictures_of_a_folder_say_of_which_kind_they_are(tmp_path):
    (tmp_path / "pictures").mkdir()
    assert stored_set(tmp_path) is PICTURE_SETS["frames"]
    for kind in KINDS:
        (tmp_path / "pictures" / f"{PICTURE_SETS[kind].always}.png").touch()
        assert stored_set(tmp_path) is PICTURE_SETS[kind]
        (tmp_path / "pictures" / f"{PICTURE_SETS[kind].always}.png").unlink()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_has_a_section(name):
    module = protocols._module(name)
    assert module is not None and callable(module.headline) and callable(module.section)


def test_a_protocol_without_a_section_shows_all_its_figures(monkeypatch, tmp_path):
    monkeypatch.setitem(PROTOCOLS, "mine", PROTOCOLS["generation"])
    scores = Scores(a={"b": SCORE}, protocol={"split": "test", "tasks": ["x"]})
    assert headline("mine", scores) == ""
    blocks = section("mine", scores, tmp_path)
    assert blocks == all_figures(protocol("mine").title, scores)
    assert blocks[0] == Heading("Scores: Generation") and blocks[1].text == 'split test · tasks ["x"]'
    assert isinstance(blocks[2], Cells) and blocks[2].rows == [["a / b", "0.5 ± 0.1", "0.25"]]


def test_a_picture_that_was_not_drawn_is_left_out(tmp_path):
    (tmp_path / "pictures").mkdir()
    assert stored_picture(tmp_path, "swap", "Swaps", "") == []
    (tmp_path / "pictures" / "swap.png").write_bytes(b"still")
    (tmp_path / "pictures" / "swap.gif").write_bytes(b"moving")
    heading, picture = stored_picture(tmp_path, "swap", "Swaps", "words")
    assert heading == Heading("Swaps")
    assert [image.data for image in picture.images] == [b"moving", b"still"]


def test_few_codes_are_not_scattered_and_many_are_chosen_from():
    assert len(scattered_rows(9, 0)) == 0
    np.testing.assert_array_equal(scattered_rows(10, 0), np.arange(10))
    rows = scattered_rows(10_000, 0)
    assert len(rows) == len(set(rows.tolist())) == 600 and (rows != scattered_rows(10_000, 1)).any()


# ---- headlines ------------------------------------------------------------------------------------------


def about(kind, part_of=None):
    return {"kind": kind, "part_of": part_of, "classes": 4, "chance": 0.25, "majority": 0.3}


def figure(mean, floor=0.25):
    return {"mean": mean, "std": 0.0, "floor": floor}


def scores_of(kept, **labels):
    names = [name for name, kind in labels.items() if kind == kept]
    tests = {"swap": 0.875, "swap_leak": 0.125, "keep_dynamic": 0.375, "keep_static": 0.75}
    return Scores(
        accuracy=figure(0.9375),
        scored={"kept": kept, "labels": names},
        labels={name: about(kind) for name, kind in labels.items()},
        squared_error_per_clip=figure(1.0, 4.0),
        **{test: {name: figure(mean) for name in labels} for test, mean in tests.items()},
    )


def test_static_labels_alone_are_reported_by_how_they_follow_the_static_code():
    sentence = generation.headline(scores_of("static", first_who="static", hat="static"))
    assert sentence == (
        "In swaps, 87.5% of the clips show the first who and hat of the clip that gives the static code and 12.5% that of "
        "the clip that gives the dynamics (chance 25.0%). When the dynamics are drawn anew, 93.8% keep their first who and "
        "hat."
    )
    assert "motion" not in sentence


def test_without_a_prior_of_the_dynamics_only_swaps_are_reported():
    scores = scores_of("static", who="static")
    del scores["accuracy"], scores["scored"]
    assert generation.headline(scores).endswith("(chance 25.0%).")


def test_labels_of_both_kinds_are_reported_by_what_is_kept_and_what_is_left():
    sentence = generation.headline(scores_of("dynamic", who="static", move="dynamic"))
    assert sentence == (
        "93.8% of the clips keep their motion when their content is drawn anew; the old content is still recognised in 37.5% "
        "(chance 25.0%). In swaps, 87.5% of all labels come from the clip that should give them."
    )
    assert generation.headline(scores_of("dynamic", move="dynamic")).endswith("content is drawn anew.")


def test_without_labels_or_a_decoded_static_code_reconstruction_is_reported():
    scores = Scores(squared_error_per_clip=figure(1.0, 4.0))
    assert generation.headline(scores).startswith("Without labels only reconstruction is scored: its squared")
    scores["reconstruction"] = {"who": figure(0.9)}
    sentence = generation.headline(scores)
    assert sentence.startswith("The decoder does not read the static code") and "25.0%" in sentence
