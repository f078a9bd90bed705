import importlib
import io
import pkgutil

import numpy as np
import pytest
from PIL import Image

from unbraid import plots
from unbraid.data.sequences import Label
from unbraid.plots.sheets import MANY_FEATURES, rgb

generator = np.random.default_rng(0)


def frames(*shape, size=16, channels=3):
    return generator.random((*shape, channels, size, size)).astype(np.float32)


def pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))


def test_every_figure_is_a_name_of_the_package():
    modules = [
        importlib.import_module(f"unbraid.plots.{module.name}")
        for module in pkgutil.iter_modules(plots.__path__)
    ]
    figures = {name for module in modules for name in module.__all__ if name.startswith("plot_")}
    assert len(figures) > 20 and figures == {name for name in plots.__all__ if name.startswith("plot_")}


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_pixel_of_a_frame_is_a_block_of_whole_pixels(channels):
    clips = frames(2, 4, channels=channels)
    if channels == 4:
        clips[:, :, 3] = 1
    image = pixels(plots.plot_reconstructions(clips, clips))
    colours = rgb(clips[0, 0])
    scale = round(104 / 16)
    # The first frame, enlarged, is somewhere in the sheet exactly as it is.
    block = colours.repeat(scale, 0).repeat(scale, 1)
    starts = [
        (y, x)
        for y, x in zip(*np.nonzero((image == block[0, 0]).all(2)), strict=True)
        if np.array_equal(image[y : y + len(block), x : x + len(block)], block)
    ]
    assert starts


@pytest.mark.parametrize("features", [2, 12])
def test_sequences_of_vectors_are_drawn_as_lines_or_maps(features):
    x = generator.normal(size=(3, 20, features))
    figure = plots.plot_reconstructions(x, x)
    assert len(figure.axes) == 6
    first = figure.axes[0]
    drawn = first.images if features > MANY_FEATURES else first.lines
    assert len(drawn) == (1 if features > MANY_FEATURES else features)


def test_lines_and_maps_leave_out_what_is_missing():
    x = generator.normal(size=(2, 20, 2))
    x[0, 12:] = np.nan
    assert np.isfinite(plots.plot_reconstructions(x, x).axes[0].get_ylim()).all()


def test_reconstructions_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="rebuilt: has shape"):
        plots.plot_reconstructions(frames(2, 4), frames(2, 5))


def test_a_swap_grid_has_its_givers_in_the_header():
    originals, crossed = frames(3, 8), frames(3, 3, 8)
    figure = plots.plot_swaps(originals, crossed, shown=3)
    assert len(figure.axes) == 4 * 4 - 1
    assert [text.get_text() for text in figure.texts] == ["motion from →", "content from ↓"]
    with pytest.raises(ValueError, match="give 3 x 3"):
        plots.plot_swaps(originals, crossed[:2])


def test_variations_and_interpolation_have_a_row_each():
    assert len(plots.plot_variations(frames(4), frames(5, 4)).axes) == 6
    figure = plots.plot_interpolation(frames(5, 4))
    assert [text.get_text() for text in figure.texts] == ["0%", "25%", "50%", "75%", "100%"]


def test_each_label_has_a_row_between_its_two_clips():
    figure = plots.plot_factors(frames(2, 4), frames(3, 5, 4), ["skin", "hat", "motion"])
    assert len(figure.axes) == 3 * 7
    words = [text.get_text() for text in figure.texts]
    assert words == ["skin", "hat", "motion", "first", "0%", "25%", "50%", "75%", "100%", "second"]
    with pytest.raises(ValueError, match="labels: has 2 names for 3 rows"):
        plots.plot_factors(frames(2, 4), frames(3, 5, 4), ["skin", "hat"])


def test_an_animation_moves_in_a_loop_and_keeps_its_gaps_white(tmp_path):
    grid = frames(2, 3, 5)
    grid[0, 0] = np.nan
    path = plots.animate(grid, tmp_path / "a.gif", header=True)
    with Image.open(path) as image:
        assert image.n_frames == 5
        assert image.info["loop"] == 0
        first = np.asarray(image.convert("RGB"))
        image.seek(1)
        second = np.asarray(image.convert("RGB"))
    scale = round(104 / 16)
    assert (first[: 16 * scale, : 16 * scale] == 255).all()  # the empty place
    assert (first != second).any()
    with pytest.raises(ValueError, match="grid: has shape"):
        plots.animate(generator.random((2, 3, 5, 4)), tmp_path / "b.gif")


def test_an_animation_shows_the_right_clip_in_each_place(tmp_path):
    grid = np.zeros((2, 2, 2, 3, 16, 16), np.float32)
    colours = np.array([[[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 1, 0]]])
    grid += colours[:, :, None, :, None, None]
    with Image.open(plots.animate(grid, tmp_path / "a.gif")) as image:
        page = np.asarray(image.convert("RGB"))
    corners = page[[20, -20]][:, [20, -20]] / 255
    np.testing.assert_allclose(corners, colours, atol=0.02)


def test_embedding_keeps_far_clumps_apart_and_repeats():
    clumps = np.repeat(np.eye(3) * 50, 20, 0) + generator.normal(size=(60, 3))
    points = plots.embed(clumps, seed=1)
    np.testing.assert_array_equal(points, plots.embed(clumps, seed=1))
    centres = points.reshape(3, 20, 2).mean(1)
    spread = points.reshape(3, 20, 2).std(1).max()
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)[np.triu_indices(3, 1)]
    assert apart.min() > 3 * spread


@pytest.mark.parametrize("count", [0, 1, 5])
def test_codes_are_drawn_once_for_each_label(count):
    labels = {
        f"label{i}": Label(
            generator.integers(0, 3 + 6 * i, 30),
            tuple("abcdefghijklmnopqrstuvwxyz0123")[: 3 + 6 * i],
            "static",
        )
        for i in range(count)
    }
    figure = plots.plot_codes(generator.normal(size=(30, 2)), generator.normal(size=(30, 2)), labels)
    drawn = [axes for axes in figure.axes if axes.axison]
    assert len(drawn) == 2 * max(count, 1)
    assert all(axes.collections for axes in drawn)
    pixels(figure)


def test_scores_stand_beside_their_floors():
    figure = {"mean": 0.9, "std": 0.01, "floor": 0.25}
    labels = {"<who>": {"kind": "static"}, "what": {"kind": "dynamic"}}
    scores = {
        "labels": labels,
        "swap": dict.fromkeys(labels, figure),
        "keep_static": dict.fromkeys(labels, figure),
    }
    drawn = plots.plot_scores(scores)
    assert len(drawn.axes) == 2
    first = drawn.axes[0]
    assert [patch.get_width() for patch in first.patches] == [1, 0.9, 1, 0.9]
    assert all(line.get_xdata()[0] == 0.25 for line in first.lines)
    with pytest.raises(ValueError, match="scores: hold no test"):
        plots.plot_scores({"labels": labels})


def test_training_curves_show_every_term_and_the_weights():
    row = {"step": "10", "epoch": "0", "split": "train", "total": "5", "kl": "2", "weight/kl": "0.5"}
    rows = [row, {**row, "step": "20", "total": "4"}, {**row, "split": "validation", "weight/kl": ""}]
    figure = plots.plot_training(rows)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["total", "kl", "weights"]
    train, validation = figure.axes[0].lines
    assert train.get_ydata().tolist() == [5, 4]
    assert validation.get_ydata().tolist() == [5]
    with pytest.raises(ValueError, match="no row"):
        plots.plot_training([])
