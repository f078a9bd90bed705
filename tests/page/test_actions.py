"""What the page computes, against closed forms: s is the mean over the steps, d_t what is left, x_t = s + d_t."""

import wave
import zipfile

import numpy as np
import pytest
import torch
from page_runs import HOSTILE, run_of
from PIL import Image
from tones import Additive
from toys import Adversarial

from unbraid.components import components_key
from unbraid.data.sequences import Sequences
from unbraid.generation import encode
from unbraid.models.build import build_model
from unbraid.page import actions, texts
from unbraid.page.pictures import clicked_point, draw_map, pack
from unbraid.page.session import Shelf, session_of
from unbraid.plots import MAP_SIDE, map_places, nearest_place


def whole(session, number):
    """A clip and its values, all of them observed."""
    clip = session.clip(number)
    return clip, clip.sequence.batch(slice(None)).x.numpy().reshape(-1, clip.sequence.observation[-1])


def observed_rows(session):
    """Numbers of clips in which nothing is hidden."""
    return [n for n in range(len(session.titles)) if session.clip(n).sequence.observed().all()]


def test_a_swap_has_the_mean_of_one_and_the_rest_of_the_other(of_series):
    first, second = observed_rows(of_series)[:2]
    (a, x), (b, y) = whole(of_series, first), whole(of_series, second)
    shown = actions.swap(of_series, a, b)
    np.testing.assert_allclose(shown[0].values, x.mean(0) + y - y.mean(0), atol=1e-5)
    np.testing.assert_allclose(shown[1].values, y.mean(0) + x - x.mean(0), atol=1e-5)
    assert [one.title for one in shown] == [
        "static code of A, dynamics of B",
        "static code of B, dynamics of A",
    ]


@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_an_interpolation_lies_on_the_line_between_two_static_codes(of_series, share):
    first, second = observed_rows(of_series)[:2]
    (a, x), (b, y) = whole(of_series, first), whole(of_series, second)
    shown = actions.interpolate(of_series, a, b, share)
    np.testing.assert_allclose(
        shown.values, (1 - share) * x.mean(0) + share * y.mean(0) + x - x.mean(0), atol=1e-5
    )


def test_a_direction_is_one_deviation_long_and_moves_every_step_alike(of_series):
    static, _ = of_series.mean_codes
    a, x = whole(of_series, observed_rows(of_series)[0])
    name = next(name for name in of_series.directions if name.startswith("static code, direction 1"))
    step = actions.traverse(of_series, a, name, 2).values - actions.traverse(of_series, a, name, 0).values
    np.testing.assert_allclose(step, np.broadcast_to(step[0], step.shape), atol=1e-5)
    unit = step[0] / np.linalg.norm(step[0])
    assert np.linalg.norm(step[0]) / 2 == pytest.approx((static @ unit).std(), rel=1e-4)
    assert (static @ unit).var() == pytest.approx(np.linalg.eigvalsh(np.cov(static.T, ddof=0))[-1], rel=1e-4)
    np.testing.assert_allclose(actions.traverse(of_series, a, name, 0).values, x, atol=1e-5)
    single = of_series.directions["static code, coordinate 2"]
    np.testing.assert_allclose(single.static, [0, static[:, 1].std(), 0], rtol=1e-5)
    with pytest.raises(ValueError, match="direction: there is no 'x'"):
        actions.traverse(of_series, a, "x", 1)


def test_labels_and_factors_of_a_run_are_directions_too(of_series):
    from unbraid.page.codes import directions
    from unbraid.types import Factor

    static, dynamic = of_series.mean_codes
    named = directions(of_series.model, static, dynamic, {HOSTILE: (Factor("static", (0, 2)),)}, {})
    first = named[f"{HOSTILE} (label)"]
    assert first.static[1] == 0 and not first.dynamic.any()
    pair = static[:, [0, 2]]
    assert np.linalg.norm(first.static) ** 2 == pytest.approx(
        np.linalg.eigvalsh(np.cov(pair.T, ddof=0))[-1], rel=1e-4
    )


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNBRAID_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def of_attributes(tmp_path_factory, module_cache):
    """Series whose level is the sum of what two independent labels add, each along a direction of its own."""
    random = np.random.default_rng(0)
    who, where = random.integers(0, 2, (2, 400))
    level = np.outer(who, [2.0, 1, 0]) + np.outer(where, [1.0, -1, 1])
    x = level[:, None] + 0.1 * random.normal(size=(400, 6, 3))
    labels = {"who": who, "where": where, "name": np.arange(400), "place": np.zeros(400, int)}
    data = Sequences.from_arrays(x.astype(np.float32), name="made", labels=labels, fractions=(0.5, 0.1, 0.4))
    folder = tmp_path_factory.mktemp("attributes")
    return session_of(run_of(folder, Additive((3,)), data), data, folder)


