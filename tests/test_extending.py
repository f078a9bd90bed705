"""A toy model, data set and protocol, added as docs/extending.md says: its files and nothing else."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
RECIPE = """# A toy recipe. For this test only.
data: {name: toy_data}
model: {name: toy_model, static_size: 3, dynamic_size: 2, features: 8, width: 8, hidden: 8}
training: {max_epochs: 1, batch_size: 8, weights: {kl_static: 0.1}}
"""
PROTOCOL = '''
from unbraid.evaluation.protocol import Protocol
from unbraid.evaluation.scores import Figure
from unbraid.generation import encode


def evaluate_toy(model, data, *, split: str = "test"):
    """How long the static codes are."""
    length = float(encode(model, data.split(split)).static.norm(dim=1).mean())
    figure = {"mean": length, "std": 0.0, "floor": 0.0}
    assert Figure.from_json(figure).mean == length
    return {"length": figure, "protocol": {"split": split, "data": data.name}}


PROTOCOL = Protocol("toy", "Toy", frozenset({"encode"}), lambda data: "", evaluate_toy)
'''
SECTION = '''
from unbraid.report.blocks import all_figures


def headline(scores):
    return "A toy headline."


def section(scores, folder):
    return all_figures("toy", scores)
'''


def documented_files(heading: str) -> list[str]:
    """The files of a table in docs/extending.md, with the toy's names."""
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `((?:src|tests)/[^`]+)` \|", section, re.MULTILINE)


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture
def house(tmp_path):
    """A copy of the sources, to be extended."""
    folder = tmp_path / "house"
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return folder


def register(house: Path, table: str, line: str) -> None:
    path = house / "src" / "unbraid" / "registry.py"
    path.write_text(path.read_text().replace(f"{table} = {{\n", f"{table} = {{\n    {line},\n"))


def write(house: Path, name: str, text: str) -> None:
    (house / name).parent.mkdir(parents=True, exist_ok=True)
    (house / name).write_text(text)


def recordings(folder: Path) -> Path:
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(24):
        name = f"{('walk', 'run')[number % 2]}_{('ann', 'bob')[number // 12]}_{number}.csv"
        np.savetxt(folder / name, random.normal(size=(20, 3)), delimiter=",")
    return folder


def test_a_model_a_data_set_and_a_protocol_are_three_files_and_a_line_each(house, tmp_path):
    before = files_below(house)
    source = house / "src" / "unbraid"
    model = (source / "models" / "_template.py").read_text().replace('"template"', '"toy_model"')
    write(house, "src/unbraid/models/toy_model.py", model.replace("Template", "ToyModel"))
    write(house, "src/unbraid/recipes/toy_data/toy_model.yaml", RECIPE)
    write(house, "tests/models/test_toy_model.py", "")
    register(house, "MODELS", '"toy_model": "unbraid.models.toy_model:ToyModel"')
    data = (source / "data" / "sets" / "_template.py").read_text().replace('"_template"', '"toy_data"')
    write(house, "src/unbraid/data/sets/toy_data.py", data)
    write(house, "tests/data/sets/test_toy_data.py", "")
    register(house, "DATASETS", '"toy_data": "unbraid.data.sets.toy_data:load"')
    write(house, "src/unbraid/evaluation/toy.py", PROTOCOL)
    write(house, "src/unbraid/report/protocols/toy.py", SECTION)
    write(house, "tests/evaluation/test_toy.py", "")
    register(house, "PROTOCOLS", '"toy": "unbraid.evaluation.toy:PROTOCOL"')

    after = files_below(house)
    touched = {name for name in after if after[name] != before.get(name)}
    names = {"A model": "toy_model", "A data set": "toy_data", "A protocol": "toy"}
    documented = {
        file.replace("<name>", name).replace("<data>", "toy_data").replace("<model>", "toy_model")
        for heading, name in names.items()
        for file in documented_files(heading)
    }
    assert touched == documented

    root, run = recordings(tmp_path / "recordings"), tmp_path / "run"
    environment = {"PYTHONPATH": str(house / "src"), "UNBRAID_CACHE": str(tmp_path / "cache"), "PATH": ""}

    def unbraid(*words: str) -> str:
        command = [sys.executable, "-m", "unbraid", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "toy_data" in unbraid("data", "list")
    assert "toy_data/toy_model" in unbraid("train", "--help")
    unbraid("train", "toy_data/toy_model", "--data.root", str(root), "--run", str(run), "--no-evaluate")
    printed = unbraid("evaluate", str(run), "--protocols", "toy")
    assert "length" in printed
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "A toy headline." in report and "toy_model" in report
