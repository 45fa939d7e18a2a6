"""The pages of examples/, in Chromium: they read an answer to its end, and no connection's end shows."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.clients import node
from tests.clients.readers import browser as executable
from tests.clients.readers import without_proxies
from tests.e2e import system as running
from tests.e2e.waiting import until
from tests.processes import ROOT

EXAMPLES = ROOT / "examples"
#: What the examples call Holdfast's address.
THERE = "http://127.0.0.1:8000"
#: Signs for both, the front end's backend and Holdfast: HS256 wants 32 bytes.
SECRET = "secret-of-the-tests-that-is-long-enough"
#: Milliseconds for what must happen; a busy machine needs a fraction of them.
LIMIT = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    path = executable("chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], env=dict(without_proxies()))
        yield found
        found.close()


@contextmanager
def origin(*command: str, port: int, env: dict[str, str] | None = None) -> Iterator[str]:
    """Run a front end's own server until the block ends -> its origin."""
    path = f"{ROOT / 'lib'}:{ROOT}"
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, **(env or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, "the front end's server ended at once"
        try:
            return httpx.get(url, timeout=5, trust_env=False, follow_redirects=True).status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(answers, "answer of the front end's server")
        yield url
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def settings(front: str) -> dict[str, str]:
    """Settings of a system that this origin's pages may ask, and whose functions and connections last three seconds."""
    return {"HOLDFAST_ALLOWED_ORIGINS": front, "HOLDFAST_MAX_SECONDS": "3", "HOLDFAST_SECRET": SECRET}


def ask(page: Page, prompt: str) -> None:
    """Write a question and send it."""
    page.get_by_label("Question").fill(prompt)
    page.get_by_role("button", name="Ask").click()


def shows(page: Page, text: str) -> None:
    """Wait until the page shows a text, whole and once."""
    expect(page.locator("pre")).to_have_js_property("textContent", text, timeout=LIMIT)


def copied(name: str, folder: Path, system: str) -> None:
    """Copy a page, and have it ask this system."""
    text = (EXAMPLES / name).read_text("utf-8")
    assert THERE in text
    (folder / Path(name).name).write_text(text.replace(THERE, system), "utf-8")


def test_an_eventsource_page_reads_on_over_time_limits_and_a_reload(
    browser: Browser, at: running.Standins, tmp_path: Path
) -> None:
    """From an origin of its own and without a cookie: the page shows the text once, over connections and functions of
    three seconds, and after a reload in the middle of it goes on with the same answer.
    """
    prompt, port = "standin: tokens=121 rate=20", free_port()
    server = (sys.executable, "-m", "http.server", str(port), "-b", "127.0.0.1", "-d", str(tmp_path))
    with origin(*server, port=port) as front, running.system(settings(front), at) as system:
        copied("eventsource.html", tmp_path, system.url)
        context = browser.new_context()
        page = context.new_page()
        read: list[str] = []
        page.on("request", lambda request: read.append(request.url) if "?token=" in request.url else None)
        page.goto(f"{front}/eventsource.html")
        ask(page, prompt)
        until(lambda: len(page.locator("pre").text_content() or "") > 20, "some text")
        page.reload()
        until(lambda: system.calls(prompt), "the call of the model")
        shows(page, system.calls(prompt)[0]["text"])
        assert len(read) > 3, "one connection carried it all, so that nothing was shown"
        assert context.cookies() == []
        context.close()


def test_a_page_of_another_origin_shows_who_asks_by_its_backends_word(
    browser: Browser, at: running.Standins, tmp_path: Path
) -> None:
    """The backend says who its visitor is, the page sends that with each request, and no cookie of Holdfast's is
    involved: the visitor has the whole answer over many connections, and another visitor has nothing of it.
    """
    # As it is, beside the built client; only the address in the page is another one.
    folder = tmp_path / "examples/another_origin"
    shutil.copytree(EXAMPLES / "another_origin", folder)
    (tmp_path / "web/client").mkdir(parents=True)
    (tmp_path / "web/client/dist").symlink_to(node.client().parent)
    prompt, port = "standin: tokens=122 rate=20", free_port()
    server = (sys.executable, "-m", "uvicorn", "backend:app", "--app-dir", str(folder), "--port", str(port))
    env = {"SESSION_KEY": "another-secret-of-the-tests-long-enough", "HOLDFAST_SECRET": SECRET}
    with running.system(settings(f"http://127.0.0.1:{port}"), at) as system, ExitStack() as stack:
        copied("another_origin/index.html", folder, system.url)
        front = stack.enter_context(origin(*server, port=port, env=env))
        visitors = [browser.new_context() for _ in range(2)]
        page, stranger = (visitor.new_page() for visitor in visitors)
        read: list[str] = []
        page.on("request", lambda request: read.append(request.url) if request.method == "GET" else None)
        for each in (page, stranger):
            each.goto(front)
        ask(page, prompt)
        until(lambda: system.calls(prompt), "the call of the model")
        shows(page, system.calls(prompt)[0]["text"])
        streams = [url for url in read if "/api/streams/" in url]
        assert len(streams) > 2, "one connection carried it all, so that nothing was shown"
        assert all("token" not in url for url in streams)
        assert [_seen(each, streams[0]) for each in (page, stranger)] == [200, 404]
        for visitor in visitors:
            assert {cookie["name"] for cookie in visitor.cookies()} == {"visitor"}
            visitor.close()


def _seen(page: Page, url: str) -> int:
    """The status that the page's visitor gets for a stream."""
    asks = """async (url) => {
      const { token } = await (await fetch("/token", { method: "POST" })).json();
      return (await fetch(`${url}/status`, { headers: { authorization: `Bearer ${token}` } })).status;
    }"""
    return int(page.evaluate(asks, url))
