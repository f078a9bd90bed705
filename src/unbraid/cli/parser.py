"""From the words of a command line to typed values, and the help that lists the options.

Required parameters are plain words in order; all others are written `--name value` or `--name=value`. A yes-or-no option
may stand alone (`--force`, `--no-force`), `-` may be written for `_`, a list is written `a,b`.
"""

import inspect
import shutil
import textwrap
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, get_origin

from unbraid.parameters import REQUIRED, Parameter, parameters
from unbraid.values import in_words, read_value, value_type
from unbraid.words import did_you_mean

__all__ = ["asks_for_help", "call", "help_text", "read_words", "take_option", "take_settings"]

Options = Mapping[str, Parameter]
NOTHING: Mapping[str, Any] = MappingProxyType({})

_INDENT = 26
_WIDEST = 110


def call(
    function: Callable[..., Any], command: str, words: Sequence[str], others: Mapping[str, Any] = NOTHING
) -> Any:
    """Call a typed function with the words of a command line; its docstring is the help.

    Args:
        function: what to call.
        command: its name, for help and error messages.
        words: of the command line.
        others: values of parameters that are no options.

    Raises:
        ValueError: an unknown option, or a value that does not fit.
    """
    options = {name: option for name, option in parameters(function).items() if name not in others}
    if asks_for_help(words):
        print(help_text(command, _description(function), options))
        return 0
    return function(**read_words(command, words, options), **others)


def asks_for_help(words: Iterable[str]) -> bool:
    """Whether `--help` or `-h` is among the words."""
    return any(word in ("-h", "--help") for word in words)


def take_option(name: str, words: Iterable[str]) -> tuple[str | None, list[str]]:
    """The value of one option, None when it is not given, and the other words.

    Raises:
        ValueError: the option has no value.
    """
    taken, rest = _take(words, lambda option: option == name)
    return taken.get(name), rest


