"""The site's sources: every page has its place, links follow their pages, public names are documented, nothing comes from elsewhere."""

import importlib.util
import re
import sys
from pathlib import Path, PurePath

import pytest
import yaml

import unbraid

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def build():
    """The script `website/build.py` as a module."""
    path = list(sys.path)
    specification = importlib.util.spec_from_file_location("site_build", ROOT / "website" / "build.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    sys.path[:] = path
    return module


class Configuration(yaml.SafeLoader):
    """Reads mkdocs.yml without importing what it names."""


Configuration.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda loader, suffix, node: suffix)


def names_of(entries):
    for entry in entries:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from names_of(value) if isinstance(value, list) else [value]


def test_every_page_is_in_the_navigation(build):
    text = (ROOT / "website" / "mkdocs.yml").read_text("utf-8")
    patterns = list(names_of(yaml.load(text, Configuration)["nav"]))
    for place in build.pages():
        assert any(PurePath(place).match(name) for name in patterns), f"website/mkdocs.yml: nav lacks {place}"
    for name in patterns:
        assert "*" in name or name in build.pages(), f"website/mkdocs.yml: there is no page {name}"


def test_every_public_name_is_in_the_api(build):
    pages = [path.read_text("utf-8") for path in (ROOT / "docs" / "api").glob("*.md")]
    named = re.findall(r"^::: ub\.(\w+)$", "\n".join(pages), re.MULTILINE)
    assert sorted(named) == sorted(set(unbraid.__all__) - {"__version__"})
    assert build.documented("::: ub.load") == (
        "::: unbraid.data.load.load\n    options:\n      heading: ub.load\n      toc_label: load"
    )


def test_links_follow_their_pages(build, tmp_path):
    page = ROOT / "docs" / "methods" / "dbse.md"
    text = "[a](../protocols.md#swap) [b](../../results/puppets.md) [c](../../results/trials.csv) [d](https://e.org/f.md) [g](gone.md)"
    turned = build.linked(text, page, "methods/dbse.md", build.pages(), tmp_path)
    assert turned == (
        "[a](../protocols.md#swap) [b](../results/puppets.md) [c](../files/results/trials.csv) "
        "[d](https://e.org/f.md) [g](gone.md)"
    )
    assert (tmp_path / "files" / "results" / "trials.csv").read_bytes() == (
        ROOT / "results" / "trials.csv"
    ).read_bytes()


def test_requests_to_other_hosts_are_seen(build, tmp_path):
    (tmp_path / "good.html").write_text('<a href="https://arxiv.org">x</a><script src="a.js"></script>')
    assert build.outside_requests(tmp_path) == []
    for number, text in enumerate(
        (
            '<script src="https://cdn.org/a.js">',
            "<link rel=stylesheet href=//fonts.org/b.css>",
            "<img alt=x src='http://c.org/d.png'>",
            "<style>p { background: url(https://e.org/f.png) }</style>",
        )
    ):
        (tmp_path / f"bad{number}.html").write_text(text)
    assert len(build.outside_requests(tmp_path)) == 4


def test_the_site_is_built(build, tmp_path):
    """Broken links, pages without a place and names that do not exist are errors of the build itself."""
    for name in ("mkdocs", "material", "mkdocstrings", "ziamath"):
        pytest.importorskip(
            name, reason="needs the group `site` (`make site` has it in an environment of its own)"
        )
    build.gather(build.SOURCE)
    build.build(tmp_path)
    assert not build.outside_requests(tmp_path)
    page = (tmp_path / "methods" / "dbse.html").read_text("utf-8")
    assert page.count('class="equation"') == 2 and "<svg" in page and "@inproceedings" in page
