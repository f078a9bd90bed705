import io

import numpy as np
import pytest
from PIL import Image

from unbraid import plots
from unbraid.data.sequences import Label
from unbraid.plots.codes import _ranks
from unbraid.plots.style import DYNAMIC, INK, STATIC

generator = np.random.default_rng(0)
HIDDEN = np.array([238, 240, 243])


def pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def series(n=2, length=24, features=3):
    return generator.normal(size=(n, length, features))


def test_every_feature_has_a_panel_with_its_name_and_unit():
    figure = plots.plot_series(
        series(), series(), np.ones((2, 24, 3)), names=("a", "b", "c"), units=("m", "s", "kg"),
        titles=("one", "two"), sampling_rate=1 / 3600, window=6,
    )  # fmt: skip
    assert len(figure.axes) == 6
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["a\nm", "b\ns", "c\nkg"]
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["one", "two"]
    assert figure.axes[-1].get_xlabel() == "hours"
    pixels(figure)


def test_values_and_the_band_are_where_they_belong():
    observed, mean, std = series(1), series(1), generator.random((1, 24, 3)) + 0.1
    axes = plots.plot_series(observed, mean, std).axes[1]
    drawn = [line.get_ydata() for line in axes.lines]
    assert any(np.array_equal(line, observed[0, :, 1]) for line in drawn)
    assert any(np.array_equal(line, mean[0, :, 1]) for line in drawn)
    (band,) = axes.collections
    edges = band.get_paths()[0].vertices[:, 1]
    assert edges.min() == pytest.approx((mean - 2 * std)[0, :, 1].min())
    assert edges.max() == pytest.approx((mean + 2 * std)[0, :, 1].max())
    low, high = axes.get_ylim()
    assert low < min(edges.min(), observed[0, :, 1].min()) and high > max(
        edges.max(), observed[0, :, 1].max()
    )
    assert plots.plot_series(observed, mean).axes[1].collections[:] == []


def test_what_was_not_observed_is_shown_and_what_follows_the_end_is_not():
    observed, mean = series(1, 10, 1), series(1, 10, 1)
    observed[0, 3:5] = np.nan
    observed[0, 8:] = mean[0, 8:] = np.nan  # the series has ended
    figure = plots.plot_series(observed, mean)
    (ground,) = figure.axes[0].patches
    assert ground.get_x() == 2.5 and ground.get_width() == 2
    assert (pixels(figure) == HIDDEN).all(2).any()
    whole = plots.plot_series(mean[:, :8], mean[:, :8])
    assert not whole.axes[0].patches
    words = [text.get_text() for figure_ in (figure, whole) for text in figure_.legends[0].get_texts()]
    assert words == ["observed", "model", "nothing observed", "observed", "model"]


def test_a_feature_that_was_never_observed_is_drawn():
    observed = series(1)
    observed[..., 1] = np.nan
    pixels(plots.plot_series(observed, series(1), np.ones((1, 24, 3))))


@pytest.mark.parametrize(
    ("length", "rate", "unit", "last"),
    [
        (24, None, "values", 23),
        (48, 1 / 3600, "hours", 47),
        (672, 1 / 3600, "days", 671 / 24),
        (50, 10, "seconds", 4.9),
    ],
)
def test_time_is_in_the_unit_that_fits(length, rate, unit, last):
    axes = plots.plot_series(series(1, length, 1), series(1, length, 1), sampling_rate=rate).axes[0]
    assert axes.get_xlabel() == unit
    assert axes.lines[0].get_xdata()[-1] == pytest.approx(last)


def test_lone_values_among_many_are_dots():
    observed = series(1, 400, 1)
    observed[0, 100:300] = np.nan
    observed[0, 200] = 0.5
    axes = plots.plot_series(observed, series(1, 400, 1)).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "."]
    assert [line.get_xdata().tolist() for line in dots] == [[200]]


def test_series_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="mean: has shape"):
        plots.plot_series(series(2), series(1))
    with pytest.raises(ValueError, match="give 3 x 3"):
        plots.plot_series_swaps(series(3), np.stack([series(3)] * 2))


