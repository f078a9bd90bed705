"""Rows of text as a Markdown table and as a LaTeX one. The first row is the heading."""

import re

__all__ = ["latex", "markdown"]

Rows = list[list[str]]

_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "−": r"$-$",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
}


def markdown(rows: Rows) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def latex(rows: Rows) -> str:
    """A table in LaTeX, with the rules of the package booktabs; bold in Markdown stays bold."""
    lines = [" & ".join(_escaped(cell) for cell in row) + r" \\" for row in rows]
    columns = "l" + "r" * (len(rows[0]) - 1)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _escaped(cell: str) -> str:
    text = "".join(_LATEX.get(character, character) for character in cell)
    text = re.sub(r"\*\*(.+?)\*\*", r"\\textbf{\1}", text)
    return re.sub(r"`(.+?)`", r"\\texttt{\1}", text)
