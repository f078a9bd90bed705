"""The README and the documents: short, generated where they say so, and right about commands, names and files."""

import ast
import re
import shlex
from pathlib import Path

import pytest

import unbraid
from unbraid.benchmark.current import current_trainings
from unbraid.benchmark.ledger import read_ledger
from unbraid.benchmark.pages import ELSEWHERE, data_page, readme_block, with_block
from unbraid.cli import COMMANDS
from unbraid.recipes import list_recipes

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def trained():
    return read_ledger(ROOT / "results" / "ledger.csv")


def test_the_results_are_the_generated_ones(trained):
    text = (ROOT / "README.md").read_text()
    assert text == with_block(text, readme_block(trained)), "run `make results`"
    for data in {run.data for run in trained}:
        page = (ROOT / "results" / f"{data}.md").read_text()
        assert page == data_page(data, current_trainings(trained, data)), "run `make results`"


def test_results_are_of_today_s_recipes_and_tables(trained):
    page = (ROOT / "results" / "puppets.md").read_text()
    assert "| **puppets/dbse** `model.subtract=False` |" in page
    assert "| **puppets/dbse** |" in readme_block(trained) and "model.subtract" not in readme_block(trained)
    older = [
        run for run in trained if run.data == "moving_digits" and run.config["training"]["max_epochs"] == 6
    ]
    assert older and "max_epochs" not in (ROOT / "results" / "moving_digits.md").read_text()


def test_the_readme_is_short(trained):
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120
    first_screen = "\n".join(lines[:32])
    for part in ("stays and what changes", "docs/pictures/", "make demo", "make test", "## Your own data"):
        assert part in first_screen
    headings = [line for line in readme_block(trained).splitlines() if line.startswith("| [")]
    assert len(headings) == len({run.data for run in trained} - set(ELSEWHERE))
    assert all(len(heading.split("|")) - 2 <= 6 for heading in headings)


def test_commands_exist():
    lines = [
        line.partition("#")[0] for block in blocks(ROOT / "README.md", "bash") for line in block.splitlines()
    ]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    seen = 0
    for words in (shlex.split(line) for line in lines if line.strip()):
        seen += 1
        if words[0] == "make":
            assert words[1] in targets
        else:
            assert words[0] == "unbraid" and words[1] in COMMANDS
            if words[1] == "train" and not words[2].startswith("-"):
                assert words[2] in list_recipes()
    assert seen >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_text_exist(page):
    for word in re.findall(r"`unbraid ([a-z]+)", page.read_text()):
        assert word in COMMANDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_is_right_and_uses_public_names(page):
    for block in blocks(page, "python"):
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ub":
                assert node.attr in unbraid.__all__ and getattr(unbraid, node.attr) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if not link.startswith("http") and not link.startswith("docs/pictures/"):
            assert (page.parent / link).exists(), link