def test_swaps_have_their_givers_in_colour():
    crossed = np.stack([series(3), series(3), series(3)])
    figure = plots.plot_series_swaps(series(3), crossed, names=("a", "b", "c"))
    drawn = [axes for axes in figure.axes if axes.axison]
    assert len(drawn) == 15
    colours = [axes.lines[0].get_color() for axes in drawn]
    assert colours[:3] == [DYNAMIC] * 3
    assert colours[3::4] == [STATIC] * 3
    assert set(colours[4:7]) == {INK}
    labels = [text.get_text() for text in drawn[3].get_yticklabels()]
    assert labels == ["a", "b", "c"]


def test_a_lane_has_the_same_range_everywhere():
    low, high = np.zeros((1, 20, 2)), np.zeros((1, 20, 2))
    high[..., 0] = 10
    figure = plots.plot_series_rows({"observed": low, "generated": high}, original="observed")
    levels = [axes.lines[0].get_ydata()[0] - 1 for axes in figure.axes]  # the first feature is the upper lane
    assert levels == [pytest.approx(0.08), pytest.approx(0.92)]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["observed", "generated"]


def test_shorter_columns_leave_their_places_empty():
    figure = plots.plot_series_rows({"observed": series(1), "generated": series(3)}, original="observed")
    assert sum(axes.axison for axes in figure.axes) == 4
    pixels(figure)


def test_the_way_between_two_series_goes_from_colour_to_colour():
    figure = plots.plot_series_between(series(4))
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() == "-"]
    assert len(lines) == 4 * 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["own static code", "the other's"]


def test_dynamic_codes_are_sorted_by_how_much_they_change():
    codes = np.stack([generator.normal(0, spread, (2, 9)) for spread in (0.1, 5, 1)], 2)
    steps = np.ones((2, 9), dtype=bool)
    steps[1, 6:] = False
    target = generator.normal(size=(2, 9))
    figure = plots.plot_dynamic_codes(
        codes, steps, titles=("a", "b"), targets={"rain": target}, seconds_per_step=86400
    )
    shown = figure.axes[1].images[0].get_array()
    np.testing.assert_array_equal(shown[:, :6], codes[1, :6, [1, 2, 0]])
    assert np.ma.getmaskarray(np.ma.masked_invalid(shown))[:, 6:].all()
    np.testing.assert_array_equal(figure.axes[2].lines[0].get_ydata(), target[0])
    assert figure.axes[2].get_xlabel() == "days"
    pixels(plots.plot_dynamic_codes(codes))


def test_downstream_scores_stand_above_their_floors():
    def figure(mean):
        return {"mean": mean, "std": 0.0, "low": mean - 0.1, "high": mean + 0.1, "floor": 0.6}

    both = {"auroc": figure(0.8), "auprc": figure(0.7)}
    task = {
        "kind": "binary",
        "codes": {part: {"linear": both, "network": both} for part in ("static", "dynamic", "both")},
        "floors": {"constant": both, "raw_linear": both, "raw_network": both},
    }
    drawn = plots.plot_downstream(task, "death")
    assert [axes.get_title(loc="left") for axes in drawn.axes] == ["AUROC", "AUPRC"]
    dots = [line for line in drawn.axes[0].lines if line.get_marker() == "o"]
    assert len(dots) == 9 and all(line.get_xdata()[0] == 0.8 for line in dots)
    assert any(list(line.get_xdata()) == [0.6, 0.6] for line in drawn.axes[0].lines)
    labels = [text.get_text() for text in drawn.axes[0].get_yticklabels()]
    assert labels[:3] == ["static code", "dynamic codes", "both codes"] and labels[-1].endswith("end to end")


def test_codes_are_coloured_by_numbers_as_well():
    values = np.append(np.arange(28.0), [np.nan, 400])
    labels = {"month": Label(np.arange(30) % 12, tuple("abcdefghijkl"), "static"), "rain": values}
    figure = plots.plot_codes(generator.normal(size=(30, 2)), generator.normal(size=(30, 2)), labels)
    drawn = [axes for axes in figure.axes if axes.axison]
    month, rain = drawn[0], drawn[1]
    assert len(month.collections[0].get_offsets()) == 30
    assert len(rain.collections[0].get_offsets()) == 29  # the unknown one is left out
    colours = rain.collections[0].get_facecolors()
    assert len(np.unique(colours, axis=0)) == 29  # by rank: one large value hides nothing
    assert len(drawn[2].get_legend().get_texts()) == 12
    assert "median 14" in drawn[3].get_xlabel()
    np.testing.assert_array_equal(_ranks(np.array([5.0, 5, 9, 1])), [0.5, 0.5, 1, 0])