def test_a_label_is_swapped_by_its_components(of_attributes):
    assert actions.factors(of_attributes) == ["static", "who", "where"]
    labels = of_attributes.pool.labels
    classes = np.stack([labels["who"].values, labels["where"].values], 1)
    first = int(np.flatnonzero((classes == [0, 0]).all(1))[0])
    second = int(np.flatnonzero((classes == [1, 1]).all(1))[0])
    (a, x), (b, y) = whole(of_attributes, first), whole(of_attributes, second)
    shown, added = actions.swap(of_attributes, a, b, "who"), np.array([2, 1, 0])
    assert [one.title for one in shown] == ["B with who of A", "A with who of B"]
    np.testing.assert_allclose(shown[0].values, y - added, atol=0.3)  # its place is kept
    np.testing.assert_allclose(shown[1].values, x + added, atol=0.3)


def test_components_are_the_first_directions_and_say_their_label(of_attributes):
    names = list(of_attributes.directions)
    assert names[:2] == ["component 0 (who)", "component 1 (where)"]
    a, x = whole(of_attributes, 0)
    moved = actions.traverse(of_attributes, a, names[0], 2).values
    change = (moved - x).mean(0)
    np.testing.assert_allclose(
        np.abs(change), [2, 1, 0], atol=0.3
    )  # two deviations of a fair coin are its span


def test_scores_may_map_labels_that_the_page_does_not_offer(of_attributes, tmp_path):
    run, data = of_attributes.run, of_attributes.data
    session = session_of(run, data, tmp_path)
    key = components_key(run.model, data)
    session.__dict__["scores"] = {"factors": {"components": {"key": key, "map": {"who": [0], "name": [1]}}}}
    assert session.components_of == {"who": (0,)}
    assert list(session.directions)[:2] == ["component 0 (who)", "component 1"]


def test_few_sequences_have_no_components(of_series):
    assert of_series.components is None and of_series.attributes == []
    assert actions.factors(of_series) == ["static"]


def test_hidden_values_reach_no_code_and_curves_leave_them_open(of_series):
    number = next(n for n in range(len(of_series.titles)) if not of_series.clip(n).sequence.observed().all())
    clip = of_series.clip(number)
    shown = actions.present(of_series, clip)
    np.testing.assert_array_equal(np.isnan(shown.values).all(1), ~clip.sequence.observed()[0])
    assert Image.open(shown.picture).size[0] > 600 and shown.picture.suffix == ".png"


def test_draws_follow_the_seed_and_keep_the_other_code(of_series):
    a, x = whole(of_series, observed_rows(of_series)[0])
    possible = actions.draws(of_series)
    assert list(possible) == ["static code"]  # the model has no prior of the dynamic code
    first, again, other = (actions.draw(of_series, a, possible["static code"], seed) for seed in (1, 1, 2))
    assert len(first) == 4
    for one, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one.values, same.values)
        assert not np.allclose(one.values, different.values)
        shift = one.values - x
        np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-5)


def test_without_a_prior_static_codes_are_those_of_other_sequences(series, tmp_path):
    class Dealt(Additive):
        card = Additive.card.__class__(
            "dealt", "", "", 2026, "", "", "", frozenset({"encode", "decode", "decoded_static"})
        )

    session = session_of(run_of(tmp_path, Dealt((3,)), series), series, tmp_path)
    assert list(actions.draws(session)) == ["static code (of other sequences)"]
    a, x = whole(session, observed_rows(session)[0])
    drawn = actions.draw(session, a, frozenset({"static"}), 0)
    codes = encode(session.model, session.pool).static.numpy()
    for one in drawn:
        static = (one.values - x).mean(0) + x.mean(0)
        assert np.abs(codes - static).max(1).min() < 1e-4


def test_a_method_without_an_encoder_only_draws(tmp_path):
    x = (np.random.default_rng(0).random((12, 3, 3, 16, 16)) * 255).astype(np.uint8)
    data = Sequences.from_arrays(x, fractions=(0.4, 0.2, 0.4))
    torch.manual_seed(0)
    session = session_of(run_of(tmp_path, Adversarial((3, 16, 16)), data), data, tmp_path)
    assert actions.factors(session) == [] and list(actions.draws(session)) == ["both"]
    shown = actions.draw(session, session.clip(0), frozenset({"static", "dynamic"}), 3)
    assert len(shown) == 4 and shown[0].values.shape == (3, 3, 16, 16)
    with Image.open(shown[0].picture) as gif:
        assert gif.n_frames >= 1 and gif.size == (288, 288)
    with pytest.raises(ValueError, match="has no encoder"):
        actions.swap(session, session.clip(0), session.clip(1))
    assert actions.limits(session) == [
        "toy_adversarial has no encoder, so there are no codes of a given sequence."
    ]


