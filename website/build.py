"""Build the site from `docs/`, the pages of results and the notebooks: `python website/build.py` (or `make site`).

The sources are first gathered in `build/site-source`: links that leave `docs/` are turned to copies of the files that they
name. A broken link, a page outside the navigation and anything that a page would load from elsewhere are errors.
"""

import argparse
import base64
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "website")]  # the configuration names equations.block
SOURCE = ROOT / "build" / "site-source"
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
OUTSIDE = re.compile(
    r"""<(?:script|img|source|video|audio|iframe|embed)\b[^>]*\bsrc=["']?(?:https?:)?//"""
    r"""|<link\b(?![^>]*\brel=["']?(?:canonical|edit))[^>]*\bhref=["']?(?:https?:)?//"""
    r"""|url\(["']?(?:https?:)?//|@import\s+["'](?:https?:)?//""",
    re.IGNORECASE,
)


def main() -> int:
    """Gather the sources, build, check; the exit code."""
    parser = argparse.ArgumentParser(description="Build the site of unbraid.")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "site")
    output = parser.parse_args().output.resolve()
    gather(SOURCE)
    build(output)
    if outside := outside_requests(output):
        print("These pages load something from elsewhere:", *outside, sep="\n  ", file=sys.stderr)
        return 1
    print(f"Built {output / 'index.html'}")
    return 0


# ---- sources --------------------------------------------------------------------------------------------


def pages() -> dict[str, Path]:
    """The files of the repository that are pages of the site, by their place in it."""
    docs = ROOT / "docs"
    places = {str(path.relative_to(docs)): path for path in docs.rglob("*.md") if "texts" not in path.parts}
    places |= {f"results/{path.name}": path for path in (ROOT / "results").glob("*.md")}
    places |= {f"notebooks/{path.stem}.md": path for path in (ROOT / "examples").glob("*.ipynb")}
    return places | {name: ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md")}


def gather(folder: Path) -> None:
    """Copy all pages and the files that they link to into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs" / "pictures", folder / "pictures")
    shutil.copy(ROOT / "website" / "style.css", folder / "style.css")
    places = pages()
    for place, path in places.items():
        page = folder / place
        page.parent.mkdir(parents=True, exist_ok=True)
        text = notebook_text(path, page) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
        text = documented(linked(text, path, place, places, folder))
        page.write_text(text.replace(" ± ", "\u00a0±\u00a0"), encoding="utf-8")  # figures stay on one line


def linked(text: str, path: Path, place: str, places: dict[str, Path], folder: Path) -> str:
    """A page's text, with its links turned to the places in the site.

    Files that are no pages are copied to `files/`. Links within the site, to other sites, and broken ones stay as they are.
    """
    by_path = {source.resolve(): target for target, source in places.items()}

    def turned(match: re.Match[str]) -> str:
        start, link, end = match.groups()
        target = (path.parent / link).resolve()
        if "://" in link or not target.is_file() or not target.is_relative_to(ROOT):
            return match[0]
        if target in by_path:
            goal = by_path[target]
        elif target.is_relative_to(ROOT / "docs"):
            goal = str(target.relative_to(ROOT / "docs"))
        else:
            goal = f"files/{target.relative_to(ROOT)}"
            (folder / goal).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(target, folder / goal)
        return start + os.path.relpath(goal, Path(place).parent) + end

    return LINK.sub(turned, text)


def documented(text: str) -> str:
    """A page's text, where `::: ub.NAME` names the module of a public name, and shows it as users write it."""
    from unbraid import _PUBLIC

    def directive(match: re.Match[str]) -> str:
        name = match[1]
        return f"::: {_PUBLIC[name]}.{name}\n    options:\n      heading: ub.{name}\n      toc_label: {name}"

    return re.sub(r"^::: ub\.(\w+)$", directive, text, flags=re.MULTILINE)


def notebook_text(path: Path, page: Path) -> str:
    """A notebook as Markdown; its pictures are written beside the page."""
    parts = []
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for place, output in enumerate(cell["outputs"]):
            parts.append(_output_text(output, page.with_name(f"{page.stem}-{number}-{place}.png")))
    return "\n\n".join(part for part in parts if part) + "\n"


def _output_text(output: dict[str, Any], picture: Path) -> str:
    data = output.get("data", {})
    for kind in ("image/png", "image/gif"):
        if kind in data:
            picture = picture.with_suffix(f".{kind.partition('/')[2]}")
            picture.write_bytes(base64.b64decode(data[kind]))
            return f"![Output of the cell above]({picture.name})"
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"```text\n{text.rstrip()}\n```" if text.strip() else ""


# ---- site -----------------------------------------------------------------------------------------------


def build(output: Path) -> None:
    """Build the gathered sources; every warning is an error."""
    from mkdocs.commands.build import build as build_site
    from mkdocs.config import load_config

    config = load_config(str(ROOT / "website" / "mkdocs.yml"), strict=True, site_dir=str(output))
    config["nav"] = _expanded(config["nav"], set())
    config["plugins"].on_startup(command="build", dirty=False)
    build_site(config)


def _expanded(entries: list[Any], used: set[str]) -> list[Any]:
    """The navigation with the pages that match each pattern, but those that stand in it already."""
    expanded: list[Any] = []
    for entry in entries:
        title, value = next(iter(entry.items())) if isinstance(entry, dict) else (None, entry)
        if isinstance(value, list):
            expanded.append({title: _expanded(value, used)})
        elif "*" in value:
            matching = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.glob(value))
            matching = [name for name in matching if name not in used]
            used.update(matching)
            expanded += [{title: matching}] if title else matching
        else:
            used.add(value)
            expanded.append(entry)
    return expanded


def outside_requests(folder: Path) -> list[str]:
    """Where a built page or style loads something from another host."""
    return [
        f"{path.relative_to(folder)}: {match[0][:120]}"
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".html", ".css")
        for match in OUTSIDE.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]


if __name__ == "__main__":
    sys.exit(main())
