"""Places on the page: a picture with its player and caption, and how events fill them."""

import functools
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from unbraid.page import texts
from unbraid.page.pictures import Shown, pack
from unbraid.page.session import Session

__all__ = [
    "COMPUTING",
    "QUIET",
    "Cell",
    "make_cell",
    "make_picture",
    "outputs_of",
    "packed",
    "values_of",
    "with_messages",
]

QUIET: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}
"""Options of every event: it is for this page only."""
COMPUTING: dict[str, Any] = {"concurrency_id": "model", **QUIET}
"""Options of events that compute: one at a time."""


@dataclass(frozen=True)
class Cell:
    """The place of one sequence on the page: its picture, of sound a player, and its caption."""

    picture: gr.Image
    sound: gr.Audio | None
    caption: gr.HTML | None

    @property
    def outputs(self) -> list[Any]:
        """What an event changes."""
        return [part for part in (self.picture, self.sound, self.caption) if part is not None]


def make_cell(session: Session, caption: str, name: str) -> Cell:
    """A place for a sequence, empty at first."""
    with gr.Column(min_width=140, elem_classes="cell"):
        picture = make_picture(name, session.kind, "gif", caption)
        sound = None
        if session.kind == "sound":
            sound = gr.Audio(
                type="filepath",
                interactive=False,
                show_label=False,
                container=False,
                buttons=["download"],
                editable=False,
                waveform_options=gr.WaveformOptions(show_recording_waveform=False),
            )
        below = gr.HTML(texts.caption(caption)) if caption else None
    return Cell(picture, sound, below)


def make_picture(name: str, style: str, ending: str, text: str) -> gr.Image:
    """A place for a picture that can be downloaded.

    Args:
        name: of the element.
        style: its class in the style sheet.
        ending: of the file: gif or png.
        text: for those who do not see it.
    """
    return gr.Image(
        type="filepath",
        format=ending,
        interactive=False,
        show_label=False,
        container=False,
        buttons=["download", "fullscreen"],
        elem_id=name,
        elem_classes=style,
        alt_text=text,
    )


def outputs_of(cells: Sequence[Cell]) -> list[Any]:
    """What an event changes that fills some cells."""
    return [output for cell in cells for output in cell.outputs]


def values_of(cells: Sequence[Cell], shown: Sequence[Shown]) -> list[Any]:
    """The files and the caption of each cell, in the order of `outputs_of`."""
    values: list[Any] = []
    for cell, files in zip(cells, shown, strict=True):
        values.append(gr.update(value=str(files.picture), alt_text=files.title))
        if cell.sound is not None:
            values.append(None if files.sound is None else str(files.sound))
        if cell.caption is not None:
            values.append(texts.caption(files.title))
    return values


def with_messages(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same event; a user's mistake is shown as a message, escaped."""

    @functools.wraps(function)
    def event(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (ValueError, OSError) as error:
            raise gr.Error(
                html.escape(str(error)), title="This cannot be shown", print_exception=False
            ) from error

    return event


def packed(session: Session, name: str, cells: Sequence[Cell], shown: Sequence[Shown]) -> list[Any]:
    """The files of cells, and the package for the download button below them."""
    return [*values_of(cells, shown), str(pack(session, name, shown))]
