"""Imports point one way, and heavy libraries stay where they belong; read from the syntax trees."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "unbraid"

# Floors of the house, lowest first. A module may import from its own floor and from those below.
FLOORS = [
    {"types", "registry"},
    {"nn"},
    {"objectives"},
    {"models"},
    {"data", "augment"},
    {"generation", "io", "sounds"},
    {"training"},
    {"evaluation"},
    {"settings"},
    {"benchmark", "plots", "testing"},
    {"report"},
    {"estimator", "cli", "page", "__main__"},
]
# `data` and `augment` stand beside the models, not on them.
APART = {"data": {"models", "nn", "objectives"}, "augment": {"models", "nn", "objectives"}}
ONLY_IN = {
    "lightning": {"training"},
    "pytorch_lightning": {"training"},
    "matplotlib": {"plots"},
    "gradio": {"page"},
}
FOR_MODELS = {"torch", "jaxtyping", "unbraid"}


def part_of(path: Path) -> str:
    """The floor's member that a source file belongs to: its folder, or its own name; report_series is report."""
    relative = path.relative_to(SOURCE)
    return relative.parts[0] if len(relative.parts) > 1 else _without_kind(relative.stem)


def _without_kind(name: str) -> str:
    return re.sub("^(report)_.*", r"\1", name)


def imported(path: Path) -> list[tuple[int, str]]:
    """Line and name of everything that a file imports, also inside functions, but not for types only."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            node.body = []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            if node.module == "unbraid":
                found += [(node.lineno, f"unbraid.{alias.name}") for alias in node.names]
            else:
                found.append((node.lineno, node.module))
    return found


def wrong_arrows(path: Path) -> list[str]:
    part = part_of(path)
    if part == "__init__":  # names of the public interface, loaded by name when used
        return [
            f"{path}:{line} imports {name}" for line, name in imported(path) if name.startswith("unbraid.")
        ]
    floor = next((i for i, members in enumerate(FLOORS) if part in members), None)
    assert floor is not None, f"{path}: {part} has no floor; give it one in FLOORS"
    below = set().union(*FLOORS[: floor + 1]) - APART.get(part, set())
    wrong = []
    for line, name in imported(path):
        top, _, rest = name.partition(".")
        target = _without_kind(rest.partition(".")[0])
        if top == "unbraid" and target and target != "__version__" and target not in below:
            wrong.append(f"{path.name}:{line} ({part}) imports {name}")
        if part not in ONLY_IN.get(top, {part}):
            wrong.append(f"{path.name}:{line} ({part}) imports {name}; only {', '.join(ONLY_IN[top])} may")
        if part == "models" and top not in FOR_MODELS and top not in sys.stdlib_module_names:
            wrong.append(f"{path.name}:{line} (models) imports {name}")
    return wrong


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SOURCE)) for path in FILES])
def test_imports_point_one_way(path):
    assert wrong_arrows(path) == []


def test_an_arrow_back_up_is_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "SOURCE", tmp_path)
    (tmp_path / "models").mkdir()
    bad = tmp_path / "models" / "bad.py"
    bad.write_text("import numpy\nimport torch\ndef f():\n    from unbraid.training import fit\n")
    assert len(wrong_arrows(bad)) == 2
    (tmp_path / "data").mkdir()
    bad = tmp_path / "data" / "bad.py"
    bad.write_text("from unbraid.models.base import SequenceModel\nfrom unbraid.types import Batch\n")
    assert len(wrong_arrows(bad)) == 1


@pytest.mark.parametrize("statement", ["import unbraid", "import unbraid.cli", "import unbraid.registry"])
def test_light_imports_load_nothing_heavy(statement):
    assert_light(f"{statement}")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["no-such-command"]])
def test_the_command_itself_loads_nothing_heavy(arguments):
    assert_light(f"import unbraid.cli; unbraid.cli.main({arguments})")


def assert_light(code: str) -> None:
    heavy = ["torch", "numpy", "lightning", "jsonargparse", "yaml", "scipy", "sklearn", "matplotlib", "rich"]
    check = f"{code}\nimport sys\nsys.exit(str([name for name in {heavy} if name in sys.modules] or '') or 0)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
