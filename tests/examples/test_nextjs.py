"""The Next.js app of examples/: built for production, it shows an answer to its end over many connections."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.clients import node
from tests.clients.test_package import APP
from tests.e2e import system as running
from tests.e2e.waiting import until
from tests.examples.test_pages import LIMIT, browser, free_port, origin, settings
from tests.processes import ROOT

__all__ = ["browser"]

EXAMPLE = ROOT / "examples/nextjs"


def test_its_packages_are_those_that_are_tested() -> None:
    """What the example installs is what the tests' own app has locked, and the client beside it."""
    wanted = json.loads((EXAMPLE / "package.json").read_text("utf-8"))["dependencies"]
    assert (EXAMPLE / wanted.pop("holdfast-client").removeprefix("file:")).resolve() == node.CLIENT
    assert wanted == json.loads((APP / "package.json").read_text("utf-8"))["dependencies"]


def test_the_app_shows_an_answer_over_time_limits(browser: Browser, at: running.Standins, tmp_path: Path) -> None:
    """``useChat`` with ``followFetch`` behind Next.js, over connections and functions of three seconds: the page ends
    with the whole text, once.
    """
    app = tmp_path / "app"
    shutil.copytree(EXAMPLE, app, ignore=shutil.ignore_patterns("node_modules", ".next", "package-lock.json"))
    # The packages of the tests' own app, so that they are installed once; the client as it is built.
    shutil.copytree(node.installed(APP) / "node_modules", app / "node_modules", symlinks=True, copy_function=_linked)
    client = app / "node_modules/holdfast-client"
    shutil.rmtree(client, ignore_errors=True)
    shutil.copytree(node.client().parents[1], client, ignore=shutil.ignore_patterns("node_modules", "test"))
    prompt, port = "standin: tokens=123 rate=20", free_port()
    start = (node.tool("node"), str(app / "node_modules/next/dist/bin/next"), "start", str(app), "-H", "127.0.0.1")
    # Next.js passes requests on under Holdfast's address; the origin that pages name is its own.
    with running.system(settings(f"http://127.0.0.1:{port}"), at) as system, ExitStack() as stack:
        node.run(node.tool("npx"), "next", "build", cwd=app, env={"HOLDFAST_URL": system.url})
        url = stack.enter_context(origin(*start, "-p", str(port), port=port))
        page = browser.new_page()
        page.goto(url)
        page.get_by_label("Question").fill(prompt)
        page.get_by_role("button", name="Ask").click()
        until(lambda: system.calls(prompt), "the call of the model")
        answer = page.locator("p.assistant")
        expect(answer).to_have_js_property("textContent", system.calls(prompt)[0]["text"], timeout=LIMIT)
        expect(page.get_by_role("button", name="Ask")).to_be_enabled()
        assert page.get_by_role("alert").filter(has_text="error").count() == 0
        page.close()


def _linked(source: str, target: str) -> None:
    """A hard link in place of a copy; another file system takes a copy."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
