"""`docs/methods/<name>.md`: a page for each method, made from its card, its docstrings and the recipes."""

import inspect
import re
from pathlib import Path
from typing import Any

from unbraid.cards import CAPABILITIES, ModelCard
from unbraid.models.base import SequenceModel
from unbraid.recipes import list_recipes, read_recipe
from unbraid.registry import list_models, model_class

__all__ = ["bibtex", "method_page", "write_method_pages"]

MEANINGS = {
    "encode": "gives the codes of a sequence",
    "decode": "turns codes into sequences",
    "static_prior": "draws new static codes",
    "dynamic_prior": "draws new dynamic codes",
    "likelihood": "has an evidence lower bound",
    "decoded_static": "decodes its static code (otherwise it is computed from the dynamic one)",
    "adversary": "trains parts against each other",
}


def write_method_pages(root: str | Path) -> list[Path]:
    """Write a page for every registered method, and the index of all.

    Args:
        root: the repository's folder.

    Returns:
        The files written.
    """
    folder = Path(root) / "docs" / "methods"
    folder.mkdir(parents=True, exist_ok=True)
    pages = {name: method_page(name) for name in list_models()} | {"index": _index()}
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    return [folder / f"{name}.md" for name in pages]


def method_page(name: str) -> str:
    """The page of a registered method in Markdown."""
    cls = model_class(name)
    card: ModelCard = cls.card
    title, _, body = (inspect.getdoc(inspect.getmodule(cls)) or "").partition("\n")
    recipes = [recipe for recipe in list_recipes() if read_recipe(recipe).model["name"] == name]
    parts = [
        f"# {title.removesuffix('.')}",
        "<!-- Made by `make results` from the method's file; do not edit. -->",
        body.strip(),
        "## Symbols",
        _table(["symbol", "in the code", "meaning"], [[f"`{s}`", f"`{c}`", m] for s, c, m in card.symbols]),
        "## What it can do",
        _table(
            ["capability", "", "meaning"],
            [[f"`{c}`", "yes" if c in card.capabilities else "no", MEANINGS[c]] for c in CAPABILITIES],
        ),
        f"Kinds of observation: {', '.join(card.kinds)}.",
        "## Settings",
        _settings(cls),
        "## Differs from the paper and its code",
        "\n".join(f"- {deviation}" for deviation in card.deviations) or "Nowhere that we know of.",
        "## Recipes",
        "\n".join(f"- `unbraid train {recipe}`: {_first_sentence(recipe)}" for recipe in recipes)
        or "None yet; start from the defaults: `unbraid train --data PATH`.",
        "## Citation",
        f"```bibtex\n{bibtex(card)}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _index() -> str:
    rows = [
        [f"[{name}]({name}.md)", model_class(name).card.year, model_class(name).card.summary]
        for name in list_models()
    ]
    return f"# Methods\n\n<!-- Made by `make results`; do not edit. -->\n\n{_table(['method', 'year', ''], rows)}\n"


def _settings(cls: type[SequenceModel]) -> str:
    """The constructor's settings with their defaults and descriptions."""
    described = _described_arguments(inspect.getdoc(cls) or "")
    parameters = inspect.signature(cls.__init__).parameters
    rows = [
        [f"`{name}`", f"`{parameters[name].default!r}`", described.get(name, "")]
        for name in cls.setting_names()
    ]
    return _table(["setting", "default", ""], rows)


def _described_arguments(docstring: str) -> dict[str, str]:
    """Name to description, from the `Args:` of a docstring."""
    section = re.search(r"^Args:\n((?:    .*\n?|\n)+)", docstring, re.MULTILINE)
    if section is None:
        return {}
    entries = re.split(r"^    (?=\w+: )", section[1], flags=re.MULTILINE)
    pairs = (entry.partition(": ") for entry in entries if ": " in entry)
    return {name: " ".join(text.split()) for name, _, text in pairs}


def _first_sentence(recipe: str) -> str:
    about = " ".join(read_recipe(recipe).about.split())
    return re.split(r"(?<=[a-z0-9)])\.\s", f"{about} ")[0].rstrip(". ") + "."


def _table(head: list[str], rows: list[list[Any]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def bibtex(card: ModelCard) -> str:
    """The BibTeX entry of a method's paper."""
    key = f"{re.split('[ ,]', card.authors)[0].lower()}{card.year}{card.name}"
    authors = " and ".join(part.strip() for part in card.authors.split(","))
    fields = {
        "title": card.title,
        "author": authors,
        "year": card.year,
        "booktitle": card.venue,
        "url": card.url,
    }
    lines = "\n".join(f"  {field} = {{{value}}}," for field, value in fields.items())
    return f"@inproceedings{{{key},\n{lines}\n}}"
