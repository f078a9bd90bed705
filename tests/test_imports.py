"""Imports point one way, file by file, and heavy libraries stay where they belong; read from the syntax trees."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "unbraid"

# Floors of the house, lowest first, by the start of a module's name. A file imports from its own floor and from lower
# ones; no two files import each other, however long the way round.
FLOORS = [
    [
        "types",
        "kinds",
        "masks",
        "cards",
        "registry",
        "words",
        "remarks",
        "files",
        "streams",
        "progress",
        "parameters",
        "values",
        "processes",
        "machine",
    ],
    ["nn"],
    ["objectives"],
    ["models"],
    ["data.labels", "data.splits", "data.features", "data.scaling", "data.mapped", "data.checks"],
    ["data.sequences"],
    ["data.disk", "data.store", "data.download"],
    ["data.formats"],
    ["data.own", "data.sets"],
    ["data.load", "data", "augment"],
    ["generation", "components", "io", "sounds", "pretrained"],
    ["training"],
    ["evaluation"],
    ["plots"],
    ["report", "recipes"],
    ["workflow"],
    ["sources"],
    ["benchmark", "search", "inputs", "corpus", "estimator", "testing", "exporting"],
    ["pretrained.saving", "pretrained.card"],
    ["cli", "page", "__main__"],
]
# Data sets and views stand beside the models, not on them.
APART = {"data": ("nn", "objectives", "models"), "augment": ("nn", "objectives", "models")}
ONLY_IN = {
    "optuna": ("search",),
    "lightning": ("training",),
    "pytorch_lightning": ("training",),
    "matplotlib": ("plots",),
    "gradio": ("page",),
    "huggingface_hub": ("pretrained",),
    "onnxruntime": ("exporting",),
    "onnxscript": ("exporting", "nn.traced"),
    "ray": ("corpus.on_ray",),
}
FOR_MODELS = {"torch", "jaxtyping", "unbraid"}


def within(module: str, start: str) -> bool:
    """Whether a module's name is `start` or lies below it."""
    return module == start or module.startswith(f"{start}.")


def floor_of(module: str) -> int:
    """The floor with the longest matching start."""
    matches = [(len(s), i) for i, starts in enumerate(FLOORS) for s in starts if within(module, s)]
    assert matches, f"{module} has no floor; give it one in FLOORS"
    return max(matches)[1]


def modules() -> dict[str, Path]:
    """Every source file by its module's name without the package's."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


def imported(path: Path) -> list[tuple[int, str, str]]:
    """Line, module and name of everything that a file imports: inside functions and for annotations as well."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            found += [(node.lineno, str(node.module), alias.name) for alias in node.names]
    return found


def own_imports(path: Path, known: dict[str, Path]) -> list[tuple[int, str]]:
    """Line and module of what a file imports from unbraid."""
    found = []
    for line, module, name in imported(path):
        if module == "unbraid" and name in known:
            found.append((line, name))
        elif within(module, "unbraid") and module != "unbraid":
            inner = module.removeprefix("unbraid.")
            found.append((line, f"{inner}.{name}" if f"{inner}.{name}" in known else inner))
    return found


def wrong_arrows(module: str, path: Path, known: dict[str, Path]) -> list[str]:
    """What a file imports from a higher floor, from what it stands beside, or of a library kept elsewhere."""
    wrong = []
    for line, target in own_imports(path, known):
        apart = next((starts for start, starts in APART.items() if within(module, start)), ())
        if floor_of(target) > floor_of(module) or any(within(target, start) for start in apart):
            wrong.append(f"{path}:{line} imports {target}")
    for line, name, _ in imported(path):
        top = name.partition(".")[0]
        if top in ONLY_IN and not any(within(module, start) for start in ONLY_IN[top]):
            wrong.append(f"{path}:{line} imports {name}; only {', '.join(ONLY_IN[top])} may")
        if within(module, "models") and top not in FOR_MODELS and top not in sys.stdlib_module_names:
            wrong.append(f"{path}:{line} imports {name}; models import torch only")
    return wrong


KNOWN = {module: path for module, path in modules().items() if module != "__init__"}


@pytest.mark.parametrize("module", KNOWN)
def test_imports_point_one_way(module):
    assert wrong_arrows(module, KNOWN[module], KNOWN) == []


def test_no_two_files_import_each_other():
    graph = {module: {target for _, target in own_imports(path, KNOWN)} for module, path in KNOWN.items()}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError and names the circle


def test_the_face_of_the_package_imports_nothing():
    assert [name for _, name, _ in imported(SOURCE / "__init__.py") if within(name, "unbraid")] == []


def test_wrong_arrows_and_circles_are_found(tmp_path):
    up = tmp_path / "up.py"
    up.write_text("import numpy\nimport torch\ndef f():\n    from unbraid.training import fit\n")
    assert len(wrong_arrows("models.up", up, KNOWN)) == 2
    up.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from unbraid.models.base import X\n"
    )
    assert len(wrong_arrows("data.up", up, KNOWN)) == 1
    up.write_text("from unbraid.data import sequences\n")
    assert own_imports(up, KNOWN) == [(1, "data.sequences")]
    with pytest.raises(graphlib.CycleError):
        list(graphlib.TopologicalSorter({"a": {"b"}, "b": {"c"}, "c": {"a"}}).static_order())


@pytest.mark.parametrize("statement", ["import unbraid", "import unbraid.cli", "import unbraid.registry"])
def test_light_imports_load_nothing_heavy(statement):
    assert_light(f"{statement}")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["no-such-command"]])
def test_the_command_itself_loads_nothing_heavy(arguments):
    assert_light(f"import unbraid.cli; unbraid.cli.main({arguments})")


def assert_light(code: str) -> None:
    heavy = ["torch", "numpy", "lightning", "yaml", "scipy", "sklearn", "matplotlib", "rich"]
    check = f"{code}\nimport sys\nsys.exit(str([name for name in {heavy} if name in sys.modules] or '') or 0)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
