"""The page: what stands where, and which action each click asks for. The only module that knows gradio."""

import contextlib
import functools
import html
import os
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from unbraid.page import actions, texts
from unbraid.page.pictures import Shown, clicked_point, draw_map, pack
from unbraid.page.session import Clip, Session, open_session
from unbraid.page.style import CSS, HEAD, page_theme
from unbraid.page.uploads import LARGEST, endings, read_upload

__all__ = ["build", "served"]

QUIET: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}
MODEL = "model"  # the one queue of everything that computes
VISITORS = 20  # whose uploads are kept


@dataclass(frozen=True)
class Cell:
    """The place of one sequence on the page: its picture, of sound a player, and its caption."""

    picture: gr.Image
    sound: gr.Audio | None

    @property
    def outputs(self) -> list[Any]:
        """What an event changes."""
        return [self.picture] if self.sound is None else [self.picture, self.sound]


def _cell(session: Session, caption: str, name: str) -> Cell:
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


def _outputs(cells: Sequence[Cell]) -> list[Any]:
    return [output for cell in cells for output in cell.outputs]


def _values(cells: Sequence[Cell], shown: Sequence[Shown]) -> list[str | None]:
    """The files of each cell, in the order of `_outputs`."""
    values: list[str | None] = []
    for cell, one in zip(cells, shown, strict=True):
        values.append(str(one.picture))
        if cell.sound is not None:
            values.append(None if one.sound is None else str(one.sound))
    return values


def _told(function: Callable[..., Any]) -> Callable[..., Any]:
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


# ---- the page of one run --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Chooser:
    """What chooses sequence A or B."""

    letter: str
    cell: Cell
    list: gr.Dropdown
    another: gr.Button
    upload: gr.UploadButton


