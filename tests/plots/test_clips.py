import io

import numpy as np
import pytest
from PIL import Image

from unbraid import plots
from unbraid.plots.sheets import rgb

generator = np.random.default_rng(0)


def frames(*shape):
    return generator.random((*shape, 3, 16, 16)).astype(np.float32)


def words(figure):
    return [text.get_text() for text in figure.texts]


def pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))


def shown(axes):
    """The first frame of a strip, in its own size."""
    strip = axes.images[0].get_array()
    scale = strip.shape[0] // 16
    return strip[::scale, : 16 * scale : scale]


def same(axes, clip):
    return np.array_equal(shown(axes), rgb(clip[0]))


def test_replaced_codes_stand_under_the_clips_that_they_replace():
    originals, static, dynamic = frames(3, 4), frames(2, 4), frames(2, 4)
    figure = plots.plot_replaced(originals, static, dynamic)
    grid = np.array(figure.axes).reshape(5, 2)
    for row, clip in ((0, originals[0]), (1, originals[1]), (3, originals[2])):
        assert same(grid[row, 0], clip) and same(grid[row, 1], clip)
    for i in range(2):
        assert same(grid[2 + 2 * i, 0], static[i]) and same(grid[2 + 2 * i, 1], dynamic[i])
    assert words(figure)[-2:] == ["content of the first, own motion", "motion of the first, own content"]
    with pytest.raises(ValueError, match="dynamic_of_first: has 1 clips for 2 others"):
        plots.plot_replaced(originals, static, dynamic[:1])


def test_swap_sets_have_four_rows_each():
    first, second, one, two = frames(2, 4), frames(2, 4), frames(2, 4), frames(2, 4)
    figure = plots.plot_swap_sets(first, second, one, two)
    assert len(figure.axes) == 8
    for axes, clip in zip(figure.axes[4:], (first[1], one[1], second[1], two[1]), strict=True):
        assert same(axes, clip)
    with pytest.raises(ValueError, match="give four alike"):
        plots.plot_swap_sets(first, second[:1], one, two)


def test_drawn_pairs_alternate():
    originals, generated = frames(3, 4), frames(3, 4)
    figure = plots.plot_drawn_pairs(originals, generated, "content")
    assert words(figure) == ["original", "content\ndrawn"] * 3
    assert same(figure.axes[2], originals[1]) and same(figure.axes[3], generated[1])
    with pytest.raises(ValueError, match="generated: has shape"):
        plots.plot_drawn_pairs(originals, generated[:2], "content")


def test_interpolation_sets_say_what_is_seen():
    figure = plots.plot_interpolation_sets(frames(2, 3, 4), [["walk", "walk", "slash"], ["walk"] * 3])
    assert len(figure.axes) == 6
    assert words(figure) == [w for share in ("0%", "50%", "100%") for w in (share, "walk")][:5] + [
        "slash"
    ] + [w for share in ("0%", "50%", "100%") for w in (share, "walk")]
    assert words(plots.plot_interpolation_sets(frames(1, 3, 4))) == ["0%", "50%", "100%"]


def test_failures_are_three_clips_and_what_was_said():
    clips = frames(2, 3, 4)
    figure = plots.plot_failures(clips, ["walk", "slash"], ["slash", "walk"], [0.9, 0.51])
    assert len(figure.axes) == 6 and same(figure.axes[5], clips[1, 2])
    assert words(figure)[0] == "seen as slash\n(90% sure)\nshould be walk"


def test_vectors_are_drawn_as_well():
    mel = generator.normal(size=(2, 20, 80))
    assert pixels(plots.plot_swap_sets(mel, mel, mel, mel)).std() > 1
    assert pixels(plots.plot_replaced(mel, mel[1:], mel[1:])).std() > 1


def test_confusion_shows_shares_of_rows():
    counts = np.array([[8, 2, 0], [0, 0, 0], [1, 1, 2]])
    figure = plots.plot_confusion(counts, ("a", "b", "c"), "move")
    axes = figure.axes[0]
    assert np.allclose(axes.images[0].get_array(), [[0.8, 0.2, 0], [0, 0, 0], [0.25, 0.25, 0.5]])
    assert sorted(text.get_text() for text in axes.texts) == ["20", "25", "25", "50", "80"]
    with pytest.raises(ValueError, match="counts: has shape"):
        plots.plot_confusion(counts, ("a", "b"))


@pytest.mark.parametrize("count", [2, 9, 52])
def test_confusion_of_few_and_of_many_classes(count):
    counts = generator.integers(0, 5, (count, count))
    assert pixels(plots.plot_confusion(counts, [f"class {i}" for i in range(count)])).std() > 1


def figure_of(mean):
    return {"mean": mean, "std": 0.01, "floor": 0.25}


LABELS = {
    "who": {"kind": "static", "chance": 0.25, "part_of": None},
    "move": {"kind": "dynamic", "chance": 0.5, "part_of": None},
    "axis": {"kind": "dynamic", "chance": 0.5, "part_of": "move"},
}


def test_interpolation_scores_are_two_curves_for_each_label():
    way = {
        share: {"who": figure_of(0.1 * i), "move": figure_of(1), "axis": figure_of(1)}
        for i, share in enumerate(("0%", "50%", "100%"))
    }
    figure = plots.plot_interpolation_scores({"labels": LABELS, "interpolation": {"own": way, "other": way}})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["who (static)", "move (dynamic)"]
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[0, 0], [0.5, 0.1], [1, 0.2]]
    with pytest.raises(ValueError, match="hold no interpolation"):
        plots.plot_interpolation_scores({"labels": LABELS})


def test_leakage_is_bars_for_each_code():
    read = {name: {"mean": figure_of(0.9)} for name in LABELS}
    codes = ("static", "dynamic_mean", "dynamic", "pixels")
    figure = plots.plot_leakage({"labels": LABELS, "latent": dict.fromkeys(codes, read)})
    assert len(figure.axes) == 4
    pale = [[patch.get_alpha() for patch in axes.patches[1::2]] for axes in figure.axes]
    assert pale == [[1, 0.45, 0.45], [0.45, 1, 1], [0.45, 1, 1], [1, 1, 1]]
    with pytest.raises(ValueError, match="no label that could be divided"):
        plots.plot_leakage({"labels": LABELS, "latent": {code: {} for code in codes}})


def test_joint_codes_are_two_clouds():
    figure = plots.plot_joint_codes(generator.normal(size=(30, 2)), generator.normal(size=(20, 2)))
    assert [len(cloud.get_offsets()) for cloud in figure.axes[0].collections] == [30, 20]


def test_information_curves_lie_between_nothing_and_everything():
    row = {
        "step": "10",
        "split": "validation",
        "information/static_input": "9.5",
        "information/static_dynamic": "9.2",
    }
    rows = [{**row, "split": "train", "information/static_input": ""}, row, {**row, "step": "20"}]
    figure = plots.plot_information(rows, 9000, 128)
    drawn = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in drawn] == ["I(s; d), nats", "I(s; x), nats"]
    curve, nothing, everything = drawn[1].lines
    assert curve.get_xydata().tolist() == [[10, 9.5], [20, 9.5]]
    assert nothing.get_ydata()[0] == pytest.approx(np.log(9000))
    assert everything.get_ydata()[0] == pytest.approx(np.log(9000 * 128))
    with pytest.raises(ValueError, match="track_information=true"):
        plots.plot_information([{"step": "1", "split": "train"}], 10, 2)
