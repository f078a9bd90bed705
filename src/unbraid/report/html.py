"""Pieces of a report's HTML: text, tables, pictures, the frame of the page."""

import base64
import html
import io
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["PAGE", "STYLE", "embedded", "image", "mean_and_std", "number", "png", "table", "text"]


def png(figure: Any) -> bytes:
    """A figure of matplotlib as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def embedded(data: bytes, kind: str, description: str) -> str:
    """A picture of a kind ("png", "gif") inside the page."""
    code = base64.b64encode(data).decode("ascii")
    return f'<img alt="{text(description)}" src="data:image/{kind};base64,{code}">'


def table(head: list[str], rows: list[list[Any]]) -> str:
    """A table; cells are escaped."""
    top = "<tr>" + "".join(f"<th>{text(cell)}</th>" for cell in head) + "</tr>\n" if head else ""
    body = "\n".join("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class='wide'><table>\n{top}{body}\n</table></div>"


def text(value: Any) -> str:
    """Text that HTML does not read as its own; values that are no text as JSON."""
    return html.escape(value if isinstance(value, str) else json.dumps(value, default=str))


def image(figure: Any, description: str, caption: str) -> str:
    """A figure of matplotlib with a caption below it."""
    return f"<figure>{embedded(png(figure), 'png', description)}<figcaption>{caption}</figcaption></figure>"


def mean_and_std(figure: Mapping[str, float], share: bool) -> str:
    """A figure of the scores, with its spread where it has one; a share is shown in percent."""
    spread = f" ± {number(figure['std'], share)}" if figure.get("std") else ""
    return number(figure["mean"], share) + spread


def number(value: float, share: bool) -> str:
    """A number; a share in percent."""
    return f"{value:.1%}" if share else f"{value:.4g}"


STYLE = """
:root { color-scheme: light dark; --ink: #22262b; --quiet: #6b7280; --line: #e3e6ea; --paper: #fff; --box: #f6f7f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --quiet: #9aa3ad; --line: #333a42; --paper: #16191d; --box: #1f242a; } }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.9rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 2.8rem 0 .8rem; }
h3 { font-size: 1rem; margin: 1.8rem 0 .5rem; }
.lead { font-size: 1.15rem; max-width: 46rem; margin: .5rem 0; } .facts, figcaption { color: var(--quiet); }
figure { margin: 0; } figure img { display: block; max-width: 100%; height: auto; margin: 0 0 .8rem;
  background: #fff; border-radius: 6px; } figcaption { max-width: 46rem; font-size: .93rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; margin: .6rem 0 1rem; }
th { font-weight: 600; color: var(--quiet); } th, td { text-align: left; padding: .32rem 1.1rem .32rem 0;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; vertical-align: top; }
pre { background: var(--box); padding: .9rem 1.1rem; border-radius: 6px; overflow-x: auto; }
.warning { color: #b4482d; }
.players { display: grid; grid-template-columns: repeat(3, 1fr); gap: .5rem 1rem; margin: 0 0 2.2rem; }
.players audio { display: block; width: 100%; height: 2.2rem; } .players span { color: var(--quiet); font-size: .85rem; }
"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
