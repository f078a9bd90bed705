"""The upper part of a run's page: sequences A and B, chosen from the data or uploaded."""

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from unbraid.page import actions, texts
from unbraid.page.cells import COMPUTING, QUIET, Cell, make_cell, values_of, with_messages
from unbraid.page.session import Clip, Session
from unbraid.page.uploads import endings, read_upload

__all__ = ["Chooser", "Desk"]

MOST_OWN = 20  # uploaded sequences that a visitor can choose from

Own = tuple[Clip, ...]
"""What a visitor uploaded, the newest first."""


@dataclass(frozen=True)
class Chooser:
    """What chooses sequence A or B."""

    letter: str
    cell: Cell
    list: gr.Dropdown
    another: gr.Button
    upload: gr.UploadButton


class Desk:
    """Sequences A and B of a run, and what happens when another one is chosen.

    Args:
        session: of the run.
        prefix: of the names of its components.
    """

    def __init__(self, session: Session, prefix: str) -> None:
        self.session, self.prefix = session, prefix
        self.own = gr.State(())
        self.opened = gr.State("")  # the tab that is open
        self._at_start: list[tuple[Callable[..., Any], list[Any], list[Any]]] = []
        letters = "AB" if session.model.can("encode") else "A"
        with gr.Row(elem_classes="choosers"):
            self.choosers = [self._chooser(letter, place) for place, letter in enumerate(letters)]
        self.message = gr.HTML("", elem_id=self.name("message"))
        self._connect()

    def name(self, part: str) -> str:
        """The name of a component."""
        return self.prefix + part

    @property
    def a(self) -> list[Any]:
        """The inputs of an event that needs sequence A; see `clip`."""
        return [self.choosers[0].list, self.own]

    @property
    def both(self) -> list[Any]:
        """The inputs of an event that needs both sequences; see `clips`."""
        return [self.choosers[0].list, self.choosers[-1].list, self.own]

    def clip(self, key: str, own: Own) -> Clip:
        """The sequence of a key."""
        return actions.chosen(self.session, key, own)

    def clips(self, a: str, b: str, own: Own) -> tuple[Clip, Clip]:
        """The sequences of two keys."""
        return self.clip(a, own), self.clip(b, own)

    # ---- events of tabs ---------------------------------------------------------------------------------

    def live(
        self,
        tab: gr.Tab,
        triggers: list[Any],
        action: Callable[..., Any],
        inputs: list[Any],
        outputs: list[Any],
    ) -> None:
        """Run an action when its tab is opened, a trigger fires or, while the tab is open, another sequence is chosen."""
        for trigger in (tab.select, *triggers):
            trigger(with_messages(action), inputs, outputs, trigger_mode="always_last", **COMPUTING)

        def if_open(opened: str, *values: Any) -> Any:
            return action(*values) if opened == tab.id else [None] * len(outputs)

        for chooser in self.choosers:
            chooser.list.change(
                with_messages(if_open),
                [self.opened, *inputs],
                outputs,
                trigger_mode="always_last",
                **COMPUTING,
            )

    def on_click(
        self, button: gr.Button, action: Callable[..., Any], inputs: list[Any], outputs: list[Any]
    ) -> None:
        """Run an action when a button is pressed, and empty its outputs when another sequence is chosen."""
        button.click(with_messages(action), inputs, outputs, **COMPUTING)
        for chooser in self.choosers:
            chooser.list.change(lambda: [None] * len(outputs), None, outputs, **QUIET)

    def at_start(self, action: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> None:
        """Run an action when the page is opened."""
        self._at_start.append((action, inputs, outputs))

    def load(self, page: gr.Blocks) -> None:
        """Fill the page when it is opened."""
        if self.session.titles:
            for chooser in self.choosers:
                page.load(self._present, [chooser.list, self.own], chooser.cell.outputs, **COMPUTING)
            for action, inputs, outputs in self._at_start:
                page.load(action, inputs, outputs, **COMPUTING)

    # ---- choosing ---------------------------------------------------------------------------------------

    def _chooser(self, letter: str, place: int) -> Chooser:
        session, name = self.session, self.name(letter.lower())
        listed = actions.choices(session)
        first = listed[min(place, len(listed) - 1)][1] if listed else None
        with gr.Column(min_width=150, elem_classes="card"):
            gr.HTML(f'<span class="badge">{letter}</span>', elem_classes="badge-holder")
            cell = make_cell(session, "", name)
            chooser = gr.Dropdown(
                listed, value=first, show_label=False, container=False, elem_id=f"{name}-list",
                label=f"sequence {letter}",
            )  # fmt: skip
            with gr.Row(elem_classes="buttons"):
                another = gr.Button("Another", size="sm", min_width=60, elem_id=f"{name}-another")
                upload = gr.UploadButton(
                    "Upload", size="sm", min_width=60, file_count="multiple", elem_id=f"{name}-upload",
                    file_types=list(endings(session.kind)), visible=session.model.can("encode"),
                )  # fmt: skip
        return Chooser(letter, cell, chooser, another, upload)

    def _connect(self) -> None:
        for chooser in self.choosers:
            chooser.list.change(
                with_messages(self._present), [chooser.list, self.own], chooser.cell.outputs, **COMPUTING
            )
            chooser.another.click(with_messages(self._another), [self.own], chooser.list, **QUIET)
            chooser.upload.upload(
                functools.partial(self._uploaded, chooser),
                [chooser.upload, self.own],
                [self.own, self.message, *(each.list for each in self.choosers)],
                show_progress="full",
                api_visibility="private",
            )

    def _present(self, key: str, own: Own) -> Any:
        values = values_of([self.choosers[0].cell], [actions.present(self.session, self.clip(key, own))])
        return values if len(values) > 1 else values[0]  # gradio takes a single output bare

    def _another(self, own: Own) -> str:
        listed = actions.choices(self.session, own)
        if not listed:
            raise ValueError("there are no data to choose from; upload a sequence of your own")
        return random.choice(listed)[1]

    def _uploaded(self, chooser: Chooser, files: list[str] | None, own: Own) -> list[Any]:
        """Read uploaded files; after a mistake everything stays as it was, and the message says why."""
        session, paths = self.session, [Path(file) for file in files or ()]
        try:
            clips, remarks = read_upload(session.run.folder, session.kind, paths)
        except (ValueError, OSError) as error:
            return [own, texts.warning(str(error)), *[gr.skip()] * len(self.choosers)]
        finally:
            for path in paths:
                path.unlink(missing_ok=True)
        own = (*clips, *own)[:MOST_OWN]
        listed = actions.choices(session, own)
        updates = [
            gr.update(choices=listed, value=listed[0][1]) if each is chooser else gr.update(choices=listed)
            for each in self.choosers
        ]
        return [own, texts.remarks(clips, remarks), *updates]