def take_settings(words: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The settings of recipes among the words, by dotted name, as text; and the other words.

    >>> take_settings(["sprites", "--model.width", "64", "--seeds=2"])
    ({'model.width': '64'}, ['sprites', '--seeds=2'])

    Raises:
        ValueError: a setting has no value.
    """
    taken, rest = _take(words, lambda option: option.startswith(("--data.", "--model.", "--training.")))
    return {option[2:]: value for option, value in taken.items()}, rest


def _take(words: Iterable[str], wanted: Callable[[str], bool]) -> tuple[dict[str, str], list[str]]:
    """The values of the wanted options, and the other words."""
    values: dict[str, str] = {}
    rest: list[str] = []
    queue = deque(words)
    while queue:
        word = queue.popleft()
        option, equals, value = word.partition("=")
        if wanted(option):
            values[option] = value if equals else _next_value(option, queue)
        else:
            rest.append(word)
    return values, rest


def read_words(command: str, words: Iterable[str], options: Options) -> dict[str, Any]:
    """The values of the options that are among the words, by name.

    One value of a mapping can be set by its name: `--training.weights.kl_static 0.3`.

    Args:
        command: its name, for error messages.
        words: of the command line.
        options: by name.

    Raises:
        ValueError: an unknown option (the message names the nearest), a value that does not fit (the message says what
            fits), or a missing required value.
    """
    values: dict[str, Any] = {}
    by_place: list[str] = []
    queue = deque(words)
    while queue:
        word = queue.popleft()
        if not word.startswith("--"):
            by_place.append(word)
            continue
        written, equals, text = word[2:].partition("=")
        name, annotation = _find(written, options)
        if name is None:
            name, annotation = _find_refused(written, options)
            text = "false"
        elif annotation is bool and not equals:
            follows = bool(queue) and queue[0].lower() in ("true", "false")
            text = queue.popleft() if follows else "true"
        elif not equals:
            text = _next_value(word, queue)
        values[name] = read_value(text, annotation, name)
    return _read_places(command, by_place, options) | values


def _find(written: str, options: Options) -> tuple[str | None, Any]:
    """Name and type of the option, or of the value of a mapping, that is written so; None when there is none."""
    for name in (written, written.replace("-", "_")):
        if name in options and options[name].default is not REQUIRED:
            return name, options[name].annotation
    outer, _, key = written.rpartition(".")
    outer = outer.replace("-", "_")
    if outer in options and (annotation := value_type(options[outer].annotation)) is not None:
        return f"{outer}.{key}", annotation
    return None, None


def _find_refused(written: str, options: Options) -> tuple[str, Any]:
    """Name and type of the yes-or-no option that `--no-NAME` turns off."""
    name = written[3:].replace("-", "_")
    if written[:3] in ("no-", "no_") and name in options and options[name].annotation is bool:
        return name, bool
    shown = [_shown_name(name) for name, option in options.items() if option.default is not REQUIRED]
    close = did_you_mean(f"--{written}", shown) or "; --help lists them"
    raise ValueError(f"--{written}: there is no such option{close}")


def _next_value(option: str, queue: deque[str]) -> str:
    if not queue or queue[0].startswith("--"):
        raise ValueError(f"{option}: needs a value")
    return queue.popleft()


def _read_places(command: str, words: list[str], options: Options) -> dict[str, Any]:
    """The required values, in order; a list at the end takes all words that are left."""
    required = [option for option in options.values() if option.default is REQUIRED]
    several = bool(required) and get_origin(required[-1].annotation) is list
    alone = len(required) - several
    if len(words) < alone:
        missing = ", ".join(option.name.upper() for option in required[len(words) : alone])
        raise ValueError(f"{command}: {missing} is missing; {_usage(command, options)}")
    if len(words) > alone and not several:
        raise ValueError(f"{command}: {words[alone]!r} is a word too many; {_usage(command, options)}")
    values = [*words[:alone], words[alone:]] if several else words
    return {
        option.name: read_value(value, option.annotation, option.name)
        for option, value in zip(required, values, strict=True)
    }


# ---- help -----------------------------------------------------------------------------------------------


def help_text(command: str, about: str, options: Options) -> str:
    """The help of a command.

    Args:
        command: its name.
        about: what it does; paragraphs have an empty line between them.
        options: by name. Those with a dot in their name are grouped by the part before it.
    """
    width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    lines = [_usage(command, options)]
    for paragraph in about.split("\n\n"):
        lines += ["", *textwrap.wrap(paragraph, width)]
    groups: dict[str, list[str]] = {}
    for name, option in options.items():
        part = (
            "arguments"
            if option.default is REQUIRED
            else name.partition(".")[0]
            if "." in name
            else "options"
        )
        groups.setdefault(part, []).extend(_entry(name, option, width))
    for part, entries in groups.items():
        lines += ["", f"{part}:", *entries]
    return "\n".join(lines)


def _usage(command: str, options: Options) -> str:
    required = [option for option in options.values() if option.default is REQUIRED]
    places = [
        f"[{option.name.upper()} ...]" if get_origin(option.annotation) is list else option.name.upper()
        for option in required
    ]
    more = ["[--OPTION VALUE ...]"] if len(required) < len(options) else []
    return " ".join(["usage: unbraid", command, *places, *more])


def _description(function: Callable[..., Any]) -> str:
    """The docstring up to its sections."""
    text = inspect.cleandoc(function.__doc__ or "")
    return text.partition("\n\nArgs:")[0].partition("\n\nRaises:")[0]


def _shown_name(name: str) -> str:
    """An option as help and error messages write it: settings as in recipes, others with `-`."""
    return f"--{name if '.' in name else name.replace('_', '-')}"


def _entry(name: str, option: Parameter, width: int) -> list[str]:
    """The lines of one option."""
    label = name.upper() if option.default is REQUIRED else _shown_name(name)
    if option.annotation is bool:
        label = f"--[no-]{label[2:]}"
    about = option.about and option.about.rstrip(".") + "."
    lines = textwrap.wrap(f"{about} {_takes(option)}".strip(), width - _INDENT) or [""]
    head = f"  {label:<{_INDENT - 3}} "
    first = [head + lines[0]] if len(head) <= _INDENT else [head.rstrip(), " " * _INDENT + lines[0]]
    return [*first, *[" " * _INDENT + line for line in lines[1:]]]


def _takes(option: Parameter) -> str:
    """The values that an option takes, and its default."""
    if option.default is REQUIRED:
        return ""
    if option.annotation is bool:
        return f"Default: {'yes' if option.default else 'no'}."
    shown = (
        ",".join(map(str, option.default))
        if isinstance(option.default, list | tuple)
        else str(option.default)
    )
    default = "" if option.default is None or shown in ("", "{}") else f"default {shown}"
    takes = (
        "" if option.annotation is str else f"takes {in_words(option.annotation, option.default is not None)}"
    )
    text = "; ".join(part for part in (takes, default) if part)
    return f"{text[:1].upper()}{text[1:]}." if text else ""
