"""Damage for the content of files: changed bytes, cuts, wrong lengths, foreign words, whole files of noise.

Every function of `random.Random` and bytes gives other bytes; the same state gives the same bytes.
"""

import json
import struct

from unbraid.files import with_checksum

NUMBERS = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    0x7FFFFFFFFFFFFFFF,
)
WORDS = (
    *(",", ";", "\t", '"', "\n", "\r", "\0", "\n\n", "[", "{", "}", ": ", "- ", "&a ", "*a", "#", "/", "\\", "../"),
    *("NaN", "inf", "-inf", "1e999", "-1", "0", "99999999999999999999", "1e9", "null", "true", "é", "\ufeff", "\u202e"),
    *("2016-02-30", "1970-01-01T00:00:00Z", "25:61", "!!python/object/apply:os.getcwd []", "sep=;\n", "x" * 300),
)  # fmt: skip
VALUES = (
    None,
    True,
    -1,
    0,
    1e300,
    2**70,
    "",
    "x",
    "\0",
    [],
    {},
    [[]],
    {"x": None},
    [1, "a", None],
    float("nan"),
)


def flip(draw, content):
    """One to eight changed bits."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def overwrite(draw, content):
    """A run of bytes of noise."""
    start = draw.randrange(len(content))
    noise = draw.randbytes(draw.randrange(1, 40))
    return content[:start] + noise + content[start + len(noise) :]


def number(draw, content):
    """A number of 1, 2, 4 or 8 bytes that is far too large or small, as lengths and sizes in headers are written."""
    size, code = draw.choice(((1, "B"), (2, "H"), (4, "I"), (4, "I"), (8, "Q")))
    near_the_head = draw.random() < 0.7
    start = draw.randrange(min(len(content), 200) if near_the_head else len(content))
    value = draw.choice(NUMBERS) % 256**size
    return content[:start] + struct.pack(draw.choice("<>") + code, value) + content[start + size :]


def cut(draw, content):
    """The end is missing, or a part in the middle, or the beginning."""
    start, end = sorted(draw.choices(range(len(content) + 1), k=2))
    return draw.choice((content[:start], content[:start] + content[end:], content[end:]))


def repeat(draw, content):
    """A part stands twice, or noise follows the end."""
    start, end = sorted(draw.choices(range(len(content) + 1), k=2))
    return draw.choice((content[:end] + content[start:], content + draw.randbytes(draw.randrange(1, 300))))


def insert(draw, content):
    """A word that has a meaning in text files."""
    start = draw.randrange(len(content) + 1)
    word = draw.choice(WORDS).encode("utf-8")
    return content[:start] + word + content[start + draw.choice((0, 0, 1, len(word))) :]


def digits(draw, content):
    """A number in text has other digits."""
    places = [place for place, byte in enumerate(content) if chr(byte).isdigit()]
    if not places:
        return flip(draw, content)
    place = draw.choice(places)
    text = draw.choice((b"", b"-", b"999999999", b"0", b"1e9", b"7", b".5"))
    return content[:place] + text + content[place + 1 :]


def noise(draw, content):
    """Nothing of the file is left, or only its first bytes."""
    head = draw.choice((0, 0, 4, 16))
    return content[:head] + draw.randbytes(draw.choice((0, 1, 7, 100, 2000)))


def values(draw, content):
    """JSON with a value of another kind, and with the checksum of its new content."""
    try:
        read = json.loads(content)
    except ValueError:
        return insert(draw, content)
    if isinstance(read, dict):
        read.pop("checksum", None)
    places = list(_places(read))
    if not places:
        return insert(draw, content)
    for parent, key in draw.choices(places, k=draw.choice((1, 1, 2))):
        if draw.random() < 0.15:
            del parent[key]
            break
        parent[key] = draw.choice(VALUES)
    return json.dumps(with_checksum(read) if isinstance(read, dict) else read).encode("utf-8")


def _places(value):
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


DAMAGES = (flip, flip, overwrite, number, number, cut, repeat, insert, digits, noise, values)


def damaged(draw, content):
    """The content of a file after one or two damages, and their names."""
    chosen = draw.choices(DAMAGES, k=draw.choice((1, 1, 1, 2)))
    for damage in chosen:
        content = damage(draw, content) if content else draw.randbytes(8)
    return content, " and ".join(damage.__name__ for damage in chosen)
