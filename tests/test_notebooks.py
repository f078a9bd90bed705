"""The notebooks run from top to bottom, and their pages in the repository are of such a run."""

import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def printed(cells) -> str:
    """What the cells print."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "".join("".join(output["text"]) for output in outputs if output.get("name") == "stdout")


def without_decimals(text: str) -> str:
    return re.sub(r"\d+\.\d+", "#", text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient of the group `test`")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient of the group `test`")
    pytest.importorskip("ipykernel", reason="needs ipykernel of the group `test`")
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path))
    stored = json.loads(path.read_text("utf-8"))
    notebook = nbformat.read(path, 4)
    kernel = nbclient.NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(tmp_path)}})
    kernel.execute()
    lines, stored_lines = printed(notebook.cells), printed(stored["cells"])
    assert stored_lines and without_decimals(lines) == without_decimals(stored_lines)
    assert any(
        "image/png" in output.get("data", {})
        for cell in stored["cells"]
        for output in cell.get("outputs", [])
    )


def test_two_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["series_to_pipeline", "video_to_swaps"]
