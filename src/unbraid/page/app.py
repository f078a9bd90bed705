"""The page: its runs below one another in tabs, served on loopback."""

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import gradio as gr

from unbraid.page import texts
from unbraid.page.cells import QUIET
from unbraid.page.choosing import Desk
from unbraid.page.session import Session, open_session
from unbraid.page.style import CSS, HEAD, page_theme
from unbraid.page.tabs import tabs_of
from unbraid.page.uploads import LARGEST

__all__ = ["build", "served"]

LOOPBACK = "127.0.0.1"
VISITORS = 20  # whose uploads are kept
WAITING = 40  # events, beyond which a click is refused


def build(sessions: Sequence[Session]) -> gr.Blocks:
    """The page of some runs, a tab for each where there are several."""
    with gr.Blocks(title="unbraid", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.HTML(texts.HEADER)
        if len(sessions) == 1:
            desks = [_run(sessions[0], "run0-")]
        else:
            desks = []
            with gr.Tabs(elem_classes="runs"):
                for number, session in enumerate(sessions):
                    with gr.Tab(f"{session.run.folder.name}: {session.title}"):
                        desks.append(_run(session, f"run{number}-"))
        for desk in desks:
            desk.load(page)
    return page


def _run(session: Session, prefix: str) -> Desk:
    """The page of one run."""
    with gr.Column(elem_classes=["run", f"of-{session.kind}"]):
        gr.HTML(texts.introduction(session))
        desk = Desk(session, prefix)
        with gr.Tabs():
            for title, build_tab in tabs_of(session).items():
                with gr.Tab(title, id=title) as tab:
                    build_tab(desk, tab)
                tab.select(lambda name=title: name, None, desk.opened, **QUIET)
    return desk


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
        FileNotFoundError: there is no such run.
        ValueError: the port is in use, or see `open_session`.
    """
    if port is not None:
        _check_free(port)
    with tempfile.TemporaryDirectory(prefix="unbraid-page-") as name, _temporary_files_in(Path(name)):
        sessions = [open_session(run, Path(name) / f"run{number}") for number, run in enumerate(runs)]
        page = build(sessions).queue(max_size=WAITING)
        _, address, _ = page.launch(
            server_name=LOOPBACK,
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


def _check_free(port: int) -> None:
    """Refuse, before any work, a port that cannot be used.

    Raises:
        ValueError: another program uses it, or it is no port.
    """
    try:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"port: {port} cannot be used ({error}); give another one, or leave it out"
        ) from None
