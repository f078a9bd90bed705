"""Values that fit a type: read from the words of a command line, from YAML or from Python."""

import math
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from unbraid.words import did_you_mean

__all__ = ["in_words", "read_value", "value_type"]


def read_value(value: Any, annotation: Any, name: str) -> Any:
    """The value as its type wants it: text is read, whole numbers become floats, tuples become lists.

    >>> read_value("3", int, "steps"), read_value("a, b", list[str], "labels"), read_value("none", int | None, "n")
    (3, ['a', 'b'], None)

    Args:
        value: the value, or text that says it.
        annotation: the type.
        name: of the setting, for the error message.

    Raises:
        ValueError: the value does not fit; the message says what would.
    """
    try:
        return _read(value, annotation)
    except _UnfitError:
        choices = [
            str(choice)
            for member in _members(annotation)
            if get_origin(member) is Literal
            for choice in get_args(member)
        ]
        close = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise ValueError(f"{name}: {value!r} does not fit; it takes {in_words(annotation)}{close}") from None


def value_type(annotation: Any) -> Any | None:
    """The type of the values of a mapping; None when the type is no mapping.

    >>> value_type(dict[str, float])
    <class 'float'>
    """
    for member in _members(annotation):
        if get_origin(member) in (dict, Mapping):
            return get_args(member)[1]
    return None


class _UnfitError(ValueError):
    """The value is not of this type."""


def _members(annotation: Any) -> list[Any]:
    """The types of a union. None comes first and text last, because every word is text."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return [annotation]
    return sorted(get_args(annotation), key=lambda member: (member in (str, Path)) - (member is type(None)))


def _read(value: Any, annotation: Any) -> Any:
    for member in _members(annotation):
        try:
            return _read_as(value, member)
        except _UnfitError:
            continue
    raise _UnfitError


def _read_as(value: Any, member: Any) -> Any:
    """The value as one type wants it, which is no union."""
    origin = get_origin(member)
    if member is Any:
        return value
    if member in (None, type(None)):
        return _first([None] if value in (None, "none", "null") else [])
    if member is bool:
        return _first([choice for choice in (True, False) if str(value).lower() == str(choice).lower()])
    if origin is Literal:
        return _first([choice for choice in get_args(member) if str(value) == str(choice)])
    if member in (int, float):
        return _read_number(value, member)
    if member in (str, Path):
        return _first([member(value)] if isinstance(value, str | Path) else [])
    if origin in (list, tuple, Sequence):
        return _read_list(value, get_args(member))
    if origin in (dict, Mapping):
        return _read_mapping(value, *get_args(member))
    raise TypeError(f"{member}: values of this type cannot be read; leave the parameter out of the settings")


def _first(matches: list[Any]) -> Any:
    if not matches:
        raise _UnfitError
    return matches[0]


def _read_number(value: Any, member: type) -> int | float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _UnfitError
    if member is int and isinstance(value, float):
        raise _UnfitError
    try:
        number = member(value)
    except (ValueError, OverflowError):
        raise _UnfitError from None
    return _first([number] if math.isfinite(number) else [])


def _read_list(value: Any, items: tuple[Any, ...]) -> list[Any]:
    """A list from a list or tuple, from YAML in brackets, or from words with commas between them."""
    if isinstance(value, str) and value.strip().startswith("["):
        value = _read_yaml(value)
    elif isinstance(value, str):
        value = [word.strip() for word in value.split(",") if word.strip()]
    if not isinstance(value, list | tuple):
        raise _UnfitError
    if len(items) == 1:
        items *= len(value)
    if len(items) != len(value):
        raise _UnfitError
    return [_read(item, annotation) for item, annotation in zip(value, items, strict=True)]


def _read_mapping(value: Any, keys: Any, values: Any) -> dict[Any, Any]:
    value = _read_yaml(value) if isinstance(value, str) else value
    if not isinstance(value, Mapping):
        raise _UnfitError
    return {_read(key, keys): _read(item, values) for key, item in value.items()}


def _read_yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise _UnfitError from None


def in_words(annotation: Any, name_none: bool = True) -> str:
    """What a type takes, in plain English.

    >>> in_words(list[str] | None)
    'a list such as a,b, or none'

    Args:
        annotation: the type.
        name_none: whether to say that it takes none.
    """
    members = [member for member in _members(annotation) if name_none or member is not type(None)]
    if Path in members:  # of "text or a path", a path is meant
        members = [member for member in members if member is not str]
    return _joined([_in_words(member) for member in sorted(members, key=lambda member: member is type(None))])


_IN_WORDS: dict[Any, str] = {
    Any: "text",
    type(None): "none",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}
_TWO: dict[Any, str] = {int: "1,2", float: "0.5,1", str: "a,b"}


def _in_words(member: Any) -> str:
    origin, inner = get_origin(member), get_args(member)
    if origin is Literal:
        return _joined([str(choice) for choice in inner])
    if origin is tuple:
        return f"a list of {len(inner)} such as {','.join(['0.8', *['0.1'] * (len(inner) - 1)])}"
    if origin in (list, Sequence):
        return f"a list such as {_TWO.get(inner[0], '[[0, 1], [0.5, 2]]')}"
    if origin in (dict, Mapping):
        return "a mapping such as {name: value}"
    return _IN_WORDS[member]


def _joined(texts: list[str]) -> str:
    last = ", or " if any(" or " in text or "," in text for text in texts) else " or "
    return last.join([", ".join(texts[:-1]), texts[-1]] if texts[1:] else texts)
