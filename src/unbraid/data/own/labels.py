"""Labels of files: from their sub-folders, from a CSV file, or from their names by a pattern."""

import re
from collections.abc import Sequence
from pathlib import Path

from unbraid.data.formats.delimited import find_layout
from unbraid.words import nearest

__all__ = ["folder_labels", "pattern_labels", "read_labels"]


def folder_labels(names: Sequence[str]) -> dict[str, list[str]]:
    """The label `class` from the names of the sub-folders; none unless every file lies in one and they differ."""
    parents = [name.rpartition("/")[0] for name in names]
    return {"class": parents} if all(parents) and 1 < len(set(parents)) < len(parents) else {}


def read_labels(path: Path, names: Sequence[str]) -> dict[str, list[str]]:
    r"""The columns of a CSV file of labels, in the order of `names`; its column `file` must hold these names, with `/` or `\`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has another header, an empty field, another encoding, or lacks or repeats a name.
    """
    if not path.is_file():
        raise FileNotFoundError(f"labels: there is no file {path}")
    layout = find_layout("labels", path)
    header = layout.header
    if len(header) < 2 or header[0] != "file" or len(set(header)) < len(header):
        raise ValueError(
            f"labels: the first line of {path} is {','.join(header)!r}; it must be file,label,..."
        )
    known = set(names)
    table: dict[str, list[str]] = {}
    for number, row in layout.rows():
        values = [value.strip() for value in row]
        if not all(values):
            raise ValueError(
                f"labels: line {number} of {path} is {','.join(row)!r}; fill {len(header)} columns"
            )
        name = values[0] if values[0] in known else values[0].replace("\\", "/")
        if name not in known:
            raise ValueError(
                f"labels: line {number} of {path} names {values[0]!r}{nearest(values[0], names)}"
            )
        if name in table:
            raise ValueError(f"labels: line {number} of {path} names {values[0]!r} a second time")
        table[name] = values[1:]
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(f"labels: {path} has no line for {missing[0]!r} ({len(missing)} in all); add it")
    return {label: [table[name][place] for name in names] for place, label in enumerate(header[1:])}


def pattern_labels(pattern: str, names: Sequence[str]) -> dict[str, list[str]]:
    """The text at each placeholder of a pattern in each file's name, or in its path if the pattern has a `/`.

    >>> pattern_labels("{word}_{speaker}_{index}", ["one_ann_0.wav", "two_bob_0.wav"])
    {'word': ['one', 'two'], 'speaker': ['ann', 'bob']}

    Raises:
        ValueError: the pattern has no placeholder or one twice, or a name does not match it.
    """
    parts = re.split(r"\{(\w+)\}", pattern)
    places = parts[1::2]
    if not places or len(set(places)) < len(places):
        raise ValueError(
            f"pattern: {pattern!r} needs placeholders, each once, as in '{{speaker}}_{{digit}}_{{index}}'"
        )
    text = [f"(?P<{part}>[^/]+?)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts)]
    matcher = re.compile("".join(text))
    table: dict[str, list[str]] = {place: [] for place in places}
    for name in names:
        stem = name.rpartition(".")[0]
        match = matcher.fullmatch(stem if "/" in pattern else stem.rpartition("/")[2])
        if match is None:
            raise ValueError(
                f"pattern: {name} does not match {pattern!r}; rename or remove it, or give another pattern"
            )
        for place in places:
            table[place].append(match[place])
    table.pop("index", None)
    return table
