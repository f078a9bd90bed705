"""The words of a command line as typed values, and the help."""

import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from unbraid.cli.parser import call, help_text, read_words, take_option, take_settings
from unbraid.parameters import parameters
from unbraid.recipes import read_recipe, recipe_settings


def command(
    run: Path,
    name: str,
    batch_size: int = 3,
    force: bool = False,
    evaluate: bool = True,
    names: list[str] | None = None,
    mode: Literal["auto", "fast"] = "auto",
) -> dict:
    """Do something.

    With more to say.

    Args:
        run: a folder.
        name: of a thing.
        batch_size: how many.
        force: whether to overwrite.
        evaluate: whether to score.
        names: of parts.
        mode: how.
    """
    return locals()


def several(run: list[Path], results: Path = Path("results")) -> tuple:
    """Take several."""
    return run, results


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("r n", {"run": Path("r"), "name": "n", "batch_size": 3}),
        ("r n --batch_size 5", {"batch_size": 5}),
        ("--batch-size=5 r n", {"batch_size": 5, "run": Path("r")}),
        ("r n --batch-size -5", {"batch_size": -5}),
        ("r --force n", {"force": True, "name": "n"}),
        ("r n --no-evaluate", {"evaluate": False}),
        ("r n --force true --evaluate false", {"force": True, "evaluate": False}),
        ("r n --force=false", {"force": False}),
        ("r n --no-force --force", {"force": True}),
        ("r n --names a,b", {"names": ["a", "b"]}),
        ("r n --names none", {"names": None}),
        ("r 2", {"name": "2"}),
    ],
)
def test_words_become_typed_values(words, expected):
    result = call(command, "do", words.split())
    assert {name: result[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("r", "do: NAME is missing; usage: unbraid do RUN NAME [--OPTION VALUE ...]"),
        ("", "do: RUN, NAME is missing"),
        ("r n m", "do: 'm' is a word too many"),
        ("r n --batch_sise 3", "--batch_sise: there is no such option; did you mean '--batch-size'?"),
        ("r n --zzz", "--zzz: there is no such option; --help lists them"),
        ("r n --no-batch-size", "--no-batch-size: there is no such option"),
        ("r n --run x", "--run: there is no such option"),
        ("r n --batch-size", "--batch-size: needs a value"),
        ("r n --batch-size --force", "--batch-size: needs a value"),
        ("r n --batch-size many", "batch_size: 'many' does not fit; it takes a whole number"),
        ("r n --mode fats", "mode: 'fats' does not fit; it takes auto or fast; did you mean 'fast'?"),
        ("r n --force=perhaps", "force: 'perhaps' does not fit; it takes true or false"),
    ],
)
def test_mistakes_name_the_option_and_what_would_fit(words, message):
    with pytest.raises(ValueError) as error:
        call(command, "do", words.split())
    assert str(error.value).startswith(message)


def test_the_last_argument_may_take_several_words():
    assert call(several, "take", ["a", "b,c", "--results", "x"]) == ([Path("a"), Path("b,c")], Path("x"))
    assert call(several, "take", []) == ([], Path("results"))


def test_settings_of_recipes_are_dotted_and_weights_are_open():
    options = recipe_settings(read_recipe("sprites/dbse"))
    words = "--model.width 8 --training.weights.kl_static 0.5 --training.weights.any=[[0,1],[1,0]] --training.max-epochs 2"
    assert read_words("train", words.split(), options) == {
        "model.width": 8,
        "training.weights.kl_static": 0.5,
        "training.weights.any": [[0.0, 1.0], [1.0, 0.0]],
        "training.max_epochs": 2,
    }
    assert read_words("train", ["--no-model.subtract"], options) == {"model.subtract": False}
    for word, nearest in (("training.max_epoch", "training.max_epochs"), ("model.with", "model.width")):
        with pytest.raises(ValueError, match=f"did you mean '--{nearest}'"):
            read_words("train", [f"--{word}", "3"], options)


def test_options_are_taken_out():
    assert take_option("--data", ["a", "--data", "x", "--b"]) == ("x", ["a", "--b"])
    assert take_option("--data", ["--data=x=y"]) == ("x=y", [])
    assert take_option("--data", ["--data.size", "3"]) == (None, ["--data.size", "3"])
    with pytest.raises(ValueError, match="--data: needs a value"):
        take_option("--data", ["--data"])
    assert take_settings(["n", "--model.width=3", "--data.root", "x", "--data", "y"]) == (
        {"model.width": "3", "data.root": "x"},
        ["n", "--data", "y"],
    )


def test_help_lists_the_options(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    assert call(command, "do", ["r", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: unbraid do RUN NAME [--OPTION VALUE ...]"
    assert "Do something." in lines and "With more to say." in lines
    assert "  RUN                     a folder." in lines
    assert "  --batch-size            how many. Takes a whole number; default 3." in lines
    assert "  --[no-]evaluate         whether to score. Default: yes." in lines
    assert "  --names                 of parts. Takes a list such as a,b." in lines
    assert "  --mode                  how. Takes auto or fast; default auto." in lines
    assert max(map(len, lines)) <= 100


def test_help_of_a_recipe_starts_with_its_comment():
    recipe = read_recipe("sprites/dbse")
    text = help_text("train sprites/dbse", recipe.about, recipe_settings(recipe))
    start = " ".join(text.partition("\n\n")[2].split())
    assert start.startswith(" ".join(recipe.about.split()))
    assert [line for line in text.splitlines() if line in ("data:", "model:", "training:")] == [
        "data:",
        "model:",
        "training:",
    ]


def test_every_option_of_every_command_has_a_help_text():
    import importlib

    from unbraid.cli import COMMANDS

    for name in COMMANDS:
        module = importlib.import_module(f"unbraid.cli.{name}")
        if hasattr(module, name):
            texts = {option.name: option.about for option in parameters(getattr(module, name)).values()}
            assert [option for option, text in texts.items() if not text] == [], name


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["train", "--help"], ["torch", "lightning", "matplotlib", "sklearn"]),
        (["encode", "--help"], ["torch", "lightning", "matplotlib", "sklearn"]),
        (["speed", "--help"], ["torch", "lightning", "matplotlib", "sklearn"]),
        (["train", "puppets/dbse", "--help"], ["lightning", "matplotlib", "sklearn"]),
    ],
)
def test_help_loads_nothing_heavy(words, heavy):
    code = f"import sys, unbraid.cli; unbraid.cli.main({words}); sys.exit(str([n for n in {heavy} if n in sys.modules] or '') or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
