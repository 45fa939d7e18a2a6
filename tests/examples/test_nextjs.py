"""The Next.js app of examples/: built for production, it shows answers to their end over connections and reloads."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.clients import node
from tests.clients.test_package import APP
from tests.e2e import system as running
from tests.e2e.waiting import until
from tests.examples.test_pages import LIMIT, browser, free_port, origin, settings
from tests.processes import ROOT

__all__ = ["browser"]

EXAMPLE = ROOT / "examples/nextjs"


def test_its_packages_are_those_that_are_tested() -> None:
    """What the example installs is what the tests' own app has locked, and a copy of the client beside it: Next.js does
    not find what is linked from elsewhere.
    """
    wanted = json.loads((EXAMPLE / "package.json").read_text("utf-8"))["dependencies"]
    assert (EXAMPLE / wanted.pop("holdfast-client").removeprefix("file:")).resolve() == node.CLIENT
    assert "install-links=true" in (EXAMPLE / ".npmrc").read_text("utf-8").splitlines()
    assert wanted == json.loads((APP / "package.json").read_text("utf-8"))["dependencies"]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with its packages beside it: those of the tests' own app, which are installed once, and the client as
    it is built.
    """
    folder = tmp_path_factory.mktemp("nextjs") / "app"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules", ".next", "package-lock.json"))
    shutil.copytree(node.installed(APP) / "node_modules", folder / "node_modules", symlinks=True, copy_function=_linked)
    client = folder / "node_modules/holdfast-client"
    shutil.rmtree(client, ignore_errors=True)
    shutil.copytree(node.client().parents[1], client, ignore=shutil.ignore_patterns("node_modules", "test"))
    return folder


@pytest.fixture(scope="module")
def served(app: Path, at: running.Standins) -> Iterator[tuple[str, running.System]]:
    """The example as it is deployed, built, before functions and connections of three seconds -> its address, and the
    system.
    """
    port = free_port()
    start = (node.tool("node"), str(app / "node_modules/next/dist/bin/next"), "start", str(app), "-H", "127.0.0.1")
    # Next.js passes requests on under Holdfast's address; the origin that pages name is its own.
    with running.system(settings(f"http://127.0.0.1:{port}"), at) as system:
        holdfast = {"HOLDFAST_URL": system.url}
        node.run(node.tool("npx"), "next", "build", cwd=app, env=holdfast)
        with origin(*start, "-p", str(port), port=port, env=holdfast) as url:
            yield url, system


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a new visitor."""
    with browser.new_context() as context:
        yield context.new_page()


def test_the_app_shows_an_answer_over_time_limits(page: Page, served: tuple[str, running.System]) -> None:
    """``useChat`` with ``followFetch`` behind Next.js, over connections and functions of three seconds: the page ends
    with the whole text, once.
    """
    url, system = served
    prompt = "standin: tokens=123 rate=20"
    page.goto(url)
    ask(page, prompt)
    until(lambda: system.calls(prompt), "the call of the model")
    shows(page, prompt, system.calls(prompt)[0]["text"])


def test_a_reload_in_mid_answer_shows_the_conversation_and_goes_on(
    page: Page, served: tuple[str, running.System]
) -> None:
    """Loaded anew while the second answer is written, the page shows the first turn and the question at once, and the
    answer to its end: every message once. Loaded anew after the end, it shows the same.
    """
    url, system = served
    first, second = "standin: tokens=9", "standin: tokens=133 rate=20"
    page.goto(url)
    ask(page, first)
    until(lambda: system.calls(first), "the call of the model")
    expect(page.get_by_role("button", name="Ask")).to_be_enabled(timeout=LIMIT)
    address = page.url
    ask(page, second)
    expect(page.locator("p.assistant")).to_have_count(2, timeout=LIMIT)
    expect(page.locator("p.assistant").nth(1)).to_have_text(re.compile(r"\S+ \S+ \S+"), timeout=LIMIT)
    page.reload()
    assert page.url == address
    whole = (first, system.calls(first)[0]["text"], second, system.calls(second)[0]["text"])
    expect(page.locator("p.user")).to_have_text([first, second])
    shown = page.locator("p.assistant").nth(1).text_content() if page.locator("p.assistant").count() > 1 else ""
    assert shown != whole[-1], "the answer had ended before the page was loaded anew"
    shows(page, *whole)
    page.reload()
    shows(page, *whole)


def test_a_visitor_does_not_see_a_conversation_of_another(
    browser: Browser, page: Page, served: tuple[str, running.System]
) -> None:
    """The URL alone opens nothing: the server of the page asks in the name of who looks."""
    url, system = served
    prompt = "standin: tokens=7"
    page.goto(url)
    ask(page, prompt)
    until(lambda: system.calls(prompt), "the call of the model")
    shows(page, prompt, system.calls(prompt)[0]["text"])
    with browser.new_context() as context:
        other = context.new_page()
        other.goto(page.url)
        expect(other.get_by_role("button", name="Ask")).to_be_enabled(timeout=LIMIT)
        assert other.locator("p.user, p.assistant").count() == 0


def ask(page: Page, prompt: str) -> None:
    """Write a question and send it."""
    page.get_by_label("Question").fill(prompt)
    page.get_by_role("button", name="Ask").click()


def shows(page: Page, *texts: str) -> None:
    """Wait until the page shows these messages, whole and each once, and another question can be asked."""
    messages = page.locator("p.user, p.assistant")
    expect(messages).to_have_count(len(texts), timeout=LIMIT)
    for index, text in enumerate(texts):
        expect(messages.nth(index)).to_have_js_property("textContent", text, timeout=LIMIT)
    expect(page.get_by_role("button", name="Ask")).to_be_enabled(timeout=LIMIT)
    assert page.get_by_role("alert").filter(has_text=re.compile(r"\S")).count() == 0


def _linked(source: str, target: str) -> None:
    """A hard link in place of a copy; another file system takes a copy."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
