"""What is released: one version everywhere, a wheel with every file of the package, which runs where there is no repository."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

import unbraid
from unbraid.recipes import list_recipes

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SOURCES = ("src", "pyproject.toml", "README.md", "LICENSE")
LARGEST = 8 * 2**20  # bytes of the wheel
FIRST_STEPS = """
from unbraid.cli import main
small = "--data.size 16 --data.characters 8 --model.width 4 --training.max_epochs 1 --no-evaluate"
assert main(["train"]) == 0
assert main(f"train puppets/dbse --run runs/demo {small}".split()) == 0
assert main("swap runs/demo test:0 test:1 --output swap.gif".split()) == 0
"""


def run(*words, folder, **variables):
    """Run a command in a folder, without this process's paths; its output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        words, cwd=folder, env=environment | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the sources."""
    pytest.importorskip("setuptools", "77", reason="needs setuptools 77 or newer to build a wheel")
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy(ROOT / name, folder / name)
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet")
    run(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", "dist", ".", folder=folder)
    (path,) = (folder / "dist").glob("*.whl")
    return path


def test_one_version():
    assert f"\nversion: {unbraid.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    newest = re.search(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest and newest[1] == unbraid.__version__ and re.fullmatch(r"\d{4}-\d\d-\d\d", newest[2])


def test_oldest_versions_are_the_lower_bounds():
    project = PROJECT["project"]
    extras = ("audio", "video", "series", "faces")
    required = [
        *project["dependencies"],
        *(line for name in extras for line in project["optional-dependencies"][name]),
    ]
    bounds = {re.split("[<>=]", line)[0]: re.search(r">=([\d.]+)", line) for line in required}
    assert None not in bounds.values(), "a dependency has no lower bound"
    lines = (ROOT / "constraints-oldest.txt").read_text("utf-8").splitlines()
    oldest = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert oldest == {name: bound[1] for name, bound in bounds.items()}


def test_the_wheel_holds_the_whole_package(wheel):
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    package = ROOT / "src"
    files = {
        path.relative_to(package).as_posix()
        for path in (package / "unbraid").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files <= names, f"not in the wheel: {sorted(files - names)}"
    assert wheel.name == f"unbraid-{unbraid.__version__}-py3-none-any.whl"
    assert wheel.stat().st_size <= LARGEST


def test_the_wheel_runs_without_the_repository(wheel, tmp_path):
    """A fresh environment that shares the installed dependencies, but not this repository."""
    run(sys.executable, "-m", "venv", "--without-pip", "fresh", folder=tmp_path)
    python = tmp_path / "fresh" / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        str(wheel),
        folder=tmp_path,
    )
    packages = Path(
        run(
            str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=tmp_path
        ).strip()
    )
    # A path in a .pth file is searched; the .pth files there, such as that of an editable unbraid, are not read.
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    here = run(str(python), "-c", "import unbraid; print(unbraid.__file__)", folder=tmp_path)
    assert here.startswith(str(packages))

    command = str(tmp_path / "fresh" / "bin" / "unbraid")
    assert run(command, "--version", folder=tmp_path) == f"unbraid {unbraid.__version__}\n"
    output = run(str(python), "-c", FIRST_STEPS, folder=tmp_path, UNBRAID_CACHE=str(tmp_path / "cache"))
    assert {name for name in list_recipes() if not name.startswith("own/")} <= set(output.split())
    assert "trained in" in output and (tmp_path / "swap.gif").stat().st_size


def test_source_archive_and_wheel_pass_twine(tmp_path):
    pytest.importorskip("build", reason="needs the group `release`")
    pytest.importorskip("twine", reason="needs the group `release`")
    pytest.importorskip("setuptools", "77", reason="needs setuptools 77 or newer")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs the repository's list of files")
    source = tmp_path / "source"
    for name in listed.stdout.split("\n"):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", folder=source)
    made = sorted(path.name for path in (source / "dist").iterdir())
    assert made == [
        f"unbraid-{unbraid.__version__}-py3-none-any.whl",
        f"unbraid-{unbraid.__version__}.tar.gz",
    ]
    checked = run(
        sys.executable, "-m", "twine", "check", "--strict", *(f"dist/{name}" for name in made), folder=source
    )
    assert checked.count("PASSED") == 2
