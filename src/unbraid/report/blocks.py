"""What a report is made of: headings, texts, tables, pictures and players. The template `page.html.j2` draws them.

All texts are plain: the template escapes them, so names that users give are never read as HTML.
"""

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from unbraid.evaluation.scores import Figure, Scores, figures
from unbraid.files import read_json, write_atomically

__all__ = [
    "Block",
    "Cells",
    "Commands",
    "Heading",
    "Image",
    "Paragraph",
    "Picture",
    "Player",
    "Recordings",
    "all_figures",
    "drawn",
    "figure_cell",
    "left_out",
    "number",
    "stored_picture",
    "write_names",
]

_NAMES = "names.json"  # of the sequences in pictures


@dataclass(frozen=True)
class Heading:
    """A heading of level 2 or 3."""

    block: ClassVar[str] = "heading"
    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """A paragraph: the `lead` of the page, `facts`, a `caption` or a `warning`."""

    block: ClassVar[str] = "paragraph"
    text: str
    style: Literal["lead", "facts", "caption", "warning", ""] = ""


@dataclass(frozen=True)
class Cells:
    """A table; `head` may be empty."""

    block: ClassVar[str] = "cells"
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Image:
    """An image inside the page."""

    data: bytes
    kind: Literal["png", "gif"]
    description: str

    @property
    def source(self) -> str:
        """The image as an address."""
        return _address(self.data, f"image/{self.kind}")


@dataclass(frozen=True)
class Picture:
    """Images below one another, with a caption."""

    block: ClassVar[str] = "picture"
    images: Sequence[Image]
    caption: str = ""


@dataclass(frozen=True)
class Player:
    """A sound (a WAV file) with its caption."""

    data: bytes
    caption: str

    @property
    def source(self) -> str:
        """The sound as an address."""
        return _address(self.data, "audio/wav")


@dataclass(frozen=True)
class Recordings:
    """Pictures of recordings, players below each of them, and a caption."""

    block: ClassVar[str] = "recordings"
    groups: Sequence[tuple[Image, Sequence[Player]]]
    caption: str


@dataclass(frozen=True)
class Commands:
    """Lines of a command line or of a file; under a `title` they are folded."""

    block: ClassVar[str] = "commands"
    text: str
    title: str = ""


Block = Heading | Paragraph | Cells | Picture | Recordings | Commands


def _address(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def drawn(figure: Any, description: str, caption: str = "") -> Picture:
    """A picture of `unbraid.plots`."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Picture([Image(buffer.getvalue(), "png", description)], caption)


def write_names(pictures: Path, names: Mapping[str, Sequence[str] | None]) -> None:
    """Write which sequences pictures show, for their captions; see `stored_picture`."""
    told = {picture: list(shown) for picture, shown in names.items() if shown}
    if told:
        write_atomically(pictures / _NAMES, json.dumps(told) + "\n")


def stored_picture(folder: Path, name: str, heading: str, caption: str) -> list[Block]:
    """A picture of `folder/pictures` under a heading, the moving form first; nothing where it was not drawn.

    The caption ends with the names of the sequences in it, where they are known.
    """
    kinds: tuple[Literal["gif", "png"], ...] = ("gif", "png")
    images = [
        Image(path.read_bytes(), kind, heading)
        for kind in kinds
        if (path := folder / "pictures" / f"{name}.{kind}").is_file()
    ]
    told = folder / "pictures" / _NAMES
    names = read_json(told).get(name) if told.is_file() else None
    if isinstance(names, list):
        caption = f"{caption} In order: {', '.join(map(str, names))}."
    return [Heading(heading), Picture(images, caption)] if images else []


def number(value: float, share: bool) -> str:
    """A number; a share in percent."""
    return f"{value:.1%}" if share else f"{value:.4g}"


def figure_cell(figure: Figure, share: bool) -> str:
    """A figure with its standard deviation, where that is not 0, and its interval, where it has one."""
    text = number(figure.mean, share) + (f" ± {_deviation(figure, share)}" if figure.std else "")
    if figure.low is None or figure.high is None:
        return text
    return f"{text} [{number(figure.low, share)}, {number(figure.high, share)}]"


def _deviation(figure: Figure, share: bool) -> str:
    """A standard deviation, which is not 0, rounded to the decimals of its mean's four digits."""
    std = figure.std or 0.0
    if share:
        return number(std, share)
    decimals = max(0, 3 - math.floor(math.log10(max(abs(figure.mean), std))))
    return number(round(std, decimals), share) if round(std, decimals) else f"{0:.{decimals}f}"


def all_figures(protocol: str, scores: Scores) -> list[Block]:
    """Every figure of a protocol, and how it was scored."""
    rows = [
        [path, figure_cell(figure, False), "" if figure.floor is None else number(figure.floor, False)]
        for path, figure in figures(scores).items()
    ]
    how = [f"{key} {as_text(value)}" for key, value in scores.get("protocol", {}).items()]
    return [
        Heading(f"Scores: {protocol}"),
        Paragraph(" · ".join(how), "facts"),
        Cells(["", "mean ± std over repeats", "floor"], rows),
    ]


def left_out(scores: Mapping[str, Any]) -> list[Block]:
    """What a protocol could not score, and why."""
    reasons = scores.get("left_out", {})
    return [Paragraph(f"{name} is not scored: {reason}.", "warning") for name, reason in reasons.items()]


def as_text(value: Any) -> str:
    """A setting as text: strings as they are, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
