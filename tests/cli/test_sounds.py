"""Commands on sound: the words of one voice in another voice, as a sound file."""

import wave

import numpy as np
import pytest
from tones import RATE, VOICES, WORDS, waveform

import unbraid
from unbraid import components
from unbraid.cli import main
from unbraid.recipes import recipe_from_run, resolve_recipe
from unbraid.sounds import exchange, hear, write_wav
from unbraid.training import TrainingConfig

SMALL = {"static_size": 4, "dynamic_size": 4, "width": 8, "hidden": 8, "features": 8}
pytestmark = pytest.mark.filterwarnings("ignore:root. ")  # fewer recordings than were published


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Recordings named as those of FSDD."""
    folder = tmp_path_factory.mktemp("sounds")
    for number in range(15):
        for voice in range(len(VOICES)):
            for word in range(len(WORDS)):
                name = f"{word}_{'abc'[voice]}_{number}.wav"
                write_wav(folder / name, waveform(voice, word, 0.07 + 0.001 * number), RATE)
    return folder


@pytest.fixture(scope="module")
def options(sounds, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return {"name": "fsdd", "root": str(sounds), "cache": str(cache), "segment": "segment", "steps": 12}


@pytest.fixture(scope="module")
def run(options, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "sound"
    training = TrainingConfig(max_epochs=1, batch_size=32, device="cpu")
    unbraid.fit(
        data_of(options),
        "dbse",
        folder=folder,
        settings=SMALL,
        training=training,
        config={"data": options},
        quiet=True,
    )
    return folder


def data_of(options):
    options = dict(options)
    return unbraid.load(options.pop("name"), **options)


def sound(path):
    with wave.open(str(path)) as file:
        assert file.getframerate() == RATE
        return file.readframes(file.getnframes())


def error_line(capsys):
    return capsys.readouterr().err


def test_rows_of_the_data_swap_into_a_sound(run, options, tmp_path):
    output = tmp_path / "swap.wav"
    assert main(["swap", str(run), "test:0", "test:5", "--output", str(output)]) == 0
    test = data_of(options).split("test")
    a, b = test.take(np.array([0])), test.take(np.array([5]))
    expected = hear(exchange(unbraid.load_model(run), a, b), b)
    assert sound(output) == sound(write_wav(tmp_path / "expected.wav", expected, RATE))


def test_a_component_of_a_voice_is_swapped(run, options, tmp_path, monkeypatch):
    monkeypatch.setattr(components, "FEWEST_SEQUENCES", 5)
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    output = tmp_path / "swap.npy"
    words = ["swap", str(run), "test:0", "test:5", "--components", "1", "--output", str(output)]
    assert main(words) == 0
    data, model = data_of(options), unbraid.load_model(run)
    a, b = (data.split("test").take(np.array([row])) for row in (0, 5))
    found = components.train_components(model, data)
    expected = exchange(model, a, b, lambda codes, other: found.exchange(codes, other, (1,)))
    np.testing.assert_allclose(np.load(output), data.scaling.invert(expected), rtol=1e-5, atol=1e-4)
    assert np.abs(expected - exchange(model, a, b)).max() > 1e-3


def test_files_swap_whole_whatever_their_length(run, options, sounds, tmp_path):
    a, b = sounds / "0_a_0.wav", sounds / "1_c_1.wav"  # recordings of the test split
    for name in ("swap.npy", "swap.wav"):
        assert main(["swap", str(run), str(a), str(b), "--output", str(tmp_path / name)]) == 0
    data = data_of(options)
    test = data.split("test")
    label = {key: np.array(one.classes)[one.values] for key, one in test.labels.items()}
    whole = []
    for digit, speaker, order in (("0", "a", 0), ("1", "c", 1)):
        rows = [
            r for r in test.recordings if (label["digit"][r[0]], label["speaker"][r[0]]) == (digit, speaker)
        ]
        whole.append(test.take(rows[order]))
    assert len(whole[1]) > 1  # cut into several sequences
    x = np.load(tmp_path / "swap.npy")
    expected = data.scaling.invert(exchange(unbraid.load_model(run), *whole))
    np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-4)
    samples = np.frombuffer(sound(tmp_path / "swap.wav"), "<i2")
    assert abs(len(samples) - len(x) * RATE / 100) < 200 and np.abs(samples).max() > 20000


def test_codes_of_sound_files_and_of_a_folder_of_them(run, options, sounds, tmp_path):
    for source, name in ((sounds / "1_c_1.wav", "one.npz"), (sounds, "all.npz")):
        assert main(["encode", str(run), str(source), "--output", str(tmp_path / name)]) == 0
    one, everything = np.load(tmp_path / "one.npz"), np.load(tmp_path / "all.npz")
    assert list(one["names"]) == [f"1_c_1.wav#{i}" for i in range(len(one["names"]))]
    same = [row for row, name in enumerate(everything["names"]) if name.startswith("1_c_1.wav")]
    np.testing.assert_allclose(everything["static"][same], one["static"], rtol=1e-4, atol=1e-5)
    assert len(everything["names"]) == len(data_of(options))


def test_sound_makes_no_moving_picture(run, tmp_path, capsys):
    assert main(["swap", str(run), "test:0", "test:1", "--output", str(tmp_path / "swap.gif")]) == 2
    assert "must end in .wav, .npy" in error_line(capsys) and not list(tmp_path.iterdir())


def test_files_that_are_no_sound_are_refused(run, tmp_path, capsys):
    (tmp_path / "a.wav").write_text("no sound")
    write_wav(tmp_path / "short.wav", np.ones(210) * np.arange(210) / 210, RATE)
    for name, message in (
        ("a.wav", "a.wav: is damaged or not audio"),
        ("short.wav", "too short for two frames"),
    ):
        assert (
            main(["swap", str(run), str(tmp_path / name), "test:1", "--output", str(tmp_path / "x.wav")]) == 2
        )
        assert message in error_line(capsys) and not (tmp_path / "x.wav").exists()
    (tmp_path / "empty").mkdir()
    assert main(["encode", str(run), str(tmp_path / "empty")]) == 2
    assert "is no sound file and holds none" in error_line(capsys)


def test_other_rates_are_resampled_with_a_warning(run, sounds, tmp_path):
    import soundfile

    samples = waveform(0, 0)
    soundfile.write(tmp_path / "a.wav", np.repeat(samples, 2), 2 * RATE)
    with pytest.warns(UserWarning, match="resampled from 16000 to 8000 Hz"):
        assert (
            main(["swap", str(run), str(tmp_path / "a.wav"), "test:0", "--output", str(tmp_path / "x.wav")])
            == 0
        )


def test_a_run_on_sounds_is_trained_further_on_other_sounds(run, sounds):
    config = resolve_recipe(recipe_from_run(str(run), str(sounds)))
    assert config["data"]["features"] == "mel80"
    assert config["data"]["name"] == str(sounds)
