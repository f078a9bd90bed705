import io

import numpy as np
import pytest
from PIL import Image

from unbraid import plots

generator = np.random.default_rng(0)
BANDS = np.geomspace(60, 3900, 80)


def spectrogram(steps):
    return generator.normal(-40, 10, (steps, 80))


def pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))


def flat(value, steps):
    return np.full((steps, 80), float(value))


def test_rows_are_voices_and_columns_are_words():
    lengths = (20, 31, 12)
    crossed = [[flat(-10 * (3 * i + j), steps) for j, steps in enumerate(lengths)] for i in range(3)]
    silent = [flat(-90 - i, steps) for i, steps in enumerate(lengths)]
    for i, one in enumerate(silent):
        one[:, 0] = -100 - i  # the lowest band
    figure = plots.plot_exchanged_voices(silent, crossed, ("a", "b", "c"), ("1", "2", "3"))
    scale = figure.axes[0].images[0]
    assert scale.get_clim() == (-60, 0)
    sheet = scale.get_array()
    blocks = [np.argwhere(np.isclose(sheet, -10.0 * k, atol=1e-6)) for k in range(9)]
    tops, lefts = zip(*[block.min(0) for block in blocks], strict=True)
    assert (
        np.ptp(np.reshape(tops, (3, 3)), 1).max() == 0
        and (np.diff(np.reshape(tops, (3, 3)), axis=0) > 80).all()
    )
    assert (
        np.ptp(np.reshape(lefts, (3, 3)), 0).max() == 0
        and (np.diff(np.reshape(lefts, (3, 3)), axis=1) > 0).all()
    )
    for k, block in enumerate(blocks):
        high, wide = block.max(0) + 1 - block.min(0)
        assert (high, wide) == (80, 4 * lengths[k % 3]) and len(block) == high * wide
    for i in range(3):  # each original twice: above its column and left of its row, lowest band at the bottom
        found = {tuple(int(v) for v in place) for place in np.argwhere(np.isclose(sheet, -100.0 - i))}
        above = {(row, column) for row, column in found if row < tops[0]}
        assert {column for _, column in above} == set(range(lefts[i], lefts[i] + 4 * lengths[i]))
        assert {row for row, _ in found - above} == {tops[3 * i] + 79}
        assert max(column for _, column in found - above) < lefts[0]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert sorted(texts) == sorted(["1", "2", "3", "a", "b", "c", "words from →", "voice from ↓"])


def test_a_sheet_is_drawn_pixel_by_pixel():
    one = spectrogram(5)
    figure = plots.plot_exchanged_voices([one], [[one]], ("a",), ("1",))
    sheet = figure.axes[0].images[0].get_array()
    image = pixels(figure)
    assert image.shape[:2] == sheet.shape
    row, column = np.argwhere(~np.ma.getmaskarray(sheet))[0]
    assert (image[row, column : column + 4] == image[row, column]).all()
    assert (image[:10, :10] == 255).all()


def test_a_grid_that_does_not_fit_its_originals_is_refused():
    with pytest.raises(ValueError, match="give 2 rows of 2"):
        plots.plot_exchanged_voices([spectrogram(4)] * 2, [[spectrogram(4)] * 2], "ab", "12")


def test_spectrograms_share_time_and_frequency():
    rows = [[spectrogram(30), spectrogram(30)], [spectrogram(55), spectrogram(55)]]
    figure = plots.plot_spectrograms(rows, [["a", "b"], ["c", "d"]], BANDS, 100)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b", "c", "d"]
    assert {axes.get_xlim() for axes in figure.axes} == {(-0.5, 54.5)}
    assert len({axes.images[0].get_clim() for axes in figure.axes}) == 1
    assert np.allclose([np.percentile(axes.images[0].get_array().data, 99.9) for axes in figure.axes], 0)
    pixels(figure)
    last = figure.axes[-1]
    ticks = dict(
        zip([t.get_text() for t in figure.axes[2].get_yticklabels()], last.get_yticks(), strict=True)
    )
    assert set(ticks) == {"100", "200", "500", "1000", "2000"}
    assert np.interp(ticks["1000"], np.arange(80), BANDS) == pytest.approx(1000)
    seconds = [float(label.get_text()) for label in last.get_xticklabels()]
    np.testing.assert_allclose((np.array(last.get_xticks()) + 0.5) / 100, seconds)