class _RunPage:
    """The components of one run and their events.

    Args:
        session: of the run.
        number: of the run on the page, for the names of components.
    """

    def __init__(self, session: Session, number: int) -> None:
        self.session, self.prefix = session, f"run{number}-"
        self.own = gr.State(())  # what this visitor uploaded
        self.at_start: list[tuple[Callable[..., Any], list[Any], list[Any]]] = []
        self.opened = gr.State("")  # the tab that is open
        self.stale: list[Any] = []  # results to empty when another sequence is chosen
        gr.HTML(texts.introduction(session))
        self.places = self._choosers()
        self.message = gr.HTML("", elem_id=self.prefix + "message")
        with gr.Tabs():
            for title, build in self._tabs():
                with gr.Tab(title, id=title) as tab:
                    build(tab)
                tab.select(lambda name=title: name, None, self.opened, **QUIET)
        self._choose()

    def _name(self, name: str) -> str:
        return self.prefix + name

    def _tabs(self) -> list[tuple[str, Callable[[gr.Tab], None]]]:
        """The tabs that the method can fill."""
        session = self.session
        tabs: list[tuple[str, Callable[[gr.Tab], None], bool]] = [
            ("Swap", self._swap, bool(actions.factors(session))),
            ("Interpolate", self._interpolate, "static" in actions.factors(session)),
            ("Factors", self._factors, session.model.can("encode") and session.pool is not None),
            ("Draw", self._draw, bool(actions.draws(session))),
            ("Map", self._map, session.model.can("encode") and len(session.titles) > 9),
            ("Scores", self._scores, True),
            ("About", self._about, True),
        ]
        return [(title, build) for title, build, shown in tabs if shown]

    # ---- choosing ---------------------------------------------------------------------------------------

    def _choosers(self) -> list[_Chooser]:
        letters = "AB" if self.session.model.can("encode") else "A"
        with gr.Row(elem_classes="choosers"):
            return [self._chooser(letter, place) for place, letter in enumerate(letters)]

    def _chooser(self, letter: str, place: int) -> _Chooser:
        session, name = self.session, self._name(letter.lower())
        listed = actions.choices(session)
        first = listed[min(place, len(listed) - 1)][1] if listed else None
        with gr.Column(min_width=150, elem_classes=["card", f"side-{letter.lower()}"]):
            gr.HTML(f'<div class="badge badge-{letter.lower()}">{letter}</div>')
            cell = _cell(session, "", name)
            chooser = gr.Dropdown(
                listed, value=first, show_label=False, container=False, elem_id=f"{name}-list", filterable=True,
            )  # fmt: skip
            with gr.Row(elem_classes="buttons"):
                another = gr.Button("Another", size="sm", min_width=60, elem_id=f"{name}-another")
                upload = gr.UploadButton(
                    "Upload", size="sm", min_width=60, file_count="multiple", elem_id=f"{name}-upload",
                    file_types=list(endings(session.kind)), visible=session.model.can("encode"),
                )  # fmt: skip
        return _Chooser(letter, cell, chooser, another, upload)

    def _choose(self) -> None:
        """Events of the choosers: show what is chosen, and empty what was made of other sequences."""
        session = self.session
        lists = [place.list for place in self.places]

        def another(own: tuple[Clip, ...]) -> str:
            listed = actions.choices(session, own)
            if not listed:
                raise ValueError("there are no data to choose from; upload a sequence of your own")
            return random.choice(listed)[1]

        for place in self.places:
            place.list.change(
                _told(self._present),
                [place.list, self.own],
                place.cell.outputs,
                concurrency_id=MODEL,
                **QUIET,
            )
            place.another.click(_told(another), [self.own], place.list, **QUIET)
            place.upload.upload(
                functools.partial(self._uploaded, place),
                [place.upload, self.own],
                [self.own, self.message, *lists],
                show_progress="full",
                api_visibility="private",
            )
            if self.stale:
                place.list.change(lambda: [None] * len(self.stale), None, self.stale, **QUIET)

    def _present(self, key: str, own: tuple[Clip, ...]) -> Any:
        shown = actions.present(self.session, actions.chosen(self.session, key, own))
        values = _values([self.places[0].cell], [shown])
        return values if len(values) > 1 else values[0]  # gradio takes a single output bare

    def _uploaded(self, place: _Chooser, files: list[str] | None, own: tuple[Clip, ...]) -> list[Any]:
        """Read uploaded files; on a mistake everything stays as it was, and the message says why."""
        session = self.session
        try:
            clips, remarks = read_upload(
                session.run.folder, session.kind, [Path(file) for file in files or ()]
            )
        except (ValueError, OSError) as error:
            return [own, texts.warning(str(error)), *[gr.skip()] * len(self.places)]
        finally:
            for file in files or ():
                Path(file).unlink(missing_ok=True)
        own = (*clips, *own)[:VISITORS]
        listed = actions.choices(session, own)
        updates = [
            gr.update(choices=listed, value=listed[0][1]) if each is place else gr.update(choices=listed)
            for each in self.places
        ]
        return [own, texts.remarks(clips, remarks), *updates]

    @property
    def _both(self) -> list[Any]:
        return [self.places[0].list, self.places[-1].list, self.own]

    def _clips(self, a: str, b: str, own: tuple[Clip, ...]) -> tuple[Clip, Clip]:
        return actions.chosen(self.session, a, own), actions.chosen(self.session, b, own)

    def _download(self, name: str) -> gr.DownloadButton:
        return gr.DownloadButton("Download", size="sm", elem_id=self._name(name), elem_classes="download")

    def _packed(self, name: str, cells: Sequence[Cell], shown: Sequence[Shown]) -> list[Any]:
        """The values of cells, and of the download button below them."""
        return [*_values(cells, shown), str(pack(self.session, name, shown))]

    def load(self, page: gr.Blocks) -> None:
        """Fill the page when it is opened."""
        if not self.session.titles:
            return
        for place in self.places:
            page.load(
                self._present, [place.list, self.own], place.cell.outputs, concurrency_id=MODEL, **QUIET
            )
        for function, inputs, outputs in self.at_start:
            page.load(function, inputs, outputs, concurrency_id=MODEL, **QUIET)

    # ---- tabs -------------------------------------------------------------------------------------------

    def _swap(self, tab: gr.Tab) -> None:
        session = self.session
        names = actions.factors(session)
        static, dynamic = actions.words(session)
        gr.HTML(texts.hint(f"Each sequence keeps its {dynamic} and gets the {static} of the other."))
        factor = gr.Dropdown(names, value=names[0], label="what is exchanged", visible=len(names) > 1)
        button = gr.Button("Swap", variant="primary", elem_id=self._name("swap"))
        captions = (f"{static} of A, {dynamic} of B", f"{static} of B, {dynamic} of A")
        with gr.Row(elem_classes="results"):
            cells = [_cell(session, captions[n], self._name(f"swap{n}")) for n in range(2)]
        download = self._download("swap-download")

        def swap(a: str, b: str, own: tuple[Clip, ...], name: str) -> list[Any]:
            return self._packed("swap", cells, actions.swap(session, *self._clips(a, b, own), name))

        outputs = [*_outputs(cells), download]
        self.stale += outputs
        self.at_start.append((swap, [*self._both, factor], outputs))
        button.click(_told(swap), [*self._both, factor], outputs, concurrency_id=MODEL, **QUIET)

    def _interpolate(self, tab: gr.Tab) -> None:
        session = self.session
        static, dynamic = actions.words(session)
        gr.HTML(texts.hint(f"The {dynamic} of A, while its {static} turns into that of B."))
        share = gr.Slider(
            0, 1, 0.5, step=0.05, label=f"{static}: from A (0) to B (1)", elem_id=self._name("share")
        )
        with gr.Row(elem_classes="results single"):
            cells = [_cell(session, "", self._name("between"))]
        download = self._download("between-download")

        def interpolate(a: str, b: str, own: tuple[Clip, ...], value: float) -> list[Any]:
            shown = actions.interpolate(session, *self._clips(a, b, own), value)
            return self._packed("interpolation", cells, [shown])

        self._live(tab, [share.change], interpolate, [*self._both, share], [*_outputs(cells), download])

    def _factors(self, tab: gr.Tab) -> None:
        session = self.session
        gr.HTML(texts.hint(
            "A, with its codes moved along one direction in which the data differ. 0 is A as the model rebuilds it; "
            "a step of 1 is one standard deviation of the data."
        ))  # fmt: skip
        name = gr.Dropdown([], label="direction", elem_id=self._name("direction"))
        amount = gr.Slider(-3, 3, 0, step=0.25, label="standard deviations", elem_id=self._name("amount"))
        with gr.Row(elem_classes="results single"):
            cells = [_cell(session, "", self._name("moved"))]
        download = self._download("moved-download")

        def fill(current: str | None) -> Any:
            names = list(session.directions)
            return gr.update(choices=names, value=current or next(iter(names), None))

        def traverse(a: str, own: tuple[Clip, ...], direction: str | None, value: float) -> list[Any]:
            if not direction:
                return [gr.skip()] * (len(_outputs(cells)) + 1)
            shown = actions.traverse(session, actions.chosen(session, a, own), direction, value)
            return self._packed("factors", cells, [shown])

        inputs = [self.places[0].list, self.own, name, amount]
        outputs = [*_outputs(cells), download]
        tab.select(_told(fill), name, name, concurrency_id=MODEL, **QUIET)
        self._live(tab, [name.change, amount.change], traverse, inputs, outputs)

    def _draw(self, tab: gr.Tab) -> None:
        session = self.session
        possible = actions.draws(session)
        static, dynamic = actions.words(session)
        kept = f"A keeps the other one: new {static} with its {dynamic}, or new {dynamic} with its {static}."
        hint = kept if session.model.can("encode") else "The method has no encoder, so both codes are drawn."
        gr.HTML(texts.hint(f"Codes drawn at random from what the model learned. {hint}"))
        with gr.Row():
            what = gr.Radio(
                list(possible),
                value=next(iter(possible)),
                label="draw new",
                elem_id=self._name("what"),
                scale=3,
            )
            seed = gr.Number(
                0, label="seed", precision=0, minimum=0, elem_id=self._name("seed"), min_width=90
            )
        button = gr.Button("Draw", variant="primary", elem_id=self._name("draw"))
        with gr.Row(elem_classes="results"):
            cells = [_cell(session, f"draw {n + 1}", self._name(f"draw{n}")) for n in range(actions.DRAWS)]
        download = self._download("draw-download")

        def draw(a: str, own: tuple[Clip, ...], parts: str, value: float | None) -> list[Any]:
            clip = actions.chosen(session, a, own)
            return self._packed("draws", cells, actions.draw(session, clip, possible[parts], int(value or 0)))

        inputs, outputs = [self.places[0].list, self.own, what, seed], [*_outputs(cells), download]
        self.stale += outputs
        button.click(_told(draw), inputs, outputs, concurrency_id=MODEL, **QUIET)

    def _map(self, tab: gr.Tab) -> None:
        session = self.session
        gr.HTML(texts.hint(
            f"t-SNE of the codes of {len(session.titles)} sequences: what is similar lies close together. Tap a point to see "
            "its sequence. Where a code holds a label, its colours form clumps; where it does not, they mix."
        ))  # fmt: skip
        names = list(session.labels)
        colour = gr.Dropdown(
            names,
            value=next(iter(names), None),
            label="colour",
            visible=bool(names),
            elem_id=self._name("colour"),
        )
        maps: dict[str, gr.Image] = {}
        with gr.Row(elem_classes="results"):
            for code in ("static", "dynamic"):
                with gr.Column(min_width=260):
                    gr.HTML(f'<h3 class="{code}">{code} code</h3>')
                    maps[code] = gr.Image(
                        type="filepath", format="png", interactive=False, show_label=False, container=False,
                        buttons=["download", "fullscreen"], elem_id=self._name(f"map-{code}"), elem_classes="map",
                        alt_text=f"t-SNE of the {code} code",
                    )  # fmt: skip
        with gr.Row(elem_classes="results single"), gr.Column(min_width=140):
            cells = [_cell(session, "", self._name("point"))]
            title = gr.HTML("", elem_id=self._name("point-title"))
            with gr.Row(elem_classes="buttons", visible=False) as use:
                buttons = [
                    gr.Button(f"Use as {place.letter}", size="sm", min_width=60) for place in self.places
                ]
        point = gr.State(None)

        def draw(label: str | None, marked: int | None) -> list[str]:
            return [str(draw_map(session, code, label, marked)) for code in maps]

        def click(code: str) -> Callable[[gr.SelectData], list[Any]]:
            def event(at: gr.SelectData) -> list[Any]:
                number = clicked_point(session, code, *at.index)
                shown = actions.present(session, session.clip(number))
                return [number, *_values(cells, [shown]), texts.caption(shown.title), gr.update(visible=True)]

            return event

        drawn = [maps["static"], maps["dynamic"]]
        for trigger in (tab.select, colour.change):
            trigger(_told(draw), [colour, point], drawn, concurrency_id=MODEL, **QUIET)
        for code, image in maps.items():
            chosen = image.select(
                click(code), None, [point, *_outputs(cells), title, use], concurrency_id=MODEL, **QUIET
            )
            chosen.then(_told(draw), [colour, point], drawn, concurrency_id=MODEL, **QUIET)
        for place, button in zip(self.places, buttons, strict=True):
            button.click(lambda row: f"data:{row}", point, place.list, **QUIET)

    def _scores(self, tab: gr.Tab) -> None:
        gr.HTML(texts.scores(self.session), elem_classes="report")

    def _about(self, tab: gr.Tab) -> None:
        gr.HTML(texts.about(self.session), elem_classes="report")

    def _live(
        self,
        tab: gr.Tab,
        triggers: list[Any],
        action: Callable[..., Any],
        inputs: list[Any],
        outputs: list[Any],
    ) -> None:
        """Run an action whenever the tab is opened, one of its triggers fires or, while it is open, a sequence is chosen."""
        options = {"concurrency_id": MODEL, "trigger_mode": "always_last", **QUIET}
        for trigger in (tab.select, *triggers):
            trigger(_told(action), inputs, outputs, **options)

        def if_open(opened: str, *values: Any) -> Any:
            return action(*values) if opened == tab.id else [None] * len(outputs)

        for place in self.places:
            place.list.change(_told(if_open), [self.opened, *inputs], outputs, **options)


