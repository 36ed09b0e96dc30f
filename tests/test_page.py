"""The page in a real browser: asked, watched, approved, explored, judged, reloaded at work, found again after a restart; no request leaves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_server import FILTER, REQUEST, SAYS, TOKEN, application, listening, project, script

from moho.project import Project

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return project(tmp_path_factory.mktemp("page"))


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """Opens a page of its own on a port; every address it asks for is kept."""
    contexts = []

    def open_(port: int, **more: Any) -> Any:
        context = browser.new_context(**more)
        contexts.append(context)
        page = context.new_page()
        page.asked = []
        page.errors = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}/?token={TOKEN}")
        page.wait_for_selector("#threads li", state="attached")
        return page

    yield open_
    for context in contexts:
        context.close()


def ask(page: Any, words: str) -> None:
    page.fill("#words", words)
    page.press("#words", "Enter")


def test_a_person_asks_watches_explores_and_says_what_was_wrong(opened: Any, place: Project) -> None:
    app, _ = application(place, script(place.folder.parent, FILTER, SAYS), draw=True, roots=[place.folder.parent / "files"])
    with listening(app) as port:
        page = opened(port)
        ask(page, REQUEST)
        page.wait_for_selector(".answer .number", timeout=60_000)
        assert "5 to 60 Hz" in page.inner_text(".answer")
        assert "bandpass" in page.inner_text(".steps")
        page.hover(".answer .number")
        assert page.inner_text("#tip") == "from step 1, bandpass: pass band"
        page.wait_for_function("document.querySelector('figure img') && document.querySelector('figure img').naturalWidth > 100")
        before = [url for url in page.asked if "plotly" in url]
        assert before == []  # 4 MB that nobody asked for
        page.click("text=Explore")
        page.wait_for_selector("#plot .plotly", timeout=30_000)
        assert page.inner_text("#panel-title") == "bandpass 1"
        page.press("body", "Escape")
        page.click("#data >> text=well")  # lines, whose drawing must do without eval
        page.wait_for_selector("#plot .plotly .scatterlayer .js-line", timeout=30_000)
        page.press("body", "Escape")
        page.click("button:has-text('Bad')")
        page.fill("[aria-label='What would have been right']", "8 Hz, not 5 Hz")
        page.click("text=Send correction")
        page.wait_for_selector("text=Kept: bad.")
        page.click("#add")
        page.wait_for_selector("#files li")
        page.fill("#path", "other.sgy")
        page.click("#by-path button[type=submit]")
        page.wait_for_selector("#data >> text=other")
        assert page.errors == []
        assert all(url.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:")) for url in page.asked)


def test_nothing_is_lost_by_a_reload_or_a_restart(opened: Any, place: Project) -> None:
    slow = script(place.folder.parent, FILTER, {"say": "so it goes on and on " * 40}, pause=0.2, name="slow.json")
    app, jobs = application(place, slow)
    with listening(app) as port:
        page = opened(port)
        ask(page, REQUEST)
        page.wait_for_selector(".answer:has-text('so it goes')", timeout=60_000)
        page.reload()
        page.wait_for_selector(".answer:has-text('so it goes')", timeout=20_000)
        assert REQUEST in page.inner_text(".said")
        page.click("#stop")
        page.wait_for_selector(".status:has-text('Stopped')", timeout=5_000)
        ask(page, REQUEST)
        page.wait_for_selector(".turn:nth-of-type(2) .answer:has-text('so it goes')", timeout=30_000)
        address = page.url
        jobs._closing = True
        for slot in jobs._slots:
            slot.process.kill()
    script(place.folder.parent, FILTER, SAYS, name="slow.json")
    app, _ = application(place, slow)
    with listening(app) as port:
        page = opened(port)
        page.goto(f"http://127.0.0.1:{port}/{address[address.index('#') :]}")
        page.reload()
        page.wait_for_selector(".turn:nth-of-type(2) .answer .number", timeout=60_000)
        assert "Stopped" in page.inner_text(".turn:nth-of-type(1)")


def test_an_approval_is_given_by_keyboard(opened: Any, place: Project) -> None:
    app, _ = application(place, script(place.folder.parent, FILTER, SAYS, name="approve.json"), approve_seconds=-1.0)
    with listening(app) as port:
        page = opened(port)
        page.focus("#words")
        page.keyboard.type(REQUEST)
        page.keyboard.press("Enter")
        page.wait_for_selector("form.approve", timeout=60_000)
        page.focus("form.approve >> text=Edit")
        page.keyboard.press("Enter")
        page.fill("form.approve input[name=low]", "8 Hz")
        page.focus("form.approve >> text=Approve")
        page.keyboard.press("Enter")
        page.wait_for_selector(".answer .number", timeout=60_000)
        assert "8 to 60 Hz" in page.inner_text(".answer")


def test_markdown_of_a_model_runs_no_script_and_loads_nothing(opened: Any, place: Project) -> None:
    evil = (
        "<img src=x onerror=document.title='no'> ![a](http://evil.example/x.png) [b](javascript:document.title='no') "
        "<script>document.title='no'</script> **so**"
    )
    app, _ = application(place, script(place.folder.parent, {"say": evil}, name="evil.json"))
    with listening(app) as port:
        page = opened(port)
        ask(page, "say something")
        page.wait_for_selector(".answer strong", timeout=60_000)
        assert page.title() == "Moho"
        assert page.query_selector(".answer img, .answer script, .answer a") is None
        assert not any("evil" in url for url in page.asked)


@pytest.mark.parametrize(
    "look", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 800}}], ids=["light", "dark", "narrow"]
)
def test_axe_finds_no_fault_of_wcag_a_or_aa(opened: Any, place: Project, look: dict[str, Any], request: pytest.FixtureRequest) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    app, _ = application(place, script(place.folder.parent, FILTER, SAYS), draw=True, roots=[place.folder.parent / "files"])
    shots = Path(os.environ["MOHO_SHOTS"]) if "MOHO_SHOTS" in os.environ else None
    name = request.node.callspec.id
    with listening(app) as port:
        page = opened(port, **look)
        ask(page, REQUEST)
        page.wait_for_selector(".answer .number", timeout=60_000)
        page.wait_for_function("document.querySelector('figure img') && document.querySelector('figure img').complete")
        views = {
            "answer": lambda: None,
            "explore": lambda: page.click("text=Explore"),
            "add": lambda: (page.press("body", "Escape"), page.evaluate("document.getElementById('add').click()")),
        }
        for view, go in views.items():
            go()
            page.wait_for_timeout(800)
            if shots is not None:
                page.screenshot(path=shots / f"page-{name}-{view}.png")
            found = axe.Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
            faults = [(fault["id"], [node["html"][:120] for node in fault["nodes"]][:3]) for fault in found.response["violations"]]
            assert faults == [], (view, faults)


def test_the_page_is_usable_within_a_second_on_loopback(opened: Any, place: Project) -> None:
    app, _ = application(place, script(place.folder.parent, SAYS, name="quick.json"))
    with listening(app) as port:
        page = opened(port)
        sizes = page.evaluate(
            "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')).map((one) => one.transferSize)"
        )
        assert sum(sizes) < 200_000
        assert page.evaluate("document.activeElement !== null && !document.getElementById('send').disabled")
