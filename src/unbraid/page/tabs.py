"""The tabs of a run's page. Each function lays out one tab and connects its events."""

import functools
from collections.abc import Callable
from typing import Any

import gradio as gr

from unbraid.page import actions, texts
from unbraid.page.cells import (
    COMPUTING,
    QUIET,
    make_cell,
    make_picture,
    outputs_of,
    packed,
    values_of,
    with_messages,
)
from unbraid.page.choosing import Desk, Own
from unbraid.page.pictures import clicked_point, draw_map
from unbraid.page.session import Session

__all__ = ["tabs_of"]

FEWEST_POINTS = 10  # of a map

Build = Callable[[Desk, gr.Tab], None]


def tabs_of(session: Session) -> dict[str, Build]:
    """The tabs that a run's method and data can fill, by title."""
    can = session.model.can
    tabs: list[tuple[str, Build, bool]] = [
        ("Swap", _swap, bool(actions.factors(session))),
        ("Interpolate", _interpolate, can("encode") and can("decoded_static")),
        ("Factors", _factors, can("encode") and session.pool is not None),
        ("Draw", _draw, bool(actions.draws(session))),
        ("Map", _map, can("encode") and len(session.titles) >= FEWEST_POINTS),
        ("Scores", _scores, True),
        ("About", _about, True),
    ]
    return {title: build for title, build, shown in tabs if shown}


def _download(desk: Desk, name: str) -> gr.DownloadButton:
    return gr.DownloadButton("Download", size="sm", elem_id=desk.name(name), elem_classes="download")


def _swap(desk: Desk, tab: gr.Tab) -> None:
    session = desk.session
    names = actions.factors(session)
    static, dynamic = actions.words(session)
    hint = f"Each sequence keeps its {dynamic} and gets the {static} of the other."
    if labels := session.attributes:
        hint += f" {', '.join(labels)}: only the components of the {static} that tell most about that label."
    gr.HTML(texts.hint(hint))
    factor = gr.Dropdown(names, value=names[0], label="what is exchanged", visible=len(names) > 1)
    button = gr.Button("Swap", variant="primary", elem_id=desk.name("swap"), elem_classes="act")
    with gr.Row(elem_classes="results"):
        cells = [
            make_cell(session, caption, desk.name(f"swap{number}"))
            for number, caption in enumerate(
                (f"{static} of A, {dynamic} of B", f"{static} of B, {dynamic} of A")
            )
        ]
    download = _download(desk, "swap-download")

    def swap(a: str, b: str, own: Own, name: str) -> list[Any]:
        return packed(session, "swap", cells, actions.swap(session, *desk.clips(a, b, own), name))

    inputs, outputs = [*desk.both, factor], [*outputs_of(cells), download]
    desk.on_click(button, swap, inputs, outputs)
    desk.at_start(swap, inputs, outputs)


def _interpolate(desk: Desk, tab: gr.Tab) -> None:
    session = desk.session
    static, dynamic = actions.words(session)
    gr.HTML(texts.hint(f"The {dynamic} of A, while its {static} turns into that of B."))
    share = gr.Slider(
        0, 1, 0.5, step=0.05, label=f"{static}: from A (0) to B (1)", elem_id=desk.name("share")
    )
    with gr.Row(elem_classes=["results", "single"]):
        cells = [make_cell(session, "", desk.name("between"))]
    download = _download(desk, "between-download")

    def interpolate(a: str, b: str, own: Own, value: float) -> list[Any]:
        shown = actions.interpolate(session, *desk.clips(a, b, own), value)
        return packed(session, "interpolation", cells, [shown])

    desk.live(tab, [share.change], interpolate, [*desk.both, share], [*outputs_of(cells), download])


def _factors(desk: Desk, tab: gr.Tab) -> None:
    session = desk.session
    gr.HTML(
        texts.hint(
            "A, with its codes moved along one direction in which the data differ. 0 is A as the model rebuilds it; a step "
            "of 1 is one standard deviation of the data."
        )
    )
    name = gr.Dropdown([], label="direction", elem_id=desk.name("direction"))
    amount = gr.Slider(-3, 3, 0, step=0.25, label="standard deviations", elem_id=desk.name("amount"))
    with gr.Row(elem_classes=["results", "single"]):
        cells = [make_cell(session, "", desk.name("moved"))]
    outputs = [*outputs_of(cells), _download(desk, "moved-download")]

    def fill(current: str | None) -> Any:
        names = list(session.directions)
        return gr.update(choices=names, value=current or next(iter(names), None))

    def traverse(a: str, own: Own, direction: str | None, value: float) -> list[Any]:
        if not direction:  # the list is not filled yet
            return [None] * len(outputs)
        shown = actions.traverse(session, desk.clip(a, own), direction, value)
        return packed(session, "factors", cells, [shown])

    tab.select(with_messages(fill), name, name, **COMPUTING)
    desk.live(tab, [name.change, amount.change], traverse, [*desk.a, name, amount], outputs)