def test_a_static_code_that_is_not_decoded_is_not_exchanged(tmp_path):
    data = Sequences.from_arrays(np.random.default_rng(0).normal(size=(12, 6, 3)).astype(np.float32))
    torch.manual_seed(0)
    model = build_model("gp_vae", (3,), dynamic_size=2)
    session = session_of(run_of(tmp_path, model, data), data, tmp_path)
    assert actions.factors(session) == [] and list(actions.draws(session)) == ["dynamics"]
    assert all(name.startswith("dynamic code") for name in session.directions)
    assert any("does not decode it" in sentence for sentence in actions.limits(session))


def test_a_recording_speaks_with_the_voice_of_another(of_sound):
    a, b = of_sound.clip(0), of_sound.clip(1)
    assert len(a.sequence) == 2  # the pieces of one recording
    shown = actions.swap(of_sound, a, b)
    codes = encode(of_sound.model, a.sequence).static.mean(0).numpy()
    x = [
        clip[:length].numpy()
        for clip, length in zip(b.sequence.batch(slice(None)).x, b.sequence.lengths, strict=True)
    ]
    expected = np.concatenate([codes + part - part.mean(0) for part in x])
    np.testing.assert_allclose(shown[0].values, expected, atol=1e-4)
    assert shown[0].title == "voice of A, words of B"
    with wave.open(str(shown[0].sound)) as file:
        assert file.getframerate() == 8000 and file.getnframes() > 8000 * 0.1


def test_the_nearest_point_of_a_click_is_the_one_under_it(of_series):
    path = draw_map(of_series, "static", "who", marked=3)
    with Image.open(path) as picture:
        side = picture.size[0]
        assert picture.size[1] > side  # the legend stands below the square
    places = map_places(of_series.maps[0])
    assert side == round(MAP_SIDE * 180)
    for number, (across, down) in enumerate(places):
        assert clicked_point(of_series, "static", across * side + 1, down * side - 1) == number
    corners = map_places(np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0]]))
    np.testing.assert_allclose(corners, [[0.05, 0.95], [0.95, 0.05], [0.95, 0.95]])
    assert nearest_place(corners, 0.9, 0.1) == 1


def test_a_package_holds_pictures_sounds_and_values(of_series, of_sound):
    for session, endings in ((of_series, {"png", "npy", "csv"}), (of_sound, {"png", "wav", "npy"})):
        shown = actions.swap(session, session.clip(0), session.clip(1))
        with zipfile.ZipFile(pack(session, "swap", shown)) as package:
            names = package.namelist()
            assert {name.rpartition(".")[2] for name in names} == endings and len(names) == 2 * len(endings)
            first = next(name for name in names if name.startswith("1-") and name.endswith(".npy"))
            np.testing.assert_array_equal(np.load(package.open(first)), shown[0].values)
            for name in filter(lambda name: name.endswith(".csv"), names):
                head, *rows = package.read(name).decode().splitlines()
                assert HOSTILE in head and len(rows) == len(shown[0].values)


def test_choices_are_the_uploads_then_the_data(of_series):
    own = (of_series.clip(3),)
    listed = actions.choices(of_series, own)
    assert listed[0] == (f"yours: {own[0].title}", "own:0") and len(listed) == 1 + len(of_series.titles)
    assert actions.chosen(of_series, "own:0", own) is own[0]
    assert actions.chosen(of_series, "data:2").title == of_series.titles[2]
    for key in ("own:0", "data:9999", "data:-1", "/etc/passwd", "", None):
        with pytest.raises(ValueError, match="choose a sequence"):
            actions.chosen(of_series, key)


def test_old_files_are_removed(tmp_path):
    shelf = Shelf(tmp_path, kept=3)
    folders = [shelf.new() for _ in range(5)]
    assert [folder.exists() for folder in folders] == [False, False, True, True, True]


def test_every_text_is_escaped(of_series):
    for text in (
        texts.caption(HOSTILE),
        texts.warning(HOSTILE),
        texts.hint(HOSTILE),
        texts.remarks([of_series.clip(0)], [HOSTILE]),
        texts.about(of_series),
        texts.introduction(of_series),
    ):
        assert "<img" not in text
    assert "&lt;img" in texts.warning(HOSTILE)
