"""LaTeX in a fence `math` becomes a picture of paths (SVG), so that pages need no script and no font."""

import html
from typing import Any

import ziamath

__all__ = ["block"]

ziamath.config.svg2 = (
    False  # paths in place; shared symbols would have the same names in all pictures of a page
)


def block(source: str, *arguments: Any, **options: Any) -> str:
    """The equation of a fence, for `pymdownx.superfences`.

    Args:
        source: LaTeX of one display equation.
        *arguments: language, class, options and Markdown object, which superfences passes; not used.
        **options: further ones; not used.
    """
    svg = ziamath.Latex(source, size=19, color="currentColor").svg()
    text = html.escape(" ".join(source.split()), quote=True)
    return f'<div class="equation" role="img" aria-label="{text}">{svg}</div>'