def _draw(desk: Desk, tab: gr.Tab) -> None:
    session = desk.session
    possible = actions.draws(session)
    static, dynamic = actions.words(session)
    hint = "The method has no encoder, so both codes are drawn."
    if session.model.can("encode"):
        hint = f"What is not drawn is that of A: new {static} with its {dynamic}, or new {dynamic} with its {static}."
    gr.HTML(texts.hint(f"Codes drawn at random from what the model learned. {hint}"))
    with gr.Row():
        what = gr.Radio(
            list(possible), value=next(iter(possible)), label="draw new", elem_id=desk.name("what"), scale=3
        )
        seed = gr.Number(
            0, label="seed", precision=0, minimum=0, maximum=2**31, elem_id=desk.name("seed"), min_width=90
        )
    button = gr.Button("Draw", variant="primary", elem_id=desk.name("draw"), elem_classes="act")
    with gr.Row(elem_classes=["results", "four"]):
        cells = [
            make_cell(session, f"draw {number + 1}", desk.name(f"draw{number}"))
            for number in range(actions.DRAWS)
        ]
    download = _download(desk, "draw-download")

    def draw(a: str, own: Own, parts: str, value: float | None) -> list[Any]:
        shown = actions.draw(session, desk.clip(a, own), possible[parts], int(value or 0))
        return packed(session, "draws", cells, shown)

    inputs, outputs = [*desk.a, what, seed], [*outputs_of(cells), download]
    desk.live(tab, [button.click, what.change, seed.submit], draw, inputs, outputs)
    if not actions.factors(session):  # then this is the first tab
        desk.at_start(draw, inputs, outputs)


def _map(desk: Desk, tab: gr.Tab) -> None:
    session = desk.session
    gr.HTML(
        texts.hint(
            f"t-SNE of the codes of {len(session.titles)} sequences: what is similar lies close together. Tap a point to see "
            "its sequence. Where a code holds a label, its colours form clumps; where it does not, they mix."
        )
    )
    names = list(session.labels)
    colour = gr.Dropdown(
        names,
        value=next(iter(names), None),
        label="colour",
        visible=bool(names),
        elem_id=desk.name("colour"),
    )
    maps: dict[str, gr.Image] = {}
    with gr.Row(elem_classes="results"):
        for code in ("static", "dynamic"):
            with gr.Column(min_width=280):
                gr.HTML(f'<h3 class="{code}">{code} code</h3>')
                maps[code] = make_picture(desk.name(f"map-{code}"), "map", "png", f"t-SNE of the {code} code")
    with (
        gr.Row(elem_classes=["results", "single"], visible=False) as below,
        gr.Column(min_width=140, elem_classes="card"),
    ):
        cells = [make_cell(session, "", desk.name("point"))]
        title = gr.HTML("", elem_id=desk.name("point-title"))
        with gr.Row(elem_classes="buttons"):
            buttons = [gr.Button(f"Use as {each.letter}", size="sm", min_width=60) for each in desk.choosers]
    point = gr.State(None)
    drawn = list(maps.values())

    def draw(label: str | None, marked: int | None) -> list[str]:
        return [str(draw_map(session, code, label, marked)) for code in maps]

    def clicked(code: str) -> Callable[[gr.SelectData], list[Any]]:
        def event(at: gr.SelectData) -> list[Any]:
            number = clicked_point(session, code, *at.index)
            shown = actions.present(session, session.clip(number))
            return [number, *values_of(cells, [shown]), texts.caption(shown.title), gr.update(visible=True)]

        return event

    for trigger in (tab.select, colour.change):
        trigger(with_messages(draw), [colour, point], drawn, **COMPUTING)
    for code, image in maps.items():
        chosen = image.select(clicked(code), None, [point, *outputs_of(cells), title, below], **COMPUTING)
        chosen.then(with_messages(draw), [colour, point], drawn, **COMPUTING)
    for chooser, button in zip(desk.choosers, buttons, strict=True):
        button.click(lambda row: f"data:{row}", point, chooser.list, **QUIET)


def _scores(desk: Desk, tab: gr.Tab) -> None:
    place = gr.HTML("", elem_id=desk.name("scores"), elem_classes="report")
    written = functools.cache(lambda: texts.scores(desk.session))  # its pictures take a second
    tab.select(with_messages(lambda: written()), None, place, **COMPUTING)


def _about(desk: Desk, tab: gr.Tab) -> None:
    gr.HTML(texts.about(desk.session), elem_classes="report")