# ---- the whole page -------------------------------------------------------------------------------------


def build(sessions: Sequence[Session]) -> gr.Blocks:
    """The page of some runs, a tab for each where there are several."""
    with gr.Blocks(title="unbraid", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.HTML(texts.HEADER)
        if len(sessions) == 1:
            pages = [_RunPage(sessions[0], 0)]
        else:
            pages = []
            with gr.Tabs(elem_classes="runs"):
                for number, session in enumerate(sessions):
                    with gr.Tab(f"{session.run.folder.name}: {session.title}"):
                        pages.append(_RunPage(session, number))
        for each in pages:
            each.load(page)
    return page


@contextlib.contextmanager
def served(runs: Sequence[str | Path], port: int | None = None, browser: bool = False) -> Iterator[str]:
    """Serve the page of some runs on loopback until the context ends.

    Args:
        runs: folders of runs, or names of pretrained models.
        port: of the page; None for the first free one from 7860.
        browser: open it in the browser.

    Yields:
        The address of the page.

    Raises:
        FileNotFoundError, ValueError: see `open_session`.
    """
    with tempfile.TemporaryDirectory(prefix="unbraid-page-") as name, _temporary_files_in(Path(name)):
        sessions = [open_session(run, Path(name) / f"run{number}") for number, run in enumerate(runs)]
        page = build(sessions).queue(max_size=40)
        _, address, _ = page.launch(
            server_name="127.0.0.1",
            server_port=port,
            inbrowser=browser,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            max_file_size=LARGEST,
            state_session_capacity=VISITORS,
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            mcp_server=False,
            pwa=False,
            theme=page_theme(),
            css=CSS,
            head=HEAD,
        )
        try:
            yield address
        finally:
            page.close(verbose=False)


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Let gradio keep uploads and copies in a folder of ours, and send nothing out."""
    settings = {"GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False"}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
