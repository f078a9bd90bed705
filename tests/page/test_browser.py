"""The page in headless Chromium: swap, upload, slider, broken upload, a phone's width; nothing is asked of the internet."""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
from page_runs import HOSTILE
from PIL import Image

BROWSER = shutil.which("chromium") or "/usr/bin/chromium"
MISSING = [name for name in ("gradio", "playwright") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: the extra `page` and playwright"),
    pytest.mark.skipif(not os.path.exists(BROWSER), reason="needs Debian's chromium: apt install chromium"),
]
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 240_000  # milliseconds: a busy machine fails no test
TABS = ("Swap", "Interpolate", "Factors", "Draw", "Map", "Scores", "About")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page of the packaged model, started as a user starts it."""
    port, folder = free_port(), tmp_path_factory.mktemp("page")
    # As after `make demo`: the model's data are prepared already.
    environment = os.environ | {"UNBRAID_CACHE": str(folder / "cache"), "TMPDIR": str(folder)}
    prepare = "import unbraid as ub; ub.load('puppets', size=32, characters=1296)"
    subprocess.run([sys.executable, "-c", prepare], env=environment, check=True)
    begin = time.monotonic()
    with open(folder / "errors", "w+") as errors:
        server = subprocess.Popen(
            [sys.executable, "-m", "unbraid", "page", "--port", str(port)],
            env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder,
        )  # fmt: skip
        try:
            line = server.stdout.readline()
            assert f"http://127.0.0.1:{port}" in line, (folder / "errors").read_text()
            print(f"\nthe page is up after {time.monotonic() - begin:.1f} s")
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()
            server.wait()


@pytest.fixture(scope="module")
def page(address, tmp_path_factory):
    """The page in a browser that may reach nothing else; `page.outside` lists what it tried."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("profile")), executable_path=BROWSER, headless=True, args=ARGUMENTS,
            viewport={"width": 1280, "height": 900},
        )  # fmt: skip
        context.set_default_timeout(PATIENCE)
        page, outside, errors = context.pages[0], [], []
        own = re.compile(rf"^({re.escape(address)}|data:|blob:)")
        context.route(
            lambda url: not own.match(url), lambda route: (outside.append(route.request.url), route.abort())
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
        begin = time.monotonic()
        page.goto(address)
        page.wait_for_selector("#run0-swap1 img")
        print(f"the first swap is shown {time.monotonic() - begin:.1f} s after the page was asked for")
        yield page
        assert outside == [] and errors == []
        context.close()


def picture(page, name):
    """The address of the picture in a place."""
    return page.locator(f"#run0-{name} img").get_attribute("src")


def wait_for_change(page, name, before):
    """Wait until another picture stands in a place, and return its address."""
    changed = "([id, before]) => { const i = document.querySelector(`#${id} img`); return i && i.src && i.src !== before; }"
    page.wait_for_function(changed, arg=[f"run0-{name}", before])
    return picture(page, name)


def fetched(address):
    with urllib.request.urlopen(address) as answer:
        return answer.read()


def upload(page, letter, path):
    """Give a file to the upload button of A or B."""
    with page.expect_file_chooser() as chooser:
        page.click(f"#run0-{letter}-upload")
    chooser.value.set_files(str(path))


def open_tab(page, name):
    """Open a tab, from the menu of those for which there is no room on a phone."""
    tab = page.get_by_role("tab", name=name, exact=True)
    if not tab.first.is_visible():
        page.locator(".overflow-menu > button").first.click()
        page.locator(".overflow-dropdown button", has_text=name).first.click()
        return
    tab.first.click()


def test_a_swap_shows_two_new_clips(page):
    before = [picture(page, f"swap{number}") for number in range(2)]
    begin = time.monotonic()
    page.click("#run0-swap")
    after = [wait_for_change(page, f"swap{number}", before[number]) for number in range(2)]
    print(f"a swap took {time.monotonic() - begin:.2f} s from the click")
    assert all(fetched(source)[:4] == b"GIF8" for source in after)
    assert page.locator("#run0-swap-download").is_enabled()


def test_another_sequence_empties_the_swap_until_the_next_click(page):
    before = picture(page, "a")
    page.click("#run0-a-another")
    wait_for_change(page, "a", before)
    page.wait_for_function("() => !document.querySelector('#run0-swap0 img')")
    page.click("#run0-swap")
    page.wait_for_selector("#run0-swap0 img")


def test_the_slider_changes_the_clip(page):
    open_tab(page, "Interpolate")
    page.wait_for_selector("#run0-between img")
    before = picture(page, "between")
    box = page.locator("#run0-share input[type=number]")
    box.fill("0.9")
    box.press("Enter")
    assert fetched(wait_for_change(page, "between", before))[:4] == b"GIF8"
    open_tab(page, "Swap")


def test_an_upload_can_be_swapped_and_its_name_is_text(page, tmp_path):
    frames = [Image.fromarray(np.full((40, 40, 3), 30 * t, np.uint8)) for t in range(6)]
    clip = tmp_path / f"{HOSTILE.replace('/', '')}.gif"
    frames[0].save(clip, save_all=True, append_images=frames[1:], duration=100)
    before = picture(page, "b")
    upload(page, "b", clip)
    source = wait_for_change(page, "b", before)
    assert fetched(source)[:4] == b"GIF8"
    assert "Read one sequence of yours" in page.inner_text("#run0-message")
    assert page.locator("#run0-message img").count() == 0
    page.click("#run0-swap")
    page.wait_for_selector("#run0-swap0 img")


def test_a_broken_upload_says_so_and_changes_nothing(page, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all" * 50)
    before = picture(page, "a")
    upload(page, "a", broken)
    page.wait_for_selector("#run0-message .warning")
    text = page.inner_text("#run0-message")
    assert "broken.mp4" in text and "damaged" in text and str(tmp_path) not in text
    assert picture(page, "a") == before


def test_a_click_on_the_map_shows_the_sequence_of_the_point(page):
    open_tab(page, "Map")
    page.wait_for_selector("#run0-map-dynamic img")
    before = picture(page, "map-static")
    page.locator("#run0-map-static img").click(position={"x": 120, "y": 140})
    page.wait_for_selector("#run0-point img")
    assert "test" in page.inner_text("#run0-point-title")
    wait_for_change(page, "map-static", before)  # the point is in a ring now


def test_scores_stand_beside_their_floors(page):
    open_tab(page, "Scores")
    page.wait_for_selector("#run0-scores table")
    assert "floor" in page.inner_text("#run0-scores")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(page, width):
    page.set_viewport_size({"width": width, "height": 844})
    for tab in TABS:
        open_tab(page, tab)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tab
    page.set_viewport_size({"width": 1280, "height": 900})


def test_only_files_of_the_page_are_served(address):
    import unbraid

    inside = os.path.join(os.path.dirname(unbraid.__file__), "pretrained", "puppets", "dbse", "config.yaml")
    for path in ("/etc/hostname", inside, os.path.abspath("pyproject.toml"), "../../../etc/hostname"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetched(f"{address}gradio_api/file={urllib.parse.quote(path)}")
        assert caught.value.code in (403, 404)


def test_a_port_in_use_and_a_run_that_is_not_there_are_refused(capsys, tmp_path):
    from unbraid.cli import main

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert main(["page", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot be used" in capsys.readouterr().err
    assert main(["page", str(tmp_path / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
