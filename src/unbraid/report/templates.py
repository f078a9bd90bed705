"""The templates of reports; what they write is escaped."""

from collections.abc import Iterable

import jinja2

from unbraid.report.blocks import Block

__all__ = ["template", "write_blocks"]


def template(name: str) -> jinja2.Template:
    """The template `<name>.html.j2`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unbraid.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(f"{name}.html.j2")


def write_blocks(blocks: Iterable[Block]) -> str:
    """Blocks as HTML, to stand inside another page."""
    show = template("blocks").module.show  # type: ignore[attr-defined]
    return "".join(str(show(block)) for block in blocks)
