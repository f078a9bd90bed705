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

__all__ = ["COMPUTING", "QUIET", "Cell", "make_cell", "outputs_of", "packed", "told", "values_of"]

QUIET: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}
"""Options of every event: it is for this page only."""
COMPUTING: dict[str, Any] = {"concurrency_id": "model", **QUIET}
"""Options of events that compute: one at a time."""


@dataclass(frozen=True)
class Cell:
    """The place of one sequence on the page: its picture, of sound a player, and its caption."""

    picture: gr.Image
    sound: gr.Audio | None

    @property
    def outputs(self) -> list[Any]:
        """What an event changes."""
        return [self.picture] if self.sound is None else [self.picture, self.sound]


def make_cell(session: Session, caption: str, name: str) -> Cell:
    """A place for a sequence, empty at first."""
    with gr.Column(min_width=140, elem_classes="cell"):
        picture = gr.Image(
            type="filepath",
            format="gif",
            interactive=False,
            show_label=False,
            container=False,
            buttons=["download", "fullscreen"],
            elem_id=name,
            elem_classes=[session.kind],
            alt_text=caption,
        )
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
        if caption:
            gr.HTML(texts.caption(caption))
    return Cell(picture, sound)


def outputs_of(cells: Sequence[Cell]) -> list[Any]:
    """What an event changes that fills some cells."""
    return [output for cell in cells for output in cell.outputs]


def values_of(cells: Sequence[Cell], shown: Sequence[Shown]) -> list[str | None]:
    """The files of each cell, in the order of `outputs_of`."""
    values: list[str | None] = []
    for cell, one in zip(cells, shown, strict=True):
        values.append(str(one.picture))
        if cell.sound is not None:
            values.append(None if one.sound is None else str(one.sound))
    return values


def told(function: Callable[..., Any]) -> Callable[..., Any]:
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
