"""`docs/methods/<name>.md`: a page for each method, made from its card, docstrings, recipes and recorded trainings.

Equations in LaTeX and the meaning of the logged numbers come from `docs/methods/texts/<name>.md`: parts between lines `---`, the
last of which is the table. Each other part takes the place of one indented block of the module's docstring, in order.
"""

import inspect
import re
from pathlib import Path
from typing import Any

from unbraid.benchmark.current import current_trainings, main_recipes
from unbraid.benchmark.published import published_by_method
from unbraid.benchmark.result_rows import data_sets, of_methods, result_rows, with_scores
from unbraid.benchmark.runs import Trained
from unbraid.benchmark.score_columns import shared_columns
from unbraid.benchmark.text_tables import markdown
from unbraid.cards import CAPABILITIES, ModelCard
from unbraid.models.base import SequenceModel
from unbraid.recipes import list_recipes, read_recipe
from unbraid.registry import list_models, model_class

__all__ = ["bibtex", "method_page", "method_text", "write_method_pages"]

MEANINGS = {
    "encode": "gives the codes of a sequence",
    "decode": "turns codes into sequences",
    "static_prior": "draws new static codes",
    "dynamic_prior": "draws new dynamic codes",
    "likelihood": "has an evidence lower bound",
    "decoded_static": "decodes its static code (otherwise it is computed from the dynamic one)",
    "export": "can be written as ONNX or torch.export files",
    "adversary": "trains parts against each other",
}


RESULTS = (
    "Mean ± standard deviation over independently trained seeds, from the ledger, beside the floors and the published scores. "
    "The pages of the data sets have all columns; [protocols](../protocols.md) says what they mean."
)


def write_method_pages(root: str | Path, trained: list[Trained]) -> list[Path]:
    """Write a page for every registered method, and the index of all.

    Args:
        root: the repository's folder.
        trained: the trainings of the ledger.

    Returns:
        The files written.
    """
    folder = Path(root) / "docs" / "methods"
    folder.mkdir(parents=True, exist_ok=True)
    pages = {name: method_page(name, trained, method_text(root, name)) for name in list_models()}
    pages["index"] = _index()
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    return [folder / f"{name}.md" for name in pages]


def method_text(root: str | Path, name: str) -> list[str]:
    """The parts of `docs/methods/texts/<name>.md`: equations, and last the table of logged numbers; empty without a file."""
    path = Path(root) / "docs" / "methods" / "texts" / f"{name}.md"
    return path.read_text(encoding="utf-8").strip().split("\n\n---\n\n") if path.is_file() else []


def method_page(name: str, trained: list[Trained], text: list[str]) -> str:
    """The page of a registered method in Markdown.

    Args:
        name: of the method.
        trained: the trainings of the ledger.
        text: see `method_text`.
    """
    cls = model_class(name)
    card: ModelCard = cls.card
    heading, _, body = (inspect.getdoc(inspect.getmodule(cls)) or "").partition("\n")
    title, _, subtitle = re.sub("[:,] ", "\n", heading, count=1).partition("\n")
    use, _, explanation = body.strip().partition("\n\n")
    recipes = [recipe for recipe in list_recipes() if read_recipe(recipe).model["name"] == name]
    parts = [
        f"# {title}",
        "<!-- Made by `make results` from the method's file; do not edit. -->",
        f"**{_sentence(subtitle)}** Registered as `{name}`.",
        "## When to use it",
        _sentence(use.removeprefix("When to use it: ")),
        "## How it works",
        _with_equations(explanation, text[:-1]),
        "## Symbols",
        _table(["symbol", "in the code", "meaning"], [[f"`{s}`", _code(c), m] for s, c, m in card.symbols]),
        *_logged(text[-1:]),
        "## Results",
        _results(name, trained),
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


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def _with_equations(explanation: str, equations: list[str]) -> str:
    """The docstring's text, where each equation stands in place of an indented block."""
    waiting = iter(equations)
    return re.sub(r"(?m)^    .*(?:\n+    .*)*", lambda block: next(waiting, block[0]), explanation)


def _code(name: str) -> str:
    return f"`{name}`" if name else ""


def _logged(table: list[str]) -> list[str]:
    if not table:
        return []
    about = "These columns of a run's `metrics.csv` are the method's own; [the others](../training-log.md) are the same for all."
    return ["## What is logged", about, *table]


def _results(name: str, trained: list[Trained]) -> str:
    """A table for each data set on which a main recipe of the method has recorded trainings."""
    tables = []
    for data in data_sets(trained):
        groups = {
            title: runs
            for title, runs in main_recipes(current_trainings(trained, data)).items()
            if runs[0].config["model"]["name"] == name
        }
        columns = with_scores(groups, (column for column in shared_columns().values() if column.readme))
        if groups:
            corner = f"[{data}](../../results/{data}.md)"
            rows = result_rows(corner, groups, columns, of_methods(published_by_method(data), [name]))
            tables.append(markdown(rows))
    return "\n\n".join([RESULTS, *tables]) if tables else "No training is recorded yet."


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
