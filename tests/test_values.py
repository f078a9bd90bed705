"""Values that fit a type, and the parameters of functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from unbraid.parameters import REQUIRED, parameters
from unbraid.values import in_words, read_value, value_type

Anchor = Literal["first", "last"] | int


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ("3", int, 3),
        ("-1", int, -1),
        ("1e-3", float, 0.001),
        (2, float, 2.0),
        ("true", bool, True),
        ("False", bool, False),
        ("2", str, "2"),
        ("2", Literal[2, 4], 2),
        ("2", Literal["2", "4"], "2"),
        ("last", Anchor, "last"),
        ("3", Anchor, 3),
        ("none", int | None, None),
        ("null", str | None, None),
        (None, str | None, None),
        ("a/b", str | Path | None, "a/b"),
        (Path("a"), str | Path | None, "a"),
        ("a/b", Path, Path("a/b")),
        ("a,b", list[str], ["a", "b"]),
        ("a", Sequence[str], ["a"]),
        ("", Sequence[str], []),
        ("[a, 'b, c']", list[str], ["a", "b, c"]),
        ("1, 2", list[int] | None, [1, 2]),
        ("0.5,0.25,0.25", tuple[float, float, float], [0.5, 0.25, 0.25]),
        ((1, 0, 0), tuple[float, float, float], [1.0, 0.0, 0.0]),
        ("[[0, 1], [1, 2]]", float | list[list[float]], [[0.0, 1.0], [1.0, 2.0]]),
        ("{a: x, b: y}", Mapping[str, str], {"a": "x", "b": "y"}),
        ("anything", Any, "anything"),
    ],
)
def test_values_are_read_as_their_type_wants_them(value, annotation, expected):
    read = read_value(value, annotation, "name")
    assert read == expected and type(read) is type(expected)
    assert read_value(read, annotation, "name") == expected  # reading again changes nothing


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        ("2.5", int, "n: '2.5' does not fit; it takes a whole number"),
        (True, int, "n: True does not fit; it takes a whole number"),
        (1, bool, "n: 1 does not fit; it takes true or false"),
        ("nan", float, "n: 'nan' does not fit; it takes a number"),
        (3, str, "n: 3 does not fit; it takes text"),
        ("3", Literal[2, 4], "n: '3' does not fit; it takes 2 or 4"),
        (
            "lats",
            Anchor,
            "n: 'lats' does not fit; it takes first or last, or a whole number; did you mean 'last'?",
        ),
        ("x", int | None, "n: 'x' does not fit; it takes a whole number or none"),
        (
            "1,2",
            tuple[float, float, float],
            "n: '1,2' does not fit; it takes a list of 3 such as 0.8,0.1,0.1",
        ),
        ("a,b", list[int], "n: 'a,b' does not fit; it takes a list such as 1,2"),
        ("[a", list[str], "n: '[a' does not fit; it takes a list such as a,b"),
        ("a", Mapping[str, str], "n: 'a' does not fit; it takes a mapping such as {name: value}"),
        (3, str | Path | None, "n: 3 does not fit; it takes a path or none"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_plain_words(value, annotation, message):
    with pytest.raises(ValueError) as error:
        read_value(value, annotation, "n")
    assert str(error.value) == message


def test_a_type_that_cannot_be_read_is_a_defect_of_the_program():
    with pytest.raises(TypeError, match="cannot be read"):
        read_value("3", complex, "n")


def test_types_of_the_values_of_mappings():
    assert value_type(dict[str, int]) is int and value_type(Mapping[str, str] | None) is str
    assert value_type(list[int]) is None


def test_none_is_named_last_or_not_at_all():
    assert in_words(None | Literal["a", "b"]) == "a or b, or none"
    assert in_words(int | None, name_none=False) == "a whole number"


@dataclass
class Example:
    """A class.

    Attributes:
        size: how large it is; this text
            goes on.
        low, high: its bounds.
        names: of its parts.
    """

    size: int
    low: float = 0.0
    high: float = 1.0
    names: list[str] = field(default_factory=list)


def function(a: int, *, b: str = "x") -> None:
    """Does nothing.

    Args:
        a: the first.
        b: the second: a word.

    Raises:
        a: no parameter.
    """


def test_parameters_have_types_defaults_and_texts():
    found = parameters(Example)
    assert [(p.annotation, p.default) for p in found.values()] == [
        (int, REQUIRED),
        (float, 0),
        (float, 1),
        (list[str], []),
    ]
    assert [p.about for p in found.values()] == [
        "how large it is; this text goes on.",
        "its bounds.",
        "its bounds.",
        "of its parts.",
    ]
    assert {name: p.about for name, p in parameters(function).items()} == {
        "a": "the first.",
        "b": "the second: a word.",
    }
