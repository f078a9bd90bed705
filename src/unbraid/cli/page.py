"""`unbraid page [RUN ...]`: try trained models in the browser."""

from importlib.util import find_spec
from pathlib import Path

from unbraid.cli.parser import call

__all__ = ["main", "page"]

PACKAGED = Path("puppets/dbse")


def main(arguments: list[str]) -> int:
    """Run the command."""
    return call(page, "page", arguments)


def page(runs: list[Path], port: int | None = None, open: bool = False) -> int:
    """Try trained models in the browser: swap, interpolate, draw and look at their codes, with your own files too.

    The page is served to this machine only and asks nothing of the internet. Stop it with Ctrl-C.

    Args:
        runs: folders of runs, or names of pretrained models; puppets/dbse, which comes with the package, when there is none.
        port: of the page; by default the first free one from 7860.
        open: open the page in the browser.
    """
    import threading

    from unbraid.data.formats.extras import missing_extra

    if find_spec("gradio") is None:
        raise missing_extra("the page", "page")
    from unbraid.page.app import served
    from unbraid.page.uploads import warm_up

    with served(runs or [PACKAGED], port, open) as address:
        print(f"The page is at {address} (Ctrl-C stops it)", flush=True)
        threading.Thread(target=warm_up, daemon=True).start()
        threading.Event().wait()
    return 0
